//! Events and progress survive the wire, known or not.

use crate::model::facts::{HostHold, Verdict};
use crate::model::host_rollout::{Event, HostRollout};
use crate::model::time::Stamp;
use crate::wire::tests::arbitrary::{event, host_hold, progress, stamp, verdict};
use crate::wire::v1::event::{EventBody, HostHoldBody, ProgressBody, StampBody, VerdictBody};
use proptest::prelude::*;

/// Sends a body through its JSON.
fn travelled<T: serde::Serialize + serde::de::DeserializeOwned>(body: &T) -> T {
    serde_json::from_str(&serde_json::to_string(body).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_back(event in event()) {
        prop_assert_eq!(Event::try_from(travelled(&EventBody::from(&event))).unwrap(), event);
    }

    #[test]
    fn every_progress_comes_back(progress in progress()) {
        prop_assert_eq!(HostRollout::try_from(travelled(&ProgressBody::from(&progress))).unwrap(), progress);
    }

    #[test]
    fn every_verdict_comes_back(verdict in verdict()) {
        prop_assert_eq!(Verdict::try_from(travelled(&VerdictBody::from(&verdict))).unwrap(), verdict);
    }

    #[test]
    fn every_host_hold_comes_back(hold in host_hold()) {
        prop_assert_eq!(HostHold::try_from(travelled(&HostHoldBody::from(&hold))).unwrap(), hold);
    }

    #[test]
    fn every_stamp_comes_back(stamp in stamp()) {
        prop_assert_eq!(Stamp::from(travelled(&StampBody::from(&stamp))), stamp);
    }
}

#[test]
fn an_event_of_a_later_version_is_kept_word_for_word() {
    let later = r#"{"depth":{"a":[1,2.5,null]},"kind":"firmwareFlashed","slot":"b"}"#;
    let body: EventBody = serde_json::from_str(later).unwrap();
    assert_eq!(body.kind(), "firmwareFlashed");
    assert_eq!(serde_json::to_string(&body).unwrap(), later);
    let refused = Event::try_from(body).unwrap_err().to_string();
    assert!(refused.contains("firmwareFlashed"), "{refused}");
}

#[test]
fn a_later_field_of_a_known_event_is_kept_and_ignored() {
    let later = r#"{"kind":"staged","tookMs":5}"#;
    let body: EventBody = serde_json::from_str(later).unwrap();
    assert_eq!(serde_json::to_string(&body).unwrap(), later);
    assert_eq!(Event::try_from(body).unwrap(), Event::Staged);
}

#[test]
fn an_event_without_a_kind_is_invalid_and_not_a_panic() {
    for text in ["{}", r#"{"kind":7}"#, r#"{"kind":null}"#, r#"{"kind":"rebooted"}"#] {
        let body: EventBody = serde_json::from_str(text).unwrap();
        assert!(Event::try_from(body).is_err(), "{text}");
    }
}

#[test]
fn an_event_that_is_no_object_is_refused_on_reading() {
    for text in ["null", "[]", "7", "\"staged\""] {
        assert!(serde_json::from_str::<EventBody>(text).is_err(), "{text}");
    }
}

#[test]
fn an_event_that_nests_without_end_is_refused_on_reading() {
    let deep = format!(r#"{{"kind":"staged","deep":{}"#, "[".repeat(1_000_000));
    assert!(serde_json::from_str::<EventBody>(&deep).is_err());
}
