//! Tokens: the stored record behind a secret.

#![cfg_attr(
    not(feature = "testing"),
    allow(unreachable_pub, dead_code, reason = "`TokenKinds` is exported by `testing` only")
)]

use super::{Action, Digest, Grant, Metadata, OwnerId, Timestamp, TokenId, TokenLimits};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The three kinds of token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Has an owner; opens admin groups.
    Admin,
    /// Has no owner; opens content groups.
    Content,
    /// A signed-in person; opens admin groups with all permissions of its owner.
    Session,
}

impl TokenKind {
    /// All kinds.
    pub const ALL: [TokenKind; 3] = [TokenKind::Admin, TokenKind::Content, TokenKind::Session];

    /// Returns the word used in secrets, in the store and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenKind::Admin => "admin",
            TokenKind::Content => "content",
            TokenKind::Session => "session",
        }
    }

    /// Parses the word of a kind.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }
}

/// A set of token kinds: those that open a route group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TokenKinds(u8);

impl TokenKinds {
    /// Admin tokens and sessions, which open an admin group.
    pub const ADMIN: TokenKinds = TokenKinds::of(&[TokenKind::Admin, TokenKind::Session]);
    /// Content tokens, which open a content group.
    pub const CONTENT: TokenKinds = TokenKinds::of(&[TokenKind::Content]);
    /// Sessions alone.
    pub const SESSION: TokenKinds = TokenKinds::of(&[TokenKind::Session]);

    /// Creates the set of these kinds.
    pub const fn of(kinds: &[TokenKind]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < kinds.len() {
            bits |= 1 << kinds[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Returns the set without this kind.
    pub(crate) const fn without(self, kind: TokenKind) -> Self {
        Self(self.0 & !(1 << kind as u8))
    }

    /// Returns the kinds that are in both sets.
    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns true if a kind is in both sets.
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns true if `kind` is in the set.
    pub const fn contains(self, kind: TokenKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// The content actions that a content token may do.
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
    /// Allows exactly these actions.
    ///
    /// ```
    /// use keyward::token::ContentAccess;
    /// let access = ContentAccess::only(["orders.read", "orders.cancel"]);
    /// assert!(access.allows(&"orders.read".into()) && !access.allows(&"orders.create".into()));
    /// ```
    pub fn only<A: Into<Action>>(actions: impl IntoIterator<Item = A>) -> Self {
        Self::Custom(actions.into_iter().map(Into::into).collect())
    }

    /// Returns true if this access includes `action`.
    pub fn allows(&self, action: &Action) -> bool {
        match self {
            Self::ReadOnly => matches!(action.as_str().rsplit('.').next(), Some("find" | "findOne")),
            Self::FullAccess => true,
            Self::Custom(actions) => actions.contains(action),
        }
    }

    /// Returns the word for the type of access: `read-only`, `full-access` or `custom`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::FullAccess => "full-access",
            Self::Custom(_) => "custom",
        }
    }
}

/// The authority of a token, by kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenAuthority {
    /// An admin token: its grants, as far as the owner's roles still cover them.
    Admin {
        /// The owner, whose permissions bound the token.
        owner: OwnerId,
        /// The grants.
        grants: Vec<Grant>,
    },
    /// A content token.
    Content {
        /// The content actions it may do.
        access: ContentAccess,
    },
    /// A session: everything that its owner may do.
    Session {
        /// The person who signed in.
        owner: OwnerId,
        /// The session ends after this long without use.
        idle: Duration,
    },
}

/// A stored token. Only the digest of its secret is kept.
#[derive(Clone, Debug)]
pub struct Token {
    /// The id.
    pub id: TokenId,
    /// The name, unique among admin and content tokens, or among those of the same owner:
    /// [`TokenNames`](crate::admin::TokenNames).
    pub name: String,
    /// A free text.
    pub description: String,
    /// The metadata; sessions have none.
    pub metadata: Option<Metadata>,
    /// The keyed hash of the secret.
    pub digest: Digest,
    /// The last four characters of the secret, so that people can tell tokens apart.
    pub hint: String,
    /// The lifespan it was issued with; `None`: unlimited.
    pub lifespan: Option<Duration>,
    /// The time of expiry; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last change. Use is not a change, nor is a clamp.
    pub updated_at: Timestamp,
    /// The time of the last use, as far as it is written.
    pub last_used_at: Option<Timestamp>,
    /// The tool of an MCP server that the last use called: its name, or the method of another call.
    pub last_used_tool: Option<Arc<str>>,
    /// The limits; sessions have none.
    pub limits: TokenLimits,
    /// The last use of the present secret, as far as it is written.
    pub secret_used: Option<LastUse>,
    /// The secret before the present one, until its grace period ends.
    pub previous: Option<PreviousSecret>,
    /// The token that made this one, the token that made that one, and so on. All of them bound it.
    pub ancestors: Vec<Ancestor>,
    /// The keyed hash of the secret by which its parent made it. It ends with that secret.
    pub parent_secret: Option<Digest>,
    /// The authority.
    pub authority: TokenAuthority,
}

/// A use of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastUse {
    /// The time.
    pub at: Timestamp,
    /// The client's address, if the server knows it.
    pub address: Option<IpAddr>,
}

/// A secret that was replaced, and is admitted until its grace period ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreviousSecret {
    /// The keyed hash of the secret.
    pub digest: Digest,
    /// The last four characters of the secret.
    pub hint: String,
    /// When it was replaced.
    pub replaced_at: Timestamp,
    /// The end of the grace period.
    pub ends_at: Timestamp,
    /// The last use, as far as it is written.
    pub used: Option<LastUse>,
}

/// One of the secrets of a token, as its owner sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSecret {
    /// The last four characters.
    pub hint: String,
    /// The end of its grace period; `None` for the present secret, which ends with the token.
    pub ends_at: Option<Timestamp>,
    /// The last use, as far as it is written.
    pub used: Option<LastUse>,
}

/// A token that made another one: what it passes on, and what bounds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ancestor {
    /// The id.
    pub id: TokenId,
    /// The grants that it may pass on.
    pub grants: Vec<Grant>,
    /// The limits.
    pub limits: TokenLimits,
    /// The time of expiry; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last use, as far as it is written.
    pub last_used_at: Option<Timestamp>,
}

impl Ancestor {
    /// Returns what a token is to the tokens that come from it.
    pub fn of(token: &Token) -> Self {
        Self {
            id: token.id,
            grants: token.grants().iter().filter(|grant| grant.may_delegate).cloned().collect(),
            limits: token.limits.clone(),
            expires_at: token.expires_at,
            created_at: token.created_at,
            last_used_at: token.last_used_at,
        }
    }
}

impl Token {
    /// Returns the kind.
    pub fn kind(&self) -> TokenKind {
        match self.authority {
            TokenAuthority::Admin { .. } => TokenKind::Admin,
            TokenAuthority::Content { .. } => TokenKind::Content,
            TokenAuthority::Session { .. } => TokenKind::Session,
        }
    }

    /// Returns the secrets that are admitted: the present one, and the one before until its grace period ends.
    pub fn secrets(&self) -> Vec<TokenSecret> {
        let present = TokenSecret { hint: self.hint.clone(), ends_at: None, used: self.secret_used };
        let previous = self.previous.iter().map(|previous| TokenSecret {
            hint: previous.hint.clone(),
            ends_at: Some(previous.ends_at),
            used: previous.used,
        });
        std::iter::once(present).chain(previous).collect()
    }

    /// Returns the secret with this digest as its bearer may see it; `None` if it is not admitted.
    #[cfg_attr(not(feature = "api"), allow(dead_code, reason = "the management API shows it"))]
    pub(crate) fn secret(&self, digest: &Digest) -> Option<TokenSecret> {
        self.digests().zip(self.secrets()).find(|(admitted, _)| admitted == digest).map(|(_, secret)| secret)
    }

    /// Drops the previous secret if its grace period is over at this time.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.previous = self.previous.filter(|previous| now < previous.ends_at);
        self
    }

    /// Returns the token that made this one; `None` if a person or the host program did.
    pub fn parent(&self) -> Option<TokenId> {
        self.ancestors.first().map(|parent| parent.id)
    }

    /// Returns the limits that bound the token: its own, and those of the tokens that it comes from.
    pub(crate) fn all_limits(&self) -> impl Iterator<Item = &TokenLimits> {
        std::iter::once(&self.limits).chain(self.ancestors.iter().map(|ancestor| &ancestor.limits))
    }

    /// Returns the digests of the secrets that are admitted.
    pub(crate) fn digests(&self) -> impl Iterator<Item = Digest> + use<> {
        std::iter::once(self.digest).chain(self.previous.as_ref().map(|previous| previous.digest))
    }

    /// Returns the grants of an admin token; empty for other kinds.
    pub fn grants(&self) -> &[Grant] {
        match &self.authority {
            TokenAuthority::Admin { grants, .. } => grants,
            _ => &[],
        }
    }

    /// Returns the access of a content token; `None` for other kinds.
    pub fn access(&self) -> Option<&ContentAccess> {
        match &self.authority {
            TokenAuthority::Content { access } => Some(access),
            _ => None,
        }
    }

    /// Returns the owner; `None` for content tokens.
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
