//! What a form has sent.

use super::failure::Failure;
use crate::domain::Version;
use axum::extract::{Form, FromRequest, Request};

/// The fields of a form, in order; names may come more than once.
pub(super) struct Sent(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Form::<Vec<(String, String)>>::from_request(request, state).await {
            Ok(Form(fields)) => Ok(Self(fields)),
            Err(_) => {
                Err(Failure::bad_request("This form could not be read. Go back, load the page again, and retry."))
            }
        }
    }
}

impl Sent {
    /// The text of a field; empty if it was not sent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(sent, _)| sent == name).map_or("", |(_, value)| value.as_str())
    }

    /// Whether a field was sent.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(sent, _)| sent == name)
    }

    /// What the form was made from.
    pub(super) fn version(&self) -> Result<Version, Failure> {
        self.text("version").parse().map_err(|_| Failure::bad_request("This form is not whole. Load the page again."))
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(sent, _)| sent == name).map(|(_, value)| value.as_str())
    }
}

/// The id in the path.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut http::request::Parts, state: &S) -> Result<Self, Failure> {
        match axum::extract::Path::<i64>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(id)) => Ok(Self(id)),
            Err(_) => Err(Failure::not_found()),
        }
    }
}
