//! The backstop's log: one line a minute for each method and path that forgot to guard itself.

use crate::domain::{Moment, Reason};
use http::Method;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many places are told apart; beyond that, the oldest are forgotten together.
const PLACES: usize = 1024;
const EVERY: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Unguarded(Mutex<HashMap<(Method, String), Moment>>);

impl Unguarded {
    /// Says it, unless it was said within the last minute.
    pub(super) fn report(&self, method: &Method, path: &str, now: Moment) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (method.clone(), path.to_owned());
        if said.get(&place).is_some_and(|at| now.since(*at) < EVERY) {
            return;
        }
        if said.len() >= PLACES {
            said.clear();
        }
        said.insert(place, now);
        drop(said);
        tracing::error!(
            %method,
            path,
            reason = Reason::Unguarded.as_str(),
            "a response was withheld: the route required nothing of its caller, or did not take its decision"
        );
    }
}
