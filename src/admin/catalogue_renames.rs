//! Applies the renames of the catalogue to roles and tokens.

use super::ServiceError;
use super::unit_of_work::UnitOfWork;
use crate::domain::{ContentAccess, Grant, Permission, Rename, Scope, Token, TokenAuthority, TokenKind};
use crate::store::{Paging, TokenQuery, TokenSort};

/// Applies the renames in their order. Returns how many roles and tokens changed.
pub(super) async fn apply_renames(unit: &mut UnitOfWork<'_>, renames: &[Rename]) -> Result<u64, ServiceError> {
    if renames.is_empty() {
        return Ok(0);
    }
    let mut changed = 0;
    for (role, _) in unit.view().roles().await? {
        let after = rename_permissions(&role.permissions, renames);
        if after != role.permissions {
            unit.rename_role_permissions(&role, &after).await?;
            changed += 1;
        }
    }
    for kind in [TokenKind::Admin, TokenKind::Content] {
        // The list is sorted by id, so a rename moves no token to another page of the list.
        for page in 1.. {
            let paging = Paging { page, page_size: Paging::LARGEST };
            let query = TokenQuery { paging, sort: TokenSort::Id, ..TokenQuery::of(kind) };
            let tokens = unit.view().tokens(&query).await?.items;
            if tokens.is_empty() {
                break;
            }
            for token in tokens {
                if let Some(authority) = rename_authority(&token, renames).filter(|after| *after != token.authority) {
                    unit.rename_token_authority(&token, &authority).await?;
                    changed += 1;
                }
            }
        }
    }
    Ok(changed)
}

/// Returns the authority under its new names; `None` for one that lists no names.
fn rename_authority(token: &Token, renames: &[Rename]) -> Option<TokenAuthority> {
    match &token.authority {
        TokenAuthority::Admin { owner, grants } => {
            Some(TokenAuthority::Admin { owner: *owner, grants: rename_grants(grants, renames) })
        }
        TokenAuthority::Content { access: ContentAccess::Custom(actions) } => {
            let mut renamed = actions.to_vec();
            renamed.iter_mut().for_each(|action| renames.iter().for_each(|rename| rename.apply_to_action(action)));
            Some(TokenAuthority::Content { access: ContentAccess::Custom(without_duplicates(renamed).into()) })
        }
        TokenAuthority::Content { .. } | TokenAuthority::Session { .. } => None,
    }
}

fn rename_permissions(before: &[Permission], renames: &[Rename]) -> Vec<Permission> {
    let mut after = before.to_vec();
    after.iter_mut().for_each(|permission| rename_scope(&mut permission.scope, renames));
    without_duplicates(after)
}

fn rename_grants(before: &[Grant], renames: &[Rename]) -> Vec<Grant> {
    let mut after = before.to_vec();
    after.iter_mut().for_each(|grant| rename_scope(&mut grant.scope, renames));
    without_duplicates(after)
}

fn rename_scope(Scope { action, resource, fields }: &mut Scope, renames: &[Rename]) {
    renames.iter().for_each(|rename| rename.apply(action, resource, fields));
}

/// Keeps the first of equal entries: two old names may have become one.
fn without_duplicates<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for item in list {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
