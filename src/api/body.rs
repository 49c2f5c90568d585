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
        let is_json = is_json(&request);
        let received = BodyReader::from_ref(state).receive(request).await?;
        if !is_json {
            return Err(not_json());
        }
        Ok(Self(json::read(&json::parse(&received.bytes)?)?))
    }
}

/// A request body, parsed as `T`, which may be left out.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T>
where
    BodyReader: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let is_json = is_json(&request);
        let received = BodyReader::from_ref(state).receive(request).await?;
        if received.bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(not_json());
        }
        Ok(Self(json::read(&json::parse(&received.bytes)?)?))
    }
}

fn is_json(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    content_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json")
}

fn not_json() -> Failure {
    Problem::at([""; 0], "Send a JSON object, with Content-Type: application/json").into()
}

/// Marks a route that ignores the body, and does not wait for it.
pub(super) struct NoBody;

impl<S: Sync> FromRequestParts<S> for NoBody {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}
