//! The credential of a request: one `Authorization: Bearer` header, RFC 6750 section 2.1, read by RFC 9110 section 11.4.

use http::HeaderMap;
use http::header::AUTHORIZATION;

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
    let padding = token.iter().rev().take_while(|b| **b == b'=').count();
    let body = &token[..token.len() - padding];
    // A table and no early exit: the letters of a secret are random, and no processor guesses a branch on one.
    !body.is_empty() && body.iter().fold(true, |well, b| well & LETTERS[usize::from(*b)])
}

static LETTERS: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        let other = matches!(b as u8, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        table[b] = (b as u8).is_ascii_alphanumeric() || other;
        b += 1;
    }
    table
};

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
