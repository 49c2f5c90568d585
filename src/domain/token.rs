//! Tokens: the stored record behind a secret.

use super::{Action, Digest, Grant, OwnerId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The three kinds of token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Owned; opens admin groups.
    Admin,
    /// Ownerless; opens content groups.
    Content,
    /// A signed-in person; opens admin groups; its grant is its owner.
    Session,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [TokenKind; 3] = [TokenKind::Admin, TokenKind::Content, TokenKind::Session];

    /// The word in secrets, in the store and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenKind::Admin => "admin",
            TokenKind::Content => "content",
            TokenKind::Session => "session",
        }
    }

    /// The kind with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }
}

/// A set of kinds: those that open a route group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TokenKinds(u8);

impl TokenKinds {
    /// Admin tokens and sessions: what opens an admin group.
    pub const ADMIN: TokenKinds = TokenKinds::of(&[TokenKind::Admin, TokenKind::Session]);
    /// Content tokens: what opens a content group.
    pub const CONTENT: TokenKinds = TokenKinds::of(&[TokenKind::Content]);
    /// Sessions alone.
    pub const SESSION: TokenKinds = TokenKinds::of(&[TokenKind::Session]);

    /// The set of these kinds.
    pub const fn of(kinds: &[TokenKind]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < kinds.len() {
            bits |= 1 << kinds[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// The set without this kind.
    pub(crate) const fn without(self, kind: TokenKind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: TokenKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// What a content token may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContentAccess {
    /// Actions whose last part is `find` or `findOne`.
    ReadOnly,
    /// Every content action.
    FullAccess,
    /// Exactly these actions.
    Custom(Arc<[Action]>),
}

impl ContentAccess {
    /// Whether this access includes `action`.
    pub fn allows(&self, action: &Action) -> bool {
        match self {
            Self::ReadOnly => matches!(action.as_str().rsplit('.').next(), Some("find" | "findOne")),
            Self::FullAccess => true,
            Self::Custom(actions) => actions.contains(action),
        }
    }

    /// The word for the type of access: `read-only`, `full-access` or `custom`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::FullAccess => "full-access",
            Self::Custom(_) => "custom",
        }
    }
}

/// What a token stands for, by kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenAuthority {
    /// An admin token: these grants, as far as the owner's roles still hold them.
    Admin {
        /// Who issued it and bounds it.
        owner: OwnerId,
        /// What it carries.
        grants: Vec<Grant>,
    },
    /// A content token.
    Content {
        /// What it may do.
        access: ContentAccess,
    },
    /// A session: all that its owner may do.
    Session {
        /// Who signed in.
        owner: OwnerId,
        /// It ends when it was not used for this long.
        idle: Duration,
    },
}

/// A stored token. The secret is not part of it: only its digest is kept.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Unique among admin and content tokens.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The keyed hash of its secret.
    pub digest: Digest,
    /// The last four characters of its secret, so that a person can tell tokens apart.
    pub hint: String,
    /// How long it was to live when it was made; `None`: for ever.
    pub lifespan: Option<Duration>,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed. Use is no change.
    pub updated_at: Timestamp,
    /// When it was last used, as far as that is written.
    pub last_used_at: Option<Timestamp>,
    /// What it stands for.
    pub authority: TokenAuthority,
}

impl Token {
    /// Its kind.
    pub fn kind(&self) -> TokenKind {
        match self.authority {
            TokenAuthority::Admin { .. } => TokenKind::Admin,
            TokenAuthority::Content { .. } => TokenKind::Content,
            TokenAuthority::Session { .. } => TokenKind::Session,
        }
    }

    /// The grants of an admin token; none for the other kinds.
    pub fn grants(&self) -> &[Grant] {
        match &self.authority {
            TokenAuthority::Admin { grants, .. } => grants,
            _ => &[],
        }
    }

    /// What a content token may do; `None` for the other kinds.
    pub fn access(&self) -> Option<&ContentAccess> {
        match &self.authority {
            TokenAuthority::Content { access } => Some(access),
            _ => None,
        }
    }

    /// Its owner; content tokens have none.
    pub fn owner(&self) -> Option<OwnerId> {
        match self.authority {
            TokenAuthority::Admin { owner, .. } | TokenAuthority::Session { owner, .. } => Some(owner),
            TokenAuthority::Content { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_open_their_own_groups() {
        assert!(TokenKinds::ADMIN.contains(TokenKind::Admin) && TokenKinds::ADMIN.contains(TokenKind::Session));
        assert!(!TokenKinds::ADMIN.contains(TokenKind::Content));
        assert!(TokenKinds::CONTENT.contains(TokenKind::Content) && !TokenKinds::CONTENT.contains(TokenKind::Session));
        assert!(TokenKind::ALL.into_iter().all(|k| TokenKind::from_word(k.as_str()) == Some(k)));
    }

    #[test]
    fn read_only_is_find_and_find_one() {
        let may = |a: &str| ContentAccess::ReadOnly.allows(&Action::new(a));
        assert!(may("api::article.article.find") && may("api::article.article.findOne") && may("find"));
        for a in ["api::article.article.create", "api::x.refind", "api::x.find.delete", "api::x.findone", ""] {
            assert!(!may(a), "{a}");
        }
    }
}
