//! Host names of requests, and host patterns of rules.

use std::net::Ipv6Addr;

/// Returns the name in a host that a proxy reports, in lower case and without the port.
///
/// `None` for a text that two programs could read differently: with a user name, a dot at the end, or characters that no host
/// has.
pub(super) fn name_of(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => {
            // One address has many spellings. Formatting yields the canonical one.
            let address: Ipv6Addr = address.parse().ok()?;
            (format!("[{address}]"), after.strip_prefix(':').or(after.is_empty().then_some("0"))?)
        }
        None => {
            let (name, port) = host.split_once(':').unwrap_or((host, "0"));
            if !is_name(name) {
                return None;
            }
            (name.to_ascii_lowercase(), port)
        }
    };
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    is_port.then_some(name)
}

/// Returns whether a text is a host name, or an IPv4 address.
fn is_name(name: &str) -> bool {
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The hosts that a rule covers. In their order, a more specific pattern is greater.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum HostPattern {
    Any,
    /// The hosts that end with this text, such as `.example.com`. The number is its length, so that longer ones are greater.
    Below(usize, String),
    Exact(String),
}

impl HostPattern {
    /// Parses `api.example.com` or `*.example.com`.
    pub(super) fn parse(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::Any) };
        // Accepts only a text without a port and in its canonical spelling, in any case.
        let lower = |name: &str| name_of(name).filter(|lower| lower.eq_ignore_ascii_case(name));
        match text.strip_prefix("*.") {
            Some(name) => lower(name).filter(|_| is_name(name)).map(|name| Self::Below(name.len(), format!(".{name}"))),
            None => lower(text).map(Self::Exact),
        }
    }

    pub(super) fn covers(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(_, end) => host.len() > end.len() && host.ends_with(end.as_str()),
            Self::Exact(name) => host == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_reading() {
        for (host, name) in [
            ("example.com", "example.com"),
            ("API.Example.COM:8443", "api.example.com"),
            ("localhost:80", "localhost"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[0:0::01]:80", "[::1]"),
            ("my_service", "my_service"),
        ] {
            assert_eq!(name_of(host).as_deref(), Some(name), "{host}");
        }
        for host in [
            "",
            ".",
            "example.com.",
            ".example.com",
            "a..b",
            "a@b",
            "user:pass@b",
            "a/b",
            "a?b",
            "a#b",
            "a b",
            "a,b",
            "a:",
            "a:b",
            "a:80:80",
            "a:+80",
            "a:99999",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[x]",
            "::1",
            "a\\b",
            "a%2eb",
            "ä.test",
            "*.example.com",
        ] {
            assert_eq!(name_of(host), None, "{host}");
        }
    }

    #[test]
    fn a_pattern_covers_whole_labels() {
        let parse = |text| HostPattern::parse(Some(text));
        let below = parse("*.Example.com").unwrap();
        assert!(below.covers("a.example.com") && below.covers("a.b.example.com"));
        for other in ["example.com", "badexample.com", ".example.com", "a.example.com.evil.test", "example.org"] {
            assert!(!below.covers(other), "{other}");
        }
        assert!(parse("Example.com").unwrap().covers("example.com"));
        let mut all =
            [HostPattern::Any, parse("*.b.test").unwrap(), parse("b.test").unwrap(), parse("*.a.b.test").unwrap()];
        all.sort();
        assert_eq!(all.map(|p| p.covers("x.a.b.test")), [true, true, true, false], "the most specific one is last");
        for invalid in ["", "*", "*.", "a.*", "*a.test", "*.a.test:80", "a.test:80", "a.test.", "*.[::1]", "*.*.test"] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }
}
