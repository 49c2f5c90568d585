//! The credential of a request: one `Authorization: Bearer` header (RFC 6750 section 2.1, RFC 9110 section 11.4), or a
//! cookie.

use crate::domain::LONGEST;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

/// The credential in a request's headers.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Presented<'a> {
    Nothing,
    Malformed,
    /// Several credentials that differ.
    Several,
    Secret(&'a [u8]),
}

/// Reads the credential of the `Authorization` header.
pub(super) fn presented(headers: &HeaderMap) -> Presented<'_> {
    // To find a name by its hash takes as long as to compare it with half a dozen others.
    let (value, another) = match headers.len() {
        0..=6 => first_two(headers.iter().filter(|(name, _)| *name == AUTHORIZATION).map(|(_, value)| value)),
        _ => first_two(headers.get_all(AUTHORIZATION).iter()),
    };
    match (value, another) {
        (None, _) => Presented::Nothing,
        (Some(value), None) => secret(value.as_bytes()).map_or(Presented::Malformed, Presented::Secret),
        (Some(_), Some(_)) => read_repeated(headers),
    }
}

/// Reads several `Authorization` headers.
#[cold]
fn read_repeated(headers: &HeaderMap) -> Presented<'_> {
    let all = headers.get_all(AUTHORIZATION).iter().map(|v| Credential::of_bearer(v.as_bytes()));
    unless_repeated(one_of(all), true)
}

/// One credential of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    Secret(&'a [u8]),
    /// The value of a header in another form.
    Malformed(&'a [u8]),
}

impl<'a> Credential<'a> {
    /// Reads the value of an `Authorization` header.
    pub(super) fn of_bearer(value: &'a [u8]) -> Self {
        secret(value).map_or(Self::Malformed(value), Self::Secret)
    }

    /// Reads the value of a header that holds a secret and nothing else.
    pub(super) fn of_bare(value: &'a [u8]) -> Self {
        if (1..=LONGEST).contains(&value.len()) { Self::Secret(value) } else { Self::Malformed(value) }
    }
}

/// Returns the credential of a request from all that it has. Equal ones are one.
#[cold]
pub(super) fn one_of<'a>(mut all: impl Iterator<Item = Credential<'a>>) -> Presented<'a> {
    let Some(first) = all.next() else { return Presented::Nothing };
    match first {
        _ if all.any(|other| other != first) => Presented::Several,
        Credential::Secret(secret) => Presented::Secret(secret),
        Credential::Malformed(_) => Presented::Malformed,
    }
}

/// A header that occurs twice is malformed, even with equal values: it is a singleton field (RFC 9110 section 5.3), and
/// programs differ in which value they read.
pub(super) fn unless_repeated(presented: Presented<'_>, repeated: bool) -> Presented<'_> {
    match presented {
        Presented::Secret(_) if repeated => Presented::Malformed,
        presented => presented,
    }
}

fn first_two<T>(mut values: impl Iterator<Item = T>) -> (Option<T>, Option<T>) {
    (values.next(), values.next())
}

/// Returns whether the value of an `Authorization` header is `Bearer` and a token68 (RFC 9110 section 11.2). The result
/// says nothing about the token itself.
pub(super) fn is_well_formed(value: &[u8]) -> bool {
    let Some((scheme, rest)) = value.split_at_checked(6) else { return false };
    let token = rest.trim_ascii_start();
    let spaces = &rest[..rest.len() - token.len()];
    let separated = !spaces.is_empty() && spaces.iter().all(|b| *b == b' ');
    scheme.eq_ignore_ascii_case(b"bearer") && separated && is_token68(token)
}

/// Returns whether a value is a token68 (RFC 9110 section 11.2).
pub(super) fn is_token68(token: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    let padding = token.iter().rev().take_while(|b| **b == b'=').count();
    let body = &token[..token.len() - padding];
    !body.is_empty() && body.iter().all(allowed)
}

/// Reads the secret in the cookie of this name. Two cookies of one name are malformed: neither can be relied on.
pub(super) fn in_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Presented<'a> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    let mut values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    match (values.next(), values.next()) {
        (None, _) => Presented::Nothing,
        (Some(value), None) if (1..=LONGEST).contains(&value.len()) => Presented::Secret(value),
        _ => Presented::Malformed,
    }
}

/// Returns the token after `Bearer`, in any case, and one space or more. The offline check accepts only characters of a
/// token68, so they are not checked here.
#[inline]
fn secret(value: &[u8]) -> Option<&[u8]> {
    // The form that nearly all clients send.
    let usual = |t: &&[u8]| (1..=LONGEST).contains(&t.len()) && !t[0].is_ascii_whitespace();
    value.strip_prefix(b"Bearer ").filter(usual).or_else(|| unusual_secret(value))
}

/// Returns the token after `Bearer` in any case, and any number of spaces.
#[inline(never)]
fn unusual_secret(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let token = rest.trim_ascii_start();
    let spaces = &rest[..rest.len() - token.len()];
    let well_formed = scheme.eq_ignore_ascii_case(b"bearer")
        && !spaces.is_empty()
        && spaces.iter().all(|b| *b == b' ')
        && (1..=LONGEST).contains(&token.len());
    well_formed.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{HashKey, SecretFormat, StrapiHashKey, TokenKinds, TokenPrefix, VerifyError};
    use http::HeaderValue;

    fn of(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (AUTHORIZATION, HeaderValue::from_str(v).unwrap())).collect()
    }

    /// Returns whether the header or the secret format rejects the credential as malformed.
    fn is_malformed(headers: &HeaderMap) -> bool {
        let hash_key = HashKey::parse("4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd").unwrap();
        let strapi = StrapiHashKey::new("saltysaltysaltysalty").unwrap();
        let format = SecretFormat::new(&TokenPrefix::default(), hash_key).with_strapi(strapi);
        match presented(headers) {
            Presented::Nothing | Presented::Several => false,
            Presented::Malformed => true,
            Presented::Secret(secret) => format.verify_bytes(secret, TokenKinds::ADMIN) == Err(VerifyError::Malformed),
        }
    }

    #[test]
    fn a_secret_with_a_character_outside_token68_is_malformed() {
        let (native, strapi) = (format!("kw_admin_{}", "a".repeat(50)), "a".repeat(256));
        for secret in [native, strapi] {
            assert!(!is_malformed(&of(&[&format!("Bearer {secret}")])), "well formed");
            for at in 0..secret.len() {
                for odd in (0x20..=0xff_u8).filter(|b| *b != 0x7f && !b.is_ascii_alphanumeric()) {
                    // The prefix contains underscores.
                    if secret.as_bytes()[at] == odd {
                        continue;
                    }
                    let mut value = format!("Bearer {secret}").into_bytes();
                    value["Bearer ".len() + at] = odd;
                    let mut headers = HeaderMap::new();
                    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(&value).unwrap());
                    assert!(is_malformed(&headers) || (at == 0 && odd == b' '), "{odd:#x} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_single_bearer_secret_is_read() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc", "Bearer   abc"] {
            assert_eq!(presented(&of(&[value])), Presented::Secret(b"abc"), "{value}");
        }
        assert_eq!(presented(&of(&["Bearer a-._~+/9=="])), Presented::Secret(b"a-._~+/9=="));
        assert_eq!(
            presented(&of(&[&format!("Bearer {}", "a".repeat(512))])),
            Presented::Secret("a".repeat(512).as_bytes())
        );
        assert_eq!(presented(&HeaderMap::new()), Presented::Nothing);
    }

    #[test]
    fn well_formed_does_not_depend_on_the_token() {
        for value in ["Bearer abc", "bearer   abc", "Bearer a-._~+/9==", &format!("Bearer {}", "a".repeat(600))] {
            assert!(is_well_formed(value.as_bytes()), "{value}");
        }
        for value in [
            "",
            "abc",
            "kw_admin_abc",
            "Bearer",
            "Bearer ",
            "Bearer: abc",
            "Bearer\tabc",
            "Token abc",
            "Basic abc",
            "Bearer \"abc\"",
            "Bearer 'abc'",
            "\"Bearer abc\"",
            "Bearer <abc>",
            "Bearer a b",
            "Bearer a,b",
            "Bearer abc ",
            "Bearer =",
            "Bearer a=b",
            "Bearer Bearer abc",
        ] {
            assert!(!is_well_formed(value.as_bytes()), "{value:?}");
        }
    }

    #[test]
    fn a_single_cookie_of_the_name_is_read() {
        let cookies = |lines: &[&str]| -> HeaderMap {
            lines.iter().map(|l| (COOKIE, HeaderValue::from_str(l).unwrap())).collect()
        };
        let of = |lines: &[&str]| match in_cookie(&cookies(lines), "sid") {
            Presented::Nothing => "nothing".to_owned(),
            Presented::Malformed => "malformed".to_owned(),
            Presented::Several => "several".to_owned(),
            Presented::Secret(secret) => String::from_utf8_lossy(secret).into_owned(),
        };
        assert_eq!(of(&["sid=abc"]), "abc");
        assert_eq!(of(&["a=b; sid=abc; c=d"]), "abc");
        assert_eq!(of(&["a=\u{e9}; sid=abc"]), "abc");
        assert_eq!(of(&["a=b", "sid=abc"]), "abc");
        for none in [&[][..], &["xsid=abc"], &["sidx=abc"], &["SID=abc"], &["sid"], &["a=sid=abc"]] {
            assert_eq!(of(none), "nothing", "{none:?}");
        }
        for bad in [&["sid="][..], &["sid=a; sid=b"], &["sid=a", "sid=a"]] {
            assert_eq!(of(bad), "malformed", "{bad:?}");
        }
    }

    #[test]
    fn other_headers_are_malformed() {
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
            assert!(is_malformed(&of(&[value])), "{value:?}");
        }
        // Another scheme, or no space after the scheme.
        for value in ["Digest abc", "Digest  abc", "Bearerabc", "Bearer", "Bearer   "] {
            assert_eq!(presented(&of(&[value])), Presented::Malformed, "{value:?}");
        }
        assert_eq!(presented(&of(&[&format!("Bearer {}", "a".repeat(513))])), Presented::Malformed);
        let mut raw = HeaderMap::new();
        raw.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
        assert!(is_malformed(&raw));
    }
}
