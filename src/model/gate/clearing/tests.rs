use super::*;
use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{Channel, Closure, HostName, RolloutId, Tag};
use std::collections::BTreeSet;
use std::time::Duration;

fn id(text: &str) -> RolloutId {
    text.parse().unwrap()
}

fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

fn closure() -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system-web1", "a".repeat(32))).unwrap()
}

const LOOK: Option<&str> = Some("on web1: systemctl status convoy-agent");
const RESUME: Option<&str> = Some("look at `convoy rollout show stable@2`, then `convoy rollout resume stable@2`");
const RETRY: Option<&str> = Some("convoy rollout retry stable@2 --host web1");
const PUBLISH: Option<&str> = Some("publish a new release");

/// A hold with what `why` says of it: who clears it, its words and its hint.
type Said = (Hold, ClearedBy, &'static str, Option<&'static str>);

/// One of each kind of hold.
fn words() -> Vec<Said> {
    [about_the_rollout(), about_order(), about_time_and_people(), about_the_host()].concat()
}

fn about_the_rollout() -> Vec<Said> {
    use ClearedBy::{Operator, Progress, Release};
    vec![
        (
            Hold::QuarantinedHere(closure()),
            Operator,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-nixos-system-web1 failed on this host before",
            RETRY,
        ),
        (
            Hold::QuarantinedInChannel(closure()),
            Operator,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-nixos-system-web1 failed in a rollout of this channel, which halted",
            RETRY,
        ),
        (
            Hold::RolloutPaused("ada".into()),
            Operator,
            "the rollout was paused by ada",
            Some("convoy rollout resume stable@2"),
        ),
        (
            Hold::RolloutHalted("in wave 2: 3 failed, 1 allowed".into()),
            Operator,
            "the rollout halted in wave 2: 3 failed, 1 allowed",
            Some(
                "`convoy rollout retry stable@2` to try the failed hosts again, then `convoy rollout resume stable@2`",
            ),
        ),
        (Hold::RolloutCancelled("ada".into()), Release, "the rollout was cancelled by ada", PUBLISH),
        (
            Hold::NotWaiting(HostRolloutState::Soaking),
            Progress,
            "the host's attempt is Soaking: it does not wait for a permit",
            None,
        ),
        (
            Hold::HeldByOperator("disk swap".into()),
            Operator,
            "an operator holds the host: disk swap",
            Some("convoy host release web1"),
        ),
        (
            Hold::SupersededBy(id("stable@3")),
            Release,
            "stable@3 took over: this release does not start any more",
            Some("convoy rollout show stable@3"),
        ),
        (
            Hold::InFlightElsewhere(id("edge@1")),
            Progress,
            "the host is in flight in edge@1",
            Some("convoy rollout show edge@1"),
        ),
        (
            Hold::AfterChannel(Channel::new("base").unwrap()),
            Progress,
            "the latest rollout of channel base is not Completed",
            None,
        ),
        (Hold::NotInRelease, Release, "the release has no closure or no wave for this host", PUBLISH),
    ]
}

fn about_order() -> Vec<Said> {
    use ClearedBy::{Progress, Release};
    let web = Tag::new("web").unwrap();
    let many = (1..=7).map(|n| host(&format!("db{n}"))).collect();
    vec![
        (Hold::WaveNotOpen { wave: 1, open: None }, Progress, "the host is in wave 2 and no wave is open yet", None),
        (Hold::WaveNotOpen { wave: 2, open: Some(0) }, Progress, "the host is in wave 3 and wave 1 is open", None),
        (Hold::WaveFull { in_flight: 2, limit: 2 }, Progress, "the wave has 2 hosts in flight and may have 2", None),
        (Hold::AfterHosts(many), Progress, "db1, db2, db3, db4, db5 and 2 more must have converged first", None),
        (
            Hold::BudgetSpent { budget: web.clone(), in_flight: 3, limit: 3 },
            Progress,
            "budget web has 3 hosts in flight and may have 3",
            None,
        ),
        (
            Hold::BudgetSpent { budget: web, in_flight: 0, limit: 0 },
            Release,
            "budget web has 0 hosts in flight and may have 0",
            None,
        ),
    ]
}

fn about_time_and_people() -> Vec<Said> {
    use ClearedBy::{Operator, Release, Time};
    let noon = Timestamp(1_777_896_000_000);
    vec![
        (Hold::WindowClosed(Some(noon)), Time, "no window is open; the next one opens at 2026-05-04T12:00:00Z", None),
        (Hold::WindowClosed(None), Release, "no window of the wave ever opens", PUBLISH),
        (Hold::NotBefore(noon), Time, "the wave does not start before 2026-05-04T12:00:00Z", None),
        (
            Hold::ApprovalNeeded(1),
            Operator,
            "wave 2 waits for an operator's approval",
            Some("convoy rollout promote stable@2 --wave 2"),
        ),
    ]
}

fn about_the_host() -> Vec<Said> {
    use ClearedBy::{Host, Operator, Time};
    vec![
        (Hold::NeverHeard, Host, "the host has never been heard from", LOOK),
        (Hold::Silent(Duration::from_secs(7260)), Host, "the host has been silent for 2 h 1 min", LOOK),
        (Hold::NotHeardSinceStart, Host, "the host has not been heard from since the control plane started", LOOK),
        (
            Hold::FactMissing("the closure that the host runs"),
            Host,
            "a fact is missing: the closure that the host runs",
            None,
        ),
        (
            Hold::ClaimedBy(id("edge@1")),
            Operator,
            "edge@1, a rollout of another channel, names this host too",
            Some("convoy rollout cancel edge@1, or stable@2"),
        ),
        (
            Hold::Cloned,
            Operator,
            "two machines seem to use this host's identity",
            Some("convoy host resolve web1, once only one of them is left"),
        ),
        (Hold::RestoredStore, Operator, "the control plane's store was restored from an older copy", RESUME),
        (
            Hold::JustStarted(Duration::from_secs(9)),
            Time,
            "the control plane has just started and gathers facts for 9 s more",
            None,
        ),
        (
            Hold::OnHost(HostHold::Disk("/nix has 1 GiB, 4 GiB needed".into())),
            Host,
            "on the host: too little free space: /nix has 1 GiB, 4 GiB needed",
            Some("on web1: nix-collect-garbage, or a larger disk"),
        ),
    ]
}

fn host_holds() -> Vec<(HostHold, ClearedBy)> {
    use ClearedBy::{Host, Operator, Release, Time};
    vec![
        (HostHold::Lease("expired".into()), Release),
        (HostHold::Disk(String::new()), Host),
        (HostHold::Lock, Host),
        (HostHold::Cache(String::new()), Host),
        (HostHold::ClockBehind, Host),
        (HostHold::BootDefaultDiffers, Operator),
        (HostHold::StateNotPersistent, Release),
        (HostHold::NoTrialBoot("no guard".into()), Release),
        (HostHold::Drift(closure()), Operator),
        (HostHold::Window("opens at 22:00".into()), Time),
        (HostHold::Untrusted("one signature of two".into()), Release),
        (HostHold::Quarantined(closure()), Operator),
        (HostHold::Busy(id("stable@1")), Host),
        (HostHold::Commit("/boot is read-only".into()), Host),
    ]
}

#[test]
fn each_hold_says_who_clears_it_what_holds_and_what_to_do() {
    for (hold, cleared_by, text, hint) in words() {
        assert_eq!(hold.cleared_by(), cleared_by, "{hold:?}");
        assert_eq!(hold.to_string(), text);
        assert_eq!(hold.hint(&host("web1"), &id("stable@2")).as_deref(), hint, "{hold:?}");
    }
}

#[test]
fn whatever_only_an_operator_can_clear_comes_with_a_command() {
    let on_host = host_holds().into_iter().map(|(hold, _)| Hold::OnHost(hold));
    for hold in words().into_iter().map(|(hold, ..)| hold).chain(on_host) {
        let hint = hold.hint(&host("web1"), &id("stable@2"));
        assert!(hold.cleared_by() != ClearedBy::Operator || hint.is_some(), "{hold:?}");
    }
}

#[test]
fn every_gate_has_a_hold_and_a_name_of_its_own() {
    let gates: BTreeSet<Gate> = words().iter().map(|(hold, ..)| hold.gate()).collect();
    assert_eq!(gates, Gate::ALL.into_iter().collect());
    let names: BTreeSet<&str> = Gate::ALL.iter().map(|gate| gate.name()).collect();
    assert_eq!(names.len(), Gate::ALL.len());
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')), "{names:?}");
}

#[test]
fn each_host_hold_has_words_a_name_and_someone_to_clear_it() {
    let mut names = BTreeSet::new();
    for (hold, cleared_by) in host_holds() {
        assert_eq!(Hold::OnHost(hold.clone()).cleared_by(), cleared_by, "{hold:?}");
        assert!(!hold.to_string().is_empty());
        assert!(names.insert(hold.name()), "{} twice", hold.name());
    }
}

#[test]
fn holds_of_time_say_when_they_clear_as_far_as_it_is_known() {
    let now = Timestamp(0);
    assert_eq!(Hold::NotBefore(Timestamp(9)).clears_at(now), Some(Timestamp(9)));
    assert_eq!(Hold::JustStarted(Duration::from_secs(5)).clears_at(now), Some(Timestamp(5000)));
    for (hold, cleared_by, ..) in words() {
        assert_eq!(hold.clears_at(now).is_some(), cleared_by == ClearedBy::Time, "{hold:?}");
    }
}
