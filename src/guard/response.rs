//! The check of a response. It reaches the client only if its request passed a requirement.

use super::body::{BodyGuard, GuardableBody, as_stream};
use super::context::AuthContext;
use super::gate::Gate;
use super::groups::{EndStreams, Group, GroupId};
use super::mark::{GuardHandle, Mark};
use super::reject::reject_response;
use super::rejection::{MakeRejection, RejectionContext, shield};
use super::revalidate::NoLongerValid;
use super::route_requirement::Prepared;
use crate::domain::Reason;
use crate::resolve::Entry;
use crate::sync::StrongArc;
#[cfg(feature = "api")]
use http::HeaderValue;
#[cfg(feature = "api")]
use http::header::CACHE_CONTROL;
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use std::sync::Arc;

/// The `Cache-Control` of a response that its client may keep although its group is protected.
#[cfg(feature = "api")]
#[derive(Clone)]
pub(crate) struct KeptByClients(pub(crate) HeaderValue);

/// Gives a response back the `Cache-Control` by which its client may keep it. There is nothing to do for others.
#[cold]
fn restore_cache_control<B>(response: &mut Response<B>) {
    #[cfg(feature = "api")]
    if let Some(KeptByClients(value)) = response.extensions_mut().remove() {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    #[cfg(not(feature = "api"))]
    let _ = response;
}

/// The mark of a response whose service ends the body with the credential, so that the gate does not have to.
#[derive(Clone, Copy)]
pub(crate) struct EndedByService;

#[inline(never)]
fn meets_floor(floor: &Prepared, extensions: &Extensions) -> bool {
    extensions.get::<AuthContext>().is_some_and(|auth| auth.meets_floor(floor))
}

/// Puts the guard around the body of a request.
#[inline(never)]
fn guard_body<B: GuardableBody>(request: &mut Request<B>, mark: &StrongArc<Mark>) {
    request.body_mut().guard(BodyGuard::of_request(mark.clone()));
}

/// Returns whether a response is a stream of server-sent events.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let essence = value.and_then(|value| value.split(|b| *b == b';').next()).unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// The state that is kept of an admitted request to check its response.
pub(super) struct ResponseCheck<R> {
    rejections: R,
    mark: GuardHandle,
    end_streams: EndStreams,
    group: GroupId,
    /// Whether permission policies guard the group. Strapi names their rejections differently.
    has_policies: bool,
    /// Whether only the `Authorization` header holds credentials.
    only_authorization: bool,
    /// Whether the caller is the public.
    anonymous: bool,
    context: RejectionContext,
}

impl<R> ResponseCheck<R> {
    /// Prepares a request for the inner service: its extensions get the caller, and its body is guarded.
    pub(super) fn new<B: GuardableBody>(
        gate: &Arc<Gate>,
        group: &Group,
        rejections: R,
        request: &mut Request<B>,
        entry: Arc<Entry>,
    ) -> Self {
        let (anonymous, may_have_limits) = (entry.is_public, entry.may_have_limits());
        let (mut handle, mark) = GuardHandle::acquire(entry, request.method(), request.uri().path());
        handle.set_gate(gate);
        if !anonymous && !request.body().is_complete() {
            guard_body(request, &mark);
        }
        if may_have_limits {
            mark.set_client(gate.addresses.named(request.headers(), request.extensions()));
        }
        AuthContext::insert(mark, request.extensions_mut());
        #[cfg(feature = "mcp")]
        if !group.only_authorization {
            request.extensions_mut().insert(gate.style.headers.clone());
        }
        let base = gate.insert_page_context(group, request);
        let page = base.is_some();
        if let Some(base) = base {
            handle.set_base(base);
        }
        let (context, has_policies) = (RejectionContext::of(request, page), group.has_policies());
        let only_authorization = group.only_authorization;
        let end_streams = group.end_streams;
        let (mark, group) = (handle, group.id());
        Self { rejections, mark, end_streams, group, has_policies, only_authorization, anonymous, context }
    }

    /// Returns the rejection of a request whose caller does not meet the floor of its group.
    #[inline]
    pub(super) fn below_floor<Q, B>(&self, group: &Group, request: &Request<Q>) -> Option<Response<B>>
    where
        R: MakeRejection<B>,
    {
        let floor = group.floor.as_ref()?;
        (!meets_floor(floor, request.extensions())).then(|| self.reject(Reason::Forbidden))
    }

    /// Replaces the response by a rejection unless its request passed a requirement. It changes the response in place,
    /// because a response is large to move.
    pub(super) fn apply<B: 'static>(&self, response: &mut Response<B>)
    where
        R: MakeRejection<B>,
    {
        let outcome = match response.status() {
            // A change was rejected at its commit. The route's response has the reason, and the gate makes the rejection.
            StatusCode::UNAUTHORIZED => response
                .extensions()
                .get::<NoLongerValid>()
                .map_or_else(|| self.mark.outcome(), |invalid| Err(invalid.reason())),
            _ => self.mark.outcome(),
        };
        let had_cache_control = match outcome {
            Ok(()) if self.only_authorization => shield(response.headers_mut()),
            Ok(()) => self.shield(response.headers_mut()),
            Err(reason) => return *response = self.reject(reason),
        };
        if had_cache_control {
            restore_cache_control(response);
        }
        if as_stream(response.body_mut()).is_some() {
            self.end_with_credential(response);
        }
    }

    /// Makes a stream end when the credential of its request does.
    #[cold]
    fn end_with_credential<B: 'static>(&self, response: &mut Response<B>) {
        let guarded = match self.end_streams {
            EndStreams::EventStreams => is_event_stream(response.headers()),
            EndStreams::All => true,
            EndStreams::Never => false,
        };
        let by_service = response.extensions().get::<EndedByService>().is_some();
        if guarded
            && !by_service
            && !self.anonymous
            && let (Some(body), Some(mark)) = (as_stream(response.body_mut()), self.mark.mark())
        {
            body.guard(BodyGuard::of_response(mark));
        }
    }

    /// Sets the headers of a response whose group may have other credential headers.
    #[cold]
    fn shield(&self, headers: &mut HeaderMap) -> bool {
        match self.mark.gate() {
            Some(gate) => gate.style.shield(headers),
            None => shield(headers),
        }
    }

    #[cold]
    fn reject<B>(&self, reason: Reason) -> Response<B>
    where
        R: MakeRejection<B>,
    {
        let gate = self.mark.gate();
        if let (Reason::Unguarded, Some(gate), Some((method, path))) = (reason, &gate, self.mark.route()) {
            gate.unguarded.report(method, path, gate.resolver.clock.moment());
        }
        let rejection = reject_response(gate.as_deref(), self.group, self.has_policies, reason, &self.mark);
        let rejection = if self.anonymous { rejection.without_challenge() } else { rejection };
        self.rejections.answer(&rejection, self.context)
    }
}
