//! Mutations of the content.

use super::{Lock, Open, Uses, conflict, unless};
use crate::domain::{
    Ancestor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, Digest, KeyCheck, Metadata, Owner,
    OwnerId, OwnerState, PasswordHash, Permission, PreviousSecret, Role, RoleId, SealedSecret, Tag, Timestamp, Token,
    TokenAuthority, TokenId, TokenKind, TokenLimits, comparable, email_key,
};
use crate::store::{
    Clamp, Clamped, Imported, NameScope, NewOwner, NewRole, NewToken, Profile, REMEMBERED_SECRETS, StoreError,
    StoredSecret, TokenTimes, Transaction, Use, View, WriteAccounts, WriteAudit, WriteImports, WriteKeys, WriteRoles,
    WriteTokens,
};
use crate::sync::Arc;
use async_trait::async_trait;
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

    /// Removes a token and those that come from it.
    pub(super) fn remove(&mut self, token: &Token) {
        let children = self.content.children.get(&token.id).cloned().unwrap_or_default();
        for child in children.iter().filter_map(|id| self.content.tokens.get(id).cloned()).collect::<Vec<_>>() {
            self.remove(&child);
        }
        self.content.children.remove_mut(&token.id);
        if let Some(parent) = token.parent() {
            let mut others = self.content.children.get(&parent).cloned().unwrap_or_default();
            others.retain(|id| *id != token.id);
            self.content.children.insert_mut(parent, others);
        }
        for digest in self.content.replaced.get(&token.id).cloned().unwrap_or_default() {
            self.content.by_previous.remove_mut(&digest);
            self.lock.forgotten.push(digest);
        }
        self.content.replaced.remove_mut(&token.id);
        self.lock.forgotten.push(token.digest);
        self.content.by_digest.remove_mut(&token.digest);
        if token.kind() != TokenKind::Session {
            self.remove_token_name(&token.name, token.id);
        }
        self.content.sealed.remove_mut(&token.id);
        self.content.hash_keys.remove_mut(&token.id);
        self.content.former_hash_keys.remove_mut(&token.id);
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
            limits: new.limits,
            secret_used: None,
            previous: None,
            ancestors: Vec::new(),
            parent_secret: new.parent.map(|(_, secret)| secret),
            authority: new.authority,
        };
        let token = match new.parent {
            Some((parent, _)) => {
                let parent = self.content.tokens.get(&parent).ok_or_else(|| conflict("there is no such parent"))?;
                let ancestors = std::iter::once(Ancestor::of(parent)).chain(parent.ancestors.iter().cloned()).collect();
                Token { ancestors, ..token }
            }
            None => token,
        };
        unless(token.owner().is_some_and(|id| !self.content.owners.contains_key(&id)), "there is no such owner")?;
        unless(self.content.by_digest.contains_key(&token.digest), "the digest is taken")?;
        if token.kind() != TokenKind::Session {
            self.add_token_name(&token.name, new.scope, id)?;
        }
        self.content.by_digest.insert_mut(token.digest, id);
        self.set_count(&token, |count| count + 1);
        if let Some(parent) = token.parent() {
            let mut children = self.content.children.get(&parent).cloned().unwrap_or_default();
            children.push(id);
            self.content.children.insert_mut(parent, children);
        }
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
        limits: &TokenLimits,
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
                limits: limits.clone(),
                updated_at: token.updated_at,
                ..after
            };
        })
    }

    async fn replace_secret(&mut self, id: TokenId, new: &StoredSecret, ends: Timestamp) -> Result<(), StoreError> {
        let StoredSecret { digest, hash_key, hint } = new;
        unless(self.content.by_digest.contains_key(digest), "the digest is taken")?;
        let (mut before, now) = (None, self.now());
        self.change_token(id, |token| {
            before = Some(token.digest);
            token.previous = Some(PreviousSecret {
                digest: token.digest,
                hint: std::mem::replace(&mut token.hint, hint.clone()),
                replaced_at: now,
                ends_at: ends,
                used: None,
            });
            token.digest = *digest;
        })?;
        if let Some(before) = before {
            self.content.by_digest.remove_mut(&before);
            self.content.by_previous.insert_mut(before, id);
            let mut replaced = self.content.replaced.get(&id).cloned().unwrap_or_default();
            replaced.push(before);
            if replaced.len() > REMEMBERED_SECRETS as usize {
                let oldest = replaced.remove(0);
                self.content.by_previous.remove_mut(&oldest);
                self.lock.forgotten.push(oldest);
            }
            self.content.replaced.insert_mut(id, replaced);
        }
        self.content.by_digest.insert_mut(*digest, id);
        if let Some(former) = self.content.hash_keys.get(&id).cloned() {
            self.content.former_hash_keys.insert_mut(id, former);
        }
        self.content.hash_keys.insert_mut(id, hash_key.clone());
        self.content.sealed.remove_mut(&id);
        Ok(())
    }

    async fn end_previous_secret(&mut self, id: TokenId) -> Result<(), StoreError> {
        let now = self.now();
        if let Some(token) = self.content.tokens.get(&id) {
            let mut token = Token::clone(token);
            if let Some(previous) = &mut token.previous {
                previous.ends_at = previous.ends_at.min(now);
            }
            self.content.tokens.insert_mut(id, Arc::new(token));
        }
        Ok(())
    }

    async fn set_expiry(&mut self, id: TokenId, expires_at: Timestamp) -> Result<(), StoreError> {
        self.change_token(id, |token| token.expires_at = Some(expires_at))
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

    async fn revoke_tokens(
        &mut self,
        ids: &[TokenId],
        origin: &AuditOrigin,
        selection: &str,
    ) -> Result<(), StoreError> {
        self.revoke(ids, origin, selection)
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
        if let Some(at) = last_used_at
            && let Some(digest) = self.content.tokens.get(&id).map(|token| token.digest)
        {
            let used = imported_use(id, digest, at);
            Arc::make_mut(&mut self.uses).of_tokens.insert_mut(id, used.clone());
            self.lock.used.push(used);
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
        if !lock.removed.is_empty() || !lock.forgotten.is_empty() || !lock.used.is_empty() {
            // After the tokens were deleted, so that no use of them is stored any more.
            store.uses.rcu(|uses| {
                let mut uses = Uses::clone(uses);
                for used in &lock.used {
                    if uses.of_tokens.get(&used.token).is_none_or(|noted| noted.at < used.at) {
                        uses.of_tokens.insert_mut(used.token, used.clone());
                    }
                }
                for id in &lock.removed {
                    uses.of_tokens.remove_mut(id);
                }
                for digest in &lock.forgotten {
                    uses.of_secrets.remove_mut(digest);
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
fn imported_use(token: TokenId, digest: Digest, at: Timestamp) -> Use {
    Use { token, digest, at, address: None, tool: None }
}
