//! What a gated service answers with, in time.

use super::admit::{Door, Gate, Wanted, withheld};
use super::body::{BodyGuard, GuardableBody, NoLongerValid};
use super::context::AuthContext;
use super::mark::GuardHandle;
use super::rejection::{MakeRejection, RejectionContext, shield};
use super::service::refused;
use crate::domain::Reason;
use crate::resolve::Entry;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

type Asked = Result<Arc<Entry>, Reason>;

pin_project! {
    /// The future of a [`GateService`](crate::guard::GateService) service. Where nothing has to be looked up, nothing of it is boxed.
    pub struct GateFuture<S, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        // Beside the way, not in it: a future is large to move, and is made where it stays.
        #[pin]
        inner: Option<S::Future>,
        way: Way<S, R, ReqBody, ResBody>,
    }
}

enum Way<S, R, ReqBody, ResBody> {
    Open,
    Entered(Passage<R>),
    Asking { asked: Pin<Box<dyn Future<Output = Asked> + Send>>, waiting: Option<Box<Waiting<S, R, ReqBody>>> },
    Refused(Option<Box<Response<ResBody>>>),
}

/// A request that waits for the store, with what it will need then.
struct Waiting<S, R, ReqBody> {
    request: Request<ReqBody>,
    service: S,
    door: Door,
    gate: Arc<Gate>,
    rejections: R,
}

/// What is needed when the response comes back.
pub(super) struct Passage<R> {
    rejections: R,
    mark: GuardHandle,
    door: Door,
    anonymous: bool,
    request: RejectionContext,
}

impl<R: Clone> Passage<R> {
    /// Lets the request in as this caller.
    pub(super) fn enter<B: GuardableBody>(
        gate: &Arc<Gate>,
        rejections: &R,
        request: &mut Request<B>,
        entry: Arc<Entry>,
        door: Door,
    ) -> Self {
        let (mut held, mark) = GuardHandle::blank(request.method(), request.uri().path());
        held.through(gate);
        let anonymous = entry.principal.kind().is_none();
        if !anonymous && !request.body().is_complete() {
            request.body_mut().guard(BodyGuard::new(entry.clone(), mark.clone()));
        }
        request.extensions_mut().insert(AuthContext::new(entry, mark));
        let base = gate.mark_for_people(door.group(), request);
        let page = base.is_some();
        if let Some(base) = base {
            held.seen_under(base);
        }
        Self { rejections: rejections.clone(), mark: held, door, anonymous, request: refused(request, page) }
    }

    /// Leaves the response as it is if the mark says that it may leave. In its place, as it is large to move.
    fn leave<B>(&self, response: &mut Response<B>)
    where
        R: MakeRejection<B>,
    {
        let outcome = match response.status() {
            // A change was refused at its commit: the route knows why, and the gate how to say it.
            StatusCode::UNAUTHORIZED => response
                .extensions()
                .get::<NoLongerValid>()
                .map_or_else(|| self.mark.outcome(), |lost| Err(lost.reason())),
            _ => self.mark.outcome(),
        };
        match outcome {
            Ok(()) => shield(response.headers_mut()),
            Err(reason) => {
                let gate = self.mark.gate();
                if let (Reason::Unguarded, Some(gate), Some((method, path))) = (reason, &gate, self.mark.place()) {
                    gate.unguarded.report(method, path, gate.resolver.clock.moment());
                }
                let rejection = withheld(gate.as_deref(), reason, &self.mark, self.door);
                let rejection = if self.anonymous { rejection.without_challenge() } else { rejection };
                *response = self.rejections.answer(&rejection, self.request);
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
        Self { inner: None, way: Way::Refused(Some(Box::new(response))) }
    }

    pub(super) fn open(inner: S::Future) -> Self {
        Self { inner: Some(inner), way: Way::Open }
    }

    pub(super) fn entered(inner: S::Future, passage: Passage<R>) -> Self {
        Self { inner: Some(inner), way: Way::Entered(passage) }
    }

    pub(super) fn asking(
        gate: &Arc<Gate>,
        rejections: &R,
        wanted: Box<Wanted>,
        request: Request<ReqBody>,
        service: S,
    ) -> Self
    where
        R: Clone,
    {
        let (asking, door) = (gate.clone(), wanted.door);
        let asked = Box::pin(async move { asking.ask(*wanted).await });
        let waiting = Waiting { request, service, door, gate: gate.clone(), rejections: rejections.clone() };
        Self { inner: None, way: Way::Asking { asked, waiting: Some(Box::new(waiting)) } }
    }
}

impl<S, R, ReqBody, ResBody> Future for GateFuture<S, R, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: GuardableBody,
    R: MakeRejection<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Way::Asking { asked, waiting } = this.way {
            let asked = ready!(asked.as_mut().poll(cx));
            let Some(waiting) = waiting.take() else { return Poll::Pending };
            *this.way = waiting.proceed(asked, this.inner.as_mut());
        }
        match (this.inner.as_pin_mut(), this.way) {
            (Some(inner), Way::Entered(passage)) => leaving(inner, passage, cx),
            (Some(inner), Way::Open) => inner.poll(cx),
            (_, Way::Refused(response)) => match response.take() {
                Some(response) => Poll::Ready(Ok(*response)),
                // Polled after it was ready, which no executor does; there is nothing left to say.
                None => Poll::Pending,
            },
            // Neither is without its future, and who asked has been answered just now.
            (None, Way::Entered(_) | Way::Open) | (_, Way::Asking { .. }) => Poll::Pending,
        }
    }
}

/// A response is large to move: it is judged where it is handed on.
fn leaving<F, R, ResBody, E>(inner: Pin<&mut F>, passage: &Passage<R>, cx: &mut Context<'_>) -> Poll<F::Output>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    R: MakeRejection<ResBody>,
{
    let mut polled = inner.poll(cx);
    if let Poll::Ready(Ok(response)) = &mut polled {
        passage.leave(response);
    }
    polled
}

impl<S, R, ReqBody: GuardableBody> Waiting<S, R, ReqBody> {
    fn proceed<ResBody>(mut self, asked: Asked, mut inner: Pin<&mut Option<S::Future>>) -> Way<S, R, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        R: MakeRejection<ResBody>,
    {
        match asked {
            Ok(entry) => {
                let passage = Passage::enter(&self.gate, &self.rejections, &mut self.request, entry, self.door);
                inner.set(Some(self.service.call(self.request)));
                Way::Entered(passage)
            }
            Err(reason) => {
                let rejection = self.gate.refuse(reason, self.door, &self.request);
                let request = refused(&self.request, rejection.is_for_people());
                Way::Refused(Some(Box::new(self.rejections.answer(&rejection, request))))
            }
        }
    }
}
