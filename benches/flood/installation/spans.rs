//! A histogram of durations with a fixed number of buckets, so that measuring takes no growing memory.

use std::time::Duration;

/// The number of buckets per power of two: three percent apart.
const STEPS: u64 = 32;
const BUCKETS: usize = 64 * STEPS as usize;

#[derive(Clone)]
pub(crate) struct Spans(Box<[u64]>);

impl Default for Spans {
    fn default() -> Self {
        Self(vec![0; BUCKETS].into())
    }
}

impl Spans {
    pub(crate) fn record(&mut self, span: Duration) {
        self.0[bucket_of(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))] += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(count, more)| *count += more);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the upper bound of the bucket that has this quantile.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let mut left = (self.count() as f64 * part) as u64;
        let full = self.0.iter().position(|&count| {
            let reached = count > left;
            left = left.saturating_sub(count);
            reached
        });
        Duration::from_nanos(lower_bound(full.unwrap_or(BUCKETS - 1) + 1))
    }
}

fn bucket_of(nanos: u64) -> usize {
    let power = u64::from(nanos.max(STEPS).ilog2() - STEPS.ilog2());
    (power * STEPS + (nanos >> power)) as usize
}

/// Returns the lower bound of a bucket.
fn lower_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let power = (bucket / STEPS).saturating_sub(1);
    (bucket - power * STEPS) << power
}
