//! The first hosts' tokens, made by `convoy init` before there was a control plane to make them.

use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::history::{Note, happening};
use crate::store::rows::TokenRow;
use crate::wire::stored::first_tokens::FirstToken;
use crate::wire::v1::release::timestamp;
use serde_json::json;
use std::sync::Arc;

/// Who made them.
const MAKER: &str = "convoy init";
/// How many are written in one transaction.
const CHUNK: usize = 1000;

impl Plane {
    /// Takes tokens over; those whose id is known stay as they are, spent or revoked. Returns how many were new.
    ///
    /// # Errors
    /// The store's; what is left is taken over at the next start.
    pub async fn take_first_tokens(self: &Arc<Self>, tokens: Vec<FirstToken>) -> Done<usize> {
        let mut new = 0;
        for chunk in tokens.chunks(CHUNK) {
            let (asked, wanted) = (chunk.to_vec(), chunk.to_vec());
            let missing = self.look(move |desk| desk.unknown(asked)).await?;
            if !missing.is_empty() {
                new += self.transact(move |desk| desk.take_first(wanted)).await?;
            }
        }
        Ok(new)
    }
}

impl Desk<'_> {
    fn unknown(&self, tokens: Vec<FirstToken>) -> Done<Vec<FirstToken>> {
        let mut unknown = Vec::new();
        for token in tokens {
            // One that has ended is of no use, and was pruned if it had been taken over before.
            if self.now < timestamp(token.expires) && self.tx.token(&token.id)?.is_none() {
                unknown.push(token);
            }
        }
        Ok(unknown)
    }

    fn take_first(&mut self, tokens: Vec<FirstToken>) -> Done<usize> {
        let unknown = self.unknown(tokens)?;
        for token in &unknown {
            self.tx.put_token(&TokenRow {
                id: token.id.clone(),
                host: token.host.clone(),
                digest: token.digest.clone(),
                created: self.now,
                created_by: MAKER.to_owned(),
                expires: timestamp(token.expires),
                spent: None,
                revoked: None,
                labels: Vec::new(),
            })?;
        }
        if !unknown.is_empty() {
            let fields = json!({ "kind": "tokensMade", "by": MAKER, "count": unknown.len() });
            self.note(Note { host: None, rollout: None, event: happening(fields)?, refused: None })?;
        }
        Ok(unknown.len())
    }
}
