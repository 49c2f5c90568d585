//! The cookie that holds the session of pages.

use super::base::Base;
use crate::domain::Secret;
use http::HeaderValue;

/// The cookie in which a browser keeps the session of pages: for this host alone, not for scripts, and never sent along from other
/// sites. It ends with the browser; when the session ends, the store says.
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
    /// A cookie that is sent over plain HTTP too, for a server that is reached by loopback alone. Anywhere else whoever is on
    /// the way reads it, and can be that person.
    pub fn for_plain_http_on_loopback() -> Self {
        Self { plain: true }
    }

    /// Its name, for [`Group::pages`](crate::Group::pages). Browsers take the prefix `__Host-` from no other host and no other path.
    ///
    /// Below a [base path](crate::Builder::base_path) the pages set another one, which browsers send to that path alone, and page
    /// groups look for that one first: `__Secure-keyward`, or `keyward-below` over plain HTTP.
    pub fn name(self) -> &'static str {
        if self.plain { "keyward" } else { "__Host-keyward" }
    }

    /// The value of a `Set-Cookie` header that hands over a session. It is marked as sensitive: `Debug` does not show it.
    pub fn set(self, session: &Secret) -> HeaderValue {
        let value = self.value(session.expose(), "");
        // A secret has no character that a header has not; what were none would be no session.
        let mut value = HeaderValue::from_str(&value).unwrap_or_else(|_| self.cleared());
        value.set_sensitive(true);
        value
    }

    /// The value of a `Set-Cookie` header that takes the session from the browser.
    pub fn cleared(self) -> HeaderValue {
        HeaderValue::from_static(match self.plain {
            false => "__Host-keyward=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0",
            true => "keyward=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
        })
    }

    /// The name and the path under this base path. Other servers behind the same host then neither get the secret nor replace it.
    fn place(self, base: &Base) -> (&'static str, String) {
        match below_base(self.name()) {
            Some(name) if !base.is_empty() => (name, format!("{}/", base.as_str())),
            _ => (self.name(), "/".to_owned()),
        }
    }

    /// Whether browsers send it over HTTPS only.
    #[cfg(feature = "ui")]
    pub(crate) fn is_secure(self) -> bool {
        !self.plain
    }

    /// The name under this base path.
    #[cfg(feature = "ui")]
    pub(crate) fn name_at(self, base: &Base) -> &'static str {
        self.place(base).0
    }

    /// As [`set`](Self::set), for pages under this base path.
    #[cfg(feature = "ui")]
    pub(crate) fn set_at(self, base: &Base, session: &Secret) -> HeaderValue {
        let value = HeaderValue::from_str(&self.value_at(base, session.expose(), ""));
        let mut value = value.unwrap_or_else(|_| self.cleared_at(base));
        value.set_sensitive(true);
        value
    }

    /// As [`cleared`](Self::cleared), for pages under this base path.
    #[cfg(feature = "ui")]
    pub(crate) fn cleared_at(self, base: &Base) -> HeaderValue {
        HeaderValue::from_str(&self.value_at(base, "", "; Max-Age=0")).unwrap_or_else(|_| self.cleared())
    }

    fn value(self, secret: &str, more: &str) -> String {
        self.value_at(&Base::default(), secret, more)
    }

    fn value_at(self, base: &Base, secret: &str, more: &str) -> String {
        let secure = if self.plain { "" } else { "; Secure" };
        let (name, path) = self.place(base);
        format!("{name}={secret}; Path={path}; HttpOnly; SameSite=Strict{secure}{more}")
    }
}

/// What the cookie of this name is called below a base path, if it is ours. Browsers take `__Host-` for the path `/` only.
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
    fn it_is_for_this_host_alone_and_for_no_script() {
        let secret = secret();
        let set = SessionCookie::default().set(&secret);
        let expected = format!("__Host-keyward={}; Path=/; HttpOnly; SameSite=Strict; Secure", secret.expose());
        assert_eq!(set, expected);
        let plain = SessionCookie::for_plain_http_on_loopback().set(&secret);
        assert_eq!(plain, format!("keyward={}; Path=/; HttpOnly; SameSite=Strict", secret.expose()));
    }

    #[cfg(feature = "ui")]
    #[test]
    fn below_a_base_path_it_is_for_that_path_alone() {
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
    fn what_is_cleared_is_what_was_set() {
        for cookie in BOTH {
            assert_eq!(cookie.cleared(), cookie.value("", "; Max-Age=0"));
        }
    }

    #[test]
    fn what_comes_back_is_the_session() {
        let secret = secret();
        for cookie in BOTH {
            let set = cookie.set(&secret);
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let headers: HeaderMap = [(COOKIE, HeaderValue::from_str(pair).unwrap())].into_iter().collect();
            assert_eq!(in_cookie(&headers, cookie.name()), Presented::Secret(secret.expose().as_bytes()));
        }
    }

    #[test]
    fn nothing_shows_the_secret() {
        let secret = secret();
        for cookie in BOTH {
            let shown = format!("{cookie:?} {:?}", cookie.set(&secret));
            assert!(!shown.contains(secret.expose()) && shown.contains("Sensitive"), "{shown}");
        }
    }
}
