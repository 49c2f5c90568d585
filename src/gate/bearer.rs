//! The credential of a request: one `Authorization: Bearer` header, RFC 6750 section 2.1, read by RFC 9110 section 11.4.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

/// No secret is longer.
const LONGEST: usize = 512;

/// What a request's headers say.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Presented<'a> {
    Nothing,
    Malformed,
    Secret(&'a str),
}

pub(super) fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Presented::Nothing,
        (Some(value), None) => secret(value.as_bytes()).map_or(Presented::Malformed, Presented::Secret),
        (Some(_), Some(_)) => Presented::Malformed,
    }
}

/// What the cookie of this name says, where a group takes cookies. Two of one name are none that can be relied on.
pub(super) fn in_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Presented<'a> {
    let lines = headers.get_all(COOKIE).iter().map(|line| line.to_str().unwrap_or_default());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(n, _)| *n == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Presented::Nothing,
        (Some(value), None) if value.len() <= LONGEST && is_token68(value.as_bytes()) => Presented::Secret(value),
        _ => Presented::Malformed,
    }
}

/// `Bearer`, in any case, one space or more, one token68.
fn secret(value: &[u8]) -> Option<&str> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let token = rest.trim_ascii_start();
    let spaces = &rest[..rest.len() - token.len()];
    let well_formed = scheme.eq_ignore_ascii_case(b"bearer")
        && !spaces.is_empty()
        && spaces.iter().all(|b| *b == b' ')
        && token.len() <= LONGEST
        && is_token68(token);
    if well_formed { std::str::from_utf8(token).ok() } else { None }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_token68(token: &[u8]) -> bool {
    let body = token.iter().position(|b| *b == b'=').unwrap_or(token.len());
    let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    body > 0 && token[..body].iter().all(letter) && token[body..].iter().all(|b| *b == b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (AUTHORIZATION, HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn one_bearer_secret_is_read() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc"] {
            assert_eq!(presented(&of(&[value])), Presented::Secret("abc"), "{value}");
        }
        assert_eq!(presented(&of(&["Bearer a-._~+/9=="])), Presented::Secret("a-._~+/9=="));
        assert_eq!(presented(&of(&[&format!("Bearer {}", "a".repeat(512))])), Presented::Secret(&"a".repeat(512)));
        assert_eq!(presented(&HeaderMap::new()), Presented::Nothing);
    }

    #[test]
    fn one_cookie_of_the_name_is_read() {
        let cookies = |lines: &[&str]| -> HeaderMap {
            lines.iter().map(|l| (COOKIE, HeaderValue::from_str(l).unwrap())).collect()
        };
        let of = |lines: &[&str]| match in_cookie(&cookies(lines), "sid") {
            Presented::Nothing => "nothing".to_owned(),
            Presented::Malformed => "malformed".to_owned(),
            Presented::Secret(secret) => secret.to_owned(),
        };
        assert_eq!(of(&["sid=abc"]), "abc");
        assert_eq!(of(&["a=b; sid=abc; c=d"]), "abc");
        assert_eq!(of(&["a=b", "sid=abc"]), "abc");
        for none in [&[][..], &["xsid=abc"], &["sidx=abc"], &["SID=abc"], &["sid"], &["a=sid=abc"]] {
            assert_eq!(of(none), "nothing", "{none:?}");
        }
        for bad in [&["sid="][..], &["sid=a b"], &["sid=\"abc\""], &["sid=a; sid=b"], &["sid=a", "sid=a"]] {
            assert_eq!(of(bad), "malformed", "{bad:?}");
        }
    }

    #[test]
    fn everything_else_is_malformed() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearerabc",
            "Bearer\tabc",
            "Bearer \tabc",
            "Bearer a b",
            "Bearer a,b",
            "Bearer abc ",
            "Bearer =",
            "Bearer a=b",
            "Token abc",
            "Basic abc",
            "abc",
            "Bearer é",
            "Bearer \"abc\"",
        ] {
            assert_eq!(presented(&of(&[value])), Presented::Malformed, "{value:?}");
        }
        assert_eq!(presented(&of(&[&format!("Bearer {}", "a".repeat(513))])), Presented::Malformed);
        assert_eq!(presented(&of(&["Bearer abc", "Bearer abc"])), Presented::Malformed);
        assert_eq!(presented(&of(&["Bearer abc", "Basic abc"])), Presented::Malformed);
        let mut raw = HeaderMap::new();
        raw.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
        assert_eq!(presented(&raw), Presented::Malformed);
    }
}
