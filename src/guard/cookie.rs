//! The session cookie of pages.

use super::base::Base;
use crate::domain::Secret;
use http::HeaderValue;

/// The cookie in which a browser keeps the session of pages: for this host, not readable by scripts, and not sent from
/// other sites. It ends with the browser; the store decides when the session ends.
///
/// ```
/// use keyward::guard::SessionCookie;
/// use keyward::Group;
/// let cookie = SessionCookie::default();
/// let pages = Group::pages("/admin/settings", cookie.name(), "/admin/auth/login");
/// assert_eq!(cookie.cleared(), "__Host-keyward=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionCookie {
    plain: bool,
}

impl SessionCookie {
    /// Creates a cookie that is also sent over plain HTTP, for a server on loopback. In a network, every machine on the
    /// path could read it and use the session.
    pub fn for_plain_http_on_loopback() -> Self {
        Self { plain: true }
    }

    /// Returns the name, for [`Group::pages`](crate::Group::pages). Browsers accept the prefix `__Host-` only from this
    /// host with the path `/`.
    ///
    /// Below a [base path](crate::Builder::base_path) the pages set another cookie, which browsers send to that path
    /// alone: `__Secure-keyward`, or `keyward-below` over plain HTTP. Page groups read that one first.
    pub fn name(self) -> &'static str {
        if self.plain { "keyward" } else { "__Host-keyward" }
    }

    /// Returns the value of a `Set-Cookie` header that starts a session. It is marked as sensitive, so `Debug` hides
    /// it.
    pub fn set(self, session: &Secret) -> HeaderValue {
        let value = self.value(session.expose(), "");
        // A secret has only characters that a header allows.
        let mut value = HeaderValue::from_str(&value).unwrap_or_else(|_| self.cleared());
        value.set_sensitive(true);
        value
    }

    /// Returns the value of a `Set-Cookie` header that removes the session from the browser.
    pub fn cleared(self) -> HeaderValue {
        HeaderValue::from_static(match self.plain {
            false => "__Host-keyward=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0",
            true => "keyward=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
        })
    }

    /// Returns the name and the path below this base path. Other servers of the same host then neither receive nor
    /// replace the secret.
    fn name_and_path(self, base: &Base) -> (&'static str, String) {
        match below_base(self.name()) {
            Some(name) if !base.is_empty() => (name, format!("{}/", base.as_str())),
            _ => (self.name(), "/".to_owned()),
        }
    }

    /// Returns whether browsers send the cookie over HTTPS only.
    #[cfg(feature = "ui")]
    pub(crate) fn is_secure(self) -> bool {
        !self.plain
    }

    /// Returns the name below this base path.
    #[cfg(feature = "ui")]
    pub(crate) fn name_at(self, base: &Base) -> &'static str {
        self.name_and_path(base).0
    }

    /// As [`set`](Self::set), for pages below this base path.
    #[cfg(feature = "ui")]
    pub(crate) fn set_at(self, base: &Base, session: &Secret) -> HeaderValue {
        let value = HeaderValue::from_str(&self.value_at(base, session.expose(), ""));
        let mut value = value.unwrap_or_else(|_| self.cleared_at(base));
        value.set_sensitive(true);
        value
    }

    /// As [`cleared`](Self::cleared), for pages below this base path.
    #[cfg(feature = "ui")]
    pub(crate) fn cleared_at(self, base: &Base) -> HeaderValue {
        HeaderValue::from_str(&self.value_at(base, "", "; Max-Age=0")).unwrap_or_else(|_| self.cleared())
    }

    fn value(self, secret: &str, more: &str) -> String {
        self.value_at(&Base::default(), secret, more)
    }

    fn value_at(self, base: &Base, secret: &str, more: &str) -> String {
        let secure = if self.plain { "" } else { "; Secure" };
        let (name, path) = self.name_and_path(base);
        format!("{name}={secret}; Path={path}; HttpOnly; SameSite=Strict{secure}{more}")
    }
}

/// Returns the name below a base path of a cookie of keyward. Browsers accept `__Host-` for the path `/` only.
pub(super) fn below_base(name: &str) -> Option<&'static str> {
    match name {
        "__Host-keyward" => Some("__Secure-keyward"),
        "keyward" => Some("keyward-below"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bearer::{Presented, in_cookie};
    use super::*;
    use crate::domain::{HashKey, OsEntropy, SecretFormat, TokenKind, TokenPrefix};
    use http::HeaderMap;
    use http::header::COOKIE;

    fn secret() -> Secret {
        let hash_key = HashKey::parse("4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd").unwrap();
        SecretFormat::new(&TokenPrefix::default(), hash_key).issue(TokenKind::Session, &OsEntropy).unwrap().secret
    }

    const BOTH: [SessionCookie; 2] = [SessionCookie { plain: false }, SessionCookie { plain: true }];

    #[test]
    fn the_cookie_is_limited_to_the_host_and_hidden_from_scripts() {
        let secret = secret();
        let set = SessionCookie::default().set(&secret);
        let expected = format!("__Host-keyward={}; Path=/; HttpOnly; SameSite=Strict; Secure", secret.expose());
        assert_eq!(set, expected);
        let plain = SessionCookie::for_plain_http_on_loopback().set(&secret);
        assert_eq!(plain, format!("keyward={}; Path=/; HttpOnly; SameSite=Strict", secret.expose()));
    }

    #[cfg(feature = "ui")]
    #[test]
    fn below_a_base_path_the_cookie_is_limited_to_that_path() {
        let (secret, base) = (secret(), Base::parse("/keys").unwrap());
        let set = SessionCookie::default().set_at(&base, &secret);
        let expected = format!("__Secure-keyward={}; Path=/keys/; HttpOnly; SameSite=Strict; Secure", secret.expose());
        assert_eq!(set, expected);
        assert_eq!(SessionCookie::for_plain_http_on_loopback().name_at(&base), "keyward-below");
        for cookie in BOTH {
            assert_eq!(cookie.set_at(&Base::default(), &secret), cookie.set(&secret));
            assert_eq!(cookie.cleared_at(&Base::default()), cookie.cleared());
            assert_eq!(cookie.cleared_at(&base), cookie.value_at(&base, "", "; Max-Age=0"));
        }
    }

    #[test]
    fn cleared_names_the_cookie_that_set_names() {
        for cookie in BOTH {
            assert_eq!(cookie.cleared(), cookie.value("", "; Max-Age=0"));
        }
    }

    #[test]
    fn the_cookie_returns_the_secret() {
        let secret = secret();
        for cookie in BOTH {
            let set = cookie.set(&secret);
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let headers: HeaderMap = [(COOKIE, HeaderValue::from_str(pair).unwrap())].into_iter().collect();
            assert_eq!(in_cookie(&headers, cookie.name()), Presented::Secret(secret.expose().as_bytes()));
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let secret = secret();
        for cookie in BOTH {
            let debug = format!("{cookie:?} {:?}", cookie.set(&secret));
            assert!(!debug.contains(secret.expose()) && debug.contains("Sensitive"), "{debug}");
        }
    }
}
