//! The write side: what people and programs may change, by which rules, and how a change reaches the gate.
//!
//! Every rule lives here or in the domain. A change is one transaction; once it is committed, the gate of this process judges
//! by it, and only then does the call return. It runs in a task of its own: a caller who goes away does not stop it half-way.

mod error;
mod owners;
mod roles;
mod tokens;
mod write;

pub use error::ServiceError;
pub use owners::Owners;
pub use roles::Roles;
pub use tokens::{AdminToken, ContentToken, IssuedToken, Lifespan, SessionToken, Tokens};

pub(crate) use write::Writer;

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

    /// Tokens of all kinds.
    pub fn tokens(&self) -> Tokens {
        Tokens(self.change())
    }

    fn change(&self) -> Change {
        Change::new(self.shared_store(), self.writer().clone())
    }
}
