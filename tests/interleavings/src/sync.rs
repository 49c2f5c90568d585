//! In place of keyward's `sync`: the primitives of shuttle.

#[path = "arc_swap.rs"]
mod arc_swap;

pub(crate) use arc_swap::ArcSwap;
pub(crate) use shuttle::sync::{Arc, Arc as StrongArc, Mutex, MutexGuard, PoisonError, Weak, atomic};
pub(crate) use std::sync::OnceLock;
pub(crate) use std::thread_local;
pub(crate) use tokio::sync::watch;

use std::hash::Hash;
use std::marker::PhantomData;
use std::ops::Deref;

pub(crate) const SLOT_BITS: u32 = 3;

/// A map with a fixed hasher.
pub(crate) struct DashMap<K, V, S>(dashmap::DashMap<K, V>, PhantomData<S>);

impl<K: Eq + Hash, V, S> Default for DashMap<K, V, S> {
    fn default() -> Self {
        Self(dashmap::DashMap::new(), PhantomData)
    }
}

impl<K, V, S> Deref for DashMap<K, V, S> {
    type Target = dashmap::DashMap<K, V>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
