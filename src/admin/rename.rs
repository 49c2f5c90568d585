//! Renaming what roles and tokens hold, where the catalogue calls it otherwise now.

use super::ServiceError;
use super::roles::audit_json;
use super::tokens::differences;
use super::write::UnitOfWork;
use crate::domain::{
    AuditAction, AuditCause, AuditTarget, ContentAccess, Grant, Permission, Rename, Scope, Tag, Token, TokenAuthority,
    TokenKind,
};
use crate::store::{Paging, TokenQuery, TokenSort};
use serde_json::{Value, json};

/// Applies the renames in their order, and answers how many roles and tokens changed.
pub(super) async fn apply(draft: &mut UnitOfWork, renames: &[Rename]) -> Result<u64, ServiceError> {
    if renames.is_empty() {
        return Ok(0);
    }
    let mut changed = 0;
    for (role, _) in draft.tx.roles().await? {
        let after = permissions(&role.permissions, renames);
        if after == role.permissions {
            continue;
        }
        draft.tx.set_permissions(role.id, &after).await?;
        draft.touch(Tag::role(role.id));
        let details = json!({"before": audit_json(&role.permissions), "after": audit_json(&after)});
        draft
            .audit_because(AuditCause::Renamed, AuditAction::RolePermissionsSet, AuditTarget::Role(role.id), details)
            .await?;
        changed += 1;
    }
    for kind in [TokenKind::Admin, TokenKind::Content] {
        // Renaming moves no token to another page.
        for page in 1.. {
            let paging = Paging { page, page_size: Paging::LARGEST };
            let query = TokenQuery { paging, sort: TokenSort::Id, ..TokenQuery::of(kind) };
            let tokens = draft.tx.tokens(&query).await?.items;
            if tokens.is_empty() {
                break;
            }
            for token in tokens {
                changed += u64::from(token_renamed(draft, &token, renames).await?);
            }
        }
    }
    Ok(changed)
}

async fn token_renamed(draft: &mut UnitOfWork, token: &Token, renames: &[Rename]) -> Result<bool, ServiceError> {
    let authority = match &token.authority {
        TokenAuthority::Admin { owner, grants: before } => {
            TokenAuthority::Admin { owner: *owner, grants: grants(before, renames) }
        }
        TokenAuthority::Content { access: ContentAccess::Custom(actions) } => {
            let mut renamed = actions.to_vec();
            renamed.iter_mut().for_each(|action| renames.iter().for_each(|rename| rename.apply_to_action(action)));
            TokenAuthority::Content { access: ContentAccess::Custom(once(renamed).into()) }
        }
        TokenAuthority::Content { .. } | TokenAuthority::Session { .. } => return Ok(false),
    };
    if authority == token.authority {
        return Ok(false);
    }
    let details = Value::Object(differences(token, &token.name, &token.description, &authority));
    draft.tx.update_token(token.id, &token.name, &token.description, &authority).await?;
    draft.touch(Tag::token(&token.digest));
    let target = AuditTarget::Token(token.id, token.kind());
    draft.audit_because(AuditCause::Renamed, AuditAction::TokenUpdated, target, details).await?;
    Ok(true)
}

fn permissions(before: &[Permission], renames: &[Rename]) -> Vec<Permission> {
    let mut after = before.to_vec();
    for Permission { scope: Scope { action, resource, fields }, .. } in &mut after {
        renames.iter().for_each(|rename| rename.apply(action, resource, fields));
    }
    once(after)
}

fn grants(before: &[Grant], renames: &[Rename]) -> Vec<Grant> {
    let mut after = before.to_vec();
    for Grant { scope: Scope { action, resource, fields }, .. } in &mut after {
        renames.iter().for_each(|rename| rename.apply(action, resource, fields));
    }
    once(after)
}

/// Each once, in the order in which they first came: two old names may have become one.
fn once<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for item in list {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
