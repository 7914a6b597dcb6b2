//! `convoy status`: the fleet on one screen.

use crate::client::operator;
use crate::ctl::exit::Exit;
use crate::ctl::human::{clean, count};
use crate::ctl::rollout;
use crate::ctl::session::Session;
use crate::model::time::Timestamp;
use crate::wire::v1::operator::FleetView;
use std::fmt::Write as _;

/// Runs the verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session) -> anyhow::Result<Exit> {
    let fleet = operator::fleet(&session.transport()?).await?;
    session.show(&fleet, |fleet| render(fleet, session.now()))
}

fn render(fleet: &FleetView, now: Timestamp) -> String {
    let mut text = format!("{}, {} online", count(fleet.hosts, "host"), fleet.online);
    let _ = writeln!(text, " (convoy-cp {})", clean(&fleet.version));
    for (state, hosts) in fleet.by_state.iter().filter(|(_, hosts)| **hosts > 0) {
        let _ = writeln!(text, "  {hosts:>6}  {}", clean(state));
    }
    if fleet.rollouts.is_empty() {
        text.push_str("\nno rollout yet: `convoy release publish FILE` opens one\n");
    } else {
        let _ = write!(text, "\n{}", rollout::list(&fleet.rollouts, now));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::ctl::status::render;
    use crate::model::time::Timestamp;
    use crate::wire::v1::operator::FleetView;

    #[test]
    fn an_empty_fleet_says_what_to_do_next() {
        let text = render(&FleetView { version: "0.1.0".into(), ..FleetView::default() }, Timestamp(0));
        assert!(text.starts_with("0 hosts, 0 online (convoy-cp 0.1.0)\n"), "{text}");
        assert!(text.contains("convoy release publish"), "{text}");
    }

    #[test]
    fn states_with_hosts_are_counted_one_a_line() {
        let by_state = [("Converged".to_owned(), 11), ("Failed".to_owned(), 0), ("Soaking".to_owned(), 1)].into();
        let fleet = FleetView { hosts: 12, online: 12, by_state, ..FleetView::default() };
        let text = render(&fleet, Timestamp(0));
        assert!(text.contains("      11  Converged\n       1  Soaking\n"), "{text}");
    }
}
