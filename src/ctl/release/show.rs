//! `convoy release show` and `verify`: what a release does, in words, and whether it is signed as it should be.

use crate::client::operator;
use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::human::{count, date, from_now, span};
use crate::ctl::release::{lease_of, load, load_trust};
use crate::ctl::session::Session;
use crate::ctl::table::fields;
use crate::model::fleet::{InFlight, OnDrift, OnFailure, Policy, RebootPolicy, Release, Wave};
use crate::model::id::{HostName, RolloutId};
use crate::model::limit::{SelfRollback, self_rollback};
use crate::model::time::Timestamp;
use crate::trust::{Floor, check_lease, draft};
use crate::wire::v1::release::{LeaseBody, SignedRelease, date as wire_date};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most host names that are listed for a wave, in text; `--json` has all.
const MAX_NAMES: usize = 12;

/// What to show.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// A signed release's file, or the id of a published one, such as stable@2026-05.42
    #[arg(value_name = "FILE|ID")]
    pub what: String,
}

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The signed release
    pub file: PathBuf,
    /// The trust file: which keys are believed, and how many it takes
    #[arg(long, value_name = "FILE")]
    pub trust: PathBuf,
}

/// Runs `show`. Signatures are named, not checked: that is `verify`.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn show(session: &Session, args: &ShowArgs) -> anyhow::Result<Exit> {
    let signed = find(session, &args.what).await?;
    let release = draft(&signed.manifest)?;
    let lease = lease_of(&signed)?;
    if session.json() {
        return session.show(&as_json(&release, &lease, &signed), |_| String::new());
    }
    session.print(&render(&release, &lease, &signed, session.now()))
}

/// Runs `verify`.
///
/// # Errors
/// See [`crate::ctl::run`].
pub fn verify(session: &Session, args: &VerifyArgs) -> anyhow::Result<Exit> {
    let signed = load(&args.file)?;
    let trust = load_trust(&args.trust)?;
    let verified = crate::trust::verify(&signed, &trust)?;
    let now = session.now();
    check_lease(&verified, &Floor::default(), now)?;
    let id = verified.release.id.to_string();
    let digest = verified.release.digest.to_string();
    let expires = wire_date(verified.lease.expires);
    if session.json() {
        let sequence = verified.lease.sequence;
        let good = json!({ "ok": true, "id": id, "digest": digest, "sequence": sequence, "expires": expires });
        return session.show(&good, |_| String::new());
    }
    session.print(&fields(&[
        ("release", id),
        ("digest", digest),
        ("signatures", format!("good, {} needed", trust.threshold())),
        ("lease", format!("good, sequence {}, ends {}", verified.lease.sequence, from_now(expires, now))),
    ]))
}

async fn find(session: &Session, what: &str) -> anyhow::Result<SignedRelease> {
    let path = Path::new(what);
    if path.exists() || what.contains('/') {
        return load(path);
    }
    let id: RolloutId = what.parse().map_err(|_| {
        Mistake::new(format!("{what:?} is neither a file nor a release id"), "an id looks like stable@2026-05.42")
    })?;
    Ok(operator::release(&session.transport()?, &id).await?)
}

fn as_json(release: &Release, lease: &LeaseBody, signed: &SignedRelease) -> Value {
    let waves = release.waves.iter().map(|wave| {
        let hosts: Vec<String> = wave.hosts.iter().map(ToString::to_string).collect();
        json!({ "name": wave.name.to_string(), "hosts": hosts, "rules": rules(wave) })
    });
    let hosts = release.hosts.iter().map(|(host, target)| (host.to_string(), json!(target.closure.to_string())));
    json!({
        "id": release.id.to_string(),
        "digest": release.digest.to_string(),
        "sequence": lease.sequence,
        "issued": lease.issued,
        "expires": lease.expires,
        "signedBy": signers(signed),
        "again": release.again,
        "waves": waves.collect::<Vec<_>>(),
        "hosts": hosts.collect::<serde_json::Map<_, _>>(),
        "selfRollback": limits_json(&release.policy),
    })
}

/// `null` where nothing brings a host back by itself.
fn limits_json(policy: &Policy) -> Value {
    let limits = self_rollback(policy);
    match policy.on_failure {
        OnFailure::Keep => Value::Null,
        OnFailure::Revert => json!({
            "afterFailureMs": millis(limits.after_failure),
            "afterSwitchMs": millis(limits.after_switch),
            "afterSilenceMs": millis(limits.after_silence),
            "absoluteEndMs": millis(limits.absolute_end),
            "backByMs": millis(limits.back_by),
        }),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn signers(signed: &SignedRelease) -> Vec<&str> {
    signed.signatures.iter().map(|signature| signature.key.as_str()).collect()
}

fn render(release: &Release, lease: &LeaseBody, signed: &SignedRelease, now: Timestamp) -> String {
    let closures: std::collections::BTreeSet<_> = release.hosts.values().map(|target| &target.closure).collect();
    let both = |count_of: usize| u64::try_from(count_of).unwrap_or(u64::MAX);
    let hosts = format!("{} on {}", count(both(release.hosts.len()), "host"), count(both(closures.len()), "closure"));
    let mut shown = vec![
        ("release", release.id.to_string()),
        ("digest", release.digest.to_string()),
        ("sequence", lease.sequence.to_string()),
        ("signed by", format!("{} (not checked here: `convoy release verify`)", signers(signed).join(", "))),
        ("lease", format!("{} to {}, ends {}", date(lease.issued), date(lease.expires), from_now(lease.expires, now))),
        ("hosts", hosts),
    ];
    if release.again {
        shown.push(("again", "lifts the quarantine of its closures".to_owned()));
    }
    let mut text = fields(&shown);
    text.push('\n');
    text.push_str(&waves(release));
    text.push('\n');
    text.push_str(&policy(&release.policy));
    text.push('\n');
    text.push_str(&way_back(&release.policy));
    text
}

/// Lists the waves, each with its hosts and rules below it.
fn waves(release: &Release) -> String {
    let mut text = String::new();
    for (number, wave) in release.waves.iter().enumerate() {
        let names: Vec<&str> = wave.hosts.iter().take(MAX_NAMES).map(HostName::as_str).collect();
        let more = if wave.hosts.len() > MAX_NAMES { " …" } else { "" };
        let hosts = count(u64::try_from(wave.hosts.len()).unwrap_or(u64::MAX), "host");
        let _ = writeln!(text, "wave {} {}: {hosts}: {}{more}", number + 1, wave.name, names.join(" "));
        for rule in rules(wave) {
            let _ = writeln!(text, "  - {rule}");
        }
    }
    text
}

/// Gives a wave's rules in words.
fn rules(wave: &Wave) -> Vec<String> {
    let mut rules = vec![
        format!("needs {} to converge", wave.min_success),
        match wave.max_failures {
            0 => "halts at the first failure".to_owned(),
            most => format!("halts above {}", count(most, "failure")),
        },
    ];
    rules.extend(wave.max_in_flight.map(|most| format!("at most {most} at once")));
    if !wave.wait.is_zero() {
        rules.push(format!("then waits {}", span(wave.wait)));
    }
    rules.extend(wave.not_before.map(|at| format!("not before {}", date(wire_date(at)))));
    if !wave.windows.is_empty() {
        rules.push(format!("only in {}", count(u64::try_from(wave.windows.len()).unwrap_or(0), "weekly window")));
    }
    if wave.approval {
        rules.push("needs an operator's approval".to_owned());
    }
    rules.push(match wave.reboot {
        RebootPolicy::Live => "boot changes go live, the next boot is unproven".to_owned(),
        RebootPolicy::Trial => "boot changes are proven by a trial boot".to_owned(),
    });
    rules
}

fn policy(policy: &Policy) -> String {
    let failure = match policy.on_failure {
        OnFailure::Revert => "goes back by itself",
        OnFailure::Keep => "stays on the new closure, uncommitted, and waits for a person",
    };
    let in_flight = |what: InFlight| match what {
        InFlight::Finish => "finish",
        InFlight::Revert => "go back",
    };
    let drift = match policy.on_drift {
        OnDrift::Report => "is reported",
        OnDrift::Hold => "is held until an operator resolves it",
        OnDrift::Reconcile => "gets a new attempt",
    };
    let mut shown = vec![
        ("soak", format!("{} healthy before the commit", span(policy.soak))),
        ("failing", format!("{} of a failing probe, then the host {failure}", span(policy.failure_after))),
        ("superseded", format!("hosts in flight {}", in_flight(policy.on_supersede))),
        ("halted", format!("hosts in flight {}", in_flight(policy.on_halt))),
        ("drift", format!("a host that runs something else {drift}")),
        ("silence", format!("a host is given {} before it is set aside", span(policy.offline_grace))),
    ];
    let budgets: Vec<String> = policy.budgets.iter().map(|(tag, most)| format!("{tag}: at most {most}")).collect();
    if !budgets.is_empty() {
        shown.push(("budgets", budgets.join(", ")));
    }
    let channels: Vec<String> = policy.after_channels.iter().map(ToString::to_string).collect();
    if !channels.is_empty() {
        shown.push(("after", format!("channels {} have completed", channels.join(", "))));
    }
    if !policy.host_order.is_empty() {
        let pairs = policy.host_order.len();
        shown.push(("order", format!("{} for others first", count(u64::try_from(pairs).unwrap_or(0), "host"))));
    }
    fields(&shown)
}

/// Says whether and how fast a host comes back by itself.
fn way_back(policy: &Policy) -> String {
    match policy.on_failure {
        OnFailure::Revert => limits(&self_rollback(policy)),
        OnFailure::Keep => "No host brings itself back: policy `keep` leaves a failed one on the new closure, and its \
                            dead-man is off. A\nreboot brings back what ran before, which is still the boot default.\n"
            .to_owned(),
    }
}

/// Says how fast a host is back on its prior closure, whatever happens.
fn limits(limits: &SelfRollback) -> String {
    let cases = [
        ("after its first failing probe", limits.after_failure),
        ("after the start of a switch that hangs or fails", limits.after_switch),
        ("after its agent's last sign of life", limits.after_silence),
        ("after the start of its switch, whatever happens", limits.back_by),
    ];
    let lines = cases.map(|(case, limit)| format!("  {:<8} {case}\n", span(limit)));
    format!("A host brings itself back, without its control plane, within\n{}", lines.concat())
}
