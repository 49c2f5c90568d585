//! The write side: what people and programs may change, by which rules, and how a change reaches the gate.
//!
//! Every rule lives here or in the domain. A change is one transaction; once it is committed, the gate of this process judges
//! by it, and only then does the call return. It runs in a task of its own: a caller who goes away does not stop it half-way.
//!
//! A service works for the program itself, until it is told for whom: `keyward.tokens().by(auth.actor())`. For people and tokens
//! it holds the rules that hold for them; whether they may call it at all is what the route requires.

mod account;
mod actor;
mod bounds;
mod error;
mod events;
mod failures;
mod hash_memory;
#[cfg(feature = "strapi")]
mod import;
mod known_places;
mod me;
mod old_hash;
mod owners;
mod password;
mod password_queue;
mod people;
mod policy;
mod preview;
mod rate;
mod reach;
mod register;
mod rename;
mod roles;
mod sessions;
mod set_up;
mod sight;
mod throttle;
mod tokens;
mod update;
mod write;

#[cfg(feature = "api")]
pub(crate) use bounds::{ACTIONS, CONDITIONS, FIELDS, GRANTS, PERMISSIONS, ROLES};
pub use error::{Problem, ServiceError};
pub use events::Events;
pub use owners::{Invited, OwnerUpdate, Owners};
pub use password::Password;
pub use policy::{Durations, Lifespan, Policy};
pub use roles::{RoleUpdate, Roles};
pub use sessions::{FirstAdmin, ProfileUpdate, Registration, Sessions, SignedIn};
pub use set_up::SetUp;
pub use tokens::{
    DescribedToken, IssuedToken, NewAdminToken, NewContentToken, NewSession, OpenedToken, Reveal, TokenUpdate, Tokens,
};

#[cfg(feature = "strapi")]
pub use import::{Counts, Import, ImportError, Outcome, Report, ReportEntry, check_salt, import};
pub(crate) use write::{Settings, Writer};

use crate::keyward::Keyward;
use crate::store::WriteStore;
use write::Change;

impl<S: WriteStore> Keyward<S> {
    /// Owners: the people whom tokens belong to.
    pub fn owners(&self) -> Owners {
        Owners(self.change())
    }

    /// Roles: the sets of permissions that bound them.
    pub fn roles(&self) -> Roles {
        Roles(self.change())
    }

    /// Sessions: signing in, registering, and what people do with their own account.
    pub fn sessions(&self) -> Sessions {
        Sessions(self.change())
    }

    /// Tokens of all kinds.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(self.change())
    }

    /// The audit log.
    pub fn events(&self) -> Events {
        Events(self.change())
    }

    fn change(&self) -> Change {
        Change::new(self.shared_store(), self.writer().clone())
    }
}

/// For whom a service works, and from where.
macro_rules! for_whom {
    ($service:ident) => {
        impl $service {
            /// The same for somebody: by the rules that hold for them, and remembered as theirs.
            #[must_use]
            pub fn by(self, actor: impl Into<crate::domain::AdmittedActor>) -> Self {
                self.map(|change| change.by(actor.into()))
            }

            /// The same from this address, which is remembered with what is done.
            #[must_use]
            pub fn from(self, address: Option<std::net::IpAddr>) -> Self {
                self.map(|change| change.from(address))
            }
        }
    };
}
use for_whom;

/// What a service changes only if nobody else has meanwhile.
macro_rules! optimistic {
    ($service:ident, $what:literal) => {
        impl $service {
            #[doc = concat!("The same for ", $what, " as somebody has seen it: where it has another [`Version`](crate::Version) now,")]
            /// nothing is changed, and the answer is [`ServiceError::Changed`](crate::ServiceError::Changed). What adds something, and
            /// so changes nothing that was seen, is then refused too.
            #[must_use]
            pub fn only_if(self, version: crate::domain::Version) -> Self {
                self.map(|change| change.only_if(version))
            }
        }
    };
}
use optimistic;
