//! `/tokens/find`: the token of a secret that was found, for example in a log.

use super::admin_tokens::{AdminToken, TokenOwner};
use super::answer::{Answer, Data, ok};
use super::body::Body;
use super::content_tokens::ContentToken;
use super::failure::Failure;
use super::state::Api;
use crate::admin::DescribedToken;
use crate::domain::TokenKind;
use crate::guard::Caller;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A text in which a secret was found.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct FoundText {
    /// A secret, or a text of at most 64 KiB that has one in it.
    secret: String,
}

/// A token of any kind.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum AnyToken {
    Admin(AdminToken),
    Content(ContentToken),
    Session(AnySession),
}

/// The session of any person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AnySession {
    id: i64,
    /// Always `session`.
    kind: &'static str,
    /// The browser and system, such as "Firefox on Linux". Empty if unknown.
    device_name: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    created_at: String,
    admin_user_owner: Option<TokenOwner>,
}

impl From<DescribedToken> for AnyToken {
    fn from(described: DescribedToken) -> Self {
        match described.token.kind() {
            TokenKind::Admin => Self::Admin(described.into()),
            TokenKind::Content => Self::Content(described.token.into()),
            TokenKind::Session => Self::Session(described.into()),
        }
    }
}

impl From<DescribedToken> for AnySession {
    fn from(DescribedToken { token, owner, .. }: DescribedToken) -> Self {
        Self {
            id: token.id.0,
            kind: "session",
            last_used_at: token.last_used_at.map(|at| at.to_string()),
            expires_at: token.expires_at.map(|at| at.to_string()),
            created_at: token.created_at.to_string(),
            admin_user_owner: owner.map(TokenOwner::from),
            device_name: token.description,
        }
    }
}

/// Finds the token or session of a secret that was found, for example in a log. Super admins find every token, other people their own,
/// and a token finds only itself. Any other text is a 404. The call does not count as a use of the token.
#[utoipa::path(post, path = "/tokens/find", tag = "Leaks", request_body = FoundText, responses(
    (status = 200, body = Data<AnyToken>),
    (status = 404, description = "No token has this secret, or the caller may not see it.", body = super::failure::ErrorAnswer),
))]
pub(super) async fn find(
    State(api): State<Api>,
    caller: Caller,
    Body(text): Body<FoundText>,
) -> Result<Answer<AnyToken>, Failure> {
    let tokens = api.keyward.tokens().acting_as(&caller.actor).from_address(caller.address);
    Ok(ok(tokens.find(&text.secret).await?.into()))
}
