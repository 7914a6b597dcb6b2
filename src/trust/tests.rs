//! What is refused, and that it says what to do.

use crate::model::fleet::Release;
use crate::model::id::{Digest, HostName};
use crate::model::time::Timestamp;
use crate::trust::lease::MAX_SEQUENCE;
use crate::trust::{
    Floor, Lease, SigningKey, TrustError, TrustFile, check_lease, draft, parse_signed, renew_lease, sign_release,
    verify, verify_for_host,
};
use crate::wire::v1::release::{MAX_RELEASE, SignatureBody, SignedRelease};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::json;
use std::time::Duration;

fn key(name: &str, seed: u64) -> SigningKey {
    SigningKey::generate(name, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap()
}

fn trust(threshold: usize, keys: &[&SigningKey]) -> TrustFile {
    TrustFile::new(threshold, keys.iter().map(|key| key.public())).unwrap()
}

fn release(reference: &str) -> Release {
    let closure = |name: &str| format!("/nix/store/{}-{name}", "b".repeat(32));
    let manifest = json!({
        "schema": "convoy.release/1",
        "release": format!("stable@{reference}"),
        "hosts": {"a": {"closure": closure("a")}, "b": {"closure": closure("b"), "tags": ["web"]}},
        "waves": [{"name": "canary", "hosts": ["a"]}, {"name": "rest", "hosts": ["b"]}],
        "policy": {"budgets": {"web": 1}},
    });
    draft(&manifest.to_string()).unwrap()
}

const ISSUED: Timestamp = Timestamp(1_777_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn lease(sequence: u64) -> Lease {
    Lease { sequence, issued: ISSUED, expires: ISSUED.plus(7 * DAY) }
}

fn signed(reference: &str, keys: &[SigningKey]) -> SignedRelease {
    sign_release(&release(reference), keys, &lease(5)).unwrap()
}

/// Verifies and gives the error's text.
fn refused(signed: &SignedRelease, trust: &TrustFile) -> String {
    verify(signed, trust).expect_err("it must not be believed").to_string()
}

#[test]
fn a_signed_release_verifies_and_says_what_was_declared() {
    let ci = key("ci", 1);
    let file = trust(1, &[&ci]);
    let verified = verify(&signed("1", &[ci]), &file).unwrap();
    assert_eq!(verified.release, release("1"));
    assert_eq!(verified.lease, lease(5));
}

#[test]
fn an_unsigned_release_is_refused() {
    let ci = key("ci", 1);
    let file = trust(1, &[&ci]);
    let mut bare = signed("1", &[ci]);
    bare.signatures.clear();
    let text = refused(&bare, &file);
    assert!(text.contains("has 0 good signature(s)") && text.contains("needs 1"), "{text}");
}

#[test]
fn an_unsigned_lease_is_refused() {
    let ci = key("ci", 1);
    let file = trust(1, &[&ci]);
    let mut bare = signed("1", &[ci]);
    bare.lease.signatures.clear();
    assert!(refused(&bare, &file).starts_with("the lease has 0 good"));
}

#[test]
fn a_stranger_s_signature_does_not_count_and_is_named() {
    let ci = key("ci", 1);
    let text = refused(&signed("1", &[key("mallory", 2)]), &trust(1, &[&ci]));
    assert!(text.contains("\"mallory\" is not in the trust file"), "{text}");
}

#[test]
fn a_stranger_under_a_trusted_name_is_refused() {
    let text = refused(&signed("1", &[key("ci", 2)]), &trust(1, &[&key("ci", 1)]));
    assert!(text.contains("ci's signature does not fit"), "{text}");
}

#[test]
fn a_threshold_takes_so_many_different_keys() {
    let file = trust(2, &[&key("ci", 1), &key("ops", 2), &key("boss", 3)]);
    assert!(refused(&signed("1", &[key("ci", 1)]), &file).contains("has 1 good signature(s)"));
    assert!(verify(&signed("1", &[key("ci", 1), key("boss", 3)]), &file).is_ok());
    assert!(verify(&signed("1", &[key("stranger", 9), key("ci", 1), key("boss", 3)]), &file).is_ok());
}

#[test]
fn one_key_signing_twice_counts_once() {
    let file = trust(2, &[&key("ci", 1), &key("ops", 2)]);
    let mut twice = signed("1", &[key("ci", 1)]);
    let again = twice.signatures[0].clone();
    twice.signatures.push(again.clone());
    assert!(refused(&twice, &file).contains("ci signed twice"));
    // Under another trusted name it does not fit that name's key.
    twice.signatures[1] = SignatureBody { key: "ops".to_owned(), ..again };
    assert!(refused(&twice, &file).contains("ops's signature does not fit"));
}

#[test]
fn a_trust_file_with_one_key_under_two_names_is_refused() {
    let one = key("ci", 1).public();
    let text = json!({"version": 1, "threshold": 2, "keys": {"ci": one.to_base64(), "ops": one.to_base64()}});
    let refused = TrustFile::parse(&text.to_string()).unwrap_err().to_string();
    assert!(refused.contains("ci and ops are the same key"), "{refused}");
}

#[test]
fn a_lease_of_another_manifest_is_refused() {
    let file = trust(1, &[&key("ci", 1)]);
    let mut swapped = signed("1", &[key("ci", 1)]);
    swapped.lease = signed("2", &[key("ci", 1)]).lease;
    let text = refused(&swapped, &file);
    assert!(text.contains("stable@2") && text.contains("stable@1"), "{text}");
}

#[test]
fn a_signature_over_a_lease_does_not_pass_for_one_over_a_manifest() {
    let file = trust(1, &[&key("ci", 1)]);
    let mut crossed = signed("1", &[key("ci", 1)]);
    crossed.manifest = crossed.lease.statement.clone();
    crossed.signatures = crossed.lease.signatures.clone();
    assert!(refused(&crossed, &file).contains("ci's signature does not fit"));
    let mut back = signed("1", &[key("ci", 1)]);
    back.lease.statement = "{}".to_owned();
    back.lease.signatures = back.signatures.clone();
    assert!(refused(&back, &file).starts_with("the lease has 0 good"));
}

#[test]
fn the_lease_needs_the_threshold_too() {
    let file = trust(2, &[&key("ci", 1), &key("ops", 2)]);
    let whole = signed("1", &[key("ci", 1), key("ops", 2)]);
    let renewed = renew_lease(&whole, &[key("ci", 1)], &lease(6)).unwrap();
    assert!(refused(&renewed, &file).starts_with("the lease has 1 good"));
}

#[test]
fn a_renewed_lease_leaves_the_rollout_as_it_was() {
    let file = trust(1, &[&key("ci", 1)]);
    let first = signed("1", &[key("ci", 1)]);
    let later = Lease { sequence: 5, issued: ISSUED.plus(DAY), expires: ISSUED.plus(30 * DAY) };
    let renewed = renew_lease(&first, &[key("ci", 1)], &later).unwrap();
    assert_eq!(renewed.manifest, first.manifest);
    let (before, after) = (verify(&first, &file).unwrap(), verify(&renewed, &file).unwrap());
    assert_eq!(before.release, after.release);
    let floor = Floor::default().raised(&before);
    check_lease(&after, &floor, ISSUED.plus(20 * DAY)).unwrap();
}

/// Checks a release at a time, after another one (sequence 5) was accepted.
fn check(reference: &str, lease: Lease, now: Timestamp) -> Result<(), TrustError> {
    let file = trust(1, &[&key("ci", 1)]);
    let accepted = verify(&signed("1", &[key("ci", 1)]), &file).unwrap();
    let floor = Floor::default().raised(&accepted);
    let next = sign_release(&release(reference), &[key("ci", 1)], &lease).unwrap();
    check_lease(&verify(&next, &file).unwrap(), &floor, now)
}

#[test]
fn an_expired_lease_is_refused_from_its_instant_on() {
    let end = lease(5).expires;
    assert!(check("1", lease(5), end.minus(Duration::from_millis(1))).is_ok());
    assert!(matches!(check("1", lease(5), end), Err(TrustError::Expired { .. })));
    assert!(check("1", lease(5), end).unwrap_err().to_string().contains("expired at 2026-05-01"));
}

#[test]
fn an_older_release_that_is_played_again_is_refused() {
    let now = ISSUED.plus(DAY);
    assert!(matches!(check("0", lease(4), now), Err(TrustError::Replayed { sequence: 4, floor: 5 })));
    assert!(matches!(check("1", lease(4), now), Err(TrustError::Replayed { .. })));
    assert!(check("2", lease(6), now).is_ok());
}

#[test]
fn the_same_sequence_is_good_for_the_same_manifest_only() {
    let now = ISSUED.plus(DAY);
    assert!(check("1", lease(5), now).is_ok());
    assert!(matches!(check("2", lease(5), now), Err(TrustError::SequenceTaken { sequence: 5 })));
}

#[test]
fn a_clock_below_a_signed_date_is_behind_and_not_expired() {
    assert!(matches!(check("1", lease(5), ISSUED.minus(DAY)), Err(TrustError::ClockBehind { .. })));
    // The date may be that of a release accepted before, not of this one.
    let old = Lease { sequence: 6, issued: ISSUED.minus(30 * DAY), expires: ISSUED.plus(DAY) };
    assert!(matches!(check("2", old, ISSUED.minus(DAY)), Err(TrustError::ClockBehind { latest: ISSUED, .. })));
    assert!(check("2", old, ISSUED).is_ok());
}

#[test]
fn a_floor_only_rises() {
    let file = trust(1, &[&key("ci", 1)]);
    let at = |reference: &str, sequence: u64, issued: Timestamp| {
        let lease = Lease { sequence, issued, expires: issued.plus(DAY) };
        verify(&sign_release(&release(reference), &[key("ci", 1)], &lease).unwrap(), &file).unwrap()
    };
    let high = Floor::default().raised(&at("2", 9, ISSUED));
    assert_eq!(high.raised(&at("1", 3, ISSUED.minus(DAY))), high);
    let later = high.raised(&at("2", 9, ISSUED.plus(DAY)));
    assert_eq!((later.sequence, later.latest_issued), (9, Some(ISSUED.plus(DAY))));
    assert_eq!(later.digest, high.digest);
}

#[test]
fn leases_that_make_no_sense_are_not_signed() {
    let sign = |lease: Lease| sign_release(&release("1"), &[key("ci", 1)], &lease);
    for wrong in [
        Lease { sequence: 0, ..lease(1) },
        Lease { sequence: MAX_SEQUENCE + 1, ..lease(1) },
        Lease { expires: ISSUED, ..lease(1) },
    ] {
        assert!(matches!(sign(wrong), Err(TrustError::BadLease(_))), "{wrong:?}");
    }
    assert!(sign(lease(MAX_SEQUENCE)).is_ok());
}

#[test]
fn a_host_takes_its_own_target_and_a_foreign_one_nothing() {
    let file = trust(1, &[&key("ci", 1)]);
    let signed = signed("1", &[key("ci", 1)]);
    let b = verify_for_host(&signed, &file, &HostName::new("b").unwrap()).unwrap();
    assert_eq!((b.wave, b.target.closure.base().ends_with("-b")), (1, true));
    let foreign = verify_for_host(&signed, &file, &HostName::new("z").unwrap()).unwrap_err();
    assert!(matches!(foreign, TrustError::NotForThisHost { .. }));
    assert!(foreign.to_string().contains("nothing for host z"));
}

#[test]
fn nothing_is_signed_without_a_key_or_with_one_twice() {
    assert!(matches!(sign_release(&release("1"), &[], &lease(1)), Err(TrustError::Signers(_))));
    let twice = [key("ci", 1), key("ops", 1)];
    assert!(matches!(sign_release(&release("1"), &twice, &lease(1)), Err(TrustError::Signers(_))));
}

#[test]
fn nothing_is_signed_that_nobody_would_accept() {
    let mut empty = release("1");
    empty.waves[1].hosts.clear();
    let text = sign_release(&empty, &[key("ci", 1)], &lease(1)).unwrap_err().to_string();
    assert!(text.contains("waves[1].hosts: is empty"), "{text}");
    let mut fine = release("1");
    fine.policy.soak = Duration::from_micros(5_000_001_500);
    assert!(sign_release(&fine, &[key("ci", 1)], &lease(1)).unwrap_err().to_string().contains("millisecond"));
}

/// Signs any text as a manifest, as somebody with the key but without this program could.
fn signed_text(manifest: &str) -> SignedRelease {
    let honest = signed("1", &[key("ci", 1)]);
    let domain = crate::trust::signature::Domain::Release;
    let signatures = crate::trust::signature::sign(domain, manifest, &[key("ci", 1)]).unwrap();
    SignedRelease { manifest: manifest.to_owned(), signatures, lease: honest.lease }
}

#[test]
fn a_manifest_that_is_not_canonical_is_refused_though_signed() {
    let file = trust(1, &[&key("ci", 1)]);
    let honest = signed("1", &[key("ci", 1)]).manifest;
    assert!(verify(&signed_text(&honest), &file).is_ok());
    for other in [
        format!(" {honest}"),
        format!("{honest}\n"),
        honest.replacen("\"again\":false", "\"again\": false", 1),
        honest.replacen("\"again\":false", "\"again\":true,\"again\":false", 1),
        honest.replacen("\"again\"", "\"ag\\u0061in\"", 1),
        honest.replacen("300000", "3e5", 1),
        honest.replacen("300000", "300000.0", 1),
        honest.replacen("300000", "9007199254740993", 1),
    ] {
        assert_ne!(other, honest);
        assert!(matches!(verify(&signed_text(&other), &file), Err(TrustError::NotCanonical { .. })), "{other}");
    }
}

#[test]
fn a_manifest_that_is_broken_is_refused_though_signed() {
    let file = trust(1, &[&key("ci", 1)]);
    let honest = signed("1", &[key("ci", 1)]).manifest;
    for other in ["", "null", "[]", "7", "\"\"", &honest[..honest.len() / 2], &honest[..honest.len() - 1]] {
        assert!(matches!(verify(&signed_text(other), &file), Err(TrustError::Invalid(_))), "{other}");
    }
    for text in ["\\ud800", "\\udc00x", "\u{0}"] {
        let lone = honest.replacen("canary", text, 1);
        assert!(verify(&signed_text(&lone), &file).is_err(), "{text}");
    }
    let trick = honest.replacen("canary", "canar\u{443}", 1);
    assert!(refused(&signed_text(&trick), &file).contains("waves[0].name"));
}

#[test]
fn nesting_without_end_is_refused_before_it_is_parsed() {
    let file = trust(1, &[&key("ci", 1)]);
    for deep in
        ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000), format!("{{\"a\":\"]\\\"\",\"b\":{}", "[".repeat(17))]
    {
        assert!(matches!(verify(&signed_text(&deep), &file), Err(TrustError::TooDeep { .. })));
    }
    let brackets_in_text = format!("\"{}\"", "[".repeat(1000));
    assert!(!matches!(verify(&signed_text(&brackets_in_text), &file), Err(TrustError::TooDeep { .. })));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_hashed() {
    let file = trust(1, &[&key("ci", 1)]);
    let mut large = signed("1", &[key("ci", 1)]);
    large.manifest = " ".repeat(MAX_RELEASE + 1);
    assert!(matches!(verify(&large, &file), Err(TrustError::TooLarge { what: "manifest", .. })));
    let mut large = signed("1", &[key("ci", 1)]);
    large.lease.statement = " ".repeat(5000);
    assert!(matches!(verify(&large, &file), Err(TrustError::TooLarge { what: "lease", .. })));
    assert!(matches!(parse_signed(&vec![b' '; MAX_RELEASE + 1]), Err(TrustError::TooLarge { .. })));
}

#[test]
fn a_flood_of_signatures_is_refused() {
    let file = trust(1, &[&key("ci", 1)]);
    let mut flooded = signed("1", &[key("ci", 1)]);
    let one = SignatureBody { key: "x".to_owned(), signature: String::new() };
    flooded.signatures = vec![one; 65];
    assert!(matches!(verify(&flooded, &file), Err(TrustError::TooManySignatures { count: 65, .. })));
}

#[test]
fn a_signed_release_comes_back_from_its_json_and_a_cut_one_does_not() {
    let whole = signed("1", &[key("ci", 1)]);
    let json = serde_json::to_vec(&whole).unwrap();
    assert_eq!(parse_signed(&json).unwrap(), whole);
    for end in [0, 1, json.len() / 2, json.len() - 1] {
        assert!(matches!(parse_signed(&json[..end]), Err(TrustError::Invalid(_))));
    }
}

#[test]
fn a_draft_has_the_digest_of_what_will_be_signed() {
    let digest: Digest = release("1").digest;
    let file = trust(1, &[&key("ci", 1)]);
    assert_eq!(verify(&signed("1", &[key("ci", 1)]), &file).unwrap().release.digest, digest);
    assert!(draft("{").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_changed_bit_anywhere_is_refused(part in 0..4_usize, at in any::<prop::sample::Index>(), bit in 0..7_u8) {
        let file = trust(1, &[&key("ci", 1)]);
        let mut changed = signed("1", &[key("ci", 1)]);
        let text = match part {
            0 => &mut changed.manifest,
            1 => &mut changed.signatures[0].signature,
            2 => &mut changed.lease.statement,
            _ => &mut changed.lease.signatures[0].signature,
        };
        let mut bytes = text.clone().into_bytes();
        *at.get_mut(&mut bytes) ^= 1 << bit;
        *text = String::from_utf8(bytes).expect("ASCII stays ASCII without the eighth bit");
        prop_assert!(verify(&changed, &file).is_err());
    }

    #[test]
    fn any_text_at_all_is_no_panic(text in ".{0,80}") {
        let file = trust(1, &[&key("ci", 1)]);
        prop_assert!(verify(&signed_text(&text), &file).is_err());
        prop_assert!(TrustFile::parse(&text).is_err());
        prop_assert!(SigningKey::parse(&text).is_err());
        prop_assert!(parse_signed(text.as_bytes()).is_err());
    }
}
