//! The id in the path of a request.

use super::failure::Failure;
use crate::domain::parse_id;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

/// The id in the path. A text that is not an id is answered 404.
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(Failure::not_found());
        };
        parse_id(&text).map(Self).ok_or_else(Failure::not_found)
    }
}
