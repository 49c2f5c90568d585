//! Request bodies: a JSON object where a route needs one. Other routes do not read the body.

use super::failure::{Failure, Problem};
use super::json;
use crate::guard::BodyReader;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::header;
use http::request::Parts;
use serde::de::DeserializeOwned;
use std::convert::Infallible;

/// A request body, parsed as `T`.
pub(super) struct Body<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T>
where
    BodyReader: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let essence = content_type.split(';').next().unwrap_or("").trim();
        let is_json = essence.eq_ignore_ascii_case("application/json");
        let received = BodyReader::from_ref(state).receive(request).await?;
        if !is_json {
            return Err(Problem::at([""; 0], "Send a JSON object, with Content-Type: application/json").into());
        }
        Ok(Self(json::read(&json::parse(&received.bytes)?)?))
    }
}

/// Marks a route that ignores the body, and does not wait for it.
pub(super) struct NoBody;

impl<S: Sync> FromRequestParts<S> for NoBody {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}
