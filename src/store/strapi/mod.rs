//! The reference's own database, read only.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "the reader and the import are being built")]

mod foreign;

pub use foreign::NotUnderstood;
pub(crate) use foreign::{Foreign, ForeignAuthority, ForeignRole, ForeignToken, ForeignUser};
