//! JSON request bodies, and failures in Strapi's form.

use crate::database;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyward::authz::Denied;
use keyward::token::NoEntropy;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// An error for the log.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The limit of a request body, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// The deadline for a request body to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// An invalid field of a request, or an invalid request.
#[derive(Debug)]
pub(crate) struct Problem {
    path: Vec<String>,
    message: String,
    value: Option<Json>,
}

impl Problem {
    pub(crate) fn at(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(|&part| part.to_owned()).collect(), message: message.into(), value: None }
    }

    /// Adds the invalid value, unless it is long.
    pub(crate) fn got(self, value: impl Into<Json>) -> Self {
        Self { value: Some(value.into()).filter(|value| value.to_string().len() <= 100), ..self }
    }

    fn json(&self) -> Json {
        let mut problem = json!({"path": self.path, "message": self.message, "name": "ValidationError"});
        if let Some(value) = &self.value {
            problem["value"] = value.clone();
        }
        problem
    }
}

/// The reason why a request was not done. Nothing was changed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 400.
    Invalid(Vec<Problem>),
    /// 413.
    TooLarge,
    /// 408.
    TooSlow,
    /// 415.
    NotJson,
    /// 404: there is no such row, or the caller may not see it. The response does not tell which.
    NotFound,
    /// 403: the caller may use the route, but not make this change.
    Forbidden(Denied),
    /// 503: other writers took too long, or the database is unreachable. Only the log has the cause.
    Unavailable(BoxError),
    /// 500. Only the log has the cause.
    Internal(BoxError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Invalid(vec![problem])
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if database::is_unavailable(&error) { Self::Unavailable(error.into()) } else { Self::Internal(error.into()) }
    }
}

impl From<NoEntropy> for Failure {
    fn from(error: NoEntropy) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::Forbidden(denied)
    }
}

impl Failure {
    /// Returns the status and the error as clients read it, in Strapi's form. Its cause goes to the log.
    pub(crate) fn error(self) -> (StatusCode, Json) {
        let (status, name, message, details) = match self {
            Self::Invalid(problems) => {
                let message = match problems.as_slice() {
                    [one] => one.message.clone(),
                    many => format!("{} errors occurred", many.len()),
                };
                let errors: Vec<Json> = problems.iter().map(Problem::json).collect();
                (StatusCode::BAD_REQUEST, "ValidationError", message, json!({"errors": errors}))
            }
            Self::TooLarge => {
                let message = format!("The body is larger than {BODY_LIMIT} bytes");
                (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeError", message, json!({}))
            }
            Self::TooSlow => {
                let message = format!("The body did not arrive within {BODY_DEADLINE:?}");
                (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutError", message, json!({}))
            }
            Self::NotJson => {
                let message = "Send JSON, with Content-Type: application/json".to_owned();
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaTypeError", message, json!({}))
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "NotFoundError", "Not Found".to_owned(), json!({})),
            Self::Forbidden(Denied::Row) => {
                (StatusCode::FORBIDDEN, "ForbiddenError", Denied::Row.to_string(), json!({}))
            }
            Self::Forbidden(Denied::Field(field)) => {
                let message = format!("{field} is not allowed on this entry");
                let errors = json!([{"path": [field], "message": message, "name": "ForbiddenError"}]);
                (StatusCode::FORBIDDEN, "ForbiddenError", message, json!({"errors": errors}))
            }
            Self::Unavailable(error) => {
                tracing::warn!(error = &*error as &dyn std::error::Error, "the database is unavailable");
                let message = "Try again in a moment".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableError", message, json!({}))
            }
            Self::Internal(error) => {
                tracing::error!(error = &*error as &dyn std::error::Error, "a request failed");
                let message = "Internal Server Error".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message, json!({}))
            }
        };
        (status, json!({"status": status.as_u16(), "name": name, "message": message, "details": details}))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = self.error();
        let again = (status == StatusCode::SERVICE_UNAVAILABLE).then_some([(header::RETRY_AFTER, "1")]);
        (status, again, axum::Json(json!({"data": null, "error": error}))).into_response()
    }
}

/// A request body that is a JSON object.
pub(crate) struct Body(pub(crate) Map<String, Json>);

impl<S: Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, Failure> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        if !content_type.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Failure::NotJson);
        }
        DefaultBodyLimit::max(BODY_LIMIT).apply(&mut request);
        let received = tokio::time::timeout(BODY_DEADLINE, Bytes::from_request(request, &())).await;
        let bytes = received.map_err(|_| Failure::TooSlow)?.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Failure::TooLarge,
            _ => Problem::at(&[], "The body is incomplete").into(),
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(Json::Object(members)) => Ok(Self(members)),
            Ok(other) => Err(Problem::at(&[], "must be an object").got(other).into()),
            Err(error) => Err(Problem::at(&[], format!("The body is not valid JSON: {error}")).into()),
        }
    }
}

/// The texts of the fields that a request sets.
pub(crate) type Texts = BTreeMap<&'static str, Option<String>>;

/// Reads the texts of `known` fields from an object at `path`. Other members and other values are rejected.
pub(crate) fn texts(object: &Map<String, Json>, known: &[&'static str], path: &[&str]) -> Result<Texts, Failure> {
    let (mut texts, mut problems) = (Texts::new(), Vec::new());
    for (member, value) in object {
        let problem = |message: &str| Problem::at(&[path, &[member.as_str()]].concat(), format!("{member} {message}"));
        let field = known.iter().find(|field| *field == member);
        match (field, value) {
            (None, _) => problems.push(problem("is not a field that can be set")),
            (Some(_), Json::String(text)) if text.contains('\0') => problems.push(problem("must not contain NUL")),
            (Some(field), Json::String(text)) => _ = texts.insert(field, Some(text.clone())),
            (Some(field), Json::Null) => _ = texts.insert(field, None),
            (Some(_), other) => problems.push(problem("must be a text").got(other.clone())),
        }
    }
    if problems.is_empty() { Ok(texts) } else { Err(Failure::Invalid(problems)) }
}
