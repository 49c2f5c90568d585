//! The articles, which browsers and other programs read and write by the same routes.

use super::App;
use super::errors::{Failure, Reply};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use keyward::Auth;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS article (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    author TEXT NOT NULL REFERENCES user (id)
)";

#[derive(Serialize)]
pub(crate) struct Article {
    id: i64,
    title: String,
    author: String,
}

#[derive(Deserialize)]
pub(crate) struct NewArticle {
    title: String,
}

pub(crate) async fn create_table(pool: &SqlitePool) -> sqlx::Result<()> {
    sqlx::raw_sql(TABLE).execute(pool).await.map(drop)
}

impl Article {
    fn of_row(row: SqliteRow) -> sqlx::Result<Self> {
        Ok(Self { id: row.try_get("id")?, title: row.try_get("title")?, author: row.try_get("author")? })
    }
}

pub(crate) async fn list(State(app): State<App>) -> Reply<Vec<Article>> {
    let articles = sqlx::query("SELECT * FROM article ORDER BY id").try_map(Article::of_row);
    Ok(Json(articles.fetch_all(&app.pool).await?))
}

/// Adds an article of the user who sent the request, by a session or by a token.
pub(crate) async fn write(
    State(app): State<App>,
    // keyward: begin
    auth: Auth,
    // keyward: end
    Json(new): Json<NewArticle>,
) -> Result<(StatusCode, Json<Article>), Failure> {
    // keyward: begin
    let author = auth.account().map(ToString::to_string);
    // keyward: end
    let insert = sqlx::query("INSERT INTO article (title, author) VALUES ($1, $2) RETURNING *");
    let insert = insert.bind(new.title).bind(author).try_map(Article::of_row);
    Ok((StatusCode::CREATED, Json(insert.fetch_one(&app.pool).await?)))
}

pub(crate) async fn delete(State(app): State<App>, Path(id): Path<i64>) -> Result<StatusCode, Failure> {
    let delete = sqlx::query("DELETE FROM article WHERE id = $1").bind(id);
    match delete.execute(&app.pool).await?.rows_affected() {
        0 => Err(Failure(StatusCode::NOT_FOUND, "there is no such article".to_owned())),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
