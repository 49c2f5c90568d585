//! Error responses in Strapi's form, and their conversion from errors of the services.

use crate::admin::{FieldError, ServiceError, capitalize};
use crate::domain::{FieldName, FieldPath, LogLimit, PathSegment};
use crate::guard::{BodyError, NoLongerValid};
use crate::store::StoreError;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;

/// The most field errors in a response.
const LISTED: usize = 100;

/// An error response. The request changed nothing.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    name: &'static str,
    message: String,
    problems: Vec<Problem>,
    /// A word by which programs recognise the error.
    code: Option<&'static str>,
    /// The `Retry-After` header.
    retry_after: Option<Duration>,
    /// Set where a credential is no longer valid: the guard replaces the response by its own rejection.
    lost: Option<NoLongerValid>,
}

/// An invalid field.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) path: Vec<String>,
    pub(super) message: String,
    pub(super) value: Option<Value>,
}

impl Problem {
    pub(super) fn at<P: Into<String>>(path: impl IntoIterator<Item = P>, message: impl Into<String>) -> Self {
        Self { path: path.into_iter().map(Into::into).collect(), message: message.into(), value: None }
    }

    /// Adds the invalid value, if it is short.
    pub(super) fn got(self, value: impl Into<Value>) -> Self {
        Self { value: Some(value.into()).filter(|value| value.to_string().len() <= 100), ..self }
    }
}

/// An error.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorAnswer {
    #[schema(schema_with = super::schema::null)]
    data: (),
    error: ErrorBody,
}

/// The error of a failed request.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ErrorBody {
    /// The status of the answer.
    status: u16,
    /// A word for programs, such as `ValidationError`.
    name: String,
    /// A sentence for people.
    message: String,
    details: ErrorDetails,
}

/// The invalid fields, if the error is about fields.
#[derive(Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
struct ErrorDetails {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldErrorBody>,
    /// A word for programs, more specific than `name`: `EMAIL_ALREADY_TAKEN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// An invalid field.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FieldErrorBody {
    /// The path of the field, from the outside in: `["adminPermissions", "0", "action"]`. Empty for the body as a
    /// whole.
    path: Vec<String>,
    /// A sentence for people.
    message: String,
    /// The same word as the error's.
    name: &'static str,
    /// The value that was sent, if it is short and not a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl Failure {
    fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into(), problems: Vec::new(), code: None, retry_after: None, lost: None }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFoundError", "Not Found")
    }

    /// Returns a rejection without a reason.
    #[cfg(feature = "secret-scanning")]
    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "ForbiddenError", "Forbidden")
    }

    pub(super) fn try_again() -> Self {
        Self::unavailable("Try again in a moment")
    }

    pub(super) fn unavailable(message: &str) -> Self {
        let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableError", message);
        Self { retry_after: Some(Duration::from_secs(1)), ..failure }
    }

    pub(super) fn invalid(problems: Vec<Problem>) -> Self {
        let message = match problems.as_slice() {
            [one] if one.path.is_empty() => one.message.clone(),
            [one] => format!("{} {}", one.path.join("."), one.message),
            many if many.len() >= LISTED => format!("{LISTED} errors or more occurred"),
            many => format!("{} errors occurred", many.len()),
        };
        Self { problems, ..Self::new(StatusCode::BAD_REQUEST, "ValidationError", message) }
    }

    /// Converts an error of a service. `wire_path` returns the path by which the client sent a field.
    pub(super) fn of(error: ServiceError, wire_path: &dyn Fn(&FieldPath) -> Vec<String>) -> Self {
        let application = |message: String| Self::new(StatusCode::BAD_REQUEST, "ApplicationError", message);
        match error {
            ServiceError::NotFound(_) => Self::not_found(),
            ServiceError::Unauthenticated(reason) => {
                let failure =
                    Self::new(StatusCode::UNAUTHORIZED, "UnauthorizedError", "Missing or invalid credentials");
                Self { lost: Some(NoLongerValid::new(reason)), ..failure }
            }
            ServiceError::Forbidden(why) => Self::new(StatusCode::FORBIDDEN, "ForbiddenError", capitalize(why)),
            ServiceError::Invalid(problems) => Self::invalid(field_errors(problems, wire_path)),
            ServiceError::Exceeds(problems) => {
                let failure = Self::invalid(field_errors(problems, wire_path));
                Self { status: StatusCode::FORBIDDEN, name: "ForbiddenError", ..failure }
            }
            ServiceError::Taken { field, message } => Self {
                problems: vec![Problem::at([wire_name(field)], message)],
                code: (field == FieldName::Email).then_some("EMAIL_ALREADY_TAKEN"),
                ..application(message.to_owned())
            },
            // The id is in the path of the request.
            ServiceError::LastSuperAdmin => Problem::at(["id"], error.to_string()).into(),
            ServiceError::TooManyAttempts(wait) => Self {
                retry_after: Some(wait),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "RateLimitError", "Too many attempts, try again later")
            },
            ServiceError::Changed(_) => {
                Self::new(StatusCode::CONFLICT, "ConflictError", capitalize(&error.to_string()))
            }
            ServiceError::WrongCredentials => application(error.to_string()),
            ServiceError::Impossible(_) | ServiceError::OwnerInactive => application(capitalize(&error.to_string())),
            // The service has checked the change: the data was changed since.
            ServiceError::Store(StoreError::Conflict(_)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a change conflicts with the data in the store"
                );
                Self::new(StatusCode::CONFLICT, "ConflictError", "It has changed since it was read: read it again")
            }
            ServiceError::Store(StoreError::Invalid(_)) => Self::new(
                StatusCode::BAD_REQUEST,
                "ValidationError",
                "A value has characters that cannot be stored: leave out control characters",
            ),
            ServiceError::Store(_) | ServiceError::NoEntropy(_) | ServiceError::KeyMismatch(_) => {
                static LINES: LogLimit = LogLimit::new();
                if let Some(count) = LINES.count_now() {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        count,
                        "requests failed: this is the last error"
                    );
                }
                Self::unavailable("Try again in a moment")
            }
            // The service counts these, and logs the count.
            ServiceError::Busy => Self::unavailable("Try again in a moment"),
        }
    }
}

/// Converts field errors of a service.
fn field_errors(errors: Vec<FieldError>, wire_path: &dyn Fn(&FieldPath) -> Vec<String>) -> Vec<Problem> {
    let problem = |error: FieldError| {
        let problem = Problem::at(wire_path(&error.path), error.message);
        match error.value {
            Some(value) => problem.got(value),
            None => problem,
        }
    };
    errors.into_iter().take(LISTED).map(problem).collect()
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::of(error, &wire_path)
    }
}

/// Returns the name by which clients send a field.
pub(super) fn wire_name(field: FieldName) -> &'static str {
    match field {
        FieldName::Active => "isActive",
        FieldName::CurrentPassword => "currentPassword",
        FieldName::ExpiresAt => "expiresAt",
        FieldName::GracePeriod => "gracePeriod",
        FieldName::IdleExpiry => "idleExpiry",
        FieldName::Invitation => "registrationToken",
        FieldName::PageSize => "pageSize",
        FieldName::RateLimit => "rateLimit",
        FieldName::Resource => "subject",
        FieldName::SetupCode => "setupCode",
        same => same.as_str(),
    }
}

/// Returns the path by which clients send a field, with the wire name of each segment.
pub(super) fn wire_path(path: &FieldPath) -> Vec<String> {
    path.segments().iter().map(wire_segment).collect()
}

pub(super) fn wire_segment(segment: &PathSegment) -> String {
    match segment {
        PathSegment::Field(field) => wire_name(*field).to_owned(),
        PathSegment::Index(index) => index.to_string(),
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => {
                let message = format!("The body is larger than {limit} bytes");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeError", message)
            }
            BodyError::TooSlow(deadline) => {
                let message = format!("The body did not arrive within {deadline:?}: send the request again");
                Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutError", message)
            }
            BodyError::Busy => Self::unavailable("Too many bodies are being received: try again in a moment"),
            BodyError::Broken => Problem::at([""; 0], "The body broke off").into(),
        }
    }
}

/// A collector of field errors, up to the most that a response lists.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        if !self.is_full() {
            self.0.push(problem);
        }
    }

    /// Returns whether more errors would not be listed.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= LISTED
    }

    pub(super) fn done(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::invalid(self.0)) }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::invalid(vec![problem])
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::invalid(problems)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, name, message, problems, code, retry_after, lost } = self;
        let error = |Problem { path, message, value }| FieldErrorBody { path, message, name, value };
        let details = ErrorDetails { errors: problems.into_iter().take(LISTED).map(error).collect(), code };
        let error = ErrorBody { status: status.as_u16(), name: name.to_owned(), message, details };
        let mut response = (status, axum::Json(ErrorAnswer { data: (), error })).into_response();
        if let Some(wait) = retry_after {
            // Rounded up.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(lost) = lost {
            response.extensions_mut().insert(lost);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn changed_record_is_a_conflict() {
        let failure = Failure::from(ServiceError::Changed("token"));
        assert_eq!((failure.status, failure.name), (StatusCode::CONFLICT, "ConflictError"));
        assert_eq!(failure.message, "This token has changed since it was read: read it again");
    }

    #[test]
    fn value_that_cannot_be_stored_is_a_bad_request() {
        let failure = Failure::from(ServiceError::Store(StoreError::Invalid("U+0000".into())));
        assert_eq!((failure.status, failure.retry_after), (StatusCode::BAD_REQUEST, None));
    }

    /// Counts the lines that this thread logs.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicUsize>);

    impl std::io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn failures_that_strangers_cause_log_one_line_a_minute() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..1_000 {
                for error in [ServiceError::Busy, ServiceError::Store(StoreError::Unavailable("down".into()))] {
                    let failure = Failure::from(error);
                    assert_eq!(failure.status, StatusCode::SERVICE_UNAVAILABLE);
                    assert_eq!(failure.retry_after, Some(Duration::from_secs(1)));
                }
            }
        });
        // A test on another thread may have written the line of this minute.
        assert!(lines.0.load(Ordering::SeqCst) <= 1);
    }
}
