//! The details of audit events about roles, grants and tokens.

use crate::domain::{ConditionClause, ContentAccess, Grant, Permission, Token, TokenAuthority, TokenKind, TokenLimits};
use crate::store::{NewToken, scope_details};
use serde_json::{Map, Value, json};
use std::time::Duration;

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
    if grant.may_delegate {
        details["mayDelegate"] = json!(true);
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

/// Describes limits: those that are set.
fn limits(limits: &TokenLimits) -> Value {
    let TokenLimits { enabled, networks, rate, idle_expiry } = limits;
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut described = json!({});
    if !enabled {
        described["enabled"] = json!(false);
    }
    if !networks.is_empty() {
        described["networks"] = json!(networks);
    }
    if let Some(rate) = rate {
        described["rateLimit"] = json!({"limit": rate.limit(), "window": millis(rate.window())});
    }
    if let Some(idle) = idle_expiry {
        described["idleExpiry"] = json!(millis(*idle));
    }
    described
}

/// Describes a new token.
pub(super) fn new_token(new: &NewToken) -> Value {
    let lifespan = new.lifespan.map(|l| u64::try_from(l.as_millis()).unwrap_or(u64::MAX));
    let mut details = json!({"name": new.name, "description": new.description, "lifespan": lifespan});
    if let Some(metadata) = &new.metadata {
        details["metadata"] = json!(metadata);
    }
    if new.limits != TokenLimits::none() {
        details["limits"] = limits(&new.limits);
    }
    if let Some((parent, _)) = new.parent {
        details["parent"] = json!(parent);
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
pub(super) fn token_changes(before: &Token, after: &Token) -> Map<String, Value> {
    let describe = |authority: &TokenAuthority| match authority {
        TokenAuthority::Admin { grants, .. } => grants.iter().map(grant).collect::<Value>(),
        TokenAuthority::Content { access: content } => access(content),
        TokenAuthority::Session { .. } => Value::Null,
    };
    let list = if before.kind() == TokenKind::Admin { "grants" } else { "access" };
    changes([
        ("name", json!(before.name), json!(after.name)),
        ("description", json!(before.description), json!(after.description)),
        ("metadata", json!(before.metadata), json!(after.metadata)),
        (list, describe(&before.authority), describe(&after.authority)),
        ("limits", limits(&before.limits), limits(&after.limits)),
    ])
}

/// Keeps the fields that differ, before and after.
pub(super) fn changes<const N: usize>(fields: [(&str, Value, Value); N]) -> Map<String, Value> {
    let differing = fields.into_iter().filter(|(_, before, after)| before != after);
    differing.map(|(field, before, after)| (field.to_owned(), json!({"before": before, "after": after}))).collect()
}
