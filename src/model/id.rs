//! Names and numbers, each parsed once at the edge; must not hold a value that breaks its own rule.

use std::fmt;
use std::str::FromStr;

/// Says why a text is not a valid name, and what a valid one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {got:?} is not valid: {rule}")]
pub struct InvalidId {
    /// The kind of name that was expected.
    pub what: &'static str,
    /// The text that was given, cut to 80 characters.
    pub got: String,
    /// The rule that a valid one keeps.
    pub rule: &'static str,
}

fn invalid(what: &'static str, got: &str, rule: &'static str) -> InvalidId {
    InvalidId { what, got: got.chars().take(80).collect(), rule }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Parses the text, or says which rule it breaks.
            ///
            /// # Errors
            /// [`InvalidId`] with the rule in words.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(invalid($what, &text, $rule)) }
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

fn all(text: &str, allowed: fn(u8) -> bool) -> bool {
    text.bytes().all(allowed)
}

fn label(text: &str, most: usize) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=most).contains(&text.len()) && all(text, word) && text.as_bytes()[0].is_ascii_alphanumeric()
}

fn lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && all(text, |b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

text_id!(
    /// A host's name in the fleet: 1 to 253 of `a-z A-Z 0-9 . _ -`, the first a letter or digit.
    HostName, "host name", "1 to 253 of a-z A-Z 0-9 . _ -, the first a letter or digit",
    |t| label(t, 253)
);
text_id!(
    /// A person or program that looks at the fleet or steers it: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    UserName, "user name", "1 to 64 of a-z A-Z 0-9 . _ -, the first a letter or digit",
    |t| label(t, 64)
);
text_id!(
    /// An enrollment token's id, which is no secret: 16 lower-case hexadecimal digits.
    TokenId, "token id", "16 lower-case hexadecimal digits",
    |t| lower_hex(t, 16)
);
text_id!(
    /// A release train, such as `stable`: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    Channel, "channel", "1 to 64 of a-z A-Z 0-9 . _ -, the first a letter or digit",
    |t| label(t, 64)
);
text_id!(
    /// A release's name within its channel, such as `2026-05.42`: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    ReleaseRef, "release ref", "1 to 64 of a-z A-Z 0-9 . _ -, the first a letter or digit",
    |t| label(t, 64)
);
text_id!(
    /// A tag or budget name: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    Tag, "tag", "1 to 64 of a-z A-Z 0-9 . _ -, the first a letter or digit",
    |t| label(t, 64)
);
text_id!(
    /// A health probe's name: 1 to 64 of `a-z A-Z 0-9 . _ -`.
    ProbeName, "probe name", "1 to 64 of a-z A-Z 0-9 . _ -, the first a letter or digit",
    |t| label(t, 64)
);
text_id!(
    /// A system closure's store path: `/nix/store/`, 32 characters of Nix's base 32, `-`, a name.
    Closure, "closure", "a store path such as /nix/store/<32 characters>-nixos-system-web1-26.05",
    |t| {
        let Some(base) = t.strip_prefix("/nix/store/") else { return false };
        let nix32 = |b: u8| b.is_ascii_digit() || (b.is_ascii_lowercase() && !matches!(b, b'e' | b'o' | b't' | b'u'));
        let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_' | b'?' | b'=');
        base.len() > 33 && base.len() <= 33 + 211 && base.is_ascii() && base.as_bytes()[32] == b'-'
            && all(&base[..32], nix32) && all(&base[33..], name)
    }
);
text_id!(
    /// One journal's identity: 32 lower-case hexadecimal digits, new at random for each journal.
    JournalId, "journal id", "32 lower-case hexadecimal digits",
    |t| lower_hex(t, 32)
);
text_id!(
    /// One store's identity: 32 lower-case hexadecimal digits, new at random for each database.
    StoreId, "store id", "32 lower-case hexadecimal digits",
    |t| lower_hex(t, 32)
);
text_id!(
    /// A SHA-256 digest: 64 lower-case hexadecimal digits.
    Digest, "digest", "64 lower-case hexadecimal digits",
    |t| lower_hex(t, 64)
);
text_id!(
    /// A kernel's boot id (`/proc/sys/kernel/random/boot_id`): 1 to 64 of `a-z A-Z 0-9 . _ -`.
    BootId, "boot id", "1 to 64 of a-z A-Z 0-9 . _ -, the first a letter or digit",
    |t| label(t, 64)
);

impl Closure {
    /// Returns the last part of the path: hash and name.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.0["/nix/store/".len()..]
    }
}

/// One release being carried out: `channel@ref`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolloutId {
    /// The release train.
    pub channel: Channel,
    /// The release within it.
    pub reference: ReleaseRef,
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.channel, self.reference))
    }
}

impl FromStr for RolloutId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let rule = "channel@ref, such as stable@2026-05.42";
        let (channel, reference) = text.split_once('@').ok_or_else(|| invalid("rollout id", text, rule))?;
        let parts = (Channel::new(channel), ReleaseRef::new(reference));
        let (Ok(channel), Ok(reference)) = parts else { return Err(invalid("rollout id", text, rule)) };
        Ok(Self { channel, reference })
    }
}

impl TryFrom<String> for RolloutId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

/// The number of a host's try at one release; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The first try.
    pub const FIRST: Self = Self(1);

    /// Returns the next try's number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who wrote an event: one journal of the host's agent, or the control plane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    /// The agent, writing in this journal.
    Journal(JournalId),
    /// The control plane.
    ControlPlane,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<T: FromStr<Err = InvalidId> + fmt::Display>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(text.parse::<T>().map(|id| id.to_string()).as_deref(), Ok(*text));
        }
        for text in bad {
            let refused = text.parse::<T>().err();
            assert!(refused.is_some_and(|why| !why.rule.is_empty()), "{text:?} was taken");
        }
    }

    #[test]
    fn names_are_short_words_that_are_safe_in_paths_and_urls() {
        let long = "a".repeat(254);
        check::<HostName>(
            &["web1", "Web-1.example_2", &long[..253]],
            &["", "-web", ".", "..", "a/b", "wéb", "a b", &long],
        );
        check::<Channel>(&["stable", &long[..64]], &["", "stable@1", &long[..65]]);
        check::<ReleaseRef>(&["2026-05.42"], &["", "a\n", "a@b"]);
        check::<Tag>(&["db"], &["#db"]);
        check::<ProbeName>(&["http-443"], &["http 443"]);
        check::<BootId>(&["b1c6e5de-4d29-4b2f-8e0f-3f1f5a6c7d8e"], &[""]);
    }

    #[test]
    fn a_closure_is_a_store_path_and_nothing_below_it() {
        let hash = "0123456789abcdfghijklmnpqrsvwxyz";
        let good = format!("/nix/store/{hash}-nixos-system-web1-26.05");
        let bad = [
            format!("/nix/store/{hash}-"),
            format!("/nix/store/{hash}"),
            format!("/nix/store/{hash}-a/b"),
            format!("/nix/store/{hash}-a\0"),
            format!("/nix/store/{}-a", "e".repeat(32)),
            format!("/nix/store/../{hash}-a"),
            format!("/nix/store/{hash}-{}", "a".repeat(212)),
            format!("/nix/store/{hash}é-a"),
            format!("{hash}-a"),
        ];
        check::<Closure>(&[&good], &bad.each_ref().map(String::as_str));
        assert_eq!(Closure::new(&*good).unwrap().base(), format!("{hash}-nixos-system-web1-26.05"));
    }

    #[test]
    fn hexadecimal_ids_are_lower_case_and_of_their_length() {
        let (id, digest) = ("0f".repeat(16), "0f".repeat(32));
        check::<JournalId>(&[&id], &["", &digest, &"0F".repeat(16), &"0g".repeat(16)]);
        check::<StoreId>(&[&id], &[&id[..31]]);
        check::<Digest>(&[&digest], &[&id]);
    }

    #[test]
    fn a_rollout_id_has_one_channel_and_one_ref() {
        check::<RolloutId>(&["stable@2026-05.42"], &["stable", "@1", "stable@", "a@b@c", "sta ble@1"]);
    }

    #[test]
    fn a_refused_text_is_quoted_in_part_only() {
        let why = HostName::new("/".repeat(100_000)).unwrap_err();
        assert_eq!(why.got.len(), 80);
    }

    #[test]
    fn attempts_do_not_wrap_around() {
        assert_eq!(Attempt::FIRST.next(), Attempt(2));
        assert_eq!(Attempt(u32::MAX).next(), Attempt(u32::MAX));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in any::<String>()) {
            let _ = text.parse::<HostName>();
            let _ = text.parse::<Closure>();
            let _ = format!("/nix/store/{text}").parse::<Closure>();
            let _ = text.parse::<RolloutId>();
        }
    }
}
