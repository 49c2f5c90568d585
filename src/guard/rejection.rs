//! Refusals: what the client sees of a reason, and in which form.

use crate::domain::{Reason, Requirement};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use std::sync::Arc;
use std::time::Duration;

/// When to come again, at the earliest.
pub(super) const RETRY_LATER: Duration = Duration::from_secs(1);

const INVALID: &str = "Missing or invalid credentials";
/// Says what to send, and nothing of any token.
const WRONG_FORM: &str = "Send one header of the form Authorization: Bearer <token>";
/// As [`error_json`] writes it: what a flood of them costs is counted in nanoseconds.
const INVALID_JSON: &str = concat!(
    r#"{"data":null,"error":{"status":401,"name":"UnauthorizedError","#,
    r#""message":"Missing or invalid credentials","details":{}}}"#
);
/// The same for a credential of another form.
const WRONG_FORM_JSON: &str = concat!(
    r#"{"data":null,"error":{"status":401,"name":"UnauthorizedError","#,
    r#""message":"Send one header of the form Authorization: Bearer <token>","details":{}}}"#
);

/// A refused request: the reason, and what of it the client may see.
///
/// Secrets that are unknown, malformed, revoked or of the wrong kind all make the same rejection, but for
/// [`reason`](Self::reason), which is for your logs.
#[derive(Clone, Debug)]
pub struct Rejection {
    reason: Reason,
    status: StatusCode,
    name: &'static str,
    message: &'static str,
    scope: Option<String>,
    protected: bool,
    location: Option<HeaderValue>,
    anonymous: bool,
    retry_after: Option<Duration>,
    /// Where people see it: where its way back leads.
    start: Option<Arc<str>>,
    /// What a page about it says besides. Boxed, as nearly no rejection has it and each is moved around.
    page: Option<Box<Page>>,
}

/// What a page says besides the reason.
#[derive(Clone, Debug)]
enum Page {
    /// A form came without a valid session: where to sign in.
    SignInAgain(Arc<str>),
    /// A form came from another host than it was sent to, as a proxy makes it look.
    AnotherHost,
}

impl Rejection {
    /// What the gate refuses, and counts. Who is let in is not counted: all cores would write to one place.
    pub(super) fn new(reason: Reason, protected: bool, opaque: bool) -> Self {
        #[cfg(feature = "metrics")]
        metrics::counter!("keyward_refusals_total", "reason" => reason.as_str()).increment(1);
        Self::uncounted(reason, protected, opaque)
    }

    /// The same, for an answer behind the gate.
    pub(super) fn uncounted(reason: Reason, protected: bool, opaque: bool) -> Self {
        use StatusCode as S;
        let (status, name, message) = match reason {
            Reason::AmbiguousPath(_) => (S::BAD_REQUEST, "ApplicationError", "Ambiguous path"),
            Reason::NoGroup => (S::NOT_FOUND, "NotFoundError", "Not Found"),
            Reason::Expired if !opaque => (S::UNAUTHORIZED, "UnauthorizedError", "Token expired"),
            Reason::OwnerInactive if !opaque => (S::UNAUTHORIZED, "UnauthorizedError", "Token owner is deactivated"),
            Reason::NoCredential | Reason::Invalid(_) | Reason::Expired | Reason::OwnerInactive => {
                (S::UNAUTHORIZED, "UnauthorizedError", INVALID)
            }
            Reason::Forbidden | Reason::Unguarded | Reason::CrossOrigin => {
                (S::FORBIDDEN, "ForbiddenError", "Forbidden")
            }
            Reason::Unavailable(_) => (S::SERVICE_UNAVAILABLE, "ServiceUnavailableError", "Try again in a moment"),
        };
        let retry_after = matches!(reason, Reason::Unavailable(_)).then_some(RETRY_LATER);
        let (scope, location, anonymous, start, page) = (None, None, false, None, None);
        Self { reason, status, name, message, scope, protected, location, anonymous, retry_after, start, page }
    }

    /// Names what was missing, as a scope of RFC 6750 section 3.
    pub(super) fn missing(mut self, requirement: &Requirement) -> Self {
        let scope = requirement.to_string();
        let fits = |b: u8| matches!(b, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
        self.scope = Some(scope).filter(|s| !s.is_empty() && s.bytes().all(fits));
        self
    }

    /// Whether it says of a credential that it is invalid, and no more.
    pub(super) fn is_of_credential(&self) -> bool {
        self.message == INVALID && self.reason != Reason::NoCredential
    }

    /// The address has had too many of these.
    pub(super) fn over_budget(mut self, wait: Duration) -> Self {
        self.status = StatusCode::TOO_MANY_REQUESTS;
        (self.name, self.message) = ("RateLimitError", "Too many invalid credentials, try again later");
        self.retry_after = Some(wait);
        self
    }

    /// The `Authorization` header has not the form that is read. Which token it holds, if any, does not matter.
    pub(super) fn of_wrong_form(mut self) -> Self {
        if self.status == StatusCode::UNAUTHORIZED {
            (self.message, self.anonymous) = (WRONG_FORM, true);
        }
        self
    }

    /// The form that sent this names another host in `Origin` than `Host` does.
    pub(super) fn by_another_host(mut self) -> Self {
        self.message = "Forbidden: Origin and Host differ. A proxy in between has to leave Host as it is";
        self.page = Some(Box::new(Page::AnotherHost));
        self
    }

    /// Sends people elsewhere, to sign in or to the page that was meant.
    pub(super) fn or_see(mut self, location: impl FnOnce() -> Option<String>) -> Self {
        use StatusCode as S;
        if matches!(self.status, S::UNAUTHORIZED | S::TOO_MANY_REQUESTS | S::NOT_FOUND) {
            self.location = location().and_then(|location| HeaderValue::from_str(&location).ok());
        }
        if self.location.is_some() {
            self.status = S::SEE_OTHER;
        }
        self
    }

    /// A form came without a valid session. The browser is not led away from it: that would lose what was typed, without a word.
    pub(super) fn or_sign_in_again(mut self, sign_in: impl FnOnce() -> Arc<str>) -> Self {
        if self.status == StatusCode::UNAUTHORIZED {
            self.page = Some(Box::new(Page::SignInAgain(sign_in())));
        }
        self
    }

    /// Where to sign in again, if a form came without a valid session.
    pub(super) fn sign_in_again(&self) -> Option<&str> {
        match self.page.as_deref() {
            Some(Page::SignInAgain(sign_in)) => Some(sign_in),
            _ => None,
        }
    }

    /// Whether a proxy may have changed the host.
    pub(super) fn is_by_another_host(&self) -> bool {
        matches!(self.page.as_deref(), Some(Page::AnotherHost))
    }

    /// People see it, if there is a way back for them.
    pub(super) fn for_people(mut self, start: Option<Arc<str>>) -> Self {
        self.start = start;
        self
    }

    /// Whether people see it.
    pub(super) fn is_for_people(&self) -> bool {
        self.start.is_some()
    }

    /// Nobody presented anything: nothing is said of it (RFC 6750 section 3.1).
    pub(super) fn without_challenge(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// A permission policy of the admin side said no: the reference has a name of its own for that.
    pub(super) fn by_policy(mut self) -> Self {
        (self.name, self.message) = ("PolicyError", "Policy Failed");
        self
    }

    /// Why, for logs and metrics.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// 400, 401, 403, 404 or 503; 429 over a [failure budget](crate::guard::FailureBudget); 303 where people are sent to sign in, or to the page
    /// that was meant.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The error's name, as the reference has it: `UnauthorizedError`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What to tell the client.
    pub fn message(&self) -> &'static str {
        self.message
    }

    /// The headers of the answer: `WWW-Authenticate` (RFC 6750 section 3), `Retry-After`, and for a protected group
    /// `Cache-Control` and `Vary`.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        if self.protected {
            shield(&mut headers);
        }
        if let Some(location) = &self.location {
            headers.insert(LOCATION, location.clone());
            return headers;
        }
        match self.reason {
            // Not for want of scope: these are no fault of the credential.
            Reason::CrossOrigin | Reason::Unguarded => {}
            _ if self.anonymous || self.reason == Reason::NoCredential => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ if self.status == StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
            }
            _ if self.status == StatusCode::FORBIDDEN => {
                let value = match &self.scope {
                    Some(scope) => format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
                    None => "Bearer error=\"insufficient_scope\"".to_owned(),
                };
                headers.extend(HeaderValue::from_str(&value).ok().map(|value| (WWW_AUTHENTICATE, value)));
            }
            _ => {}
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers
    }

    /// The body of the reference: `{"data": null, "error": {"status", "name", "message", "details"}}`.
    pub fn json(&self) -> Bytes {
        if self.status == StatusCode::UNAUTHORIZED {
            match self.message {
                INVALID => return Bytes::from_static(INVALID_JSON.as_bytes()),
                WRONG_FORM => return Bytes::from_static(WRONG_FORM_JSON.as_bytes()),
                _ => {}
            }
        }
        error_json(self.status, self.name, self.message)
    }

    /// The answer of [`JsonRejection`].
    pub(super) fn as_json<B: From<Bytes>>(&self) -> Response<B> {
        let mut response = self.answer(B::from(self.json()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// An answer with the status, the headers, and the rejection's reason in its extensions.
    pub fn answer<B>(&self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers();
        response.extensions_mut().insert(self.reason);
        response
    }
}

/// An error in the reference's form. Name and message are ours, and have nothing in them that JSON would escape.
pub(super) fn error_json(status: StatusCode, name: &'static str, message: &'static str) -> Bytes {
    let status = status.as_u16();
    Bytes::from(format!(
        r#"{{"data":null,"error":{{"status":{status},"name":"{name}","message":"{message}","details":{{}}}}}}"#
    ))
}

/// No answer of a protected group may be kept by a cache or given to somebody else.
pub(super) fn shield(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Looked up once: nearly always there is no other.
    if headers.append(VARY, HeaderValue::from_static("Authorization")) {
        vary_once(headers);
    }
}

/// What was added is left out again if it was there before.
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

/// What of a refused request its answer may depend on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RejectionContext {
    /// Whether it is a gRPC request: content type `application/grpc`, with or without a suffix.
    pub grpc: bool,
    /// The request's HTTP version.
    pub version: Version,
    /// Whether people see the answer, in a group of [pages](crate::Group::pages).
    pub page: bool,
}

/// How refusals look, for a response body `B`. [`JsonRejection`] unless you say otherwise; a closure will do.
///
/// ```
/// use keyward::guard::Rejection;
/// let plain = |rejection: &Rejection| rejection.answer(axum::body::Body::from(rejection.message()));
/// ```
pub trait MakeRejection<B>: Clone + Send + Sync + 'static {
    /// The answer to a refused request. Build it with [`Rejection::answer`], so that its headers are there.
    fn answer(&self, rejection: &Rejection, request: RejectionContext) -> Response<B>;
}

/// The JSON of the reference; for gRPC requests a `grpc-status`, and in groups of [pages](crate::Group::pages) a small page in HTML.
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

/// A `grpc-status`, for bodies that can be empty and no more, as tonic's.
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

/// A gRPC answer without messages: status 200, the outcome in headers.
fn grpc<B>(rejection: &Rejection, body: B) -> Response<B> {
    let code = match rejection.status {
        StatusCode::UNAUTHORIZED => "16",        // UNAUTHENTICATED
        StatusCode::FORBIDDEN => "7",            // PERMISSION_DENIED
        StatusCode::NOT_FOUND => "12",           // UNIMPLEMENTED
        StatusCode::TOO_MANY_REQUESTS => "8",    // RESOURCE_EXHAUSTED
        StatusCode::SERVICE_UNAVAILABLE => "14", // UNAVAILABLE
        _ => "13",                               // INTERNAL: what the gRPC mapping of HTTP 400 says
    };
    let mut response = rejection.answer(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(code));
    // Our messages are plain ASCII; gRPC wants `%` encoded, and there is none.
    headers.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(rejection.message));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Ambiguity, InvalidCredential, Unavailable, action, all_of, authenticated};

    /// Whoever writes refusals in a form of their own has all that ours are made of.
    #[test]
    fn a_refusal_says_what_its_answer_is_made_of() {
        let expired = Rejection::uncounted(Reason::Expired, true, false);
        assert_eq!((expired.reason(), expired.status()), (Reason::Expired, StatusCode::UNAUTHORIZED));
        assert_eq!((expired.name(), expired.message()), ("UnauthorizedError", "Token expired"));
        assert_eq!(expired.json(), error_json(expired.status(), expired.name(), expired.message()));
    }

    #[test]
    fn only_what_a_wider_scope_would_help_against_is_challenged_with_one() {
        let challenge = |rejection: &Rejection| {
            rejection.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned())
        };
        let denied = |asked| Rejection::uncounted(Reason::Forbidden, true, false).missing(&asked);
        let scope = |scope: &str| Some(format!("Bearer error=\"insufficient_scope\"{scope}"));
        assert_eq!(challenge(&denied(action("a.read"))), scope(", scope=\"a.read\""));
        let both = all_of([action("a.read"), action("b.read")]);
        assert_eq!(challenge(&denied(both)), scope(", scope=\"a.read b.read\""));
        // Nothing is named that is nothing, or that would end the text it stands in.
        for odd in [authenticated(), action("a\" x=\"y"), action("a\\"), action("\u{e9}"), action("a\n")] {
            assert_eq!(challenge(&denied(odd.clone())), scope(""), "{odd:?}");
        }
        for fault in [Reason::CrossOrigin, Reason::Unguarded, Reason::NoGroup, Reason::Unavailable(Unavailable::Store)]
        {
            assert_eq!(challenge(&Rejection::uncounted(fault, true, false)), None, "{fault:?}");
        }
    }

    #[test]
    fn whoever_waits_as_long_as_is_said_has_waited_long_enough() {
        let spent = Rejection::uncounted(Reason::Invalid(InvalidCredential::Unknown), true, false);
        for (ms, seconds) in [(1000, "1"), (1001, "2"), (1999, "2"), (2000, "2"), (59_500, "60")] {
            let headers = spent.clone().over_budget(Duration::from_millis(ms)).headers();
            assert_eq!(headers[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn people_see_a_page_unless_they_are_sent_elsewhere() {
        let start: Arc<str> = "/admin".into();
        let rejection = || Rejection::uncounted(Reason::NoCredential, true, false).for_people(Some(start.clone()));
        let shown = |rejection: &Rejection, page| {
            let request = RejectionContext { grpc: false, version: Version::HTTP_11, page };
            let answer: Response<Bytes> = JsonRejection.answer(rejection, request);
            (answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned(), answer.into_body())
        };
        assert_eq!(shown(&rejection(), true).0, "text/html; charset=utf-8");
        assert_eq!(shown(&rejection(), false).0, "application/json");
        let sent_elsewhere = rejection().or_see(|| Some("/sign-in".into()));
        let json = error_json(StatusCode::SEE_OTHER, sent_elsewhere.name, sent_elsewhere.message);
        assert_eq!(shown(&sent_elsewhere, true), ("application/json".to_owned(), json));
    }

    /// By the mapping of HTTP to gRPC, but for what is ours to say.
    #[test]
    fn every_refusal_has_a_grpc_status() {
        let of = |rejection: Rejection| grpc(&rejection, ()).headers()["grpc-status"].to_str().unwrap().to_owned();
        let why = |reason| Rejection::uncounted(reason, true, false);
        for (rejection, code) in [
            (why(Reason::NoCredential), "16"),
            (why(Reason::OwnerInactive), "16"),
            (why(Reason::Forbidden), "7"),
            (why(Reason::CrossOrigin), "7"),
            (why(Reason::NoGroup), "12"),
            (why(Reason::Invalid(InvalidCredential::Unknown)).over_budget(RETRY_LATER), "8"),
            (why(Reason::Unavailable(Unavailable::Store)), "14"),
            (why(Reason::AmbiguousPath(Ambiguity::DotSegment)), "13"),
        ] {
            assert_eq!(of(rejection.clone()), code, "{rejection:?}");
        }
    }

    #[test]
    fn what_is_written_beforehand_is_what_would_be_written() {
        let rejection = Rejection::uncounted(Reason::Invalid(InvalidCredential::Malformed), true, false);
        assert_eq!(rejection.json(), error_json(rejection.status, rejection.name, rejection.message));
    }

    #[test]
    fn an_answer_varies_with_the_credential_and_says_so_once() {
        for (before, after) in [
            (&[][..], &["Authorization"][..]),
            (&["Origin"], &["Origin", "Authorization"]),
            (&["authorization"], &["authorization"]),
            (&["Origin", "AUTHORIZATION", "Cookie"], &["Origin", "AUTHORIZATION", "Cookie"]),
        ] {
            let mut headers: HeaderMap = before.iter().map(|v| (VARY, HeaderValue::from_static(v))).collect();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
            shield(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), after);
            assert_eq!(headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), ["no-store"]);
        }
    }
}
