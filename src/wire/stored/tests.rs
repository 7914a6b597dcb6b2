//! What is written is read back, whatever it is; what was damaged or comes from later is refused.

use crate::wire::stored::{
    read_host, read_progress, read_record, read_rollout, read_root_record, write_host, write_progress, write_record,
    write_rollout, write_root_record,
};
use crate::wire::tests::arbitrary::{host_body, progress, record_body, rollout_body, root_record};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_host_comes_back(body in host_body()) {
        prop_assert_eq!(read_host(&write_host(&body)).unwrap(), body);
    }

    #[test]
    fn every_record_comes_back(body in record_body()) {
        prop_assert_eq!(read_record(&write_record(&body)).unwrap(), body);
    }

    #[test]
    fn every_rollout_comes_back(body in rollout_body()) {
        prop_assert_eq!(read_rollout(&write_rollout(&body)).unwrap(), body);
    }

    #[test]
    fn every_root_record_comes_back(body in root_record()) {
        prop_assert_eq!(read_root_record(&write_root_record(&body)).unwrap(), body);
    }

    #[test]
    fn every_progress_comes_back(body in progress()) {
        prop_assert_eq!(read_progress(&write_progress(&body)).unwrap(), body);
    }

    #[test]
    fn a_body_cut_anywhere_is_refused(body in root_record(), at in any::<prop::sample::Index>()) {
        let text = write_root_record(&body);
        let cut = (0..text.len()).filter(|i| text.is_char_boundary(*i)).collect::<Vec<_>>();
        prop_assert!(read_root_record(&text[..*at.get(&cut)]).is_err());
    }

    #[test]
    fn damaged_bodies_never_panic(text in ".{0,64}") {
        let _ = (read_host(&text), read_record(&text), read_rollout(&text), read_root_record(&text));
    }
}

#[test]
fn a_body_names_its_version_first() {
    assert!(write_host(&Default::default()).starts_with(r#"{"v":1,"#));
}

#[test]
fn a_body_of_a_later_version_is_refused_and_says_so() {
    let text = write_host(&Default::default()).replacen("\"v\":1", "\"v\":2", 1);
    let refused = read_host(&text).unwrap_err().to_string();
    assert!(refused.contains("version 2") && refused.contains("upgrade"), "{refused}");
}

#[test]
fn a_body_without_a_version_is_refused() {
    assert!(read_host(r#"{"agentVersion":"1"}"#).unwrap_err().to_string().contains("missing field `v`"));
    assert!(read_host("").is_err());
}

#[test]
fn a_body_is_read_wherever_its_version_stands() {
    assert_eq!(read_host(r#" { "agentVersion": "1", "v": 1 }"#).unwrap().agent_version, "1");
    assert!(read_host(r#"{"agentVersion":"1","v":2}"#).unwrap_err().to_string().contains("version 2"));
}

#[test]
fn fields_that_a_later_patch_added_are_ignored() {
    assert_eq!(read_host(r#"{"v":1,"agentVersion":"1","later":[1,2]}"#).unwrap().agent_version, "1");
}
