//! Limits of a token: where from, how often and how long without use it is admitted.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// The limits of a token beside its authority and its expiry. By default there are none.
///
/// ```
/// use keyward::token::{RateLimit, TokenLimits};
/// use std::time::Duration;
/// let limits = TokenLimits::none()
///     .networks(["10.0.0.0/8".parse()?, "2001:db8::/32".parse()?])
///     .rate(RateLimit::new(100, Duration::from_secs(60))?)
///     .idle_expiry(Duration::from_secs(30 * 24 * 60 * 60));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct TokenLimits {
    /// Whether it is admitted at all. Default true.
    pub enabled: bool,
    /// The networks of the clients from which it is admitted; empty: all.
    pub networks: Vec<Network>,
    /// How many requests it may make; `None`: any number.
    pub rate: Option<RateLimit>,
    /// It ends after this long without use; `None`: never.
    pub idle_expiry: Option<Duration>,
}

impl Default for TokenLimits {
    fn default() -> Self {
        Self::none()
    }
}

impl TokenLimits {
    /// Returns the limits of an enabled token without any.
    pub const fn none() -> Self {
        Self { enabled: true, networks: Vec::new(), rate: None, idle_expiry: None }
    }

    /// Disables the token, or enables it again.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets the networks of the clients from which the token is admitted.
    #[must_use]
    pub fn networks(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.networks = networks.into_iter().collect();
        self
    }

    /// Sets how many requests the token may make.
    #[must_use]
    pub fn rate(mut self, rate: RateLimit) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets how long without use the token ends.
    #[must_use]
    pub fn idle_expiry(mut self, idle: Duration) -> Self {
        self.idle_expiry = Some(idle);
        self
    }

    /// Returns whether a client at this address is admitted. Without an address only a token without networks is.
    pub fn admit(&self, address: Option<IpAddr>) -> bool {
        self.networks.is_empty()
            || address.is_some_and(|address| self.networks.iter().any(|network| network.contains(address)))
    }
}

/// A network of clients: `10.0.0.0/8`, `2001:db8::/32`, or one address.
///
/// Bits beyond the prefix are dropped. IPv4 addresses mapped to IPv6 (RFC 4291 section 2.5.5.2) are IPv4 addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpNet);

impl Network {
    /// Returns whether it has all addresses of a version of IP.
    pub(crate) fn is_everything(&self) -> bool {
        self.0.prefix_len() == 0
    }

    /// Returns whether an address is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// A text is neither an address nor a network.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be a network like 10.0.0.0/8 or 2001:db8::/32, or an address")]
pub struct InvalidNetwork;

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let network: IpNet = match text.parse() {
            Ok(network) => network,
            Err(_) => IpNet::from(text.parse::<IpAddr>().map_err(|_| InvalidNetwork)?),
        };
        let mapped = match network {
            IpNet::V6(v6) if v6.prefix_len() >= 96 => v6.addr().to_ipv4_mapped().map(|v4| (v4, v6.prefix_len() - 96)),
            _ => None,
        };
        let canonical = match mapped {
            Some((v4, prefix)) => IpNet::new(v4.into(), prefix).map_err(|_| InvalidNetwork)?,
            None => network,
        };
        Ok(Self(canonical.trunc()))
    }
}

/// One address is shown without a prefix.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How many requests a token may make: `limit` at once, and then one more each time that `window / limit` has passed.
///
/// Each node counts for itself, so behind a load balancer a token may make this many on each node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RateLimit {
    limit: u32,
    window: Duration,
}

impl RateLimit {
    /// The shortest window.
    pub const SHORTEST: Duration = Duration::from_secs(1);
    /// The longest window: a day.
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// Allows `limit` requests per window, at least one. Windows have whole milliseconds.
    ///
    /// # Errors
    /// [`InvalidRateLimit`] if the limit is zero, or the window is shorter than a second or longer than a day.
    pub fn new(limit: u32, window: Duration) -> Result<Self, InvalidRateLimit> {
        let window = Duration::from_millis(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        if limit == 0 {
            Err(InvalidRateLimit::Limit)
        } else if !(Self::SHORTEST..=Self::LONGEST).contains(&window) {
            Err(InvalidRateLimit::Window)
        } else {
            Ok(Self { limit, window })
        }
    }

    /// Returns the number of requests.
    pub fn limit(self) -> u32 {
        self.limit
    }

    /// Returns the window.
    pub fn window(self) -> Duration {
        self.window
    }
}

/// The part of a rate limit that is out of bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRateLimit {
    /// The limit is zero.
    #[error("must be at least 1")]
    Limit,
    /// The window is too short or too long.
    #[error("must be from 1000 to 86400000 ms")]
    Window,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_canonical() {
        for (text, shown) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), shown, "{text}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "host", "10.0.0.0/8 ", "::/129"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text}");
        }
    }

    #[test]
    fn an_address_is_in_its_network_in_either_form() {
        let limits = TokenLimits::none().networks(["10.0.0.0/8".parse().unwrap()]);
        for (address, inside) in [("10.9.9.9", true), ("::ffff:10.9.9.9", true), ("11.0.0.1", false), ("::1", false)] {
            assert_eq!(limits.admit(Some(address.parse().unwrap())), inside, "{address}");
        }
        assert!(!limits.admit(None) && TokenLimits::none().admit(None));
    }
}
