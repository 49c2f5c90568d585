//! Proxies in front of the platform: trust, the base path, cookies, and the protection of demo data.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use keyward::Builder;
use keyward::guard::{ProxyHeader, SessionCookie};

/// The options about proxies.
#[derive(Default)]
pub(crate) struct Front {
    /// Addresses and networks of trusted proxies.
    pub(crate) proxies: Vec<String>,
    /// Whether the proxies report the client in `Forwarded` instead of `X-Forwarded-For`.
    pub(crate) forwarded: bool,
    pub(crate) base_path: String,
    /// Whether the cookie needs HTTPS; `None` if no option says so.
    pub(crate) secure_cookies: Option<bool>,
}

impl Front {
    /// Returns whether an option implies a proxy: then other machines can reach a server on loopback.
    pub(crate) fn is_set(&self) -> bool {
        !self.proxies.is_empty() || !self.base_path.is_empty() || self.secure_cookies == Some(true)
    }

    /// Applies the options to a builder. `alone` is true if, by the options, no other machine can connect.
    pub(crate) fn apply(self, mut builder: Builder, alone: bool) -> Builder {
        if !self.proxies.is_empty() {
            let header = if self.forwarded { ProxyHeader::Forwarded } else { ProxyHeader::XForwardedFor };
            builder = builder.trusted_proxies(self.proxies, header);
        }
        if alone {
            builder = builder.allow_open_setup();
        }
        let secure = self.secure_cookies.unwrap_or(!alone);
        let cookie = if secure { SessionCookie::default() } else { SessionCookie::for_plain_http_on_loopback() };
        builder.base_path(self.base_path).ui("/admin", cookie)
    }
}

/// Rejects forwarded requests, which may come from any machine: the passwords of demo data are public.
pub(crate) async fn own_machine_only(request: Request, next: Next) -> Response {
    if !is_forwarded(request.headers()) {
        return next.run(request).await;
    }
    let text = "This server has demo data, whose passwords are public, and rejects requests that a proxy has forwarded: start it \
                with another database, or with --demo to serve them through the proxy.\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        matches!(name.as_str(), "forwarded" | "via" | "x-real-ip") || name.as_str().starts_with("x-forwarded-")
    })
}
