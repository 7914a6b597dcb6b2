//! The release that a new one is compared with.

use crate::client::operator;
use crate::ctl::exit::Mistake;
use crate::ctl::session::{Session, read_file};
use crate::model::fleet::Release;
use crate::model::id::RolloutId;
use crate::trust::{draft, parse_signed};
use crate::wire::v1::operator::RolloutView;
use crate::wire::v1::release::MAX_RELEASE;
use anyhow::Context;
use std::path::Path;

/// Reads it from a file: a signed release, or a manifest. Signatures are not checked; nothing runs because of it.
///
/// # Errors
/// A [`Mistake`] that names the file.
pub fn from_file(path: &Path) -> anyhow::Result<Release> {
    let text = read_file(path, "release to compare with", MAX_RELEASE)?;
    let manifest = parse_signed(text.as_bytes()).map(|signed| signed.manifest).unwrap_or(text);
    draft(&manifest).with_context(|| format!("{} is neither a signed release nor a manifest", path.display()))
}

/// Fetches the newest published release of the same channel; `None` where there is none but this one.
///
/// # Errors
/// When the control plane can't be asked.
pub async fn published(session: &Session, id: &RolloutId) -> anyhow::Result<Option<Release>> {
    let transport = session.transport()?;
    let known = operator::rollouts(&transport, false).await?;
    let Some(newest) = newest(&known, id) else { return Ok(None) };
    let wrong = |_| Mistake::new(format!("the control plane names a release {newest:?}"), "do the versions fit?");
    let newest: RolloutId = newest.parse().map_err(wrong)?;
    let signed = operator::release(&transport, &newest).await?;
    Ok(Some(draft(&signed.manifest).with_context(|| format!("the published release {newest}"))?))
}

fn newest<'a>(known: &'a [RolloutView], id: &RolloutId) -> Option<&'a str> {
    let own = id.to_string();
    let same_channel =
        |rollout: &&RolloutView| rollout.id.split('@').next() == own.split('@').next() && rollout.id != own;
    let newest = known.iter().filter(same_channel).max_by_key(|rollout| rollout.sequence);
    newest.map(|rollout| rollout.id.as_str())
}

#[cfg(test)]
mod tests {
    use crate::ctl::release::build::previous::newest;
    use crate::ctl::rollout::tests::rollout;

    #[test]
    fn the_newest_other_release_of_the_channel_is_the_one_before() {
        let known: Vec<_> = [("stable@1", 7), ("stable@2", 9), ("stable@3", 8), ("edge@9", 99)]
            .map(|(id, sequence)| crate::wire::v1::operator::RolloutView { id: id.to_owned(), sequence, ..rollout() })
            .into();
        assert_eq!(newest(&known, &"stable@4".parse().unwrap()), Some("stable@2"));
        assert_eq!(newest(&known, &"stable@2".parse().unwrap()), Some("stable@3"));
        assert_eq!(newest(&known, &"new@1".parse().unwrap()), None);
    }
}
