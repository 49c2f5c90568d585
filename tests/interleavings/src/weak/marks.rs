//! A handler writes to a mark, or drops it, while the gate reads the mark and reuses it for the next request.

mod mark {
    include!(concat!(env!("OUT_DIR"), "/src/weak/mark.rs"));
}
mod base {
    pub(super) use crate::guard::Base;
}
mod gate {
    /// A placeholder: a mark only holds a reference to its gate.
    #[derive(Default)]
    pub(super) struct Gate;
}
mod entry {
    use std::sync::{Arc, OnceLock};

    /// A placeholder: a mark holds its caller, but calls nothing of it.
    pub(super) struct Entry;

    impl Entry {
        pub(super) fn without_rights() -> &'static Arc<Self> {
            static ENTRY: OnceLock<Arc<Entry>> = OnceLock::new();
            ENTRY.get_or_init(|| Arc::new(Self))
        }
    }
}
mod sync;

use super::{breaks, explore};
use crate::domain::{Reason, action};
use loom::thread;
use mark::{GuardHandle, Mark};
use std::sync::atomic::{AtomicBool, Ordering};
use sync::{Arc, StrongArc};

/// Whether a mark was reused in any order.
static REUSED: AtomicBool = AtomicBool::new(false);

fn acquire() -> (GuardHandle, StrongArc<Mark>) {
    GuardHandle::acquire(entry::Entry::without_rights().clone(), &http::Method::GET, "/")
}

/// A request ends while its handler, on another thread, still writes to its mark. The next request on the gate's thread
/// gets a blank mark, and the late write does not reach it.
fn next_mark_stays_blank(write: fn(&Mark)) {
    let (handle, mark) = acquire();
    let first = StrongArc::number(&mark);
    let handler = thread::spawn(move || {
        write(&mark);
        drop(mark);
    });
    drop(handle);
    let (handle, mark) = acquire();
    if first == StrongArc::number(&mark) {
        REUSED.store(true, Ordering::Relaxed);
    }
    let before = is_blank(&handle, &mark);
    handler.join().unwrap();
    let after = is_blank(&handle, &mark);
    drop((handle, mark));
    // A failure must not drop marks, so they are dropped before.
    assert!(before && after, "the mark is not blank: before the late write {before}, after it {after}");
}

fn is_blank(handle: &GuardHandle, mark: &Mark) -> bool {
    handle.outcome() == Err(Reason::Unguarded)
        && handle.missing().is_none()
        && mark.numbered() == 0
        && mark.others().is_empty()
}

fn late_pass() {
    next_mark_stays_blank(Mark::pass);
}

fn late_partial_pass() {
    next_mark_stays_blank(Mark::pass_pending);
}

fn late_denial() {
    next_mark_stays_blank(|mark| mark.deny(&action("x")));
}

fn late_requirement() {
    next_mark_stays_blank(|mark| mark.add(Arc::new(action("x"))));
}

fn late_numbered_requirement() {
    next_mark_stays_blank(|mark| mark.add_numbered(3));
}

/// A gate that reads while a handler passes for some rows does not read a pass for all rows.
fn partial_pass_is_never_a_full_pass() {
    let (handle, mark) = acquire();
    let handler = thread::spawn(move || mark.pass_pending());
    let (during, after) = (handle.outcome(), handler.join().map(|()| handle.outcome()));
    drop(handle);
    assert_eq!((during, after.unwrap()), (Err(Reason::Unguarded), Err(Reason::Unguarded)));
}

/// A denial stays when another requirement passes after it.
fn denial_outlasts_a_later_pass() {
    let (handle, mark) = acquire();
    let handler = thread::spawn(move || {
        mark.deny(&action("x"));
        mark.pass();
    });
    let (during, after) = (handle.outcome(), handler.join().map(|()| handle.outcome()));
    drop(handle);
    assert!(during.is_err(), "{during:?}");
    assert_eq!(after.unwrap(), Err(Reason::Forbidden));
}

#[test]
fn late_write_does_not_reach_the_next_request() {
    for (written, test) in [
        (false, late_pass as fn()),
        (false, late_partial_pass),
        (false, late_numbered_requirement),
        (false, late_requirement),
        (true, late_denial),
    ] {
        REUSED.store(false, Ordering::Relaxed);
        explore(test);
        assert_ne!(REUSED.load(Ordering::Relaxed), written, "a mark is reused unless it was denied");
        breaks("uniqueness is read with relaxed ordering", test);
    }
}

#[test]
fn gate_reads_no_pass_that_does_not_hold() {
    explore(partial_pass_is_never_a_full_pass);
    breaks("passed flag is set before the pending flag", partial_pass_is_never_a_full_pass);
    breaks("passed flag is stored with relaxed ordering", partial_pass_is_never_a_full_pass);
    breaks("passed flag is loaded with relaxed ordering", partial_pass_is_never_a_full_pass);
    explore(denial_outlasts_a_later_pass);
    breaks("passed flag is stored with relaxed ordering", denial_outlasts_a_later_pass);
}
