//! The numbers of [`Health`], for whoever records metrics.

use super::{Health, Resolver};
use ::metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use std::sync::Arc;
use std::time::Duration;

/// How often the numbers are published.
const EVERY: Duration = Duration::from_secs(1);

type Gauge = (&'static str, Unit, &'static str, fn(&Health) -> Option<f64>);
type Counter = (&'static str, &'static str, fn(&Health) -> u64);

const GAUGES: [Gauge; 11] = [
    (
        "keyward_ready",
        Unit::Count,
        "1 with a lease and look-ups that are answered, 0 without: then requests are answered 503",
        |h| Some(f64::from(u8::from(h.ready))),
    ),
    ("keyward_lease_age_seconds", Unit::Seconds, "Age of what is known of the store", |h| seconds(h.lease_age)),
    ("keyward_lease_left_seconds", Unit::Seconds, "How much longer that is good", |h| seconds(h.lease_left)),
    ("keyward_applied_seq", Unit::Count, "Sequence of the last change that was applied", |h| h.applied_seq.map(number)),
    ("keyward_lag_seconds", Unit::Seconds, "How long after it was made the last change arrived", |h| seconds(h.lag)),
    ("keyward_era", Unit::Count, "Rises when nothing that is cached counts any more", |h| Some(number(h.era))),
    ("keyward_cache_entries", Unit::Count, "Tokens in the cache", |h| Some(number(h.cache_entries))),
    ("keyward_cache_bytes", Unit::Bytes, "Their size, roughly", |h| Some(number(h.cache_bytes))),
    ("keyward_absent_entries", Unit::Count, "Digests remembered as absent", |h| Some(number(h.absent_entries))),
    ("keyward_lookups_in_flight", Unit::Count, "Look-ups under way", |h| Some(number(h.lookups_in_flight))),
    ("keyward_lookups_waiting", Unit::Count, "Look-ups that wait for their turn", |h| Some(number(h.lookups_waiting))),
];

const COUNTERS: [Counter; 5] = [
    ("keyward_cache_misses_total", "Requests that found no answer in the cache", |h| h.cache_misses),
    ("keyward_store_reads_total", "How often the store was asked for a token", |h| h.store_reads),
    ("keyward_lookups_failed_total", "Look-ups that the store answered with an error", |h| h.lookups_failed),
    ("keyward_lookups_overloaded_total", "Look-ups given up before their turn", |h| h.lookups_overloaded),
    ("keyward_lookups_late_total", "Look-ups that the store did not answer in time", |h| h.lookups_late),
];

impl Resolver {
    /// Publishes for as long as the resolver lives.
    pub(crate) fn publish(self: &Arc<Self>) {
        let home = Arc::downgrade(self);
        self.tasks.spawn(|mut stop| async move {
            describe();
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.told() => return,
                    _ = ticks.tick() => {}
                }
                let Some(resolver) = home.upgrade() else { return };
                record(&resolver.health());
            }
        });
    }
}

fn describe() {
    for (name, unit, what, _) in GAUGES {
        describe_gauge!(name, unit, what);
    }
    for (name, what, _) in COUNTERS {
        describe_counter!(name, Unit::Count, what);
    }
    describe_counter!("keyward_refusals_total", Unit::Count, "Refused requests, by reason");
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
