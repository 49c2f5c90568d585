//! The same-origin check of page groups.
//!
//! It is stricter than that of tower-http (`csrf`), which lets requests pass that have neither `Sec-Fetch-Site` nor
//! `Origin`, or whose `Sec-Fetch-Site` is `none`: there, no word counts as a client that is not a browser. Here a
//! cookie may count, so a proof is needed.

use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method, Uri};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns whether the method is safe (RFC 9110 section 9.2.1).
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Returns whether the browser proves that a page of the same origin sent the request: by `Sec-Fetch-Site`, or, if it
/// sends none, by an `Origin` that names the requested host. A request without either header has no proof.
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

/// Returns whether a proxy that changes `Host` may be the only fault: `Origin` names another host than `Host`, and
/// there is no `Sec-Fetch-Site`, which browsers do not send over plain HTTP.
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
    fn only_a_proof_of_same_origin_counts() {
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
