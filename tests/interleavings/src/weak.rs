//! What depends on the memory order of atomics: `resolve/freshness.rs` and `guard/mark.rs` under a scheduler that lets every load
//! answer with every value that the memory model allows.

include!(concat!(env!("OUT_DIR"), "/src/weak.rs"));

mod swap {
    use loom::sync::atomic::{AtomicUsize, Ordering};
    include!("swap_in.rs");
}

/// In place of the standard library's `Arc`: counted by the same accesses in the same order. Loom's own orders more where a count
/// is read, and would let pass whoever relies on that.
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

        /// Counts for nothing, and keeps the address from being another's.
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
            // What is left where a schedule failed is let go outside of it.
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

/// A mark only knows which gate it came through.
struct Gate;

#[cfg(test)]
mod marks;
#[cfg(test)]
mod tests;

/// Every order in which no more than so many threads are interrupted.
#[cfg(test)]
const INTERRUPTIONS: usize = 3;

#[cfg(test)]
fn holds(test: fn()) {
    let mut explored = loom::model::Builder::new();
    explored.preemption_bound = Some(INTERRUPTIONS);
    explored.check(test);
}

#[cfg(test)]
fn breaks(mistake: &'static str, test: fn()) {
    crate::breaks_when(mistake, || holds(test));
}

/// In place of tokio's: who waits here needs no order, and none is to come from waking them.
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
