//! Request bodies: JSON of limited size where one is needed, anything of limited size where none is.

use super::failure::{Failure, Problem};
use super::json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use http::{StatusCode, header};
use serde::de::DeserializeOwned;

/// No request body may be larger.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;

/// A request body: an object, read as this.
pub(super) struct Body<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let essence = content_type.split(';').next().unwrap_or("").trim();
        let is_json = essence.eq_ignore_ascii_case("application/json");
        let bytes = whole(request).await?;
        if !is_json {
            return Err(Problem::at([""; 0], "Send a JSON object, with Content-Type: application/json").into());
        }
        Ok(Self(json::read(&json::parse(&bytes)?)?))
    }
}

/// Where no body is expected, none or any will do.
pub(super) struct NoBody;

impl<S: Sync> FromRequest<S> for NoBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        whole(request).await.map(|_| Self)
    }
}

async fn whole(mut request: Request) -> Result<Bytes, Failure> {
    DefaultBodyLimit::max(BODY_LIMIT).apply(&mut request);
    Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large(),
        _ => Problem::at([""; 0], "The body broke off").into(),
    })
}
