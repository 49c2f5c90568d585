//! Explores the order of tasks: shared and cancelled look-ups, look-ups that a change overtakes, changes whose client
//! disconnects, reports of the host, and the poller. Each access to shared state is one step, after which another task may run.

mod accounts;
mod log;
mod log_node;
mod single_node;

use crate::breaks_when;
use crate::clock::SeededEntropy;
use crate::domain::{Digest, TokenKind, TokenKinds, VerifiedSecret};
use crate::guard::Unavailable;
use crate::resolve::{CacheKeys, KnownSecret, Lane, Resolved, Resolver};
use crate::time::MonotonicTime;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::sync::Arc;

/// A fixed seed, so that every run tries the same orders. `KEYWARD_SCHEDULES` sets their number.
const SEED: u64 = 7;
const SCHEDULES: usize = 400;

fn explore<F: Future<Output = ()> + Send + 'static>(test: fn() -> F) {
    let schedules = std::env::var("KEYWARD_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(SCHEDULES);
    run(RandomScheduler::new_from_seed(SEED, schedules), test);
    run(PctScheduler::new_from_seed(SEED, 3, schedules), test);
}

fn run<F: Future<Output = ()> + Send + 'static>(scheduler: impl Scheduler + 'static, test: fn() -> F) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(100_000);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || shuttle::future::block_on(test()));
}

fn breaks<F: Future<Output = ()> + Send + 'static>(mistake: &'static str, test: fn() -> F) {
    breaks_when(mistake, || explore(test));
}

fn cache_keys() -> CacheKeys {
    CacheKeys::draw(&SeededEntropy::new(SEED)).unwrap()
}

/// Returns whether a request with the token of this digest is admitted, by the same steps as in the gate: the cache by
/// the secret's key, the cache after verification, then a look-up.
async fn admits(resolver: &Arc<Resolver>, digest: Digest, now: MonotonicTime) -> Result<bool, Unavailable> {
    let cache_key = resolver.cache_key(b"the secret of the token");
    if resolver.find_hit(cache_key, TokenKinds::of(&TokenKind::ALL), now).is_some() {
        return Ok(true);
    }
    let secret = KnownSecret::new(VerifiedSecret { digest, kind: None }, cache_key);
    let resolved = match resolver.known(&secret, now) {
        Some(known) => known,
        None => resolver.clone().ask(secret, Lane::Unknown).await?,
    };
    Ok(matches!(resolved, Resolved::Found(entry) if entry.judge(now).is_ok()))
}
