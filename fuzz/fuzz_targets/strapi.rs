//! Reads arbitrary permissions from a Strapi database: each one grants what it grants in Strapi, or nothing.
//!
//! The input is five columns, separated by zero bytes: action, parameters, subject, properties, conditions. A column
//! that starts with `\x01` is NULL. A role and a token have the permission. A role keeps its other permissions if this
//! one is not understood. A token is rejected if Strapi fails at one of its permissions.

#![no_main]

use hmac::{Hmac, KeyInit, Mac};
use keyward::Permission;
use keyward::authz::{ConditionClause, Conditions, Fields, Scope};
use keyward::store::{Digest, Store};
use keyward::strapi::{StrapiOptions, StrapiStore};
use keyward::testing::ManualClock;
use keyward::token::TokenAuthority;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use sha2::Sha512;
use sqlx::{Connection, SqliteConnection};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const TABLES: &str = "
CREATE TABLE admin_roles (id INTEGER PRIMARY KEY, document_id TEXT, name TEXT, code TEXT, description TEXT);
CREATE TABLE admin_users (id INTEGER PRIMARY KEY, document_id TEXT, firstname TEXT, lastname TEXT, username TEXT, email TEXT,
    password TEXT, registration_token TEXT, is_active BOOLEAN, blocked BOOLEAN, created_at DATETIME);
CREATE TABLE admin_users_roles_lnk (user_id INTEGER, role_id INTEGER);
CREATE TABLE admin_permissions (id INTEGER PRIMARY KEY, action TEXT, action_parameters JSON, subject TEXT, properties JSON,
    conditions JSON);
CREATE TABLE admin_permissions_role_lnk (permission_id INTEGER, role_id INTEGER);
CREATE TABLE admin_permissions_api_token_lnk (permission_id INTEGER, api_token_id INTEGER);
CREATE TABLE strapi_api_tokens (id INTEGER PRIMARY KEY, document_id TEXT, name TEXT, description TEXT, kind TEXT, type TEXT,
    access_key TEXT, encrypted_key TEXT, lifespan BIGINT, expires_at DATETIME, last_used_at DATETIME, created_at DATETIME);
CREATE TABLE strapi_api_tokens_admin_user_owner_lnk (api_token_id INTEGER, user_id INTEGER);
CREATE TABLE strapi_api_token_permissions (id INTEGER PRIMARY KEY, action TEXT);
CREATE TABLE strapi_api_token_permissions_token_lnk (api_token_permission_id INTEGER, api_token_id INTEGER);
INSERT INTO admin_roles (id, name, code) VALUES (1, 'Super Admin', 'strapi-super-admin'), (2, 'Editor', 'editor');
INSERT INTO admin_users (id, firstname, lastname, email, is_active, blocked) VALUES (1, 'A', 'B', 'a@example.test', 1, 0);
INSERT INTO admin_users_roles_lnk VALUES (1, 2);
INSERT INTO admin_permissions (id) VALUES (1);
INSERT INTO admin_permissions_role_lnk VALUES (1, 2);
INSERT INTO admin_permissions_api_token_lnk VALUES (1, 1);
INSERT INTO strapi_api_tokens_admin_user_owner_lnk VALUES (1, 1);
";

struct Installation {
    connection: SqliteConnection,
    store: StrapiStore,
    digest: Digest,
    _directory: TempDir,
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
    static INSTALLATION: RefCell<Option<Installation>> = const { RefCell::new(None) };
}

impl Installation {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", directory.path().join("data.db").display());
        let mut connection = SqliteConnection::connect(&format!("{address}?mode=rwc")).await.unwrap();
        sqlx::raw_sql("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY").execute(&mut connection).await.unwrap();
        sqlx::raw_sql(TABLES).execute(&mut connection).await.unwrap();
        let mut mac = Hmac::<Sha512>::new_from_slice(b"the hash key of Strapi").unwrap();
        mac.update(b"a key");
        let digest = hex::encode(mac.finalize().into_bytes());
        sqlx::query("INSERT INTO strapi_api_tokens (id, name, kind, access_key) VALUES (1, 'token', 'admin', ?)")
            .bind(&digest)
            .execute(&mut connection)
            .await
            .unwrap();
        let options = StrapiOptions::default().connections(1).clock(Arc::<ManualClock>::default());
        let store = StrapiStore::open_with(&address, options).await.unwrap();
        Self { connection, store, digest: Digest::from_hex(&digest).unwrap(), _directory: directory }
    }

    /// Sets the columns, and returns their values: SQLite converts numeric texts to numbers.
    async fn set(&mut self, columns: [Option<&str>; 5]) -> [Option<String>; 5] {
        let statement = "UPDATE admin_permissions SET action = ?, action_parameters = ?, subject = ?, properties = ?, conditions = ?";
        let bound = columns.into_iter().fold(sqlx::query(statement), |query, column| query.bind(column));
        bound.execute(&mut self.connection).await.unwrap();
        let select = "SELECT action, CAST(action_parameters AS TEXT), subject, CAST(properties AS TEXT), CAST(conditions AS TEXT) \
                    FROM admin_permissions";
        let (a, b, c, d, e) = sqlx::query_as(select).fetch_one(&mut self.connection).await.unwrap();
        [a, b, c, d, e]
    }

    /// Returns the permissions of the role and of the token, unless the token is rejected.
    async fn read(&self) -> Option<(Vec<Permission>, Vec<Permission>)> {
        let snapshot = self.store.resolve(&self.digest).await.expect("a row with any values can be read");
        let record = snapshot.record?;
        let TokenAuthority::Admin { grants, .. } = record.token.authority else {
            panic!("the token is not an admin token")
        };
        let (_, ceiling) = record.owner.expect("the token has an owner");
        let keyward::authz::Ceiling::Of(permissions) = ceiling else { panic!("the ceiling of an editor is unlimited") };
        let grants = grants.into_iter().map(|grant| Permission { scope: grant.scope, when: grant.chosen });
        Some((permissions, grants.collect()))
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else { return Corpus::Reject };
    let mut parts = text.split('\0').map(|part| Some(part).filter(|part| !part.starts_with('\x01')));
    let columns = std::array::from_fn(|_| parts.next().flatten());
    if parts.next().is_some() {
        return Corpus::Reject;
    }
    RUNTIME.with(|runtime| {
        INSTALLATION.with_borrow_mut(|slot| {
            let installation = slot.get_or_insert_with(|| runtime.block_on(Installation::new()));
            let stored = runtime.block_on(installation.set(columns));
            let columns = std::array::from_fn(|i| stored[i].as_deref());
            let expected: Vec<Permission> = expected_permission(columns).into_iter().collect();
            let opens = !strapi_fails(columns);
            let read = runtime.block_on(installation.read());
            assert_eq!(read, opens.then(|| (expected.clone(), expected.clone())), "{columns:?}");
            // A permission that grants nothing is reported, for the role and for the token.
            let reports = runtime.block_on(installation.store.unsupported_rows(&Conditions::default())).unwrap();
            let nothing = expected.is_empty();
            let is_reported = |owner: &str| reports.iter().any(|report| report.what.contains(owner));
            assert!(!nothing || is_reported("role 2"), "{columns:?} {reports:?}");
            assert!(!(nothing || !opens) || is_reported("token 1"), "{columns:?} {reports:?}");
        })
    });
    Corpus::Keep
});

/// Returns the permission by Strapi's documentation and server, or `None` if the columns contain anything else.
fn expected_permission(
    [action, parameters, resource, properties, conditions]: [Option<&str>; 5],
) -> Option<Permission> {
    let action = action.filter(|action| !action.is_empty())?;
    let json = |text: Option<&str>| match text {
        None => Some(Value::Null),
        Some(text) => serde_json::from_str::<Value>(text).ok(),
    };
    match json(parameters)? {
        Value::Null => {}
        Value::Object(object) if object.is_empty() => {}
        _ => return None,
    }
    let list = |value: &Value| -> Option<BTreeSet<String>> {
        value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let mut fields = Fields::All;
    match json(properties)? {
        Value::Null => {}
        Value::Object(object) => {
            for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
                let names = list(value).filter(|names| name == "fields" && !names.is_empty())?;
                fields = Fields::only(names).ok()?;
            }
        }
        _ => return None,
    }
    let conditions = match json(conditions)? {
        Value::Null => BTreeSet::new(),
        value => list(&value)?,
    };
    let resource = resource.filter(|resource| !resource.is_empty()).map(Into::into);
    let scope = Scope { action: action.into(), resource, fields };
    Some(Permission { scope, when: ConditionClause::from_list(conditions) })
}

/// Returns whether Strapi responds with 500 to each request of a token with this permission.
///
/// It was measured: Strapi fails if the properties are null or the conditions are not a list. It ignores invalid JSON.
fn strapi_fails([.., properties, conditions]: [Option<&str>; 5]) -> bool {
    let is_null = |text: &str| matches!(serde_json::from_str(text), Ok(Value::Null));
    let not_a_list = |text: &str| matches!(serde_json::from_str::<Value>(text), Ok(value) if !value.is_array());
    properties.is_none_or(is_null) || conditions.is_none_or(not_a_list)
}
