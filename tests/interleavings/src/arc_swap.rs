//! A replacement for `arc_swap`: an index into values that are all kept. A load or a store is one access, as in the
//! original. Each `sync` has its own copy, on its own atomics.

use super::atomic::{AtomicUsize, Ordering};
use std::ops::Deref;
use std::sync::Arc;

/// The values are in a lock that no schedule sees: a thread that has an index can read its value.
pub(crate) struct ArcSwap<T> {
    values: std::sync::Mutex<Vec<Arc<T>>>,
    current: AtomicUsize,
    /// Every access increments it first, without ordering. loom remembers only the last access to an atomic: after two
    /// loads it would try a store before the second one, and not before the first.
    accesses: AtomicUsize,
}

/// A loaded value.
pub(crate) struct Guard<T>(Arc<T>);

impl<T> Deref for Guard<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        Self { values: vec![Arc::new(value)].into(), current: AtomicUsize::new(0), accesses: AtomicUsize::new(0) }
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.count_access();
        self.value(self.current.load(Ordering::Acquire))
    }

    pub(crate) fn load(&self) -> Guard<T> {
        Guard(self.load_full())
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        let index = self.keep(value);
        self.count_access();
        self.current.swap(index, Ordering::AcqRel);
    }

    /// Replaces the value by the result of `change`, and returns the former value.
    pub(crate) fn rcu<R: Into<Arc<T>>>(&self, change: impl Fn(&Arc<T>) -> R) -> Arc<T> {
        self.count_access();
        let mut index = self.current.load(Ordering::Acquire);
        loop {
            let before = self.value(index);
            let new = self.keep(change(&before).into());
            match self.current.compare_exchange(index, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return before,
                Err(other) => index = other,
            }
        }
    }

    fn count_access(&self) {
        self.accesses.fetch_add(1, Ordering::Relaxed);
    }

    fn value(&self, index: usize) -> Arc<T> {
        self.values.lock().unwrap()[index].clone()
    }

    fn keep(&self, value: Arc<T>) -> usize {
        let mut values = self.values.lock().unwrap();
        values.push(value);
        values.len() - 1
    }
}
