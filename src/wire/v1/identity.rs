//! Letting hosts in and shutting identities out: enrollment, renewal, tokens, revocation.

use crate::model::id::{HostName, Tag, TokenId};
use crate::model::identity::Identity;
use crate::wire::text;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The largest body of `enroll` and `renew`, in bytes: a request for a certificate with room.
pub const MAX_ENROLL_BODY: usize = 32 * 1024;
/// The most tokens that one request makes.
pub const MAX_TOKENS: usize = 10_000;
/// The most labels of one token.
pub const MAX_LABELS: usize = 16;

/// `POST /v1/enroll`: needs no certificate. With a token it gives a host its first certificate, or a new one for a
/// new key. Without, it gives one to the key that the host has had before: the certificate may be long over.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrollRequest {
    /// Who asks.
    #[serde(with = "text")]
    pub hostname: HostName,
    /// A PKCS#10 request as PEM, signed with the key that the certificate is for.
    pub request: String,
    /// The token, as `convoy token create` printed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl std::fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollRequest").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

/// `POST /v1/agent/renew`: a new certificate for the key that the connection was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewRequest {
    /// A PKCS#10 request as PEM, signed with that key.
    pub request: String,
}

/// The answer of both. The same request gives the same answer again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateIssued {
    /// The certificate, then those above it, as PEM.
    pub certificate: String,
    /// Until when it counts.
    pub expires: DateTime<Utc>,
    /// From when on it should be renewed: half of its life.
    pub renew_after: DateTime<Utc>,
}

/// `POST /v1/tokens`: one token for each host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokensRequest {
    /// For which hosts, at most [`MAX_TOKENS`].
    #[serde(with = "text::list")]
    pub hosts: Vec<HostName>,
    /// How long each can be spent, in seconds: 60 to 31,536,000 (a year).
    pub lasts_secs: u64,
    /// Words to find the tokens and their hosts by, at most [`MAX_LABELS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::list")]
    pub labels: Vec<Tag>,
}

/// The answer: the only time that the secrets are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokensMade {
    /// One for each host, in the order asked for.
    pub tokens: Vec<TokenMade>,
}

/// A new token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenMade {
    /// For which host.
    #[serde(with = "text")]
    pub host: HostName,
    /// Names it; no secret.
    #[serde(with = "text")]
    pub id: TokenId,
    /// The token itself.
    pub token: String,
    /// Until when it can be spent.
    pub expires: DateTime<Utc>,
}

impl std::fmt::Debug for TokenMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenMade").field("host", &self.host).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What became of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenState {
    /// It can be spent.
    Open,
    /// A host spent it.
    Spent,
    /// It was taken back.
    Revoked,
    /// It is too old.
    Expired,
}

/// `GET /v1/tokens`: a page of these, by id, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Names it; `POST /v1/tokens/{id}/revoke` takes it back.
    #[serde(with = "text")]
    pub id: TokenId,
    /// For which host.
    #[serde(with = "text")]
    pub host: HostName,
    /// What became of it.
    pub state: TokenState,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// Until when it can be spent.
    pub expires: DateTime<Utc>,
    /// When it was spent or taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<DateTime<Utc>>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::list")]
    pub labels: Vec<Tag>,
}

/// `POST /v1/identities/{role}/{name}/revoke`, `POST /v1/tokens/{id}/revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RevokeRequest {
    /// Why, for the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only say what would happen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// `GET /v1/identities`: a page of these, by role and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityView {
    /// Such as `agent/web1`.
    #[serde(with = "text")]
    pub identity: Identity,
    /// SHA-256 of its newest public key, in hexadecimal.
    pub key: String,
    /// Whether this control plane issued its certificate.
    pub issued_here: bool,
    /// When the newest certificate was issued.
    pub issued: DateTime<Utc>,
    /// Until when it counts.
    pub expires: DateTime<Utc>,
    /// Since when it is shut out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<DateTime<Utc>>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Words that came with its token.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::list")]
    pub labels: Vec<Tag>,
}
