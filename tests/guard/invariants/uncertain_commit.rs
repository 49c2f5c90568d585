//! A transaction whose store fails at or after the commit, so that the outcome is unknown or known to its client only.

use async_trait::async_trait;
use keyward::accounts::AccountKey;
use keyward::admin::{AuditCause, AuditEvent, AuditOrigin, Owner, OwnerState, Role};
use keyward::authz::Ceiling;
use keyward::store::{
    AuditBounds, Clamp, Clamped, EventQuery, EventsOfActor, Imported, KeyCheck, KeyUse, Lease, NameScope, NewOwner,
    NewRole, NewToken, Notice, NoticeQuery, OwnerQuery, Page, Profile, Proposed, ReadAccounts, ReadAudit, ReadImports,
    ReadKeys, ReadNotices, ReadRoles, ReadTokens, Record, SelectedToken, SignInPlace, StoreError, StoredSecret,
    TokenQuery, TokenSelection, TokenTimes, Transaction, View, WriteAccounts, WriteAudit, WriteImports, WriteKeys,
    WriteNotices, WriteRoles, WriteTokens,
};
use keyward::store::{Digest, PasswordHash, SealedSecret, Tag};
use keyward::time::Timestamp;
use keyward::token::{Metadata, Token, TokenAuthority, TokenId, TokenKind, TokenLimits};
use keyward::{Grant, OwnerId, Permission, RoleId};

pub struct UncertainCommit {
    pub tx: Box<dyn Transaction>,
    pub fate: Fate,
}

/// The outcome of a commit.
pub enum Fate {
    /// It happens or not, and its response is lost.
    Unknown { happens: bool },
    /// It happens, and every later call fails.
    #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "for what answers over HTTP"))]
    Last(Box<dyn FnOnce() + Send>),
}

/// Implements traits by forwarding to the inner transaction.
macro_rules! forward {
    ($($trait:ident { $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* })*) => {$(
        #[async_trait]
        impl $trait for UncertainCommit {
            $(async fn $name(&mut self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.tx.$name($($argument),*).await
            })*
        }
    )*};
}

forward! {
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
    WriteRoles {
        insert_role(role: NewRole) -> RoleId;
        update_role(id: RoleId, name: &str, description: &str) -> ();
        set_permissions(id: RoleId, permissions: &[Permission]) -> ();
        delete_role(id: RoleId) -> ();
    }
    WriteAccounts {
        insert_owner(owner: NewOwner) -> OwnerId;
        update_owner(id: OwnerId, profile: &Profile) -> ();
        set_owner_state(id: OwnerId, state: OwnerState) -> ();
        set_owner_roles(id: OwnerId, roles: &[RoleId]) -> ();
        set_password(id: OwnerId, password: &PasswordHash) -> ();
        delete_owner(id: OwnerId, origin: &AuditOrigin) -> ();
        insert_invitation(id: OwnerId, digest: &Digest, ends: Timestamp) -> ();
        delete_invitations(id: OwnerId) -> u64;
    }
    WriteTokens {
        insert_token(token: NewToken) -> TokenId;
        update_token(id: TokenId, name: Option<(&str, NameScope)>, description: &str, metadata: Option<&Metadata>, authority: &TokenAuthority, limits: &TokenLimits) -> ();
        replace_secret(id: TokenId, new: &StoredSecret, ends: Timestamp) -> ();
        end_previous_secret(id: TokenId) -> ();
        set_expiry(id: TokenId, expires_at: Timestamp) -> ();
        seal_secret(id: TokenId, sealed: &SealedSecret) -> ();
        delete_token(id: TokenId) -> ();
        delete_sessions(id: OwnerId) -> Vec<Digest>;
        delete_ended_sessions() -> u64;
        clamp(clamp: Clamp<'_>, origin: &AuditOrigin, cause: AuditCause) -> Clamped;
        revoke_tokens(ids: &[TokenId], origin: &AuditOrigin, selection: &str) -> ();
    }
    WriteAudit {
        audit(event: AuditEvent) -> ();
        audit_all(events: Vec<AuditEvent>) -> ();
        delete_events(before: Timestamp) -> u64;
    }
    WriteNotices {
        set_lease(name: &str, lease: &Lease) -> ();
        add_notices(due: &[Notice]) -> Vec<Notice>;
    }
    WriteImports {
        remember_imported(source: &str, key: &str, what: Imported) -> ();
        backdate_owner(id: OwnerId, created_at: Timestamp) -> ();
        backdate_token(id: TokenId, times: TokenTimes) -> ();
    }
    WriteKeys {
        set_key_check(check: &KeyCheck) -> ();
    }
}

#[async_trait]
impl View for UncertainCommit {
    fn now(&self) -> Timestamp {
        self.tx.now()
    }

    async fn is_empty(&mut self) -> Result<bool, StoreError> {
        self.tx.is_empty().await
    }
}

#[async_trait]
impl Transaction for UncertainCommit {
    fn seq(&self) -> u64 {
        self.tx.seq()
    }

    fn op_id(&self) -> Option<&str> {
        self.tx.op_id()
    }

    async fn commit(self: Box<Self>, tags: &[Tag]) -> Result<(), StoreError> {
        match self.fate {
            Fate::Unknown { happens: false } => {}
            Fate::Unknown { happens: true } => self.tx.commit(tags).await?,
            Fate::Last(gone) => {
                self.tx.commit(tags).await?;
                gone();
                return Ok(());
            }
        }
        Err(StoreError::Unknown("the line went dead".into()))
    }
}
