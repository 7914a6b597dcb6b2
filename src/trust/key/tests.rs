//! Keys and trust files: what is read, what is refused, and what never leaks.

use crate::trust::{PublicKey, SigningKey, TrustError, TrustFile};
use base64::{Engine, engine::general_purpose::STANDARD};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn key(name: &str, seed: u64) -> SigningKey {
    SigningKey::generate(name, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap()
}

#[test]
fn keys_come_back_from_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, public) = (dir.path().join("ci.secret"), dir.path().join("ci.public"));
    let ci = key("ci", 1);
    ci.save(&secret).unwrap();
    ci.public().save(&public).unwrap();
    assert_eq!(SigningKey::load(&secret).unwrap().to_text(), ci.to_text());
    assert_eq!(PublicKey::load(&public).unwrap(), ci.public());
    assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn keys_have_the_documented_text() {
    let ci = key("ci", 1);
    assert!(ci.to_text().starts_with("convoy-secret-key:v1:ci:"));
    assert!(ci.public().to_text().starts_with("convoy-public-key:v1:ci:"));
    assert_eq!(ci.to_text().trim_end().rsplit(':').next().unwrap().len(), 44);
}

#[test]
fn a_key_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ci");
    key("ci", 1).save(&path).unwrap();
    let refused = key("ci", 2).save(&path).unwrap_err();
    assert!(matches!(refused, TrustError::KeyExists { .. }));
    assert_eq!(SigningKey::load(&path).unwrap().to_text(), key("ci", 1).to_text());
    // A link that leads nowhere is there too.
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
    assert!(matches!(key("ci", 2).save(&link), Err(TrustError::KeyExists { .. })));
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ci");
    key("ci", 1).save(&path).unwrap();
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refused = SigningKey::load(&path).unwrap_err();
        assert!(refused.to_string().contains(&format!("mode {mode:o}")), "{refused}");
    }
}

#[test]
fn a_missing_or_huge_key_file_says_which() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    assert!(SigningKey::load(&path).unwrap_err().to_string().contains("can't read"));
    fs::write(&path, "x".repeat(5000)).unwrap();
    assert!(PublicKey::load(&path).unwrap_err().to_string().contains("more than 4096 bytes"));
    assert!(key("ci", 1).save(&dir.path().join("no/dir")).unwrap_err().to_string().contains("can't write"));
}

#[test]
fn a_secret_never_shows_in_errors_or_debug() {
    let ci = key("ci", 1);
    let secret = ci.to_text();
    let bytes = secret.trim_end().rsplit(':').next().unwrap().to_owned();
    assert!(!format!("{ci:?}").contains(&bytes));
    for text in [
        secret.replace("v1", "v2"),
        secret.replace(":ci:", "::"),
        secret.replace(":ci:", ":"),
        format!("{}x", secret.trim_end()),
        secret.trim_end()[..secret.len() - 6].to_owned(),
    ] {
        let error = SigningKey::parse(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&bytes[..20]), "{error}");
    }
    let mixed_up = PublicKey::parse(&secret).unwrap_err();
    assert!(mixed_up.to_string().contains("it is a secret key"), "{mixed_up}");
    assert!(!format!("{mixed_up} {mixed_up:?}").contains(&bytes[..20]));
    assert!(SigningKey::parse(&ci.public().to_text()).unwrap_err().to_string().contains("it is a public key"));
}

#[test]
fn names_of_keys_are_one_word() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for name in ["", "a b", "a:b", "é", &"x".repeat(65)] {
        assert!(SigningKey::generate(name, &mut rng).is_err(), "{name}");
    }
}

#[test]
fn keys_for_which_anybody_can_sign_are_refused() {
    let mut identity = [0_u8; 32];
    identity[0] = 1;
    let text = format!("convoy-public-key:v1:weak:{}", STANDARD.encode(identity));
    assert!(PublicKey::parse(&text).unwrap_err().to_string().contains("small order"));
    let zero = format!("convoy-public-key:v1:weak:{}", STANDARD.encode([0_u8; 32]));
    assert!(PublicKey::parse(&zero).is_err());
}

#[test]
fn a_trust_file_comes_back_from_its_json() {
    let file = TrustFile::new(2, [key("ci", 1).public(), key("ops", 2).public()]).unwrap();
    assert_eq!(TrustFile::parse(&file.to_json()).unwrap(), file);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    fs::write(&path, file.to_json()).unwrap();
    assert_eq!(TrustFile::load(&path).unwrap(), file);
    fs::write(&path, " ".repeat(70_000)).unwrap();
    assert!(matches!(TrustFile::load(&path), Err(TrustError::TooLarge { .. })));
    let endless = TrustFile::load(std::path::Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(endless.contains("bytes"), "{endless}");
}

#[test]
fn trust_files_that_would_trust_too_little_or_too_much_are_refused() {
    let ci = key("ci", 1).public().to_base64();
    let keys = format!(r#"{{"ci":"{ci}"}}"#);
    for (text, why) in [
        (format!(r#"{{"version":1,"threshold":0,"keys":{keys}}}"#), "threshold 0"),
        (format!(r#"{{"version":1,"threshold":2,"keys":{keys}}}"#), "threshold 2"),
        (r#"{"version":1,"threshold":1,"keys":{}}"#.to_owned(), "names no key"),
        (format!(r#"{{"version":2,"threshold":1,"keys":{keys}}}"#), "version 2"),
        (format!(r#"{{"version":1,"threshold":1,"keys":{keys},"x":1}}"#), "unknown field"),
        (format!(r#"{{"version":1,"threshold":1,"keys":{{"ci":"{ci}","ci":"{ci}"}}}}"#), "is there twice"),
        (format!(r#"{{"version":1,"threshold":1,"threshold":1,"keys":{keys}}}"#), "duplicate field"),
        (r#"{"version":1,"threshold":1,"keys":{"ci":"AAAA"}}"#.to_owned(), "not 32 bytes"),
        (format!(r#"{{"version":1,"threshold":1,"keys":{{"c i":"{ci}"}}}}"#), "its name"),
        (String::new(), "EOF"),
    ] {
        let refused = TrustFile::parse(&text).unwrap_err().to_string();
        assert!(refused.contains(why), "{why:?} is not in: {refused}");
    }
}
