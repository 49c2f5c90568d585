//! Samples every row in turn, on one thread.
//!
//! A sample sends a few thousand requests through one service. Requests are built in small groups just before they are
//! sent, outside the measured time. So the bytes of a header are in the processor's cache, as in a server that has just
//! read them. Dropping request and response is measured, for baselines too.

use http::Request;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tower_service::Service;

/// The number of requests that exist at a time. It is small, because an allocator caches few free blocks of one size.
const GROUP: usize = 8;
const GROUPS: usize = 384;
/// The number of groups that are sent first and not measured, because other rows have filled the processor's caches.
const WARM_UP: usize = 128;

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The name of the baseline that is subtracted.
    pub(crate) over: Option<&'static str>,
    pub(crate) allocations: f64,
    sample: Box<dyn FnMut() -> f64>,
    samples: Vec<f64>,
}

impl Row {
    /// Creates a row that sends the requests of `next` through `service` and asserts the status of each response.
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
        let mut requests = Vec::with_capacity(GROUP);
        let mut group = move |counted: bool| {
            requests.extend((0..GROUP).map(|_| next()));
            let send = || {
                let began = Instant::now();
                for request in requests.drain(..) {
                    let response = call(&mut service, request);
                    assert_eq!(response.status().as_u16(), status, "{name}");
                    black_box(&response);
                }
                began.elapsed()
            };
            measure(counted, send)
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

    /// Creates a row that repeats one step of a request.
    pub(crate) fn part<T>(name: &'static str, mut step: impl FnMut() -> T + 'static) -> Self {
        let mut group = move |counted: bool| {
            measure(counted, || {
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

    /// Returns the median of nanoseconds per request.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    /// Returns the nanoseconds per request of the fastest sample.
    pub(crate) fn least(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Samples all rows in turn for this time.
pub(crate) fn run(rows: &mut [Row], time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        sample_each(rows);
    }
}

/// Samples each row once.
pub(crate) fn sample_each(rows: &mut [Row]) {
    for row in rows {
        row.samples.push((row.sample)());
    }
}

/// Runs `send`, and returns its time and its number of allocations. They are counted only if `counted` is set, because
/// counting takes time; otherwise the counter costs one read of a thread-local per allocation.
fn measure(counted: bool, mut send: impl FnMut() -> Duration) -> (Duration, u64) {
    let mut spent = Duration::ZERO;
    let mut allocations = 0;
    match counted {
        true => allocations = allocation_counter::measure(|| spent = send()).count_total,
        false => allocation_counter::opt_out(|| spent = send()),
    }
    (spent, allocations)
}

/// Calls a service and polls it once. Its future has to be ready, because every token is cached.
pub(crate) fn call<S: Service<Request<B>>, B>(service: &mut S, request: Request<B>) -> S::Response {
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut cx) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(_)) => panic!("the service failed"),
        Poll::Pending => panic!("the service is pending: the token may not be cached"),
    }
}
