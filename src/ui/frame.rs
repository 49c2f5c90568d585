//! What is around every page: who is signed in, where they can go, and what browsers are told.

use super::assets::VERSION;
use super::failure::Failure;
use super::state::Pages;
use crate::domain::{AdmittedActor, Owner, OwnerId, TokenId, action};
use crate::guard::{AuthContext, Caller};
use axum::extract::FromRequestParts;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, Ipv4Addr};

/// What a page's frame shows.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) version: &'static str,
    pub(super) viewer: Option<Shown>,
    pub(super) nav: Vec<Link>,
    /// The address to go by in the history, where the page is the answer to a form.
    pub(super) address: Option<String>,
}

/// Who is signed in.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) initials: String,
}

/// A place to go.
pub(super) struct Link {
    pub(super) href: &'static str,
    pub(super) name: &'static str,
    pub(super) icon: &'static str,
    pub(super) here: bool,
}

/// Every section, with the actions that its page asks for.
const SECTIONS: [(&str, &str, &str, &[&str]); 5] = [
    (
        "/admin/settings/admin-tokens",
        "Admin Tokens",
        "key",
        &["admin::admin-tokens.access", "admin::admin-tokens.read"],
    ),
    ("/admin/settings/api-tokens", "API Tokens", "plug", &["admin::api-tokens.access", "admin::api-tokens.read"]),
    ("/admin/settings/roles", "Roles", "shield", &["admin::roles.read"]),
    ("/admin/settings/users", "Users", "people", &["admin::users.read"]),
    ("/admin/settings/audit-logs", "Audit Log", "list", &["admin::audit-logs.read"]),
];

impl Frame {
    /// For who is not signed in.
    pub(super) fn outside(title: &str) -> Self {
        Self { title: title.to_owned(), version: &VERSION, viewer: None, nav: Vec::new(), address: None }
    }
}

/// Who looks at a page, from where, and with which session.
pub(super) struct Viewer {
    pub(super) actor: AdmittedActor,
    pub(super) address: Option<IpAddr>,
    pub(super) session: Option<TokenId>,
    pub(super) id: OwnerId,
    pub(super) owner: Owner,
    auth: AuthContext,
}

impl Viewer {
    pub(super) fn frame(&self, here: &str, title: &str) -> Frame {
        let name = self.owner.display_name();
        let initials = name.split_whitespace().filter_map(|word| word.chars().next()).take(2).collect::<String>();
        let nav = self.sections().map(|(href, name, icon, _)| Link { href, name, icon, here: here == href });
        Frame {
            title: title.to_owned(),
            version: &VERSION,
            nav: nav.collect(),
            viewer: Some(Shown { name, email: self.owner.email.clone(), initials: initials.to_uppercase() }),
            address: None,
        }
    }

    fn sections(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static [&'static str])> {
        SECTIONS.into_iter().filter(|(.., asked)| asked.iter().all(|name| self.may(name)))
    }

    /// The first page that is for them.
    pub(super) fn home(&self) -> &'static str {
        self.sections().next().map_or(super::ME, |(href, ..)| href)
    }

    /// Whether they hold an action, without conditions. What is shown by it is asked again by the route.
    pub(super) fn may(&self, name: &str) -> bool {
        self.auth.decide(&action(name).whole()).verdict() == crate::domain::Verdict::Allowed
    }

    pub(super) fn is_super_admin(&self) -> bool {
        self.owner.is_super_admin()
    }
}

impl FromRequestParts<Pages> for Viewer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Failure> {
        let auth = parts.extensions.get::<AuthContext>().cloned().ok_or_else(Failure::not_found)?;
        let Ok(Caller { actor, address, token: session, owner: id, .. }) =
            Caller::from_request_parts(parts, pages).await;
        let id = id.ok_or_else(Failure::not_found)?;
        // What no database keeps is in no address of ours.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Failure::no_address());
        }
        let (owner, _) = pages.sessions.clone().acting_as(&actor).me().await?;
        Ok(Self { actor, address, session, id, owner, auth })
    }
}

/// Where the browser finds us, for addresses that people copy. What it sends is escaped like any other text.
pub(super) fn origin(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let plain =
        |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    // A form says where it was, also behind a proxy that calls us otherwise.
    let said = text(ORIGIN).filter(|origin| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.filter(plain).is_some_and(|host| !host.is_empty())
    });
    if let Some(origin) = said {
        return origin.to_owned();
    }
    let host = text(HOST).filter(plain).unwrap_or("localhost");
    let name = if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) };
    let loopback = name == "localhost" || name == "[::1]" || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    format!("{}://{host}", if loopback { "http" } else { "https" })
}

/// Everything that a page needs comes from its own origin, no other page may show it in a frame, and nobody is told where a reader
/// came from.
pub(super) async fn shield(mut response: Response) -> Response {
    const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                       base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    let is_page = headers.get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/html"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(http::header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    if is_page {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_the_browser_is() {
        let told = |headers: &[(HeaderName, &'static str)]| {
            origin(&headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect())
        };
        assert_eq!(told(&[(ORIGIN, "https://a.test:8443"), (HOST, "10.0.0.1:3000")]), "https://a.test:8443");
        assert_eq!(told(&[(ORIGIN, "null"), (HOST, "a.test")]), "https://a.test");
        assert_eq!(told(&[(ORIGIN, "https://"), (HOST, "127.0.0.1:80")]), "http://127.0.0.1:80");
        assert_eq!(told(&[(HOST, "localhost:8080")]), "http://localhost:8080");
        assert_eq!(told(&[(HOST, "[::1]")]), "http://[::1]");
        for elsewhere in ["127.example.test", "localhost.example.test", "[::1].example.test"] {
            assert_eq!(told(&[(HOST, elsewhere)]), format!("https://{elsewhere}"), "a secret is not sent in the open");
        }
        assert_eq!(told(&[(HOST, "a\"b")]), "http://localhost");
    }
}
