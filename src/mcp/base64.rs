//! Base64 of header values: `=?base64?..?=` holds text that a header cannot (revision 2026-07-28, "Value Encoding").

/// Returns the text of a header value, decoded if it is encoded. `None` if it is malformed.
pub(super) fn header_text(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(decode(encoded)?).ok(),
        None => Some(value.to_owned()),
    }
}

/// Decodes Base64 with padding (RFC 4648 section 4). `None` if it is not in its one canonical form.
fn decode(text: &str) -> Option<Vec<u8>> {
    let value = |b: u8| match b {
        b'A'..=b'Z' => Some(u32::from(b - b'A')),
        b'a'..=b'z' => Some(u32::from(b - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(b - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.as_bytes().chunks(4) {
        let missing = 4 - group.len();
        let bits = group.iter().try_fold(0, |bits, b| Some(bits << 6 | value(*b)?))? << (6 * missing);
        let [_, triple @ ..] = bits.to_be_bytes();
        let (kept, rest) = triple.split_at(3usize.checked_sub(missing)?);
        if rest.iter().any(|b| *b != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    (padding == (4 - digits.len() % 4) % 4 && padding < 3).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_specification_are_decoded() {
        for (value, text) in [
            ("us-west1", "us-west1"),
            ("=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界"),
            ("=?base64?IHBhZGRlZCA=?=", " padded "),
            ("=?base64?bGluZTEKbGluZTI=?=", "line1\nline2"),
            ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?="),
            ("=?base64??=", ""),
        ] {
            assert_eq!(header_text(value).as_deref(), Some(text));
        }
        for malformed in ["A", "AA", "AAA", "A===", "====", "AB==", "AAB=", "AA=A", "A-_=", "AAAA====", "/w=="] {
            assert_eq!(header_text(&format!("=?base64?{malformed}?=")), None, "{malformed}");
        }
    }
}
