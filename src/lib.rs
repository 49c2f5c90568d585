//! keyward

mod domain;
mod gate;
mod keyward;
mod resolve;
mod service;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use domain::*;
pub use gate::*;
pub use keyward::{BuildError, Builder, Keyward};
pub use resolve::Limits;
pub use service::*;
pub use store::{MemoryStore, NewOwner, NewRole, Store, StoreError, WriteStore};
#[cfg(feature = "sqlite")]
pub use store::{SqliteOptions, SqliteStore};
