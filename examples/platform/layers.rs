//! The layers of tower-http around the guarded application, as a production service wears them.
//!
//! A request passes them from the top down, a response from the bottom up:
//!
//! 1. **Body types.** The layers below change the types of bodies. The first and the last layer turn them into axum's
//!    again.
//! 2. **Sensitive request headers.** First, so that no layer below can log a credential.
//! 3. **Request id.** Before the trace, whose span carries it. A client's own id is replaced: it would be log text of
//!    its choice.
//! 4. **Trace.** Around everything that can fail, so that it sees each response as the client gets it. Its lines are at
//!    level DEBUG: clients without a credential must not fill the log (invariant bounded-by-strangers). The span is at
//!    level INFO, so that every line that is logged for a request has its id.
//! 5. **Sensitive response headers.** Inside the trace, which then sees them marked.
//! 6. **Request id of the response.** For the client to quote, also after a panic or a timeout.
//! 7. **Panics** become 500. Inside the trace, outside of all that may panic.
//! 8. **Compression.** Outside the timeout, which ends with the head of a response. Event streams and exports pass
//!    uncompressed: gzip would hold their lines back. Responses with secrets may be compressed: an attack by length
//!    (BREACH) needs requests with the victim's credential, and other sites cannot send it (`SameSite=Strict`, or a
//!    header).
//! 9. **Timeout.** Until the head of the response, so that long downloads are not cut.
//! 10. **Limit of the request body.** The last resort. keyward's routes and `wire::Body` have
//!     tighter limits and deadlines of their own, which answer in JSON.
//!
//! The guard is the innermost: a layer behind it that answered in place of a route would look like a route without a
//! requirement. There is no limit on concurrent requests: clients that send slowly would keep others out. `serve`
//! limits connections instead.

use axum::body::Body;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderName, PROXY_AUTHORIZATION, SET_COOKIE,
};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use std::any::Any;
use std::convert::Infallible;
use std::time::Duration;
use tower::{Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::sensitive_headers::{SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultOnFailure, DefaultOnResponse, TraceLayer};
use tracing::{Level, Span};

/// The time until the head of a response. Longer than every deadline inside: bodies, the database, the queue for
/// passwords.
const DEADLINE: Duration = Duration::from_secs(60);
/// The largest request body that is passed on, in bytes.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A service for requests of HTTP. It is an alias for bounds.
pub(crate) trait App:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> App for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// Puts the layers around an application.
pub(crate) fn wrap(app: impl App) -> impl App {
    let exports = ["text/csv", "application/x-ndjson"].map(NotForContentType::const_new);
    let [csv, ndjson] = exports;
    let compressed = DefaultPredicate::new().and(csv).and(ndjson);
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(DefaultOnResponse::new().level(Level::DEBUG))
        .on_failure(DefaultOnFailure::new().level(Level::DEBUG));
    ServiceBuilder::new()
        .layer(MapResponseBodyLayer::new(Body::new))
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE]))
        .map_request(without_request_id)
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(trace)
        .layer(SetSensitiveResponseHeadersLayer::new([SET_COOKIE]))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, DEADLINE))
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .layer(MapRequestBodyLayer::new(Body::new))
        .service(app)
}

/// Returns the span of a request. It has the path without the query, as a query may hold an invitation, and no header.
fn span(request: &Request<Body>) -> Span {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

fn without_request_id(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().remove(REQUEST_ID);
    request
}

/// Returns the response to a request whose handler panicked. The panic hook has printed the message; the client gets
/// none of it.
fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    tracing::error!("a request failed: its handler panicked");
    let error = r#"{"data":null,"error":{"status":500,"name":"InternalServerError","message":"Internal Server Error","details":{}}}"#;
    let mut response = Response::new(Body::from(error));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
