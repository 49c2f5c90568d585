//! The cookie that holds the session of pages.

use crate::domain::Secret;
use http::HeaderValue;

/// The cookie in which a browser keeps the session of pages: for this host alone, not for scripts, and never sent along from other
/// sites. It ends with the browser; when the session ends, the store says.
///
/// ```
/// use keyward::{Group, SessionCookie};
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

    fn value(self, secret: &str, more: &str) -> String {
        let secure = if self.plain { "" } else { "; Secure" };
        format!("{}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bearer::{Presented, in_cookie};
    use super::*;
    use crate::domain::{Brand, Kind, OsEntropy, Salt, SecretFormat};
    use http::HeaderMap;
    use http::header::COOKIE;

    fn secret() -> Secret {
        let salt = Salt::parse("4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd").unwrap();
        SecretFormat::new(&Brand::default(), salt).issue(Kind::Session, &OsEntropy).unwrap().secret
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
