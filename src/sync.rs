//! The synchronisation primitives of the crate. The package keyward-interleavings replaces this module with those of its
//! explorers.

pub(crate) use arc_swap::ArcSwap;
pub(crate) use dashmap::DashMap;
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, atomic};
pub(crate) use std::thread_local;
pub(crate) use tokio::sync::watch;
/// A counted reference that has no weak counterpart, so that `get_mut` needs no locked instruction.
pub(crate) use triomphe::Arc as StrongArc;

/// The tag clock has 2^SLOT_BITS slots. Explorers use fewer, because they follow each of them.
pub(crate) const SLOT_BITS: u32 = 16;
