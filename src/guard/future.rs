//! The future of a guarded service.

use super::admit::Lookup;
use super::body::GuardableBody;
use super::gate::Gate;
use super::groups::GroupId;
use super::rejection::MakeRejection;
use super::response::ResponseCheck;
use crate::domain::Reason;
use crate::resolve::Entry;
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

pin_project! {
    /// The future of a [`GateService`](crate::guard::GateService). It boxes nothing unless the store has to be read, or
    /// the request is rejected.
    ///
    /// # Panics
    /// If it is polled after it has returned a rejection; otherwise it does what the future of the inner service does.
    pub struct GateFuture<S, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        // Apart from the state, so that it is never moved: it is large.
        #[pin]
        inner: Option<S::Future>,
        state: State<S, R, ReqBody, ResBody>,
    }
}

enum State<S, R, ReqBody, ResBody> {
    /// The inner service answers a request of a public group.
    Public,
    /// The inner service answers, and its response will be checked.
    Guarded(ResponseCheck<R>),
    /// The store is being read.
    Pending { lookup: Lookup, request: Box<PendingRequest<S, R, ReqBody>> },
    /// `None` once the response has been returned.
    Rejected(Option<Box<Response<ResBody>>>),
}

/// A request that waits for a look-up, with the service that will take it.
pub(super) struct PendingRequest<S, R, ReqBody> {
    pub(super) request: Request<ReqBody>,
    pub(super) service: S,
    pub(super) gate: Arc<Gate>,
    pub(super) group: GroupId,
    pub(super) rejections: R,
}

impl<S: Service<Request<ReqBody>>, R, ReqBody, ResBody> fmt::Debug for GateFuture<S, R, ReqBody, ResBody> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateFuture").finish_non_exhaustive()
    }
}

impl<S, R, ReqBody, ResBody> GateFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn rejected(response: Response<ResBody>) -> Self {
        Self { inner: None, state: State::Rejected(Some(Box::new(response))) }
    }

    pub(super) fn public(inner: S::Future) -> Self {
        Self { inner: Some(inner), state: State::Public }
    }

    pub(super) fn guarded(inner: S::Future, check: ResponseCheck<R>) -> Self {
        Self { inner: Some(inner), state: State::Guarded(check) }
    }

    pub(super) fn pending(lookup: Lookup, request: PendingRequest<S, R, ReqBody>) -> Self {
        Self { inner: None, state: State::Pending { lookup, request: Box::new(request) } }
    }
}

impl<S, R, ReqBody, ResBody> Future for GateFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: GuardableBody,
    ResBody: 'static,
    R: MakeRejection<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let State::Pending { .. } = this.state {
            ready!(poll_lookup(this.state, this.inner.as_mut(), cx));
        }
        match (this.inner.as_pin_mut(), this.state) {
            (Some(inner), State::Guarded(check)) => poll_guarded(inner, check, cx),
            (Some(inner), State::Public) => inner.poll(cx),
            (_, State::Rejected(response)) => match response.take() {
                Some(response) => Poll::Ready(Ok(*response)),
                None => polled_after_completion(),
            },
            // The inner future is there in both states, and a look-up that has ended is replaced above.
            (None, State::Guarded(_) | State::Public) | (_, State::Pending { .. }) => polled_after_completion(),
        }
    }
}

/// Waits for the look-up, then goes on with the request. It is a function of its own, so that a hit needs less stack.
#[inline(never)]
fn poll_lookup<S, R, ReqBody, ResBody>(
    state: &mut State<S, R, ReqBody, ResBody>,
    inner: Pin<&mut Option<S::Future>>,
    cx: &mut Context<'_>,
) -> Poll<()>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: GuardableBody,
    R: MakeRejection<ResBody>,
{
    if let State::Pending { lookup, .. } = state {
        let resolved = ready!(lookup.as_mut().poll(cx));
        // If the service panics in `call`, the future counts as finished.
        if let State::Pending { request, .. } = mem::replace(state, State::Rejected(None)) {
            *state = request.resume(resolved, inner);
        }
    }
    Poll::Ready(())
}

#[cold]
fn polled_after_completion() -> ! {
    panic!("GateFuture polled after completion")
}

/// Checks the response where it is handed on, as it is large to move.
fn poll_guarded<F, R, ResBody, E>(inner: Pin<&mut F>, check: &ResponseCheck<R>, cx: &mut Context<'_>) -> Poll<F::Output>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: 'static,
    R: MakeRejection<ResBody>,
{
    let mut polled = inner.poll(cx);
    if let Poll::Ready(Ok(response)) = &mut polled {
        check.apply(response);
    }
    polled
}

impl<S, R, ReqBody: GuardableBody> PendingRequest<S, R, ReqBody> {
    /// Calls the service, or rejects the request, when the look-up has ended.
    fn resume<ResBody>(
        mut self,
        resolved: Result<Arc<Entry>, Reason>,
        mut inner: Pin<&mut Option<S::Future>>,
    ) -> State<S, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        R: MakeRejection<ResBody>,
    {
        let group = self.gate.groups.get(self.group);
        match resolved {
            Ok(entry) => {
                let check = ResponseCheck::new(&self.gate, group, self.rejections, &mut self.request, entry);
                if let Some(rejection) = check.below_floor(group, &self.request) {
                    return State::Rejected(Some(Box::new(rejection)));
                }
                inner.set(Some(self.service.call(self.request)));
                State::Guarded(check)
            }
            Err(reason) => {
                let response = self.gate.respond((reason, Some(group)), &self.request, &self.rejections);
                State::Rejected(Some(Box::new(response)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rejection::JsonRejection;
    use super::*;
    use bytes::Bytes;
    use std::convert::Infallible;
    use std::future;

    /// Returns the future of a rejection in front of this service.
    fn rejected<S>(_: &S) -> GateFuture<S, JsonRejection, (), Bytes>
    where
        S: Service<Request<()>, Response = Response<Bytes>>,
    {
        GateFuture::rejected(Response::new(Bytes::from_static(b"no")))
    }

    #[test]
    #[should_panic(expected = "GateFuture polled after completion")]
    fn a_finished_rejection_panics_when_it_is_polled_again() {
        let service = tower::service_fn(|_: Request<()>| future::ready(Ok::<_, Infallible>(Response::default())));
        let mut rejected = Box::pin(rejected(&service));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Ok(response)) = rejected.as_mut().poll(&mut cx) else { panic!("not ready") };
        assert_eq!(response.body(), "no");
        let _ = rejected.as_mut().poll(&mut cx);
    }
}
