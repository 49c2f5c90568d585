//! Selections of tokens, to revoke them together.

use crate::domain::{Network, OwnerId, RoleId, Tag, Timestamp, Token, TokenId, TokenKind};
use std::fmt;

/// A selection of tokens: those for which everything that it names holds. `None` selects all.
///
/// ```
/// use keyward::OwnerId;
/// use keyward::store::TokenSelection;
/// // The tokens and sessions of an owner that were last used from this network.
/// let selection = TokenSelection { owner: Some(OwnerId(7)), used_from: Some("203.0.113.0/24".parse()?), ..Default::default() };
/// # Ok::<_, keyward::token::InvalidNetwork>(())
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
    pub used_from: Option<Network>,
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
    /// The tag of the digest of its previous secret, if that is remembered.
    pub previous: Option<Tag>,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

impl From<&Token> for SelectedToken {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id,
            kind: token.kind(),
            owner: token.owner(),
            tag: Tag::token(&token.digest),
            previous: token.previous.as_ref().map(|previous| Tag::token(&previous.digest)),
            updated_at: token.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
