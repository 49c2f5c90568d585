//! keyward's own file keeps the contract of stores that are only read too: its log of changes and its batches.

use async_trait::async_trait;
use keyward::admin::OwnerState;
use keyward::store::contract::{self, ReadOnlyBackend};
use keyward::store::{Digest, NameScope, NewOwner, NewRole, NewToken, Store, Tag, WriteStore};
use keyward::testing::SecretFormat;
use keyward::time::Timestamp;
use keyward::token::{OsEntropy, TokenAuthority, TokenKind};
use keyward::{Grant, HashKey, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::Mutex;

struct File {
    store: SqliteStore,
    /// For changes by SQL.
    connection: Mutex<SqliteConnection>,
    format: SecretFormat,
    _directory: TempDir,
}

impl File {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("keyward.db");
        let store = SqliteStore::open(&path).await.unwrap();
        let connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap();
        let format = SecretFormat::new(&Default::default(), HashKey::generate().unwrap().0);
        Self { store, connection: Mutex::new(connection), format, _directory: directory }
    }
}

#[async_trait]
impl ReadOnlyBackend for File {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn actions(&self) -> [&'static str; 2] {
        ["read", "write"]
    }

    async fn insert(&self, name: &str, action: &'static str) -> Digest {
        let new = self.format.issue(TokenKind::Admin, &OsEntropy).unwrap();
        let mut tx = self.store.begin().await.unwrap();
        let role = tx.insert_role(NewRole::new(name).permissions(self.actions())).await.unwrap();
        let email = format!("{}@example.test", name.replace(' ', "-"));
        let owner = tx.insert_owner(NewOwner::new(email).roles([role])).await.unwrap();
        let token = NewToken {
            metadata: None,
            name: name.into(),
            scope: NameScope::Installation,
            description: String::new(),
            digest: new.digest,
            hash_key: new.hash_key,
            hint: new.secret.hint().into(),
            lifespan: None,
            authority: TokenAuthority::Admin { owner, grants: vec![Grant::new(action)] },
            limits: keyward::token::TokenLimits::none(),
            parent: None,
        };
        tx.insert_token(token).await.unwrap();
        tx.commit(&[Tag::token(&new.digest)]).await.unwrap();
        new.digest
    }

    async fn set_expiry(&self, digest: &Digest, at: Timestamp) {
        let update = sqlx::query("UPDATE keyward_token SET expires_at = $2 WHERE digest = $1");
        update.bind(digest.to_hex()).bind(at.0).execute(&mut *self.connection.lock().await).await.unwrap();
    }

    async fn revoke(&self, digest: &Digest) {
        let id = self.store.resolve(digest).await.unwrap().record.unwrap().token.id;
        let mut tx = self.store.begin().await.unwrap();
        tx.delete_token(id).await.unwrap();
        tx.commit(&[Tag::token(digest)]).await.unwrap();
    }

    async fn deactivate_owner(&self, digest: &Digest) -> bool {
        let owner = self.store.resolve(digest).await.unwrap().record.unwrap().token.owner().unwrap();
        let mut tx = self.store.begin().await.unwrap();
        tx.set_owner_state(owner, OwnerState::Deactivated).await.unwrap();
        tx.commit(&[Tag::owner(owner)]).await.unwrap();
        true
    }
}

#[tokio::test]
async fn sqlite_keeps_the_contract_of_reading() {
    contract::read_only(File::new).await;
}
