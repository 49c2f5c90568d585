//! URIs of resources: the prefixes that cover them, and the URIs that two readers may read differently.

/// Returns whether a prefix covers a URI, by whole segments. Bytes are compared as sent.
pub(super) fn covers(prefix: &str, uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix(prefix) else { return false };
    rest.is_empty() || prefix.ends_with(['/', ':']) || rest.starts_with(['/', '?', '#'])
}

/// Returns whether a server may resolve this URI to one below another prefix: dot segments, separators that are
/// encoded or encoded twice, backslashes, control characters and spaces.
pub(super) fn is_ambiguous(uri: &str) -> bool {
    if uri.chars().any(|c| c == '\\' || c.is_control() || c.is_whitespace()) {
        return true;
    }
    // Encoded letters, digits and marks are equal to plain ones (RFC 3986, section 6.2.2.2).
    let encoded = uri.split('%').skip(1).filter_map(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok());
    if encoded.into_iter().any(|byte| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || byte.is_ascii_control())
    {
        return true;
    }
    let lower = uri.to_ascii_lowercase();
    if ["%2f", "%5c", "%252e", "%252f", "%255c", "%00"].iter().any(|encoded| lower.contains(encoded)) {
        return true;
    }
    let once = decode_percent(uri);
    let twice = decode_percent(&once);
    // Some readers drop empty segments after the authority.
    let path = after_scheme(uri).split(['?', '#']).next().unwrap_or_default();
    path.contains("//") || [uri, &once, &twice].into_iter().any(has_dot_segment)
}

/// Returns whether a segment is `.` or `..`. Some readers take a query for a part of the path, so both are searched.
fn has_dot_segment(uri: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    after_scheme(uri).split(['/', ':', '?', '#']).any(is_dots)
}

fn after_scheme(uri: &str) -> &str {
    uri.split_once("://").map_or(uri, |(_, rest)| rest)
}

/// Decodes percent encoding once.
pub(super) fn decode_percent(uri: &str) -> String {
    let mut parts = uri.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| hex::decode(digits).ok()) {
            Some(byte) => bytes.extend([&byte, &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns a URI as a lenient reader may take it: in lower case, without user, port and parameters of segments, and
/// without dots at the end of a name.
pub(super) fn normalized(uri: &str) -> String {
    let uri = uri.to_lowercase();
    let (path, rest) = uri.split_at(uri.find(['?', '#']).unwrap_or(uri.len()));
    let cut = |name: &str| name.split(';').next().unwrap_or_default().trim_end_matches('.').to_owned();
    let cut_all = |path: &str| path.split('/').map(cut).collect::<Vec<_>>().join("/");
    let Some((scheme, path)) = path.split_once("://") else { return cut_all(path) + rest };
    let (authority, path) = path.split_at(path.find('/').unwrap_or(path.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let is_port = |(_, port): &(&str, &str)| port.bytes().all(|b| b.is_ascii_digit());
    let host = host.rsplit_once(':').filter(is_port).map_or(host, |(host, _)| host);
    format!("{scheme}://{}{}{rest}", cut(host), cut_all(path))
}

/// Returns the part of a URI template before its first expression (RFC 6570).
pub(super) fn literal(template: &str) -> &str {
    template.split('{').next().unwrap_or_default()
}

/// Returns URIs that stand for all expansions of a template. They are its literal part, and that part with each kind of
/// character that may follow. For prefixes, which cover whole segments, no more is needed.
pub(super) fn expansions(template: &str) -> Vec<String> {
    let literal = literal(template);
    let mut all = vec![literal.to_owned()];
    let mut rest = &template[literal.len()..];
    // An expression without a value is empty, so the text after it may follow the literal part.
    while let Some(expression) = rest.strip_prefix('{') {
        // A value may begin with any character. NUL stands for those that begin no segment.
        let first = expression.chars().next().filter(|c| "/?#.;&".contains(*c)).unwrap_or('\0');
        all.push(format!("{literal}{first}"));
        rest = expression.split_once('}').map_or("", |(_, rest)| rest);
    }
    all.extend(rest.chars().next().map(|first| format!("{literal}{first}")));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_cover_whole_segments() {
        for (prefix, uri, covered) in [
            ("article://", "article://1", true),
            ("article://", "article://", true),
            ("article:", "article:1", true),
            ("config://app", "config://app", true),
            ("config://app", "config://app/x", true),
            ("config://app", "config://app?x", true),
            ("config://app", "config://apps", false),
            ("article://", "Article://1", false),
            ("article://a/", "article://a", false),
        ] {
            assert_eq!(covers(prefix, uri), covered, "{prefix} {uri}");
        }
    }

    #[test]
    fn percent_encoding_is_decoded_once() {
        for (uri, expected) in [
            ("a%62%2541%", "ab%41%"),
            ("%4", "%4"),
            ("%zz%é", "%zz%é"),
            ("caf%C3%A9", "café"),
            ("%+1%ff", "%+1\u{fffd}"),
        ] {
            assert_eq!(decode_percent(uri), expected);
        }
    }

    #[test]
    fn expansions_of_a_template_are_its_literal_part_with_each_next_character() {
        for (template, all) in [
            ("a://x", &["a://x"][..]),
            ("a://{x}", &["a://", "a://\0"]),
            ("a://x{/y}", &["a://x", "a://x/"]),
            ("a://x{?y,z}{#s}", &["a://x", "a://x?", "a://x#"]),
            ("a://x{/y}z{q}", &["a://x", "a://x/", "a://xz"]),
            ("a://x{+y}", &["a://x", "a://x\0"]),
            ("a://x{y", &["a://x", "a://x\0"]),
        ] {
            assert_eq!(expansions(template), all, "{template}");
        }
    }

    #[test]
    fn ambiguous_uris_are_found() {
        for uri in [
            "file:///public/../private",
            "file:///%70rivate/x",
            "file:////private/x",
            "file:///a?/../../private/x",
            "x:y?z=../..",
            "file:///public/%2e%2E/private",
            "file:///public/.%2e;x/private",
            "file:///public/./x",
            "file:///public/..",
            "file:..",
            "file:///..%3f",
            "file:///..%253fx",
            "file:///public%2Fx",
            "file:///public%5cx",
            "file:///public/%252e%252e/x",
            "file:///public\\x",
            "file:///public/\u{0}",
            "file:///public/%00",
            "file:///public /x",
        ] {
            assert!(is_ambiguous(uri), "{uri}");
        }
        for uri in [
            "article://1",
            "article:///",
            "file:///a/b.c",
            "file:///..a/b..",
            "x://y?u=https://z",
            "article://caf%C3%A9",
        ] {
            assert!(!is_ambiguous(uri), "{uri}");
        }
    }
}
