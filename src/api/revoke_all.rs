//! `/tokens/revoke-all`: revokes all tokens of a selection.

use super::answer::{Answer, Data, ok};
use super::body::Body;
use super::failure::{Failure, Problem, wire_path};
use super::find::AnyToken;
use super::json::non_null;
use super::state::Api;
use crate::admin::{Confirmation, ExpectedTokens, ServiceError};
use crate::domain::{FieldName, FieldPath, Network, OwnerId, RoleId, TokenKind, date};
use crate::guard::Caller;
use crate::store::TokenSelection;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A selection of tokens, at least by one member, and what to do with it: `preview` first, then the `confirmation` of the preview, or the
/// number of tokens that the caller expects.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct RevokeAll {
    /// The id of the owner.
    owner: Option<i64>,
    /// The id of a role that the owner has.
    role: Option<i64>,
    /// A time before which they were created: ISO 8601 in UTC, such as `2026-01-31T09:30:00.000Z`.
    created_before: Option<String>,
    /// An address or network from which they were last used, such as `203.0.113.0/24`.
    used_from: Option<String>,
    kind: Option<SelectedKind>,
    /// Only tells what would be revoked.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    preview: Option<bool>,
    /// The confirmation of a preview: exactly its tokens are revoked.
    confirmation: Option<String>,
    /// The number of tokens, in place of a confirmation.
    expected_count: Option<u64>,
}

/// The kind of the tokens.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum SelectedKind {
    Admin,
    #[serde(rename = "content-api")]
    Content,
    Session,
}

impl From<SelectedKind> for TokenKind {
    fn from(kind: SelectedKind) -> Self {
        match kind {
            SelectedKind::Admin => Self::Admin,
            SelectedKind::Content => Self::Content,
            SelectedKind::Session => Self::Session,
        }
    }
}

/// The tokens that were revoked, or would be.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SelectedTokens {
    /// The number of tokens.
    count: u64,
    /// Whether they were revoked.
    revoked: bool,
    /// In a preview, the first hundred tokens, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<AnyToken>>,
    /// In a preview, the text that confirms it.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation: Option<String>,
}

impl RevokeAll {
    fn selection(&self) -> Result<TokenSelection, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut invalid = |name: &str, text: &str, message: &str| problems.push(Problem::at([name], message).got(text));
        let created_before = self.created_before.as_deref().and_then(|text| {
            date::parse(text).or_else(|| {
                invalid("createdBefore", text, "must be a time in ISO 8601, such as 2026-01-31T09:30:00.000Z");
                None
            })
        });
        let used_from = self.used_from.as_deref().and_then(|text| {
            text.parse::<Network>().map_err(|error| invalid("usedFrom", text, &error.to_string())).ok()
        });
        let (owner, role, kind) = (self.owner.map(OwnerId), self.role.map(RoleId), self.kind.map(TokenKind::from));
        let selection = TokenSelection { kind, owner, role, created_before, used_from };
        if problems.is_empty() { Ok(selection) } else { Err(problems) }
    }

    /// Returns what the caller expects; `None` for a preview.
    fn expected(&self) -> Result<Option<ExpectedTokens>, Problem> {
        match (self.preview.unwrap_or(false), &self.confirmation, self.expected_count) {
            (true, None, None) => Ok(None),
            (true, ..) => Err(Problem::at(["preview"], "must be left out with a confirmation or a number")),
            (false, Some(text), None) => match text.parse::<Confirmation>() {
                Ok(confirmation) => Ok(Some(confirmation.into())),
                Err(error) => Err(Problem::at(["confirmation"], error.to_string()).got(text.as_str())),
            },
            (false, None, Some(count)) => Ok(Some(ExpectedTokens::Count(count))),
            (false, Some(_), Some(_)) => Err(Problem::at(["expectedCount"], "must be left out with a confirmation")),
            (false, None, None) => {
                Err(Problem::at(["confirmation"], "must be that of a preview: send the same with preview: true first"))
            }
        }
    }
}

/// Revokes all tokens of a selection as it was previewed, or previews it. One change: all of them or none.
///
/// Super admins revoke the tokens and sessions of every owner, others their own with `owner`. If the selection has other tokens than
/// expected, the answer is 409 and nothing is revoked.
#[utoipa::path(post, path = "/tokens/revoke-all", tag = "Leaks", request_body = RevokeAll, responses((status = 200, body = Data<SelectedTokens>)))]
pub(super) async fn revoke_all(
    State(api): State<Api>,
    caller: Caller,
    Body(sent): Body<RevokeAll>,
) -> Result<Answer<SelectedTokens>, Failure> {
    let (selection, expected) = match (sent.selection(), sent.expected()) {
        (Ok(selection), Ok(expected)) => (selection, expected),
        (selection, expected) => {
            let problems = selection.err().into_iter().flatten().chain(expected.err());
            return Err(Failure::invalid(problems.collect()));
        }
    };
    let tokens = api.keyward.tokens().acting_as(&caller.actor).from_address(caller.address);
    let answer = match expected {
        None => tokens.preview_revoke_all(&selection).await.map(|preview| SelectedTokens {
            count: preview.count,
            revoked: false,
            tokens: Some(preview.tokens.into_iter().map(AnyToken::from).collect()),
            confirmation: Some(preview.confirmation.to_string()),
        }),
        Some(expected) => {
            let revoked = tokens.revoke_all(&selection, expected).await;
            revoked.map(|count| SelectedTokens { count, revoked: true, tokens: None, confirmation: None })
        }
    };
    answer.map(ok).map_err(failure)
}

/// Converts an error. What is wrong with the selection is wrong with the body as a whole.
fn failure(error: ServiceError) -> Failure {
    let selection = FieldPath::from(FieldName::Selection);
    Failure::of(error, &|path| if *path == selection { Vec::new() } else { wire_path(path) })
}
