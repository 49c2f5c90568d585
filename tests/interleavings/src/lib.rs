//! Tests of the coherence protocol and of request marks under every order of their steps.
//!
//! keyward's own sources run here under schedulers:
//!
//! ```text
//! cargo test -p keyward-interleavings
//! KEYWARD_SCHEDULES=100000 cargo test --release -p keyward-interleavings steps
//! ```
//!
//! - [`weak`] explores the memory ordering of atomics with loom: every order up to a number of preemptions, and every
//!   value that a load may return.
//! - [`steps`] explores the order of tasks with shuttle: a number of random orders, the same in every run.
//!
//! The explored copy has the `sync` of this package in place of keyward's, and few other replacements (`build.rs`). The
//! sources themselves contain no switch for it. Each property is also tested with seeded mistakes: for each one in
//! `mistakes.rs` a test has to fail that passes without it.
//!
//! Not explored: the internals of the cache and of the map of look-ups (an access to them is one step), and deadlines
//! (none ever expires).

// The copy contains the whole crate, and only a part of it is used. The original sources are linted.
#![allow(dead_code, unused, unexpected_cfgs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/src/root.rs"));

mod hands;
mod mistakes;
#[cfg(test)]
mod steps;
mod sync;
#[cfg(test)]
mod weak;

use std::cell::Cell;

std::thread_local! {
    // All threads of a schedule run on one thread of the system.
    static MADE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Returns whether this mistake is switched on.
pub(crate) fn made(mistake: &str) -> bool {
    MADE.get() == Some(mistake)
}

/// Asserts that `explore` fails with this mistake, and not by a deadlock or a limit.
#[cfg(test)]
fn breaks_when(mistake: &'static str, explore: impl FnOnce()) {
    let known =
        mistakes::MISTAKES.iter().any(|(name, ..)| *name == mistake) || mistakes::OF_REPLACEMENTS.contains(&mistake);
    assert!(known, "unknown mistake: {mistake}");
    MADE.set(Some(mistake));
    let explored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(explore));
    MADE.set(None);
    let Err(failure) = explored else { panic!("the test passes with the mistake: {mistake}") };
    let message = failure.downcast_ref::<String>().map_or("", String::as_str);
    assert!(!message.contains("max_steps") && !message.contains("deadlock"), "the schedule does not end: {mistake}");
    println!("the test fails with the mistake: {mistake}");
}
