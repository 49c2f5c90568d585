//! What is shown instead of a page: what went wrong, and what to do.

use super::frame::Frame;
use super::render;
use crate::admin::{FieldError, FieldName, PathSegment, ServiceError};
use crate::domain::LogLimit;
use crate::guard::{BodyError, NoLongerValid};
use crate::store::StoreError;
use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use std::time::Duration;

pub(super) const NOT_WHOLE: &str = "This form is not whole. Load the page again.";

/// Why there is no page. Nothing was changed.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    title: &'static str,
    text: String,
    retry_after: Option<Duration>,
    /// The gate answers in place of this: as it does where a session is not valid.
    lost: Option<NoLongerValid>,
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
        Self { status, title, text: text.into(), retry_after: None, lost: None }
    }

    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That did not work", text)
    }

    /// Of a form that no page of ours has sent like this.
    pub(super) fn not_whole() -> Self {
        Self::bad_request(NOT_WHOLE)
    }

    /// Of an address that no page of ours leads to.
    pub(super) fn no_address() -> Self {
        Self::bad_request("This address is not whole. Go back, and try again.")
    }

    pub(super) fn too_large() -> Self {
        let text = "This form is larger than any that we take. Go back, and send less at once.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Too much", text)
    }

    fn unavailable(text: &'static str) -> Self {
        let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not available right now", text);
        Self { retry_after: Some(Duration::from_secs(1)), ..failure }
    }

    pub(super) fn dead_invitation() -> Self {
        let text = "It was used or withdrawn, a newer one has taken its place, or its time is over. Ask whoever invited you for \
                    a new one.";
        Self::new(StatusCode::NOT_FOUND, "This invitation does not work", text)
    }

    pub(super) fn not_found() -> Self {
        let text = "There is no such thing, or not for you. It may have been deleted in the meantime.";
        Self::new(StatusCode::NOT_FOUND, "Not found", text)
    }
}

/// What a service says of a form: of its fields, and of it as a whole.
#[derive(Default, Debug)]
pub(super) struct Complaints {
    pub(super) whole: Option<String>,
    fields: Vec<FieldComplaint>,
}

/// What is wrong with a field of a form.
#[derive(Debug)]
struct FieldComplaint {
    /// The name that the form gives to the field, or to the list that it is in.
    name: String,
    /// Whether the field is below that.
    is_nested: bool,
    message: String,
}

impl FieldComplaint {
    fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), is_nested: false, message: message.into() }
    }
}

impl From<FieldError> for FieldComplaint {
    fn from(error: FieldError) -> Self {
        let (name, is_nested) = match error.path.segments() {
            [PathSegment::Field(field), rest @ ..] => (form_name(*field), !rest.is_empty()),
            _ => ("", false),
        };
        Self { name: name.to_owned(), is_nested, message: error.message }
    }
}

/// The name that forms give to a field.
fn form_name(field: FieldName) -> &'static str {
    match field {
        FieldName::Active => "isActive",
        FieldName::CurrentPassword => "currentPassword",
        FieldName::Invitation => "registrationToken",
        FieldName::SetupCode => "setupCode",
        same => same.as_str(),
    }
}

impl Complaints {
    pub(super) fn whole(text: impl Into<String>) -> Self {
        Self { whole: Some(text.into()), fields: Vec::new() }
    }

    pub(super) fn say(&mut self, name: &str, message: &str) {
        self.fields.push(FieldComplaint::new(name, message));
    }

    /// What is wrong with a field.
    pub(super) fn of(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name && !field.is_nested).map(|field| field.message.as_str())
    }

    /// What is wrong with it and everything below it.
    pub(super) fn below(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|field| field.name == name).map(|field| field.message.as_str()).collect()
    }

    pub(super) fn any(&self) -> bool {
        self.whole.is_some() || !self.fields.is_empty()
    }

    /// What people can mend by changing the form; else a failure.
    pub(super) fn from(error: ServiceError) -> Result<Self, Failure> {
        match error {
            ServiceError::Invalid(errors) | ServiceError::Exceeds(errors) => {
                Ok(Self { whole: None, fields: errors.into_iter().map(FieldComplaint::from).collect() })
            }
            ServiceError::Taken { field, message } => {
                Ok(Self { whole: None, fields: vec![FieldComplaint::new(form_name(field), message)] })
            }
            ServiceError::Impossible(_)
            | ServiceError::LastSuperAdmin
            | ServiceError::OwnerInactive
            | ServiceError::Forbidden(_)
            | ServiceError::WrongCredentials
            | ServiceError::TooManyAttempts(_) => Ok(Self::whole(capital(&error.to_string()))),
            other => Err(other.into()),
        }
    }
}

pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::NotFound(_) => Self::not_found(),
            ServiceError::Unauthenticated(reason) => {
                let text = "Your session has ended. Sign in, and try again.";
                let failure = Self::new(StatusCode::UNAUTHORIZED, "Not signed in", text);
                Self { lost: Some(NoLongerValid::new(reason)), ..failure }
            }
            ServiceError::Forbidden(why) => {
                Self::new(StatusCode::FORBIDDEN, "Not allowed", format!("{}.", capital(why)))
            }
            ServiceError::Changed(_) | ServiceError::Store(StoreError::Conflict(_)) => {
                let text = "Somebody else, or you in another tab, has changed this in the meantime. Nothing of yours was saved. \
                            Go back and load the page again to see how it is now.";
                Self::new(StatusCode::CONFLICT, "Changed by somebody else", text)
            }
            ServiceError::Store(StoreError::Invalid(_)) => Self::bad_request(
                "A value has characters that cannot be stored. Leave out control characters.".to_owned(),
            ),
            ServiceError::Store(_) | ServiceError::NoEntropy(_) | ServiceError::KeyMismatch(_) => {
                static LINES: LogLimit = LogLimit::new();
                if let Some(count) = LINES.count_now() {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        count,
                        "pages could not be made: the last error is shown"
                    );
                }
                Self::unavailable("This is our fault, not yours. Try again in a moment.")
            }
            ServiceError::TooManyAttempts(wait) => {
                let text = format!("This was done too often. Try again in {} s.", wait.as_secs().max(1));
                let failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too often", text);
                Self { retry_after: Some(wait), ..failure }
            }
            // The service counts these, and logs the count.
            ServiceError::Busy => Self::unavailable("Too many people are signing in. Try again in a moment."),
            other => Self::bad_request(format!("{}.", capital(&other.to_string()))),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(_) => Self::too_large(),
            BodyError::TooSlow(deadline) => {
                let text = format!("Your form did not arrive within {deadline:?}. Go back, and send it again.");
                Self::new(StatusCode::REQUEST_TIMEOUT, "That took too long", text)
            }
            BodyError::Busy => Self::unavailable("Too many forms are being received. Try again in a moment."),
            BodyError::Broken => Self::bad_request("Your form arrived in part only. Go back, and send it again."),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let page = FailurePage { frame: Frame::outside(self.title), title: self.title, text: &self.text };
        let mut response = render(self.status, &page);
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if let Some(lost) = self.lost {
            response.extensions_mut().insert(lost);
        }
        response
    }
}
