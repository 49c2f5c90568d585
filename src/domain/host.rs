//! Recognition of loopback host names.

use std::net::{IpAddr, Ipv6Addr};

/// Returns true if a host, from `Host` or `:authority`, can only be this machine.
///
/// That is `localhost`, a name below it (RFC 6761, section 6.3) or a loopback address, with or without a port.
///
/// A page of another origin can make a browser send requests to this machine if its own name resolves to a loopback
/// address (DNS rebinding). The browser then sends that other name.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if is_port(port) => {
                return address.parse::<Ipv6Addr>().is_ok_and(|ip| IpAddr::V6(ip).to_canonical().is_loopback());
            }
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let below = |name: &str| name.strip_suffix(".localhost").is_some_and(|label| !label.is_empty());
    name == "localhost" || below(&name) || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns true if this may follow an address in brackets.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_this_machine_are_loopback() {
        for own in [
            "localhost",
            "localhost:8080",
            "LocalHost.",
            "keys.localhost:3000",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.9.8.7:1",
            "[::1]",
            "[::1]:8080",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]:80",
        ] {
            assert!(is_loopback_host(own), "{own}");
        }
        for other in [
            "",
            ":80",
            "evil.test",
            "evil.test:8080",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "evil.test:80@localhost",
            "user@localhost",
            "localhost@evil.test",
            "notlocalhost",
            ".localhost",
            "0.0.0.0",
            "128.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "[::]",
            "[::2]:80",
            "[::1].evil.test",
            "[::1",
            "::1",
            "[127.0.0.1]",
            "localhost:80:80",
            "localhost evil.test",
            "localhost,evil.test",
        ] {
            assert!(!is_loopback_host(other), "{other}");
        }
    }
}
