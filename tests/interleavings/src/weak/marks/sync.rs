//! In place of keyward's `sync`: the primitives of loom, and a counted reference on them.

pub(super) use loom::sync::{Mutex, atomic};
pub(super) use std::sync::PoisonError;

use atomic::{AtomicUsize, Ordering};
use std::ops::Deref;
use std::sync::atomic as real;

pub(super) use std::sync::{Arc, Weak};

/// loom initializes thread locals at their first use, and takes no constants.
macro_rules! lazy_thread_local {
    (static $name:ident: $t:ty = const $initial:block;) => {
        loom::thread_local! { static $name: $t = $initial; }
    };
}
pub(super) use lazy_thread_local as thread_local;

/// A replacement for the `Arc` of triomphe (as in 0.1.17), counted by the same accesses with the same ordering. loom's own `Arc` orders more
/// when a count is read, which would hide code that relies on it.
pub(crate) struct StrongArc<T> {
    count: Arc<AtomicUsize>,
    value: Arc<T>,
    /// No other value has this number.
    number: usize,
}

impl<T> StrongArc<T> {
    pub(crate) fn new(value: T) -> Self {
        static NEXT: real::AtomicUsize = real::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, real::Ordering::Relaxed);
        Self { count: Arc::new(AtomicUsize::new(1)), value: Arc::new(value), number }
    }

    pub(crate) fn get_mut(this: &mut Self) -> Option<&mut T> {
        let ordering =
            if crate::made("uniqueness is read with relaxed ordering") { Ordering::Relaxed } else { Ordering::Acquire };
        match this.count.load(ordering) {
            1 => Some(Arc::get_mut(&mut this.value).expect("a value with one owner")),
            _ => None,
        }
    }

    pub(crate) fn number(this: &Self) -> usize {
        this.number
    }
}

impl<T: Default> Default for StrongArc<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for StrongArc<T> {
    fn clone(&self) -> Self {
        self.count.fetch_add(1, Ordering::Relaxed);
        Self { count: self.count.clone(), value: self.value.clone(), number: self.number }
    }
}

impl<T> Drop for StrongArc<T> {
    fn drop(&mut self) {
        // After a failure, values are dropped outside of the schedule, where its atomics cannot be used.
        if std::thread::panicking() {
            return;
        }
        // No acquire fence is needed: dropping the value itself is not a part of the model.
        self.count.fetch_sub(1, Ordering::Release);
    }
}

impl<T> Deref for StrongArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
