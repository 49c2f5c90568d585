//! Issues tokens.

use super::child::count_tokens;
use super::limits::check_limits;
use super::load::CREATE_CONTENT;
use super::read::{DescribedToken, describe_one};
use super::{Tokens, check_grants, check_own_ceiling, ensure_name_available};
use crate::admin::actor::{ensure_person, load_completed};
use crate::admin::error::FieldErrors;
use crate::admin::metadata::checked_metadata;
use crate::admin::size_limits::{ACTIONS, GRANTS, is_too_long, report_oversized};
use crate::admin::state::ScopeWithConditions;
use crate::admin::text_fields::{checked_description, checked_name};
use crate::admin::unit_of_work::{UnitOfWork, Work};
use crate::admin::{Lifespan, ServiceError};
use crate::domain::{
    AccountKey, Action, Actor, ContentAccess, Digest, FieldName, Grant, HashKeyId, NewSecret, Owner, OwnerId, Secret,
    Timestamp, Token, TokenAuthority, TokenKind, TokenLimits,
};
use crate::store::{NameScope, NewToken};
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;

const NOT_YOURS: &str = "a token belongs to the person who issues it, or to an account that the person manages";

/// A new admin token.
#[derive(Clone, Debug)]
pub struct NewAdminToken {
    /// Unique among admin and content tokens, or among those of the owner: see [`TokenNames`](crate::admin::TokenNames).
    pub name: String,
    /// Free text.
    pub description: String,
    /// Metadata for the host: a JSON object of at most 2 048 bytes as text without spaces, and 32 levels. `None` and
    /// [`Value::Null`] are none. It is no place for secrets: readers of the token and of the audit log see it.
    pub metadata: Option<Value>,
    /// The owner. It never changes.
    pub owner: TokenOwner,
    /// The grants, which the owner's permissions cover.
    pub grants: Vec<Grant>,
    /// The lifespan.
    pub lifespan: Lifespan,
    /// The limits. By default there are none.
    pub limits: TokenLimits,
}

impl NewAdminToken {
    /// Creates a token of this name and owner, without grants, for 30 days.
    ///
    /// ```
    /// use keyward::admin::Lifespan;
    /// use keyward::{Grant, NewAdminToken, OwnerId};
    /// let deploy = NewAdminToken::new("deploy", OwnerId(1)).grants([Grant::new("admin::webhooks.read")]).lifespan(Lifespan::days(7));
    /// ```
    ///
    /// The owner is an [`OwnerId`], or the key of an [account of the host](crate::accounts).
    pub fn new(name: impl Into<String>, owner: impl Into<TokenOwner>) -> Self {
        let (name, description) = (name.into(), String::new());
        Self {
            name,
            description,
            metadata: None,
            owner: owner.into(),
            grants: Vec::new(),
            lifespan: Lifespan::days(30),
            limits: TokenLimits::none(),
        }
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: TokenLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the metadata: see the field [`metadata`](Self::metadata).
    ///
    /// ```
    /// use keyward::{NewAdminToken, OwnerId};
    /// use serde_json::json;
    /// let deploy = NewAdminToken::new("deploy", OwnerId(1)).metadata(json!({"team": "ci", "ticket": 42}));
    /// ```
    #[must_use]
    pub fn metadata(mut self, metadata: Value) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Sets the grants.
    #[must_use]
    pub fn grants(mut self, grants: impl IntoIterator<Item = Grant>) -> Self {
        self.grants = grants.into_iter().collect();
        self
    }

    /// Sets the lifespan.
    #[must_use]
    pub fn lifespan(mut self, lifespan: Lifespan) -> Self {
        self.lifespan = lifespan;
        self
    }
}

/// The owner of a new token.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TokenOwner {
    /// The owner with this id.
    Id(OwnerId),
    /// The account of the host with this key. keyward adds it as an owner when it gets its first token.
    Account(AccountKey),
}

impl From<OwnerId> for TokenOwner {
    fn from(id: OwnerId) -> Self {
        Self::Id(id)
    }
}

impl From<AccountKey> for TokenOwner {
    fn from(key: AccountKey) -> Self {
        Self::Account(key)
    }
}

impl From<&AccountKey> for TokenOwner {
    fn from(key: &AccountKey) -> Self {
        Self::Account(key.clone())
    }
}

/// A new content token.
#[derive(Clone, Debug)]
pub struct NewContentToken {
    /// Unique among admin and content tokens, or among content tokens: see [`TokenNames`](crate::admin::TokenNames).
    pub name: String,
    /// Free text.
    pub description: String,
    /// Metadata for the host: a JSON object of at most 2 048 bytes as text without spaces, and 32 levels. `None` and
    /// [`Value::Null`] are none. It is no place for secrets: readers of the token and of the audit log see it.
    pub metadata: Option<Value>,
    /// The actions that it allows.
    pub access: ContentAccess,
    /// The lifespan.
    pub lifespan: Lifespan,
    /// The limits. By default there are none.
    pub limits: TokenLimits,
}

impl NewContentToken {
    /// Creates a token of this name and access, for 30 days.
    pub fn new(name: impl Into<String>, access: ContentAccess) -> Self {
        let (name, description) = (name.into(), String::new());
        let (lifespan, limits) = (Lifespan::days(30), TokenLimits::none());
        Self { name, description, metadata: None, access, lifespan, limits }
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: TokenLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the metadata: see the field [`metadata`](Self::metadata).
    ///
    /// ```
    /// use keyward::NewContentToken;
    /// use keyward::token::ContentAccess;
    /// use serde_json::json;
    /// let shop = NewContentToken::new("shop", ContentAccess::ReadOnly).metadata(json!({"team": "shop"}));
    /// ```
    #[must_use]
    pub fn metadata(mut self, metadata: Value) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Sets the lifespan.
    #[must_use]
    pub fn lifespan(mut self, lifespan: Lifespan) -> Self {
        self.lifespan = lifespan;
        self
    }
}

/// A new session.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The owner who signed in.
    pub owner: OwnerId,
    /// The session ends when it was not used for this long. Use is noted once a minute. At least two minutes.
    pub idle: Duration,
    /// The session ends after this long in any case.
    pub lifespan: Duration,
}

/// A token that was just issued, with its secret.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: Token,
    /// The secret to hand over.
    pub secret: Secret,
    /// Loaded in the transaction that issued the token: afterwards the store may be unavailable.
    described: Option<Box<DescribedToken>>,
}

impl IssuedToken {
    /// Creates a token without a description by its owner and conditions.
    pub(in crate::admin) fn new(token: Token, secret: Secret) -> Self {
        Self { token, secret, described: None }
    }

    /// Loads the description of an admin token.
    pub(in crate::admin) async fn describe(
        unit: &mut UnitOfWork<'_>,
        token: Token,
        secret: Secret,
    ) -> Result<Self, ServiceError> {
        let described = match token.kind() {
            TokenKind::Admin => {
                let state = unit.state.clone();
                Some(Box::new(describe_one(unit.view(), state.resolver.accounts(), token.clone()).await?))
            }
            TokenKind::Content | TokenKind::Session => None,
        };
        Ok(Self { token, secret, described })
    }

    /// Returns the token as [`Tokens::list`] describes it, as it was when it was issued.
    #[cfg_attr(
        not(any(feature = "api", feature = "ui")),
        allow(dead_code, reason = "only the management API and the pages describe issued tokens")
    )]
    pub(crate) fn described(self) -> DescribedToken {
        self.described.map_or_else(|| DescribedToken::new(self.token), |described| *described)
    }
}

impl Tokens {
    /// Issues an admin token: for the host program to any owner, for a person to itself and to the service accounts that it
    /// [manages](crate::accounts::Accounts::manages).
    ///
    /// # Errors
    /// - [`Invalid`](ServiceError::Invalid) if the name is empty, the metadata is not valid, the policy does not allow the lifespan, the owner has as many tokens as
    ///   [`Policy::tokens_per_owner`](crate::admin::Policy::tokens_per_owner) allows, or a grant names something that is not registered, is
    ///   listed twice, is not covered by the owner's permissions, or has conditions although the owner is not a super admin;
    /// - [`Taken`](ServiceError::Taken) if the name is taken;
    /// - [`NotFound`](ServiceError::NotFound) if there is no such owner, [`OwnerInactive`](ServiceError::OwnerInactive) if it is not active;
    /// - [`Forbidden`](ServiceError::Forbidden) if the actor is a token, or a person who neither is the owner nor
    ///   [manages](crate::accounts::Accounts::manages) it.
    pub async fn issue_admin(&self, new: NewAdminToken) -> Result<IssuedToken, ServiceError> {
        self.context.transact(self.issue_admin_work(new)?).await
    }

    /// Returns the work of [`issue_admin`](Self::issue_admin).
    pub(super) fn issue_admin_work(&self, new: NewAdminToken) -> Result<Work<IssuedToken>, ServiceError> {
        self.may_change()?;
        let mut errors = FieldErrors::default();
        let new = self.checked_admin(new, &mut errors)?;
        let issued = self.context.issue(TokenKind::Admin)?;
        let tokens = self.clone();
        Ok(Box::new(move |unit| Box::pin(issue_admin(unit, tokens, new, errors, issued))))
    }

    /// Returns a new token with its texts as stored, and reports errors of these.
    pub(super) fn checked_admin(
        &self,
        new: NewAdminToken,
        errors: &mut FieldErrors,
    ) -> Result<NewAdminToken, ServiceError> {
        let (name, description) = check_texts(&new.name, &new.description, errors)?;
        Ok(NewAdminToken { name, description, ..new })
    }

    /// Issues a content token: for the host program, people of keyward's own, and accounts of the host with the action
    /// `admin::api-tokens.create`.
    ///
    /// # Errors
    /// - [`Invalid`](ServiceError::Invalid) if the name is empty, the metadata is not valid, the policy does not allow the lifespan, the custom list is empty or names
    ///   an action that is not registered, or there are as many content tokens as
    ///   [`Policy::content_tokens`](crate::admin::Policy::content_tokens) allows;
    /// - [`Taken`](ServiceError::Taken) if the name is taken;
    /// - [`Forbidden`](ServiceError::Forbidden) if the actor is a token, or an account without the action.
    pub async fn issue_content(&self, new: NewContentToken) -> Result<IssuedToken, ServiceError> {
        self.context.transact(self.issue_content_work(new)?).await
    }

    /// Returns the work of [`issue_content`](Self::issue_content).
    pub(super) fn issue_content_work(&self, new: NewContentToken) -> Result<Work<IssuedToken>, ServiceError> {
        self.may_change()?;
        let mut errors = FieldErrors::default();
        let new = self.checked_content(new, &mut errors)?;
        let issued = self.context.issue(TokenKind::Content)?;
        let tokens = self.clone();
        Ok(Box::new(move |unit| Box::pin(issue_content(unit, tokens, new, errors, issued))))
    }

    /// Returns a new token with its texts as stored, and reports errors of these.
    pub(super) fn checked_content(
        &self,
        new: NewContentToken,
        errors: &mut FieldErrors,
    ) -> Result<NewContentToken, ServiceError> {
        let (name, description) = check_texts(&new.name, &new.description, errors)?;
        Ok(NewContentToken { name, description, ..new })
    }

    /// Opens a session for an owner whom the host program has authenticated, by other means than
    /// [`Sessions`](crate::admin::Sessions).
    ///
    /// # Errors
    /// - [`Invalid`](ServiceError::Invalid) if the idle time is under two minutes;
    /// - [`NotFound`](ServiceError::NotFound) if there is no such owner, [`OwnerInactive`](ServiceError::OwnerInactive) if it is not active;
    /// - [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program.
    pub async fn open_session(&self, new: NewSession) -> Result<IssuedToken, ServiceError> {
        if new.idle < Duration::from_secs(120) {
            return Err(ServiceError::invalid(FieldName::Idle, "must be at least two minutes"));
        }
        let issued = self.context.issue(TokenKind::Session)?;
        self.context.transact(move |unit| Box::pin(open_session(unit, new, issued))).await
    }

    fn check_lifespan(&self, lifespan: Lifespan, now: Timestamp, errors: &mut FieldErrors) -> Result<(), ServiceError> {
        let by_person = matches!(self.context.origin.actor, Actor::Person(_));
        errors.collect(self.context.policy().durations.check(lifespan, by_person, now)).map(drop)
    }

    /// Reports grants that exceed the size limits, or name something that is neither registered nor in the token already.
    pub(super) fn check_registered(&self, grants: &[Grant], before: &[Grant], errors: &mut FieldErrors) {
        fn items(grants: &[Grant]) -> impl Iterator<Item = ScopeWithConditions<'_>> {
            grants.iter().map(|g| (&g.scope, g.chosen.as_slice()))
        }
        let list = FieldName::Grants;
        if !is_too_long(list, grants.len(), GRANTS, errors) {
            report_oversized(list, items(grants), errors);
            self.context.state.report_unregistered(list, items(grants), items(before), errors);
        }
    }

    /// Reports an invalid custom access. Actions that it had before are valid.
    pub(super) fn check_access(
        &self,
        access: &ContentAccess,
        before: Option<&ContentAccess>,
        errors: &mut FieldErrors,
    ) {
        let before: &[Action] = match before {
            Some(ContentAccess::Custom(actions)) => actions,
            _ => &[],
        };
        let ContentAccess::Custom(actions) = access else { return };
        if actions.is_empty() {
            errors.add(FieldName::Access, "a custom token names at least one action");
        }
        if is_too_long(FieldName::Access, actions.len(), ACTIONS, errors) {
            return;
        }
        let catalogue = self.context.state.settings.catalogue.as_ref();
        let known: Option<HashSet<&Action>> =
            catalogue.map(|catalogue| catalogue.content_actions().iter().chain(before).collect());
        let mut listed = HashSet::new();
        for (i, action) in actions.iter().enumerate() {
            if !listed.insert(action) {
                errors.add(FieldName::Access.at(i), "is there twice");
            } else if known.as_ref().is_some_and(|known| !known.contains(action)) {
                errors.add(FieldName::Access.at(i), format!("there is no content action {action}"));
            }
        }
    }
}

/// The key of a new token.
pub(super) struct NewKey {
    pub(super) digest: Digest,
    pub(super) hash_key: HashKeyId,
    /// Empty if the secret is not known.
    pub(super) hint: String,
}

impl NewKey {
    pub(super) fn of(issued: NewSecret) -> (Self, Secret) {
        let NewSecret { secret, digest, hash_key } = issued;
        (Self { digest, hash_key, hint: secret.hint().to_owned() }, secret)
    }
}

async fn issue_admin(
    unit: &mut UnitOfWork<'_>,
    tokens: Tokens,
    new: NewAdminToken,
    errors: FieldErrors,
    issued: NewSecret,
) -> Result<IssuedToken, ServiceError> {
    let (key, secret) = NewKey::of(issued);
    let new = admin_token(unit, tokens, new, errors, key).await?;
    insert(unit, (new, secret)).await
}

/// Returns the record of a new admin token if all rules allow it.
pub(super) async fn admin_token(
    unit: &mut UnitOfWork<'_>,
    tokens: Tokens,
    new: NewAdminToken,
    mut errors: FieldErrors,
    key: NewKey,
) -> Result<NewToken, ServiceError> {
    let NewAdminToken { name, description, metadata, owner, grants, lifespan, limits } = new;
    let metadata = errors.collect(checked_metadata(metadata))?.flatten();
    let grantor = unit.grantor().await?;
    let owner = match owner {
        TokenOwner::Id(id) => id,
        // Not for others: an account is added only for those who may issue its tokens.
        TokenOwner::Account(key) => match unit.load_account(&key).await? {
            Some(owner) => owner.id,
            None if grantor.is_program() || unit.manages_account(&grantor, &key).await? => {
                unit.owner_of_account(&key).await?.id
            }
            None => return Err(ServiceError::Forbidden(NOT_YOURS)),
        },
    };
    if !unit.manages(&grantor, owner).await? {
        return Err(ServiceError::Forbidden(NOT_YOURS));
    }
    tokens.check_lifespan(lifespan, unit.now(), &mut errors)?;
    check_limits(&limits, &mut errors);
    tokens.check_registered(&grants, &[], &mut errors);
    let (span, rules) = (lifespan.from(unit.now()), unit.rules_of(Some(owner)).await?);
    let count = count_tokens(unit, owner, &rules).await?;
    rules.check_new((&name, span, &limits), Some(count + 1), &mut errors);
    errors.into_result()?;
    ensure_active(unit, owner).await?;
    check_grants(unit, owner, &grants).await?;
    check_own_ceiling(&grantor, owner, &grants)?;
    let most = unit.state.settings.policy.tokens_per_owner;
    if count >= most {
        return Err(limit_reached(FieldName::Owner, most, "admin tokens of an owner"));
    }
    // Checked last: that a name is taken tells about tokens of others.
    let scope = unit.state.settings.policy.name_scope(Some(owner));
    ensure_name_available(unit, &name, scope, None).await?;
    let NewKey { digest, hash_key, hint } = key;
    Ok(NewToken {
        name,
        scope,
        description,
        metadata,
        digest,
        hash_key,
        hint,
        lifespan: span,
        authority: TokenAuthority::Admin { owner, grants },
        limits,
        parent: None,
    })
}

async fn issue_content(
    unit: &mut UnitOfWork<'_>,
    tokens: Tokens,
    new: NewContentToken,
    errors: FieldErrors,
    issued: NewSecret,
) -> Result<IssuedToken, ServiceError> {
    let (key, secret) = NewKey::of(issued);
    let new = content_token(unit, tokens, new, errors, key).await?;
    insert(unit, (new, secret)).await
}

/// Returns the record of a new content token if all rules allow it.
pub(super) async fn content_token(
    unit: &mut UnitOfWork<'_>,
    tokens: Tokens,
    new: NewContentToken,
    mut errors: FieldErrors,
    key: NewKey,
) -> Result<NewToken, ServiceError> {
    let NewContentToken { name, description, metadata, access, lifespan, limits } = new;
    let metadata = errors.collect(checked_metadata(metadata))?.flatten();
    if !unit.grantor().await?.reaches_content_tokens(CREATE_CONTENT) {
        return Err(ServiceError::Forbidden("issuing content tokens takes the action admin::api-tokens.create"));
    }
    tokens.check_lifespan(lifespan, unit.now(), &mut errors)?;
    check_limits(&limits, &mut errors);
    tokens.check_access(&access, None, &mut errors);
    let span = lifespan.from(unit.now());
    unit.rules_of(None).await?.check_new((&name, span, &limits), None, &mut errors);
    errors.into_result()?;
    let scope = unit.state.settings.policy.name_scope(None);
    ensure_name_available(unit, &name, scope, None).await?;
    let most = unit.state.settings.policy.content_tokens;
    if unit.view().count_tokens(TokenKind::Content, None).await? >= most {
        return Err(limit_reached(FieldName::Kind, most, "content tokens"));
    }
    let NewKey { digest, hash_key, hint } = key;
    Ok(NewToken {
        name,
        scope,
        description,
        metadata,
        digest,
        hash_key,
        hint,
        lifespan: span,
        authority: TokenAuthority::Content { access },
        limits,
        parent: None,
    })
}

async fn open_session(
    unit: &mut UnitOfWork<'_>,
    new: NewSession,
    issued: NewSecret,
) -> Result<IssuedToken, ServiceError> {
    let NewSession { owner, idle, lifespan } = new;
    if !unit.grantor().await?.is_program() {
        return Err(ServiceError::Forbidden("only the host program can open sessions"));
    }
    ensure_person(&ensure_active(unit, owner).await?)?;
    let authority = TokenAuthority::Session { owner, idle };
    insert(unit, new_token(issued, String::new(), String::new(), Some(lifespan), authority)).await
}

pub(super) async fn insert(
    unit: &mut UnitOfWork<'_>,
    (new, secret): (NewToken, Secret),
) -> Result<IssuedToken, ServiceError> {
    let token = unit.issue_token(new, &secret).await?;
    IssuedToken::describe(unit, token, secret).await
}

fn check_texts(name: &str, description: &str, errors: &mut FieldErrors) -> Result<(String, String), ServiceError> {
    let name = errors.collect(checked_name(FieldName::Name, name))?.unwrap_or_default();
    let description = errors.collect(checked_description(FieldName::Description, description))?.unwrap_or_default();
    Ok((name, description))
}

pub(super) fn limit_reached(field: FieldName, most: u64, of: &str) -> ServiceError {
    ServiceError::invalid(field, format!("there are already {most} {of}, which is the limit: delete one first"))
}

/// Returns the record of a new token without metadata, whose name is unique in the installation, and its secret.
pub(in crate::admin) fn new_token(
    issued: NewSecret,
    name: String,
    description: String,
    lifespan: Option<Duration>,
    authority: TokenAuthority,
) -> (NewToken, Secret) {
    let (NewKey { digest, hash_key, hint }, secret) = NewKey::of(issued);
    (
        NewToken {
            name,
            scope: NameScope::Installation,
            description,
            metadata: None,
            digest,
            hash_key,
            hint,
            lifespan,
            authority,
            limits: TokenLimits::none(),
            parent: None,
        },
        secret,
    )
}

pub(super) async fn ensure_active(unit: &mut UnitOfWork<'_>, owner: OwnerId) -> Result<Owner, ServiceError> {
    let state = unit.state.clone();
    let owner = load_completed(unit.view(), state.resolver.accounts(), owner).await?;
    let (owner, _) = owner.ok_or(ServiceError::NotFound("owner"))?;
    if owner.state.is_active() { Ok(owner) } else { Err(ServiceError::OwnerInactive) }
}
