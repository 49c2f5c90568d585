//! The backstop's log: one line a minute for each method and path that forgot to guard itself.

use crate::domain::{MonotonicTime, Reason};
use http::Method;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many places are told apart in a minute; of more, nothing is said but that there are more.
const PLACES: usize = 64;
const EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Unguarded(Mutex<Said>);

#[derive(Default)]
struct Said {
    since: Option<MonotonicTime>,
    places: HashSet<(Method, String)>,
}

impl Unguarded {
    /// Says it, unless it was said within the last minute. What there is of a path is not long.
    pub(super) fn report(&self, method: &Method, path: &str, now: MonotonicTime) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.since.is_none_or(|since| now.since(since) >= EVERY) {
            *said = Said { since: Some(now), places: HashSet::new() };
        }
        if said.places.len() > PLACES || !said.places.insert((method.clone(), path.to_owned())) {
            return;
        }
        let too_many = said.places.len() > PLACES;
        drop(said);
        if too_many {
            tracing::error!("more responses were withheld within a minute than are listed here");
            return;
        }
        tracing::error!(
            %method,
            path,
            reason = Reason::Unguarded.as_str(),
            "a response was withheld: the route required nothing of its caller, or did not take its decision"
        );
    }
}
