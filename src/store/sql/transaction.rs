//! The writer's transaction.

use super::error::{leaves_open, query_error};
use super::lists::{self, List};
use super::view::Writing;
use super::{Arguments, Engine, events, notices, rows, statements};
use crate::domain::{
    AccountKey, Action, AuditAction, AuditCause, AuditEvent, AuditOrigin, ContentAccess, Digest, KeyCheck, Metadata,
    OwnerId, OwnerState, PasswordHash, Permission, RoleId, SealedSecret, Tag, Timestamp, TokenAuthority, TokenId,
    TokenKind, TokenLimits, comparable, email_key,
};
use crate::store::{
    Clamp, Clamped, Imported, Lease, NameScope, NewOwner, NewRole, NewToken, Notice, Profile, REMEMBERED_SECRETS,
    StoreError, StoredSecret, TokenTimes, Transaction, View, WriteAccounts, WriteAudit, WriteImports, WriteKeys,
    WriteNotices, WriteRoles, WriteTokens,
};
use async_trait::async_trait;
use sqlx::query;
use sqlx::query::Query;
use std::collections::HashSet;
use std::time::Duration;

impl Writing<'_> {
    /// Runs a statement that must change at least one row.
    async fn change(&mut self, what: &'static str, query: Query<'_, Engine, Arguments>) -> Result<(), StoreError> {
        match self.execute(query).await? {
            0 => Err(StoreError::Conflict(format!("there is no such {what}").into())),
            _ => Ok(()),
        }
    }

    async fn insert_permissions(&mut self, role: RoleId, permissions: &[Permission]) -> Result<(), StoreError> {
        let List { lines, fields } = List::of_permissions(permissions);
        self.execute(query(statements::INSERT_PERMISSIONS).bind(role.0).bind(lines)).await?;
        self.execute(query(statements::INSERT_PERMISSION_FIELDS).bind(role.0).bind(fields)).await?;
        Ok(())
    }

    /// Removes permissions with unknown actions from all roles, and returns how many there were.
    pub(super) async fn clamp_permissions(
        &mut self,
        known: &[Action],
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<u64, StoreError> {
        let (now, known, what) = (self.now(), lists::actions(known), AuditAction::PermissionClamped);
        let statement = statements::AUDIT_UNKNOWN_PERMISSIONS;
        self.execute(events::bind_event(statement, now, origin, what, Some(cause)).bind(&known)).await?;
        self.execute(query(statements::TOUCH_ROLES_OF_UNKNOWN).bind(now.0).bind(&known)).await?;
        self.execute(query(statements::DELETE_UNKNOWN_PERMISSIONS).bind(&known)).await
    }

    async fn insert_roles(&mut self, owner: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
        self.execute(query(statements::INSERT_OWNER_ROLES).bind(owner.0).bind(lists::roles(roles))).await.map(drop)
    }

    /// Writes the grants or actions of a token that has none.
    async fn insert_list(&mut self, id: i64, authority: &TokenAuthority) -> Result<(), StoreError> {
        match authority {
            TokenAuthority::Admin { grants, .. } => {
                let List { lines, fields } = List::of_grants(grants);
                self.execute(query(statements::INSERT_GRANTS).bind(id).bind(lines)).await?;
                self.execute(query(statements::INSERT_GRANT_FIELDS).bind(id).bind(fields)).await?;
            }
            TokenAuthority::Content { access: ContentAccess::Custom(actions) } => {
                let actions = lists::actions(actions);
                self.execute(query(statements::INSERT_CONTENT_ACTIONS).bind(id).bind(actions)).await?;
            }
            TokenAuthority::Content { .. } | TokenAuthority::Session { .. } => {}
        }
        Ok(())
    }
}

#[async_trait]
impl WriteRoles for Writing<'_> {
    async fn insert_role(&mut self, new: NewRole) -> Result<RoleId, StoreError> {
        let insert = query(statements::INSERT_ROLE).bind(&new.name).bind(comparable(&new.name));
        let insert = insert.bind(&new.description).bind(self.now().0);
        let id = RoleId(self.number("id", insert).await?);
        self.insert_permissions(id, &new.permissions).await?;
        Ok(id)
    }

    async fn update_role(&mut self, id: RoleId, name: &str, description: &str) -> Result<(), StoreError> {
        let now = self.now();
        let update = query(statements::UPDATE_ROLE).bind(id.0).bind(name).bind(comparable(name));
        let update = update.bind(description).bind(now.0);
        self.change("role", update).await
    }

    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError> {
        let now = self.now();
        self.change("role", query(statements::TOUCH_ROLE).bind(id.0).bind(now.0)).await?;
        self.execute(query(statements::CLEAR_PERMISSIONS).bind(id.0)).await?;
        self.insert_permissions(id, permissions).await
    }

    async fn delete_role(&mut self, id: RoleId) -> Result<(), StoreError> {
        self.change("role that may go", query(statements::DELETE_ROLE).bind(id.0)).await
    }
}

#[async_trait]
impl WriteAccounts for Writing<'_> {
    async fn insert_owner(&mut self, new: NewOwner) -> Result<OwnerId, StoreError> {
        let insert = query(statements::INSERT_OWNER)
            .bind(&new.email)
            .bind(new.email_key())
            .bind(&new.firstname)
            .bind(&new.lastname)
            .bind(&new.username)
            .bind(events::word(&new.state))
            .bind(self.now().0)
            .bind(new.account.as_ref().map(AccountKey::as_str))
            .bind(new.kind.as_str());
        let id = OwnerId(self.number("id", insert).await?);
        self.insert_roles(id, &new.roles).await?;
        Ok(id)
    }

    async fn delete_account_reports(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        self.execute(query(statements::DELETE_ACCOUNT_REPORTS).bind(lists::ids(ids))).await.map(drop)
    }

    async fn update_owner(&mut self, id: OwnerId, profile: &Profile) -> Result<(), StoreError> {
        let update = query(statements::UPDATE_OWNER)
            .bind(id.0)
            .bind(&profile.email)
            .bind(email_key(&profile.email, &profile.firstname, None))
            .bind(&profile.firstname)
            .bind(&profile.lastname)
            .bind(&profile.username)
            .bind(self.now().0);
        self.change("owner", update).await
    }

    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError> {
        let set = query(statements::SET_OWNER_STATE).bind(id.0).bind(events::word(&state)).bind(self.now().0);
        self.change("owner", set).await
    }

    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
        let now = self.now();
        self.change("owner", query(statements::TOUCH_OWNER).bind(id.0).bind(now.0)).await?;
        self.execute(query(statements::CLEAR_OWNER_ROLES).bind(id.0)).await?;
        self.insert_roles(id, roles).await
    }

    async fn set_password(&mut self, id: OwnerId, password: &PasswordHash) -> Result<(), StoreError> {
        let now = self.now();
        self.change("owner", query(statements::SET_PASSWORD).bind(id.0).bind(&password.0).bind(now.0)).await
    }

    async fn delete_owner(&mut self, id: OwnerId, origin: &AuditOrigin) -> Result<(), StoreError> {
        let (what, cause) = (AuditAction::TokenRevoked, Some(AuditCause::OwnerDeleted(id)));
        let insert = events::bind_event(statements::AUDIT_TOKENS_OF_OWNER, self.now(), origin, what, cause);
        self.execute(insert.bind(id.0)).await?;
        self.change("owner", query(statements::DELETE_OWNER).bind(id.0)).await
    }

    async fn insert_invitation(&mut self, id: OwnerId, digest: &Digest, ends: Timestamp) -> Result<(), StoreError> {
        self.delete_invitations(id).await?;
        let insert = query(statements::INSERT_INVITATION).bind(id.0).bind(digest.to_hex());
        let now = self.now();
        self.execute(insert.bind(now.0).bind(ends.0)).await.map(drop)
    }

    async fn delete_invitations(&mut self, id: OwnerId) -> Result<u64, StoreError> {
        self.execute(query(statements::DELETE_INVITATIONS).bind(id.0)).await
    }
}

#[async_trait]
impl WriteTokens for Writing<'_> {
    async fn insert_token(&mut self, new: NewToken) -> Result<TokenId, StoreError> {
        let created_at = self.now();
        let AuthorityColumns { kind, owner, access, idle } = AuthorityColumns::of(&new.authority);
        let insert = query(statements::INSERT_TOKEN)
            .bind(kind)
            .bind(&new.name)
            .bind(&new.description)
            .bind(new.digest.to_hex())
            .bind(new.hash_key.as_str())
            .bind(Tag::token(&new.digest).0.cast_signed())
            .bind(&new.hint)
            .bind(owner)
            .bind(access)
            .bind(idle)
            .bind(new.lifespan.map(millis))
            .bind(new.lifespan.map(|span| created_at.plus(span).0))
            .bind(created_at.0)
            .bind(name_key(&new.name, &new.authority))
            .bind(new.scope.number())
            .bind(new.metadata.as_ref().map(ToString::to_string));
        let insert = bind_limits(insert, &new.limits).bind(new.parent.map(|(id, _)| id.0));
        let insert = insert.bind(new.parent.map(|(_, secret)| secret.to_hex()));
        let id = self.number("id", insert).await?;
        self.insert_list(id, &new.authority).await?;
        Ok(TokenId(id))
    }

    async fn update_token(
        &mut self,
        id: TokenId,
        name: Option<(&str, NameScope)>,
        description: &str,
        metadata: Option<&Metadata>,
        authority: &TokenAuthority,
        limits: &TokenLimits,
    ) -> Result<(), StoreError> {
        let AuthorityColumns { kind, owner, access, idle } = AuthorityColumns::of(authority);
        let update = query(statements::UPDATE_TOKEN)
            .bind(id.0)
            .bind(kind)
            .bind(owner)
            .bind(name.map(|(name, _)| name))
            .bind(name.and_then(|(name, _)| name_key(name, authority)))
            .bind(description)
            .bind(access)
            .bind(idle)
            .bind(self.now().0)
            .bind(name.map(|(_, scope)| scope.number()))
            .bind(metadata.map(ToString::to_string));
        self.change("token of this kind and owner", bind_limits(update, limits)).await?;
        self.execute(query(statements::CLEAR_GRANTS).bind(id.0)).await?;
        self.execute(query(statements::CLEAR_CONTENT_ACTIONS).bind(id.0)).await?;
        self.insert_list(id.0, authority).await
    }

    async fn replace_secret(&mut self, id: TokenId, new: &StoredSecret, ends: Timestamp) -> Result<(), StoreError> {
        let now = self.now();
        self.end_previous_secret(id).await?;
        let remember = query(statements::REMEMBER_SECRET).bind(id.0).bind(now.0).bind(ends.0);
        self.change("token", remember).await?;
        self.execute(query(statements::FORGET_SECRETS).bind(id.0).bind(i64::from(REMEMBERED_SECRETS))).await?;
        self.execute(query(statements::FORGET_SECRET_USE).bind(id.0)).await?;
        let set = query(statements::SET_SECRET)
            .bind(id.0)
            .bind(new.digest.to_hex())
            .bind(new.hash_key.as_str())
            .bind(Tag::token(&new.digest).0.cast_signed())
            .bind(&new.hint)
            .bind(now.0);
        self.change("token", set).await
    }

    async fn end_previous_secret(&mut self, id: TokenId) -> Result<(), StoreError> {
        let now = self.now();
        self.execute(query(statements::END_PREVIOUS_SECRETS).bind(id.0).bind(now.0)).await.map(drop)
    }

    async fn set_expiry(&mut self, id: TokenId, expires_at: Timestamp) -> Result<(), StoreError> {
        let now = self.now();
        self.change("token", query(statements::SET_EXPIRY).bind(id.0).bind(expires_at.0).bind(now.0)).await
    }

    async fn seal_secret(&mut self, id: TokenId, sealed: &SealedSecret) -> Result<(), StoreError> {
        self.change("token", query(statements::SEAL_SECRET).bind(id.0).bind(&sealed.text).bind(&sealed.key)).await
    }

    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        self.execute(query(statements::DELETE_TOKEN).bind(id.0)).await.map(drop)
    }

    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError> {
        let deleted = self.rows(query(statements::DELETE_SESSIONS).bind(id.0)).await?;
        deleted.iter().map(rows::digest).collect()
    }

    async fn delete_ended_sessions(&mut self) -> Result<u64, StoreError> {
        let now = self.now();
        self.execute(query(statements::DELETE_ENDED_SESSIONS).bind(now.0)).await
    }

    async fn clamp(
        &mut self,
        clamp: Clamp<'_>,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        self.clamp_grants(clamp, origin, cause).await
    }

    async fn revoke_tokens(
        &mut self,
        ids: &[TokenId],
        origin: &AuditOrigin,
        selection: &str,
    ) -> Result<(), StoreError> {
        self.revoke(ids, origin, selection).await
    }
}

#[async_trait]
impl WriteAudit for Writing<'_> {
    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.execute(events::insert(&event)).await.map(drop)
    }

    async fn audit_all(&mut self, events: Vec<AuditEvent>) -> Result<(), StoreError> {
        match events.is_empty() {
            true => Ok(()),
            false => self.execute(events::insert_list(&events)).await.map(drop),
        }
    }

    async fn delete_events(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.execute(query(statements::NOTE_DELETED_EVENTS).bind(before.0)).await?;
        self.execute(query(statements::DELETE_EVENTS).bind(before.0)).await
    }
}

#[async_trait]
impl WriteNotices for Writing<'_> {
    async fn set_lease(&mut self, name: &str, lease: &Lease) -> Result<(), StoreError> {
        let Lease { holder, ends_at, begun_at, complete_at } = lease;
        let set = query(statements::SET_LEASE).bind(name).bind(holder).bind(ends_at.0).bind(begun_at.0);
        self.execute(set.bind(complete_at.map(|at| at.0))).await.map(drop)
    }

    async fn add_notices(&mut self, due: &[Notice]) -> Result<Vec<Notice>, StoreError> {
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let added = self.rows(notices::add(due)).await?;
        let added = added.iter().map(notices::key).collect::<Result<HashSet<_>, _>>()?;
        Ok(due.iter().filter(|notice| added.contains(&notice.key())).cloned().collect())
    }
}

#[async_trait]
impl WriteImports for Writing<'_> {
    async fn remember_imported(&mut self, source: &str, key: &str, what: Imported) -> Result<(), StoreError> {
        let (kind, id) = what.parts();
        self.execute(query(statements::INSERT_IMPORTED).bind(source).bind(kind).bind(key).bind(id)).await.map(drop)
    }

    async fn backdate_owner(&mut self, id: OwnerId, created_at: Timestamp) -> Result<(), StoreError> {
        self.change("owner", query(statements::BACKDATE_OWNER).bind(id.0).bind(created_at.0)).await
    }

    async fn backdate_token(&mut self, id: TokenId, times: TokenTimes) -> Result<(), StoreError> {
        let TokenTimes { created_at, expires_at, last_used_at } = times;
        let backdate = query(statements::BACKDATE_TOKEN).bind(id.0).bind(created_at.0).bind(expires_at.map(|at| at.0));
        self.change("token", backdate).await?;
        match last_used_at {
            Some(at) => self.execute(query(statements::BACKDATE_USE).bind(id.0).bind(at.0)).await.map(drop),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl WriteKeys for Writing<'_> {
    async fn set_key_check(&mut self, check: &KeyCheck) -> Result<(), StoreError> {
        let KeyCheck { kind, id, value } = check;
        self.execute(query(statements::SET_KEY_CHECK).bind(kind.as_str()).bind(id).bind(value)).await.map(drop)
    }
}

#[async_trait]
impl Transaction for Writing<'_> {
    fn seq(&self) -> u64 {
        self.change.seq
    }

    fn op_id(&self) -> Option<&str> {
        Some(&self.change.op_id)
    }

    async fn commit(mut self: Box<Self>, tags: &[Tag]) -> Result<(), StoreError> {
        let tags: Vec<i64> = tags.iter().map(|tag| tag.0.cast_signed()).collect();
        let (op_id, seq) = (self.change.op_id.clone(), self.change.seq.cast_signed());
        let change = query(statements::INSERT_CHANGE).bind(seq).bind(&op_id).bind(self.now().0);
        self.execute(change.bind(lists::json(&tags))).await?;
        self.execute(query(statements::RELEASE_EPOCH)).await?;
        let Self { store, transaction, within, .. } = *self;
        store.check_location()?;
        if within {
            // The host's commit decides.
            return store.leave(transaction).await.map_err(query_error);
        }
        match transaction.commit().await {
            Ok(()) => {
                // If the file was replaced meanwhile, the change went with it or is in neither.
                store.check_location().map_err(|error| StoreError::Unknown(Box::new(error)))?;
                store.hint();
                Ok(())
            }
            Err(error) if !leaves_open(&error) => Err(query_error(error)),
            Err(error) => match store.happened(seq, &op_id).await {
                Some(true) => Ok(()),
                Some(false) => Err(query_error(error)),
                None => Err(StoreError::Unknown(Box::new(error))),
            },
        }
    }
}

/// Binds the columns of limits.
fn bind_limits<'q>(query: Query<'q, Engine, Arguments>, limits: &TokenLimits) -> Query<'q, Engine, Arguments> {
    let TokenLimits { enabled, networks, rate, idle_expiry } = limits;
    query
        .bind(*enabled)
        .bind((!networks.is_empty()).then(|| lists::json(networks)))
        .bind(rate.map(|rate| i64::from(rate.limit())))
        .bind(rate.map(|rate| millis(rate.window())))
        .bind(idle_expiry.map(millis))
}

/// Returns the comparison key of a token's name. Sessions have none.
fn name_key(name: &str, authority: &TokenAuthority) -> Option<String> {
    match authority {
        TokenAuthority::Session { .. } => None,
        TokenAuthority::Admin { .. } | TokenAuthority::Content { .. } => Some(comparable(name)),
    }
}

/// The columns of a token's authority.
struct AuthorityColumns {
    kind: &'static str,
    owner: Option<i64>,
    access: Option<&'static str>,
    idle: Option<i64>,
}

impl AuthorityColumns {
    fn of(authority: &TokenAuthority) -> Self {
        let of = |kind: TokenKind, owner: Option<OwnerId>| Self {
            kind: kind.as_str(),
            owner: owner.map(|id| id.0),
            access: None,
            idle: None,
        };
        match authority {
            TokenAuthority::Admin { owner, .. } => of(TokenKind::Admin, Some(*owner)),
            TokenAuthority::Content { access } => {
                Self { access: Some(access.as_str()), ..of(TokenKind::Content, None) }
            }
            TokenAuthority::Session { owner, idle } => {
                Self { idle: Some(millis(*idle)), ..of(TokenKind::Session, Some(*owner)) }
            }
        }
    }
}

/// Saturates at 292 million years.
fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
