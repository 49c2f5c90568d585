use std::ops::Deref;
use std::sync::Arc;

/// The values are where no schedule sees them: who knows a number has its value.
pub(crate) struct ArcSwap<T> {
    values: std::sync::Mutex<Vec<Arc<T>>>,
    present: AtomicUsize,
    /// Every access touches it first, and it orders nothing. Of a place loom remembers the last access alone: after two loads it
    /// would try a store before the second, and not before the first.
    touched: AtomicUsize,
}

/// What was loaded.
pub(crate) struct Guard<T>(Arc<T>);

impl<T> Deref for Guard<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        Self { values: vec![Arc::new(value)].into(), present: AtomicUsize::new(0), touched: AtomicUsize::new(0) }
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.touch();
        self.value(self.present.load(Ordering::Acquire))
    }

    pub(crate) fn load(&self) -> Guard<T> {
        Guard(self.load_full())
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        let place = self.keep(value);
        self.touch();
        self.present.swap(place, Ordering::AcqRel);
    }

    /// The value before.
    pub(crate) fn rcu<R: Into<Arc<T>>>(&self, change: impl Fn(&Arc<T>) -> R) -> Arc<T> {
        self.touch();
        let mut present = self.present.load(Ordering::Acquire);
        loop {
            let before = self.value(present);
            let place = self.keep(change(&before).into());
            match self.present.compare_exchange(present, place, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return before,
                Err(other) => present = other,
            }
        }
    }

    fn touch(&self) {
        self.touched.fetch_add(1, Ordering::Relaxed);
    }

    fn value(&self, place: usize) -> Arc<T> {
        self.values.lock().unwrap()[place].clone()
    }

    fn keep(&self, value: Arc<T>) -> usize {
        let mut values = self.values.lock().unwrap();
        values.push(value);
        values.len() - 1
    }
}
