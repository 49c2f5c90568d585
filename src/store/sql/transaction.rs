//! The writer's transaction.

use super::error::{asking, leaves_open};
use super::lists::{self, List};
use super::{SqliteStore, no_epoch, rows, statements};
use crate::domain::{
    AuditEvent, Ceiling, ContentAccess, Digest, Doer, Owner, OwnerId, OwnerState, Permission, Role, RoleId, Tag,
    Target, Timestamp, Token, TokenAuthority, TokenId,
};
use crate::store::{NewOwner, NewRole, NewToken, StoreError, Transaction};
use async_trait::async_trait;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, query};
use std::time::Duration;
use uuid::Uuid;

pub(super) struct Writing {
    store: SqliteStore,
    transaction: sqlx::Transaction<'static, Sqlite>,
    op_id: String,
    seq: u64,
    /// A statement failed or was abandoned. SQLite may have ended the transaction by itself then (on a full disk, say), and
    /// what came after it would take effect at once.
    broken: bool,
}

impl Writing {
    pub(super) async fn begin(store: SqliteStore) -> Result<Self, StoreError> {
        let mut transaction = store.writer.begin_with(statements::BEGIN).await.map_err(asking)?;
        let op_id = Uuid::new_v4().to_string();
        let row = query(statements::TAKE_EPOCH).bind(&op_id).fetch_optional(&mut *transaction).await.map_err(asking)?;
        let seq = rows::unsigned("seq", rows::get(&row.ok_or_else(no_epoch)?, "seq")?)?;
        Ok(Self { store, transaction, op_id, seq, broken: false })
    }

    /// Runs a statement, and answers with how many rows it touched.
    async fn execute(&mut self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<u64, StoreError> {
        self.start()?;
        let done = query.execute(&mut *self.transaction).await.map_err(asking)?;
        self.broken = false;
        Ok(done.rows_affected())
    }

    async fn row(&mut self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<Option<SqliteRow>, StoreError> {
        self.start()?;
        let row = query.fetch_optional(&mut *self.transaction).await.map_err(asking)?;
        self.broken = false;
        Ok(row)
    }

    async fn rows(&mut self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<Vec<SqliteRow>, StoreError> {
        self.start()?;
        let rows = query.fetch_all(&mut *self.transaction).await.map_err(asking)?;
        self.broken = false;
        Ok(rows)
    }

    /// Broken until the statement that follows has succeeded.
    fn start(&mut self) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Conflict("an earlier statement of this transaction failed".into()));
        }
        self.broken = true;
        Ok(())
    }

    /// The one row of a statement that always has one.
    async fn number(
        &mut self,
        column: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<i64, StoreError> {
        let row = self.row(query).await?;
        rows::get(&row.ok_or_else(|| rows::corrupt(column, "no row"))?, column)
    }

    async fn taken(&mut self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<bool, StoreError> {
        Ok(self.number("n", query).await? > 0)
    }

    /// Runs a statement that must find what it changes.
    async fn change(
        &mut self,
        what: &'static str,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<(), StoreError> {
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

    async fn insert_roles(&mut self, owner: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
        self.execute(query(statements::INSERT_OWNER_ROLES).bind(owner.0).bind(lists::roles(roles))).await.map(drop)
    }
}

#[async_trait]
impl Transaction for Writing {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn now(&self) -> Timestamp {
        self.store.clock.now()
    }

    async fn insert_role(&mut self, new: NewRole) -> Result<RoleId, StoreError> {
        let insert = query(statements::INSERT_ROLE).bind(&new.name).bind(&new.description).bind(self.now().0);
        let id = RoleId(self.number("id", insert).await?);
        self.insert_permissions(id, &new.permissions).await?;
        Ok(id)
    }

    async fn role(&mut self, id: RoleId) -> Result<Option<Role>, StoreError> {
        self.row(query(statements::ROLE).bind(id.0)).await?.as_ref().map(rows::role).transpose()
    }

    async fn role_name_taken(&mut self, name: &str) -> Result<bool, StoreError> {
        self.taken(query(statements::ROLE_NAME_TAKEN).bind(name)).await
    }

    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError> {
        let now = self.now();
        self.change("role", query(statements::TOUCH_ROLE).bind(id.0).bind(now.0)).await?;
        self.execute(query(statements::CLEAR_PERMISSIONS).bind(id.0)).await?;
        self.insert_permissions(id, permissions).await
    }

    async fn insert_owner(&mut self, new: NewOwner) -> Result<OwnerId, StoreError> {
        let insert = query(statements::INSERT_OWNER)
            .bind(&new.email)
            .bind(new.email.to_lowercase())
            .bind(&new.firstname)
            .bind(&new.lastname)
            .bind(state_word(new.state))
            .bind(self.now().0);
        let id = OwnerId(self.number("id", insert).await?);
        self.insert_roles(id, &new.roles).await?;
        Ok(id)
    }

    async fn owner(&mut self, id: OwnerId) -> Result<Option<Owner>, StoreError> {
        self.row(query(statements::OWNER).bind(id.0)).await?.as_ref().map(rows::owner).transpose()
    }

    async fn email_taken(&mut self, email: &str) -> Result<bool, StoreError> {
        self.taken(query(statements::EMAIL_TAKEN).bind(email.to_lowercase())).await
    }

    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError> {
        let set = query(statements::SET_OWNER_STATE).bind(id.0).bind(state_word(state)).bind(self.now().0);
        self.change("owner", set).await
    }

    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
        let now = self.now();
        self.change("owner", query(statements::TOUCH_OWNER).bind(id.0).bind(now.0)).await?;
        self.execute(query(statements::CLEAR_OWNER_ROLES).bind(id.0)).await?;
        self.insert_roles(id, roles).await
    }

    async fn ceiling(&mut self, id: OwnerId) -> Result<Ceiling, StoreError> {
        let row = self.row(query(statements::CEILING).bind(id.0)).await?;
        row.as_ref().map_or(Ok(Ceiling::Of(Vec::new())), rows::ceiling)
    }

    async fn other_super_admins(&mut self, id: OwnerId) -> Result<u64, StoreError> {
        let count = query(statements::OTHER_SUPER_ADMINS).bind(id.0).bind(RoleId::SUPER_ADMIN.0);
        rows::unsigned("n", self.number("n", count).await?)
    }

    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError> {
        let deleted = self.rows(query(statements::DELETE_SESSIONS).bind(id.0)).await?;
        deleted.iter().map(rows::digest).collect()
    }

    async fn insert_token(&mut self, new: NewToken) -> Result<TokenId, StoreError> {
        let created_at = self.now();
        let (kind, owner, access, idle) = match &new.authority {
            TokenAuthority::Admin { owner, .. } => ("admin", Some(owner.0), None, None),
            TokenAuthority::Content { access } => ("content", None, Some(access.as_str()), None),
            TokenAuthority::Session { owner, idle } => ("session", Some(owner.0), None, Some(millis(*idle))),
        };
        let insert = query(statements::INSERT_TOKEN)
            .bind(kind)
            .bind(&new.name)
            .bind(&new.description)
            .bind(new.digest.to_hex())
            .bind(new.salt.as_str())
            .bind(Tag::token(&new.digest).0.cast_signed())
            .bind(&new.hint)
            .bind(owner)
            .bind(access)
            .bind(idle)
            .bind(new.lifespan.map(millis))
            .bind(new.lifespan.map(|span| created_at.plus(span).0))
            .bind(created_at.0);
        let id = self.number("id", insert).await?;
        match &new.authority {
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
        Ok(TokenId(id))
    }

    async fn token(&mut self, id: TokenId) -> Result<Option<Token>, StoreError> {
        self.row(query(statements::TOKEN).bind(id.0)).await?.as_ref().map(rows::token).transpose()
    }

    async fn token_name_taken(&mut self, name: &str) -> Result<bool, StoreError> {
        self.taken(query(statements::TOKEN_NAME_TAKEN).bind(name)).await
    }

    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        self.execute(query(statements::DELETE_TOKEN).bind(id.0)).await.map(drop)
    }

    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        let (doer, doer_id) = match event.doer {
            Doer::Service => ("service", None),
            Doer::Person(id) => ("person", Some(id.0)),
            Doer::Token(id) => ("token", Some(id.0)),
        };
        let (target, target_id, detail) = match event.target {
            Target::Owner(id) => ("owner", id.0, None),
            Target::Role(id) => ("role", id.0, None),
            Target::Token(id, kind) => ("token", id.0, Some(kind.as_str())),
        };
        let insert = query(statements::INSERT_AUDIT)
            .bind(event.at.0)
            .bind(doer)
            .bind(doer_id)
            .bind(event.what.as_str())
            .bind(target)
            .bind(target_id)
            .bind(detail)
            .bind(event.details.to_string());
        self.execute(insert).await.map(drop)
    }

    async fn commit(mut self: Box<Self>, tags: &[Tag]) -> Result<(), StoreError> {
        let tags: Vec<i64> = tags.iter().map(|tag| tag.0.cast_signed()).collect();
        let (op_id, seq) = (self.op_id.clone(), self.seq.cast_signed());
        let change = query(statements::INSERT_CHANGE).bind(seq).bind(&op_id).bind(self.now().0);
        self.execute(change.bind(lists::json(&tags))).await?;
        self.execute(query(statements::RELEASE_EPOCH)).await?;
        let Self { store, transaction, .. } = *self;
        match transaction.commit().await {
            Ok(()) => Ok(()),
            Err(error) if !leaves_open(&error) => Err(asking(error)),
            Err(error) => {
                // What others can read has happened. What they cannot read may still turn up when the file is opened again.
                let found = query(statements::CHANGE_HAPPENED).bind(seq).bind(&op_id).fetch_one(&store.readers).await;
                match found.map(|row| rows::get::<i64>(&row, "happened")) {
                    Ok(Ok(1)) => Ok(()),
                    _ => Err(StoreError::Unknown(Box::new(error))),
                }
            }
        }
    }
}

/// The word in the store; read back by the enum's own deserialisation.
fn state_word(state: OwnerState) -> &'static str {
    match state {
        OwnerState::Invited => "invited",
        OwnerState::Active => "active",
        OwnerState::Deactivated => "deactivated",
        OwnerState::Blocked => "blocked",
    }
}

/// Saturates: what does not fit is 292 million years.
fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
