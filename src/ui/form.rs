//! What a form has sent.

use super::failure::Failure;
use crate::domain::{Version, parse_id};
use axum::extract::{Form, FromRequest, FromRequestParts, Path, Request};
use http::request::Parts;

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

/// The id in the path. What can be none is the id of nothing.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.ok().and_then(|Path(text)| parse_id(&text)).map(Self).ok_or_else(Failure::not_found)
    }
}
