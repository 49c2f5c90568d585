//! What a flood may cost of store and memory: a hundredth of the one in `cargo bench --bench flood`, which also measures how long
//! valid tokens take meanwhile. A test binary of its own, because it looks at the memory of the whole process.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../benches/flood/installation/mod.rs"]
#[allow(dead_code, reason = "the bench also measures durations")]
mod installation;

use installation::{Flood, Installation, To};
use keyward_test_support::memory::GrowthWatch;
use std::sync::atomic::{AtomicU64, Ordering};

const VALID: usize = 1_000;
const ABSENT: u64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_invalid_secrets_takes_bounded_reads_and_memory() {
    let installation = Installation::of(VALID).await;
    let memory = GrowthWatch::start();
    let outcome = installation.under(Flood { made_up: 100_000, absent: ABSENT }, To::Protected).await;
    let grown = memory.growth();
    installation.use_all().await;
    let seen = installation.seen();
    let count = |counted: &AtomicU64| counted.load(Ordering::SeqCst);
    let reads = [&seen.absent, &seen.reference].map(count);
    println!("{reads:?} reads, {} told to come again, grown by {} KiB", outcome.overloaded, grown >> 10);
    assert_eq!(reads.iter().sum::<u64>() + outcome.overloaded, 2 * ABSENT, "one each, and none for made-up ones");
    assert_eq!(outcome.refused + outcome.overloaded, 2 * ABSENT);
    assert_eq!(count(&seen.valid), VALID as u64, "all of them are still cached");
    assert!(count(&seen.most) <= 12 && count(&seen.most_reference) <= 4, "more at a time than there are turns");
    assert!(installation.health().absent_entries <= 4096);
    assert!(grown < 16 << 20, "grew by {grown} bytes");
}
