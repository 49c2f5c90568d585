//! The base path: the prefix that a proxy puts before the paths of this installation.

use super::address::Addresses;
use http::header::HeaderName;
use http::{Extensions, HeaderMap};
use std::fmt;
use std::sync::Arc;

const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// The maximum length of a base path, in bytes.
const LONGEST: usize = 200;

/// A base path: empty, or like `/keys`, without a trailing slash.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Base(Option<Arc<str>>);

impl Base {
    /// Parses a base path. `/` is the empty one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Some(Self(None));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        let is_name = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
        let parts = path.strip_prefix('/')?;
        (path.len() <= LONGEST && parts.split('/').all(is_name)).then(|| Self(Some(path.into())))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the path that a browser has to request to get this path.
    pub(super) fn outward(&self, path: &Arc<str>) -> Arc<str> {
        match &self.0 {
            None => path.clone(),
            Some(base) => format!("{base}{path}").into(),
        }
    }

    /// Strips the base from a path, by whole segments. Any other path is returned unchanged.
    #[inline]
    pub(crate) fn inward<'p>(&self, path: &'p str) -> &'p str {
        self.0.as_deref().map_or(path, |base| strip(base, path))
    }

    /// Returns whether a path is the base or below it.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.0
            .as_deref()
            .is_some_and(|base| path.strip_prefix(base).is_some_and(|b| b.is_empty() || b.starts_with('/')))
    }
}

#[inline(never)]
fn strip<'p>(base: &str, path: &'p str) -> &'p str {
    match path.strip_prefix(base) {
        Some("") => "/",
        Some(below) if below.starts_with('/') => below,
        _ => path,
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns the base path of a request: that of a trusted proxy's `X-Forwarded-Prefix`, or else the configured one.
/// Several values come from several proxies, the outermost first.
pub(super) fn of_request(
    configured: &Base,
    addresses: &Addresses,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Base {
    let mut values = headers.get_all(X_FORWARDED_PREFIX).iter().peekable();
    if values.peek().is_none() || !addresses.trust_peer(extensions) {
        return configured.clone();
    }
    let mut whole = String::new();
    for value in values {
        for one in value.to_str().unwrap_or("?").split(',') {
            match Base::parse(one.trim()) {
                Some(base) => whole.push_str(base.as_str()),
                None => return configured.clone(),
            }
        }
    }
    Base::parse(&whole).unwrap_or_else(|| configured.clone())
}

#[cfg(test)]
mod tests {
    use super::super::address::ProxyHeader;
    use super::*;
    use http::HeaderValue;
    use std::net::SocketAddr;

    #[test]
    fn only_plain_paths_are_base_paths() {
        for (text, base) in
            [("", ""), ("/", ""), ("/keys", "/keys"), ("/keys/", "/keys"), ("/a/b-c_d~e.f", "/a/b-c_d~e.f")]
        {
            assert_eq!(Base::parse(text).unwrap().as_str(), base, "{text:?}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        for wrong in [
            "keys",
            "//",
            "//evil.test",
            "/a//b",
            "/keys//",
            "/.",
            "/..",
            "/a/../b",
            "/a b",
            "/a%2fb",
            "/a?b",
            "/a#b",
            "/\"><x",
            "/a\\b",
            "/ä",
            "/a\n",
            "https://x",
            &long,
        ] {
            assert_eq!(Base::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_base_is_stripped_by_whole_segments() {
        let base = Base::parse("/keys").unwrap();
        for (path, below) in [
            ("/keys", "/"),
            ("/keys/", "/"),
            ("/keys/admin", "/admin"),
            ("/keysx/admin", "/keysx/admin"),
            ("/admin", "/admin"),
            ("/keys/keys/x", "/keys/x"),
        ] {
            assert_eq!(base.inward(path), below);
            assert_eq!(base.covers(path), path != below, "{path}");
        }
        assert_eq!(Base::default().inward("/admin"), "/admin");
        assert!(!Base::default().covers("/admin"));
    }

    #[test]
    fn only_trusted_proxies_set_the_prefix() {
        let configured = Base::parse("/own").unwrap();
        let addresses = Addresses::behind(["10.0.0.0/8"], ProxyHeader::XForwardedFor).unwrap();
        let of = |addresses: &Addresses, peer: &str, lines: &[&'static str]| {
            let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
            for line in lines {
                headers.append(X_FORWARDED_PREFIX, HeaderValue::from_static(line));
            }
            extensions.insert(SocketAddr::new(peer.parse().unwrap(), 1));
            of_request(&configured, addresses, &headers, &extensions).as_str().to_owned()
        };
        for (peer, lines, base) in [
            ("10.0.0.1", &["/keys"][..], "/keys"),
            ("::ffff:10.0.0.1", &["/keys/"], "/keys"),
            ("192.0.2.1", &["/keys"], "/own"),
            ("10.0.0.1", &[], "/own"),
            ("10.0.0.1", &["/"], ""),
            ("10.0.0.1", &["/a, /b"], "/a/b"),
            ("10.0.0.1", &["/a", "/b"], "/a/b"),
            ("10.0.0.1", &["//evil.test"], "/own"),
            ("10.0.0.1", &["/a", "?"], "/own"),
        ] {
            assert_eq!(of(&addresses, peer, lines), base, "{peer} {lines:?}");
        }
        assert_eq!(of(&Addresses::of_peers(), "10.0.0.1", &["/keys"]), "/own");
    }
}
