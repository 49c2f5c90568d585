//! The resident memory of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Returns the resident memory of this process in bytes, or 0 where the system does not report it.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}

/// Watches how much the resident memory grows, from a thread that looks every few milliseconds.
pub struct GrowthWatch {
    before: u64,
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl GrowthWatch {
    pub fn start() -> Self {
        let watch = Self { before: resident_bytes(), most: Arc::default(), over: Arc::default() };
        let (most, over) = (watch.most.clone(), watch.over.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(resident_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        watch
    }

    /// Returns the largest growth since the start, in bytes.
    pub fn growth(&self) -> u64 {
        self.most.load(Ordering::Relaxed).max(resident_bytes()).saturating_sub(self.before)
    }
}

impl Drop for GrowthWatch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
