//! Store reads and memory during a flood of invalid secrets. `cargo bench --bench flood` sends a hundred times as many and also measures
//! the latency of valid tokens. A test binary of its own, because it measures the memory of the process.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../benches/flood/installation/mod.rs"]
#[allow(dead_code, reason = "the bench also measures durations")]
mod installation;

use installation::{Flood, Installation, Target};
use keyward_test_support::memory::GrowthWatch;
use std::sync::atomic::{AtomicU64, Ordering};

const VALID: usize = 1_000;
const ABSENT: u64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_invalid_secrets_takes_bounded_reads_and_memory() {
    let installation = Installation::new(VALID).await;
    let memory = GrowthWatch::start();
    let outcome = installation.run(Flood { made_up: 100_000, absent: ABSENT }, Target::Protected).await;
    let grown = memory.growth();
    installation.use_all().await;
    let counts = installation.counts();
    let count = |counted: &AtomicU64| counted.load(Ordering::SeqCst);
    let reads = [&counts.absent, &counts.strapi].map(count);
    println!("{reads:?} reads, {} rejected as overloaded, grew by {} KiB", outcome.overloaded, grown >> 10);
    assert_eq!(
        reads.iter().sum::<u64>() + outcome.overloaded,
        2 * ABSENT,
        "one read per absent token and none for made-up ones"
    );
    assert_eq!(outcome.rejected + outcome.overloaded, 2 * ABSENT);
    assert_eq!(count(&counts.valid), VALID as u64, "all valid tokens are still cached");
    assert!(count(&counts.most) <= 12 && count(&counts.most_strapi) <= 4, "more concurrent reads than allowed");
    assert!(installation.health().absent_entries <= 4096);
    assert!(grown < 16 << 20, "grew by {grown} bytes");
}
