//! Articles: rows and fields by the decision, on both sides, everywhere.

mod draft;
mod query;
mod rows;

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

/// What decisions on articles are about.
pub(crate) const SUBJECT: &str = "api::article.article";
/// The fields of an article: what permissions can name and requests can set.
pub(crate) const FIELDS: [&str; 3] = ["title", "slug", "body"];

/// The side of the platform that a route belongs to. Both show the same articles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Admin,
    Content,
}

#[derive(Clone, Copy)]
enum Deed {
    Find,
    FindOne,
    Create,
    Update,
    Delete,
}

#[derive(Clone)]
struct Articles {
    database: Database,
    side: Side,
}

/// The same routes on both sides.
pub(crate) fn routes(database: &Database) -> GuardedRouter {
    let routes = |all: &str, side: Side| {
        let one = format!("{all}/{{documentId}}");
        GuardedRouter::new()
            .route(all, side.requires(Deed::Find), get(list))
            .route(all, side.requires(Deed::Create), post(create))
            .route(&one, side.requires(Deed::FindOne), get(open))
            .route(&one, side.requires(Deed::Update), put(update))
            .route(&one, side.requires(Deed::Delete), delete(remove))
            .with_state(Articles { database: database.clone(), side })
    };
    routes("/admin/content-manager/collection-types/api::article.article", Side::Admin)
        .merge(routes("/api/articles", Side::Content))
}

impl Side {
    fn requires(self, deed: Deed) -> Requirement {
        let deed = match (self, deed) {
            (Self::Admin, Deed::Find | Deed::FindOne) => "plugin::content-manager.explorer.read",
            (Self::Admin, Deed::Create) => "plugin::content-manager.explorer.create",
            (Self::Admin, Deed::Update) => "plugin::content-manager.explorer.update",
            (Self::Admin, Deed::Delete) => "plugin::content-manager.explorer.delete",
            (Self::Content, Deed::Find) => "api::article.article.find",
            (Self::Content, Deed::FindOne) => "api::article.article.findOne",
            (Self::Content, Deed::Create) => "api::article.article.create",
            (Self::Content, Deed::Update) => "api::article.article.update",
            (Self::Content, Deed::Delete) => "api::article.article.delete",
        };
        match self {
            Self::Admin => action(deed).on(SUBJECT),
            Self::Content => action(deed),
        }
    }
}

async fn list(State(articles): State<Articles>, decision: Decision, uri: Uri) -> Result<Json<Value>, Failure> {
    let query = Query::read(&uri, &decision)?;
    let (rows, total) = rows::list(&mut articles.database.read().await?, &decision, &query).await?;
    let shown: Vec<Value> = rows.iter().filter_map(|row| row.shown(&decision, articles.side)).collect();
    let pagination = query.pagination(total);
    Ok(Json(match articles.side {
        Side::Admin => json!({"results": shown, "pagination": pagination}),
        Side::Content => json!({"data": shown, "meta": {"pagination": pagination}}),
    }))
}

async fn open(State(articles): State<Articles>, decision: Decision, path: DocumentId) -> Result<Json<Value>, Failure> {
    let row = rows::find(&mut articles.database.read().await?, &known(path)?, &decision).await?;
    let shown = row.shown(&decision, articles.side).ok_or(Failure::NotFound)?;
    Ok(Json(json!({"data": shown, "meta": {}})))
}

async fn create(
    State(articles): State<Articles>,
    decision: Decision,
    auth: Auth,
    Body(body): Body,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let draft = Draft::of_a_new_one(body, articles.side)?;
    let mut change = articles.database.write().await?;
    let id = rows::insert(&mut change, &rows::document_id()?, auth.owner(), &draft.texts).await?;
    // Judged as it would stand there, with its creator's roles as they are now. Without a commit it never was.
    let row = rows::read(&mut change, id).await?;
    decision.permits_create(&row.judged(), draft.fields())?;
    change.commit().await?;
    Ok((StatusCode::CREATED, answer(&row, &auth, articles.side)))
}

async fn update(
    State(articles): State<Articles>,
    decision: Decision,
    auth: Auth,
    path: DocumentId,
    Body(body): Body,
) -> Result<Json<Value>, Failure> {
    let draft = Draft::of_a_known_one(body, articles.side)?;
    let mut change = articles.database.write().await?;
    let before = rows::find(&mut change, &known(path)?, &decision).await?;
    draft.leaves(&before.bare(articles.side))?;
    rows::update(&mut change, before.id(), &draft.texts).await?;
    let after = rows::read(&mut change, before.id()).await?;
    // Every field of the request counts, also one that stays as it is: else guesses would tell what a hidden one holds.
    decision.permits_update(&before.judged(), &after.judged(), draft.fields()).map_err(|denied| match denied {
        Denied::Row => Failure::NotFound,
        field @ Denied::Field(_) => Failure::Forbidden(field),
    })?;
    change.commit().await?;
    Ok(answer(&after, &auth, articles.side))
}

async fn remove(
    State(articles): State<Articles>,
    decision: Decision,
    auth: Auth,
    path: DocumentId,
) -> Result<Json<Value>, Failure> {
    let mut change = articles.database.write().await?;
    let row = rows::find(&mut change, &known(path)?, &decision).await?;
    if !decision.admits(&row.judged()) {
        return Err(Failure::NotFound);
    }
    rows::delete(&mut change, row.id()).await?;
    change.commit().await?;
    Ok(answer(&row, &auth, articles.side))
}

type DocumentId = Result<Path<String>, PathRejection>;

/// A path that is no UTF-8 names nothing.
fn known(path: DocumentId) -> Result<String, Failure> {
    path.map(|Path(document_id)| document_id).map_err(|_| Failure::NotFound)
}

/// A row that was written: of it, the caller sees what they may read, and that can be less than what they may write.
fn answer(row: &Article, auth: &Auth, side: Side) -> Json<Value> {
    let readable = auth.decide(&side.requires(Deed::FindOne));
    let shown = row.shown(&readable, side).unwrap_or_else(|| Value::Object(row.bare(side)));
    Json(json!({"data": shown, "meta": {}}))
}
