//! What a form has sent, and what an address asks for.

use super::failure::{Failure, NOT_WHOLE};
use crate::domain::{Version, parse_id};
use crate::guard::BodyReader;
use axum::body::Body;
use axum::extract::{self, Form, FromRef, FromRequest, FromRequestParts, Path, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;

const NUL: char = '\0';
/// No form of ours that fits into a body has more fields.
const MOST_FIELDS: usize = 20_000;

/// The fields of a form, in order; names may come more than once.
pub(super) struct Sent(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Sent
where
    BodyReader: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        // The form is read anew, from a body that is whole.
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let received = BodyReader::from_ref(state).receive(request).await?;
        if received.bytes.iter().filter(|byte| **byte == b'&').count() >= MOST_FIELDS {
            return Err(Failure::too_large());
        }
        let mut whole = Request::new(Body::from(received.bytes));
        (*whole.method_mut(), *whole.headers_mut()) = (method, headers);
        match Form::<Vec<(String, String)>>::from_request(whole, state).await {
            Ok(Form(fields)) => Self::whole(fields),
            Err(_) => {
                Err(Failure::bad_request("This form could not be read. Go back, load the page again, and retry."))
            }
        }
    }
}

impl Sent {
    /// No text can have a NUL: databases do not keep it.
    fn whole(fields: Vec<(String, String)>) -> Result<Self, Failure> {
        match fields.iter().find(|(name, value)| name.contains(NUL) || value.contains(NUL)) {
            None => Ok(Self(fields)),
            Some((name, _)) if name.contains(NUL) => Err(Failure::not_whole()),
            Some((name, _)) => Err(Failure::bad_request(format!("{NOT_WHOLE} There is a NUL in “{name}”."))),
        }
    }

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
        self.text("version").parse().map_err(|_| Failure::not_whole())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(sent, _)| sent == name).map(|(_, value)| value.as_str())
    }

    /// The values of a field that each are a list of words, or of none in the place of one.
    pub(super) fn lists<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = Result<Vec<Option<String>>, Failure>> + 'a {
        self.all(name).map(|value| match serde_json::from_str::<Vec<Option<String>>>(value) {
            Ok(words) if !words.iter().flatten().any(|word| word.contains(NUL)) => Ok(words),
            _ => Err(Failure::not_whole()),
        })
    }

    #[cfg(test)]
    pub(super) fn of(fields: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// What stands behind the `?` of an address, each once.
pub(super) struct Query<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = extract::Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|_| Failure::no_address())
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
