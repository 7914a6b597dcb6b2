//! Enrollment tokens as an admin steers them: made many at once, listed, taken back. Secrets are shown once.

use crate::model::id::TokenId;
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::history::{Note, happening};
use crate::plane::operate::check_reason;
use crate::store::rows::TokenRow;
use crate::trust::token::Token;
use crate::wire::v1::identity::{
    MAX_LABELS, MAX_TOKENS, RevokeRequest, TokenMade, TokenState, TokenView, TokensMade, TokensRequest,
};
use crate::wire::v1::operator::{ActResponse, MAX_PAGE, Page};
use crate::wire::v1::release::date;
use serde_json::json;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long a token may be good for, in seconds: long enough to be carried, at most a year.
const LASTS: (u64, u64) = (60, 31_536_000);
/// How many hosts an event names; the list of tokens has them all.
const NAMED: usize = 5;

impl Plane {
    /// Makes one token for each host, in one transaction.
    ///
    /// # Errors
    /// [`PlaneError::BadRequest`], [`PlaneError::Refused`] without an issuer, the store's.
    pub async fn make_tokens(self: &Arc<Self>, asked: TokensRequest, by: String) -> Done<TokensMade> {
        check_tokens(&asked)?;
        if self.credentials.set().issuer.is_none() {
            let said = "this control plane issues no certificates, so that a token would be of no use: set \
                        issuerCertificate and issuerKey, or give hosts certificates from elsewhere";
            return Err(PlaneError::refused("no_issuer", said));
        }
        let secrets: Vec<Token> = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            asked.hosts.iter().map(|_| Token::generate(&mut *rng)).collect()
        };
        let expires = self.now().plus(Duration::from_secs(asked.lasts_secs));
        let made = asked.hosts.iter().zip(&secrets).map(|(host, token)| TokenMade {
            host: host.clone(),
            id: token.id().clone(),
            token: token.to_text(),
            expires: date(expires),
        });
        let made = TokensMade { tokens: made.collect() };
        self.transact(move |desk| desk.make_tokens(&asked, &secrets, (expires, &by))).await?;
        Ok(made)
    }

    /// Lists tokens by id, after one.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_tokens(self: &Arc<Self>, after: Option<TokenId>, limit: usize) -> Done<Page<TokenView>> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.look(move |desk| {
            let rows = desk.tx.tokens(after.as_ref(), limit)?;
            let next = (rows.len() >= limit).then(|| rows.last().map(|row| row.id.to_string())).flatten();
            Ok(Page { items: rows.into_iter().map(|row| view(row, desk.now)).collect(), next })
        })
        .await
    }

    /// Takes a token back: it can't be spent any more. What it was spent for stays.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`], [`PlaneError::BadRequest`], the store's.
    pub async fn revoke_token(self: &Arc<Self>, id: TokenId, asked: RevokeRequest, by: String) -> Done<ActResponse> {
        check_reason(asked.reason.as_deref())?;
        self.perform(asked.dry_run, move |desk| desk.revoke_token(&id, &asked, &by)).await
    }
}

impl Desk<'_> {
    fn make_tokens(&mut self, asked: &TokensRequest, made: &[Token], (until, by): (Timestamp, &str)) -> Done<()> {
        for (host, token) in asked.hosts.iter().zip(made) {
            self.tx.put_token(&TokenRow {
                id: token.id().clone(),
                host: host.clone(),
                digest: token.digest(),
                created: self.now,
                created_by: by.to_owned(),
                expires: until,
                spent: None,
                revoked: None,
                labels: asked.labels.clone(),
            })?;
        }
        // One event for all: ten thousand would bury the history.
        let hosts: Vec<_> = asked.hosts.iter().take(NAMED).map(ToString::to_string).collect();
        let fields = json!({ "kind": "tokensMade", "by": by, "count": made.len(), "hosts": hosts });
        let only = asked.hosts.first().filter(|_| asked.hosts.len() == 1);
        self.note(Note { host: only, rollout: None, event: happening(fields)?, refused: None })
    }

    fn revoke_token(&mut self, id: &TokenId, asked: &RevokeRequest, by: &str) -> Done<Vec<String>> {
        let hint = "`convoy token list` shows those that are";
        let row = self.tx.token(id)?.ok_or_else(|| PlaneError::not_found(format!("token {id}"), hint))?;
        if let Some(at) = row.revoked {
            return Ok(vec![format!("nothing to do: token {id} for {} was revoked at {at}", row.host)]);
        }
        let host = row.host.clone();
        let spent = row.spent.as_ref().map(|spent| spent.at);
        self.tx.put_token(&TokenRow { revoked: Some(self.now), ..row })?;
        let fields = json!({ "kind": "tokenRevoked", "by": by, "token": id.to_string(), "reason": asked.reason });
        self.note(Note { host: Some(&host), rollout: None, event: happening(fields)?, refused: None })?;
        let mut done = vec![format!("token {id} for {host} can't be spent any more")];
        if let Some(at) = spent {
            done.push(format!(
                "it was spent at {at}, and {host} stays enrolled: `convoy host revoke {host}` shuts it out"
            ));
        }
        Ok(done)
    }
}

fn check_tokens(asked: &TokensRequest) -> Done<()> {
    if asked.hosts.is_empty() || asked.hosts.len() > MAX_TOKENS {
        let said = format!("name 1 to {MAX_TOKENS} hosts; it were {}", asked.hosts.len());
        return Err(PlaneError::bad("invalid_hosts", said));
    }
    if asked.labels.len() > MAX_LABELS {
        return Err(PlaneError::bad("invalid_labels", format!("at most {MAX_LABELS} labels")));
    }
    if !(LASTS.0..=LASTS.1).contains(&asked.lasts_secs) {
        let said = format!("a token lasts {} to {} seconds, not {}", LASTS.0, LASTS.1, asked.lasts_secs);
        return Err(PlaneError::bad("invalid_span", said));
    }
    Ok(())
}

fn view(row: TokenRow, now: Timestamp) -> TokenView {
    let (state, ended) = match (&row.spent, row.revoked) {
        (_, Some(at)) => (TokenState::Revoked, Some(at)),
        (Some(spent), None) => (TokenState::Spent, Some(spent.at)),
        (None, None) if now >= row.expires => (TokenState::Expired, None),
        (None, None) => (TokenState::Open, None),
    };
    TokenView {
        id: row.id,
        host: row.host,
        state,
        created: date(row.created),
        created_by: row.created_by,
        expires: date(row.expires),
        ended: ended.map(date),
        labels: row.labels,
    }
}
