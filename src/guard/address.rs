//! From which address a request comes: one answer for the failure budget, noted uses, the audit log and signing in.

#[cfg(any(feature = "api", feature = "ui"))]
use http::header::VIA;
use http::header::{FORWARDED, HeaderName};
use http::{Extensions, HeaderMap};
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The header in which trusted proxies say for whom they ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `Forwarded: for=192.0.2.60;proto=https` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For: 192.0.2.60`.
    XForwardedFor,
}

/// A trusted proxy that is neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("trusted proxies: {text:?} is neither an address nor a network like 10.0.0.0/8")]
pub struct InvalidProxy {
    text: String,
    source: ipnet::AddrParseError,
}

/// Whose word on the address is taken.
#[derive(Clone)]
pub(crate) struct Addresses(Option<Arc<Proxies>>);

struct Proxies {
    networks: Vec<IpNet>,
    header: ProxyHeader,
}

impl Addresses {
    /// The peer's address, whatever the headers say.
    pub(crate) fn of_peers() -> Self {
        Self(None)
    }

    /// What these proxies say in this header.
    pub(crate) fn behind<'t>(
        proxies: impl IntoIterator<Item = &'t str>,
        header: ProxyHeader,
    ) -> Result<Self, InvalidProxy> {
        let networks = proxies.into_iter().map(network).collect::<Result<_, _>>()?;
        Ok(Self(Some(Arc::new(Proxies { networks, header }))))
    }

    /// The peer's address, if the server says it; where that is a trusted proxy's, whom it asks for.
    ///
    /// Each proxy appends whom it was asked by, so the way goes from the right, past trusted proxies, to the first that is not
    /// one: what is left of it may be made up. What cannot be read ends the way at the last address that could.
    pub(crate) fn of(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = peer(extensions)?;
        match &self.0 {
            Some(proxies) => Some(proxies.walk(peer.to_canonical(), headers)),
            None => Some(peer),
        }
    }

    /// Whether the peer is a trusted proxy.
    pub(super) fn trust_peer(&self, extensions: &Extensions) -> bool {
        self.0.as_ref().zip(peer(extensions)).is_some_and(|(proxies, peer)| proxies.trust(peer.to_canonical()))
    }
}

/// Whether a proxy says that it sends this for another client. One that says nothing cannot be told from the client itself.
#[cfg(any(feature = "api", feature = "ui"))]
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    let of_a_proxy = |name: &HeaderName| name.as_str().starts_with("x-forwarded-") || name == "x-real-ip";
    headers.contains_key(FORWARDED) || headers.contains_key(VIA) || headers.keys().any(of_a_proxy)
}

impl Proxies {
    fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let name = match self.header {
            ProxyHeader::Forwarded => FORWARDED,
            ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        };
        // Something that is no text is an element that cannot be read.
        let lines = headers.get_all(name).iter().rev().map(|line| line.to_str().unwrap_or("?"));
        let mut way = lines.flat_map(FromTheRight::elements).map(|element| match self.header {
            ProxyHeader::Forwarded => forwarded_for(element),
            ProxyHeader::XForwardedFor => node(element.trim()),
        });
        let mut last = peer;
        while self.trust(last) {
            match way.next() {
                Some(Some(earlier)) => last = earlier,
                Some(None) | None => break,
            }
        }
        last
    }
}

/// The peer's address, where the server says it.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(address.ip());
    }
    extensions.get::<SocketAddr>().map(SocketAddr::ip)
}

/// A network, or one address. Of IPv4 written as IPv6 it is the IPv4.
fn network(text: &str) -> Result<IpNet, InvalidProxy> {
    let parsed = text.parse().or_else(|source| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| source));
    let network = parsed.map_err(|source| InvalidProxy { text: text.to_owned(), source })?;
    let mapped = match network {
        IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    Ok(mapped.and_then(|(v4, len)| Ipv4Net::new(v4, len).ok()).map_or(network, IpNet::V4))
}

/// The elements of a list, the last one first.
///
/// A comma in quotes is none. Quotes are matched from the right too: what the client wrote, quotes that never end among it, is
/// left of what a proxy appended, and cannot swallow it.
struct FromTheRight<'h>(Option<&'h str>);

impl<'h> FromTheRight<'h> {
    fn elements(line: &'h str) -> Self {
        Self(Some(line))
    }
}

impl<'h> Iterator for FromTheRight<'h> {
    type Item = &'h str;

    fn next(&mut self) -> Option<&'h str> {
        let text = self.0.take()?;
        let mut quoted = false;
        for (at, b) in text.bytes().enumerate().rev() {
            match b {
                b'"' if !is_escaped(text, at) => quoted = !quoted,
                b',' if !quoted => {
                    self.0 = Some(&text[..at]);
                    return Some(&text[at + 1..]);
                }
                _ => {}
            }
        }
        Some(text)
    }
}

fn is_escaped(text: &str, at: usize) -> bool {
    text.as_bytes()[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

/// For whom, of `for=192.0.2.60;proto=http;by=203.0.113.43`. Names such as `unknown` and `_hidden` are no address.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let (mut found, mut rest) = (None, element);
    loop {
        let (name, value) = rest.trim_start().split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let ends = |(at, _): &(usize, &str)| !is_escaped(quoted, *at);
                let (end, _) = quoted.match_indices('"').find(ends)?;
                (&quoted[..end], quoted[end + 1..].trim())
            }
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim(), &value[end..])
            }
        };
        if name.eq_ignore_ascii_case("for") && found.replace(node(value)?).is_some() {
            return None;
        }
        match after.strip_prefix(';') {
            Some(next) => rest = next,
            None if after.is_empty() => return found,
            None => return None,
        }
    }
}

/// An address, with or without a port: `192.0.2.60`, `192.0.2.60:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let v6: std::net::Ipv6Addr = address.parse().ok()?;
        return (port.is_empty() || port.starts_with(':')).then(|| IpAddr::V6(v6).to_canonical());
    }
    match text.split_once(':') {
        Some((v4, port)) if !port.contains(':') => v4.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        _ => text.parse().ok().map(|address: IpAddr| address.to_canonical()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(header: ProxyHeader, peer: &str, lines: &[&str]) -> String {
        let addresses = Addresses::behind(["10.0.0.0/8", "fd00::/8", "192.0.2.1", "::ffff:172.16.0.0/108"], header);
        let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
        for line in lines {
            let name = if header == ProxyHeader::Forwarded { "forwarded" } else { "x-forwarded-for" };
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        extensions.insert(SocketAddr::new(peer.parse().unwrap(), 1));
        addresses.unwrap().of(&headers, &extensions).unwrap().to_string()
    }

    #[test]
    fn x_forwarded_for() {
        for (peer, lines, expected) in [
            ("198.51.100.1", &["203.0.113.9"][..], "198.51.100.1"), // not a trusted proxy: not believed
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("172.16.3.4", &["203.0.113.9"], "203.0.113.9"),
            ("172.32.3.4", &["203.0.113.9"], "172.32.3.4"),
            ("192.0.2.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("192.0.2.2", &["203.0.113.9"], "192.0.2.2"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"), // what is left of it may be made up
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.2 ,fd00::1"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9, junk, 10.0.0.2"], "10.0.0.2"), // garbage ends the way
            ("10.0.0.1", &["203.0.113.9, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["203.0.113.9", "\u{fc}"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"), // all trusted: the farthest
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["\"1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(of(ProxyHeader::XForwardedFor, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn forwarded() {
        for (lines, expected) in [
            (&["for=203.0.113.9"][..], "203.0.113.9"),
            (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (&["for=\"[2001:db8:cafe::17]:_port\";proto=http"], "2001:db8:cafe::17"),
            (&["proto=http; FOR=203.0.113.9;by=10.0.0.1"], "203.0.113.9"),
            (&["for=1.1.1.1, for=203.0.113.9 , for=10.0.0.2"], "203.0.113.9"),
            (&["for=1.1.1.1", "for=203.0.113.9", "for=\"10.0.0.2:80\""], "203.0.113.9"),
            (&["for=203.0.113.9, for=_hidden, for=10.0.0.2"], "10.0.0.2"),
            (&["for=203.0.113.9, for=unknown"], "10.0.0.1"),
            (&["for=203.0.113.9, proto=http"], "10.0.0.1"),
            (&["for=203.0.113.9;for=1.1.1.1"], "10.0.0.1"), // which one?
            (&["for=203.0.113.9 1.1.1.1"], "10.0.0.1"),
            (&["for=\"203.0.113.9\"x"], "10.0.0.1"),
            (&["for=203.0.113.9;"], "10.0.0.1"),
            (&["203.0.113.9"], "10.0.0.1"),
            (&["for="], "10.0.0.1"),
            // What a client writes swallows nothing of what a proxy appends, neither before it nor inside of it.
            (&["for=\"1.1.1.1, for=203.0.113.9"], "203.0.113.9"),
            (&["for=1.1.1.1;host=\"\\, for=203.0.113.9"], "203.0.113.9"),
            (&["for=203.0.113.9;host=\"x,for=1.1.1.1;y=\\\"\""], "203.0.113.9"),
            (&["for=203.0.113.9;host=\"x,for=1.1.1.1\""], "203.0.113.9"),
        ] {
            assert_eq!(of(ProxyHeader::Forwarded, "10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn only_the_header_that_was_chosen_is_read_and_none_unasked() {
        let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
        headers.insert(FORWARDED, HeaderValue::from_static("for=203.0.113.9"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.8"));
        let addresses = Addresses::behind(["10.0.0.1"], ProxyHeader::XForwardedFor).unwrap();
        assert_eq!(addresses.of(&headers, &extensions), None, "no peer, no address");
        extensions.insert(SocketAddr::from(([10, 0, 0, 1], 1)));
        assert_eq!(addresses.of(&headers, &extensions), Some([203, 0, 113, 8].into()));
        assert_eq!(Addresses::of_peers().of(&headers, &extensions), Some([10, 0, 0, 1].into()));
    }

    #[cfg(any(feature = "api", feature = "ui"))]
    #[test]
    fn a_proxy_that_says_so_is_noticed() {
        let of = |name: &'static str| {
            is_forwarded(&[(HeaderName::from_static(name), HeaderValue::from_static("x"))].into_iter().collect())
        };
        for name in ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-prefix", "x-real-ip"] {
            assert!(of(name), "{name}");
        }
        for name in ["host", "origin", "user-agent", "x-forwarder", "cookie"] {
            assert!(!of(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["10.0.0.0/33", "localhost", "", "10.0.0.0/8 ", "10.0.0/8"] {
            let error = Addresses::behind(["10.0.0.0/8", text], ProxyHeader::Forwarded).err().unwrap();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
