//! Explores the memory ordering of `resolve/freshness.rs` and `guard/mark.rs`: the scheduler makes each load return
//! every value that the memory model allows.

include!(concat!(env!("OUT_DIR"), "/src/weak.rs"));

mod swap {
    use loom::sync::atomic::{AtomicUsize, Ordering};
    include!("swap_in.rs");
}

/// A replacement for the standard library's `Arc`, counted by the same accesses with the same ordering. loom's own
/// `Arc` orders more when a count is read, which would hide code that relies on it.
mod counted {
    use loom::sync::atomic::{AtomicUsize, Ordering, fence};
    use std::ops::Deref;

    pub(crate) struct Arc<T> {
        count: std::sync::Arc<AtomicUsize>,
        value: std::sync::Arc<T>,
    }

    impl<T> Arc<T> {
        pub(crate) fn strong_count(this: &Self) -> usize {
            this.count.load(Ordering::Relaxed)
        }

        /// Returns a reference that is not counted. While it exists no other value gets the address.
        pub(crate) fn address(this: &Self) -> std::sync::Weak<T> {
            std::sync::Arc::downgrade(&this.value)
        }
    }

    impl<T: Default> Default for Arc<T> {
        fn default() -> Self {
            Self { count: std::sync::Arc::new(AtomicUsize::new(1)), value: std::sync::Arc::default() }
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
}

/// A placeholder for the gate: a mark only holds a reference to it.
struct Gate;

#[cfg(test)]
mod marks;
#[cfg(test)]
mod tests;

/// The number of preemptions up to which every order is explored.
#[cfg(test)]
const PREEMPTIONS: usize = 3;

#[cfg(test)]
fn explore(test: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(test);
}

#[cfg(test)]
fn breaks(mistake: &'static str, test: fn()) {
    crate::breaks_when(mistake, || explore(test));
}

/// A replacement for tokio's `watch` that does nothing, so that waking a waiter adds no ordering.
mod watch {
    #[derive(Clone)]
    pub(crate) struct Sender<T>(std::marker::PhantomData<T>);
    pub(crate) type Receiver<T> = Sender<T>;

    pub(crate) fn channel<T>(_: T) -> (Sender<T>, ()) {
        (Sender(std::marker::PhantomData), ())
    }

    impl<T> Sender<T> {
        pub(crate) fn send_replace(&self, _: T) {}

        pub(crate) fn subscribe(&self) -> Receiver<T>
        where
            T: Clone,
        {
            self.clone()
        }
    }
}
