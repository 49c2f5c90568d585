//! Previews: the grants that a change would take from tokens, counted without the change.
//!
//! A preview runs the code of the change by all its rules, on a view: it takes no writer's lock. It writes nothing, and counts the grants
//! that the clamp would delete.

use super::ServiceError;
use crate::domain::{
    AccountKey, Actor, AuditCause, AuditEvent, AuditOrigin, Ceiling, Digest, Grant, KeyCheck, KeyUse, Metadata, Owner,
    OwnerId, OwnerState, PasswordHash, Permission, Role, RoleId, SealedSecret, Tag, Timestamp, Token, TokenAuthority,
    TokenId, TokenKind, TokenLimits,
};
use crate::store::{
    AuditBounds, Clamp, Clamped, EventQuery, EventsOfActor, Imported, Lease, NameScope, NewOwner, NewRole, NewToken,
    Notice, NoticeQuery, OwnerQuery, Page, Profile, Proposed, ReadAccounts, ReadAudit, ReadImports, ReadKeys,
    ReadNotices, ReadRoles, ReadTokens, Record, SelectedToken, SignInPlace, StoreError, StoredSecret, TokenQuery,
    TokenSelection, TokenTimes, Transaction, View, WriteAccounts, WriteAudit, WriteImports, WriteKeys, WriteNotices,
    WriteRoles, WriteTokens,
};
use crate::sync::{Arc, Mutex, PoisonError, Weak};
use async_trait::async_trait;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// The longest wait for another preview of the same person.
const PATIENCE: Duration = Duration::from_secs(5);

/// Limits each person to one preview at a time, as a preview may read all tokens of a role.
#[derive(Default)]
pub(super) struct PreviewTurns(Mutex<HashMap<OwnerId, Weak<tokio::sync::Mutex<()>>>>);

impl PreviewTurns {
    /// Waits for an earlier preview of the same person. The host program may have any number at a time.
    pub(super) async fn turn(&self, actor: Actor) -> Result<Option<OwnedMutexGuard<()>>, ServiceError> {
        let Actor::Person(id) = actor else { return Ok(None) };
        let waiting = self.of(id).lock_owned();
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(turn) => Ok(Some(turn)),
            Err(_) => Err(ServiceError::TooManyAttempts(Duration::from_secs(1))),
        }
    }

    fn of(&self, id: OwnerId) -> Arc<tokio::sync::Mutex<()>> {
        // Poisoning is ignored: no code panics while it changes the value.
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&id).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(id, Arc::downgrade(&turn));
        turn
    }
}

/// A transaction that writes nothing. Reads in it show the state before the change.
pub(super) struct Preview {
    view: Box<dyn View>,
    proposed: Option<ProposedChange>,
}

/// The value that the change would set.
enum ProposedChange {
    Permissions(RoleId, Vec<Permission>),
    Roles(OwnerId, Vec<RoleId>),
}

impl Preview {
    pub(super) fn new(view: Box<dyn View>) -> Self {
        Self { view, proposed: None }
    }
}

/// Implements traits of a store by calling a field.
macro_rules! delegate {
    ($target:ident.$field:ident: $($trait:ident {
        $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*
    })*) => {$(
        #[async_trait]
        impl $trait for $target {
            $(async fn $name(&mut self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.$field.$name($($argument),*).await
            })*
        }
    )*};
}

/// Implements [`View`] by calling a field.
macro_rules! delegate_reads {
    ($target:ident.$field:ident) => {
        delegate! { $target.$field:
            ReadRoles {
            role(id: RoleId) -> Option<Role>;
            count_members(id: RoleId) -> u64;
            roles() -> Vec<(Role, u64)>;
            role_with_name(name: &str) -> Option<RoleId>;
        }
        ReadAccounts {
            owner(id: OwnerId) -> Option<Owner>;
            owner_with_email(email: &str) -> Option<OwnerId>;
            owner_of_account(key: &AccountKey) -> Option<OwnerId>;
            accounts(after: OwnerId, limit: u32) -> Vec<Owner>;
            reported_accounts(after: i64, limit: u32) -> Vec<(i64, String)>;
            owners_by_email(emails: &[&str]) -> Vec<(String, OwnerId)>;
            has_owners() -> bool;
            owners(query: &OwnerQuery) -> Page<Owner>;
            ceilings(ids: &[OwnerId]) -> Vec<(Owner, Ceiling)>;
            ceiling(id: OwnerId) -> Ceiling;
            other_super_admins(id: OwnerId) -> u64;
            roles_meet(one: &[RoleId], other: &[RoleId]) -> bool;
            password(id: OwnerId) -> Option<PasswordHash>;
            invitation(digest: &Digest) -> Option<(OwnerId, Timestamp)>;
        }
        ReadTokens {
            token(id: TokenId) -> Option<Token>;
            descendants(ids: &[TokenId]) -> Vec<Token>;
            tokens(query: &TokenQuery) -> Page<Token>;
            count_tokens(kind: TokenKind, owner: Option<OwnerId>) -> u64;
            token_with_name(name: &str, scope: NameScope) -> Option<TokenId>;
            record(digest: &Digest) -> Option<Record>;
            sealed_secret(id: TokenId) -> Option<SealedSecret>;
            tokens_of_members() -> Vec<(RoleId, u64)>;
            tokens_of_owners(ids: &[OwnerId]) -> Vec<(OwnerId, u64)>;
            grants_of_owner(id: OwnerId) -> Vec<(TokenId, Vec<Grant>)>;
            token_owners(ids: &[TokenId]) -> Vec<(TokenId, OwnerId)>;
            preview_clamp(proposed: Proposed<'_>) -> Clamped;
            selected_tokens(selection: &TokenSelection, limit: u32) -> Vec<SelectedToken>;
        }
        ReadAudit {
            events(query: &EventQuery) -> Page<(i64, AuditEvent)>;
            events_after(id: i64, limit: u32) -> Vec<(i64, AuditEvent)>;
            audit_bounds(id: i64) -> AuditBounds;
            nth_latest_event(nth: u32, of: &EventsOfActor) -> Option<Timestamp>;
            sign_in_places(since: Timestamp) -> Vec<SignInPlace>;
        }
        ReadNotices {
            lease(name: &str) -> Option<Lease>;
            due_notices(query: &NoticeQuery<'_>, limit: u32) -> Vec<Notice>;
        }
        ReadImports {
            imported() -> Vec<(String, String, Imported)>;
            imported_token(source: &str, key: &str) -> Option<TokenId>;
        }
        ReadKeys {
            key_checks() -> Vec<KeyCheck>;
            key_uses() -> Vec<KeyUse>;
        }
        }

        #[async_trait]
        impl View for $target {
            fn now(&self) -> Timestamp {
                self.$field.now()
            }

            async fn is_empty(&mut self) -> Result<bool, StoreError> {
                self.$field.is_empty().await
            }
        }
    };
}
#[cfg(test)]
pub(super) use {delegate, delegate_reads};

delegate_reads!(Preview.view);

/// Implements traits of a store: the given methods, and others that fail as previews do not support them.
macro_rules! fail {
    ($($trait:ident [$($method:item)*] { $($name:ident($($type:ty),*) -> $answer:ty;)* })*) => {$(
        #[async_trait]
        impl $trait for Preview {
            $($method)*

            $(async fn $name(&mut self, $(_: $type),*) -> Result<$answer, StoreError> {
                Err(unsupported())
            })*
        }
    )*};
}

fn unsupported() -> StoreError {
    StoreError::Conflict("a preview changes nothing".into())
}

fail! {
    WriteRoles [
        async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError> {
            self.proposed = Some(ProposedChange::Permissions(id, permissions.to_vec()));
            Ok(())
        }
    ] {
        insert_role(NewRole) -> RoleId;
        update_role(RoleId, &str, &str) -> ();
        delete_role(RoleId) -> ();
    }
    WriteAccounts [
        async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
            self.proposed = Some(ProposedChange::Roles(id, roles.to_vec()));
            Ok(())
        }
    ] {
        insert_owner(NewOwner) -> OwnerId;
        update_owner(OwnerId, &Profile) -> ();
        set_owner_state(OwnerId, OwnerState) -> ();
        set_password(OwnerId, &PasswordHash) -> ();
        delete_owner(OwnerId, &AuditOrigin) -> ();
        insert_invitation(OwnerId, &Digest, Timestamp) -> ();
        delete_invitations(OwnerId) -> u64;
    }
    WriteTokens [
        async fn clamp(&mut self, clamp: Clamp<'_>, _: &AuditOrigin, _: AuditCause) -> Result<Clamped, StoreError> {
            match (clamp, &self.proposed) {
                (Clamp::Members(role), Some(ProposedChange::Permissions(id, permissions))) if role == *id => {
                    self.view.preview_clamp(Proposed::Permissions(role, permissions)).await
                }
                (Clamp::Owner(owner), Some(ProposedChange::Roles(id, roles))) if owner == *id => {
                    self.view.preview_clamp(Proposed::Roles(owner, roles)).await
                }
                _ => Err(unsupported()),
            }
        }
    ] {
        insert_token(NewToken) -> TokenId;
        update_token(TokenId, Option<(&str, NameScope)>, &str, Option<&Metadata>, &TokenAuthority, &TokenLimits) -> ();
        replace_secret(TokenId, &StoredSecret, Timestamp) -> ();
        end_previous_secret(TokenId) -> ();
        set_expiry(TokenId, Timestamp) -> ();
        seal_secret(TokenId, &SealedSecret) -> ();
        delete_token(TokenId) -> ();
        delete_sessions(OwnerId) -> Vec<Digest>;
        delete_ended_sessions() -> u64;
        revoke_tokens(&[TokenId], &AuditOrigin, &str) -> ();
    }
    WriteAudit [
        async fn audit(&mut self, _: AuditEvent) -> Result<(), StoreError> {
            Ok(())
        }
    ] {
        delete_events(Timestamp) -> u64;
    }
    WriteNotices [] {
        set_lease(&str, &Lease) -> ();
        add_notices(&[Notice]) -> Vec<Notice>;
    }
    WriteImports [] {
        remember_imported(&str, &str, Imported) -> ();
        backdate_owner(OwnerId, Timestamp) -> ();
        backdate_token(TokenId, TokenTimes) -> ();
    }
    WriteKeys [] {
        set_key_check(&KeyCheck) -> ();
    }
}

#[async_trait]
impl Transaction for Preview {
    fn seq(&self) -> u64 {
        0
    }

    fn op_id(&self) -> Option<&str> {
        None
    }

    async fn commit(self: Box<Self>, _: &[Tag]) -> Result<(), StoreError> {
        Err(unsupported())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn person_has_one_preview_at_a_time() {
        let turns = PreviewTurns::default();
        let (ada, bob) = (Actor::Person(OwnerId(1)), Actor::Person(OwnerId(2)));
        let first = turns.turn(ada).await.unwrap();
        assert!(turns.turn(bob).now_or_never().unwrap().is_ok(), "other people do not wait");
        for _ in 0..2 {
            assert!(turns.turn(Actor::Service).now_or_never().unwrap().is_ok(), "the host program does not wait");
        }
        assert!(matches!(turns.turn(ada).await, Err(ServiceError::TooManyAttempts(_))), "a wait ends");
        let mut second = Box::pin(turns.turn(ada));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!(second.await.is_ok(), "the second has its turn after the first");
        turns.turn(bob).await.unwrap();
        assert_eq!(turns.0.lock().unwrap().len(), 1, "finished previews leave no entry");
    }
}
