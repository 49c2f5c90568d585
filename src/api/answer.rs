//! Successful responses.

use super::query::Pagination;
use crate::store::Paging;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// The requested object.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Data<T> {
    data: T,
}

impl<T> Data<T> {
    pub(super) fn new(data: T) -> Self {
        Self { data }
    }
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List<T> {
    data: Vec<T>,
    meta: ListMeta,
}

/// The position of a page in its list.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListMeta {
    pagination: Pagination,
}

impl<T> List<T> {
    pub(super) fn new(page: Vec<T>, paging: Paging, total: u64) -> Json<Self> {
        Json(Self { data: page, meta: ListMeta { pagination: Pagination::new(paging, total) } })
    }

    /// Cuts a page out of a list that is loaded whole.
    pub(super) fn cut(all: Vec<T>, paging: Paging) -> Json<Self> {
        let total = all.len() as u64;
        let first = usize::try_from(paging.offset()).unwrap_or(usize::MAX);
        Self::new(all.into_iter().skip(first).take(paging.page_size as usize).collect(), paging, total)
    }
}

pub(super) type Answer<T> = Json<Data<T>>;

pub(super) fn ok<T>(data: T) -> Answer<T> {
    Json(Data { data })
}

pub(super) fn created<T>(data: T) -> (StatusCode, Answer<T>) {
    (StatusCode::CREATED, ok(data))
}

/// Marks a response as not to be cached: it holds a secret, and the layer marks only those of protected groups.
pub(super) fn uncached<T: Serialize>(data: T) -> Response {
    let mut response = ok(data).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
