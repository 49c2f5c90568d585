//! A store with many tokens, for benchmarks.

use super::print_time;
use keyward::store::WriteStore;
use keyward::testing::{SecretFormat, TokenKinds};
use keyward::token::{OsEntropy, TokenKind, TokenPrefix};
use keyward::{HashKey, Keyward, NewOwner, NewRole, Permission};
use std::time::Instant;

pub(crate) const HASH_KEY: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";
const ROLES: usize = 10;
const BATCH: usize = 50_000;

/// Inserts the tokens in batches, and returns their secrets. Batches are large, because each one touches most pages of
/// the index of digests.
pub(crate) async fn fill(keyward: &Keyward, address: &str, tokens: usize, people: usize) -> Vec<String> {
    let began = Instant::now();
    let mut roles = Vec::new();
    for i in 0..ROLES {
        let permissions = ["read", "write", "drop"].map(|action| Permission::new(action).on("article"));
        let role = NewRole::new(format!("role {i}")).permissions(permissions);
        roles.push(keyward.roles().create(role).await.unwrap().id);
    }
    let mut tx = keyward.store().begin().await.unwrap();
    let mut first = None;
    for i in 0..people {
        let new = NewOwner::new(format!("person-{i}@example.test")).roles([roles[i % ROLES]]);
        first.get_or_insert(tx.insert_owner(new).await.unwrap());
    }
    tx.commit(&[]).await.unwrap();
    let pool = sqlx::AnyPool::connect(address).await.unwrap();
    let elements = match address.starts_with("sqlite:") {
        true => "(SELECT value AS digest, key AS n FROM json_each($1))",
        false => "(SELECT digest, n FROM json_array_elements_text($1::json) WITH ORDINALITY AS t (digest, n))",
    };
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(HASH_KEY).unwrap());
    let (first, mut secrets) = (first.unwrap().0, Vec::with_capacity(tokens));
    while secrets.len() < tokens {
        let batch = BATCH.min(tokens - secrets.len());
        let issued: Vec<_> = (0..batch).map(|_| format.issue(TokenKind::Admin, &OsEntropy).unwrap()).collect();
        let digests: Vec<_> = issued.iter().map(|issued| issued.digest.to_hex()).collect();
        assert!(format.verify(issued[0].secret.expose(), TokenKinds::ADMIN).is_ok());
        secrets.extend(issued.iter().map(|issued| issued.secret.expose().to_owned()));
        let count = secrets.len();
        let mut tx = pool.begin().await.unwrap();
        let (before,): (i64,) =
            sqlx::query_as("SELECT coalesce(max(id), 0) FROM keyward_token").fetch_one(&mut *tx).await.unwrap();
        let new_tokens = format!(
            "INSERT INTO keyward_token (kind, name, description, digest, salt_id, tag, hint, owner_id, created_at, updated_at, name_key) \
             SELECT 'admin', 'token ' || ({count} + n), '', digest, '0', 0, 'hint', {first} + n % {people}, 1, 1, 'token ' || ({count} + n) FROM {elements} AS new"
        );
        let json = serde_json::to_string(&digests).unwrap();
        sqlx::query(sqlx::AssertSqlSafe(new_tokens)).bind(json).execute(&mut *tx).await.unwrap();
        for (position, action, all) in [(0, "read", "TRUE"), (1, "write", "FALSE"), (2, "drop", "TRUE")] {
            let grants = format!(
                "INSERT INTO keyward_grant (token_id, position, action, subject, all_fields, chosen) \
                 SELECT id, {position}, '{action}', 'article', {all}, '[]' FROM keyward_token WHERE id > {before}"
            );
            sqlx::query(sqlx::AssertSqlSafe(grants)).execute(&mut *tx).await.unwrap();
        }
        let fields = format!(
            "INSERT INTO keyward_grant_field (grant_id, field) SELECT id, field FROM keyward_grant, \
             (SELECT 'title' AS field UNION ALL SELECT 'body') AS fields WHERE position = 1 AND token_id > {before}"
        );
        sqlx::query(sqlx::AssertSqlSafe(fields)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    sqlx::query("ANALYZE").execute(&pool).await.unwrap();
    if address.starts_with("sqlite:") {
        // Or the first writer afterwards copies the log of all batches into the file.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&pool).await.unwrap();
    }
    pool.close().await;
    print_time("inserted directly", began.elapsed());
    secrets
}
