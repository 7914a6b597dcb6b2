//! What hosts ask before they are let in, and what admins ask about who is.

use crate::model::id::TokenId;
use crate::model::identity::Identity;
use crate::plane::Plane;
use crate::plane::error::PlaneError;
use crate::plane::http::error::Refusal;
use crate::plane::http::operator::{Listed, PAGE};
use crate::plane::http::peer::Speaker;
use crate::wire::v1::identity::{
    CertificateIssued, EnrollRequest, IdentityView, RenewRequest, RevokeRequest, TokenView, TokensMade, TokensRequest,
};
use crate::wire::v1::operator::{ActResponse, Page};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use std::sync::Arc;

type Plan = State<Arc<Plane>>;
type Body<T> = Result<Json<T>, JsonRejection>;

/// Enrolls a host.
///
/// # Errors
/// See [`Plane::enroll`].
pub async fn enroll(State(plane): Plan, body: Body<EnrollRequest>) -> Result<Json<CertificateIssued>, Refusal> {
    let Json(asked) = body?;
    Ok(Json(plane.enroll(asked).await?))
}

/// Renews the certificate that the connection was made with.
///
/// # Errors
/// See [`Plane::renew`]; 409 on a connection without one.
pub async fn renew(
    State(plane): Plan,
    Extension(speaker): Extension<Speaker>,
    body: Body<RenewRequest>,
) -> Result<Json<CertificateIssued>, Refusal> {
    let Json(asked) = body?;
    let plain = || {
        let said = "this control plane speaks plain HTTP, where there are no certificates to renew";
        Refusal::from(PlaneError::refused("no_issuer", said))
    };
    let presented = speaker.presented.ok_or_else(plain)?;
    Ok(Json(plane.renew(&presented, &asked).await?))
}

/// Makes tokens.
///
/// # Errors
/// See [`Plane::make_tokens`].
pub async fn make_tokens(
    State(plane): Plan,
    Extension(speaker): Extension<Speaker>,
    body: Body<TokensRequest>,
) -> Result<(StatusCode, Json<TokensMade>), Refusal> {
    let Json(asked) = body?;
    Ok((StatusCode::CREATED, Json(plane.make_tokens(asked, speaker.name()).await?)))
}

/// Lists tokens.
///
/// # Errors
/// See [`Plane::list_tokens`].
pub async fn tokens(State(plane): Plan, query: Listed) -> Result<Json<Page<TokenView>>, Refusal> {
    let Query(query) = query?;
    let after = query.after.map(TokenId::new).transpose().map_err(PlaneError::from)?;
    Ok(Json(plane.list_tokens(after, query.limit.unwrap_or(PAGE)).await?))
}

/// Takes a token back.
///
/// # Errors
/// See [`Plane::revoke_token`].
pub async fn revoke_token(
    State(plane): Plan,
    Extension(speaker): Extension<Speaker>,
    Path(id): Path<String>,
    body: Body<RevokeRequest>,
) -> Result<Json<ActResponse>, Refusal> {
    let Json(asked) = body?;
    let id = TokenId::new(id).map_err(PlaneError::from)?;
    Ok(Json(plane.revoke_token(id, asked, speaker.name()).await?))
}

/// Lists identities.
///
/// # Errors
/// See [`Plane::list_identities`].
pub async fn identities(State(plane): Plan, query: Listed) -> Result<Json<Page<IdentityView>>, Refusal> {
    let Query(query) = query?;
    let after = query.after.map(|text| text.parse::<Identity>()).transpose().map_err(PlaneError::from)?;
    Ok(Json(plane.list_identities(after, query.limit.unwrap_or(PAGE)).await?))
}

/// Shuts an identity out.
///
/// # Errors
/// See [`Plane::revoke_identity`].
pub async fn revoke_identity(
    State(plane): Plan,
    Extension(speaker): Extension<Speaker>,
    Path((role, name)): Path<(String, String)>,
    body: Body<RevokeRequest>,
) -> Result<Json<ActResponse>, Refusal> {
    let Json(asked) = body?;
    let identity = Identity::new(role.parse().map_err(PlaneError::from)?, &name).map_err(PlaneError::from)?;
    Ok(Json(plane.revoke_identity(identity, asked, speaker.name()).await?))
}
