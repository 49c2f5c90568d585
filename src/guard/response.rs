//! The check of a response: it leaves only if its request passed a requirement.

use super::body::{BodyGuard, GuardableBody};
use super::context::AuthContext;
use super::gate::Gate;
use super::groups::{Group, GroupId};
use super::mark::GuardHandle;
use super::reject::reject_response;
use super::rejection::{MakeRejection, RejectionContext, shield};
use super::revalidate::NoLongerValid;
use crate::domain::Reason;
use crate::resolve::Entry;
use http::{HeaderMap, Request, Response, StatusCode};
use std::sync::Arc;

/// The state that is kept of an admitted request to check its response.
pub(super) struct ResponseCheck<R> {
    rejections: R,
    mark: GuardHandle,
    group: GroupId,
    /// Whether permission policies guard the group: Strapi has a name of its own for their rejections.
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
        let (mut handle, mark) = GuardHandle::acquire(request.method(), request.uri().path());
        handle.set_gate(gate);
        let anonymous = entry.is_public;
        if !anonymous && !request.body().is_complete() {
            request.body_mut().guard(BodyGuard::new(entry.clone(), mark.clone()));
        }
        AuthContext::insert(entry, mark, request.extensions_mut());
        let base = gate.insert_page_context(group, request);
        let page = base.is_some();
        if let Some(base) = base {
            handle.set_base(base);
        }
        let (context, has_policies) = (RejectionContext::of(request, page), group.has_policies());
        let only_authorization = group.only_authorization;
        Self { rejections, mark: handle, group: group.id(), has_policies, only_authorization, anonymous, context }
    }

    /// Returns the rejection of a request whose caller does not meet the floor of its group.
    #[inline]
    pub(super) fn below_floor<Q, B>(&self, group: &Group, request: &Request<Q>) -> Option<Response<B>>
    where
        R: MakeRejection<B>,
    {
        let floor = group.floor.as_ref()?;
        let meets = request.extensions().get::<AuthContext>().is_some_and(|auth| auth.meets_floor(floor));
        (!meets).then(|| self.reject(Reason::Forbidden))
    }

    /// Replaces the response by a rejection unless its request passed a requirement. It is changed in place, as it is
    /// large to move.
    pub(super) fn apply<B>(&self, response: &mut Response<B>)
    where
        R: MakeRejection<B>,
    {
        let outcome = match response.status() {
            // A change was rejected at its commit: the route knows the reason, and the gate its form.
            StatusCode::UNAUTHORIZED => response
                .extensions()
                .get::<NoLongerValid>()
                .map_or_else(|| self.mark.outcome(), |invalid| Err(invalid.reason())),
            _ => self.mark.outcome(),
        };
        match outcome {
            Ok(()) if self.only_authorization => shield(response.headers_mut()),
            Ok(()) => self.shield(response.headers_mut()),
            Err(reason) => *response = self.reject(reason),
        }
    }

    /// Sets the headers of a response whose group may have other credential headers.
    #[cold]
    fn shield(&self, headers: &mut HeaderMap) {
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
