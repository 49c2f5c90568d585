//! Articles in the database. Every statement on them is here.

use super::query::Query;
use super::{ApiKind, FIELDS};
use crate::database::{Bind, Connection, Row};
use crate::wire::{Failure, Texts};
use keyward::authz::{Attribute, SqlMap, Value};
use keyward::time::{Clock, SystemClock, Timestamp};
use keyward::token::{Entropy, NoEntropy, OsEntropy};
use keyward::{Decision, OwnerId};
use serde_json::{Map, Value as Json, json};
use std::sync::LazyLock;

/// The SQL of the fields of requests and of the attributes of conditions. Roles are read in the query itself.
pub(super) static COLUMNS: LazyLock<SqlMap> = LazyLock::new(|| {
    SqlMap::default()
        .field("id", "a.id")
        .field("documentId", "a.document_id")
        .field("createdAt", "a.created_at")
        .field("updatedAt", "a.updated_at")
        .field("title", "a.title")
        .field("slug", "a.slug")
        .field("body", "a.body")
        .attribute(Attribute::CREATOR_ID, "a.creator_id")
        .roles("SELECT role_id FROM keyward_owner_role WHERE owner_id =", "a.creator_id")
});

/// Articles with their creators, and the creators' roles as a JSON list.
const ARTICLES: &str = "\
    SELECT a.id, a.document_id, a.title, a.slug, a.body, a.creator_id, a.created_at, a.updated_at, a.published_at, \
        o.id AS owner_id, o.firstname, o.lastname, \
        '[' || COALESCE((SELECT string_agg(CAST(r.role_id AS TEXT), ',') FROM keyward_owner_role r \
         WHERE r.owner_id = a.creator_id), '') || ']' AS creator_role_ids \
    FROM article a LEFT JOIN keyward_owner o ON o.id = a.creator_id";

pub(super) struct Article {
    id: i64,
    document_id: String,
    title: String,
    slug: Option<String>,
    body: Option<String>,
    creator_id: Option<i64>,
    created_at: i64,
    updated_at: i64,
    published_at: Option<i64>,
    owner_id: Option<i64>,
    firstname: Option<String>,
    lastname: Option<String>,
    creator_role_ids: String,
}

impl Article {
    fn of(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            document_id: row.get("document_id")?,
            title: row.get("title")?,
            slug: row.get("slug")?,
            body: row.get("body")?,
            creator_id: row.get("creator_id")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            published_at: row.get("published_at")?,
            owner_id: row.get("owner_id")?,
            firstname: row.get("firstname")?,
            lastname: row.get("lastname")?,
            creator_role_ids: row.get("creator_role_ids")?,
        })
    }
}

impl Article {
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Returns the fields, and the attributes that conditions test.
    pub(super) fn attributes(&self) -> Json {
        let roles: Json = serde_json::from_str(&self.creator_role_ids).unwrap_or_default();
        json!({
            "title": self.title, "slug": self.slug, "body": self.body,
            "creator_id": self.creator_id, "creator_role_ids": roles,
        })
    }

    /// Returns the article with the fields that the caller may see; `None` if the caller may not see the article.
    pub(super) fn project(&self, decision: &Decision, api: ApiKind) -> Option<Json> {
        let mut visible = decision.project(self.attributes(), &[])?;
        let mut article = self.metadata(api);
        article.extend(FIELDS.iter().filter_map(|field| visible.remove_entry(*field)));
        Some(Json::Object(article))
    }

    /// Returns the members that every caller sees who may see the article.
    pub(super) fn metadata(&self, api: ApiKind) -> Map<String, Json> {
        let mut metadata = Map::new();
        metadata.insert("id".to_owned(), self.id.into());
        metadata.insert("documentId".to_owned(), self.document_id.as_str().into());
        metadata.insert("createdAt".to_owned(), Timestamp(self.created_at).to_string().into());
        metadata.insert("updatedAt".to_owned(), Timestamp(self.updated_at).to_string().into());
        let published = self.published_at.map(|at| Timestamp(at).to_string());
        metadata.insert("publishedAt".to_owned(), published.into());
        if api == ApiKind::Admin {
            let creator =
                self.owner_id.map(|id| json!({"id": id, "firstname": self.firstname, "lastname": self.lastname}));
            metadata.insert("createdBy".to_owned(), creator.unwrap_or_default());
        }
        metadata
    }
}

/// Returns a page of the articles that the caller may see, and their total number, from one snapshot.
pub(super) async fn list(
    snapshot: &mut Connection,
    decision: &Decision,
    query: &Query,
) -> sqlx::Result<(Vec<Article>, i64)> {
    let filter = decision.filter(&COLUMNS, 1);
    let (mut condition, mut binds) = (filter.sql, filter.binds);
    for (expression, value) in &query.filters {
        binds.push(value.clone());
        condition.push_str(&format!(" AND {expression} = ${}", binds.len()));
    }
    let count = format!("SELECT count(*) AS n FROM article a WHERE {condition}");
    let values = |binds: &[Value]| binds.iter().cloned().map(Bind::from).collect();
    let total = snapshot.row(count, values(&binds)).await?.get("n")?;
    let (order, limit, offset) = (query.order.join(", "), binds.len() + 1, binds.len() + 2);
    binds.extend([Value::Int(query.limit()), Value::Int(query.offset())]);
    let page = format!("{ARTICLES} WHERE {condition} ORDER BY {order} LIMIT ${limit} OFFSET ${offset}");
    let rows = snapshot.rows(page, values(&binds)).await?;
    Ok((rows.iter().map(Article::of).collect::<Result<_, _>>()?, total))
}

/// Returns the article with this document id, if the decision allows it.
pub(super) async fn find(
    connection: &mut Connection,
    document_id: &str,
    decision: &Decision,
) -> Result<Article, Failure> {
    let filter = decision.filter(&COLUMNS, 2);
    let binds = std::iter::once(document_id.into()).chain(filter.binds.into_iter().map(Bind::from)).collect();
    let one = format!("{ARTICLES} WHERE a.document_id = $1 AND {}", filter.sql);
    let row = connection.rows(one, binds).await?.pop().ok_or(Failure::NotFound)?;
    Ok(Article::of(&row)?)
}

/// Returns the article with this id if the decision admits the action on it; otherwise it is not found.
pub(super) async fn find_admitted(
    connection: &mut Connection,
    document_id: &str,
    decision: &Decision,
) -> Result<Article, Failure> {
    let article = find(connection, document_id, decision).await?;
    if decision.admits(&article.attributes()) { Ok(article) } else { Err(Failure::NotFound) }
}

/// Returns the article with this id, which has to exist.
pub(super) async fn read(connection: &mut Connection, id: i64) -> sqlx::Result<Article> {
    Article::of(&connection.row(format!("{ARTICLES} WHERE a.id = $1"), vec![id.into()]).await?)
}

/// Adds an article, and returns its id.
pub(crate) async fn insert(
    connection: &mut Connection,
    document_id: &str,
    creator: Option<OwnerId>,
    texts: &Texts,
) -> sqlx::Result<i64> {
    let text = |field| texts.get(field).cloned().flatten();
    let insert = "INSERT INTO article (document_id, title, slug, body, creator_id, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id";
    let creator = creator.map(|owner| owner.0).into();
    let mut binds = vec![document_id.into(), text("title").into(), text("slug").into(), text("body").into()];
    binds.extend([creator, SystemClock.now().0.into()]);
    connection.row(insert.to_owned(), binds).await?.get("id")
}

/// Sets these fields.
pub(super) async fn update(connection: &mut Connection, id: i64, texts: &Texts) -> sqlx::Result<()> {
    let mut change = String::from("UPDATE article SET updated_at = $2");
    for (n, field) in texts.keys().enumerate() {
        change += &format!(", {field} = ${}", n + 3);
    }
    let mut binds = vec![id.into(), SystemClock.now().0.into()];
    binds.extend(texts.values().cloned().map(Bind::from));
    connection.rows(change + " WHERE id = $1", binds).await.map(drop)
}

/// Publishes an article. One that is published already keeps its time.
pub(super) async fn publish(connection: &mut Connection, id: i64) -> sqlx::Result<()> {
    let publish = "UPDATE article SET published_at = $2 WHERE id = $1 AND published_at IS NULL";
    connection.rows(publish.to_owned(), vec![id.into(), SystemClock.now().0.into()]).await.map(drop)
}

pub(super) async fn delete(connection: &mut Connection, id: i64) -> sqlx::Result<()> {
    connection.rows("DELETE FROM article WHERE id = $1".to_owned(), vec![id.into()]).await.map(drop)
}

/// Generates a document id of 24 letters and digits.
pub(crate) fn document_id() -> Result<String, NoEntropy> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut id = String::with_capacity(24);
    while id.len() < 24 {
        let mut bytes = [0; 24];
        OsEntropy.fill(&mut bytes)?;
        // 252 is 7 times 36: higher bytes would make some letters more frequent.
        let letters = bytes.iter().filter(|b| **b < 252).map(|b| char::from(ALPHABET[usize::from(*b) % 36]));
        id.extend(letters.take(24 - id.len()));
    }
    Ok(id)
}
