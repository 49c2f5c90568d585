//! Extractors of the caller for axum handlers.

use super::context::AuthContext;
use crate::domain::{Decision, LogLimit, TokenKind};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use std::convert::Infallible;
use std::ops::Deref;

macro_rules! extractor {
    ($(#[$doc:meta])* $name:ident, $accepts:expr) => {
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
                    Ok(Some(caller)) => Ok(caller),
                    Ok(None) => Err(NoPrincipal),
                }
            }
        }

        impl<S: Sync> OptionalFromRequestParts<S> for $name {
            type Rejection = Infallible;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
                let accepts: fn(Option<TokenKind>) -> bool = $accepts;
                Ok(parts.extensions.get::<AuthContext>().filter(|auth| accepts(auth.kind())).cloned().map(Self))
            }
        }
    };
}

extractor!(
    /// The caller, of any kind, including the public. Extracting it does not authorize the request: see
    /// [`AuthContext::require`].
    Auth,
    |_| true
);
extractor!(
    /// The caller of an admin route: an admin token or a session. Extracting it does not authorize the request: see
    /// [`AuthContext::require`].
    AdminAuth,
    |kind| matches!(kind, Some(TokenKind::Admin | TokenKind::Session))
);
extractor!(
    /// The caller of a content route: a content token or the public. Extracting it does not authorize the request: see
    /// [`AuthContext::require`].
    ContentAuth,
    |kind| matches!(kind, Some(TokenKind::Content) | None)
);

/// Rejection of an extractor whose caller the route cannot have: there is no layer around it, or its group has another
/// kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no caller of this kind on this route: put the keyward layer around it, and check its group")]
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

/// The decision on the route's requirement. Extracting it takes the decision: apply it to every row that is read or
/// written.
impl<S: Sync> FromRequestParts<S> for Decision {
    type Rejection = NoPrincipal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoPrincipal> {
        parts.extensions.get::<AuthContext>().map(AuthContext::decision).ok_or(NoPrincipal)
    }
}
