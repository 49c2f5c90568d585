//! Extractors for axum handlers.

use super::context::AuthContext;
use crate::domain::{Decision, LogLimit, TokenKind};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use std::convert::Infallible;
use std::ops::Deref;

macro_rules! extractor {
    ($(#[$doc:meta])* $name:ident, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub AuthContext);

        impl Deref for $name {
            type Target = AuthContext;

            fn deref(&self) -> &AuthContext {
                &self.0
            }
        }

        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = NoPrincipal;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NoPrincipal> {
                match <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await {
                    Ok(Some(found)) => Ok(found),
                    Ok(None) => Err(NoPrincipal),
                }
            }
        }

        impl<S: Sync> OptionalFromRequestParts<S> for $name {
            type Rejection = Infallible;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
                let fits: fn(Option<TokenKind>) -> bool = $fits;
                Ok(parts.extensions.get::<AuthContext>().filter(|auth| fits(auth.kind())).cloned().map(Self))
            }
        }
    };
}

extractor!(
    /// The caller, of whatever kind, the public included. Extracting it guards nothing: see
    /// [`AuthContext::require`].
    Auth,
    |_| true
);
extractor!(
    /// The caller of an admin route: an admin token or a session. Extracting it guards nothing: see
    /// [`AuthContext::require`].
    AdminAuth,
    |kind| matches!(kind, Some(TokenKind::Admin | TokenKind::Session))
);
extractor!(
    /// The caller of a content route: a content token or the public. Extracting it guards nothing: see
    /// [`AuthContext::require`].
    ContentAuth,
    |kind| matches!(kind, Some(TokenKind::Content) | None)
);

/// The handler wants a caller that the route cannot have: the gate is not around it, or its group is of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this route has no such caller: is the keyward layer around it, and the group the right one?")]
pub struct NoPrincipal;

impl IntoResponse for NoPrincipal {
    fn into_response(self) -> Response {
        static LINES: LogLimit = LogLimit::new();
        if let Some(count) = LINES.count_now() {
            tracing::error!(count, "{self}");
        }
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

/// The decision on what the route requires. Extracting it is taking it: ask it for every row that goes out or in.
impl<S: Sync> FromRequestParts<S> for Decision {
    type Rejection = NoPrincipal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoPrincipal> {
        parts.extensions.get::<AuthContext>().map(AuthContext::decision).ok_or(NoPrincipal)
    }
}
