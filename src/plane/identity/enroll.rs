//! A host's first certificate, for a token; and a new one for the key it has had, whose certificate may be long over.

use crate::model::id::Digest;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::history::{Note, happening};
use crate::plane::identity::issue::{Grounds, Wanted};
use crate::plane::identity::shut_out;
use crate::store::rows::{IdentityRow, Spent, TokenRow};
use crate::trust::token::Token;
use crate::wire::v1::identity::{CertificateIssued, EnrollRequest};
use serde_json::json;
use std::sync::Arc;

/// What a request for enrollment deserves.
enum Verdict {
    /// The certificate that it got before.
    Again(CertificateIssued),
    /// A new one, for this token if any.
    New(Option<TokenRow>),
}

impl Plane {
    /// Enrolls a host. The same request again gets the same answer, also after a crash on either side: token, identity
    /// and certificate are one commit.
    ///
    /// # Errors
    /// [`PlaneError::Forbidden`] with what is wrong and what to do, [`PlaneError::BadRequest`],
    /// [`PlaneError::Refused`] without an issuer, the store's.
    pub async fn enroll(self: &Arc<Self>, asked: EnrollRequest) -> Done<CertificateIssued> {
        let wanted = Arc::new(Wanted::read(self, asked.hostname, &asked.request)?);
        let token = asked.token.as_deref().map(Token::parse).transpose();
        let token = Arc::new(token.map_err(|_| bad_token())?);
        // Refusals and repetitions are answered from a reading, so that nobody without a certificate costs a commit.
        let (want, with) = (wanted.clone(), token.clone());
        if let Verdict::Again(answer) = self.look(move |desk| desk.judge_enrollment(&want, (*with).as_ref())).await? {
            return Ok(answer);
        }
        self.transact(move |desk| match desk.judge_enrollment(&wanted, (*token).as_ref())? {
            Verdict::Again(answer) => Ok(answer),
            Verdict::New(token) => desk.enroll(&wanted, token),
        })
        .await
    }
}

impl Desk<'_> {
    fn judge_enrollment(&self, wanted: &Wanted, token: Option<&Token>) -> Done<Verdict> {
        let known = self.tx.identity(&wanted.identity())?;
        let Some(token) = token else { return self.judge_known(wanted, known.as_ref()) };
        let row = self.tx.token(token.id())?.filter(|row| same(&row.digest, &token.digest()));
        let row = row.ok_or_else(bad_token)?;
        let host = &row.host;
        if *host != wanted.host {
            let said = format!("this token is for {host} and {} used it: {}", wanted.host, make_one(wanted));
            return Err(forbidden("token_for_another_host", said));
        }
        if row.revoked.is_some() {
            let said = format!("the token {} for {host} was revoked: {}", row.id, make_one(wanted));
            return Err(forbidden("token_revoked", said));
        }
        if let Some(spent) = &row.spent {
            let still = known.as_ref().is_some_and(|known| known.key == wanted.key);
            if spent.key == wanted.key && still {
                return self.judge_known(wanted, known.as_ref());
            }
            let (at, make) = (spent.at, make_one(wanted));
            let said = format!("the token {} for {host} was spent at {at} by another key: {make}", row.id);
            return Err(forbidden("token_spent", said));
        }
        if self.now >= row.expires {
            let (at, make) = (row.expires, make_one(wanted));
            return Err(forbidden("token_expired", format!("the token {} for {host} ended at {at}: {make}", row.id)));
        }
        Ok(Verdict::New(Some(row)))
    }

    /// Judges a request by its key alone, as if it came without a token.
    fn judge_known(&self, wanted: &Wanted, known: Option<&IdentityRow>) -> Done<Verdict> {
        let host = &wanted.host;
        let Some(known) = known else {
            let said = format!("{host} is not enrolled: {}", make_one(wanted));
            return Err(forbidden("not_enrolled", said));
        };
        if let Some(at) = shut_out(known) {
            let said = format!("{host} was revoked at {at}: {}", make_one(wanted));
            return Err(forbidden("revoked", said));
        }
        if known.key != wanted.key {
            let said = format!("{host} is enrolled with another key than this one: {}", make_one(wanted));
            return Err(forbidden("not_enrolled", said));
        }
        Ok(self.again(known, &wanted.key).map_or(Verdict::New(None), Verdict::Again))
    }

    fn enroll(&mut self, wanted: &Wanted, token: Option<TokenRow>) -> Done<CertificateIssued> {
        let spent = token.as_ref().map(|row| row.id.to_string());
        let grounds = Grounds { token: token.as_ref().map(|row| (row.id.clone(), row.labels.clone())) };
        let by = token.as_ref().map_or_else(|| wanted.identity().to_string(), |row| row.created_by.clone());
        if let Some(row) = token {
            let spent = Some(Spent { key: wanted.key.clone(), at: self.now });
            self.tx.put_token(&TokenRow { spent, ..row })?;
        }
        let answer = self.issue(wanted, grounds)?;
        // A host that only comes back with its own key is no event: it may do so with every start.
        if let Some(token) = spent {
            let fields = json!({ "kind": "hostEnrolled", "by": by, "token": token, "key": wanted.key.to_string() });
            let event = happening(fields)?;
            self.note(Note { host: Some(&wanted.host), rollout: None, event, refused: None })?;
            self.follow.wake.insert(wanted.host.clone());
        }
        Ok(answer)
    }
}

fn make_one(wanted: &Wanted) -> String {
    format!("make a token with `convoy token create --host {}`, and give it to that host", wanted.host)
}

fn forbidden(code: &'static str, message: String) -> PlaneError {
    PlaneError::Forbidden { code, message }
}

/// One answer for an unknown token and a wrong secret: nobody learns which ids there are.
fn bad_token() -> PlaneError {
    let said = "the token is not known here: use it as `convoy token create --host NAME` printed it, or make a new one";
    forbidden("bad_token", said.to_owned())
}

/// Compares in a time that does not tell where two digests differ.
fn same(a: &Digest, b: &Digest) -> bool {
    let (a, b) = (a.as_str().as_bytes(), b.as_str().as_bytes());
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}
