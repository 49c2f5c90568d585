//! New roles, owners and tokens, and records of imported ones.

use crate::domain::{
    AccountKey, AccountKind, Digest, Grant, HashKeyId, Metadata, OwnerId, OwnerState, Permission, RoleId, Timestamp,
    TokenAuthority, TokenId, TokenLimits, email_key,
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
    /// A name that the owner chose.
    pub username: Option<String>,
}

/// A new role.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// Unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The permissions.
    pub permissions: Vec<Permission>,
}

impl NewRole {
    /// Creates a role of this name, without description and permissions.
    ///
    /// ```
    /// use keyward::NewRole;
    /// let editor = NewRole::new("Editor").permissions(["plugin::upload.read"]);
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), description: String::new(), permissions: Vec::new() }
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the permissions.
    #[must_use]
    pub fn permissions<P: Into<Permission>>(mut self, permissions: impl IntoIterator<Item = P>) -> Self {
        self.permissions = permissions.into_iter().map(Into::into).collect();
        self
    }
}

/// A new owner.
#[derive(Clone, Debug)]
pub struct NewOwner {
    /// The host's account that the owner is; `None` for people of keyward's own.
    pub account: Option<AccountKey>,
    /// The kind.
    pub kind: AccountKind,
    /// Unique, compared without case.
    pub email: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// A name that the owner chose.
    pub username: Option<String>,
    /// The state of the account.
    pub state: OwnerState,
    /// The roles.
    pub roles: Vec<RoleId>,
}

impl NewOwner {
    /// Creates an active owner with this e-mail address, without names and roles.
    ///
    /// ```
    /// use keyward::{NewOwner, RoleId};
    /// let ada = NewOwner::new("ada@example.test").named("Ada", "Lovelace").roles([RoleId::SUPER_ADMIN]);
    /// ```
    pub fn new(email: impl Into<String>) -> Self {
        let (firstname, lastname) = (String::new(), String::new());
        Self {
            account: None,
            kind: AccountKind::Person,
            email: email.into(),
            firstname,
            lastname,
            username: None,
            state: OwnerState::Active,
            roles: Vec::new(),
        }
    }

    /// Creates an active service account with this name, without roles.
    ///
    /// It has no e-mail address and no password, and never signs in. Its tokens are managed by people whose permissions
    /// cover all of its own. Its name is unique among services.
    ///
    /// ```
    /// # async fn demo(keyward: keyward::Keyward, deployer: keyward::RoleId) -> Result<(), keyward::admin::ServiceError> {
    /// use keyward::{NewAdminToken, NewOwner};
    /// let robot = keyward.owners().create(NewOwner::service("deployments").roles([deployer])).await?;
    /// keyward.tokens().issue_admin(NewAdminToken::new("ci", robot.id)).await?;
    /// # Ok(()) }
    /// ```
    pub fn service(name: impl Into<String>) -> Self {
        Self { kind: AccountKind::Service, firstname: name.into(), ..Self::new("") }
    }

    /// Returns the text by which a store compares the owner: the [comparable](crate::store::comparable()) e-mail address,
    /// or for an account a text that no address has.
    pub fn email_key(&self) -> String {
        email_key(&self.email, &self.firstname, self.account.as_ref())
    }

    /// Sets the names.
    #[must_use]
    pub fn named(mut self, firstname: impl Into<String>, lastname: impl Into<String>) -> Self {
        (self.firstname, self.lastname) = (firstname.into(), lastname.into());
        self
    }

    /// Sets the state.
    #[must_use]
    pub fn state(mut self, state: OwnerState) -> Self {
        self.state = state;
        self
    }

    /// Sets the roles.
    #[must_use]
    pub fn roles(mut self, roles: impl IntoIterator<Item = RoleId>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }
}

/// The admin and content tokens among which the name of a token is unique.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NameScope {
    /// All of the installation.
    Installation,
    /// Those of this owner.
    Owner(OwnerId),
    /// Those without an owner: content tokens.
    Ownerless,
}

impl NameScope {
    /// Returns the number for a scope in stores. Ids of owners are above zero.
    pub fn number(self) -> i64 {
        match self {
            Self::Installation => 0,
            Self::Owner(id) => id.0,
            Self::Ownerless => -1,
        }
    }

    /// Returns whether tokens of this owner are in the scope.
    pub fn includes(self, owner: Option<OwnerId>) -> bool {
        match self {
            Self::Installation => true,
            Self::Owner(id) => owner == Some(id),
            Self::Ownerless => owner.is_none(),
        }
    }
}

/// A new token.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Unique in the scope; empty for sessions.
    pub name: String,
    /// The tokens among which the name is unique. Names of sessions are not.
    pub scope: NameScope,
    /// Free text.
    pub description: String,
    /// The metadata.
    pub metadata: Option<Metadata>,
    /// The digest of its secret.
    pub digest: Digest,
    /// The id of the hash key of that digest.
    pub hash_key: HashKeyId,
    /// The last four characters of its secret.
    pub hint: String,
    /// The lifespan; `None` is unlimited.
    pub lifespan: Option<Duration>,
    /// The kind, the owner, and the grants or access.
    pub authority: TokenAuthority,
    /// The limits.
    pub limits: TokenLimits,
    /// The token that makes it, if one does, and the digest of that one's secret.
    pub parent: Option<(TokenId, Digest)>,
}

/// A secret as a store keeps it.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    /// The digest.
    pub digest: Digest,
    /// The id of the hash key of that digest.
    pub hash_key: HashKeyId,
    /// The last four characters.
    pub hint: String,
}

impl NewToken {
    /// Returns the grants of an admin token; none for other kinds.
    pub fn grants(&self) -> &[Grant] {
        match &self.authority {
            TokenAuthority::Admin { grants, .. } => grants,
            _ => &[],
        }
    }
}

/// An imported record.
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
    /// Returns the word for its kind in stores, and its id.
    pub fn parts(self) -> (&'static str, i64) {
        match self {
            Self::Role(id) => ("role", id.0),
            Self::Owner(id) => ("owner", id.0),
            Self::Token(id) => ("token", id.0),
        }
    }

    /// Returns the record with these [`parts`](Self::parts), if there is such a kind.
    pub fn of(kind: &str, id: i64) -> Option<Self> {
        match kind {
            "role" => Some(Self::Role(RoleId(id))),
            "owner" => Some(Self::Owner(OwnerId(id))),
            "token" => Some(Self::Token(TokenId(id))),
            _ => None,
        }
    }
}

/// The times of a token that is older than the installation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenTimes {
    /// When the token was made.
    pub created_at: Timestamp,
    /// When it expires; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, if that is known.
    pub last_used_at: Option<Timestamp>,
}
