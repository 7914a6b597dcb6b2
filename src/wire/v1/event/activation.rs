//! The JSON of an activation that the hook noted. Mirror of `model::facts::Activation`.

use crate::model::facts::Activation;
use crate::model::id::Closure;
use crate::wire::text;
use crate::wire::v1::release::{date, timestamp};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The longest word of an activation that is kept, in characters: names of users and actions are shorter.
const MAX_WORD: usize = 64;

/// Who activated what, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivationJson {
    /// What was activated.
    #[serde(with = "text")]
    pub closure: Closure,
    /// `switch`, `test`, … or `boot` for the machine's own start.
    pub action: String,
    /// The boot that it happened in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot: String,
    /// Who did it, as far as the machine knows.
    pub who: String,
    /// When, on the host's wall clock.
    pub at: DateTime<Utc>,
}

impl From<&Activation> for ActivationJson {
    fn from(done: &Activation) -> Self {
        let Activation { closure, action, boot, who, at } = done.clone();
        Self { closure, action, boot, who, at: date(at) }
    }
}

impl From<ActivationJson> for Activation {
    fn from(json: ActivationJson) -> Self {
        let ActivationJson { closure, action, boot, who, at } = json;
        Self { closure, action: short(&action), boot: short(&boot), who: short(&who), at: timestamp(at) }
    }
}

/// Cuts what others wrote to a length that rows and lines can hold.
fn short(text: &str) -> String {
    text.chars().take(MAX_WORD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_cut() {
        let closure = Closure::new(format!("/nix/store/{}-system", "a".repeat(32))).unwrap();
        let long = "é".repeat(MAX_WORD + 1);
        let json =
            ActivationJson { closure, action: long.clone(), boot: long.clone(), who: long, at: DateTime::default() };
        let done = Activation::from(json);
        assert_eq!([done.action, done.boot, done.who].map(|word| word.chars().count()), [MAX_WORD; 3]);
    }
}
