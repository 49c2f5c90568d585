//! The origins whose pages may send requests. Behind DNS rebinding a page reaches a server under a host of its own, so
//! the request's `Host` proves nothing.

use http::{HeaderValue, Uri};

/// Returns whether an `Origin` is loopback or one of these.
pub(super) fn is_allowed(origin: &HeaderValue, allowed: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    allowed.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin)) || is_loopback(origin)
}

fn is_loopback(origin: &str) -> bool {
    let Some(rest) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else { return false };
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    !rest.contains(['@', '/']) && (host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_listed_origins_are_allowed() {
        let listed = ["https://inspector.example.com".to_owned()];
        for (origin, allowed) in [
            ("http://localhost", true),
            ("http://localhost:6274", true),
            ("https://127.0.0.1:1", true),
            ("http://[::1]:8080", true),
            ("https://inspector.example.com", true),
            ("http://inspector.example.com", false),
            ("https://inspector.example.com:81", false),
            ("http://localhost.evil.example", false),
            ("http://localhost@evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://evil.example", false),
            ("ftp://localhost", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(&HeaderValue::from_static(origin), &listed), allowed, "{origin}");
        }
    }
}
