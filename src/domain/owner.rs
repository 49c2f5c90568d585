//! Owners and roles.

use super::{AccountKey, AccountKind, OwnerId, Permission, RoleId, Timestamp, comparable};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A named set of permissions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// The id.
    pub id: RoleId,
    /// The code of a built-in role, which does not change with its name.
    pub code: Option<String>,
    /// The name, unique.
    pub name: String,
    /// A free text.
    pub description: String,
    /// The permissions. Empty for the super admin role, which has no ceiling.
    pub permissions: Vec<Permission>,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

/// The state of an owner's account. Only tokens of an `Active` owner are admitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnerState {
    /// The invitation is not accepted yet, so the owner has never signed in or created a row.
    Invited,
    /// The owner may sign in, and their tokens work.
    Active,
    /// Suspended. Tokens are kept and work again after reactivation; sessions end.
    Deactivated,
    /// Locked out, like `Deactivated`, but by a separate decision.
    Blocked,
    /// Both: lifting one leaves the other.
    DeactivatedAndBlocked,
}

impl OwnerState {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::Invited, Self::Active, Self::Deactivated, Self::Blocked, Self::DeactivatedAndBlocked];

    /// Returns the word for the state, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Blocked => "blocked",
            Self::DeactivatedAndBlocked => "deactivated-and-blocked",
        }
    }

    /// Returns true if tokens of an owner in this state are admitted.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Active)
    }

    /// Returns true if the account is blocked.
    pub fn is_blocked(self) -> bool {
        matches!(self, Self::Blocked | Self::DeactivatedAndBlocked)
    }

    /// Returns true if the account is registered and not deactivated. It may be blocked.
    pub fn is_switched_on(self) -> bool {
        matches!(self, Self::Active | Self::Blocked)
    }

    /// Returns the state of a registered account.
    pub fn of(switched_on: bool, blocked: bool) -> Self {
        match (switched_on, blocked) {
            (true, false) => Self::Active,
            (false, false) => Self::Deactivated,
            (true, true) => Self::Blocked,
            (false, true) => Self::DeactivatedAndBlocked,
        }
    }
}

/// An account of a person or a service, which owns tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The id.
    pub id: OwnerId,
    /// The host's account that this owner is. `None` for people of keyward's own.
    ///
    /// State, names, e-mail address and ceiling of an account come from the host. What the store has of them is what was
    /// last reported, for lists.
    pub account: Option<AccountKey>,
    /// The kind.
    pub kind: AccountKind,
    /// The e-mail address, unique regardless of case. Empty without one. Of an account it need not be unique.
    pub email: String,
    /// The first name; may be empty. Of an account it is the display name.
    pub firstname: String,
    /// The last name; may be empty.
    pub lastname: String,
    /// The user name that the person chose.
    pub username: Option<String>,
    /// The state of the account.
    pub state: OwnerState,
    /// The roles, ascending.
    pub roles: Vec<RoleId>,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of the last change.
    pub updated_at: Timestamp,
}

impl Owner {
    /// Creates an active person with this e-mail address, without names and roles. For stores of your own: owners of
    /// keyward's are [made by a service](crate::admin::Owners::create).
    pub fn new(id: OwnerId, email: impl Into<String>) -> Self {
        Self {
            id,
            account: None,
            kind: AccountKind::Person,
            email: email.into(),
            firstname: String::new(),
            lastname: String::new(),
            username: None,
            state: OwnerState::Active,
            roles: Vec::new(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    /// Returns the text by which a store compares the owner.
    pub(crate) fn email_key(&self) -> String {
        email_key(&self.email, &self.firstname, self.account.as_ref())
    }

    /// Returns true if the owner has the super admin role.
    pub fn is_super_admin(&self) -> bool {
        self.roles.contains(&RoleId::SUPER_ADMIN)
    }

    /// Returns the name to display: first and last name, else the user name, else the e-mail address, else the account.
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.firstname, self.lastname);
        match (name.trim(), &self.username) {
            ("", None) if self.email.is_empty() => self.account.as_ref().map(ToString::to_string).unwrap_or_default(),
            ("", None) => self.email.clone(),
            ("", Some(username)) => username.clone(),
            (name, _) => name.to_owned(),
        }
    }
}

/// Returns the unique text by which a store compares an owner: the comparable e-mail address; for an account its key, and
/// without an address the name. The latter two begin with control characters, which no address has.
pub(crate) fn email_key(email: &str, name: &str, account: Option<&AccountKey>) -> String {
    match account {
        Some(key) => format!("\u{1}{key}"),
        None if email.is_empty() => format!("\u{1}\u{1}{}", comparable(name)),
        None => comparable(email),
    }
}

/// A password hash in PHC format, or a bcrypt hash from an import. [`Debug`] does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_a_password_hash() {
        assert_eq!(format!("{:?}", PasswordHash("$argon2id$..".into())), "PasswordHash(..)");
    }
}
