//! The measuring: interleaved samples of every row, on one thread, and one table.
//!
//! A sample sends a few thousand requests through one service. They are built in small groups just before they are sent, outside
//! the measured time, so that a header's bytes are as warm as in a server that has just read them. Dropping request and response
//! is measured, for baselines too.

use http::Request;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tower_service::Service;

/// Few at a time, as a thread of a server has them: an allocator keeps few free pieces of one size at hand.
const GROUP: usize = 8;
const GROUPS: usize = 384;
/// Groups that are sent first and not counted: the other rows had the caches in between.
const WARM_UP: usize = 128;

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) over: Option<&'static str>,
    pub(crate) allocations: f64,
    sample: Box<dyn FnMut() -> f64>,
    samples: Vec<f64>,
}

impl Row {
    /// Sends what `next` builds through `service`, and expects this status of every answer.
    pub(crate) fn new<S, B, ResBody>(
        name: &'static str,
        over: Option<&'static str>,
        status: u16,
        mut service: S,
        mut next: impl FnMut() -> Request<B> + 'static,
    ) -> Self
    where
        S: Service<Request<B>, Response = http::Response<ResBody>> + 'static,
        B: 'static,
    {
        let mut waiting = Vec::with_capacity(GROUP);
        let mut group = move |counted: bool| {
            waiting.extend((0..GROUP).map(|_| next()));
            let send = || {
                let began = Instant::now();
                for request in waiting.drain(..) {
                    let response = answer(&mut service, request);
                    assert_eq!(response.status().as_u16(), status, "{name}");
                    black_box(&response);
                }
                began.elapsed()
            };
            measured(counted, send)
        };
        group(false);
        let allocations = group(true).1 as f64 / GROUP as f64;
        let sample = move || {
            (0..WARM_UP).for_each(|_| _ = group(false));
            let spent: Duration = (0..GROUPS).map(|_| group(false).0).sum();
            spent.as_nanos() as f64 / (GROUP * GROUPS) as f64
        };
        Self { name, over, allocations, sample: Box::new(sample), samples: Vec::new() }
    }

    /// Repeats a step that is no service: a part of the way.
    pub(crate) fn part<T>(name: &'static str, mut step: impl FnMut() -> T + 'static) -> Self {
        let mut group = move |counted: bool| {
            measured(counted, || {
                let began = Instant::now();
                (0..GROUP).for_each(|_| drop(black_box(step())));
                began.elapsed()
            })
        };
        group(false);
        let allocations = group(true).1 as f64 / GROUP as f64;
        let sample = move || {
            (0..WARM_UP).for_each(|_| _ = group(false));
            let spent: Duration = (0..GROUPS).map(|_| group(false).0).sum();
            spent.as_nanos() as f64 / (GROUP * GROUPS) as f64
        };
        Self { name, over: None, allocations, sample: Box::new(sample), samples: Vec::new() }
    }

    /// Nanoseconds a request.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    /// Nanoseconds a request, in the best sample.
    pub(crate) fn least(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Samples all rows in turn until the time is over.
pub(crate) fn run(rows: &mut [Row], time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        round(rows);
    }
}

/// Samples each row once.
pub(crate) fn round(rows: &mut [Row]) {
    for row in rows {
        row.samples.push((row.sample)());
    }
}

/// Runs `send`, counting allocations if `counted`; else the counter is out of the way, but for one thread-local read.
fn measured(counted: bool, mut send: impl FnMut() -> Duration) -> (Duration, u64) {
    let mut spent = Duration::ZERO;
    let mut allocations = 0;
    match counted {
        true => allocations = allocation_counter::measure(|| spent = send()).count_total,
        false => allocation_counter::opt_out(|| spent = send()),
    }
    (spent, allocations)
}

/// Everything in here answers at once: nothing is looked up in a store, nothing awaits.
pub(crate) fn answer<S: Service<Request<B>>, B>(service: &mut S, request: Request<B>) -> S::Response {
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(_)) => panic!("a service failed"),
        Poll::Pending => panic!("a service had to wait: is the token not cached?"),
    }
}
