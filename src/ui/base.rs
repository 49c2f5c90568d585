//! Addresses as browsers see them. Code uses the paths of the routes; templates and redirects add where the pages are.

use super::paths::SIGN_IN;
use crate::guard::{Base, Gate, Mount};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Redirect, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};
use std::net::Ipv4Addr;
use std::sync::Arc;

tokio::task_local! {
    static PLACE: Place;
}

/// Where the browser that sent the current request sees the pages.
#[derive(Clone, Default)]
struct Place {
    /// The base path of the installation.
    base: Base,
    /// The path of the pages, with the base path.
    pages: String,
    /// The path of the sign-in page, with the base path.
    sign_in: String,
}

impl Place {
    fn new(base: Base, mount: &Mount) -> Self {
        let pages = format!("{}{}", base.as_str(), mount.path());
        let sign_in = match mount.sign_in_page() {
            Some(page) => format!("{}{page}", base.as_str()),
            None => format!("{pages}{SIGN_IN}"),
        };
        Self { base, pages, sign_in }
    }
}

fn place() -> Place {
    PLACE.try_with(Clone::clone).unwrap_or_default()
}

/// Returns the base path of the current request: empty, or like `/keys`.
pub(super) fn request_base() -> Base {
    place().base
}

/// Returns the path of the pages: `href="{{ crate::ui::base() }}/me"`.
pub(super) fn base() -> String {
    place().pages
}

/// Returns the path of the sign-in page.
pub(super) fn sign_in() -> String {
    place().sign_in
}

/// Redirects to one of the pages.
pub(super) fn redirect(path: &str) -> Redirect {
    Redirect::to(&(base() + path))
}

/// Runs a request with the place of the pages in scope.
pub(super) async fn scope_place(
    State((gate, mount)): State<(Arc<Gate>, Arc<Mount>)>,
    request: Request,
    next: Next,
) -> Response {
    let base = gate.base_of(request.headers(), request.extensions());
    PLACE.scope(Place::new(base, &mount), next.run(request)).await
}

/// Runs a function with the place of these pages in scope.
#[cfg(test)]
pub(super) fn scoped<T>(base: &str, mount: &Mount, run: impl FnOnce() -> T) -> T {
    PLACE.sync_scope(Place::new(Base::parse(base).unwrap_or_default(), mount), run)
}

/// Returns the origin for addresses that people copy. Templates escape it, because the client sent it.
pub(super) fn public_origin(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let is_plain =
        |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    // Forms send their origin, also behind a proxy that changes `Host`.
    let origin = text(ORIGIN).filter(|origin| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.filter(is_plain).is_some_and(|host| !host.is_empty())
    });
    if let Some(origin) = origin {
        return origin.to_owned();
    }
    let host = text(HOST).filter(is_plain).unwrap_or("localhost");
    let name = if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) };
    let loopback = name == "localhost" || name == "[::1]" || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    format!("{}://{host}", if loopback { "http" } else { "https" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    #[test]
    fn public_origin_is_https_except_on_loopback() {
        let origin = |headers: &[(HeaderName, &'static str)]| {
            public_origin(
                &headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect(),
            )
        };
        assert_eq!(origin(&[(ORIGIN, "https://a.test:8443"), (HOST, "10.0.0.1:3000")]), "https://a.test:8443");
        assert_eq!(origin(&[(ORIGIN, "null"), (HOST, "a.test")]), "https://a.test");
        assert_eq!(origin(&[(ORIGIN, "https://"), (HOST, "127.0.0.1:80")]), "http://127.0.0.1:80");
        assert_eq!(origin(&[(HOST, "localhost:8080")]), "http://localhost:8080");
        assert_eq!(origin(&[(HOST, "[::1]")]), "http://[::1]");
        for remote in ["127.example.test", "localhost.example.test", "[::1].example.test"] {
            assert_eq!(origin(&[(HOST, remote)]), format!("https://{remote}"), "secrets are sent over TLS");
        }
        assert_eq!(origin(&[(HOST, "a\"b")]), "http://localhost");
    }
}
