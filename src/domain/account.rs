//! Accounts of the host: owners that the host's own tables keep.

use super::{Action, Ceiling, CeilingPolicy, Digest, Permission, Resource};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// The host's id of an account, as text: a UUID, an integer, a ULID. Compared byte by byte.
///
/// ```
/// use keyward::accounts::AccountKey;
/// let ada = AccountKey::new("0193a1c2-8d55-7d4c-b5b1-3f3f3c1f8a11")?;
/// assert_eq!(AccountKey::from(7).as_str(), "7");
/// # Ok::<_, keyward::accounts::InvalidAccountKey>(())
/// ```
// A `String` keeps the pointer thin: every cached principal has one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey(Arc<String>);

/// The text is no account key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid account key: use 1 to {} bytes without control characters", AccountKey::LONGEST)]
pub struct InvalidAccountKey;

impl AccountKey {
    /// The greatest length in bytes.
    pub const LONGEST: usize = 255;

    /// Creates a key from the host's id.
    ///
    /// # Errors
    /// [`InvalidAccountKey`] if the text is empty, longer than [`LONGEST`](Self::LONGEST) bytes, or has control characters.
    pub fn new(id: impl ToString) -> Result<Self, InvalidAccountKey> {
        let text = id.to_string();
        let fits = (1..=Self::LONGEST).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(Arc::new(text))) } else { Err(InvalidAccountKey) }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<i64> for AccountKey {
    fn from(id: i64) -> Self {
        Self(Arc::new(id.to_string()))
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The kind of an owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountKind {
    /// A person, who may sign in.
    #[default]
    Person,
    /// A program. It cannot sign in: others manage its tokens.
    Service,
    /// An organisation, like a service: its members manage its tokens.
    Organisation,
}

impl AccountKind {
    /// Returns the word for the kind, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
            Self::Organisation => "organisation",
        }
    }
}

/// An account of the host at one moment: its state, its names, and its ceiling.
///
/// ```
/// use keyward::Permission;
/// use keyward::accounts::Account;
/// let editor = Account::new("Ada Lovelace").email("ada@example.test").permissions([Permission::new("article.read")]);
/// let owner = Account::new("Charles").unlimited();
/// let admin = Account::new("Grace").allowed_if(|action, _resource| action.as_str().starts_with("article."));
/// let left = Account::new("Joan").suspended();
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) is_active: bool,
    pub(crate) kind: AccountKind,
    pub(crate) ceiling: Ceiling,
}

impl Account {
    /// Creates an active account with this display name, which may do nothing yet.
    pub fn new(display_name: impl Into<String>) -> Self {
        let (name, email) = (display_name.into(), String::new());
        Self { name, email, is_active: true, kind: AccountKind::Person, ceiling: Ceiling::Of(Vec::new()) }
    }

    /// Sets the kind, a person by default. Services and organisations have no sessions: [`Accounts::manages`] says who
    /// manages their tokens.
    ///
    /// [`Accounts::manages`]: crate::accounts::Accounts::manages
    #[must_use]
    pub fn kind(self, kind: AccountKind) -> Self {
        Self { kind, ..self }
    }

    /// Sets the e-mail address. It is only displayed, and need not be unique.
    #[must_use]
    pub fn email(self, email: impl Into<String>) -> Self {
        Self { email: email.into(), ..self }
    }

    /// Suspends the account. Its tokens are kept, and rejected until it is active again.
    #[must_use]
    pub fn suspended(self) -> Self {
        Self { is_active: false, ..self }
    }

    /// Sets the state: active or suspended.
    #[must_use]
    pub fn active(self, is_active: bool) -> Self {
        Self { is_active, ..self }
    }

    /// Limits the account to these permissions.
    #[must_use]
    pub fn permissions<P: Into<Permission>>(self, permissions: impl IntoIterator<Item = P>) -> Self {
        Self { ceiling: Ceiling::Of(permissions.into_iter().map(Into::into).collect()), ..self }
    }

    /// Lets the account do everything. A session of it is a super admin; a token still does only what it was granted.
    #[must_use]
    pub fn unlimited(self) -> Self {
        Self { ceiling: Ceiling::Unlimited, ..self }
    }

    /// Limits the account to what a question of the host allows: may it do this action on this resource?
    ///
    /// For hosts that decide by a policy engine, an enum or a match, so that permissions need no list. The answer holds
    /// for all rows and fields. It is asked when a token is issued or changed, at each look-up, and for each requirement
    /// of a session. It must be quick, must not block, and answers from what the account was when the host returned it.
    #[must_use]
    pub fn allowed_if(self, allows: impl Fn(&Action, Option<&Resource>) -> bool + Send + Sync + 'static) -> Self {
        Self { ceiling: Ceiling::Policy(CeilingPolicy::new(allows)), ..self }
    }

    /// Returns the ceiling.
    pub fn ceiling(&self) -> &Ceiling {
        &self.ceiling
    }

    /// Returns whether the account is active.
    pub fn is_active(&self) -> bool {
        self.is_active
    }
}

/// Returns the digest of the session that stands for requests which the host has signed in as this account.
pub(crate) fn account_digest(key: &AccountKey) -> Digest {
    let hash = Sha256::new().chain_update(b"keyward session of an account\0").chain_update(key.as_str()).finalize();
    let mut digest = [0; 27];
    digest.copy_from_slice(&hash[..27]);
    Digest::Native(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_length_and_no_control_characters() {
        for good in ["7", "0193a1c2-8d55", "Ada L", &"x".repeat(255)] {
            assert_eq!(AccountKey::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\nb", "\u{1}", "a\0", &"x".repeat(256)] {
            assert_eq!(AccountKey::new(bad), Err(InvalidAccountKey), "{bad:?}");
        }
    }
}
