//! What depends on the memory order of atomics: `resolve/freshness.rs` under a scheduler that lets every load answer with every
//! value that the memory model allows.

include!(concat!(env!("OUT_DIR"), "/src/weak.rs"));

mod swap {
    use loom::sync::atomic::{AtomicUsize, Ordering};
    include!("swap_in.rs");
}

#[cfg(test)]
mod tests;

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
