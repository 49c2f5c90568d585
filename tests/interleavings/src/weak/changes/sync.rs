//! In place of keyward's `sync`: the primitives of loom.

#[path = "../../arc_swap.rs"]
mod arc_swap;

pub(super) use crate::sync::SLOT_BITS;
pub(super) use arc_swap::ArcSwap;
pub(super) use loom::sync::{Mutex, MutexGuard, atomic};
pub(super) use std::sync::{Arc, PoisonError};

/// A replacement for tokio's `watch` that does nothing, so that waking a waiter adds no ordering.
pub(super) mod watch {
    use std::marker::PhantomData;

    #[derive(Clone)]
    pub(crate) struct Sender<T>(PhantomData<T>);
    pub(crate) type Receiver<T> = Sender<T>;

    pub(crate) fn channel<T>(_: T) -> (Sender<T>, Receiver<T>) {
        (Sender(PhantomData), Sender(PhantomData))
    }

    impl<T> Sender<T> {
        pub(crate) fn send_replace(&self, _: T) {}

        pub(crate) fn subscribe(&self) -> Receiver<T> {
            Sender(PhantomData)
        }
    }
}
