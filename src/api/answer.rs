//! Answers that went well.

use super::query::Pagination;
use crate::store::Paging;
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

/// A part of a list that was asked for.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List<T> {
    data: Vec<T>,
    meta: ListMeta,
}

/// What there is besides.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListMeta {
    pagination: Pagination,
}

impl<T> List<T> {
    pub(super) fn of(data: Vec<T>, paging: Paging, total: u64) -> Json<Self> {
        Json(Self { data, meta: ListMeta { pagination: Pagination::of(paging, total) } })
    }

    /// A part of a list that is short by its nature.
    pub(super) fn part(all: Vec<T>, paging: Paging) -> Json<Self> {
        let total = all.len() as u64;
        let first = usize::try_from(paging.offset()).unwrap_or(usize::MAX);
        Self::of(all.into_iter().skip(first).take(paging.page_size as usize).collect(), paging, total)
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
