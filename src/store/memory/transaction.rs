//! Mutations of the content.

use super::{Lock, Open, conflict, unless};
use crate::domain::{
    AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, Digest, HashKeyId, KeyCheck, Metadata, Owner,
    OwnerId, OwnerState, PasswordHash, Permission, Role, RoleId, SealedSecret, Tag, Timestamp, Token, TokenAuthority,
    TokenId, TokenKind, comparable, email_key,
};
use crate::store::{
    Clamp, Clamped, Imported, NameScope, NewOwner, NewRole, NewToken, Profile, StoreError, TokenTimes, Transaction,
    Use, View, WriteAccounts, WriteAudit, WriteImports, WriteKeys, WriteRoles, WriteTokens,
};
use crate::sync::Arc;
use async_trait::async_trait;
use rpds::HashTrieMapSync;
use serde_json::json;

impl Open<Lock> {
    fn next_id(&mut self) -> i64 {
        let id = self.content.next_id;
        self.content.next_id += 1;
        id
    }

    pub(super) fn add_event(&mut self, event: AuditEvent) {
        self.content.events.insert_mut(self.content.next_event, Arc::new(event));
        self.content.next_event += 1;
    }

    pub(super) fn change_role(&mut self, id: RoleId, change: impl FnOnce(&mut Role)) -> Result<(), StoreError> {
        let role = self.content.roles.get(&id).ok_or_else(|| conflict("there is no such role"))?;
        let mut role = Role { updated_at: self.now(), ..Role::clone(role) };
        change(&mut role);
        self.content.roles.insert_mut(id, Arc::new(role));
        Ok(())
    }

    fn change_owner(&mut self, id: OwnerId, change: impl FnOnce(&mut Owner)) -> Result<(), StoreError> {
        let owner = self.content.owners.get(&id).ok_or_else(|| conflict("there is no such owner"))?;
        let mut owner = Owner { updated_at: self.now(), ..Owner::clone(owner) };
        change(&mut owner);
        self.content.owners.insert_mut(id, Arc::new(owner));
        Ok(())
    }

    pub(super) fn change_token(&mut self, id: TokenId, change: impl FnOnce(&mut Token)) -> Result<(), StoreError> {
        let token = self.content.tokens.get(&id).ok_or_else(|| conflict("there is no such token"))?;
        let mut token = Token { updated_at: self.now(), ..Token::clone(token) };
        change(&mut token);
        self.content.tokens.insert_mut(id, Arc::new(token));
        Ok(())
    }

    fn ensure_role_name_available(&self, name: &str, except: Option<RoleId>) -> Result<(), StoreError> {
        let key = comparable(name);
        let taken = self.content.roles.values().any(|r| Some(r.id) != except && comparable(&r.name) == key);
        unless(taken, "the name is taken")
    }

    fn ensure_email_available(&self, key: &str, except: Option<OwnerId>) -> Result<(), StoreError> {
        let taken = self.content.by_email.get(key).is_some_and(|id| Some(*id) != except);
        unless(taken, "the e-mail address is taken")
    }

    /// Adds a name of a token, unless another token that is unique in the same scope has it.
    fn add_token_name(&mut self, name: &str, scope: NameScope, id: TokenId) -> Result<(), StoreError> {
        let key = comparable(name);
        let mut named = self.content.token_names.get(&key).cloned().unwrap_or_default();
        unless(named.iter().any(|(other, _)| *other == scope), "the name is taken")?;
        named.push((scope, id));
        self.content.token_names.insert_mut(key, named);
        Ok(())
    }

    fn remove_token_name(&mut self, name: &str, id: TokenId) {
        let key = comparable(name);
        let mut named = self.content.token_names.get(&key).cloned().unwrap_or_default();
        named.retain(|(_, named)| *named != id);
        match named.is_empty() {
            true => _ = self.content.token_names.remove_mut(&key),
            false => self.content.token_names.insert_mut(key, named),
        }
    }

    fn ensure_roles_exist(&self, roles: &[RoleId]) -> Result<(), StoreError> {
        unless(roles.iter().any(|id| !self.content.roles.contains_key(id)), "there is no such role")
    }

    fn tokens_where(&self, which: impl Fn(&Token) -> bool) -> Vec<Arc<Token>> {
        self.content.tokens.values().filter(|t| which(t)).cloned().collect()
    }

    fn set_count(&mut self, token: &Token, change: impl FnOnce(u64) -> u64) {
        let key = (token.kind(), token.owner());
        match change(self.content.token_counts.get(&key).copied().unwrap_or(0)) {
            0 => _ = self.content.token_counts.remove_mut(&key),
            count => self.content.token_counts.insert_mut(key, count),
        }
    }

    fn remove(&mut self, token: &Token) {
        self.content.by_digest.remove_mut(&token.digest);
        if token.kind() != TokenKind::Session {
            self.remove_token_name(&token.name, token.id);
        }
        self.content.sealed.remove_mut(&token.id);
        self.content.hash_keys.remove_mut(&token.id);
        self.content.notices.remove_mut(&token.id);
        self.content.tokens.remove_mut(&token.id);
        self.set_count(token, |count| count.saturating_sub(1));
        self.lock.removed.push(token.id);
    }
}

#[async_trait]
impl WriteRoles for Open<Lock> {
    async fn insert_role(&mut self, new: NewRole) -> Result<RoleId, StoreError> {
        self.ensure_role_name_available(&new.name, None)?;
        let (id, now) = (RoleId(self.next_id()), self.now());
        let NewRole { name, description, permissions } = new;
        let role = Role { id, code: None, name, description, permissions, created_at: now, updated_at: now };
        self.content.roles.insert_mut(id, Arc::new(role));
        Ok(id)
    }

    async fn update_role(&mut self, id: RoleId, name: &str, description: &str) -> Result<(), StoreError> {
        self.ensure_role_name_available(name, Some(id))?;
        self.change_role(id, |role| (role.name, role.description) = (name.to_owned(), description.to_owned()))
    }

    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError> {
        self.change_role(id, |role| role.permissions = permissions.to_vec())
    }

    async fn delete_role(&mut self, id: RoleId) -> Result<(), StoreError> {
        unless(id == RoleId::SUPER_ADMIN, "the super admin role stays")?;
        unless(self.content.owners.values().any(|o| o.roles.contains(&id)), "the role has members")?;
        unless(!self.content.roles.remove_mut(&id), "there is no such role")
    }
}

#[async_trait]
impl WriteAccounts for Open<Lock> {
    async fn insert_owner(&mut self, new: NewOwner) -> Result<OwnerId, StoreError> {
        let key = new.email_key();
        self.ensure_email_available(&key, None)?;
        self.ensure_roles_exist(&new.roles)?;
        let (id, now) = (OwnerId(self.next_id()), self.now());
        let NewOwner { account, kind, email, firstname, lastname, username, state, roles } = new;
        let roles = sorted(&roles);
        let (created_at, updated_at) = (now, now);
        let owner =
            Owner { id, account, kind, email, firstname, lastname, username, state, roles, created_at, updated_at };
        self.content.owners.insert_mut(id, Arc::new(owner));
        self.content.by_email.insert_mut(key, id);
        Ok(id)
    }

    async fn update_owner(&mut self, id: OwnerId, profile: &Profile) -> Result<(), StoreError> {
        let before = self.content.owners.get(&id).map(|o| (o.email_key(), o.account.clone()));
        let account = before.as_ref().and_then(|(_, account)| account.as_ref());
        let key = email_key(&profile.email, &profile.firstname, account);
        self.ensure_email_available(&key, Some(id))?;
        self.change_owner(id, |owner| {
            let Profile { email, firstname, lastname, username } = profile.clone();
            *owner = Owner { email, firstname, lastname, username, ..owner.clone() };
        })?;
        if let Some((before, _)) = before {
            self.content.by_email.remove_mut(&before);
        }
        self.content.by_email.insert_mut(key, id);
        Ok(())
    }

    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError> {
        self.change_owner(id, |owner| owner.state = state)
    }

    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
        self.ensure_roles_exist(roles)?;
        self.change_owner(id, |owner| owner.roles = sorted(roles))
    }

    async fn set_password(&mut self, id: OwnerId, password: &PasswordHash) -> Result<(), StoreError> {
        self.change_owner(id, |_| ())?;
        self.content.passwords.insert_mut(id, password.clone());
        Ok(())
    }

    async fn delete_owner(&mut self, id: OwnerId, origin: &AuditOrigin) -> Result<(), StoreError> {
        let owner = self.content.owners.get(&id).cloned().ok_or_else(|| conflict("there is no such owner"))?;
        let at = self.now();
        for token in self.tokens_where(|t| t.owner() == Some(id)) {
            if token.kind() == TokenKind::Admin {
                self.add_event(AuditEvent {
                    at,
                    origin: origin.clone(),
                    what: AuditAction::TokenRevoked,
                    target: AuditTarget::Token(token.id, TokenKind::Admin),
                    cause: Some(AuditCause::OwnerDeleted(id)),
                    details: json!({"name": token.name, "owner": id}),
                });
            }
            self.remove(&token);
        }
        self.delete_invitations(id).await?;
        self.content.passwords.remove_mut(&id);
        self.content.by_email.remove_mut(&owner.email_key());
        self.content.owners.remove_mut(&id);
        Ok(())
    }

    async fn insert_invitation(&mut self, id: OwnerId, digest: &Digest, ends: Timestamp) -> Result<(), StoreError> {
        unless(!self.content.owners.contains_key(&id), "there is no such owner")?;
        self.delete_invitations(id).await?;
        unless(self.content.invitations.contains_key(digest), "the digest is taken")?;
        self.content.invitations.insert_mut(*digest, (id, ends));
        Ok(())
    }

    async fn delete_invitations(&mut self, id: OwnerId) -> Result<u64, StoreError> {
        let theirs = |(digest, (owner, _)): (&Digest, &(OwnerId, Timestamp))| (*owner == id).then_some(*digest);
        let gone: Vec<Digest> = self.content.invitations.iter().filter_map(theirs).collect();
        for digest in &gone {
            self.content.invitations.remove_mut(digest);
        }
        Ok(gone.len() as u64)
    }
}

#[async_trait]
impl WriteTokens for Open<Lock> {
    async fn insert_token(&mut self, new: NewToken) -> Result<TokenId, StoreError> {
        let id = TokenId(self.next_id());
        let created_at = self.now();
        let token = Token {
            id,
            name: new.name,
            description: new.description,
            metadata: new.metadata,
            digest: new.digest,
            hint: new.hint,
            lifespan: new.lifespan,
            expires_at: new.lifespan.map(|span| created_at.plus(span)),
            created_at,
            updated_at: created_at,
            last_used_at: None,
            last_used_tool: None,
            authority: new.authority,
        };
        unless(token.owner().is_some_and(|id| !self.content.owners.contains_key(&id)), "there is no such owner")?;
        unless(self.content.by_digest.contains_key(&token.digest), "the digest is taken")?;
        if token.kind() != TokenKind::Session {
            self.add_token_name(&token.name, new.scope, id)?;
        }
        self.content.by_digest.insert_mut(token.digest, id);
        self.set_count(&token, |count| count + 1);
        self.content.tokens.insert_mut(id, Arc::new(token));
        self.content.hash_keys.insert_mut(id, new.hash_key);
        Ok(id)
    }

    async fn update_token(
        &mut self,
        id: TokenId,
        name: Option<(&str, NameScope)>,
        description: &str,
        metadata: Option<&Metadata>,
        authority: &TokenAuthority,
    ) -> Result<(), StoreError> {
        let before = self.content.tokens.get(&id).cloned().ok_or_else(|| conflict("there is no such token"))?;
        let after = Token { authority: authority.clone(), ..Token::clone(&before) };
        let same = (before.kind(), before.owner()) == (after.kind(), after.owner());
        unless(!same, "a token keeps its kind and its owner")?;
        if let Some((name, scope)) = name.filter(|_| before.kind() != TokenKind::Session) {
            self.remove_token_name(&before.name, id);
            self.add_token_name(name, scope, id)?;
        }
        self.change_token(id, |token| {
            *token = Token {
                name: name.map_or(token.name.as_str(), |(name, _)| name).to_owned(),
                description: description.to_owned(),
                metadata: metadata.cloned(),
                updated_at: token.updated_at,
                ..after
            };
        })
    }

    async fn set_secret(
        &mut self,
        id: TokenId,
        digest: &Digest,
        hash_key: &HashKeyId,
        hint: &str,
    ) -> Result<(), StoreError> {
        let taken = self.content.by_digest.get(digest).is_some_and(|other| *other != id);
        unless(taken, "the digest is taken")?;
        let before = self.content.tokens.get(&id).map(|t| t.digest);
        self.change_token(id, |token| (token.digest, token.hint) = (*digest, hint.to_owned()))?;
        if let Some(before) = before {
            self.content.by_digest.remove_mut(&before);
        }
        self.content.by_digest.insert_mut(*digest, id);
        self.content.hash_keys.insert_mut(id, hash_key.clone());
        self.content.sealed.remove_mut(&id);
        Ok(())
    }

    async fn seal_secret(&mut self, id: TokenId, sealed: &SealedSecret) -> Result<(), StoreError> {
        unless(!self.content.tokens.contains_key(&id), "there is no such token")?;
        self.content.sealed.insert_mut(id, sealed.clone());
        Ok(())
    }

    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        if let Some(token) = self.content.tokens.get(&id).cloned() {
            self.remove(&token);
        }
        Ok(())
    }

    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError> {
        let sessions =
            self.tokens_where(|t| matches!(t.authority, TokenAuthority::Session { owner, .. } if owner == id));
        for session in &sessions {
            self.remove(session);
        }
        Ok(sessions.iter().map(|s| s.digest).collect())
    }

    async fn delete_ended_sessions(&mut self) -> Result<u64, StoreError> {
        let now = self.now();
        let ended =
            self.tokens_where(|t| t.kind() == TokenKind::Session && t.expires_at.is_some_and(|expires| expires < now));
        for session in &ended {
            self.remove(session);
        }
        Ok(ended.len() as u64)
    }

    async fn clamp(
        &mut self,
        clamp: Clamp<'_>,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        self.clamp_grants(clamp, origin, cause)
    }
}

#[async_trait]
impl WriteAudit for Open<Lock> {
    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.add_event(event);
        Ok(())
    }

    async fn delete_events(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let gone: Vec<i64> = self.content.events.iter().filter(|(_, e)| e.at < before).map(|(id, _)| *id).collect();
        for id in &gone {
            self.content.events.remove_mut(id);
            self.content.deleted_event = self.content.deleted_event.max(*id);
        }
        Ok(gone.len() as u64)
    }
}

#[async_trait]
impl WriteImports for Open<Lock> {
    async fn remember_imported(&mut self, source: &str, key: &str, what: Imported) -> Result<(), StoreError> {
        let key = (source.to_owned(), key.to_owned(), what.parts().0);
        unless(self.content.imported.contains_key(&key), "the key was imported before")?;
        self.content.imported.insert_mut(key, what);
        Ok(())
    }

    async fn backdate_owner(&mut self, id: OwnerId, created_at: Timestamp) -> Result<(), StoreError> {
        self.change_owner(id, |owner| owner.created_at = created_at)
    }

    async fn backdate_token(&mut self, id: TokenId, times: TokenTimes) -> Result<(), StoreError> {
        let TokenTimes { created_at, expires_at, last_used_at } = times;
        self.change_token(id, |token| (token.created_at, token.expires_at) = (created_at, expires_at))?;
        if let Some(at) = last_used_at {
            Arc::make_mut(&mut self.uses).insert_mut(id, imported_use(id, at));
            self.lock.used.push((id, at));
        }
        Ok(())
    }
}

#[async_trait]
impl WriteKeys for Open<Lock> {
    async fn set_key_check(&mut self, check: &KeyCheck) -> Result<(), StoreError> {
        self.content.key_checks.insert_mut((check.kind, check.id.clone()), check.value.clone());
        Ok(())
    }
}

#[async_trait]
impl Transaction for Open<Lock> {
    fn seq(&self) -> u64 {
        self.content.seq
    }

    fn op_id(&self) -> Option<&str> {
        None
    }

    async fn commit(self: Box<Self>, _tags: &[Tag]) -> Result<(), StoreError> {
        let Self { store, content, lock, .. } = *self;
        store.content.store(Arc::new(content));
        if !lock.removed.is_empty() || !lock.used.is_empty() {
            // After the tokens were deleted, so that no use of them is stored any more.
            store.uses.rcu(|uses| {
                let mut uses = HashTrieMapSync::clone(uses);
                for (id, at) in &lock.used {
                    if uses.get(id).is_none_or(|noted| noted.at < *at) {
                        uses.insert_mut(*id, imported_use(*id, *at));
                    }
                }
                for id in &lock.removed {
                    uses.remove_mut(id);
                }
                uses
            });
        }
        Ok(())
    }
}

fn sorted(roles: &[RoleId]) -> Vec<RoleId> {
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Returns the last use of an imported token. Only its time is known.
fn imported_use(token: TokenId, at: Timestamp) -> Use {
    Use { token, at, address: None, tool: None }
}
