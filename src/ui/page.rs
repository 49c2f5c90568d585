//! Renders templates, and adds security headers to all responses.

use crate::domain::{LogLimit, Requirement, action, all_of};
use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};

/// Requires actions without conditions: pages filter no rows by a decision.
pub(super) fn require(names: &[&str]) -> Requirement {
    all_of(names.iter().map(|name| action(*name))).whole()
}

pub(super) fn render(status: StatusCode, page: &impl askama::Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            static LINES: LogLimit = LogLimit::new();
            if let Some(count) = LINES.count_now() {
                tracing::error!(error = &error as &dyn std::error::Error, count, "pages could not be rendered");
            }
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Adds headers: pages load from their own origin only, appear in no frame, send no referrer path and are not cached.
pub(super) async fn add_security_headers(mut response: Response) -> Response {
    const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                       base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    let is_page = headers.get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/html"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    if is_page {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
