//! The mark of a request, which the backstop reads: whether something was required of its caller, and what came of it.

use crate::domain::{Reason, Requirement};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared between the gate and what is behind it.
#[derive(Default)]
pub(super) struct Mark {
    bits: AtomicU8,
    missing: Mutex<Option<Requirement>>,
    /// What a handler has required for itself.
    required: Mutex<Vec<Requirement>>,
}

/// Something was required and is met.
const PASSED: u8 = 1;
/// It is met for some rows or fields, and nobody has asked which.
const PENDING: u8 = 2;
/// Something was required and is not met.
const DENIED: u8 = 4;

impl Mark {
    /// Something is met.
    pub(super) fn pass(&self) {
        self.bits.fetch_or(PASSED, Ordering::AcqRel);
    }

    /// Something is met for some rows or fields, and the decision is still to be taken.
    pub(super) fn pass_pending(&self) {
        self.bits.fetch_or(PASSED | PENDING, Ordering::AcqRel);
    }

    /// The decision is taken.
    pub(super) fn take(&self) {
        self.bits.fetch_and(!PENDING, Ordering::AcqRel);
    }

    /// This is not met.
    pub(super) fn deny(&self, requirement: &Requirement) {
        self.bits.fetch_or(DENIED, Ordering::AcqRel);
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(requirement.clone());
    }

    /// This is met, as the handler required.
    pub(super) fn pass_as(&self, requirement: &Requirement) {
        self.required.lock().unwrap_or_else(PoisonError::into_inner).push(requirement.clone());
        self.pass();
    }

    /// What the handler has required so far.
    pub(super) fn required(&self) -> Vec<Requirement> {
        self.required.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn outcome(&self) -> Result<(), Reason> {
        match self.bits.load(Ordering::Acquire) {
            PASSED => Ok(()),
            bits if bits & DENIED != 0 => Err(Reason::NotAllowed),
            _ => Err(Reason::Unguarded),
        }
    }
}

/// The gate's own hold on a mark. When the request is over and nobody else holds the mark, another request gets it.
pub(super) struct Held(Option<Arc<Mark>>);

/// How many blank marks a thread keeps: as many as requests that are under way on it at a time, within reason.
const SPARE: usize = 64;

thread_local! {
    static BLANK: RefCell<Vec<Arc<Mark>>> = const { RefCell::new(Vec::new()) };
}

impl Held {
    /// A blank mark, for the gate and for what is behind it.
    pub(super) fn blank() -> (Self, Arc<Mark>) {
        let spare = BLANK.try_with(|blank| blank.try_borrow_mut().ok()?.pop()).ok().flatten();
        let mark = spare.unwrap_or_default();
        (Self(Some(mark.clone())), mark)
    }

    /// Whether the response may leave.
    pub(super) fn outcome(&self) -> Result<(), Reason> {
        self.0.as_ref().map_or(Err(Reason::Unguarded), |mark| mark.outcome())
    }

    /// What was required and is not met.
    pub(super) fn missing(&self) -> Option<Requirement> {
        self.0.as_ref()?.missing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(mut mark) = self.0.take() else { return };
        // Only who holds it alone can have it changed: a handler may have kept its context, and may still pass or deny.
        let Some(alone) = Arc::get_mut(&mut mark) else { return };
        *alone = Mark::default();
        let _ = BLANK.try_with(|blank| {
            let Ok(mut blank) = blank.try_borrow_mut() else { return };
            if blank.len() < SPARE {
                blank.push(mark);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{action, authenticated};

    #[test]
    fn a_mark_is_used_again_blank() {
        for spoil in [Mark::pass, Mark::pass_pending, Mark::take, |m: &Mark| m.deny(&action("x"))] {
            let (held, mark) = Held::blank();
            spoil(&mark);
            drop(mark);
            drop(held);
            let (held, _mark) = Held::blank();
            assert_eq!(held.outcome(), Err(Reason::Unguarded));
            assert_eq!(held.missing(), None);
        }
    }

    #[test]
    fn a_mark_that_somebody_kept_is_not_used_again() {
        let (held, kept) = Held::blank();
        drop(held);
        let others: Vec<_> = (0..2 * SPARE).map(|_| Held::blank()).collect();
        kept.pass();
        kept.deny(&authenticated());
        for (held, mark) in &others {
            assert!(!Arc::ptr_eq(mark, &kept));
            assert_eq!(held.outcome(), Err(Reason::Unguarded));
        }
    }
}
