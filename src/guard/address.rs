//! The client address of a request, for limits by network, the failure budget, last uses, the audit log and the sign-in.

#[cfg(any(feature = "api", feature = "ui"))]
use http::header::VIA;
use http::header::{FORWARDED, HeaderName};
use http::{Extensions, HeaderMap};
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The header in which trusted proxies name their client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `Forwarded: for=192.0.2.60;proto=https` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For: 192.0.2.60`.
    XForwardedFor,
}

/// Error for a trusted proxy that is neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("invalid trusted proxy {text:?}: write an address or a network like 10.0.0.0/8")]
pub struct InvalidProxy {
    text: String,
    source: ipnet::AddrParseError,
}

/// The source of client addresses: the peer, or trusted proxies.
#[derive(Clone)]
pub(crate) struct Addresses(Option<Arc<Proxies>>);

struct Proxies {
    networks: Vec<IpNet>,
    header: ProxyHeader,
}

impl Addresses {
    /// Uses the peer's address and ignores headers.
    pub(crate) fn of_peers() -> Self {
        Self(None)
    }

    /// Uses the address that these proxies name in this header.
    pub(crate) fn behind<'t>(
        proxies: impl IntoIterator<Item = &'t str>,
        header: ProxyHeader,
    ) -> Result<Self, InvalidProxy> {
        let networks = proxies.into_iter().map(network).collect::<Result<_, _>>()?;
        Ok(Self(Some(Arc::new(Proxies { networks, header }))))
    }

    /// Returns whether any proxy is trusted.
    #[cfg(feature = "forward-auth")]
    pub(crate) fn trust_any(&self) -> bool {
        self.0.as_ref().is_some_and(|proxies| !proxies.networks.is_empty())
    }

    /// Returns the peer's address if the server provides it, or the client of the peer if that is a trusted proxy.
    ///
    /// Each proxy appends its client. The header is read from the right, past trusted proxies, to the first address
    /// that is not one: elements further left may be forged. An element that cannot be parsed ends the search at the
    /// address before it.
    pub(crate) fn of(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = peer(extensions)?;
        match &self.0 {
            Some(proxies) => Some(proxies.client(peer.to_canonical(), headers)),
            None => Some(peer),
        }
    }

    /// Returns the client's address, for limits by network: as [`of`](Self::of), but `None` where a trusted proxy names no
    /// client, or not in a way that can be read. The proxy's own address says nothing about its client.
    pub(crate) fn named(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = peer(extensions)?;
        match &self.0 {
            Some(proxies) => proxies.named_client(peer.to_canonical(), headers),
            None => Some(peer),
        }
    }

    /// Returns whether the peer is a trusted proxy.
    pub(crate) fn trust_peer(&self, extensions: &Extensions) -> bool {
        self.0.as_ref().zip(peer(extensions)).is_some_and(|(proxies, peer)| proxies.trust(peer.to_canonical()))
    }
}

/// Returns whether a header says that a proxy forwards this request. A proxy that sets none cannot be told from a
/// client.
#[cfg(any(feature = "api", feature = "ui"))]
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    let is_proxy_header = |name: &HeaderName| name.as_str().starts_with("x-forwarded-") || name == "x-real-ip";
    headers.contains_key(FORWARDED) || headers.contains_key(VIA) || headers.keys().any(is_proxy_header)
}

impl Proxies {
    fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Returns the client, or the last trusted proxy before the search ended.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.search(peer, headers).unwrap_or_else(|last| last)
    }

    /// Returns the client, if the proxies name one. That may be a trusted address: the leftmost, if all are.
    fn named_client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        self.search(peer, headers).ok()
    }

    /// Searches for the client.
    ///
    /// # Errors
    /// The last trusted proxy, if it names no client, or one that cannot be parsed.
    fn search(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, IpAddr> {
        let name = match self.header {
            ProxyHeader::Forwarded => FORWARDED,
            ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        };
        // A value that is not ASCII becomes an element that cannot be parsed.
        let lines = headers.get_all(name).iter().rev().map(|line| line.to_str().unwrap_or("?"));
        let mut clients = lines.flat_map(ReverseElements::of).map(|element| match self.header {
            ProxyHeader::Forwarded => forwarded_for(element),
            ProxyHeader::XForwardedFor => node(element.trim()),
        });
        let (mut last, mut is_named) = (peer, false);
        while self.trust(last) {
            match clients.next() {
                Some(Some(client)) => (last, is_named) = (client, true),
                None if is_named => break,
                Some(None) | None => return Err(last),
            }
        }
        Ok(last)
    }
}

/// Returns the peer's address, if the server provides it.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(address.ip());
    }
    extensions.get::<SocketAddr>().map(SocketAddr::ip)
}

/// Parses a network, or one address. IPv4 mapped to IPv6 becomes IPv4.
fn network(text: &str) -> Result<IpNet, InvalidProxy> {
    let parsed = text.parse().or_else(|source| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| source));
    let network = parsed.map_err(|source| InvalidProxy { text: text.to_owned(), source })?;
    let mapped = match network {
        IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    Ok(mapped.and_then(|(v4, len)| Ipv4Net::new(v4, len).ok()).map_or(network, IpNet::V4))
}

/// The elements of a list header, from right to left.
///
/// A comma in quotes separates nothing. Quotes are matched from the right too: a client's text is left of the element
/// that a proxy appends, so an unclosed quote in it cannot swallow that element.
struct ReverseElements<'h>(Option<&'h str>);

impl<'h> ReverseElements<'h> {
    fn of(line: &'h str) -> Self {
        Self(Some(line))
    }
}

impl<'h> Iterator for ReverseElements<'h> {
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

/// Parses the client of `for=192.0.2.60;proto=http;by=203.0.113.43`. Names such as `unknown` and `_hidden` are no
/// addresses.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let (mut client, mut rest) = (None, element);
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
        if name.eq_ignore_ascii_case("for") && client.replace(node(value)?).is_some() {
            return None;
        }
        match after.strip_prefix(';') {
            Some(next) => rest = next,
            None if after.is_empty() => return client,
            None => return None,
        }
    }
}

/// Parses an address, with or without a port: `192.0.2.60`, `192.0.2.60:4711`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:4711`.
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
    fn x_forwarded_for_names_the_first_untrusted_address() {
        for (peer, lines, expected) in [
            ("198.51.100.1", &["203.0.113.9"][..], "198.51.100.1"), // not a trusted proxy
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("172.16.3.4", &["203.0.113.9"], "203.0.113.9"),
            ("172.32.3.4", &["203.0.113.9"], "172.32.3.4"),
            ("192.0.2.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("192.0.2.2", &["203.0.113.9"], "192.0.2.2"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"), // elements further left may be forged
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.2 ,fd00::1"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9, junk, 10.0.0.2"], "10.0.0.2"), // an invalid element ends the search
            ("10.0.0.1", &["203.0.113.9, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["203.0.113.9", "\u{fc}"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"), // all trusted: the leftmost
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
    fn forwarded_names_the_first_untrusted_address() {
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
            (&["for=203.0.113.9;for=1.1.1.1"], "10.0.0.1"), // ambiguous
            (&["for=203.0.113.9 1.1.1.1"], "10.0.0.1"),
            (&["for=\"203.0.113.9\"x"], "10.0.0.1"),
            (&["for=203.0.113.9;"], "10.0.0.1"),
            (&["203.0.113.9"], "10.0.0.1"),
            (&["for="], "10.0.0.1"),
            // A client's text cannot swallow the element that a proxy appends.
            (&["for=\"1.1.1.1, for=203.0.113.9"], "203.0.113.9"),
            (&["for=1.1.1.1;host=\"\\, for=203.0.113.9"], "203.0.113.9"),
            (&["for=203.0.113.9;host=\"x,for=1.1.1.1;y=\\\"\""], "203.0.113.9"),
            (&["for=203.0.113.9;host=\"x,for=1.1.1.1\""], "203.0.113.9"),
        ] {
            assert_eq!(of(ProxyHeader::Forwarded, "10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_proxy_that_names_no_client_has_none_for_networks() {
        let addresses = Addresses::behind(["10.0.0.0/8"], ProxyHeader::XForwardedFor).unwrap();
        let named = |peer: [u8; 4], lines: &[&'static str]| {
            let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            extensions.insert(SocketAddr::from((peer, 1)));
            addresses.named(&headers, &extensions).map(|address| address.to_string())
        };
        for lines in [&[][..], &[""], &["unknown"], &["203.0.113.9, _hidden"], &["203.0.113.9, junk, 10.0.0.2"]] {
            assert_eq!(named([10, 0, 0, 1], lines), None, "{lines:?}");
        }
        assert_eq!(named([10, 0, 0, 1], &["203.0.113.9"]).as_deref(), Some("203.0.113.9"));
        assert_eq!(named([10, 0, 0, 1], &["10.0.0.3, 10.0.0.2"]).as_deref(), Some("10.0.0.3"));
        assert_eq!(named([198, 51, 100, 1], &["unknown"]).as_deref(), Some("198.51.100.1"));
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
        headers.insert(FORWARDED, HeaderValue::from_static("for=203.0.113.9"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.8"));
        let addresses = Addresses::behind(["10.0.0.1"], ProxyHeader::XForwardedFor).unwrap();
        assert_eq!(addresses.of(&headers, &extensions), None, "there is no address without a peer");
        extensions.insert(SocketAddr::from(([10, 0, 0, 1], 1)));
        assert_eq!(addresses.of(&headers, &extensions), Some([203, 0, 113, 8].into()));
        assert_eq!(Addresses::of_peers().of(&headers, &extensions), Some([10, 0, 0, 1].into()));
    }

    #[cfg(any(feature = "api", feature = "ui"))]
    #[test]
    fn headers_of_proxies_are_recognized() {
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
    fn an_invalid_network_is_named_in_the_error() {
        for text in ["10.0.0.0/33", "localhost", "", "10.0.0.0/8 ", "10.0.0/8"] {
            let error = Addresses::behind(["10.0.0.0/8", text], ProxyHeader::Forwarded).err().unwrap();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
