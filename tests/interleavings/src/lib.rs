//! In which order can the steps of the coherence protocol come, and what may a thread see of another's, there and on the mark of a
//! request? Here keyward's own sources run under schedulers that try:
//!
//! ```text
//! cargo test -p keyward-interleavings
//! KEYWARD_SCHEDULES=100000 cargo test --release -p keyward-interleavings steps
//! ```
//!
//! [`weak`] is about the memory order of atomics (loom: every order, up to a number of interruptions, and every value that a load
//! may answer with), [`steps`] about tasks (shuttle: so many orders, by chance, and the same in every run). `build.rs` says what is
//! swapped in the copy that is explored; the sources know nothing of it. Each law is then broken on purpose: every line of
//! `mistakes.rs` has to be noticed by a test that holds without it.
//!
//! Not explored: the inside of the cache and of the map of flights (an access to them is one step), and deadlines (none ever ends).

// All of the crate is here, and a part of it is used. It is linted where it is.
#![allow(dead_code, unused, unexpected_cfgs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/src/root.rs"));

mod hands;
mod mistakes;
#[cfg(test)]
mod steps;
mod swap;
mod weak;

use std::cell::Cell;

std::thread_local! {
    // A schedule runs on one thread of the machine, however many it has of its own.
    static MADE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Whether this mistake is to be made.
pub(crate) fn made(mistake: &str) -> bool {
    MADE.get() == Some(mistake)
}

/// With this mistake, `explore` has to fail.
#[cfg(test)]
fn breaks_when(mistake: &'static str, explore: impl FnOnce()) {
    let known = mistakes::MISTAKES.iter().any(|(name, ..)| *name == mistake);
    assert!(known, "nobody seeds this mistake: {mistake}");
    MADE.set(Some(mistake));
    let explored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(explore));
    MADE.set(None);
    let Err(noticed) = explored else { panic!("not noticed: {mistake}") };
    let says = noticed.downcast_ref::<String>().map_or("", String::as_str);
    assert!(!says.contains("max_steps") && !says.contains("deadlock"), "it only goes on for ever: {mistake}");
    println!("noticed: {mistake}");
}
