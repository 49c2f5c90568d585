//! What is to be: roles, owners and tokens, and what came of them from elsewhere.

use crate::domain::{
    Digest, Grant, HashKeyId, OwnerId, OwnerState, Permission, RoleId, Timestamp, TokenAuthority, TokenId,
};
use std::time::Duration;

/// An owner's e-mail address and names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Unique, compared without case.
    pub email: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// A name they chose.
    pub username: Option<String>,
}

/// A role to be.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// Unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it allows.
    pub permissions: Vec<Permission>,
}

impl NewRole {
    /// A role of this name, without description and permissions.
    ///
    /// ```
    /// use keyward::NewRole;
    /// let editor = NewRole::new("Editor").permissions(["plugin::upload.read"]);
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), description: String::new(), permissions: Vec::new() }
    }

    /// The same with a description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The same with these permissions.
    #[must_use]
    pub fn permissions<P: Into<Permission>>(mut self, permissions: impl IntoIterator<Item = P>) -> Self {
        self.permissions = permissions.into_iter().map(Into::into).collect();
        self
    }
}

/// An owner to be.
#[derive(Clone, Debug)]
pub struct NewOwner {
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
    /// Their roles.
    pub roles: Vec<RoleId>,
}

impl NewOwner {
    /// Somebody active with this e-mail address, without names and roles.
    ///
    /// ```
    /// use keyward::{NewOwner, RoleId};
    /// let ada = NewOwner::new("ada@example.test").named("Ada", "Lovelace").roles([RoleId::SUPER_ADMIN]);
    /// ```
    pub fn new(email: impl Into<String>) -> Self {
        let (firstname, lastname) = (String::new(), String::new());
        Self { email: email.into(), firstname, lastname, username: None, state: OwnerState::Active, roles: Vec::new() }
    }

    /// The same with names.
    #[must_use]
    pub fn named(mut self, firstname: impl Into<String>, lastname: impl Into<String>) -> Self {
        (self.firstname, self.lastname) = (firstname.into(), lastname.into());
        self
    }

    /// The same in another state.
    #[must_use]
    pub fn state(mut self, state: OwnerState) -> Self {
        self.state = state;
        self
    }

    /// The same with these roles.
    #[must_use]
    pub fn roles(mut self, roles: impl IntoIterator<Item = RoleId>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }
}

/// A token to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Unique among admin and content tokens; empty for sessions.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The keyed hash of its secret.
    pub digest: Digest,
    /// The salt of that hash.
    pub hash_key: HashKeyId,
    /// The last four characters of its secret.
    pub hint: String,
    /// How long it lives; `None`: for ever.
    pub lifespan: Option<Duration>,
    /// What it stands for.
    pub authority: TokenAuthority,
}

impl NewToken {
    /// The grants of an admin token; none for the other kinds.
    pub fn grants(&self) -> &[Grant] {
        match &self.authority {
            TokenAuthority::Admin { grants, .. } => grants,
            _ => &[],
        }
    }
}

/// Something that came from another system, as it is here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Imported {
    /// A role.
    Role(RoleId),
    /// An owner.
    Owner(OwnerId),
    /// An admin or content token.
    Token(TokenId),
}

impl Imported {
    /// The word for its kind in stores, and its id.
    pub fn parts(self) -> (&'static str, i64) {
        match self {
            Self::Role(id) => ("role", id.0),
            Self::Owner(id) => ("owner", id.0),
            Self::Token(id) => ("token", id.0),
        }
    }

    /// What these [`parts`](Self::parts) are of, if there is such a kind.
    pub fn of(kind: &str, id: i64) -> Option<Self> {
        match kind {
            "role" => Some(Self::Role(RoleId(id))),
            "owner" => Some(Self::Owner(OwnerId(id))),
            "token" => Some(Self::Token(TokenId(id))),
            _ => None,
        }
    }
}

/// When a token was made, when it ends and when it was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenTimes {
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used; `None`: nobody knows.
    pub last_used_at: Option<Timestamp>,
}
