//! Failures of handlers as responses.

use super::BoxError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyward::admin::ServiceError;
use serde_json::json;

/// The result of a handler.
pub(crate) type Reply<T> = Result<Json<T>, Failure>;

/// A response with a message for the client.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) StatusCode, pub(crate) String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl<E: Into<BoxError>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        // keyward: begin
        let known = error.downcast_ref::<ServiceError>().map(|error| Self(error.status(), error.to_string()));
        // keyward: end
        let failure = known.unwrap_or_else(|| Self(StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned()));
        if failure.0.is_server_error() {
            tracing::error!(error = &*error as &dyn std::error::Error, "a request failed");
        }
        failure
    }
}
