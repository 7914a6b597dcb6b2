//! Enrollment tokens: a public id and a secret, shown once. The control plane keeps a digest of the secret only.

use crate::model::id::{Digest, TokenId};
use crate::trust::TrustError;
use crate::trust::certificate::key_digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::CryptoRng;
use std::fmt;

/// Bytes of the secret: nobody guesses 256 bits.
const SECRET: usize = 32;
const KIND: &str = "convoy-token";
const VERSION: &str = "v1";

/// One token with its secret.
#[derive(PartialEq, Eq, Clone)]
pub struct Token {
    id: TokenId,
    secret: [u8; SECRET],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Token {
    /// Makes a new one. The generator must be seeded by the operating system, except in tests.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let (mut id, mut secret) = ([0_u8; 8], [0_u8; SECRET]);
        rng.fill_bytes(&mut id);
        rng.fill_bytes(&mut secret);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { id: TokenId::new(id).expect("16 hexadecimal digits are an id"), secret }
    }

    /// Reads `convoy-token:v1:<id>:<secret>`, with or without a line's end.
    ///
    /// # Errors
    /// [`TrustError::Token`] with the rule, never with the text.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let rule = "it must be one line convoy-token:v1:ID:SECRET as `convoy token create` prints it";
        let mut parts = text.trim_end_matches(['\r', '\n']).split(':');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        let [Some(KIND), Some(VERSION), Some(id), Some(secret), None] = parts else {
            return Err(TrustError::Token(rule));
        };
        let id = TokenId::new(id).map_err(|_| TrustError::Token(rule))?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok().and_then(|bytes| bytes.try_into().ok());
        secret.map(|secret| Self { id, secret }).ok_or(TrustError::Token(rule))
    }

    /// Writes it with its secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{KIND}:{VERSION}:{}:{}", self.id, URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// Returns the id, which is no secret.
    #[must_use]
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// Returns what the control plane keeps of the secret. A plain digest is enough, since the secret is random.
    #[must_use]
    pub fn digest(&self) -> Digest {
        key_digest(&self.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    #[test]
    fn a_token_is_read_back_and_shows_its_secret_nowhere_else() {
        let token = Token::generate(&mut ChaCha20Rng::seed_from_u64(1));
        let text = token.to_text();
        assert_eq!(Token::parse(&format!("{text}\n")).unwrap(), token);
        let secret = text.rsplit(':').next().unwrap();
        assert!(!format!("{token:?}").contains(secret) && !token.digest().as_str().contains(secret));
    }

    #[test]
    fn a_broken_token_is_refused_without_being_quoted() {
        let good = Token::generate(&mut ChaCha20Rng::seed_from_u64(1)).to_text();
        for text in ["", "x", &good[..good.len() - 1], &format!("{good}:x"), &good.replace("v1", "v2")] {
            let said = Token::parse(text).unwrap_err().to_string();
            assert!(said.contains("convoy token create") && (text.is_empty() || text == "x" || !said.contains(text)));
        }
    }
}
