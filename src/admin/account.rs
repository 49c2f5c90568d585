//! What every change of a person's account has in common, whoever makes it.

use super::ServiceError;
use super::error::{FieldErrors, named, shows};
use super::write::UnitOfWork;
use crate::domain::{
    AllowedHidden, AuditAction, AuditTarget, Owner, OwnerId, PasswordHash, Tag, TokenKind, comparable, compose,
};
use crate::store::{Paging, Profile, TokenQuery, TokenSort, View};
use serde_json::{Map, Value, json};

/// The parts of a profile that are to change, as they were given.
#[derive(Clone, Default)]
pub(super) struct ProfileChange {
    pub(super) email: Option<String>,
    pub(super) firstname: Option<String>,
    pub(super) lastname: Option<String>,
    pub(super) username: Option<Option<String>>,
}

impl ProfileChange {
    /// The same as it is kept; says what is wrong with it.
    pub(super) fn checked(self, wrong: &mut FieldErrors) -> Result<Self, ServiceError> {
        let Self { email, firstname, lastname, username } = self;
        let mut name = |path: &str, text: Option<String>| match text {
            Some(text) if text.trim().is_empty() => Ok(Some(String::new())),
            Some(text) => wrong.take(named(path, &text)),
            None => Ok(None),
        };
        let firstname = name("firstname", firstname)?;
        let lastname = name("lastname", lastname)?;
        let username = match username {
            Some(Some(text)) => name("username", Some(text))?.map(|name| Some(name).filter(|n| !n.is_empty())),
            other => other,
        };
        let email = email.map(|email| wrong.take(address("email", &email))).transpose()?.flatten();
        Ok(Self { email, firstname, lastname, username })
    }

    /// A profile with these changes.
    pub(super) fn onto(self, before: &Owner) -> Profile {
        Profile {
            email: self.email.unwrap_or_else(|| before.email.clone()),
            firstname: self.firstname.unwrap_or_else(|| before.firstname.clone()),
            lastname: self.lastname.unwrap_or_else(|| before.lastname.clone()),
            username: self.username.unwrap_or_else(|| before.username.clone()),
        }
    }
}

/// The most bytes of an e-mail address (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const ADDRESS_LENGTH: usize = 254;

/// An e-mail address as it is kept: trimmed, in lower case and composed (NFC). Only a message to it tells whether it is read.
pub(super) fn address(path: &str, text: &str) -> Result<String, ServiceError> {
    let text = text.trim();
    let too_long = || ServiceError::invalid(path, format!("must have at most {ADDRESS_LENGTH} bytes"));
    if text.len() > 4 * ADDRESS_LENGTH {
        return Err(too_long());
    }
    let text = compose(&text.to_lowercase());
    let parts = text.split_once('@').filter(|(who, host)| !who.is_empty() && !host.is_empty() && !host.contains('@'));
    if parts.is_none() || text.contains(char::is_whitespace) {
        return Err(ServiceError::invalid(path, "must be an e-mail address"));
    }
    shows(path, &text, AllowedHidden::None)?;
    // The form that is compared is kept too, and may be longer.
    if text.len() > ADDRESS_LENGTH || comparable(&text).len() > 4 * ADDRESS_LENGTH {
        return Err(too_long());
    }
    Ok(text)
}

pub(super) async fn found(view: &mut dyn View, id: OwnerId) -> Result<Owner, ServiceError> {
    view.owner(id).await?.ok_or(ServiceError::NotFound("owner"))
}

impl UnitOfWork {
    pub(super) async fn found(&mut self, id: OwnerId) -> Result<Owner, ServiceError> {
        found(&mut *self.tx, id).await
    }

    /// Refuses an address that somebody else has.
    pub(super) async fn ensure_available(&mut self, email: &str, own: Option<OwnerId>) -> Result<(), ServiceError> {
        match self.tx.owner_with_email(email).await? {
            Some(id) if own != Some(id) => Err(ServiceError::Taken { path: "email", message: "Email already taken" }),
            _ => Ok(()),
        }
    }

    /// Sets what is new of a profile. Whoever follows a link that went to an older address is not whom it was meant for: a
    /// new one ends invitations.
    pub(super) async fn set_profile(&mut self, before: &Owner, after: &Profile) -> Result<(), ServiceError> {
        let mut details = Map::new();
        let mut differ = |what: &str, before: Value, after: Value| {
            if before != after {
                details.insert(what.to_owned(), json!({"before": before, "after": after}));
            }
        };
        differ("email", json!(before.email), json!(after.email));
        differ("firstname", json!(before.firstname), json!(after.firstname));
        differ("lastname", json!(before.lastname), json!(after.lastname));
        differ("username", json!(before.username), json!(after.username));
        if details.is_empty() {
            return Ok(());
        }
        self.ensure_available(&after.email, Some(before.id)).await?;
        self.tx.update_owner(before.id, after).await?;
        if before.email != after.email && self.tx.delete_invitations(before.id).await? > 0 {
            details.insert("invitation".to_owned(), json!({"before": true, "after": false}));
        }
        self.touch(Tag::owner(before.id));
        self.audit(AuditAction::OwnerUpdated, AuditTarget::Owner(before.id), Value::Object(details)).await
    }

    /// Sets a password.
    pub(super) async fn set_password(&mut self, id: OwnerId, hash: &PasswordHash) -> Result<(), ServiceError> {
        self.tx.set_password(id, hash).await?;
        self.audit(AuditAction::PasswordSet, AuditTarget::Owner(id), json!({})).await
    }

    /// Ends all sessions of somebody, for good.
    pub(super) async fn end_sessions(&mut self, id: OwnerId) -> Result<(), ServiceError> {
        for session in self.tx.delete_sessions(id).await? {
            self.touch(Tag::token(&session));
        }
        self.touch(Tag::owner(id));
        Ok(())
    }

    /// Ends the oldest sessions of an owner who has as many as the policy allows: one more is about to be opened.
    pub(super) async fn end_oldest_sessions(&mut self, owner: OwnerId) -> Result<(), ServiceError> {
        let most = self.writer.settings.policy.sessions_per_owner.max(1);
        let count = self.tx.count_tokens(TokenKind::Session, Some(owner)).await?;
        let Some(beyond) = count.checked_sub(most - 1).filter(|beyond| *beyond > 0) else { return Ok(()) };
        let page_size = u32::try_from(beyond).unwrap_or(u32::MAX).min(Paging::LARGEST);
        let query = TokenQuery {
            paging: Paging { page: 1, page_size },
            owner: Some(owner),
            sort: TokenSort::Id,
            ..TokenQuery::of(TokenKind::Session)
        };
        for session in self.tx.tokens(&query).await?.items {
            self.tx.delete_token(session.id).await?;
            self.touch(Tag::token(&session.digest));
            let details = json!({"owner": owner, "reason": "too-many-sessions"});
            self.audit(AuditAction::SignedOut, AuditTarget::Token(session.id, TokenKind::Session), details).await?;
        }
        Ok(())
    }
}
