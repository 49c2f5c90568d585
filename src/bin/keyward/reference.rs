//! Finds the records that arguments name.

use crate::failure::Failure;
use keyward::accounts::AccountKind;
use keyward::admin::{DescribedToken, Owner, Role, ServiceError};
use keyward::store::{Filter, OwnerField, OwnerQuery, Paging, TokenField, TokenQuery, comparable};
use keyward::token::{OwnerId, TokenId, TokenKind};
use keyward::{Keyward, RoleId};
use std::collections::HashMap;

/// The page that a search for one record reads.
const FEW: Paging = Paging { page: 1, page_size: 3 };

/// Rejects a secret in place of a name, which no message may repeat.
pub(crate) fn reject_secret(text: &str) -> Result<(), Failure> {
    let is_long = text.len() >= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let has_digits = text.bytes().any(|b| b.is_ascii_digit()) && text.bytes().any(|b| b.is_ascii_uppercase());
    match is_long && has_digits {
        true => Err(Failure::usage(
            "this looks like a secret, and other users of the machine can see arguments: send it to `keyward token find` on standard input",
        )),
        false => Ok(()),
    }
}

/// Finds an admin or content token by its id, or by its name.
pub(crate) async fn find_token(keyward: &Keyward, text: &str) -> Result<DescribedToken, Failure> {
    reject_secret(text)?;
    let missing = || Failure::NotFound(format!("there is no token {text}: `keyward token list` lists them"));
    let mut found = Vec::new();
    if let Ok(id) = text.parse::<TokenId>() {
        match keyward.tokens().read(id).await {
            Ok(token) if token.token.kind() != TokenKind::Session => found.push(token),
            Ok(_) | Err(ServiceError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for kind in [TokenKind::Admin, TokenKind::Content] {
        let filters = vec![Filter::equals(TokenField::Name, [text])];
        let query = TokenQuery { filters, paging: FEW, ..TokenQuery::of(kind) };
        found.extend(keyward.tokens().list(&query).await?.items);
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(token), None) => Ok(token),
        (None, _) => Err(missing()),
        (Some(one), Some(other)) => {
            let ids = format!("{} and {}", one.token.id, other.token.id);
            Err(Failure::failed(format!(
                "several tokens have the name or id {text}: {ids}: give a name or id that one of them has"
            )))
        }
    }
}

/// Finds an owner by its id, by the e-mail address of a person, or by the name of a service.
pub(crate) async fn find_owner(keyward: &Keyward, text: &str) -> Result<Owner, Failure> {
    let missing = || Failure::NotFound(format!("there is no owner {text}: `keyward owner list` lists them"));
    if let Ok(id) = text.parse::<OwnerId>() {
        return match keyward.owners().read(id).await {
            Err(ServiceError::NotFound(_)) => Err(missing()),
            read => Ok(read?),
        };
    }
    let field = if text.contains('@') { OwnerField::Email } else { OwnerField::Firstname };
    let filters = vec![Filter::equals(field, [text])];
    let paging = Paging { page: 1, page_size: Paging::LARGEST };
    let listed = keyward.owners().list(&OwnerQuery { filters, ..OwnerQuery::all(paging) }).await?.items;
    let fits = |owner: &Owner| field == OwnerField::Email || owner.kind != AccountKind::Person;
    let mut found = listed.into_iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(owner), None) => Ok(owner),
        (None, _) => Err(missing()),
        (Some(one), Some(other)) => {
            let ids = format!("{} and {}", one.id, other.id);
            Err(Failure::failed(format!("several owners are named {text}, among them {ids}: give the id")))
        }
    }
}

/// Finds a role by its id, its code or its name.
pub(crate) async fn find_role(keyward: &Keyward, text: &str) -> Result<(Role, u64), Failure> {
    let (id, name) = (text.parse::<RoleId>().ok(), comparable(text));
    let all = keyward.roles().list().await?;
    let is = |(role, _): &&(Role, u64)| match id {
        Some(id) => role.id == id,
        None => role.code.as_deref() == Some(text) || comparable(&role.name) == name,
    };
    let found = all.iter().find(is).cloned();
    found.ok_or_else(|| Failure::NotFound(format!("there is no role {text}: `keyward role list` lists them")))
}

/// Finds several roles.
pub(crate) async fn find_roles(keyward: &Keyward, texts: &[String]) -> Result<Vec<RoleId>, Failure> {
    let mut ids = Vec::with_capacity(texts.len());
    for text in texts {
        ids.push(find_role(keyward, text).await?.0.id);
    }
    Ok(ids)
}

/// Returns all roles by id.
pub(crate) async fn roles_by_id(keyward: &Keyward) -> Result<HashMap<RoleId, Role>, Failure> {
    Ok(keyward.roles().list().await?.into_iter().map(|(role, _)| (role.id, role)).collect())
}

/// Returns the text by which people know an owner.
pub(crate) fn owner_text(owner: &Owner) -> String {
    if owner.email.is_empty() { owner.display_name() } else { owner.email.clone() }
}
