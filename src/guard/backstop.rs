//! The log of unguarded routes: one line a minute for each method and path.

use crate::domain::{MonotonicTime, Reason};
use http::Method;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The number of routes that are logged in a minute. One more line says that there are others.
const ROUTES: usize = 64;
const EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct UnguardedLog(Mutex<Logged>);

#[derive(Default)]
struct Logged {
    since: Option<MonotonicTime>,
    routes: HashSet<(Method, String)>,
}

impl UnguardedLog {
    /// Logs a withheld response, unless its route was logged within the last minute.
    pub(super) fn report(&self, method: &Method, path: &str, now: MonotonicTime) {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.since.is_none_or(|since| now.since(since) >= EVERY) {
            *logged = Logged { since: Some(now), routes: HashSet::new() };
        }
        if logged.routes.len() > ROUTES || !logged.routes.insert((method.clone(), path.to_owned())) {
            return;
        }
        let too_many = logged.routes.len() > ROUTES;
        drop(logged);
        if too_many {
            tracing::error!("more responses were withheld within a minute than are logged");
            return;
        }
        tracing::error!(
            %method,
            path,
            reason = Reason::Unguarded.as_str(),
            "a response was withheld: the route had no requirement, or did not take its decision"
        );
    }
}
