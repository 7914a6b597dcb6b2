//! Who may come in, as an operator steers it: tokens and identities.

use crate::client::operator::all_pages;
use crate::client::{ClientError, Request, Transport, send_json};
use crate::model::id::TokenId;
use crate::model::identity::Identity;
use crate::wire::v1::identity::{IdentityView, RevokeRequest, TokenView, TokensMade, TokensRequest};
use crate::wire::v1::operator::ActResponse;
use std::time::Duration;

/// The most time that making tokens may take: ten thousand are written in one transaction.
const TOKENS_LIMIT: Duration = Duration::from_secs(60);

/// Makes one token for each host. The answer is the only time that the secrets are shown.
///
/// # Errors
/// [`ClientError`]; after one that is not a refusal the tokens may have been made: `convoy token list` shows them.
pub async fn make_tokens(over: &dyn Transport, request: &TokensRequest) -> Result<TokensMade, ClientError> {
    send_json(over, Request::post("/v1/tokens").json(request)?.limit(TOKENS_LIMIT)).await
}

/// Lists all tokens, without secrets.
///
/// # Errors
/// [`ClientError`].
pub async fn tokens(over: &dyn Transport) -> Result<Vec<TokenView>, ClientError> {
    all_pages(over, "/v1/tokens", false).await
}

/// Takes a token back.
///
/// # Errors
/// [`ClientError`].
pub async fn revoke_token(
    over: &dyn Transport,
    id: &TokenId,
    request: &RevokeRequest,
) -> Result<ActResponse, ClientError> {
    send_json(over, Request::post(format!("/v1/tokens/{id}/revoke")).json(request)?).await
}

/// Lists all identities that the control plane knows.
///
/// # Errors
/// [`ClientError`].
pub async fn identities(over: &dyn Transport) -> Result<Vec<IdentityView>, ClientError> {
    all_pages(over, "/v1/identities", false).await
}

/// Shuts an identity out, from its next request on.
///
/// # Errors
/// [`ClientError`].
pub async fn revoke_identity(
    over: &dyn Transport,
    identity: &Identity,
    request: &RevokeRequest,
) -> Result<ActResponse, ClientError> {
    let path = format!("/v1/identities/{}/{}/revoke", identity.role(), identity.name());
    send_json(over, Request::post(path).json(request)?).await
}
