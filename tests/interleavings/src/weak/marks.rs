//! A handler writes on a mark, or lets go of it, while the gate reads it and gives it to the next request.

use super::mark::{GuardHandle, Mark};
use super::{breaks, counted::Arc, holds};
use crate::domain::{Reason, action};
use loom::thread;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a mark was used again in any order.
static USED_AGAIN: AtomicBool = AtomicBool::new(false);

fn blank() -> (GuardHandle, Arc<Mark>) {
    GuardHandle::blank(&http::Method::GET, "/")
}

/// The request is over while a handler, somewhere else, still writes this; the next one comes to a gate in the same thread.
/// Whatever mark that one gets, nothing is on it, and what is written then comes to it neither.
fn the_next_request_is_nobodys(writes: fn(&Mark)) {
    let (held, mark) = blank();
    let address = Arc::address(&mark);
    let handler = thread::spawn(move || {
        writes(&mark);
        drop(mark);
    });
    drop(held);
    let (held, mark) = blank();
    if address.ptr_eq(&Arc::address(&mark)) {
        USED_AGAIN.store(true, Ordering::Relaxed);
    }
    let at_once = is_blank(&held, &mark);
    handler.join().unwrap();
    let in_the_end = is_blank(&held, &mark);
    drop((held, mark));
    // Once nothing is left that a failure would let go of.
    assert!(at_once && in_the_end, "somebody else's: {at_once} {in_the_end}");
}

fn is_blank(held: &GuardHandle, mark: &Mark) -> bool {
    held.outcome() == Err(Reason::Unguarded) && held.missing().is_none() && mark.required().is_empty()
}

fn after_it_is_passed() {
    the_next_request_is_nobodys(Mark::pass);
}

fn after_it_is_passed_for_some_rows() {
    the_next_request_is_nobodys(Mark::pass_pending);
}

fn after_it_is_denied() {
    the_next_request_is_nobodys(|mark| mark.deny(&action("x")));
}

fn after_a_handler_required_something() {
    the_next_request_is_nobodys(|mark| mark.pass_as(&action("x")));
}

/// A gate that reads while a handler passes for some rows sees no pass for all.
fn some_rows_are_never_all() {
    let (held, mark) = blank();
    let handler = thread::spawn(move || mark.pass_pending());
    let (seen, end) = (held.outcome(), handler.join().map(|()| held.outcome()));
    drop(held);
    assert_eq!((seen, end.unwrap()), (Err(Reason::Unguarded), Err(Reason::Unguarded)));
}

/// What was denied before something else passes stays denied.
fn who_was_denied_does_not_pass() {
    let (held, mark) = blank();
    let handler = thread::spawn(move || {
        mark.deny(&action("x"));
        mark.pass();
    });
    let (seen, end) = (held.outcome(), handler.join().map(|()| held.outcome()));
    drop(held);
    assert!(seen.is_err(), "{seen:?}");
    assert_eq!(end.unwrap(), Err(Reason::Forbidden));
}

#[test]
fn no_request_gets_what_is_written_on_anothers_mark() {
    for (written, test) in [
        (false, after_it_is_passed as fn()),
        (false, after_it_is_passed_for_some_rows),
        (true, after_it_is_denied),
        (true, after_a_handler_required_something),
    ] {
        USED_AGAIN.store(false, Ordering::Relaxed);
        holds(test);
        assert_ne!(USED_AGAIN.load(Ordering::Relaxed), written, "it is used again unless that is written down");
        breaks("a mark is used again that somebody holds", test);
        breaks("a mark is used again as its last holder left it", test);
    }
}

#[test]
fn a_gate_sees_no_more_than_there_is() {
    holds(some_rows_are_never_all);
    breaks("passed before it is pending", some_rows_are_never_all);
    breaks("a pass is published relaxed", some_rows_are_never_all);
    breaks("a pass is read relaxed", some_rows_are_never_all);
    holds(who_was_denied_does_not_pass);
    breaks("a pass is published relaxed", who_was_denied_does_not_pass);
}
