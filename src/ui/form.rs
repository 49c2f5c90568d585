//! Extractors for forms, queries and ids.

use super::failure::{Failure, INCOMPLETE};
use crate::domain::{Version, parse_id};
use crate::guard::BodyReader;
use axum::body::Body;
use axum::extract::{self, Form, FromRef, FromRequest, FromRequestParts, Path, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;

const NUL: char = '\0';
/// The largest number of fields in a form.
const MOST_FIELDS: usize = 20_000;

/// The fields of a form, in order. A name may appear more than once.
pub(super) struct FormFields(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for FormFields
where
    BodyReader: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        // axum parses the form from a new request, because the body was consumed.
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let received = BodyReader::from_ref(state).receive(request).await?;
        if received.bytes.iter().filter(|byte| **byte == b'&').count() >= MOST_FIELDS {
            return Err(Failure::too_large());
        }
        let mut whole = Request::new(Body::from(received.bytes));
        (*whole.method_mut(), *whole.headers_mut()) = (method, headers);
        match Form::<Vec<(String, String)>>::from_request(whole, state).await {
            Ok(Form(fields)) => Self::without_nul(fields),
            Err(_) => Err(Failure::bad_request("This form could not be read. Go back, reload the page and try again.")),
        }
    }
}

impl FormFields {
    /// Rejects NUL, which databases do not store.
    fn without_nul(fields: Vec<(String, String)>) -> Result<Self, Failure> {
        match fields.iter().find(|(name, value)| name.contains(NUL) || value.contains(NUL)) {
            None => Ok(Self(fields)),
            Some((name, _)) if name.contains(NUL) => Err(Failure::incomplete_form()),
            Some((name, _)) => Err(Failure::bad_request(format!("{INCOMPLETE} “{name}” contains a NUL character."))),
        }
    }

    /// Returns the text of a field; empty if it was not sent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(sent, _)| sent == name).map_or("", |(_, value)| value.as_str())
    }

    /// Returns whether a field was sent.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(sent, _)| sent == name)
    }

    /// Returns the version of the object that the form showed.
    pub(super) fn version(&self) -> Result<Version, Failure> {
        self.text("version").parse().map_err(|_| Failure::incomplete_form())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(sent, _)| sent == name).map(|(_, value)| value.as_str())
    }

    /// Returns the values of a field, each a JSON list of texts or `null`.
    pub(super) fn lists<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = Result<Vec<Option<String>>, Failure>> + 'a {
        self.all(name).map(|value| match serde_json::from_str::<Vec<Option<String>>>(value) {
            Ok(texts) if !texts.iter().flatten().any(|text| text.contains(NUL)) => Ok(texts),
            _ => Err(Failure::incomplete_form()),
        })
    }

    #[cfg(test)]
    pub(super) fn from_pairs(fields: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// The query of an address. Every parameter may appear once.
pub(super) struct Query<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = extract::Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|_| Failure::invalid_address())
    }
}

/// The id in the path. A text that is not an id is answered 404.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.ok().and_then(|Path(text)| parse_id(&text)).map(Self).ok_or_else(Failure::not_found)
    }
}
