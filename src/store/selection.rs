//! Selections of tokens, to revoke them together.

use crate::domain::{OwnerId, RoleId, Tag, Timestamp, TokenId, TokenKind};
use ipnet::{IpNet, Ipv4Net};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A selection of tokens: those for which everything that it names holds. `None` selects all.
///
/// ```
/// use keyward::OwnerId;
/// use keyward::store::TokenSelection;
/// // The tokens and sessions of an owner that were last used from this network.
/// let selection = TokenSelection { owner: Some(OwnerId(7)), used_from: Some("203.0.113.0/24".parse()?), ..Default::default() };
/// # Ok::<_, keyward::store::InvalidAddressRange>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenSelection {
    /// The kind.
    pub kind: Option<TokenKind>,
    /// The owner.
    pub owner: Option<OwnerId>,
    /// A role that the owner has. Roles of the host's accounts are not known here.
    pub role: Option<RoleId>,
    /// A time before which the token was created.
    pub created_before: Option<Timestamp>,
    /// The network from which the token was last used, as far as uses are written: with the address that
    /// [`trusted_proxies`](crate::Builder::trusted_proxies) tells, and up to some seconds late.
    pub used_from: Option<AddressRange>,
}

impl TokenSelection {
    /// Selects the admin tokens and sessions of an owner.
    pub fn of_owner(owner: OwnerId) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    /// Returns whether it names nothing, and so selects every token.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// Lists what is selected in words: `kind admin, owner 7, used from 203.0.113.0/24`.
impl fmt::Display for TokenSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, owner, role, created_before, used_from } = self;
        let parts = [
            kind.map(|kind| format!("kind {}", kind.as_str())),
            owner.map(|owner| format!("owner {owner}")),
            role.map(|role| format!("role {role}")),
            created_before.map(|at| format!("created before {at}")),
            used_from.map(|network| format!("used from {network}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "all" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// A token of a selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SelectedToken {
    /// The id.
    pub id: TokenId,
    /// The kind.
    pub kind: TokenKind,
    /// The owner; `None` for content tokens.
    pub owner: Option<OwnerId>,
    /// The [tag](Tag::token) of its digest.
    pub tag: Tag,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

/// A range of IP addresses: one address, or a network in CIDR notation such as `10.0.0.0/8` or `2001:db8::/32`. An IPv4 address that is
/// mapped to IPv6 is the IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressRange(IpNet);

/// A text that is no [`AddressRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor a network: write 192.0.2.1 or 10.0.0.0/8")]
pub struct InvalidAddressRange;

impl AddressRange {
    /// Returns whether an address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for AddressRange {
    type Err = InvalidAddressRange;

    fn from_str(text: &str) -> Result<Self, InvalidAddressRange> {
        let parsed: Result<IpNet, _> = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network = parsed.map_err(|_| InvalidAddressRange)?.trunc();
        let mapped = match network {
            IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
            IpNet::V4(_) => None,
        };
        Ok(Self(mapped.and_then(|(v4, length)| Ipv4Net::new(v4, length).ok()).map_or(network, IpNet::V4)))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_range_is_an_address_or_a_network() {
        let range = |text: &str| text.parse::<AddressRange>().unwrap();
        for (text, shown) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(range(text).to_string(), shown, "{text}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0", "10.0.0.0/-1", "host", "10.0.0.0 /8", "::/129", "10.0.0.0/8,"] {
            assert_eq!(bad.parse::<AddressRange>(), Err(InvalidAddressRange), "{bad}");
        }
        let within =
            |range: &str, address: &str| range.parse::<AddressRange>().unwrap().contains(address.parse().unwrap());
        assert!(within("10.0.0.0/8", "10.255.0.1") && within("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(!within("10.0.0.0/8", "11.0.0.1") && !within("10.0.0.0/8", "2001:db8::1"));
        assert!(within("2001:db8::/32", "2001:db8:1::1") && !within("2001:db8::/32", "2001:db9::1"));
        assert!(!within("::/0", "10.0.0.1"), "an IPv4 address is in no network of IPv6");
    }

    #[test]
    fn a_selection_is_shown_in_words() {
        let selection = TokenSelection {
            kind: Some(TokenKind::Admin),
            owner: Some(OwnerId(7)),
            role: Some(RoleId(3)),
            created_before: Some(Timestamp(0)),
            used_from: "203.0.113.0/24".parse().ok(),
        };
        let words = "kind admin, owner 7, role 3, created before 1970-01-01T00:00:00.000Z, used from 203.0.113.0/24";
        assert_eq!(selection.to_string(), words);
        assert_eq!(TokenSelection::default().to_string(), "all");
        assert!(TokenSelection::default().is_everything() && !TokenSelection::of_owner(OwnerId(1)).is_everything());
    }
}
