//! The write side: what people and programs may change, by which rules, and how a change reaches the gate.
//!
//! Every rule lives here or in the domain. A change is one transaction; once it is committed, the gate of this process judges
//! by it, and only then does the call return. It runs in a task of its own: a caller who goes away does not stop it half-way.
//!
//! A service works for the program itself, until it is told for whom: `keyward.tokens().acting_as(auth.actor())`. For people and tokens
//! it holds the rules that hold for them; whether they may call it at all is what the route requires.

mod account;
mod account_policy;
mod actor;
mod audit_log;
mod bounds;
mod error;
#[cfg(feature = "people")]
mod failures;
#[cfg(feature = "people")]
mod hash_memory;
#[cfg(feature = "strapi")]
pub(crate) mod import;
#[cfg(feature = "people")]
mod invitations;
#[cfg(feature = "people")]
mod known_places;
#[cfg(feature = "people")]
mod me;
#[cfg(feature = "people")]
mod old_hash;
mod owners;
#[cfg(feature = "people")]
mod password;
#[cfg(feature = "people")]
mod password_queue;
#[cfg(feature = "people")]
mod people;
mod policy;
mod preview;
mod rate;
#[cfg(feature = "people")]
mod register;
mod rename;
mod roles;
#[cfg(feature = "people")]
mod sessions;
mod set_up;
mod sight;
#[cfg(feature = "people")]
mod throttle;
mod tokens;
mod update;
mod write;

pub use audit_log::AuditLog;
#[cfg(feature = "api")]
pub(crate) use bounds::{ACTIONS, CONDITIONS, FIELDS, GRANTS, PERMISSIONS, ROLES};
pub use error::{FieldError, ServiceError};
#[cfg(feature = "people")]
pub use invitations::Invitation;
pub use owners::{OwnerUpdate, Owners};
#[cfg(feature = "people")]
pub use password::Password;
pub use policy::{Durations, Lifespan, Policy};
pub use roles::{RoleUpdate, Roles};
#[cfg(feature = "people")]
pub use sessions::{FirstAdmin, ProfileUpdate, Registration, Sessions, SignedIn};
pub use set_up::SetUp;
pub use tokens::{DescribedToken, IssuedToken, NewAdminToken, NewContentToken, NewSession, TokenUpdate, Tokens};

pub use crate::domain::{
    Actor, AdmittedActor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, AuditTargetKind, KeyMismatch,
    MalformedVersion, Owner, OwnerState, Role, RoleId, Version,
};
#[doc(no_inline)]
pub use crate::domain::{ContentAccess, Grant, OwnerId, Permission, Secret, Token, TokenId, TokenKind};
pub use crate::store::{
    Clamped, EventQuery, Filter, FilterTest, NewOwner, NewRole, OwnerField, OwnerQuery, OwnerSort, Page, Paging,
    TokenField, TokenQuery, TokenSort,
};

#[cfg(feature = "reveal")]
pub use tokens::{SecretAccess, TokenWithSecret};
pub(crate) use write::{Settings, Writer};

use crate::keyward::Keyward;
use write::ServiceContext;

impl Keyward {
    /// Owners: the people whom tokens belong to.
    pub fn owners(&self) -> Owners {
        Owners(self.change())
    }

    /// Roles: the sets of permissions that bound them.
    pub fn roles(&self) -> Roles {
        Roles(self.change())
    }

    /// Sessions: signing in, registering, and what people do with their own account.
    #[cfg(feature = "people")]
    pub fn sessions(&self) -> Sessions {
        Sessions(self.change())
    }

    /// Tokens of all kinds.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(self.change())
    }

    /// The audit log.
    pub fn audit(&self) -> AuditLog {
        AuditLog(self.change())
    }

    fn change(&self) -> ServiceContext {
        ServiceContext::new(self.store().clone(), self.writer().clone())
    }
}

/// For whom a service works, and from where.
macro_rules! for_whom {
    ($service:ident) => {
        impl $service {
            /// The same for somebody: by the rules that hold for them, and remembered as theirs.
            #[must_use]
            pub fn acting_as(self, actor: impl Into<crate::domain::AdmittedActor>) -> Self {
                self.map(|change| change.acting_as(actor.into()))
            }

            /// The same from this address, which is remembered with what is done.
            #[must_use]
            pub fn from_address(self, address: Option<std::net::IpAddr>) -> Self {
                self.map(|change| change.from_address(address))
            }
        }
    };
}
use for_whom;

/// What a service changes only if nobody else has meanwhile.
macro_rules! optimistic {
    ($service:ident, $what:literal) => {
        impl $service {
            #[doc = concat!("The same for ", $what, " as somebody has seen it: where it has another [`Version`](crate::admin::Version) now,")]
            /// nothing is changed, and the answer is [`ServiceError::Changed`](crate::admin::ServiceError::Changed). What adds something, and
            /// so changes nothing that was seen, is then refused too.
            #[must_use]
            pub fn if_version(self, version: crate::domain::Version) -> Self {
                self.map(|change| change.if_version(version))
            }
        }
    };
}
use optimistic;
