//! The mark of a request. It records which requirements were judged, and with which outcome. The gate checks the response
//! by it.

use super::base::Base;
use super::gate::Gate;
use crate::domain::{Reason, Requirement};
use crate::resolve::Entry;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, PoisonError, StrongArc, Weak, thread_local};
use http::Method;
use std::cell::RefCell;
use std::net::IpAddr;

/// The state of a request that its gate and its handlers share.
///
/// Each flag is set by a plain store, so that passing costs next to nothing. A writer of two flags sets the stricter
/// one first, and the gate reads them in the opposite order.
#[derive(Default)]
pub(super) struct Mark {
    /// The caller; `None` while the mark waits for a request.
    entry: Option<Arc<Entry>>,
    /// A requirement is met.
    passed: AtomicBool,
    /// It is met for some rows or fields only, and the decision has not been taken.
    pending: AtomicBool,
    /// A requirement is not met.
    denied: AtomicBool,
    /// One of the mutexes below holds something.
    written: AtomicBool,
    missing: Mutex<Option<Requirement>>,
    /// The reason why the credential or a requirement no longer held when it was judged again.
    lost: Mutex<Option<Reason>>,
    /// The numbers of the requirements that have one, a bit each.
    numbered: AtomicU32,
    /// `others` holds something.
    has_others: AtomicBool,
    /// The other requirements.
    others: Mutex<Vec<Arc<Requirement>>>,
    /// The id of the JSON-RPC request that a rejection answers, as JSON.
    #[cfg(feature = "mcp")]
    rpc_id: Mutex<Option<Box<str>>>,
    /// The tool that the request calls.
    #[cfg(feature = "mcp")]
    tool: Mutex<Option<Arc<str>>>,
    /// The client's address, of a request whose token has limits.
    client: Mutex<Option<IpAddr>>,
    /// The head of the response has left: a denial has no effect any more.
    answered: AtomicBool,
}

impl Mark {
    #[cold]
    fn of(entry: Arc<Entry>) -> StrongArc<Self> {
        StrongArc::new(Self { entry: Some(entry), ..Self::default() })
    }

    /// Returns the caller. The mark of a request always has one. If it had none, the caller would have no rights.
    #[inline]
    pub(super) fn entry(&self) -> &Arc<Entry> {
        match &self.entry {
            Some(entry) => entry,
            None => Entry::without_rights(),
        }
    }

    /// Records that a requirement is met.
    pub(super) fn pass(&self) {
        self.passed.store(true, Ordering::Release);
    }

    /// Records that a requirement is met for some rows or fields, and that its decision has to be taken.
    pub(super) fn pass_pending(&self) {
        self.pending.store(true, Ordering::Release);
        self.pass();
    }

    /// Records that the decision is taken.
    pub(super) fn take_decision(&self) {
        self.pending.store(false, Ordering::Release);
    }

    /// Records that this requirement is not met.
    #[cold]
    pub(super) fn deny(&self, requirement: &Requirement) {
        self.written.store(true, Ordering::Release);
        self.denied.store(true, Ordering::Release);
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(requirement.clone());
    }

    /// Keeps the requirement with this number for later judgements.
    pub(super) fn add_numbered(&self, number: usize) {
        // A request judges one requirement after another: no bit is lost.
        let bits = self.numbered.load(Ordering::Relaxed);
        self.numbered.store(bits | 1 << number, Ordering::Release);
    }

    /// Keeps this requirement for later judgements.
    #[inline(never)]
    pub(super) fn add(&self, requirement: Arc<Requirement>) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if !others.iter().any(|kept| **kept == *requirement) {
            others.push(requirement);
            self.has_others.store(true, Ordering::Release);
        }
    }

    /// Records why the caller would no longer be admitted, with the requirement that is no longer met. The gate then
    /// withholds the response of the route.
    pub(super) fn invalidate(&self, reason: Reason, missing: Option<Requirement>) {
        self.written.store(true, Ordering::Release);
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        if missing.is_some() {
            *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
        }
        self.denied.store(true, Ordering::Release);
    }

    /// Sets the id, as JSON, of the JSON-RPC request that a rejection answers.
    #[cfg(feature = "mcp")]
    pub(super) fn answer_to(&self, id: Box<str>) {
        self.written.store(true, Ordering::Release);
        *self.rpc_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    /// Sets the tool that the request calls.
    #[cfg(feature = "mcp")]
    pub(super) fn set_tool(&self, tool: Arc<str>) {
        self.written.store(true, Ordering::Release);
        *self.tool.lock().unwrap_or_else(PoisonError::into_inner) = Some(tool);
    }

    /// Returns the tool that the request calls.
    #[cfg(feature = "mcp")]
    pub(super) fn tool(&self) -> Option<Arc<str>> {
        self.tool.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the client's address, by which networks are judged again.
    #[cold]
    pub(super) fn set_client(&self, address: Option<IpAddr>) {
        self.written.store(true, Ordering::Release);
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Returns the client's address; `None` if it is not known, or the token had no limits when the request was admitted.
    pub(super) fn client(&self) -> Option<IpAddr> {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the numbers of the requirements so far, a bit each.
    pub(super) fn numbered(&self) -> u32 {
        self.numbered.load(Ordering::Acquire)
    }

    /// Returns the requirements so far that have no number.
    pub(super) fn others(&self) -> Vec<Arc<Requirement>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether the head of the response has left.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Returns whether the response may leave.
    #[inline]
    fn outcome(&self) -> Result<(), Reason> {
        let passed = self.passed.load(Ordering::Acquire);
        let pending = self.pending.load(Ordering::Acquire);
        match (passed, pending, self.denied.load(Ordering::Acquire)) {
            (_, _, true) => Err(self.denial()),
            (true, false, false) => Ok(()),
            (false, ..) | (_, true, _) => Err(Reason::Unguarded),
        }
    }

    #[cold]
    fn denial(&self) -> Reason {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(Reason::Forbidden)
    }

    #[inline(never)]
    fn forget_others(&self) {
        // `clear` keeps the memory.
        self.others.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.has_others.store(false, Ordering::Relaxed);
    }

    /// Removes the caller, resets the flags, and returns whether the mark is then blank.
    fn reset(&mut self) -> bool {
        self.entry = None;
        self.passed.store(false, Ordering::Relaxed);
        self.pending.store(false, Ordering::Relaxed);
        self.numbered.store(0, Ordering::Relaxed);
        if self.has_others.load(Ordering::Relaxed) {
            self.forget_others();
        }
        !self.written.load(Ordering::Relaxed)
    }
}

/// The gate's handle to the mark of a request, with the data that a rejection of the response needs.
///
/// When the request has ended and no handler holds the mark, the thread keeps the slot for another request: that saves
/// the allocations of the slot and of its mark.
pub(super) struct GuardHandle(Option<Box<GuardSlot>>);

struct GuardSlot {
    mark: StrongArc<Mark>,
    /// Weak, so that a slot that is kept does not keep its gate.
    gate: Weak<Gate>,
    method: Method,
    /// The start of the path, in the first `path_length` bytes.
    path: [u8; LONGEST],
    path_length: usize,
    /// The base path under which the browser sees the response. Empty but for pages behind a proxy.
    base: Base,
}

/// The number of slots that a thread keeps: about as many as it has requests at the same time.
const SPARE: usize = 64;
/// The most bytes of a path that a slot keeps.
const LONGEST: usize = 200;

impl GuardSlot {
    #[cold]
    fn new() -> Box<Self> {
        let (gate, method, base) = (Weak::default(), Method::GET, Base::default());
        Box::new(Self { mark: StrongArc::default(), gate, method, path: [0; LONGEST], path_length: 0, base })
    }

    #[inline(never)]
    fn set_method(&mut self, method: &Method) {
        if self.method != *method {
            self.method.clone_from(method);
        }
    }
}

/// The slots that a thread keeps. They are boxed, so that a move of a future moves one word for its slot.
#[allow(clippy::vec_box, reason = "the boxes themselves are kept")]
type GuardSlots = Vec<Box<GuardSlot>>;

thread_local! {
    static BLANK: RefCell<GuardSlots> = const { RefCell::new(Vec::new()) };
}

impl GuardHandle {
    /// Returns a handle to a blank mark for this request and its caller, and the mark for the handlers.
    pub(super) fn acquire(entry: Arc<Entry>, method: &Method, path: &str) -> (Self, StrongArc<Mark>) {
        let spare = BLANK.try_with(|blank| blank.try_borrow_mut().ok()?.pop()).ok().flatten();
        let mut slot = spare.unwrap_or_else(GuardSlot::new);
        slot.set_method(method);
        slot.path_length = path.len().min(LONGEST);
        slot.path[..slot.path_length].copy_from_slice(&path.as_bytes()[..slot.path_length]);
        match StrongArc::get_mut(&mut slot.mark) {
            Some(mark) => mark.entry = Some(entry),
            // Never: a slot is kept only if nothing else holds its mark.
            None => slot.mark = Mark::of(entry),
        }
        let mark = slot.mark.clone();
        (Self(Some(slot)), mark)
    }

    /// Returns the mark.
    pub(super) fn mark(&self) -> Option<StrongArc<Mark>> {
        self.0.as_ref().map(|slot| slot.mark.clone())
    }

    /// Returns whether the response may leave.
    #[inline]
    pub(super) fn outcome(&self) -> Result<(), Reason> {
        self.0.as_ref().map_or(Err(Reason::Unguarded), |slot| slot.mark.outcome())
    }

    /// Sets the gate that admitted the request. Most slots have it from their last request, so that a shared counter is
    /// seldom written.
    #[inline]
    pub(super) fn set_gate(&mut self, gate: &Arc<Gate>) {
        if let Some(slot) = self.0.as_mut().filter(|slot| slot.gate.as_ptr() != Arc::as_ptr(gate)) {
            slot.gate = Arc::downgrade(gate);
        }
    }

    /// Returns the gate that admitted the request, unless it was dropped.
    pub(super) fn gate(&self) -> Option<Arc<Gate>> {
        self.0.as_ref()?.gate.upgrade()
    }

    /// Returns the method and the path of the request. A long path is cut.
    pub(super) fn route(&self) -> Option<(&Method, &str)> {
        let slot = self.0.as_ref()?;
        // A cut may be within a character.
        let path = slot.path[..slot.path_length].utf8_chunks().next().map_or("", |chunk| chunk.valid());
        Some((&slot.method, path))
    }

    /// Sets the base path under which the browser sees the response.
    pub(super) fn set_base(&mut self, base: Base) {
        if let Some(slot) = self.0.as_mut().filter(|_| !base.is_empty()) {
            slot.base = base;
        }
    }

    /// Returns the base path under which the browser sees the response.
    pub(super) fn base(&self) -> Base {
        self.0.as_ref().map(|slot| slot.base.clone()).unwrap_or_default()
    }

    /// Takes the id of the JSON-RPC request that a rejection answers.
    #[cfg(feature = "mcp")]
    pub(super) fn rpc_id(&self) -> Option<Box<str>> {
        self.0.as_ref()?.mark.rpc_id.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes the requirement that is not met.
    pub(super) fn missing(&self) -> Option<Requirement> {
        self.0.as_ref()?.mark.missing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for GuardHandle {
    fn drop(&mut self) {
        let Some(mut slot) = self.0.take() else { return };
        // A handler that still has its context may pass or deny later: its slot is not kept.
        let Some(mark) = StrongArc::get_mut(&mut slot.mark) else {
            slot.mark.answered.store(true, Ordering::Release);
            return;
        };
        if !mark.reset() || !slot.base.is_empty() {
            return;
        }
        let _ = BLANK.try_with(|blank| {
            let Ok(mut blank) = blank.try_borrow_mut() else { return };
            if blank.len() < SPARE {
                blank.push(slot);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{action, authenticated};

    fn acquire() -> (GuardHandle, StrongArc<Mark>) {
        GuardHandle::acquire(Entry::without_rights().clone(), &Method::GET, "/")
    }

    #[test]
    fn a_reused_mark_is_blank() {
        let written: [fn(&Mark); 3] =
            [|m| m.deny(&action("x")), |m| m.add(Arc::new(action("x"))), |m| m.add_numbered(31)];
        for spoil in [Mark::pass, Mark::pass_pending, Mark::take_decision].into_iter().chain(written) {
            let (handle, mark) = acquire();
            spoil(&mark);
            drop(mark);
            drop(handle);
            let (handle, mark) = acquire();
            assert_eq!(handle.outcome(), Err(Reason::Unguarded));
            assert_eq!((handle.missing(), mark.numbered(), mark.others()), (None, 0, Vec::new()));
        }
    }

    #[test]
    fn a_mark_that_a_handler_holds_is_not_reused() {
        let (handle, kept) = acquire();
        drop(handle);
        let others: Vec<_> = (0..2 * SPARE).map(|_| acquire()).collect();
        kept.pass();
        kept.deny(&authenticated());
        for (handle, mark) in &others {
            assert!(!StrongArc::ptr_eq(mark, &kept));
            assert_eq!(handle.outcome(), Err(Reason::Unguarded));
        }
    }
}
