//! Articles: each handler applies the decision to rows and fields, in both APIs.

mod draft;
mod mcp;
mod query;
mod rows;

pub(crate) use mcp::mcp;
pub(crate) use rows::{document_id, insert};

use crate::database::Database;
use crate::wire::{Body, Failure};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::routing::{delete, get, post, put};
use draft::Draft;
use keyward::authz::Denied;
use keyward::{Auth, Decision, GuardedRouter, Requirement, action};
use query::Query;
use rows::Article;
use serde_json::{Value, json};

/// The resource of permissions on articles.
pub(crate) const RESOURCE: &str = "api::article.article";
/// The fields of an article, which permissions can name and requests can set.
pub(crate) const FIELDS: [&str; 3] = ["title", "slug", "body"];

/// The API that a route belongs to. Both serve the same articles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ApiKind {
    Admin,
    Content,
}

#[derive(Clone, Copy)]
enum Operation {
    Find,
    FindOne,
    Create,
    Update,
    Delete,
}

#[derive(Clone)]
struct Articles {
    database: Database,
    api: ApiKind,
}

/// Returns the routes, which are the same in both APIs.
pub(crate) fn routes(database: &Database) -> GuardedRouter {
    let routes = |all: &str, api: ApiKind| {
        let one = format!("{all}/{{documentId}}");
        GuardedRouter::new()
            .route(all, api.requires(Operation::Find), get(list))
            .route(all, api.requires(Operation::Create), post(create))
            .route(&one, api.requires(Operation::FindOne), get(open))
            .route(&one, api.requires(Operation::Update), put(update))
            .route(&one, api.requires(Operation::Delete), delete(remove))
            .with_state(Articles { database: database.clone(), api })
    };
    routes("/admin/content-manager/collection-types/api::article.article", ApiKind::Admin)
        .merge(routes("/api/articles", ApiKind::Content))
}

impl ApiKind {
    fn requires(self, operation: Operation) -> Requirement {
        let name = match (self, operation) {
            (Self::Admin, Operation::Find | Operation::FindOne) => "plugin::content-manager.explorer.read",
            (Self::Admin, Operation::Create) => "plugin::content-manager.explorer.create",
            (Self::Admin, Operation::Update) => "plugin::content-manager.explorer.update",
            (Self::Admin, Operation::Delete) => "plugin::content-manager.explorer.delete",
            (Self::Content, Operation::Find) => "api::article.article.find",
            (Self::Content, Operation::FindOne) => "api::article.article.findOne",
            (Self::Content, Operation::Create) => "api::article.article.create",
            (Self::Content, Operation::Update) => "api::article.article.update",
            (Self::Content, Operation::Delete) => "api::article.article.delete",
        };
        match self {
            Self::Admin => action(name).on(RESOURCE),
            Self::Content => action(name),
        }
    }
}

async fn list(State(articles): State<Articles>, decision: Decision, uri: Uri) -> Result<Json<Value>, Failure> {
    let query = Query::read(&uri, &decision)?;
    search(articles, decision, query).await
}

async fn search(articles: Articles, decision: Decision, query: Query) -> Result<Json<Value>, Failure> {
    let (rows, total) = rows::list(&mut articles.database.read().await?, &decision, &query).await?;
    let results: Vec<Value> = rows.iter().filter_map(|row| row.project(&decision, articles.api)).collect();
    let pagination = query.pagination(total);
    Ok(Json(match articles.api {
        ApiKind::Admin => json!({"results": results, "pagination": pagination}),
        ApiKind::Content => json!({"data": results, "meta": {"pagination": pagination}}),
    }))
}

async fn open(State(articles): State<Articles>, decision: Decision, path: DocumentId) -> Result<Json<Value>, Failure> {
    let row = rows::find(&mut articles.database.read().await?, &document_id_of(path)?, &decision).await?;
    let visible = row.project(&decision, articles.api).ok_or(Failure::NotFound)?;
    Ok(Json(json!({"data": visible, "meta": {}})))
}

async fn create(
    State(articles): State<Articles>,
    decision: Decision,
    auth: Auth,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let draft = Draft::for_create(body, articles.api)?;
    let mut change = articles.database.write().await?;
    let id = rows::insert(&mut change, &rows::document_id()?, auth.owner(), &draft.texts).await?;
    // Judged as it is in the transaction, with the current roles of its creator. Without a commit it never existed.
    let row = rows::read(&mut change, id).await?;
    decision.permits_create(&row.attributes(), draft.fields())?;
    change.commit().await?;
    Ok((StatusCode::CREATED, written(&row, &auth, articles.api)))
}

async fn update(
    State(articles): State<Articles>,
    decision: Decision,
    auth: Auth,
    path: DocumentId,
    Body(body): Body,
) -> Result<Json<Value>, Failure> {
    let draft = Draft::for_update(body, articles.api)?;
    let mut change = articles.database.write().await?;
    let before = rows::find(&mut change, &document_id_of(path)?, &decision).await?;
    draft.check_unchanged(&before.metadata(articles.api))?;
    rows::update(&mut change, before.id(), &draft.texts).await?;
    let after = rows::read(&mut change, before.id()).await?;
    // Every field of the request counts, even with its present value: otherwise guesses would reveal a hidden one.
    decision.permits_update(&before.attributes(), &after.attributes(), draft.fields()).map_err(
        |denied| match denied {
            Denied::Row => Failure::NotFound,
            field @ Denied::Field(_) => Failure::Forbidden(field),
        },
    )?;
    change.commit().await?;
    Ok(written(&after, &auth, articles.api))
}

async fn publish(
    State(articles): State<Articles>,
    decision: Decision,
    auth: Auth,
    path: DocumentId,
) -> Result<Json<Value>, Failure> {
    let mut change = articles.database.write().await?;
    let row = rows::find_admitted(&mut change, &document_id_of(path)?, &decision).await?;
    rows::publish(&mut change, row.id()).await?;
    let after = rows::read(&mut change, row.id()).await?;
    change.commit().await?;
    Ok(written(&after, &auth, articles.api))
}

async fn remove(
    State(articles): State<Articles>,
    decision: Decision,
    auth: Auth,
    path: DocumentId,
) -> Result<Json<Value>, Failure> {
    let mut change = articles.database.write().await?;
    let row = rows::find_admitted(&mut change, &document_id_of(path)?, &decision).await?;
    rows::delete(&mut change, row.id()).await?;
    change.commit().await?;
    Ok(written(&row, &auth, articles.api))
}

type DocumentId = Result<Path<String>, PathRejection>;

/// Returns the document id, or 404: a path that is not UTF-8 names no article.
fn document_id_of(path: DocumentId) -> Result<String, Failure> {
    path.map(|Path(document_id)| document_id).map_err(|_| Failure::NotFound)
}

/// Renders a written row with the fields that the caller may read, which can be fewer than it may write.
fn written(row: &Article, auth: &Auth, api: ApiKind) -> Json<Value> {
    let readable = auth.decide(&api.requires(Operation::FindOne));
    let visible = row.project(&readable, api).unwrap_or_else(|| Value::Object(row.metadata(api)));
    Json(json!({"data": visible, "meta": {}}))
}
