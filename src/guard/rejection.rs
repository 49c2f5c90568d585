//! Rejections: the response to a request that is not admitted, or whose response may not leave.

use super::page::{PageText, set_page_headers};
use super::style::{ErrorText, RejectionFormat, RejectionStyle};
use crate::domain::{RateExceeded, Reason, Requirement};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use std::sync::Arc;
use std::time::Duration;

/// The minimum `Retry-After`.
pub(super) const RETRY_LATER: Duration = Duration::from_secs(1);

const INVALID: &str = "Missing or invalid credentials";
const SEVERAL: &str = "Send one credential: the request has several that differ";
/// The same as [`RejectionFormat::render`] writes, made in advance: a flood of these is counted in nanoseconds.
const INVALID_PROBLEM: &str = concat!(
    r#"{"type":"about:blank","title":"Unauthorized","status":401,"#,
    r#""detail":"Missing or invalid credentials","code":"invalid_token"}"#
);
/// The same for a request without a credential.
const MISSING_PROBLEM: &str = concat!(
    r#"{"type":"about:blank","title":"Unauthorized","status":401,"#,
    r#""detail":"Missing or invalid credentials","code":"missing_credential"}"#
);
/// The same in Strapi's form, for both.
const INVALID_STRAPI: &str = concat!(
    r#"{"data":null,"error":{"status":401,"name":"UnauthorizedError","#,
    r#""message":"Missing or invalid credentials","details":{}}}"#
);

/// A response in place of the route: the reason, and the part of it that the client may see.
///
/// Secrets that are unknown, malformed, revoked or of the wrong kind make the same rejection (invariant
/// rejected-alike). Only [`reason`](Self::reason), which is for your logs, tells them apart.
#[derive(Clone, Debug)]
pub struct Rejection {
    reason: Reason,
    style: Arc<RejectionStyle>,
    status: StatusCode,
    name: &'static str,
    code: &'static str,
    message: &'static str,
    scope: Option<String>,
    /// The header to send, in place of the message.
    expected_form: Option<Arc<str>>,
    protected: bool,
    location: Option<HeaderValue>,
    anonymous: bool,
    retry_after: Option<Duration>,
    /// The path that a page links back to. Without one, the rejection is not a page.
    start: Option<Arc<str>>,
    /// Boxed, as few rejections have it and all are moved.
    detail: Option<Box<Detail>>,
}

/// The content of a rejection's body besides the reason.
#[derive(Clone, Debug)]
enum Detail {
    /// A form came without a valid session: the path of the sign-in page.
    SignInAgain(Arc<str>),
    /// `Origin` and `Host` of a form differ, as behind a proxy that changes `Host`.
    OtherHost,
    /// The id of the JSON-RPC request that it answers, as JSON.
    #[cfg(feature = "mcp")]
    RpcId(Box<str>),
}

impl Rejection {
    /// Counts a rejection of the gate. Admitted requests are not counted: all cores would write to one place.
    pub(super) fn count(reason: Reason) {
        #[cfg(feature = "metrics")]
        metrics::counter!("keyward_rejections_total", "reason" => reason.as_str()).increment(1);
        #[cfg(not(feature = "metrics"))]
        let _ = reason;
    }

    /// Creates a rejection without counting it.
    pub(super) fn uncounted(reason: Reason, protected: bool, opaque: bool, style: Arc<RejectionStyle>) -> Self {
        use StatusCode as S;
        let is_strapi = style.format == RejectionFormat::Strapi;
        // Strapi's messages are part of its form.
        let message = |strapi, problem| if is_strapi { strapi } else { problem };
        let (status, code, message) = match reason {
            Reason::AmbiguousPath(_) => (S::BAD_REQUEST, "ambiguous_path", "Ambiguous path"),
            Reason::NoGroup => (S::NOT_FOUND, "not_found", message("Not Found", "There is nothing at this path")),
            Reason::SeveralCredentials => (S::BAD_REQUEST, "several_credentials", SEVERAL),
            Reason::NoCredential => (S::UNAUTHORIZED, "missing_credential", INVALID),
            Reason::Expired if !opaque => (S::UNAUTHORIZED, "token_expired", "Token expired"),
            Reason::OwnerInactive if !opaque => (S::UNAUTHORIZED, "owner_inactive", "Token owner is deactivated"),
            Reason::Disabled if !opaque => (S::UNAUTHORIZED, "token_disabled", "Token disabled"),
            Reason::NetworkNotAllowed if !opaque => {
                let problem = "The token is not accepted from this network";
                (S::FORBIDDEN, "network_not_allowed", problem)
            }
            Reason::Invalid(_)
            | Reason::Expired
            | Reason::OwnerInactive
            | Reason::Disabled
            | Reason::NetworkNotAllowed => (S::UNAUTHORIZED, "invalid_token", INVALID),
            Reason::RateExceeded(_) => {
                (S::TOO_MANY_REQUESTS, "rate_exceeded", "The token has made too many requests, try again later")
            }
            Reason::Forbidden => {
                (S::FORBIDDEN, "insufficient_scope", message("Forbidden", "The credential does not allow this"))
            }
            Reason::Unguarded | Reason::NoRule | Reason::NotForwarded => {
                (S::FORBIDDEN, "forbidden", message("Forbidden", "No credential allows this"))
            }
            Reason::CrossOrigin => {
                let problem =
                    "The request does not prove that a page of this origin sent it: send Origin, as browsers do";
                (S::FORBIDDEN, "cross_origin", message("Forbidden", problem))
            }
            Reason::Unavailable(_) => (S::SERVICE_UNAVAILABLE, "unavailable", "Try again in a moment"),
        };
        let name = match status {
            S::BAD_REQUEST => "ApplicationError",
            S::NOT_FOUND => "NotFoundError",
            S::UNAUTHORIZED => "UnauthorizedError",
            S::FORBIDDEN => "ForbiddenError",
            S::TOO_MANY_REQUESTS => "RateLimitError",
            _ => "ServiceUnavailableError",
        };
        Self {
            reason,
            style,
            status,
            name,
            code,
            message,
            scope: None,
            expected_form: None,
            protected,
            location: None,
            anonymous: false,
            retry_after: match reason {
                Reason::Unavailable(_) => Some(RETRY_LATER),
                Reason::RateExceeded(exceeded) => Some(exceeded.wait().max(RETRY_LATER)),
                _ => None,
            },
            start: None,
            detail: None,
        }
    }

    /// Names the missing requirement, as a scope of RFC 6750 section 3.
    pub(super) fn missing(mut self, requirement: &Requirement) -> Self {
        let scope = requirement.to_string();
        let fits = |b: u8| matches!(b, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
        self.scope = Some(scope).filter(|s| !s.is_empty() && s.bytes().all(fits));
        self
    }

    /// Returns whether the client learns that its credential is invalid, and nothing else.
    pub(super) fn is_of_credential(&self) -> bool {
        self.message == INVALID && self.reason != Reason::NoCredential
    }

    /// Makes it 429: the address has sent too many invalid credentials.
    pub(super) fn exceed_budget(&mut self, wait: Duration) {
        self.status = StatusCode::TOO_MANY_REQUESTS;
        (self.name, self.code) = ("RateLimitError", "too_many_requests");
        self.message = "Too many invalid credentials, try again later";
        self.retry_after = Some(wait);
    }

    /// Says that the header of the credential is malformed. The message describes the header to send, and nothing of
    /// the token in it.
    pub(super) fn explain_malformed_header(&mut self) {
        if self.status == StatusCode::UNAUTHORIZED {
            (self.code, self.anonymous) = ("malformed_credential", true);
            self.expected_form = Some(self.style.expected_form.clone());
        }
    }

    /// Says that the form's `Origin` and `Host` differ.
    pub(super) fn explain_other_host(&mut self) {
        self.message = "Forbidden: Origin and Host differ. A proxy in between has to leave Host as it is";
        self.detail = Some(Box::new(Detail::OtherHost));
    }

    /// Redirects a 401, 404 or 429 to this address, if there is one.
    pub(super) fn redirect(&mut self, location: impl FnOnce() -> Option<String>) {
        use StatusCode as S;
        if matches!(self.status, S::UNAUTHORIZED | S::TOO_MANY_REQUESTS | S::NOT_FOUND) {
            self.location = location().and_then(|location| HeaderValue::from_str(&location).ok());
        }
        if self.location.is_some() {
            self.status = S::SEE_OTHER;
        }
    }

    /// Makes the page of a 401 link to the sign-in page. A form is not redirected: the browser would lose its content.
    pub(super) fn link_to_sign_in(&mut self, sign_in: impl FnOnce() -> Arc<str>) {
        if self.status == StatusCode::UNAUTHORIZED {
            self.detail = Some(Box::new(Detail::SignInAgain(sign_in())));
        }
    }

    /// Makes it a page that links back to this path, if there is one.
    pub(super) fn set_start(&mut self, start: Option<Arc<str>>) {
        self.start = start;
    }

    /// Makes it answer the JSON-RPC request with this id, which is JSON.
    #[cfg(feature = "mcp")]
    pub(super) fn answer_to(&mut self, id: Box<str>) {
        self.style = self.style.with_format(Some(RejectionFormat::JsonRpc));
        self.detail = Some(Box::new(Detail::RpcId(id)));
    }

    /// Returns whether the rejection is a page.
    pub(super) fn is_page(&self) -> bool {
        self.start.is_some()
    }

    /// Leaves `error` out of the challenge: the request had no credential (RFC 6750 section 3.1).
    pub(super) fn without_challenge(mut self) -> Self {
        self.anonymous = true;
        if self.reason == Reason::Forbidden {
            self.code = "missing_credential";
            if self.style.format != RejectionFormat::Strapi {
                self.message = "This needs a credential";
            }
        }
        self
    }

    /// Names it as Strapi names the rejections of its permission policies, in Strapi's form.
    pub(super) fn by_policy(mut self) -> Self {
        if self.style.format == RejectionFormat::Strapi {
            (self.name, self.message) = ("PolicyError", "Policy Failed");
        }
        self
    }

    /// Returns the reason, for logs and metrics.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the status: 400, 401, 403, 404 or 503; 429 over a [failure budget](crate::guard::FailureBudget) or the rate limit of a token; 303 to
    /// the sign-in page, or to the same page without a trailing slash.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the name of the error, as Strapi writes it: `UnauthorizedError`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns a stable word in snake_case for programs of the client: `invalid_token`, `insufficient_scope`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the missing scope, if the client may know it.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref().filter(|_| !self.anonymous)
    }

    /// Returns the message for the client.
    pub fn message(&self) -> &str {
        self.expected_form.as_deref().unwrap_or(self.message)
    }

    /// Returns the headers of the response: `WWW-Authenticate` (RFC 6750 section 3), `Retry-After`, and in a protected
    /// group `Cache-Control` and `Vary`.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        if self.protected {
            self.style.shield(&mut headers);
        }
        if let Some(location) = &self.location {
            headers.insert(LOCATION, location.clone());
            return headers;
        }
        match self.reason {
            // Another credential would not help.
            Reason::NetworkNotAllowed if self.status == StatusCode::FORBIDDEN => {}
            Reason::CrossOrigin | Reason::Unguarded | Reason::NoRule | Reason::NotForwarded => {}
            Reason::SeveralCredentials => {
                headers.insert(WWW_AUTHENTICATE, self.style.invalid_request());
            }
            _ if self.anonymous || self.reason == Reason::NoCredential => {
                headers.insert(WWW_AUTHENTICATE, self.style.challenge());
            }
            _ if self.status == StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, self.style.invalid_token());
            }
            _ if self.status == StatusCode::FORBIDDEN => {
                headers.insert(WWW_AUTHENTICATE, self.style.insufficient_scope(self.scope.as_deref()));
            }
            _ => {}
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Reason::RateExceeded(exceeded) = self.reason {
            insert_rate(&mut headers, exceeded);
        }
        headers
    }

    /// Returns the body in JSON, in the [format](RejectionFormat) of the group.
    pub fn json(&self) -> Bytes {
        let prepared = match (self.status, self.code, self.style.format) {
            (StatusCode::UNAUTHORIZED, "invalid_token", RejectionFormat::Problem) => INVALID_PROBLEM,
            (StatusCode::UNAUTHORIZED, "missing_credential", RejectionFormat::Problem) => MISSING_PROBLEM,
            (StatusCode::UNAUTHORIZED, "invalid_token" | "missing_credential", RejectionFormat::Strapi) => {
                INVALID_STRAPI
            }
            _ => return self.render(),
        };
        Bytes::from_static(prepared.as_bytes())
    }

    fn render(&self) -> Bytes {
        let (status, name, code, message) = (self.status, self.name, self.code, self.message());
        let rpc_id = match self.detail.as_deref() {
            #[cfg(feature = "mcp")]
            Some(Detail::RpcId(id)) => Some(&**id),
            _ => None,
        };
        self.style.format.render(ErrorText { status, name, code, message, scope: self.scope(), rpc_id })
    }

    /// Renders it as JSON. A redirect has no body.
    pub(super) fn as_json<B: From<Bytes>>(&self) -> Response<B> {
        if self.location.is_some() {
            return self.answer(B::from(Bytes::new()));
        }
        let mut response = self.answer(B::from(self.json()));
        response.headers_mut().insert(CONTENT_TYPE, self.style.format.content_type());
        response
    }

    /// Renders it as a page that links back to `start`.
    pub(super) fn as_page<B: From<Bytes>>(&self, start: &str) -> Response<B> {
        let (text, sign_in) = match self.detail.as_deref() {
            Some(Detail::SignInAgain(sign_in)) => (PageText::of_ended_session(), Some(&**sign_in)),
            Some(Detail::OtherHost) => (PageText::of_another_host(), None),
            _ => (PageText::of(self.reason), None),
        };
        let mut response = self.answer(B::from(text.html(start, sign_in)));
        set_page_headers(response.headers_mut());
        response
    }

    /// Makes a response with the status, the headers, and the reason in its extensions.
    pub fn answer<B>(&self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers();
        response.extensions_mut().insert(self.reason);
        response
    }
}

/// Sets the headers of a rate limit that is used up (draft-ietf-httpapi-ratelimit-headers-10).
fn insert_rate(headers: &mut HeaderMap, exceeded: RateExceeded) {
    let seconds = |span: Duration| span.as_millis().div_ceil(1000);
    let policy = format!("\"token\";q={};w={}", exceeded.limit(), seconds(exceeded.window()));
    let state = format!("\"token\";r=0;t={}", seconds(exceeded.wait()).max(1));
    for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Sets the headers that keep shared caches from storing a response of a protected group, or serving it to another
/// caller. Returns whether the response had a `Cache-Control` of its own.
pub(super) fn shield(headers: &mut HeaderMap) -> bool {
    // Nearly always neither header is there yet. Both are appended, because then one function serves both.
    let had_cache_control = headers.append(CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
    let had_vary = headers.append(VARY, const { HeaderValue::from_static("Authorization") });
    if had_cache_control {
        headers.insert(CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
    }
    if had_vary {
        vary_once(headers);
    }
    had_cache_control
}

/// Removes the value that was added if it was there before.
#[cold]
fn vary_once(headers: &mut HeaderMap) {
    let varies = |v: &HeaderValue| v.as_bytes().eq_ignore_ascii_case(b"authorization");
    let mut values: Vec<HeaderValue> = headers.get_all(VARY).iter().cloned().collect();
    values.pop();
    if values.iter().any(varies) {
        headers.remove(VARY);
        values.into_iter().for_each(|value| _ = headers.append(VARY, value));
    }
}

/// The parts of a request that its rejection may depend on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RejectionContext {
    /// Whether it is a gRPC request: content type `application/grpc`, with or without a suffix.
    pub grpc: bool,
    /// The request's HTTP version.
    pub version: Version,
    /// Whether the rejection is a page, in a group of [pages](crate::Group::pages).
    pub page: bool,
}

impl RejectionContext {
    pub(super) fn of<B>(request: &Request<B>, page: bool) -> Self {
        // gRPC requests are POST: the headers of others need not be read.
        let grpc = *request.method() == Method::POST && is_grpc(request.headers());
        Self { grpc, version: request.version(), page }
    }
}

#[inline(never)]
fn is_grpc(headers: &HeaderMap) -> bool {
    let rest = headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The form of rejections, for a response body `B`. The default is [`JsonRejection`]; a closure works too.
///
/// ```
/// use keyward::guard::Rejection;
/// let plain = |rejection: &Rejection| rejection.answer(axum::body::Body::from(rejection.message().to_owned()));
/// ```
pub trait MakeRejection<B>: Clone + Send + Sync + 'static {
    /// Makes the response. Start from [`Rejection::answer`], which sets the headers.
    fn answer(&self, rejection: &Rejection, request: RejectionContext) -> Response<B>;
}

/// JSON in the [format](RejectionFormat) of the group; for gRPC requests a `grpc-status`, and in groups of
/// [pages](crate::Group::pages) a page in HTML.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JsonRejection;

impl<B: From<Bytes>> MakeRejection<B> for JsonRejection {
    fn answer(&self, rejection: &Rejection, request: RejectionContext) -> Response<B> {
        if request.grpc {
            return grpc(rejection, B::from(Bytes::new()));
        }
        match &rejection.start {
            Some(start) if request.page && rejection.location.is_none() => rejection.as_page(start),
            _ => rejection.as_json(),
        }
    }
}

/// A `grpc-status`, for bodies that only can be made empty, as tonic's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GrpcRejection;

impl<B: Default> MakeRejection<B> for GrpcRejection {
    fn answer(&self, rejection: &Rejection, _: RejectionContext) -> Response<B> {
        grpc(rejection, B::default())
    }
}

impl<B, F> MakeRejection<B> for F
where
    F: Fn(&Rejection) -> Response<B> + Clone + Send + Sync + 'static,
{
    fn answer(&self, rejection: &Rejection, _: RejectionContext) -> Response<B> {
        self(rejection)
    }
}

/// Makes a gRPC response without messages: status 200, and the outcome in headers.
fn grpc<B>(rejection: &Rejection, body: B) -> Response<B> {
    let code = match rejection.status {
        StatusCode::UNAUTHORIZED => "16",        // UNAUTHENTICATED
        StatusCode::FORBIDDEN => "7",            // PERMISSION_DENIED
        StatusCode::NOT_FOUND => "12",           // UNIMPLEMENTED
        StatusCode::TOO_MANY_REQUESTS => "8",    // RESOURCE_EXHAUSTED
        StatusCode::SERVICE_UNAVAILABLE => "14", // UNAVAILABLE
        _ => "13",                               // INTERNAL, as gRPC maps HTTP 400
    };
    let mut response = rejection.answer(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(code));
    // The messages are ASCII. Only the name of a header may have the one character that gRPC encodes.
    let message = HeaderValue::try_from(rejection.message().replace('%', "%25")).ok();
    headers.extend(message.map(|message| (HeaderName::from_static("grpc-message"), message)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Ambiguity, InvalidCredential, Unavailable, action, all_of, authenticated};

    fn of(reason: Reason) -> Rejection {
        Rejection::uncounted(reason, true, false, Arc::default())
    }

    fn in_strapi_form(reason: Reason) -> Rejection {
        let style = RejectionStyle::new(RejectionFormat::Strapi, None, Default::default()).unwrap();
        Rejection::uncounted(reason, true, false, Arc::new(style))
    }

    #[test]
    fn a_rejection_exposes_the_parts_of_its_response() {
        let expired = of(Reason::Expired);
        assert_eq!((expired.reason(), expired.status()), (Reason::Expired, StatusCode::UNAUTHORIZED));
        assert_eq!((expired.name(), expired.message()), ("UnauthorizedError", "Token expired"));
        assert_eq!((expired.code(), expired.scope()), ("token_expired", None));
    }

    #[test]
    fn only_a_missing_permission_is_challenged_with_a_scope() {
        let challenge = |rejection: &Rejection| {
            rejection.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned())
        };
        let denied = |asked| of(Reason::Forbidden).missing(&asked);
        let scope = |scope: &str| Some(format!("Bearer realm=\"keyward\", error=\"insufficient_scope\"{scope}"));
        assert_eq!(challenge(&denied(action("a.read"))), scope(", scope=\"a.read\""));
        let both = all_of([action("a.read"), action("b.read")]);
        assert_eq!(challenge(&denied(both)), scope(", scope=\"a.read b.read\""));
        // A scope that is empty, or that would end the quoted text, is left out.
        for odd in [authenticated(), action("a\" x=\"y"), action("a\\"), action("\u{e9}"), action("a\n")] {
            assert_eq!(challenge(&denied(odd.clone())), scope(""), "{odd:?}");
        }
        for fault in [Reason::CrossOrigin, Reason::Unguarded, Reason::NoGroup, Reason::Unavailable(Unavailable::Store)]
        {
            assert_eq!(challenge(&of(fault)), None, "{fault:?}");
        }
    }

    #[test]
    fn retry_after_is_never_shorter_than_the_wait() {
        let spent = of(Reason::Invalid(InvalidCredential::Unknown));
        for (ms, seconds) in [(1000, "1"), (1001, "2"), (1999, "2"), (2000, "2"), (59_500, "60")] {
            let mut spent = spent.clone();
            spent.exceed_budget(Duration::from_millis(ms));
            assert_eq!(spent.headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn a_rejection_in_a_page_group_is_html_unless_it_redirects() {
        let mut rejection = of(Reason::NoCredential);
        rejection.set_start(Some("/admin".into()));
        let shown = |rejection: &Rejection, page| {
            let request = RejectionContext { grpc: false, version: Version::HTTP_11, page };
            let answer: Response<Bytes> = JsonRejection.answer(rejection, request);
            let content_type = answer.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
            (content_type.unwrap_or_default(), answer.into_body())
        };
        assert_eq!(shown(&rejection, true).0, "text/html; charset=utf-8");
        assert_eq!(shown(&rejection, false).0, "application/problem+json");
        rejection.redirect(|| Some("/sign-in".into()));
        assert_eq!(shown(&rejection, true), (String::new(), Bytes::new()));
    }

    /// By the mapping of HTTP to gRPC, except for 401, 404 and 429.
    #[test]
    fn every_rejection_has_a_grpc_status() {
        let status = |rejection: &Rejection| grpc(rejection, ()).headers()["grpc-status"].to_str().unwrap().to_owned();
        let mut over_budget = of(Reason::Invalid(InvalidCredential::Unknown));
        over_budget.exceed_budget(RETRY_LATER);
        for (rejection, code) in [
            (of(Reason::NoCredential), "16"),
            (of(Reason::OwnerInactive), "16"),
            (of(Reason::Forbidden), "7"),
            (of(Reason::CrossOrigin), "7"),
            (of(Reason::NoGroup), "12"),
            (over_budget, "8"),
            (of(Reason::Unavailable(Unavailable::Store)), "14"),
            (of(Reason::AmbiguousPath(Ambiguity::DotSegment)), "13"),
        ] {
            assert_eq!(status(&rejection), code, "{rejection:?}");
        }
    }

    #[test]
    fn the_prepared_json_equals_the_written_json() {
        let reasons = [Reason::Invalid(InvalidCredential::Malformed), Reason::NoCredential];
        for rejection in [of, in_strapi_form].into_iter().flat_map(|of| reasons.map(of)) {
            let Rejection { status, name, code, message, .. } = rejection;
            let written =
                rejection.style.format.render(ErrorText { status, name, code, message, scope: None, rpc_id: None });
            assert_eq!(rejection.json(), written);
        }
    }

    #[test]
    fn only_a_known_caller_learns_the_missing_scope() {
        let denied = of(Reason::Forbidden).missing(&action("a.read"));
        let json = |rejection: &Rejection| serde_json::from_slice::<serde_json::Value>(&rejection.json()).unwrap();
        assert_eq!((&json(&denied)["code"], &json(&denied)["scope"]), (&"insufficient_scope".into(), &"a.read".into()));
        let anonymous = denied.without_challenge();
        assert_eq!(json(&anonymous)["code"], "missing_credential");
        assert_eq!(json(&anonymous).get("scope"), None);
    }

    #[test]
    fn strapi_form_keeps_the_names_and_messages_of_strapi() {
        let denied = in_strapi_form(Reason::Forbidden);
        assert_eq!((denied.name(), denied.message()), ("ForbiddenError", "Forbidden"));
        let denied = denied.by_policy();
        assert_eq!((denied.name(), denied.message()), ("PolicyError", "Policy Failed"));
        assert_eq!(in_strapi_form(Reason::NoGroup).message(), "Not Found");
    }

    #[test]
    fn vary_names_authorization_once() {
        for (before, after) in [
            (&[][..], &["Authorization"][..]),
            (&["Origin"], &["Origin", "Authorization"]),
            (&["authorization"], &["authorization"]),
            (&["Origin", "AUTHORIZATION", "Cookie"], &["Origin", "AUTHORIZATION", "Cookie"]),
        ] {
            let mut headers: HeaderMap = before.iter().map(|v| (VARY, HeaderValue::from_static(v))).collect();
            for cached in [&[][..], &["public"], &["public", "max-age=60"]] {
                headers.remove(CACHE_CONTROL);
                headers.extend(cached.iter().map(|v| (CACHE_CONTROL, HeaderValue::from_static(v))));
                assert_eq!(shield(&mut headers), !cached.is_empty());
                assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), after);
                assert_eq!(headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), ["no-store"]);
            }
        }
    }
}
