//! `convoy release build`: from a fleet's flake to a published release. Every step can be done again: what Nix did is kept
//! in its store, what was copied is skipped, and the same release published twice is one release.

pub mod nix;
pub mod fleet;
pub mod sizes;
pub mod unit;
pub mod units;
pub mod change;
pub mod previous;
pub mod push;
pub mod told;

use crate::client::operator;
use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::human::{clean, count};
use crate::ctl::release::build::change::{Change, changes};
use crate::ctl::release::build::fleet::Fleet;
use crate::ctl::release::publish::render;
use crate::ctl::release::sign::{Signing, sign_draft, write_signed};
use crate::ctl::session::Session;
use crate::model::fleet::Release;
use crate::model::id::Channel;
use crate::runtime::signals::Shutdown;
use crate::wire::v1::operator::Published;
use anyhow::Context;
use serde::Serialize;
use std::io::Write as _;
use std::path::PathBuf;

/// What to build.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The flake with `convoyFleet`, as Nix names it
    #[arg(default_value = ".")]
    pub flake: String,
    /// The channel to release; may be left out where the fleet has one
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<Channel>,
    /// Copy the closures to this store, as `nix copy --to` names it
    #[arg(long, value_name = "URL")]
    pub copy_to: Option<String>,
    /// Hand the closures to this command, to push them: program and arguments, separated by spaces, the store paths
    /// behind them; no shell
    #[arg(long, value_name = "COMMAND")]
    pub push_hook: Option<String>,
    /// Compare with this release (signed, or a manifest) and not with the one that was published last
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// How it is signed
    #[command(flatten)]
    pub signing: Signing,
    /// The release's place in the one sequence of the fleet; the seconds since 1970 when left out, which only grow
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub sequence: Option<u64>,
    /// Write the signed release to this file too
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Publish nothing: only write the signed release, for `convoy release publish`
    #[arg(long, requires = "out")]
    pub no_publish: bool,
    /// Evaluate, build and compare only: push, sign and publish nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What came of it, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Built<'a> {
    release: String,
    digest: String,
    against: Option<String>,
    hosts: &'a [Change],
    pushed: bool,
    written: Option<&'a PathBuf>,
    published: Option<Published>,
    dry_run: bool,
}

/// Tells each step on standard error as it begins.
struct Steps {
    done: usize,
    all: usize,
}

impl Steps {
    fn begin(&mut self, what: &str) {
        self.done += 1;
        note(&format!("[{}/{}] {what}", self.done, self.all));
    }
}

fn note(text: &str) {
    // Nobody reading is no failure.
    let _ = writeln!(std::io::stderr().lock(), "{}", clean(text));
}

/// Runs the verb; an interrupt ends it and Nix at once. Without a Nix daemon a builder may run on to its own end.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, args: &Args) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals().context("can't wait for Ctrl-C")?;
    tokio::select! {
        done = build(session, args) => done,
        () = shutdown.asked() => Ok(Exit::Interrupted),
    }
}

async fn build(session: &Session, args: &Args) -> anyhow::Result<Exit> {
    check(session, args).await?;
    let mut steps = Steps { done: 0, all: args.steps() };
    steps.begin(&format!("evaluating {}", nix::attribute(&args.flake, "manifests")));
    let fleet = fleet::evaluate(&args.flake, args.channel.as_ref()).await?;
    let release = &fleet.release;
    let hosts = u64::try_from(release.hosts.len()).unwrap_or(u64::MAX);
    steps.begin(&format!("building {} for {}", release.id, count(hosts, "host")));
    fleet::build(&args.flake, &fleet).await?;
    steps.begin("comparing with the release before");
    let before = before(session, args, release).await?;
    let changed = changes(release, before.as_ref()).await?;
    let against = before.map(|before| before.id.to_string());
    if !session.json() {
        session.print(&told::changes(&release.id.to_string(), against.as_deref(), &changed))?;
    }
    let published = if args.dry_run { None } else { finish(session, args, (&fleet, &mut steps)).await? };
    let built = Built {
        release: release.id.to_string(),
        digest: release.digest.to_string(),
        against,
        hosts: &changed,
        pushed: !args.dry_run && args.pushes(),
        written: args.out.as_ref().filter(|_| !args.dry_run),
        published,
        dry_run: args.dry_run,
    };
    session.show(&built, |built| match (&built.published, built.dry_run) {
        (Some(published), _) => render(published),
        (None, true) => "dry run: nothing was pushed, signed or published\n".to_owned(),
        (None, false) => String::new(),
    })
}

/// Finds out before hours of building what would fail after them: keys, and the control plane.
async fn check(session: &Session, args: &Args) -> anyhow::Result<()> {
    if args.dry_run {
        return Ok(());
    }
    args.signing.keys(session)?;
    if !args.no_publish {
        operator::fleet(&session.transport()?).await?;
    }
    if !args.pushes() {
        note("note: neither --copy-to nor --push-hook is given: bring the closures to where hosts fetch from yourself");
    }
    Ok(())
}

/// Reads the release before; a control plane that is not needed otherwise may be away.
async fn before(session: &Session, args: &Args, release: &Release) -> anyhow::Result<Option<Release>> {
    if let Some(file) = &args.against {
        return previous::from_file(file).map(Some);
    }
    match previous::published(session, &release.id).await {
        Err(why) if args.dry_run || args.no_publish => {
            note(&format!("note: not compared with what was published: {why:#}"));
            Ok(None)
        }
        other => other,
    }
}

/// Pushes, signs and publishes.
async fn finish(
    session: &Session,
    args: &Args,
    (fleet, steps): (&Fleet, &mut Steps),
) -> anyhow::Result<Option<Published>> {
    let paths = fleet.closures();
    if let Some(to) = &args.copy_to {
        steps.begin(&format!("copying to {}", push::without_secrets(to)));
        push::copy(to, &paths).await?;
    }
    if let Some(hook) = &args.push_hook {
        steps.begin(&format!("pushing with {hook}"));
        push::hook(hook, &paths).await?;
    }
    steps.begin("signing");
    let signed = sign_draft(session, (&fleet.release, args.sequence), &args.signing).await?;
    if let Some(out) = &args.out {
        write_signed(out, &signed)?;
        note(&format!("written: {}", out.display()));
    }
    if args.no_publish {
        return Ok(None);
    }
    steps.begin("publishing");
    Ok(Some(operator::publish(&session.transport()?, &signed).await?))
}

impl Args {
    fn pushes(&self) -> bool {
        self.copy_to.is_some() || self.push_hook.is_some()
    }

    fn steps(&self) -> usize {
        if self.dry_run {
            return 3;
        }
        let pushes = usize::from(self.copy_to.is_some()) + usize::from(self.push_hook.is_some());
        4 + pushes + usize::from(!self.no_publish)
    }
}

/// Says of a mistake in the flake what Nix said of it.
fn in_the_flake(failed: nix::Failed) -> anyhow::Error {
    let hint = failed.hint.unwrap_or_else(|| {
        "`convoyFleet` of the flake is what `lib.mkFleet` returns; ask it with `nix eval .#convoyFleet.mistakes`".into()
    });
    Mistake::new(failed.what, hint).into()
}
