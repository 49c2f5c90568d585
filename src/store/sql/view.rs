//! Reads in a transaction, a reader's or the writer's.

use super::error::query_error;
use super::lists::List;
use super::{
    Arguments, Engine, EngineStore, EngineTransaction, Row, corrupt, events, lists, no_epoch, notices, rows,
    statements, unless_abandoned,
};
use crate::domain::{
    AccountKey, AuditEvent, Ceiling, Digest, Grant, KeyCheck, KeyUse, Owner, OwnerId, PasswordHash, Role, RoleId,
    SealedSecret, Timestamp, Token, TokenId, TokenKind, comparable,
};
use crate::store::{
    AuditBounds, Clamped, EventQuery, EventsOfActor, Filter, Imported, Lease, NameScope, Notice, NoticeQuery,
    OwnerField, OwnerQuery, OwnerSort, Page, Paging, Proposed, ReadAccounts, ReadAudit, ReadImports, ReadKeys,
    ReadNotices, ReadRoles, ReadTokens, Record, SelectedToken, SignInPlace, StoreError, TokenField, TokenQuery,
    TokenSelection, TokenSort, View,
};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::query::Query;
use sqlx::{Database, query};
use uuid::Uuid;

/// An open transaction with a fixed point in time by the store's clock. Dropping it rolls back.
pub(super) struct OpenTransaction<'t, C> {
    pub(super) store: EngineStore,
    pub(super) transaction: EngineTransaction<'t>,
    /// It is a part of a transaction of the host, on a connection of the host.
    pub(super) within: bool,
    now: Timestamp,
    pub(super) change: C,
    /// A statement failed or was abandoned.
    ///
    /// PostgreSQL rejects later statements, even a COMMIT (silently). SQLite may have ended the transaction by itself,
    /// for example on a full disk: later statements would take effect at once.
    broken: bool,
}

/// A reader's transaction.
pub(super) type Reading = OpenTransaction<'static, ()>;

/// The writer's transaction.
pub(super) type Writing<'t> = OpenTransaction<'t, PendingChange>;

/// The change that a writer makes.
pub(super) struct PendingChange {
    pub(super) op_id: String,
    pub(super) seq: u64,
}

impl Reading {
    pub(super) async fn begin(store: EngineStore) -> Result<Self, StoreError> {
        let mut transaction = store.begin_reading().await?;
        let query = store.prepared(query(statements::READ_EPOCH))?;
        store.set_busy(&mut transaction, true);
        let abandoned = store.wait_until_abandoned(&transaction);
        let row = unless_abandoned(abandoned, query.fetch_optional(&mut *transaction)).await.map_err(query_error)?;
        store.set_busy(&mut transaction, false);
        let now = store.time(&row.ok_or_else(no_epoch)?)?;
        Ok(Self { store, transaction, now, change: (), within: false, broken: false })
    }
}

impl<'t> Writing<'t> {
    pub(super) async fn begin(store: EngineStore) -> Result<Self, StoreError> {
        let transaction = store.begin_writing().await?;
        Self::take_epoch(store, transaction, false).await
    }

    /// Begins within a transaction of the host.
    pub(super) async fn join(
        store: EngineStore,
        host: &'t mut <Engine as Database>::Connection,
    ) -> Result<Self, StoreError> {
        let transaction = store.join(host).await?;
        Self::take_epoch(store, transaction, true).await
    }

    async fn take_epoch(
        store: EngineStore,
        mut transaction: EngineTransaction<'t>,
        within: bool,
    ) -> Result<Self, StoreError> {
        let op_id = Uuid::new_v4().to_string();
        let take = store.prepared(query(statements::TAKE_EPOCH).bind(&op_id))?;
        let take = if within { take.persistent(false) } else { take };
        store.set_busy(&mut transaction, true);
        let abandoned = store.wait_until_abandoned(&transaction);
        let row = unless_abandoned(abandoned, take.fetch_optional(&mut *transaction)).await.map_err(query_error)?;
        store.set_busy(&mut transaction, false);
        let row = row.ok_or_else(no_epoch)?;
        let (seq, now) = (rows::unsigned("seq", rows::get(&row, "seq")?)?, store.time(&row)?);
        Ok(Self { store, transaction, now, change: PendingChange { op_id, seq }, within, broken: false })
    }

    /// Runs a statement, and returns the number of changed rows.
    pub(super) async fn execute(&mut self, query: Query<'_, Engine, Arguments>) -> Result<u64, StoreError> {
        let query = self.prepared(query)?;
        self.start()?;
        let abandoned = self.store.wait_until_abandoned(&self.transaction);
        let done = unless_abandoned(abandoned, query.execute(&mut *self.transaction)).await.map_err(query_error)?;
        self.done();
        Ok(done.rows_affected())
    }
}

impl<C> OpenTransaction<'_, C> {
    /// Prepares a query. The host's connection keeps no statement of ours.
    fn prepared<'q>(&self, query: Query<'q, Engine, Arguments>) -> Result<Query<'q, Engine, Arguments>, StoreError> {
        let query = self.store.prepared(query)?;
        Ok(if self.within { query.persistent(false) } else { query })
    }

    pub(super) async fn row(&mut self, query: Query<'_, Engine, Arguments>) -> Result<Option<Row>, StoreError> {
        let query = self.prepared(query)?;
        self.start()?;
        let abandoned = self.store.wait_until_abandoned(&self.transaction);
        let row =
            unless_abandoned(abandoned, query.fetch_optional(&mut *self.transaction)).await.map_err(query_error)?;
        self.done();
        Ok(row)
    }

    /// Fetches a row of a statement whose best plan depends on the length of its list parameters.
    async fn row_planned_anew(&mut self, query: Query<'_, Engine, Arguments>) -> Result<Option<Row>, StoreError> {
        let query = self.prepared(query)?.persistent(false);
        self.start()?;
        let abandoned = self.store.wait_until_abandoned(&self.transaction);
        let row =
            unless_abandoned(abandoned, query.fetch_optional(&mut *self.transaction)).await.map_err(query_error)?;
        self.done();
        Ok(row)
    }

    pub(super) async fn rows(&mut self, query: Query<'_, Engine, Arguments>) -> Result<Vec<Row>, StoreError> {
        let query = self.prepared(query)?;
        self.start()?;
        let abandoned = self.store.wait_until_abandoned(&self.transaction);
        let rows = unless_abandoned(abandoned, query.fetch_all(&mut *self.transaction)).await.map_err(query_error)?;
        self.done();
        Ok(rows)
    }

    /// Reads rows one by one, so that they are not in memory together. The first error ends it.
    pub(super) async fn each_row(
        &mut self,
        query: Query<'_, Engine, Arguments>,
        mut take: impl FnMut(&Row) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        let query = self.prepared(query)?;
        self.start()?;
        let (abandoned, mut taken) = (self.store.wait_until_abandoned(&self.transaction), Ok(()));
        let reading = async {
            let mut rows = query.fetch(&mut *self.transaction);
            while let Some(row) = rows.try_next().await? {
                if taken.is_ok() {
                    taken = take(&row);
                }
            }
            Ok(())
        };
        unless_abandoned(abandoned, reading).await.map_err(query_error)?;
        self.done();
        taken
    }

    /// Marks the transaction as broken until the statement has succeeded.
    fn start(&mut self) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Conflict("an earlier statement of this transaction failed".into()));
        }
        self.broken = true;
        self.store.set_busy(&mut self.transaction, true);
        Ok(())
    }

    fn done(&mut self) {
        self.broken = false;
        self.store.set_busy(&mut self.transaction, false);
    }

    /// Fetches the row of a statement that always has one.
    pub(super) async fn number(
        &mut self,
        column: &'static str,
        query: Query<'_, Engine, Arguments>,
    ) -> Result<i64, StoreError> {
        let row = self.row(query).await?;
        rows::get(&row.ok_or_else(|| corrupt(column, "no row"))?, column)
    }

    pub(super) async fn count(&mut self, query: Query<'_, Engine, Arguments>) -> Result<u64, StoreError> {
        rows::unsigned("n", self.number("n", query).await?)
    }

    async fn id(&mut self, query: Query<'_, Engine, Arguments>) -> Result<Option<i64>, StoreError> {
        self.row(query).await?.map(|row| rows::get(&row, "id")).transpose()
    }
}

#[async_trait]
impl<C: Send> ReadRoles for OpenTransaction<'_, C> {
    async fn role(&mut self, id: RoleId) -> Result<Option<Role>, StoreError> {
        self.row(query(statements::ROLE).bind(id.0)).await?.as_ref().map(rows::role).transpose()
    }

    async fn count_members(&mut self, id: RoleId) -> Result<u64, StoreError> {
        self.count(query(statements::COUNT_MEMBERS).bind(id.0)).await
    }

    async fn roles(&mut self) -> Result<Vec<(Role, u64)>, StoreError> {
        self.rows(query(statements::ROLES)).await?.iter().map(rows::role_and_members).collect()
    }

    async fn role_with_name(&mut self, name: &str) -> Result<Option<RoleId>, StoreError> {
        Ok(self.id(query(statements::ROLE_WITH_NAME).bind(comparable(name))).await?.map(RoleId))
    }
}

#[async_trait]
impl<C: Send> ReadAccounts for OpenTransaction<'_, C> {
    async fn owner(&mut self, id: OwnerId) -> Result<Option<Owner>, StoreError> {
        self.row(query(statements::OWNER).bind(id.0)).await?.as_ref().map(rows::owner).transpose()
    }

    async fn owner_with_email(&mut self, email: &str) -> Result<Option<OwnerId>, StoreError> {
        Ok(self.id(query(statements::OWNER_WITH_EMAIL).bind(comparable(email))).await?.map(OwnerId))
    }

    async fn owner_of_account(&mut self, key: &AccountKey) -> Result<Option<OwnerId>, StoreError> {
        Ok(self.id(query(statements::OWNER_OF_ACCOUNT).bind(key.as_str())).await?.map(OwnerId))
    }

    async fn accounts(&mut self, after: OwnerId, limit: u32) -> Result<Vec<Owner>, StoreError> {
        let page = query(statements::ACCOUNTS).bind(after.0).bind(i64::from(limit));
        self.rows(page).await?.iter().map(rows::owner).collect()
    }

    async fn reported_accounts(&mut self, after: i64, limit: u32) -> Result<Vec<(i64, String)>, StoreError> {
        let reports = query(statements::REPORTED_ACCOUNTS).bind(after).bind(i64::from(limit));
        self.rows(reports).await?.iter().map(rows::reported_account).collect()
    }

    async fn owners_by_email(&mut self, emails: &[&str]) -> Result<Vec<(String, OwnerId)>, StoreError> {
        let found = self.rows(query(statements::OWNERS_BY_EMAIL).bind(lists::texts(emails))).await?;
        found.iter().map(rows::email_and_owner).collect()
    }

    async fn has_owners(&mut self) -> Result<bool, StoreError> {
        Ok(self.count(query(statements::HAS_OWNERS)).await? > 0)
    }

    async fn owners(&mut self, asked: &OwnerQuery) -> Result<Page<Owner>, StoreError> {
        let text = match asked.descending {
            false => statements::OWNERS_ASCENDING,
            true => statements::OWNERS_DESCENDING,
        };
        let (limit, offset) = part(asked.paging);
        let filters = lists::filters(asked.filters.iter().map(Filter::<OwnerField>::on_column), None);
        let page = query(text).bind(&asked.search).bind(&filters);
        let page = page.bind(sort_word(asked.sort)).bind(limit).bind(offset);
        let items = self.rows(page).await?.iter().map(rows::owner).collect::<Result<_, _>>()?;
        let total = query(statements::COUNT_OWNERS).bind(&asked.search).bind(&filters);
        let total = self.count(total).await?;
        Ok(Page { items, total })
    }

    async fn ceilings(&mut self, ids: &[OwnerId]) -> Result<Vec<(Owner, Ceiling)>, StoreError> {
        let found = self.rows(query(statements::CEILINGS).bind(lists::owners(ids))).await?;
        found.iter().map(rows::owner_and_ceiling).collect()
    }

    async fn ceiling(&mut self, id: OwnerId) -> Result<Ceiling, StoreError> {
        let row = self.row(query(statements::CEILING).bind(id.0)).await?;
        row.as_ref().map_or(Ok(Ceiling::Of(Vec::new())), rows::ceiling)
    }

    async fn other_super_admins(&mut self, id: OwnerId) -> Result<u64, StoreError> {
        self.count(query(statements::OTHER_SUPER_ADMINS).bind(id.0).bind(RoleId::SUPER_ADMIN.0)).await
    }

    async fn roles_meet(&mut self, one: &[RoleId], other: &[RoleId]) -> Result<bool, StoreError> {
        let (one, other) = (lists::roles(one), lists::roles(other));
        let met = query(statements::ROLES_MEET).bind(one).bind(other).bind(RoleId::SUPER_ADMIN.0);
        Ok(self.count(met).await? > 0)
    }

    async fn password(&mut self, id: OwnerId) -> Result<Option<PasswordHash>, StoreError> {
        self.row(query(statements::PASSWORD).bind(id.0)).await?.as_ref().map_or(Ok(None), rows::password)
    }

    async fn invitation(&mut self, digest: &Digest) -> Result<Option<(OwnerId, Timestamp)>, StoreError> {
        let row = self.row(query(statements::INVITATION).bind(digest.to_hex())).await?;
        row.as_ref().map(rows::invitation).transpose()
    }
}

#[async_trait]
impl<C: Send> ReadTokens for OpenTransaction<'_, C> {
    async fn token(&mut self, id: TokenId) -> Result<Option<Token>, StoreError> {
        let token = self.row(query(statements::TOKEN).bind(id.0)).await?.as_ref().map(rows::token).transpose()?;
        Ok(token.map(|token| token.at(self.now)))
    }

    async fn descendants(&mut self, ids: &[TokenId]) -> Result<Vec<Token>, StoreError> {
        let rows = self.rows(query(statements::DESCENDANTS).bind(lists::tokens(ids))).await?;
        rows.iter().map(|row| Ok(rows::token(row)?.at(self.now))).collect()
    }

    async fn tokens(&mut self, asked: &TokenQuery) -> Result<Page<Token>, StoreError> {
        let (limit, offset) = part(asked.paging);
        let until = asked.unexpired_at.map(|at| at.0);
        let filters =
            lists::filters(asked.filters.iter().map(Filter::<TokenField>::on_column), asked.metadata.as_ref());
        let page = query(tokens_statement(asked)).bind(asked.kind.as_str()).bind(&asked.search).bind(until);
        let mut page = page.bind(&filters).bind(limit).bind(offset);
        if asked.sort != TokenSort::Name {
            page = page.bind(token_sort_word(asked.sort));
        }
        if let Some(owner) = asked.owner {
            page = page.bind(owner.0);
        }
        let rows = self.rows(page).await?;
        let items = rows.iter().map(|row| Ok(rows::token(row)?.at(self.now))).collect::<Result<_, StoreError>>()?;
        let selects = asked.search.is_some() || asked.unexpired_at.is_some() || asked.metadata.is_some();
        if !selects && asked.filters.is_empty() {
            let total = self.count_tokens(asked.kind, asked.owner).await?;
            return Ok(Page { items, total });
        }
        let count = match asked.owner {
            None => query(statements::COUNT_MATCHING_TOKENS),
            Some(_) => query(statements::COUNT_MATCHING_TOKENS_OF_OWNER),
        };
        let count = count.bind(asked.kind.as_str()).bind(&asked.search).bind(until);
        let mut count = count.bind(&filters);
        if let Some(owner) = asked.owner {
            count = count.bind(owner.0);
        }
        Ok(Page { items, total: self.count(count).await? })
    }

    async fn count_tokens(&mut self, kind: TokenKind, owner: Option<OwnerId>) -> Result<u64, StoreError> {
        let count = match owner {
            None => query(statements::COUNT_TOKENS).bind(kind.as_str()),
            Some(id) => query(statements::COUNT_TOKENS_OF_OWNER).bind(kind.as_str()).bind(id.0),
        };
        self.count(count).await
    }

    async fn token_with_name(&mut self, name: &str, scope: NameScope) -> Result<Option<TokenId>, StoreError> {
        let found = query(statements::TOKEN_WITH_NAME).bind(comparable(name)).bind(scope.number());
        Ok(self.id(found).await?.map(TokenId))
    }

    async fn record(&mut self, digest: &Digest) -> Result<Option<Record>, StoreError> {
        let row = self.row(query(statements::RESOLVE).bind(digest.to_hex())).await?.ok_or_else(no_epoch)?;
        Ok(rows::snapshot(&row, self.now)?.record)
    }

    async fn sealed_secret(&mut self, id: TokenId) -> Result<Option<SealedSecret>, StoreError> {
        self.row(query(statements::SEALED_SECRET).bind(id.0)).await?.as_ref().map_or(Ok(None), rows::sealed_secret)
    }

    async fn tokens_of_members(&mut self) -> Result<Vec<(RoleId, u64)>, StoreError> {
        self.rows(query(statements::TOKENS_OF_MEMBERS)).await?.iter().map(rows::role_and_tokens).collect()
    }

    async fn tokens_of_owners(&mut self, ids: &[OwnerId]) -> Result<Vec<(OwnerId, u64)>, StoreError> {
        let found = self.rows(query(statements::TOKENS_OF_OWNERS).bind(lists::owners(ids))).await?;
        found.iter().map(rows::owner_and_tokens).collect()
    }

    async fn grants_of_owner(&mut self, id: OwnerId) -> Result<Vec<(TokenId, Vec<Grant>)>, StoreError> {
        let found = self.rows(query(statements::GRANTS_OF_OWNER).bind(id.0)).await?;
        found.iter().map(rows::token_and_grants).collect()
    }

    async fn token_owners(&mut self, ids: &[TokenId]) -> Result<Vec<(TokenId, OwnerId)>, StoreError> {
        let found = self.rows(query(statements::TOKEN_OWNERS).bind(lists::tokens(ids))).await?;
        let pair = |row: &Row| Ok((TokenId(rows::get(row, "id")?), OwnerId(rows::get(row, "owner")?)));
        found.iter().map(pair).collect()
    }

    async fn preview_clamp(&mut self, proposed: Proposed<'_>) -> Result<Clamped, StoreError> {
        let super_admin = RoleId::SUPER_ADMIN.0;
        let count = match proposed {
            Proposed::Permissions(id, permissions) => {
                let List { lines, fields } = List::of_permissions(permissions);
                query(statements::PREVIEW_CLAMP_MEMBERS).bind(id.0).bind(super_admin).bind(lines).bind(fields)
            }
            Proposed::Roles(id, roles) => {
                query(statements::PREVIEW_CLAMP_OWNER).bind(id.0).bind(super_admin).bind(lists::roles(roles))
            }
        };
        let row = self.row_planned_anew(count).await?.ok_or_else(|| corrupt("grants", "no row"))?;
        let number = |column| rows::unsigned(column, rows::get(&row, column)?);
        Ok(Clamped { tokens: number("tokens")?, grants: number("grants")?, permissions: 0 })
    }

    async fn selected_tokens(
        &mut self,
        selection: &TokenSelection,
        limit: u32,
    ) -> Result<Vec<SelectedToken>, StoreError> {
        self.select(selection, limit).await
    }
}

#[async_trait]
impl<C: Send> ReadAudit for OpenTransaction<'_, C> {
    async fn events(&mut self, asked: &EventQuery) -> Result<Page<(i64, AuditEvent)>, StoreError> {
        let (limit, offset) = part(asked.paging);
        let text = if asked.ascending { statements::EVENTS_ASCENDING } else { statements::EVENTS_DESCENDING };
        let page = events::bind_filters(text, asked).bind(limit).bind(offset);
        let items = self.rows(page).await?.iter().map(rows::event_with_id).collect::<Result<Vec<_>, _>>()?;
        if asked.below.is_some() || asked.id.is_some() {
            let total = items.len() as u64;
            return Ok(Page { items, total });
        }
        let total = self.count(events::bind_filters(statements::COUNT_EVENTS, asked)).await?;
        Ok(Page { items, total })
    }

    async fn events_after(&mut self, id: i64, limit: u32) -> Result<Vec<(i64, AuditEvent)>, StoreError> {
        let after = query(statements::EVENTS_AFTER).bind(id).bind(i64::from(limit));
        self.rows(after).await?.iter().map(rows::event_with_id).collect()
    }

    async fn audit_bounds(&mut self, id: i64) -> Result<AuditBounds, StoreError> {
        let row = self.row(query(statements::AUDIT_BOUNDS).bind(id)).await?;
        let row = row.ok_or_else(|| corrupt("last_id", "no row"))?;
        let (at, last) = (rows::maybe(&row, "at")?.map(Timestamp), rows::get(&row, "last")?);
        Ok(AuditBounds { at, last, deleted: rows::get(&row, "deleted")? })
    }

    async fn nth_latest_event(&mut self, nth: u32, of: &EventsOfActor) -> Result<Option<Timestamp>, StoreError> {
        let found = self.row(events::nth_latest(nth, of)).await?;
        found.map(|row| rows::get(&row, "at").map(Timestamp)).transpose()
    }

    async fn sign_in_places(&mut self, since: Timestamp) -> Result<Vec<SignInPlace>, StoreError> {
        let places = query(statements::SIGN_IN_PLACES)
            .bind(since.0)
            .bind(i64::from(SignInPlace::OF_A_PERSON))
            .bind(i64::from(SignInPlace::MOST));
        self.rows(places).await?.iter().map(rows::sign_in_place).collect()
    }
}

#[async_trait]
impl<C: Send> ReadNotices for OpenTransaction<'_, C> {
    async fn lease(&mut self, name: &str) -> Result<Option<Lease>, StoreError> {
        self.row(query(statements::LEASE).bind(name)).await?.as_ref().map(notices::lease).transpose()
    }

    async fn due_notices(&mut self, asked: &NoticeQuery<'_>, limit: u32) -> Result<Vec<Notice>, StoreError> {
        let rows = self.rows(notices::due(asked, self.now, limit)).await?;
        rows.iter().map(|row| notices::notice(row, asked)).collect()
    }
}

#[async_trait]
impl<C: Send> ReadImports for OpenTransaction<'_, C> {
    async fn imported(&mut self) -> Result<Vec<(String, String, Imported)>, StoreError> {
        self.rows(query(statements::IMPORTED)).await?.iter().map(rows::imported).collect()
    }

    async fn imported_token(&mut self, source: &str, key: &str) -> Result<Option<TokenId>, StoreError> {
        Ok(self.id(query(statements::IMPORTED_TOKEN).bind(source).bind(key)).await?.map(TokenId))
    }
}

#[async_trait]
impl<C: Send> ReadKeys for OpenTransaction<'_, C> {
    async fn key_checks(&mut self) -> Result<Vec<KeyCheck>, StoreError> {
        self.rows(query(statements::KEY_CHECKS))
            .await?
            .iter()
            .filter_map(|row| rows::key_check(row).transpose())
            .collect()
    }

    async fn key_uses(&mut self) -> Result<Vec<KeyUse>, StoreError> {
        let now = self.now;
        self.rows(query(statements::KEY_USES).bind(now.0)).await?.iter().map(rows::key_use).collect()
    }
}

#[async_trait]
impl<C: Send> View for OpenTransaction<'_, C> {
    fn now(&self) -> Timestamp {
        self.now
    }

    async fn is_empty(&mut self) -> Result<bool, StoreError> {
        Ok(self.count(query(statements::HAS_RECORDS)).await? == 0)
    }
}

/// Returns limit and offset. An offset that does not fit is beyond the end of every list.
fn part(paging: Paging) -> (i64, i64) {
    (paging.page_size.into(), i64::try_from(paging.offset()).unwrap_or(i64::MAX))
}

/// Returns the word that the statement compares with.
fn sort_word(sort: OwnerSort) -> &'static str {
    match sort {
        OwnerSort::Id => "id",
        OwnerSort::Email => "email",
        OwnerSort::Firstname => "firstname",
        OwnerSort::Lastname => "lastname",
        OwnerSort::Username => "username",
        OwnerSort::CreatedAt => "created-at",
    }
}

fn tokens_statement(asked: &TokenQuery) -> &'static str {
    match (asked.sort == TokenSort::Name, asked.owner.is_some(), asked.descending) {
        (true, false, false) => statements::TOKENS_BY_NAME_ASCENDING,
        (true, false, true) => statements::TOKENS_BY_NAME_DESCENDING,
        (true, true, false) => statements::TOKENS_OF_OWNER_BY_NAME_ASCENDING,
        (true, true, true) => statements::TOKENS_OF_OWNER_BY_NAME_DESCENDING,
        (false, false, false) => statements::TOKENS_ASCENDING,
        (false, false, true) => statements::TOKENS_DESCENDING,
        (false, true, false) => statements::TOKENS_OF_OWNER_ASCENDING,
        (false, true, true) => statements::TOKENS_OF_OWNER_DESCENDING,
    }
}

fn token_sort_word(sort: TokenSort) -> &'static str {
    match sort {
        TokenSort::Id => "id",
        TokenSort::Name => "name",
        TokenSort::CreatedAt => "created-at",
        TokenSort::LastUsedAt => "last-used-at",
        TokenSort::ExpiresAt => "expires-at",
        TokenSort::Owner => "owner",
        TokenSort::Access => "access",
    }
}
