//! What a gated service answers with, in time.

use super::admit::{Door, Gate, Wanted};
use super::context::AuthContext;
use super::mark::Held;
use super::refusal::{Refusals, Refused, shield};
use super::service::refused;
use crate::domain::Reason;
use crate::resolve::Entry;
use http::uri::PathAndQuery;
use http::{Method, Request, Response};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

type Asked = Result<Arc<Entry>, Reason>;

pin_project! {
    /// The future of a [`Gated`](crate::Gated) service. Where nothing has to be looked up, nothing of it is boxed.
    pub struct GateFuture<S, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, S::Future, R, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, R, ReqBody, ResBody> {
        Refused { response: Option<Response<ResBody>> },
        Open { #[pin] inner: F },
        Entered { #[pin] inner: F, passage: Passage<R> },
        Asking { asked: Pin<Box<dyn Future<Output = Asked> + Send>>, waiting: Option<Box<Waiting<S, R, ReqBody>>> },
    }
}

/// A request that waits for the store, with what it will need then.
struct Waiting<S, R, ReqBody> {
    request: Request<ReqBody>,
    service: S,
    door: Door,
    gate: Arc<Gate>,
    refusals: R,
}

/// What is needed when the response comes back.
pub(super) struct Passage<R> {
    gate: Arc<Gate>,
    refusals: R,
    mark: Held,
    door: Door,
    anonymous: bool,
    request: Refused,
    method: Method,
    path: Option<PathAndQuery>,
}

impl<R: Clone> Passage<R> {
    /// Lets the request in as this caller.
    pub(super) fn enter<B>(
        gate: &Arc<Gate>,
        refusals: &R,
        request: &mut Request<B>,
        entry: Arc<Entry>,
        door: Door,
    ) -> Self {
        let (held, mark) = Held::blank();
        let anonymous = entry.principal.kind().is_none();
        request.extensions_mut().insert(AuthContext::new(entry, mark));
        let page = gate.mark_for_people(door.group(), request);
        Self {
            gate: gate.clone(),
            refusals: refusals.clone(),
            mark: held,
            door,
            anonymous,
            request: refused(request, page),
            method: request.method().clone(),
            path: request.uri().path_and_query().cloned(),
        }
    }

    /// The response, if the mark says that it may leave.
    fn leave<B>(&self, mut response: Response<B>) -> Response<B>
    where
        R: Refusals<B>,
    {
        match self.mark.outcome() {
            Ok(()) => {
                shield(response.headers_mut());
                response
            }
            Err(reason) => {
                if reason == Reason::Unguarded {
                    let now = self.gate.resolver.clock.moment();
                    let path = self.path.as_ref().map_or("", PathAndQuery::path);
                    self.gate.unguarded.report(&self.method, path, now);
                }
                let refusal = self.gate.withhold(reason, &self.mark, self.door);
                let refusal = if self.anonymous { refusal.without_challenge() } else { refusal };
                self.refusals.answer(&refusal, self.request)
            }
        }
    }
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
    pub(super) fn refused(response: Response<ResBody>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }

    pub(super) fn open(inner: S::Future) -> Self {
        Self { state: State::Open { inner } }
    }

    pub(super) fn entered(inner: S::Future, passage: Passage<R>) -> Self {
        Self { state: State::Entered { inner, passage } }
    }

    pub(super) fn asking(gate: &Arc<Gate>, refusals: &R, wanted: Wanted, request: Request<ReqBody>, service: S) -> Self
    where
        R: Clone,
    {
        let (asking, door) = (gate.clone(), wanted.door);
        let asked = Box::pin(async move { asking.ask(wanted).await });
        let waiting = Waiting { request, service, door, gate: gate.clone(), refusals: refusals.clone() };
        Self { state: State::Asking { asked, waiting: Some(Box::new(waiting)) } }
    }
}

impl<S, R, ReqBody, ResBody> Future for GateFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Refusals<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Open { inner } => return inner.poll(cx),
                StateProj::Entered { inner, passage } => {
                    let response = ready!(inner.poll(cx));
                    return Poll::Ready(response.map(|response| passage.leave(response)));
                }
                StateProj::Refused { response } => match response.take() {
                    Some(response) => return Poll::Ready(Ok(response)),
                    // Polled after it was ready, which no executor does; there is nothing left to say.
                    None => return Poll::Pending,
                },
                StateProj::Asking { asked, waiting } => {
                    let asked = ready!(asked.as_mut().poll(cx));
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    waiting.proceed(asked)
                }
            };
            state.set(next);
        }
    }
}

impl<S, R, ReqBody> Waiting<S, R, ReqBody> {
    fn proceed<ResBody>(mut self, asked: Asked) -> State<S, S::Future, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        R: Refusals<ResBody>,
    {
        match asked {
            Ok(entry) => {
                let passage = Passage::enter(&self.gate, &self.refusals, &mut self.request, entry, self.door);
                State::Entered { inner: self.service.call(self.request), passage }
            }
            Err(reason) => {
                let refusal = self.gate.refuse(reason, self.door, &self.request);
                let request = refused(&self.request, refusal.is_for_people());
                State::Refused { response: Some(self.refusals.answer(&refusal, request)) }
            }
        }
    }
}
