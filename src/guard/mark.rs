//! The mark of a request, which the backstop reads: whether something was required of its caller, and what came of it.

use super::admit::Gate;
use super::base::Base;
use crate::domain::{Reason, Requirement};
use http::Method;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Shared between the gate and what is behind it.
///
/// Each part is set by a plain store, so that passing costs next to nothing. Whoever sets two sets the stricter one first, and the
/// gate reads them the other way round.
#[derive(Default)]
pub(super) struct Mark {
    /// Something was required and is met.
    passed: AtomicBool,
    /// It is met for some rows or fields, and nobody has asked which.
    pending: AtomicBool,
    /// Something was required and is not met.
    denied: AtomicBool,
    /// What was required is written down here.
    written: AtomicBool,
    missing: Mutex<Option<Requirement>>,
    /// The credential, or what was required, no longer held when it was judged again.
    lost: Mutex<Option<Reason>>,
    /// What a handler has required for itself; with a guarded body, also what layers have.
    required: Mutex<Vec<Requirement>>,
    /// The request's body is judged at its end by what was required until then.
    guards_body: AtomicBool,
}

impl Mark {
    /// Something is met.
    pub(super) fn pass(&self) {
        self.passed.store(true, Ordering::Release);
    }

    /// Something is met for some rows or fields, and the decision is still to be taken.
    pub(super) fn pass_pending(&self) {
        self.pending.store(true, Ordering::Release);
        self.pass();
    }

    /// The decision is taken.
    pub(super) fn take(&self) {
        self.pending.store(false, Ordering::Release);
    }

    /// This is not met.
    pub(super) fn deny(&self, requirement: &Requirement) {
        self.written.store(true, Ordering::Release);
        self.denied.store(true, Ordering::Release);
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(requirement.clone());
    }

    /// This is met, as the handler required.
    pub(super) fn pass_as(&self, requirement: &Requirement) {
        self.write_down(requirement);
        self.pass();
    }

    /// This was required.
    fn write_down(&self, requirement: &Requirement) {
        self.written.store(true, Ordering::Release);
        self.required.lock().unwrap_or_else(PoisonError::into_inner).push(requirement.clone());
    }

    /// From now on requirements of layers are written down too.
    pub(super) fn guard_body(&self) {
        self.guards_body.store(true, Ordering::Release);
    }

    /// A layer requires this.
    pub(super) fn layer_requires(&self, requirement: &Requirement) {
        if self.guards_body.load(Ordering::Acquire) {
            self.write_down(requirement);
        }
    }

    /// The caller would not be admitted any more: no response of the route leaves.
    pub(super) fn lose(&self, reason: Reason) {
        self.written.store(true, Ordering::Release);
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.denied.store(true, Ordering::Release);
    }

    /// What the handler has required so far.
    pub(super) fn required(&self) -> Vec<Requirement> {
        self.required.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn outcome(&self) -> Result<(), Reason> {
        let passed = self.passed.load(Ordering::Acquire);
        let pending = self.pending.load(Ordering::Acquire);
        match (passed, pending, self.denied.load(Ordering::Acquire)) {
            (_, _, true) => Err(self.lost.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(Reason::Forbidden)),
            (true, false, false) => Ok(()),
            (false, ..) | (_, true, _) => Err(Reason::Unguarded),
        }
    }

    /// Blank again, unless something is written on it. Nobody else may hold it.
    fn wipe(&self) -> bool {
        self.passed.store(false, Ordering::Relaxed);
        self.pending.store(false, Ordering::Relaxed);
        self.guards_body.store(false, Ordering::Relaxed);
        !self.written.load(Ordering::Relaxed)
    }
}

/// The gate's own hold on a mark, and what it will have to say of the request if the mark lets nothing leave. When the request is
/// over and nobody else holds the mark, another request gets both.
pub(super) struct GuardHandle(Option<Box<GuardSlot>>);

#[derive(Default)]
struct GuardSlot {
    mark: Arc<Mark>,
    /// A mark that is kept for another request keeps no gate alive.
    gate: Weak<Gate>,
    method: Method,
    path: String,
    /// Under which base path people see the response. Empty but for pages behind a proxy.
    base: Base,
}

/// How many slips a thread keeps: as many as requests that are under way on it at a time, within reason.
const SPARE: usize = 64;
/// How much of a path is kept.
const LONGEST: usize = 200;

/// A slip goes from here into a future as it is: futures are moved, and a box is one word of them.
#[allow(clippy::vec_box, reason = "the boxes are what is kept")]
type GuardSlots = Vec<Box<GuardSlot>>;

thread_local! {
    static BLANK: RefCell<GuardSlots> = const { RefCell::new(Vec::new()) };
}

impl GuardHandle {
    /// A blank mark for this request, for the gate and for what is behind it.
    pub(super) fn blank(method: &Method, path: &str) -> (Self, Arc<Mark>) {
        let spare = BLANK.try_with(|blank| blank.try_borrow_mut().ok()?.pop()).ok().flatten();
        let mut slip = spare.unwrap_or_default();
        slip.method.clone_from(method);
        slip.path.clear();
        slip.path.push_str(&path[..path.floor_char_boundary(LONGEST)]);
        let mark = slip.mark.clone();
        (Self(Some(slip)), mark)
    }

    /// Whether the response may leave.
    pub(super) fn outcome(&self) -> Result<(), Reason> {
        self.0.as_ref().map_or(Err(Reason::Unguarded), |slip| slip.mark.outcome())
    }

    /// The request came through this gate, as most likely the last one did that had the mark: a gate is counted in and out once
    /// for many.
    pub(super) fn through(&mut self, gate: &Arc<Gate>) {
        if let Some(slip) = self.0.as_mut().filter(|slip| slip.gate.as_ptr() != Arc::as_ptr(gate)) {
            slip.gate = Arc::downgrade(gate);
        }
    }

    /// The gate that the request came through, if there is still somebody who has it.
    pub(super) fn gate(&self) -> Option<Arc<Gate>> {
        self.0.as_ref()?.gate.upgrade()
    }

    /// The method and the path of the request, if that is not too long.
    pub(super) fn place(&self) -> Option<(&Method, &str)> {
        self.0.as_ref().map(|slip| (&slip.method, slip.path.as_str()))
    }

    /// The response is for people, who see it under this base path.
    pub(super) fn seen_under(&mut self, base: Base) {
        if let Some(slip) = self.0.as_mut().filter(|_| !base.is_empty()) {
            slip.base = base;
        }
    }

    /// Under which base path people see the response.
    pub(super) fn base(&self) -> Base {
        self.0.as_ref().map(|slip| slip.base.clone()).unwrap_or_default()
    }

    /// What was required and is not met.
    pub(super) fn missing(&self) -> Option<Requirement> {
        self.0.as_ref()?.mark.missing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for GuardHandle {
    fn drop(&mut self) {
        let Some(slip) = self.0.take() else { return };
        // Only who holds it alone can have it again: a handler may have kept its context, and may still pass or deny. There are
        // no weak references, so who is alone stays alone; the fence lets come first what others did before they let go.
        if Arc::strong_count(&slip.mark) != 1 || !slip.base.is_empty() {
            return;
        }
        fence(Ordering::Acquire);
        if !slip.mark.wipe() {
            return;
        }
        let _ = BLANK.try_with(|blank| {
            let Ok(mut blank) = blank.try_borrow_mut() else { return };
            if blank.len() < SPARE {
                blank.push(slip);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{action, authenticated};

    fn blank() -> (GuardHandle, Arc<Mark>) {
        GuardHandle::blank(&Method::GET, "/")
    }

    #[test]
    fn a_mark_is_used_again_blank() {
        let written: [fn(&Mark); 2] = [|m| m.deny(&action("x")), |m| m.pass_as(&action("x"))];
        for spoil in [Mark::pass, Mark::pass_pending, Mark::take].into_iter().chain(written) {
            let (held, mark) = blank();
            spoil(&mark);
            drop(mark);
            drop(held);
            let (held, mark) = blank();
            assert_eq!(held.outcome(), Err(Reason::Unguarded));
            assert_eq!((held.missing(), mark.required()), (None, Vec::new()));
        }
    }

    #[test]
    fn a_mark_that_somebody_kept_is_not_used_again() {
        let (held, kept) = blank();
        drop(held);
        let others: Vec<_> = (0..2 * SPARE).map(|_| blank()).collect();
        kept.pass();
        kept.deny(&authenticated());
        for (held, mark) in &others {
            assert!(!Arc::ptr_eq(mark, &kept));
            assert_eq!(held.outcome(), Err(Reason::Unguarded));
        }
    }
}
