//! Reads of the content.

use super::Open;
use crate::domain::{
    AccountKey, AccountKind, Actor, AuditAction, AuditEvent, AuditTarget, Ceiling, Digest, Grant, KeyCheck, KeyKind,
    KeyUse, Owner, OwnerId, PasswordHash, Role, RoleId, SealedSecret, Timestamp, Token, TokenId, TokenKind, comparable,
    email_key,
};
use crate::store::list::ColumnFilter;
use crate::store::{
    AuditBounds, Clamped, EventQuery, EventsOfActor, Filter, Imported, NameScope, OwnerField, OwnerQuery, OwnerSort,
    Page, Paging, Proposed, ReadAccounts, ReadAudit, ReadImports, ReadKeys, ReadRoles, ReadTokens, Record,
    SelectedToken, SignInPlace, StoreError, TokenField, TokenQuery, TokenSelection, TokenSort, View,
};
use crate::sync::Arc;
use async_trait::async_trait;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Bound;

#[async_trait]
impl<L: Send> ReadRoles for Open<L> {
    async fn role(&mut self, id: RoleId) -> Result<Option<Role>, StoreError> {
        Ok(self.content.roles.get(&id).map(|r| Role::clone(r)))
    }

    async fn count_members(&mut self, id: RoleId) -> Result<u64, StoreError> {
        Ok(self.content.count_members(id))
    }

    async fn roles(&mut self) -> Result<Vec<(Role, u64)>, StoreError> {
        Ok(self.content.roles.values().map(|r| (Role::clone(r), self.content.count_members(r.id))).collect())
    }

    async fn role_with_name(&mut self, name: &str) -> Result<Option<RoleId>, StoreError> {
        let key = comparable(name);
        Ok(self.content.roles.values().find(|r| comparable(&r.name) == key).map(|r| r.id))
    }
}

#[async_trait]
impl<L: Send> ReadAccounts for Open<L> {
    async fn owner(&mut self, id: OwnerId) -> Result<Option<Owner>, StoreError> {
        Ok(self.content.owners.get(&id).map(|o| Owner::clone(o)))
    }

    async fn owner_with_email(&mut self, email: &str) -> Result<Option<OwnerId>, StoreError> {
        Ok(self.content.by_email.get(&comparable(email)).copied())
    }

    async fn owner_of_account(&mut self, key: &AccountKey) -> Result<Option<OwnerId>, StoreError> {
        Ok(self.content.by_email.get(&email_key("", "", Some(key))).copied())
    }

    async fn accounts(&mut self, after: OwnerId, limit: u32) -> Result<Vec<Owner>, StoreError> {
        let accounts = self.content.owners.values().filter(|o| o.account.is_some() && o.id > after);
        let mut accounts: Vec<Owner> = accounts.map(|o| Owner::clone(o)).collect();
        accounts.sort_unstable_by_key(|o| o.id);
        accounts.truncate(limit as usize);
        Ok(accounts)
    }

    async fn owners_by_email(&mut self, emails: &[&str]) -> Result<Vec<(String, OwnerId)>, StoreError> {
        let found = |email: &&str| self.content.by_email.get(*email).map(|id| ((*email).to_owned(), *id));
        Ok(emails.iter().filter_map(found).collect())
    }

    async fn has_owners(&mut self) -> Result<bool, StoreError> {
        let own = |owner: &Owner| owner.account.is_none() && owner.kind == AccountKind::Person;
        Ok(self.content.owners.values().any(|owner| own(owner)))
    }

    async fn owners(&mut self, query: &OwnerQuery) -> Result<Page<Owner>, StoreError> {
        let search = query.search.as_ref().map(|text| text.to_ascii_lowercase());
        let filters: Vec<ColumnFilter> = query.filters.iter().map(Filter::<OwnerField>::on_column).collect();
        let asked = |o: &&Arc<Owner>| {
            search.as_ref().is_none_or(|text| has_text(o, text))
                && filters.iter().all(|f| f.passes(owner_column(o, f.column)))
        };
        let mut found: Vec<&Arc<Owner>> = self.content.owners.values().filter(asked).collect();
        found.sort_unstable_by(|a, b| {
            let order = compare_by(query.sort, a, b).then(a.id.cmp(&b.id));
            if query.descending { order.reverse() } else { order }
        });
        Ok(page(query.paging, found.into_iter(), |o| Owner::clone(o)))
    }

    async fn ceilings(&mut self, ids: &[OwnerId]) -> Result<Vec<(Owner, Ceiling)>, StoreError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let found = ids.iter().filter_map(|id| self.content.owners.get(id));
        Ok(found.map(|o| (Owner::clone(o), self.content.ceiling(o))).collect())
    }

    async fn ceiling(&mut self, id: OwnerId) -> Result<Ceiling, StoreError> {
        let owner = self.content.owners.get(&id);
        Ok(owner.map_or(Ceiling::Of(Vec::new()), |owner| self.content.ceiling(owner)))
    }

    async fn other_super_admins(&mut self, id: OwnerId) -> Result<u64, StoreError> {
        let others = self.content.owners.values();
        let counts = |o: &&Arc<Owner>| o.id != id && o.state.is_active() && o.is_super_admin();
        Ok(others.filter(counts).count() as u64)
    }

    async fn roles_meet(&mut self, one: &[RoleId], other: &[RoleId]) -> Result<bool, StoreError> {
        let has = |owner: &Owner, list: &[RoleId]| owner.roles.iter().any(|role| list.contains(role));
        let mut owners = self.content.owners.values();
        Ok(owners.any(|owner| !owner.is_super_admin() && has(owner, one) && has(owner, other)))
    }

    async fn password(&mut self, id: OwnerId) -> Result<Option<PasswordHash>, StoreError> {
        Ok(self.content.passwords.get(&id).cloned())
    }

    async fn invitation(&mut self, digest: &Digest) -> Result<Option<(OwnerId, Timestamp)>, StoreError> {
        Ok(self.content.invitations.get(digest).copied())
    }
}

#[async_trait]
impl<L: Send> ReadTokens for Open<L> {
    async fn token(&mut self, id: TokenId) -> Result<Option<Token>, StoreError> {
        Ok(self.content.tokens.get(&id).map(|t| self.content.with_uses(t, &self.uses, self.store.clock.now())))
    }

    async fn descendants(&mut self, ids: &[TokenId]) -> Result<Vec<Token>, StoreError> {
        let mut found: Vec<Token> = Vec::new();
        let mut generation = ids.to_vec();
        while !generation.is_empty() {
            let children = generation.iter().filter_map(|id| self.content.children.get(id)).flatten();
            generation = children.copied().filter(|id| found.iter().all(|known| known.id != *id)).collect();
            generation.sort_unstable();
            generation.dedup();
            let tokens = generation.iter().filter_map(|id| self.content.tokens.get(id));
            found.extend(tokens.map(|token| self.content.with_uses(token, &self.uses, self.store.clock.now())));
        }
        Ok(found)
    }

    async fn tokens(&mut self, query: &TokenQuery) -> Result<Page<Token>, StoreError> {
        let search = query.search.as_ref().map(|text| text.to_ascii_lowercase());
        let owner = |t: &Token| t.owner().and_then(|id| self.content.owners.get(&id)).map(|o| o.display_name());
        let filters: Vec<ColumnFilter> = query.filters.iter().map(Filter::<TokenField>::on_column).collect();
        let found = |t: &&Arc<Token>| {
            t.kind() == query.kind
                && filters.iter().all(|f| f.passes(token_column(t, f.column)))
                && query.metadata.as_ref().is_none_or(|f| f.passes(t.metadata.as_ref()))
                && (query.owner.is_none() || t.owner() == query.owner)
                && query.unexpired_at.is_none_or(|at| t.expires_at.is_none_or(|end| end > at))
                && search.as_ref().is_none_or(|text| {
                    let texts = [&t.name, &t.description].into_iter().cloned().chain(owner(t));
                    texts.into_iter().any(|field| field.to_ascii_lowercase().contains(text))
                })
        };
        let key = |t: &Arc<Token>| match query.sort {
            TokenSort::Id => (String::new(), 0),
            TokenSort::Name => (t.name.to_ascii_lowercase(), 0),
            TokenSort::CreatedAt => (String::new(), t.created_at.0),
            TokenSort::LastUsedAt => (String::new(), self.uses.of_tokens.get(&t.id).map_or(i64::MIN, |used| used.at.0)),
            TokenSort::ExpiresAt => (String::new(), t.expires_at.map_or(i64::MAX, |at| at.0)),
            TokenSort::Owner => (owner(t).unwrap_or_default().to_ascii_lowercase(), 0),
            TokenSort::Access => (t.access().map(|access| access.as_str().to_owned()).unwrap_or_default(), 0),
        };
        let mut found: Vec<&Arc<Token>> = self.content.tokens.values().filter(found).collect();
        found.sort_by_cached_key(|t| (key(t), t.id));
        if query.descending {
            found.reverse();
        }
        Ok(page(query.paging, found.into_iter(), |t| self.content.with_uses(t, &self.uses, self.store.clock.now())))
    }

    async fn count_tokens(&mut self, kind: TokenKind, owner: Option<OwnerId>) -> Result<u64, StoreError> {
        let counts = &self.content.token_counts;
        Ok(match owner {
            Some(_) => counts.get(&(kind, owner)).copied().unwrap_or(0),
            None => counts.iter().filter(|((of, _), _)| *of == kind).map(|(_, count)| count).sum(),
        })
    }

    async fn token_with_name(&mut self, name: &str, scope: NameScope) -> Result<Option<TokenId>, StoreError> {
        let named = self.content.token_names.get(&comparable(name)).into_iter().flatten().map(|(_, id)| *id);
        let owner = |id| self.content.tokens.get(&id).and_then(|token| token.owner());
        Ok(named.filter(|id| scope.includes(owner(*id))).min())
    }

    async fn record(&mut self, digest: &Digest) -> Result<Option<Record>, StoreError> {
        Ok(self.content.record(digest, &self.store.uses.load(), self.store.clock.now()))
    }

    async fn sealed_secret(&mut self, id: TokenId) -> Result<Option<SealedSecret>, StoreError> {
        Ok(self.content.sealed.get(&id).cloned())
    }

    async fn tokens_of_members(&mut self) -> Result<Vec<(RoleId, u64)>, StoreError> {
        let mut counts: BTreeMap<RoleId, u64> = self.content.roles.keys().map(|id| (*id, 0)).collect();
        let owners = self.content.tokens.values().filter(|t| t.kind() == TokenKind::Admin).filter_map(|t| t.owner());
        for role in owners.filter_map(|id| self.content.owners.get(&id)).flat_map(|o| &o.roles) {
            counts.entry(*role).and_modify(|count| *count += 1);
        }
        Ok(counts.into_iter().collect())
    }

    async fn grants_of_owner(&mut self, id: OwnerId) -> Result<Vec<(TokenId, Vec<Grant>)>, StoreError> {
        let of_owner = |token: &Token| token.kind() == TokenKind::Admin && token.owner() == Some(id);
        let tokens = self.content.tokens.values().filter(|token| of_owner(token));
        Ok(tokens.map(|token| (token.id, token.grants().to_vec())).collect())
    }

    async fn tokens_of_owners(&mut self, ids: &[OwnerId]) -> Result<Vec<(OwnerId, u64)>, StoreError> {
        let there = ids.iter().filter(|id| self.content.owners.contains_key(id));
        let mut counts: BTreeMap<OwnerId, u64> = there.map(|id| (*id, 0)).collect();
        for owner in self.content.tokens.values().filter(|t| t.kind() == TokenKind::Admin).filter_map(|t| t.owner()) {
            counts.entry(owner).and_modify(|count| *count += 1);
        }
        Ok(counts.into_iter().collect())
    }

    async fn token_owners(&mut self, ids: &[TokenId]) -> Result<Vec<(TokenId, OwnerId)>, StoreError> {
        let there = ids.iter().filter_map(|id| Some((*id, self.content.tokens.get(id)?.owner()?)));
        let remembered = self.content.events.values().filter_map(|event| match (event.what, event.target) {
            (AuditAction::TokenIssued | AuditAction::TokenRevoked, AuditTarget::Token(id, _)) if ids.contains(&id) => {
                Some((id, OwnerId(event.details.get("owner")?.as_i64()?)))
            }
            _ => None,
        });
        let all: BTreeSet<(TokenId, OwnerId)> = there.chain(remembered).collect();
        Ok(all.into_iter().collect())
    }

    async fn preview_clamp(&mut self, proposed: Proposed<'_>) -> Result<Clamped, StoreError> {
        // A copy: the view's own content stays as it is.
        let mut content = self.content.clone();
        match proposed {
            Proposed::Permissions(id, permissions) => {
                let Some(role) = content.roles.get(&id) else { return Ok(Clamped::default()) };
                let role = Role { permissions: permissions.to_vec(), ..Role::clone(role) };
                content.roles.insert_mut(id, Arc::new(role));
                Ok(content.count_beyond(|owner| owner.roles.contains(&id)))
            }
            Proposed::Roles(id, roles) => {
                let Some(owner) = content.owners.get(&id) else { return Ok(Clamped::default()) };
                let owner = Owner { roles: roles.to_vec(), ..Owner::clone(owner) };
                content.owners.insert_mut(id, Arc::new(owner));
                Ok(content.count_beyond(|owner| owner.id == id))
            }
        }
    }

    async fn selected_tokens(
        &mut self,
        selection: &TokenSelection,
        limit: u32,
    ) -> Result<Vec<SelectedToken>, StoreError> {
        Ok(self.select(selection, limit))
    }
}

#[async_trait]
impl<L: Send> ReadAudit for Open<L> {
    async fn events(&mut self, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, StoreError> {
        let mut found: Vec<_> = self
            .content
            .events
            .iter()
            .filter(|(id, event)| matches(**id, event, query) && self.concerns_no_other(event, query.tokens_of))
            .collect();
        if !query.ascending {
            found.reverse();
        }
        let Page { items, total } =
            page(query.paging, found.into_iter(), |(id, event)| (*id, AuditEvent::clone(event)));
        let total = if query.below.is_some() { items.len() as u64 } else { total };
        Ok(Page { items, total })
    }

    async fn events_after(&mut self, id: i64, limit: u32) -> Result<Vec<(i64, AuditEvent)>, StoreError> {
        let after = self.content.events.range((Bound::Excluded(id), Bound::Unbounded)).take(limit as usize);
        Ok(after.map(|(id, event)| (*id, AuditEvent::clone(event))).collect())
    }

    async fn audit_bounds(&mut self, id: i64) -> Result<AuditBounds, StoreError> {
        let events = &self.content.events;
        let last = events.last().map_or(0, |(id, _)| *id);
        Ok(AuditBounds { at: events.get(&id).map(|event| event.at), last, deleted: self.content.deleted_event })
    }

    async fn nth_latest_event(&mut self, nth: u32, of: &EventsOfActor) -> Result<Option<Timestamp>, StoreError> {
        let EventsOfActor { what, actor, target, since } = *of;
        let same = |e: &&Arc<AuditEvent>| {
            (e.what, e.origin.actor) == (what, actor) && target.is_none_or(|target| e.target == target) && e.at >= since
        };
        let skipped = usize::try_from(nth.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(self.content.events.values().rev().filter(same).nth(skipped).map(|event| event.at))
    }

    async fn sign_in_places(&mut self, since: Timestamp) -> Result<Vec<SignInPlace>, StoreError> {
        let mut last: HashMap<(OwnerId, IpAddr), Timestamp> = HashMap::new();
        for event in self.content.events.values().filter(|e| e.what == AuditAction::SignedIn && e.at >= since) {
            if let (Actor::Person(owner), Some(address)) = (event.origin.actor, event.origin.address) {
                let at = last.entry((owner, address)).or_insert(event.at);
                *at = event.at.max(*at);
            }
        }
        let mut latest: Vec<_> = last.into_iter().map(|((owner, address), last)| (last, owner, address)).collect();
        latest.sort_unstable_by(|one, other| other.cmp(one));
        let mut of_person: HashMap<OwnerId, u32> = HashMap::new();
        let mut places = Vec::new();
        for (last, owner, address) in latest {
            let count = of_person.entry(owner).or_default();
            *count += 1;
            match self.content.owners.get(&owner) {
                Some(found) if *count <= SignInPlace::OF_A_PERSON => {
                    places.push(SignInPlace { owner, email: found.email.clone(), address, last });
                }
                _ => {}
            }
        }
        places.truncate(SignInPlace::MOST as usize);
        Ok(places)
    }
}

#[async_trait]
impl<L: Send> ReadImports for Open<L> {
    async fn imported(&mut self) -> Result<Vec<(String, String, Imported)>, StoreError> {
        let all = self.content.imported.iter();
        Ok(all.map(|((source, key, _), what)| (source.clone(), key.clone(), *what)).collect())
    }

    async fn imported_token(&mut self, source: &str, key: &str) -> Result<Option<TokenId>, StoreError> {
        let key = (source.to_owned(), key.to_owned(), "token");
        Ok(self.content.imported.get(&key).and_then(|what| match what {
            Imported::Token(id) => Some(*id),
            Imported::Role(_) | Imported::Owner(_) => None,
        }))
    }
}

#[async_trait]
impl<L: Send> ReadKeys for Open<L> {
    async fn key_checks(&mut self) -> Result<Vec<KeyCheck>, StoreError> {
        Ok(self.content.key_checks())
    }

    async fn key_uses(&mut self) -> Result<Vec<KeyUse>, StoreError> {
        let now = self.store.clock.now();
        let is_in_grace = |id: &TokenId| {
            let previous = self.content.tokens.get(id).and_then(|token| token.previous.as_ref());
            previous.is_some_and(|previous| now < previous.ends_at)
        };
        let former = self.content.former_hash_keys.iter().filter(|(id, _)| is_in_grace(id)).map(|(_, key)| key);
        let hash = self.content.hash_keys.values().chain(former).map(|id| (KeyKind::Hash, id.as_str()));
        let encryption = self.content.sealed.values().map(|sealed| (KeyKind::Encryption, sealed.key.as_str()));
        let mut counts = BTreeMap::<_, u64>::new();
        for key in hash.chain(encryption) {
            *counts.entry(key).or_default() += 1;
        }
        Ok(counts.into_iter().map(|((kind, id), tokens)| KeyUse { kind, id: id.to_owned(), tokens }).collect())
    }
}

#[async_trait]
impl<L: Send> View for Open<L> {
    fn now(&self) -> Timestamp {
        self.store.clock.now()
    }

    async fn is_empty(&mut self) -> Result<bool, StoreError> {
        Ok(self.content.owners.is_empty() && self.content.tokens.is_empty())
    }
}

impl<L> Open<L> {
    /// Returns whether an event is not about an admin token or session of another owner.
    fn concerns_no_other(&self, event: &AuditEvent, owner: Option<OwnerId>) -> bool {
        let (Some(owner), AuditTarget::Token(id, TokenKind::Admin | TokenKind::Session)) = (owner, event.target) else {
            return true;
        };
        self.content.tokens.get(&id).is_some_and(|token| token.owner() == Some(owner))
            || event.details.get("owner").and_then(serde_json::Value::as_i64) == Some(owner.0)
    }
}

/// Returns whether the e-mail address or a name contains a text in lower case.
fn has_text(owner: &Owner, text: &str) -> bool {
    let fields = [&owner.email, &owner.firstname, &owner.lastname].into_iter().chain(&owner.username);
    fields.into_iter().any(|field| field.to_ascii_lowercase().contains(text))
}

fn compare_by(sort: OwnerSort, a: &Owner, b: &Owner) -> Ordering {
    match sort {
        OwnerSort::Id => Ordering::Equal,
        OwnerSort::Email => a.email_key().cmp(&b.email_key()),
        OwnerSort::Firstname => a.firstname.cmp(&b.firstname),
        OwnerSort::Lastname => a.lastname.cmp(&b.lastname),
        OwnerSort::Username => a.username.cmp(&b.username),
        OwnerSort::CreatedAt => a.created_at.cmp(&b.created_at),
    }
}

/// Returns the text of a column of [`ColumnFilter`].
fn owner_column(owner: &Owner, column: &str) -> Option<String> {
    Some(match column {
        "id" => owner.id.to_string(),
        "email" => owner.email.clone(),
        "email-key" => owner.email_key(),
        "firstname" => owner.firstname.clone(),
        "lastname" => owner.lastname.clone(),
        "username" => return owner.username.clone(),
        "state" => owner.state.as_str().to_owned(),
        _ => return None,
    })
}

/// Returns the text of a column of [`ColumnFilter`].
fn token_column(token: &Token, column: &str) -> Option<String> {
    Some(match column {
        "id" => token.id.to_string(),
        "name" => token.name.clone(),
        "description" => token.description.clone(),
        "owner" => return token.owner().map(|id| id.to_string()),
        "access" => return token.access().map(|access| access.as_str().to_owned()),
        _ => return None,
    })
}

fn matches(id: i64, event: &AuditEvent, query: &EventQuery) -> bool {
    let actor = |actor: Actor| event.origin.actor == actor;
    query.id.is_none_or(|asked| asked == id)
        && query.below.is_none_or(|below| id < below)
        && query.actions.as_ref().is_none_or(|actions| actions.contains(&event.what))
        && query.target.is_none_or(|target| target == event.target)
        && query.person.is_none_or(|id| actor(Actor::Person(id)))
        && query.token.is_none_or(|id| actor(Actor::Token(id)))
        && query.since.is_none_or(|since| since <= event.at)
        && query.until.is_none_or(|until| event.at < until)
}

/// Returns a page of a list, and the length of the list.
fn page<I, T>(paging: Paging, all: impl Iterator<Item = I>, item: impl Fn(I) -> T) -> Page<T> {
    let (first, mut total, mut items) = (paging.offset(), 0, Vec::new());
    for found in all {
        if first <= total && total - first < u64::from(paging.page_size) {
            items.push(item(found));
        }
        total += 1;
    }
    Page { items, total }
}
