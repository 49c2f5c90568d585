//! The page that appears in place of another: the problem, and the next step.

use super::frame::Frame;
use super::page::render;
use crate::admin::{ServiceError, capitalize};
use crate::domain::LogLimit;
use crate::guard::{BodyError, NoLongerValid};
use crate::store::StoreError;
use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use std::time::Duration;

pub(super) const INCOMPLETE: &str = "This form is incomplete. Reload the page and try again.";

/// The reason why a page is not shown. Nothing was changed.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    title: &'static str,
    text: String,
    retry_after: Option<Duration>,
    /// Makes the layer answer in place of this page, as for any invalid session.
    no_longer_valid: Option<NoLongerValid>,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    frame: Frame,
    title: &'a str,
    text: &'a str,
}

impl Failure {
    fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self { status, title, text: text.into(), retry_after: None, no_longer_valid: None }
    }

    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That didn’t work", text)
    }

    /// Rejects a form that no page sends.
    pub(super) fn incomplete_form() -> Self {
        Self::bad_request(INCOMPLETE)
    }

    /// Rejects an address that no page links to.
    pub(super) fn invalid_address() -> Self {
        Self::bad_request("This address is not valid. Go back and try again.")
    }

    pub(super) fn too_large() -> Self {
        let text = "This form is too large. Go back and send less at once.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", text)
    }

    fn unavailable(text: &'static str) -> Self {
        let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not available right now", text);
        Self { retry_after: Some(Duration::from_secs(1)), ..failure }
    }

    pub(super) fn invalid_invitation() -> Self {
        let text =
            "It was used, withdrawn or replaced, or it has expired. Ask the person who invited you for a new one.";
        Self::new(StatusCode::NOT_FOUND, "This invitation is no longer valid", text)
    }

    pub(super) fn not_found() -> Self {
        let text =
            "This page does not exist, or you do not have access to it. It may have been deleted in the meantime.";
        Self::new(StatusCode::NOT_FOUND, "Not found", text)
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::NotFound(_) => Self::not_found(),
            ServiceError::Unauthenticated(reason) => {
                let text = "Your session has ended. Sign in and try again.";
                let failure = Self::new(StatusCode::UNAUTHORIZED, "Not signed in", text);
                Self { no_longer_valid: Some(NoLongerValid::new(reason)), ..failure }
            }
            ServiceError::Forbidden(reason) => {
                Self::new(StatusCode::FORBIDDEN, "Not allowed", format!("{}.", capitalize(reason)))
            }
            ServiceError::Changed(_) | ServiceError::Store(StoreError::Conflict(_)) => {
                let text = "Another user, or you in another tab, changed this in the meantime. Your changes were not saved. \
                            Go back and reload the page to see the current version.";
                Self::new(StatusCode::CONFLICT, "Changed in the meantime", text)
            }
            ServiceError::Store(StoreError::Invalid(_)) => {
                Self::bad_request("A value contains characters that cannot be stored. Remove control characters.")
            }
            ServiceError::Store(_) | ServiceError::NoEntropy(_) | ServiceError::KeyMismatch(_) => {
                static LINES: LogLimit = LogLimit::new();
                if let Some(count) = LINES.count_now() {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        count,
                        "pages failed: the last error is shown"
                    );
                }
                Self::unavailable("This is a problem on our side. Try again in a moment.")
            }
            ServiceError::TooManyAttempts(wait) => {
                let text = format!("Wait {} seconds and try again.", wait.as_secs().max(1));
                let failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", text);
                Self { retry_after: Some(wait), ..failure }
            }
            // Not logged here: the service counts these and logs the count.
            ServiceError::Busy => Self::unavailable("Too many people are signing in. Try again in a moment."),
            other => Self::bad_request(format!("{}.", capitalize(&other.to_string()))),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(_) => Self::too_large(),
            BodyError::TooSlow(deadline) => {
                let text = format!("Your form did not arrive within {deadline:?}. Go back and send it again.");
                Self::new(StatusCode::REQUEST_TIMEOUT, "That took too long", text)
            }
            BodyError::Busy => Self::unavailable("Too many forms are arriving. Try again in a moment."),
            BodyError::Broken => Self::bad_request("Only a part of your form arrived. Go back and send it again."),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let page = FailurePage { frame: Frame::signed_out(self.title), title: self.title, text: &self.text };
        let mut response = render(self.status, &page);
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if let Some(reason) = self.no_longer_valid {
            response.extensions_mut().insert(reason);
        }
        response
    }
}
