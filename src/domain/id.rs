//! Identifiers, one type for each kind of record.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Ids are positive, assigned by the store, and never reused.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = MalformedId;

            fn from_str(text: &str) -> Result<Self, MalformedId> {
                parse_id(text).map(Self).ok_or(MalformedId)
            }
        }
    };
}

id!(
    /// The id of a [`Token`](super::Token).
    TokenId
);
id!(
    /// The id of an [`Owner`](super::Owner).
    OwnerId
);
id!(
    /// The id of a [`Role`](super::Role).
    RoleId
);

/// A text that is not an id; no record can have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid id: expected a positive number without sign and leading zeros")]
pub struct MalformedId;

/// Parses a positive number in its canonical form.
pub(crate) fn parse_id(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

impl RoleId {
    /// The role without a ceiling. It exists in every store and cannot be removed.
    pub const SUPER_ADMIN: RoleId = RoleId(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_canonical_form() {
        assert_eq!(parse_id("1"), Some(1));
        assert_eq!("9223372036854775807".parse(), Ok(TokenId(i64::MAX)));
        for wrong in ["", "0", "01", "+1", "-1", "1.0", "1e3", "x", "9223372036854775808", "１", " 1"] {
            assert_eq!(parse_id(wrong), None, "{wrong}");
            assert_eq!(wrong.parse::<OwnerId>(), Err(MalformedId), "{wrong}");
        }
    }
}
