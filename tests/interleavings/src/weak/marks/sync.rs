//! In place of keyward's `sync`: the primitives of loom, and a counted reference on them.

pub(super) use loom::sync::{Mutex, atomic};
pub(super) use std::sync::PoisonError;

use atomic::{AtomicUsize, Ordering, fence};
use std::ops::Deref;

/// loom initializes thread locals at their first use, and takes no constants.
macro_rules! lazy_thread_local {
    (static $name:ident: $t:ty = const $initial:block;) => {
        loom::thread_local! { static $name: $t = $initial; }
    };
}
pub(super) use lazy_thread_local as thread_local;

/// A replacement for the standard library's `Arc`, counted by the same accesses with the same ordering. loom's own
/// `Arc` orders more when a count is read, which would hide code that relies on it.
pub(crate) struct Arc<T> {
    count: std::sync::Arc<AtomicUsize>,
    value: std::sync::Arc<T>,
}

impl<T> Arc<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { count: std::sync::Arc::new(AtomicUsize::new(1)), value: std::sync::Arc::new(value) }
    }

    pub(crate) fn strong_count(this: &Self) -> usize {
        this.count.load(Ordering::Relaxed)
    }

    pub(crate) fn as_ptr(this: &Self) -> *const T {
        std::sync::Arc::as_ptr(&this.value)
    }

    pub(crate) fn downgrade(this: &Self) -> Weak<T> {
        Weak(std::sync::Arc::downgrade(&this.value))
    }
}

impl<T: Default> Default for Arc<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        self.count.fetch_add(1, Ordering::Relaxed);
        Self { count: self.count.clone(), value: self.value.clone() }
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        // After a failure, values are dropped outside of the schedule, where its atomics cannot be used.
        if std::thread::panicking() {
            return;
        }
        if self.count.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
        }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A reference that is not counted. While it exists no other value gets its address.
#[derive(Default)]
pub(crate) struct Weak<T>(std::sync::Weak<T>);

impl<T> Weak<T> {
    pub(crate) fn as_ptr(&self) -> *const T {
        self.0.as_ptr()
    }

    pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
        unimplemented!("no schedule needs the gate of a mark")
    }
}
