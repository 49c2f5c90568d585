//! Whether a request that changes something comes from our own pages.

use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method, Uri};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the method changes nothing (RFC 9110 section 9.2.1).
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// A proof that the page that sent this is of the same origin: the browser says so in `Sec-Fetch-Site`, or, where it sends
/// none, names our own host in `Origin`. No word about it is no proof.
pub(super) fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let one = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() { None } else { first.and_then(|v| v.to_str().ok()) }
    };
    if headers.contains_key(SEC_FETCH_SITE) {
        return one(&SEC_FETCH_SITE) == Some("same-origin");
    }
    let host = uri.authority().map(|a| a.as_str()).or_else(|| one(&HOST));
    let origin = one(&ORIGIN).and_then(|o| o.strip_prefix("https://").or_else(|| o.strip_prefix("http://")));
    matches!((host, origin), (Some(host), Some(origin)) if !host.is_empty() && host.eq_ignore_ascii_case(origin))
}

/// Whether all that is wrong may be that a proxy asks for another host than the browser did: the browser sends no `Sec-Fetch-Site`, as
/// none does over plain HTTP, and its `Origin` names another host than `Host`.
pub(super) fn hosts_differ(headers: &HeaderMap, uri: &Uri) -> bool {
    let names_one = |origin: &str| origin.starts_with("https://") || origin.starts_with("http://");
    let origin = headers.get(ORIGIN).and_then(|v| v.to_str().ok());
    !headers.contains_key(SEC_FETCH_SITE) && origin.is_some_and(names_one) && !is_same_origin(headers, uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn proves(headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        is_same_origin(&map, &Uri::from_static("/x"))
    }

    #[test]
    fn only_a_proof_is_one() {
        assert!(proves(&[("sec-fetch-site", "same-origin")]));
        assert!(proves(&[("host", "example.test:8080"), ("origin", "http://example.test:8080")]));
        for wrong in [
            &[][..],
            &[("host", "example.test")],
            &[("origin", "http://example.test")],
            &[("host", "example.test"), ("origin", "null")],
            &[("host", "example.test"), ("origin", "chrome-extension://example.test")],
            &[("host", "example.test"), ("origin", "http://example.test:81")],
            &[("host", "example.test"), ("origin", "http://evil.test")],
            &[("host", "example.test"), ("origin", "http://example.test"), ("origin", "http://evil.test")],
            &[("sec-fetch-site", "cross-site"), ("host", "example.test"), ("origin", "http://example.test")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!proves(wrong), "{wrong:?}");
        }
    }
}
