//! The numbers of [`Health`] as metrics.

use super::{Health, Resolver};
use crate::sync::Arc;
use ::metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use std::time::Duration;

/// How often the numbers are published.
const EVERY: Duration = Duration::from_secs(1);

type Gauge = (&'static str, Unit, &'static str, fn(&Health) -> Option<f64>);
type Counter = (&'static str, &'static str, fn(&Health) -> u64);

const GAUGES: [Gauge; 11] = [
    ("keyward_ready", Unit::Count, "1 if requests with a token are answered, 0 if they get 503", |h| {
        Some(f64::from(u8::from(h.ready)))
    }),
    ("keyward_lease_age_seconds", Unit::Seconds, "Age of this node's knowledge of the store", |h| seconds(h.lease_age)),
    ("keyward_lease_left_seconds", Unit::Seconds, "Remaining time of the lease", |h| seconds(h.lease_left)),
    ("keyward_applied_seq", Unit::Count, "Sequence of the last change that was applied", |h| h.applied_seq.map(number)),
    ("keyward_lag_seconds", Unit::Seconds, "Time between the last change and its arrival", |h| seconds(h.lag)),
    ("keyward_era", Unit::Count, "Increases when everything cached becomes stale", |h| Some(number(h.era))),
    ("keyward_cache_entries", Unit::Count, "Tokens in the cache", |h| Some(number(h.cache_entries))),
    ("keyward_cache_bytes", Unit::Bytes, "Approximate size of the cache", |h| Some(number(h.cache_bytes))),
    ("keyward_absent_entries", Unit::Count, "Digests remembered as absent", |h| Some(number(h.absent_entries))),
    ("keyward_lookups_in_flight", Unit::Count, "Running look-ups", |h| Some(number(h.lookups_in_flight))),
    ("keyward_lookups_waiting", Unit::Count, "Look-ups that wait for a permit", |h| Some(number(h.lookups_waiting))),
];

const COUNTERS: [Counter; 7] = [
    ("keyward_cache_misses_total", "Requests that the cache could not answer", |h| h.cache_misses),
    ("keyward_store_reads_total", "Store reads for tokens", |h| h.store_reads),
    ("keyward_lookups_failed_total", "Look-ups that the store answered with an error", |h| h.lookups_failed),
    ("keyward_lookups_overloaded_total", "Look-ups given up without a permit", |h| h.lookups_overloaded),
    ("keyward_lookups_late_total", "Look-ups that the store did not answer in time", |h| h.lookups_late),
    ("keyward_warmed_tokens_total", "Tokens that the warm-up cached", |h| h.warmed_tokens),
    ("keyward_warmed_hits_total", "Look-ups that the warm-up saved", |h| h.warmed_hits),
];

impl Resolver {
    /// Publishes the numbers until the resolver is dropped.
    pub(crate) fn publish(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        self.tasks.spawn(|mut stop| async move {
            describe();
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.requested() => return,
                    _ = ticks.tick() => {}
                }
                let Some(resolver) = weak.upgrade() else { return };
                record(&resolver.health());
            }
        });
    }
}

fn describe() {
    for (name, unit, description, _) in GAUGES {
        describe_gauge!(name, unit, description);
    }
    for (name, description, _) in COUNTERS {
        describe_counter!(name, Unit::Count, description);
    }
    describe_counter!("keyward_rejections_total", Unit::Count, "Rejected requests, by reason");
    describe_counter!("keyward_sign_ins_busy_total", Unit::Count, "Sign-ins answered 503 because too many waited");
}

fn record(health: &Health) {
    for (name, _, _, of) in GAUGES {
        if let Some(value) = of(health) {
            gauge!(name).set(value);
        }
    }
    for (name, _, of) in COUNTERS {
        counter!(name).absolute(of(health));
    }
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

/// Exact up to 2^53.
fn number(count: u64) -> f64 {
    count as f64
}
