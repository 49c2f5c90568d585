//! The details of audit events about roles, grants and tokens.

use crate::domain::{ConditionClause, ContentAccess, Grant, Metadata, Permission, Token, TokenAuthority, TokenKind};
use crate::store::{NewToken, scope_details};
use serde_json::{Map, Value, json};

/// Describes permissions.
pub(super) fn permissions(permissions: &[Permission]) -> Value {
    let describe = |permission: &Permission| {
        let mut details = scope_details(&permission.scope);
        details["conditions"] = json!(permission.when.as_slice());
        details
    };
    permissions.iter().map(describe).collect()
}

/// Describes a grant; without conditions, unless some were chosen.
fn grant(grant: &Grant) -> Value {
    let mut details = scope_details(&grant.scope);
    if grant.chosen != ConditionClause::Always {
        details["conditions"] = json!(grant.chosen.as_slice());
    }
    details
}

/// Describes the access of a content token: a word, or the actions of custom access.
fn access(access: &ContentAccess) -> Value {
    match access {
        ContentAccess::Custom(actions) => json!(actions),
        access => json!(access.as_str()),
    }
}

/// Describes a new token.
pub(super) fn new_token(new: &NewToken) -> Value {
    let lifespan = new.lifespan.map(|l| u64::try_from(l.as_millis()).unwrap_or(u64::MAX));
    let mut details = json!({"name": new.name, "description": new.description, "lifespan": lifespan});
    if let Some(metadata) = &new.metadata {
        details["metadata"] = json!(metadata);
    }
    match &new.authority {
        TokenAuthority::Admin { owner, grants } => {
            details["owner"] = json!(owner);
            details["grants"] = grants.iter().map(grant).collect();
        }
        TokenAuthority::Content { access: content } => details["access"] = access(content),
        TokenAuthority::Session { owner, .. } => details = json!({"owner": owner}),
    }
    details
}

/// Describes a change of a token: each field that differs, before and after.
pub(super) fn token_changes(
    before: &Token,
    name: &str,
    description: &str,
    metadata: Option<&Metadata>,
    authority: &TokenAuthority,
) -> Map<String, Value> {
    let describe = |authority: &TokenAuthority| match authority {
        TokenAuthority::Admin { grants, .. } => grants.iter().map(grant).collect::<Value>(),
        TokenAuthority::Content { access: content } => access(content),
        TokenAuthority::Session { .. } => Value::Null,
    };
    let list = if before.kind() == TokenKind::Admin { "grants" } else { "access" };
    changes([
        ("name", json!(before.name), json!(name)),
        ("description", json!(before.description), json!(description)),
        ("metadata", json!(before.metadata), json!(metadata)),
        (list, describe(&before.authority), describe(authority)),
    ])
}

/// Keeps the fields that differ, before and after.
pub(super) fn changes<const N: usize>(fields: [(&str, Value, Value); N]) -> Map<String, Value> {
    let differing = fields.into_iter().filter(|(_, before, after)| before != after);
    differing.map(|(field, before, after)| (field.to_owned(), json!({"before": before, "after": after}))).collect()
}
