//! Owners and roles.

use super::{OwnerId, Permission, RoleId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A named set of permissions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Names a built-in role, whatever people call it.
    pub code: Option<String>,
    /// Unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it allows. Empty for the super admin role, which has no ceiling.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Where an owner's account stands. Only an `Active` owner's tokens are admitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnerState {
    /// Has not accepted the invitation yet, and so has never signed in or created a row.
    Invited,
    /// May sign in; their tokens work.
    Active,
    /// Switched off, for a while or for good. Tokens are kept and work again after reactivation; sessions do not.
    Deactivated,
    /// Shut out; like `Deactivated`, by another decision, which stands by itself.
    Blocked,
    /// Both: when one is lifted, the other stays.
    DeactivatedAndBlocked,
}

impl OwnerState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Invited, Self::Active, Self::Deactivated, Self::Blocked, Self::DeactivatedAndBlocked];

    /// Its word, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Blocked => "blocked",
            Self::DeactivatedAndBlocked => "deactivated-and-blocked",
        }
    }

    /// Whether tokens of an owner in this state are admitted.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Active)
    }

    /// Whether the account is shut out.
    pub fn is_blocked(self) -> bool {
        matches!(self, Self::Blocked | Self::DeactivatedAndBlocked)
    }

    /// Whether the account is switched on: registered, and not deactivated. It may be blocked all the same.
    pub fn is_switched_on(self) -> bool {
        matches!(self, Self::Active | Self::Blocked)
    }

    /// The state of a registered account that is switched on or off, and shut out or not.
    pub fn of(switched_on: bool, blocked: bool) -> Self {
        match (switched_on, blocked) {
            (true, false) => Self::Active,
            (false, false) => Self::Deactivated,
            (true, true) => Self::Blocked,
            (false, true) => Self::DeactivatedAndBlocked,
        }
    }
}

/// An admin user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Their id.
    pub id: OwnerId,
    /// Unique, compared without case.
    pub email: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// A name they chose.
    pub username: Option<String>,
    /// Where the account stands.
    pub state: OwnerState,
    /// Their roles, ascending.
    pub roles: Vec<RoleId>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Owner {
    /// Whether one of the roles is the one without a ceiling.
    pub fn is_super_admin(&self) -> bool {
        self.roles.contains(&RoleId::SUPER_ADMIN)
    }

    /// What to call them: first and last name, else the name they chose, else the e-mail address.
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.firstname, self.lastname);
        match (name.trim(), &self.username) {
            ("", None) => self.email.clone(),
            ("", Some(username)) => username.clone(),
            (name, _) => name.to_owned(),
        }
    }
}

/// What is kept of a password: a hash in PHC format, or of bcrypt where it came with an import. [`Debug`] does not show it.
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
    fn a_password_does_not_show() {
        assert_eq!(format!("{:?}", PasswordHash("$argon2id$..".into())), "PasswordHash(..)");
    }
}
