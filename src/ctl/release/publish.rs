//! `convoy release publish`: sends a signed release, or signs a manifest and sends it; with `--dry-run` only looks at
//! what it would meet.

use crate::client::operator;
use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::human::{clean, count};
use crate::ctl::release::sign::{Signing, signed};
use crate::ctl::release::{lease_of, load};
use crate::ctl::session::Session;
use crate::wire::v1::operator::{ActResponse, Published, RolloutView};
use crate::wire::v1::release::LeaseBody;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What to publish.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The signed release
    #[arg(required_unless_present = "manifest", conflicts_with_all = ["manifest", "sequence", "keys", "signer"])]
    pub file: Option<PathBuf>,
    /// Sign this manifest (JSON) and publish it in one step
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// How it is signed
    #[command(flatten)]
    pub signing: Signing,
    /// The release's place in the one sequence of the fleet; the seconds since 1970 when left out, which only grow
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub sequence: Option<u64>,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
}

/// Runs the verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, args: &Args) -> anyhow::Result<Exit> {
    let transport = session.transport()?;
    let signed = match (&args.file, &args.manifest) {
        (Some(file), _) => load(file)?,
        (None, Some(manifest)) => signed(session, (manifest, args.sequence), &args.signing).await?,
        (None, None) => return Err(Mistake::new("nothing to publish was named", "give FILE or --manifest").into()),
    };
    if args.dry_run {
        let known = operator::rollouts(&transport, false).await?;
        let would = ActResponse { done: meets(&lease_of(&signed)?, &known), dry_run: true };
        return session.show(&would, crate::ctl::rollout::acted);
    }
    let published = operator::publish(&transport, &signed).await?;
    session.show(&published, render)
}

/// Says what a release would do to the rollouts that are there. The control plane decides; this only looks.
fn meets(lease: &LeaseBody, known: &[RolloutView]) -> Vec<String> {
    let id = lease.release.to_string();
    let digest = lease.manifest_digest.to_string();
    let mut would = Vec::new();
    match known.iter().find(|rollout| rollout.id == id) {
        Some(same) if same.digest == digest => {
            would.push(format!("{id} is there already ({}): renew its lease", same.state))
        }
        Some(_) => would.push(format!("be refused: {id} is there already with another digest; give it a new ref")),
        None => would.push(format!("open the rollout {id}")),
    }
    let newest = known.iter().filter(|rollout| rollout.id != id).max_by_key(|rollout| rollout.sequence);
    if let Some(newest) = newest.filter(|newest| newest.sequence >= lease.sequence) {
        let (found, given) = (newest.sequence, lease.sequence);
        would.push(format!(
            "be refused: sequence {given} is not above {found} of {}; sign it with a higher one",
            newest.id
        ));
    }
    let same_channel =
        |rollout: &&RolloutView| rollout.id.split('@').next() == id.split('@').next() && rollout.id != id;
    let open = |rollout: &&RolloutView| matches!(rollout.state.as_str(), "Opened" | "Advancing" | "Halted" | "Paused");
    for old in known.iter().filter(same_channel).filter(open) {
        let in_flight: u32 = old.waves.iter().map(|wave| wave.in_flight).sum();
        would.push(format!("supersede {} ({}, {} in flight)", old.id, old.state, count(in_flight, "host")));
    }
    would
}

/// Says what publishing did, with the way on.
#[must_use]
pub fn render(published: &Published) -> String {
    let id = clean(&published.rollout.id);
    let mut text = match published.new {
        true => format!("published {id}: {}\n", count(wide(published.rollout.waves.len()), "wave")),
        false => format!("{id} was there already; its lease is the newer of the two\n"),
    };
    for note in &published.notes {
        let _ = writeln!(text, "note: {}", clean(note));
    }
    let _ = writeln!(text, "follow it with `convoy watch {id}`");
    text
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::ctl::release::publish::{meets, render};
    use crate::ctl::rollout::tests::rollout;
    use crate::wire::v1::operator::Published;
    use crate::wire::v1::release::LeaseBody;
    use chrono::DateTime;

    fn lease(id: &str, sequence: u64) -> LeaseBody {
        LeaseBody {
            manifest_digest: "cd".repeat(32).parse().unwrap(),
            release: id.parse().unwrap(),
            sequence,
            issued: DateTime::from_timestamp(0, 0).unwrap(),
            expires: DateTime::from_timestamp(1, 0).unwrap(),
        }
    }

    #[test]
    fn a_newer_release_supersedes_the_open_one_of_its_channel_only() {
        let would = meets(&lease("stable@2", 8), &[rollout()]);
        assert_eq!(would, ["open the rollout stable@2", "supersede stable@1 (Advancing, 1 host in flight)"]);
        assert_eq!(meets(&lease("edge@2", 8), &[rollout()]), ["open the rollout edge@2"]);
    }

    #[test]
    fn what_would_be_refused_is_said() {
        let would = meets(&lease("stable@1", 7), &[rollout()]);
        assert!(would[0].starts_with("be refused") && would[0].contains("another digest"), "{would:?}");
        let would = meets(&lease("edge@2", 7), &[rollout()]);
        assert!(would[1].contains("sequence 7 is not above 7 of stable@1"), "{would:?}");
    }

    #[test]
    fn notes_are_shown_with_the_way_on() {
        let notes = vec!["wave 2 changes no host".to_owned()];
        let text = render(&Published { rollout: rollout(), new: true, notes });
        assert_eq!(
            text,
            "published stable@1: 2 waves\nnote: wave 2 changes no host\nfollow it with `convoy watch stable@1`\n"
        );
    }
}
