//! Rejections, built from a reason, the group and the request, or from a reason and the mark of a request.

use super::admit::{NotAdmitted, sent_uri};
use super::gate::Gate;
use super::groups::{Group, GroupId};
use super::mark::GuardHandle;
use super::origin::{hosts_differ, is_safe};
use super::rejection::{MakeRejection, Rejection, RejectionContext};
use crate::domain::{InvalidCredential, Reason};
use http::{Method, Request, Response};
use std::sync::Arc;

impl Gate {
    /// Returns the response to a request that is not admitted.
    #[cold]
    pub(super) fn respond<B, ResBody>(
        &self,
        (reason, group): NotAdmitted<'_>,
        request: &Request<B>,
        rejections: &impl MakeRejection<ResBody>,
    ) -> Response<ResBody> {
        let rejection = self.reject(reason, group, request);
        rejections.answer(&rejection, RejectionContext::of(request, rejection.is_page()))
    }

    fn reject<B>(&self, reason: Reason, group: Option<&Group>, request: &Request<B>) -> Rejection {
        tracing::debug!(reason = reason.as_str(), "request rejected");
        Rejection::count(reason);
        self.rejection(reason, group, request)
    }

    /// Builds the rejection of a request, without counting it.
    pub(super) fn rejection<B>(&self, reason: Reason, group: Option<&Group>, request: &Request<B>) -> Rejection {
        let protected = match reason {
            // The group is only the one that the path begins like.
            Reason::AmbiguousPath(_) | Reason::NoGroup => false,
            _ => group.is_some_and(Group::is_protected),
        };
        let (headers, uri) = (request.headers(), request.uri());
        let style = group.map_or(&self.style, |group| &group.style).clone();
        let mut rejection = Rejection::uncounted(reason, protected, self.opaque, style);
        self.limit(&mut rejection, request);
        match reason {
            Reason::Invalid(InvalidCredential::Malformed) if !self.style.headers.are_well_formed(headers) => {
                rejection.explain_malformed_header();
            }
            Reason::CrossOrigin if hosts_differ(headers, uri) => rejection.explain_other_host(),
            _ => {}
        }
        let base = || self.base_of(headers, request.extensions());
        rejection.set_start(group.and_then(|group| group.start.as_ref()).map(|start| base().outward(start)));
        match group.and_then(|group| group.pages.as_ref()) {
            Some(pages) if is_safe(request.method()) => {
                rejection.redirect(|| Some(self.sign_in(&pages.sign_in, request)));
            }
            Some(pages) => rejection.link_to_sign_in(|| base().outward(&pages.sign_in)),
            None => rejection.redirect(|| self.without_slash(request)),
        }
        rejection
    }

    /// Returns the rejection of a question of a proxy that no group judges.
    #[cfg(feature = "forward-auth")]
    pub(crate) fn refuse(&self, reason: Reason) -> Response<axum::body::Body> {
        tracing::debug!(reason = reason.as_str(), "request rejected");
        Rejection::count(reason);
        Rejection::uncounted(reason, true, self.opaque, self.style.clone()).as_json()
    }

    /// Turns the rejection of a credential into 429 if the address has spent its budget, whatever is wrong with the
    /// credential.
    fn limit<B>(&self, rejection: &mut Rejection, request: &Request<B>) {
        let Some(budget) = self.budget.as_ref().filter(|_| rejection.is_of_credential()) else { return };
        let address = self.addresses.of(request.headers(), request.extensions());
        if let Some(wait) = address.and_then(|address| budget.spent(address, self.resolver.clock.moment())) {
            rejection.exceed_budget(wait);
        }
    }

    /// Returns the address of the page that this request names with a trailing slash.
    fn without_slash<B>(&self, request: &Request<B>) -> Option<String> {
        // Nearly no request has one, and a flood of rejections is counted in nanoseconds.
        if !request.uri().path().ends_with('/') {
            return None;
        }
        let sent = sent_uri(request.uri(), request.extensions());
        let path = self.base.inward(sent.path());
        let shorter = path.strip_suffix('/').filter(|shorter| !shorter.is_empty())?;
        let method = request.method();
        let group = matches!(*method, Method::GET | Method::HEAD).then(|| self.groups.classify(method, shorter));
        group?.ok()?.start.as_ref()?;
        let base = self.base_of(request.headers(), request.extensions());
        let query = sent.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}{shorter}{query}", base.as_str()))
    }

    /// Returns the address of the sign-in page, with the address to come back to.
    fn sign_in<B>(&self, page: &str, request: &Request<B>) -> String {
        let base = self.base_of(request.headers(), request.extensions());
        let page = format!("{}{page}", base.as_str());
        if *request.method() != Method::GET {
            return page;
        }
        let sent = sent_uri(request.uri(), request.extensions());
        let query = sent.query().map(|query| format!("?{query}")).unwrap_or_default();
        let sent = format!("{}{}{query}", base.as_str(), self.base.inward(sent.path()));
        let mut location = page + "?redirectTo=";
        for b in sent.bytes() {
            match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    location.push(char::from(b))
                }
                _ => location.push_str(&format!("%{b:02X}")),
            }
        }
        location
    }
}

/// Builds the rejection that replaces a response, by the mark of its request. Without the gate it is unknown whether
/// the group has pages.
pub(super) fn reject_response(
    gate: Option<&Gate>,
    group: GroupId,
    has_policies: bool,
    reason: Reason,
    mark: &GuardHandle,
) -> Rejection {
    tracing::debug!(reason = reason.as_str(), "response withheld");
    Rejection::count(reason);
    rejection_of_response(gate, group, has_policies, reason, mark)
}

/// Builds the rejection like [`reject_response`], without counting it.
pub(super) fn rejection_of_response(
    gate: Option<&Gate>,
    group: GroupId,
    has_policies: bool,
    reason: Reason,
    mark: &GuardHandle,
) -> Rejection {
    let group = gate.map(|gate| gate.groups.get(group));
    let style = group.map(|group| group.style.clone()).unwrap_or_default();
    let mut rejection = Rejection::uncounted(reason, true, gate.is_none_or(|gate| gate.opaque), style);
    #[cfg(feature = "mcp")]
    if let Some(id) = mark.rpc_id() {
        rejection.answer_to(id);
    }
    let outward = |path: &Arc<str>| mark.base().outward(path);
    rejection.set_start(group.and_then(|group| group.start.as_ref()).map(outward));
    if !matches!(reason, Reason::Forbidden | Reason::Unguarded) {
        // The credential became invalid during the request.
        let Some(pages) = group.and_then(|group| group.pages.as_ref()) else { return rejection };
        let sign_in = || outward(&pages.sign_in);
        match mark.route() {
            Some((method, _)) if !is_safe(method) => rejection.link_to_sign_in(sign_in),
            _ => rejection.redirect(|| Some(sign_in().to_string())),
        }
        return rejection;
    }
    let rejection = if has_policies { rejection.by_policy() } else { rejection };
    match mark.missing() {
        Some(requirement) => rejection.missing(&requirement),
        None => rejection,
    }
}
