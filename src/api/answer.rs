//! Answers that went well.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// What was asked for.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Data<T> {
    data: T,
}

impl<T> Data<T> {
    pub(super) fn of(data: T) -> Self {
        Self { data }
    }
}

pub(super) type Answer<T> = Json<Data<T>>;

pub(super) fn ok<T>(data: T) -> Answer<T> {
    Json(Data { data })
}

pub(super) fn created<T>(data: T) -> (StatusCode, Answer<T>) {
    (StatusCode::CREATED, ok(data))
}

/// With a secret in it, from a group that is public: no cache may keep it.
pub(super) fn secret<T: Serialize>(data: T) -> Response {
    let mut response = ok(data).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
