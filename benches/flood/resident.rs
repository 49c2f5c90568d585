//! What of this process is in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// In bytes; 0 where the system does not say.
pub(crate) fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}

/// Looks every few milliseconds, on a thread of its own.
pub(crate) struct Watched {
    before: u64,
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Watched {
    pub(crate) fn from_now_on() -> Self {
        let watched = Self { before: resident(), most: Arc::default(), over: Arc::default() };
        let (most, over) = (watched.most.clone(), watched.over.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        watched
    }

    /// How many bytes more there were at any time than in the beginning.
    pub(crate) fn grown(&self) -> u64 {
        self.most.load(Ordering::Relaxed).max(resident()).saturating_sub(self.before)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
