//! Tokens and sessions in a store.

use super::{NameScope, NewToken, Page, Record, SelectedToken, StoreError, StoredSecret, TokenQuery, TokenSelection};
use crate::domain::{
    Action, AuditCause, AuditOrigin, Digest, Grant, Metadata, OwnerId, Permission, RoleId, SealedSecret, Timestamp,
    Token, TokenAuthority, TokenId, TokenKind, TokenLimits,
};
use async_trait::async_trait;

/// Reads tokens and sessions.
#[async_trait]
pub trait ReadTokens {
    /// Returns the token with this id.
    async fn token(&mut self, id: TokenId) -> Result<Option<Token>, StoreError>;
    /// Lists a page of tokens.
    async fn tokens(&mut self, query: &TokenQuery) -> Result<Page<Token>, StoreError>;
    /// Returns the number of tokens of a kind, of all owners or of one.
    async fn count_tokens(&mut self, kind: TokenKind, owner: Option<OwnerId>) -> Result<u64, StoreError>;
    /// Returns an admin or content token of this scope with this name, by its [comparable](crate::store::comparable()) form. It may be
    /// unique in another scope.
    async fn token_with_name(&mut self, name: &str, scope: NameScope) -> Result<Option<TokenId>, StoreError>;
    /// Returns the token of any kind with this digest, with its owner and ceiling: as [`Store::resolve`](crate::store::Store::resolve), but
    /// as this view shows it.
    async fn record(&mut self, digest: &Digest) -> Result<Option<Record>, StoreError>;
    /// Returns the tokens that come from these: those that they made, those that these made, and so on; parents first, each once.
    async fn descendants(&mut self, ids: &[TokenId]) -> Result<Vec<Token>, StoreError>;
    /// Returns the sealed secret of a token, if there is one.
    async fn sealed_secret(&mut self, id: TokenId) -> Result<Option<SealedSecret>, StoreError>;
    /// Lists every role by id, each with the number of its members' admin tokens.
    async fn tokens_of_members(&mut self) -> Result<Vec<(RoleId, u64)>, StoreError>;
    /// Lists those of these owners that exist, by id, each with the number of its admin tokens.
    async fn tokens_of_owners(&mut self, ids: &[OwnerId]) -> Result<Vec<(OwnerId, u64)>, StoreError>;
    /// Lists the admin tokens of this owner, by id, each with its grants.
    async fn grants_of_owner(&mut self, id: OwnerId) -> Result<Vec<(TokenId, Vec<Grant>)>, StoreError>;
    /// Returns the owners of these admin tokens and sessions, in no order. Owners of deleted ones come from the audit log, if it has an event
    /// for their issue or revocation.
    async fn token_owners(&mut self, ids: &[TokenId]) -> Result<Vec<(TokenId, OwnerId)>, StoreError>;
    /// Counts the tokens and grants that [`clamp`](WriteTokens::clamp) would change after a proposed change. It only reads: it takes no
    /// writer's lock. A role or an owner that does not exist loses nothing.
    async fn preview_clamp(&mut self, proposed: Proposed<'_>) -> Result<Clamped, StoreError>;
    /// Returns the tokens of a selection, by id: the first `limit` of them.
    async fn selected_tokens(
        &mut self,
        selection: &TokenSelection,
        limit: u32,
    ) -> Result<Vec<SelectedToken>, StoreError>;
}

/// Writes tokens and sessions.
#[async_trait]
pub trait WriteTokens {
    /// Adds a token. It is a conflict if a token that is unique in the same scope has its name.
    async fn insert_token(&mut self, token: NewToken) -> Result<TokenId, StoreError>;
    /// Replaces a token's description, metadata, authority and limits, and its name if one is given. Its kind and owner must not change.
    async fn update_token(
        &mut self,
        id: TokenId,
        name: Option<(&str, NameScope)>,
        description: &str,
        metadata: Option<&Metadata>,
        authority: &TokenAuthority,
        limits: &TokenLimits,
    ) -> Result<(), StoreError>;
    /// Replaces a token's secret, and deletes the sealed copy of the replaced one.
    ///
    /// The replaced secret is remembered with its last use, and is the [previous](Token::previous) one, which ends at `ends`. An earlier
    /// previous secret ends now. The last [`REMEMBERED_SECRETS`] are remembered, so that their use is noticed.
    async fn replace_secret(&mut self, id: TokenId, new: &StoredSecret, ends: Timestamp) -> Result<(), StoreError>;
    /// Ends the previous secret of a token now.
    async fn end_previous_secret(&mut self, id: TokenId) -> Result<(), StoreError>;
    /// Sets the expiry of a token.
    async fn set_expiry(&mut self, id: TokenId, expires_at: Timestamp) -> Result<(), StoreError>;
    /// Stores a token's sealed secret.
    async fn seal_secret(&mut self, id: TokenId, sealed: &SealedSecret) -> Result<(), StoreError>;
    /// Deletes a token with its grants, its secrets and all tokens that come from it. A token that does not exist is not an error.
    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError>;
    /// Deletes an owner's sessions, and returns their digests.
    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError>;
    /// Deletes the sessions that expired before now, and returns how many there were.
    async fn delete_ended_sessions(&mut self) -> Result<u64, StoreError>;
    /// Deletes grants that their owners no longer hold, as [`Clamp`] says, and counts them. Super admins hold everything;
    /// [`Clamp::Listed`] deletes their grants too.
    ///
    /// For each it adds an event [`AuditAction::GrantClamped`](crate::admin::AuditAction::GrantClamped) on the token, with the grant as details:
    /// `{"action", "subject", "fields"}`, where `fields` is null for all and otherwise a list.
    async fn clamp(&mut self, clamp: Clamp<'_>, origin: &AuditOrigin, cause: AuditCause)
    -> Result<Clamped, StoreError>;
    /// Deletes these tokens like [`delete_token`](Self::delete_token). It is a conflict if one of them does not exist, or is named twice.
    ///
    /// For each it adds an event [`AuditAction::TokenRevoked`](crate::admin::AuditAction::TokenRevoked) without a cause, with the details
    /// `{"name", "owner", "selection"}`.
    async fn revoke_tokens(&mut self, ids: &[TokenId], origin: &AuditOrigin, selection: &str)
    -> Result<(), StoreError>;
}

/// How many replaced secrets of a token a store remembers.
pub const REMEMBERED_SECRETS: u32 = 32;

/// A selection of grants to delete.
#[derive(Clone, Copy, Debug)]
pub enum Clamp<'a> {
    /// The grants of this role's members that their [ceilings](crate::authz::Ceiling::check) do not cover.
    Members(RoleId),
    /// The grants of this owner that its ceiling does not cover.
    Owner(OwnerId),
    /// The grants of all owners, super admins too, and the permissions of roles, whose action is none of these. For each permission there is
    /// an event [`AuditAction::PermissionClamped`](crate::admin::AuditAction::PermissionClamped) on the role, with the same details.
    Unknown(&'a [Action]),
    /// These grants, each by its token and its place in the token's list, from 0. Places that are not there mean nothing.
    Listed(&'a [(TokenId, usize)]),
}

/// A proposed change, whose clamp [`ReadTokens::preview_clamp`] counts.
#[derive(Clone, Copy, Debug)]
pub enum Proposed<'a> {
    /// The role gets these permissions, and its members' grants are clamped.
    Permissions(RoleId, &'a [Permission]),
    /// The owner gets these roles, and its grants are clamped.
    Roles(OwnerId, &'a [RoleId]),
}

/// The numbers that a clamp deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clamped {
    /// Tokens that lost grants.
    pub tokens: u64,
    /// Grants.
    pub grants: u64,
    /// Permissions of roles.
    pub permissions: u64,
}
