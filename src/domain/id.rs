//! Identifiers: numbers that cannot be mistaken for one another.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Ids are positive, come from the store and are never used twice.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
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

impl RoleId {
    /// The role without a ceiling. It exists in every store and cannot be removed.
    pub const SUPER_ADMIN: RoleId = RoleId(1);
}
