//! Mutations of owners that are accounts of the host.

use super::UnitOfWork;
use crate::admin::actor::{Grantor, ensure_person};
use crate::admin::{ServiceError, audit_details};
use crate::domain::{
    Account, AccountKey, AuditAction, AuditCause, AuditTarget, Ceiling, HashKeyId, Owner, OwnerId, OwnerState, Tag,
    TokenAuthority, TokenKind, TokenLimits, account_digest,
};
use crate::resolve::as_answered;
use crate::store::{Clamp, Clamped, NameScope, NewOwner, NewToken, Profile};
use serde_json::{Value, json};
use std::time::Duration;

/// The idle time of an account's session. A session has one, and this one is not meant to end by it.
const UNUSED_FOR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl UnitOfWork<'_> {
    /// Returns the owner that is this account, as the host has it. Adds it if keyward does not know it yet.
    pub(in crate::admin) async fn owner_of_account(&mut self, key: &AccountKey) -> Result<Owner, ServiceError> {
        let state = self.state.clone();
        let account = state.resolver.accounts().ask(key).await?.ok_or(ServiceError::NotFound("account"))?;
        match self.load_account(key).await? {
            Some(owner) => Ok(as_answered(owner, account).0),
            None => self.add_account(key, account).await,
        }
    }

    /// Returns whether the actor issues, changes and revokes tokens of this owner.
    pub(in crate::admin) async fn manages(&mut self, grantor: &Grantor, owner: OwnerId) -> Result<bool, ServiceError> {
        let state = self.state.clone();
        grantor.manages(&mut *self.tx, state.resolver.accounts(), owner).await
    }

    /// Returns whether the actor is this account, or manages it.
    pub(in crate::admin) async fn manages_account(
        &mut self,
        grantor: &Grantor,
        key: &AccountKey,
    ) -> Result<bool, ServiceError> {
        let state = self.state.clone();
        match grantor.owner.as_ref().and_then(|owner| owner.account.as_ref()) {
            Some(own) => Ok(own == key || state.resolver.accounts().manages(own, key).await?),
            None => Ok(false),
        }
    }

    /// Opens the session that stands for requests which the host has signed in as this account. It has no secret.
    pub(in crate::admin) async fn open_account_session(&mut self, key: &AccountKey) -> Result<(), ServiceError> {
        let owner = self.owner_of_account(key).await?;
        ensure_person(&owner)?;
        if !owner.state.is_active() {
            return Err(ServiceError::OwnerInactive);
        }
        let digest = account_digest(key);
        let new = NewToken {
            name: String::new(),
            scope: NameScope::Installation,
            description: String::new(),
            metadata: None,
            digest,
            hash_key: HashKeyId::of_accounts(),
            hint: String::new(),
            lifespan: None,
            authority: TokenAuthority::Session { owner: owner.id, idle: UNUSED_FOR },
            limits: TokenLimits::none(),
            parent: None,
        };
        let details = audit_details::new_token(&new);
        let id = self.tx.insert_token(new).await?;
        self.invalidate(Tag::token(&digest));
        self.audit(AuditAction::SignedIn, AuditTarget::Token(id, TokenKind::Session), details).await
    }

    /// Returns the owner that is this account, as the store has it.
    pub(in crate::admin) async fn load_account(&mut self, key: &AccountKey) -> Result<Option<Owner>, ServiceError> {
        match self.tx.owner_of_account(key).await? {
            Some(id) => Ok(Some(self.load_owner(id).await?)),
            None => Ok(None),
        }
    }

    async fn add_account(&mut self, key: &AccountKey, account: Account) -> Result<Owner, ServiceError> {
        let Account { name, email, is_active, kind, .. } = account;
        let details = json!({"account": key.as_str(), "name": name, "email": email});
        let new = NewOwner { account: Some(key.clone()), kind, firstname: name, ..NewOwner::new(email) };
        let id = self.tx.insert_owner(new.state(OwnerState::of(is_active, false))).await?;
        self.invalidate(Tag::owner(id));
        self.audit(AuditAction::OwnerCreated, AuditTarget::Owner(id), details).await?;
        self.load_owner(id).await
    }

    /// Sets what the store has of an account, and clamps its tokens. Those of a suspended or missing account are dead, and
    /// kept as they are; only [`delete_owner`](Self::delete_owner) takes them away.
    ///
    /// Returns `None` if nothing had to change. Then cached tokens of the account stay.
    pub(in crate::admin) async fn set_account(
        &mut self,
        before: &Owner,
        account: Option<Account>,
    ) -> Result<Option<Clamped>, ServiceError> {
        let id = before.id;
        let (after, ceiling) = match account {
            Some(account) => {
                let (after, ceiling) = as_answered(before.clone(), account);
                (after, Some(ceiling))
            }
            None => (Owner { state: OwnerState::Deactivated, ..before.clone() }, None),
        };
        let details = audit_details::changes([
            ("name", json!(before.firstname), json!(after.firstname)),
            ("email", json!(before.email), json!(after.email)),
        ]);
        let is_changed = !details.is_empty() || before.state != after.state;
        if !details.is_empty() {
            self.tx.update_owner(id, &profile(&after)).await?;
            self.audit(AuditAction::OwnerUpdated, AuditTarget::Owner(id), Value::Object(details)).await?;
        }
        if before.state != after.state {
            self.set_owner_state(before, after.state).await?;
        }
        let clamped = match ceiling.filter(|_| after.state.is_active()) {
            Some(ceiling) => self.clamp_account(id, &ceiling).await?,
            None => Clamped::default(),
        };
        if !is_changed && clamped == Clamped::default() {
            return Ok(None);
        }
        self.invalidate_account(before);
        Ok(Some(clamped))
    }

    /// Makes cached tokens of an account stale, and cached rejections of requests which the host signs in as it.
    pub(in crate::admin) fn invalidate_account(&mut self, owner: &Owner) {
        self.invalidate(Tag::owner(owner.id));
        if let Some(key) = &owner.account {
            self.invalidate(Tag::token(&account_digest(key)));
        }
    }

    /// Makes cached rejections stale of requests which the host signs in as this account, for which there is no owner yet.
    pub(in crate::admin) fn invalidate_unknown_account(&mut self, key: &AccountKey) {
        self.invalidate(Tag::token(&account_digest(key)));
    }

    /// Removes the grants of an account's tokens that its ceiling does not cover.
    async fn clamp_account(&mut self, id: OwnerId, ceiling: &Ceiling) -> Result<Clamped, ServiceError> {
        let (index, mut beyond) = (ceiling.index(), Vec::new());
        for (token, grants) in self.tx.grants_of_owner(id).await? {
            let grants = grants.iter().enumerate();
            beyond.extend(grants.filter(|(_, grant)| index.check(grant).is_err()).map(|(place, _)| (token, place)));
        }
        if beyond.is_empty() {
            return Ok(Clamped::default());
        }
        let origin = self.origin.clone();
        Ok(self.tx.clamp(Clamp::Listed(&beyond), &origin, AuditCause::AccountChanged(id)).await?)
    }

    /// Deletes these reports of the host. They are no data, so there is no event.
    pub(in crate::admin) async fn delete_account_reports(&mut self, ids: &[i64]) -> Result<(), ServiceError> {
        Ok(self.tx.delete_account_reports(ids).await?)
    }
}

fn profile(owner: &Owner) -> Profile {
    let Owner { email, firstname, lastname, username, .. } = owner.clone();
    Profile { email, firstname, lastname, username }
}
