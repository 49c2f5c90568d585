//! Explores the order of tasks: shared and cancelled look-ups, look-ups that a change overtakes, changes whose client
//! disconnects, and the poller. Each access to shared state is one step, after which another task may run.

mod log;
mod log_node;
mod single_node;

use crate::breaks_when;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

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
