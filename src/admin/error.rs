//! The errors of the services.

use crate::domain::{FieldName, FieldPath, KeyMismatch, NoEntropy, Reason};
use crate::store::StoreError;
use http::StatusCode;
use std::fmt;
use std::time::Duration;

/// A failed service call. It changed nothing, unless it is [`StoreError::Unknown`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The thing does not exist, or the actor may not see it.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The actor may not do it. The text gives the reason.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// Permissions or roles exceed those that the actor may give. Each of them is listed.
    #[error("not allowed: {}", FieldErrorList(.0))]
    Exceeds(Vec<FieldError>),
    /// The credential that admitted the request is no longer valid: revoked, regenerated, expired, its session ended or its owner
    /// deactivated since.
    #[error("the credential is no longer valid: sign in again, or use another token")]
    Unauthenticated(Reason),
    /// Fields are invalid.
    #[error("{}", FieldErrorList(.0))]
    Invalid(Vec<FieldError>),
    /// The name or address is taken.
    #[error("{field}: {message}")]
    Taken {
        /// The field with the name or address.
        field: FieldName,
        /// The problem.
        message: &'static str,
    },
    /// The record changed since the actor read it, see [`if_version`](crate::admin::Tokens::if_version).
    #[error("this {0} has changed since it was read: read it again")]
    Changed(&'static str),
    /// The present state does not allow the change. The text says what to do first.
    #[error("{0}")]
    Impossible(&'static str),
    /// The change would leave no active super admin.
    #[error("this is the last active super admin: make another one first")]
    LastSuperAdmin,
    /// The owner's account is not active.
    #[error("the owner is not active")]
    OwnerInactive,
    /// The password is wrong or there is no such active account; the error does not tell which.
    #[error("Invalid credentials")]
    WrongCredentials,
    /// The rate limit is exceeded for this long.
    #[error("too many attempts: try again in {} s", .0.as_secs().max(1))]
    TooManyAttempts(Duration),
    /// The store failed. Only [`StoreError::Unknown`] leaves open whether the change happened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data uses other keys than the configuration.
    #[error(transparent)]
    KeyMismatch(#[from] KeyMismatch),
    /// The system has no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// Too many passwords are being checked.
    #[error("too many sign-ins at once: try again in a moment")]
    Busy,
}

/// An invalid field.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FieldError {
    /// The path to the field.
    pub path: FieldPath,
    /// The problem, and the remedy.
    pub message: String,
    /// The invalid name, where the field lists several.
    pub value: Option<String>,
}

struct FieldErrorList<'a>(&'a [FieldError]);

impl fmt::Display for FieldErrorList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, FieldError { path, message, .. }) in self.0.iter().enumerate() {
            write!(f, "{}{path}: {message}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl ServiceError {
    /// Returns the status of a response to this error, for your own routes that call a service.
    ///
    /// The text of the error is fit for the client, in each case. It never is the fault of the credential that the store
    /// or the host failed: that is a 503.
    ///
    /// ```
    /// use keyward::admin::ServiceError;
    /// let error = ServiceError::NotFound("token");
    /// assert_eq!((error.status().as_u16(), error.to_string().as_str()), (404, "there is no such token"));
    /// ```
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::Store(StoreError::Invalid(_)) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) | Self::WrongCredentials => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Exceeds(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Taken { .. }
            | Self::Changed(_)
            | Self::Impossible(_)
            | Self::LastSuperAdmin
            | Self::OwnerInactive
            | Self::Store(StoreError::Conflict(_)) => StatusCode::CONFLICT,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(_) | Self::KeyMismatch(_) | Self::NoEntropy(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn invalid(path: impl Into<FieldPath>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { path: path.into(), message: message.into(), value: None }])
    }
}

/// The most field errors that one call reports.
const MOST_ERRORS: usize = 100;

/// A collector of field errors, so that one call reports all of them, up to [`MOST_ERRORS`].
#[derive(Default)]
pub(super) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    pub(super) fn add(&mut self, path: impl Into<FieldPath>, message: impl Into<String>) {
        self.push(FieldError { path: path.into(), message: message.into(), value: None });
    }

    /// Adds an error with the invalid name.
    pub(super) fn add_value(
        &mut self,
        path: impl Into<FieldPath>,
        message: impl Into<String>,
        value: impl Into<String>,
    ) {
        self.push(FieldError { path: path.into(), message: message.into(), value: Some(value.into()) });
    }

    fn push(&mut self, error: FieldError) {
        if !self.is_full() {
            self.0.push(error);
        }
    }

    /// Returns whether more errors would not be reported: a check may stop.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST_ERRORS
    }

    /// Collects the errors of a check, or returns its value.
    ///
    /// # Errors
    /// The error of the check, if it is not [`ServiceError::Invalid`].
    pub(super) fn collect<T>(&mut self, checked: Result<T, ServiceError>) -> Result<Option<T>, ServiceError> {
        match checked {
            Ok(value) => Ok(Some(value)),
            Err(ServiceError::Invalid(errors)) => {
                errors.into_iter().for_each(|error| self.push(error));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    #[cfg(feature = "people")]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails with [`ServiceError::Invalid`] if there are errors.
    pub(super) fn into_result(self) -> Result<(), ServiceError> {
        if self.0.is_empty() { Ok(()) } else { Err(ServiceError::Invalid(self.0)) }
    }

    /// Fails with [`ServiceError::Exceeds`] if there are errors.
    pub(super) fn into_exceeds(self) -> Result<(), ServiceError> {
        if self.0.is_empty() { Ok(()) } else { Err(ServiceError::Exceeds(self.0)) }
    }
}

/// Returns an error message as a sentence, with a capital first letter.
#[cfg(any(feature = "api", feature = "ui"))]
pub(crate) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl From<FieldErrors> for ServiceError {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors.0)
    }
}
