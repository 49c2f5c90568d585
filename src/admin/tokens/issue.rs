//! Issuing.

use super::read::{DescribedToken, one};
use super::{Tokens, access_facts, audit_json, ensure_available, find, within};
use crate::admin::bounds::{ACTIONS, GRANTS, too_long, too_many};
use crate::admin::error::{FieldErrors, described, named};
use crate::admin::write::{Item, UnitOfWork};
use crate::admin::{Lifespan, ServiceError};
use crate::domain::{
    Action, AuditAction, AuditTarget, ContentAccess, Grant, Issued, OwnerId, Secret, Tag, Token, TokenAuthority,
    TokenKind, TokenKinds,
};
use crate::store::NewToken;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

/// An admin token to be.
#[derive(Clone, Debug)]
pub struct NewAdminToken {
    /// Unique among admin and content tokens.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Whom it belongs to, for ever.
    pub owner: OwnerId,
    /// What it carries: a subset of what the owner may do.
    pub grants: Vec<Grant>,
    /// How long it lives.
    pub lifespan: Lifespan,
}

impl NewAdminToken {
    /// A token of this name and owner that carries nothing and lives 30 days.
    ///
    /// ```
    /// use keyward::admin::Lifespan;
    /// use keyward::{Grant, NewAdminToken, OwnerId};
    /// let deploy = NewAdminToken::new("deploy", OwnerId(1)).grants([Grant::new("admin::webhooks.read")]).lifespan(Lifespan::days(7));
    /// ```
    pub fn new(name: impl Into<String>, owner: OwnerId) -> Self {
        let (name, description) = (name.into(), String::new());
        Self { name, description, owner, grants: Vec::new(), lifespan: Lifespan::days(30) }
    }

    /// The same with a description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The same with these grants.
    #[must_use]
    pub fn grants(mut self, grants: impl IntoIterator<Item = Grant>) -> Self {
        self.grants = grants.into_iter().collect();
        self
    }

    /// The same for this time.
    #[must_use]
    pub fn lifespan(mut self, lifespan: Lifespan) -> Self {
        self.lifespan = lifespan;
        self
    }
}

/// A content token to be.
#[derive(Clone, Debug)]
pub struct NewContentToken {
    /// Unique among admin and content tokens.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it may do.
    pub access: ContentAccess,
    /// How long it lives.
    pub lifespan: Lifespan,
}

impl NewContentToken {
    /// A token of this name and access that lives 30 days.
    pub fn new(name: impl Into<String>, access: ContentAccess) -> Self {
        Self { name: name.into(), description: String::new(), access, lifespan: Lifespan::days(30) }
    }

    /// The same with a description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The same for this time.
    #[must_use]
    pub fn lifespan(mut self, lifespan: Lifespan) -> Self {
        self.lifespan = lifespan;
        self
    }
}

/// A session to be.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Who signed in.
    pub owner: OwnerId,
    /// It ends when it was not used for this long, to the minute: use is noted once a minute. At least two minutes.
    pub idle: Duration,
    /// It ends after this long in any case.
    pub lifespan: Duration,
}

/// A token that was issued just now, with its secret.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The record.
    pub token: Token,
    /// What to hand over.
    pub secret: Secret,
    /// Read with it: when it is told, the store may not be there to be asked any more.
    beside: Option<Box<DescribedToken>>,
}

impl IssuedToken {
    /// A token of which there is no more to tell.
    #[cfg(feature = "people")]
    pub(in crate::admin) fn alone(token: Token, secret: Secret) -> Self {
        Self { token, secret, beside: None }
    }

    /// What a change has made, as its transaction sees it.
    pub(in crate::admin) async fn within(
        draft: &mut UnitOfWork,
        token: Token,
        secret: Secret,
    ) -> Result<Self, ServiceError> {
        let beside = match token.kind() {
            TokenKind::Admin => Some(Box::new(one(&mut *draft.tx, token.clone()).await?)),
            TokenKind::Content | TokenKind::Session => None,
        };
        Ok(Self { token, secret, beside })
    }

    /// The admin or content token as [`Tokens::list`] tells it, as it was when it was issued.
    #[cfg_attr(not(any(feature = "api", feature = "ui")), allow(dead_code, reason = "for the rooms that answer HTTP"))]
    pub(crate) fn described(self) -> DescribedToken {
        self.beside.map_or_else(|| DescribedToken::alone(self.token), |described| *described)
    }
}

impl Tokens {
    /// Issues an admin token.
    ///
    /// # Errors
    /// If the name is empty or taken, the lifespan is not to be had, the owner does not exist, is not active or is somebody else than
    /// the person who asks, a grant names what is not registered, is there twice or lies beyond what the owner may do, the owner has as many
    /// tokens as [`Policy::tokens_per_owner`](crate::admin::Policy::tokens_per_owner) allows, or conditions were chosen for an owner who is no super admin. A token issues none.
    pub async fn issue_admin(&self, new: NewAdminToken) -> Result<IssuedToken, ServiceError> {
        self.may_change()?;
        let mut wrong = FieldErrors::default();
        let (name, description) = self.texts(&new.name, &new.description, &mut wrong)?;
        self.lives(new.lifespan, &mut wrong)?;
        let issued = self.change.issue(TokenKind::Admin)?;
        let tokens = self.clone();
        self.insert(issued, move |draft, issued| {
            Box::pin(async move {
                let grantor = draft.grantor().await?;
                if !grantor.is_program() && !grantor.is(new.owner) {
                    return Err(ServiceError::Forbidden("a token belongs to whoever issues it"));
                }
                tokens.registered(&new.grants, &[], &mut wrong);
                wrong.done()?;
                active(draft, new.owner).await?;
                within(draft, new.owner, &new.grants).await?;
                draft.room_for_admin_token(new.owner).await?;
                // That a name is taken tells of tokens of others: so it is asked last.
                ensure_available(draft, &name, None).await?;
                let authority = TokenAuthority::Admin { owner: new.owner, grants: new.grants };
                Ok(record(issued, name, description, new.lifespan.limit(), authority))
            })
        })
        .await
    }

    /// Issues a content token.
    ///
    /// # Errors
    /// If the name is empty or taken, the lifespan is not to be had, or the custom list is empty or names what is not registered, or
    /// there are as many content tokens as [`Policy::content_tokens`](crate::admin::Policy::content_tokens) allows. A token issues none.
    pub async fn issue_content(&self, new: NewContentToken) -> Result<IssuedToken, ServiceError> {
        self.may_change()?;
        let mut wrong = FieldErrors::default();
        let (name, description) = self.texts(&new.name, &new.description, &mut wrong)?;
        self.lives(new.lifespan, &mut wrong)?;
        let issued = self.change.issue(TokenKind::Content)?;
        let tokens = self.clone();
        self.insert(issued, move |draft, issued| {
            Box::pin(async move {
                draft.grantor().await?;
                tokens.accessible(&new.access, None, &mut wrong);
                wrong.done()?;
                ensure_available(draft, &name, None).await?;
                draft.room_for_content_token().await?;
                let authority = TokenAuthority::Content { access: new.access };
                Ok(record(issued, name, description, new.lifespan.limit(), authority))
            })
        })
        .await
    }

    /// Opens a session for an owner. Whoever calls this has made sure that it is them; it is for programs that sign people in
    /// by other means than [`Sessions`](crate::admin::Sessions).
    ///
    /// # Errors
    /// If the owner does not exist or is not active, the idle time is under two minutes, or somebody else than the program asks.
    pub async fn open_session(&self, new: NewSession) -> Result<IssuedToken, ServiceError> {
        if new.idle < Duration::from_secs(120) {
            return Err(ServiceError::invalid("idle", "must be at least two minutes"));
        }
        let issued = self.change.issue(TokenKind::Session)?;
        self.insert(issued, move |draft, issued| {
            Box::pin(async move {
                if !draft.grantor().await?.is_program() {
                    return Err(ServiceError::Forbidden("only the program opens sessions"));
                }
                active(draft, new.owner).await?;
                draft.end_oldest_sessions(new.owner).await?;
                let authority = TokenAuthority::Session { owner: new.owner, idle: new.idle };
                Ok(record(issued, String::new(), String::new(), Some(new.lifespan), authority))
            })
        })
        .await
    }

    pub(super) fn texts(
        &self,
        name: &str,
        description: &str,
        wrong: &mut FieldErrors,
    ) -> Result<(String, String), ServiceError> {
        let name = wrong.take(named("name", name))?.unwrap_or_default();
        let description = wrong.take(described("description", description))?.unwrap_or_default();
        Ok((name, description))
    }

    fn lives(&self, lifespan: Lifespan, wrong: &mut FieldErrors) -> Result<(), ServiceError> {
        let by_person = matches!(self.change.origin.actor, crate::domain::Actor::Person(_));
        wrong.take(self.change.policy().durations.check(lifespan, by_person)).map(drop)
    }

    /// Says what of these grants is too much, or is not registered and not there already.
    pub(super) fn registered(&self, grants: &[Grant], before: &[Grant], wrong: &mut FieldErrors) {
        fn items(grants: &[Grant]) -> impl Iterator<Item = Item<'_>> {
            grants.iter().map(|g| (&g.scope, g.chosen.as_slice()))
        }
        if !too_long("grants", grants.len(), GRANTS, wrong) {
            too_many("grants", items(grants), wrong);
            self.change.writer.unregistered("grants", items(grants), items(before), wrong);
        }
    }

    /// Says what is wrong with an access, and is not there already.
    pub(super) fn accessible(&self, access: &ContentAccess, before: Option<&ContentAccess>, wrong: &mut FieldErrors) {
        let before: &[Action] = match before {
            Some(ContentAccess::Custom(actions)) => actions,
            _ => &[],
        };
        let ContentAccess::Custom(actions) = access else { return };
        if actions.is_empty() {
            wrong.say("access", "a custom token names at least one action");
        }
        if too_long("access", actions.len(), ACTIONS, wrong) {
            return;
        }
        let catalogue = self.change.writer.settings.catalogue.as_ref();
        let known: Option<HashSet<&Action>> =
            catalogue.map(|catalogue| catalogue.content_actions().iter().chain(before).collect());
        let mut there = HashSet::new();
        for (i, action) in actions.iter().enumerate() {
            if !there.insert(action) {
                wrong.say(format!("access.{i}"), "is there twice");
            } else if known.as_ref().is_some_and(|known| !known.contains(action)) {
                wrong.say(format!("access.{i}"), format!("there is no content action {action}"));
            }
        }
    }

    async fn insert<F>(&self, issued: Issued, check: F) -> Result<IssuedToken, ServiceError>
    where
        F: for<'d> FnOnce(&'d mut UnitOfWork, Issued) -> BoxFuture<'d, Result<(NewToken, Secret), ServiceError>>
            + Send
            + 'static,
    {
        self.change
            .make(move |draft| {
                Box::pin(async move {
                    let (new, secret) = check(draft, issued).await?;
                    insert(draft, new, secret, AuditAction::TokenIssued).await
                })
            })
            .await
    }
}

/// Adds a token, seals its secret where that is configured, and remembers it.
pub(in crate::admin) async fn insert(
    draft: &mut UnitOfWork,
    new: NewToken,
    secret: Secret,
    what: AuditAction,
) -> Result<IssuedToken, ServiceError> {
    let (digest, mut details) = (new.digest, facts(&new));
    let id = draft.tx.insert_token(new).await?;
    let token = find(&mut *draft.tx, id, TokenKinds::of(&TokenKind::ALL)).await?;
    seal(draft, &token, &secret).await?;
    draft.touch(Tag::token(&digest));
    if token.kind() != TokenKind::Session {
        details["expiresAt"] = json!(token.expires_at.map(|at| at.to_string()));
    }
    draft.audit(what, AuditTarget::Token(id, token.kind()), details).await?;
    IssuedToken::within(draft, token, secret).await
}

/// A new token, as the audit log tells it.
pub(in crate::admin) fn facts(new: &NewToken) -> serde_json::Value {
    let lifespan = new.lifespan.map(|l| u64::try_from(l.as_millis()).unwrap_or(u64::MAX));
    let mut details = json!({"name": new.name, "description": new.description, "lifespan": lifespan});
    match &new.authority {
        TokenAuthority::Admin { owner, grants } => {
            details["owner"] = json!(owner);
            details["grants"] = grants.iter().map(audit_json).collect();
        }
        TokenAuthority::Content { access } => details["access"] = access_facts(access),
        TokenAuthority::Session { owner, .. } => details = json!({"owner": owner}),
    }
    details
}

/// Keeps the secret of an admin or content token sealed, if there is an encryption key.
pub(super) async fn seal(draft: &mut UnitOfWork, token: &Token, secret: &Secret) -> Result<(), ServiceError> {
    let writer = draft.writer.clone();
    let Some(keys) = writer.settings.encryption.as_ref().filter(|_| token.kind() != TokenKind::Session) else {
        return Ok(());
    };
    let sealed = keys.seal(token.id, secret, &*writer.entropy)?;
    Ok(draft.tx.seal_secret(token.id, &sealed).await?)
}

pub(in crate::admin) fn record(
    issued: Issued,
    name: String,
    description: String,
    lifespan: Option<Duration>,
    authority: TokenAuthority,
) -> (NewToken, Secret) {
    let Issued { secret, digest, hash_key } = issued;
    let hint = secret.hint().to_owned();
    (NewToken { name, description, digest, hash_key, hint, lifespan, authority }, secret)
}

async fn active(draft: &mut UnitOfWork, owner: OwnerId) -> Result<(), ServiceError> {
    let owner = draft.tx.owner(owner).await?.ok_or(ServiceError::NotFound("owner"))?;
    if owner.state.is_active() { Ok(()) } else { Err(ServiceError::OwnerInactive) }
}
