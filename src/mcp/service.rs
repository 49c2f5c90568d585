//! The service around an MCP server. It reads each request, judges it, and forwards the same bytes.

use super::headers::{find_mismatch, find_repeated, is_stateless, remove_credentials};
use super::introspection;
use super::json;
use super::list::{Filter, FilterOutcome};
use super::message::{HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR};
use super::message::{Message, Method, RESOURCE_NOT_FOUND, RpcError};
use super::origin::is_allowed;
use super::session::Sessions;
use super::stream::MessageStream;
use super::task::Tasks;
use super::tools::{JudgeError, Rule, Tools};
use crate::domain::{InvalidCredential, Reason, Requirement, all_of, authenticated};
use crate::guard::{
    Addresses, AuthContext, BODY_DEADLINE, BodyError, BodyReader, EndedByService, NoLongerValid, is_event_stream,
};
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH};
use http::header::{CONTENT_TYPE, ORIGIN, RANGE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// An MCP server behind its table.
#[derive(Clone)]
pub(super) struct McpService<T> {
    inner: T,
    shared: Arc<Shared>,
}

struct Shared {
    tools: Arc<Tools>,
    bodies: BodyReader,
    sessions: Sessions,
    tasks: Tasks,
    authenticated: Arc<Requirement>,
}

/// The messages of a request that the server may see.
#[derive(Default)]
struct AdmittedMessages {
    /// The ids of all requests.
    ids: Vec<Value>,
    /// The id of each call of a tool, with the tool's name.
    calls: Vec<(Value, String)>,
    /// The rules that the caller has to meet, each once.
    rules: Vec<Rule>,
    /// The tools that are called, each once. For other calls with a requirement, the methods.
    tools: Vec<String>,
}

/// The most messages of a batch.
const MOST_MESSAGES: usize = 100;

impl<T> McpService<T> {
    pub(super) fn new(tools: Tools, inner: T) -> Self {
        let bodies = BodyReader::new(BODY_DEADLINE, Addresses::of_peers());
        let (tools, sessions, tasks) = (Arc::new(tools), Sessions::new(), Tasks::default());
        let authenticated = Arc::new(authenticated());
        Self { inner, shared: Arc::new(Shared { tools, bodies, sessions, tasks, authenticated }) }
    }
}

impl<T, B> Service<Request> for McpService<T>
where
    T: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    T::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that was polled ready has to be the one that is called: a clone replaces it here.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let shared = self.shared.clone();
        Box::pin(async move { Ok(shared.respond(request, inner).await.unwrap_or_else(|rejection| *rejection)) })
    }
}

/// A response in place of the server's.
type RejectionResponse = Box<Response>;

impl Shared {
    async fn respond<T, B>(&self, request: Request, mut inner: T) -> Result<Response, RejectionResponse>
    where
        T: Service<Request, Response = http::Response<B>, Error = Infallible>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let Some(mut auth) = parts.extensions.get::<AuthContext>().cloned() else {
            tracing::error!("an MCP server has no keyward layer around it: wrap the router");
            return Err(Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()));
        };
        if !auth.require_call(self.authenticated.clone()) {
            return Err(Box::new(StatusCode::FORBIDDEN.into_response()));
        }
        if let Some(origin) = parts.headers.get(ORIGIN)
            && !is_allowed(origin, &self.tools.origins)
        {
            return Err(reject(StatusCode::FORBIDDEN, INVALID_REQUEST, "Origin not allowed", &Value::Null));
        }
        if let Some(name) = find_repeated(&parts.headers) {
            let text = format!("Header mismatch: {name} is there twice");
            return Err(reject(StatusCode::BAD_REQUEST, HEADER_MISMATCH, &text, &Value::Null));
        }
        let stateless = is_stateless(&parts.headers);
        let (admitted, request_body, received) = match parts.method {
            http::Method::POST => {
                let mut received = self.receive(&parts, body).await?;
                // A body may take long: the call is judged by what its caller may do now.
                let Ok(current) = auth.current().await else { return Err(reject_revoked(&auth).await) };
                auth = current;
                let admitted = self.admit(&parts.headers, &received.bytes, &mut auth, stateless)?;
                let bytes = std::mem::take(&mut received.bytes);
                (admitted, Body::from(bytes), Some(received))
            }
            // The session binds a stream to its caller.
            http::Method::GET | http::Method::DELETE if !stateless && Sessions::has_id(&parts.headers) => {
                parts.headers.remove(CONTENT_LENGTH);
                (AdmittedMessages::default(), Body::empty(), None)
            }
            _ => {
                let mut rejection =
                    reject(StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "Method Not Allowed", &Value::Null);
                rejection.headers_mut().insert(ALLOW, http::HeaderValue::from_static("POST"));
                return Err(rejection);
            }
        };
        let id = admitted.ids.first().unwrap_or(&Value::Null);
        if !self.sessions.unwrap_request(&mut parts.headers, &auth, stateless) {
            return Err(reject(StatusCode::NOT_FOUND, -32001, "Session not found", id));
        }
        if stateless {
            parts.headers.remove(LAST_EVENT_ID);
        }
        // What is filtered has to be readable, and no other protocol may replace it.
        for header in [RANGE, CONNECTION, UPGRADE] {
            parts.headers.remove(header);
        }
        parts.headers.insert(ACCEPT_ENCODING, http::HeaderValue::from_static("identity"));
        if !id.is_null() {
            auth.answer_to(id.to_string());
        }
        if !admitted.tools.is_empty() {
            auth.set_tool(admitted.tools.join(", ").into());
        }
        let requirement = match &admitted.rules[..] {
            [] => None,
            [rule] => Some(rule.0.clone()),
            rules => Some(Arc::new(all_of(rules.iter().map(|rule| (*rule.0).clone())))),
        };
        if requirement.is_some_and(|requirement| !auth.require_call(requirement)) {
            return Err(Box::new(StatusCode::FORBIDDEN.into_response()));
        }
        if let [(id, tool)] = &admitted.calls[..]
            && self.tools.answers(tool)
        {
            let result = introspection::answer_call(tool, &auth, stateless);
            let answer = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
            return Ok(([(CONTENT_TYPE, "application/json")], answer).into_response());
        }
        remove_credentials(&mut parts.headers, &parts.extensions);
        parts.extensions.insert(auth.clone());
        let answer = async {
            let response = inner.call(Request::from_parts(parts, request_body)).await;
            let response = response.unwrap_or_else(|never| match never {});
            drop(received);
            self.filter_response(response.map(Body::new), &auth, admitted).await
        };
        tokio::select! {
            answer = answer => answer,
            () = auth.revoked() => Err(reject_revoked(&auth).await),
        }
    }

    /// Reads the body of a request.
    async fn receive(&self, parts: &Parts, body: Body) -> Result<crate::guard::Received, RejectionResponse> {
        if !is_json(&parts.headers) {
            let text = "the body is not application/json in UTF-8";
            return Err(reject(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, text, &Value::Null));
        }
        if !is_identity(&parts.headers) {
            // The server might decode what was judged as it is.
            let text = "Content-Encoding is not identity";
            return Err(reject(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, text, &Value::Null));
        }
        self.bodies.receive_up_to(parts, body, self.tools.body_limit).await.map_err(|error| {
            let (status, text) = match error {
                BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
                BodyError::TooSlow(_) => (StatusCode::REQUEST_TIMEOUT, "the body took too long"),
                BodyError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many bodies: try again in a moment"),
                BodyError::Broken => (StatusCode::BAD_REQUEST, "the body is incomplete"),
            };
            reject(status, INVALID_REQUEST, text, &Value::Null)
        })
    }

    /// Judges each message of a body. If one message is rejected, the whole body is.
    fn admit(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        auth: &mut AuthContext,
        stateless: bool,
    ) -> Result<AdmittedMessages, RejectionResponse> {
        let bad = |code, text: &str, id: &Value| reject(StatusCode::BAD_REQUEST, code, text, id);
        let json =
            json::read(body, self.tools.depth).map_err(|error| bad(PARSE_ERROR, &error.to_string(), &Value::Null))?;
        let messages = match &json {
            Value::Array(batch) if batch.is_empty() => {
                return Err(bad(INVALID_REQUEST, "an empty batch", &Value::Null));
            }
            Value::Array(_) if stateless => {
                return Err(bad(INVALID_REQUEST, "this revision has no batches", &Value::Null));
            }
            Value::Array(batch) => &batch[..],
            _ => std::slice::from_ref(&json),
        };
        if messages.len() > MOST_MESSAGES {
            return Err(bad(INVALID_REQUEST, &format!("a batch of more than {MOST_MESSAGES} messages"), &Value::Null));
        }
        let is_batch = json.is_array();
        let mut admitted = AdmittedMessages::default();
        for json in messages {
            let message = Message::read(json).map_err(|(error, id)| bad(error.code, &error.message, id))?;
            if let Some(header) = find_mismatch(headers, &message) {
                let text = format!("Header mismatch: {header} differs from the body");
                return Err(bad(HEADER_MISMATCH, &text, message.id));
            }
            if message.is_request() && admitted.ids.contains(message.id) {
                return Err(bad(INVALID_REQUEST, "two requests of one id", message.id));
            }
            match self.tools.judge(&message, auth, &self.tasks) {
                Ok(rules) => {
                    for rule in rules {
                        if !admitted.rules.iter().any(|known| Arc::ptr_eq(&known.0, &rule.0)) {
                            admitted.rules.push(rule);
                        }
                    }
                }
                Err(JudgeError::Forbidden(rule)) => {
                    auth.answer_to(message.id.to_string());
                    // The gate makes the rejection.
                    auth.require_call(rule.0);
                    return Err(Box::new(StatusCode::FORBIDDEN.into_response()));
                }
                Err(JudgeError::Invalid(error)) => {
                    return Err(answer_invalid(
                        error,
                        message.id,
                        stateless,
                        messages.len() > 1 || !message.is_request(),
                    ));
                }
            }
            if message.is_request() {
                admitted.ids.push(message.id.clone());
            }
            if let Some(tool) = message.tool()
                && !admitted.tools.iter().any(|known| known == tool)
            {
                admitted.tools.push(tool.to_owned());
            }
            if let Method::Tool { name, .. } = message.method {
                if self.tools.answers(name) && (is_batch || !message.is_request()) {
                    let text = format!("{name} is called by a request of its own: send it alone, with an id");
                    return Err(bad(INVALID_REQUEST, &text, message.id));
                }
                admitted.calls.push((message.id.clone(), name.to_owned()));
            }
        }
        Ok(admitted)
    }

    /// Filters the lists of the server's response, and makes a stream end when the credential does.
    async fn filter_response(
        &self,
        response: Response,
        auth: &AuthContext,
        admitted: AdmittedMessages,
    ) -> Result<Response, RejectionResponse> {
        let (mut head, body) = response.into_parts();
        self.sessions.wrap_response(&mut head.headers, auth);
        // Every answer is filtered, not only those to lists. The client chooses ids: it may use one twice, and the server
        // may then answer in the stream of another request.
        let AdmittedMessages { ids, calls, .. } = admitted;
        let filter = Filter { tools: self.tools.clone(), tasks: self.tasks.clone(), calls };
        let bad = |text: &str| {
            let id = ids.first().unwrap_or(&Value::Null);
            Err(reject(StatusCode::BAD_GATEWAY, INTERNAL_ERROR, text, id))
        };
        if head.status == StatusCode::SWITCHING_PROTOCOLS || !is_identity(&head.headers) {
            tracing::error!("an MCP server's answer is encoded or of another protocol: withheld");
            return bad("The server's answer cannot be read");
        }
        if is_event_stream(&head.headers) {
            head.headers.remove(CONTENT_LENGTH);
            // Before its end, the layer writes errors that the gate could not write.
            head.extensions.insert(EndedByService);
            let stream = MessageStream::new(body, auth.clone(), filter, ids);
            return Ok(Response::from_parts(head, stream.into_body()));
        }
        if !head.status.is_success() || head.status == StatusCode::ACCEPTED {
            return Ok(Response::from_parts(head, body));
        }
        let bytes = match Limited::new(body, self.tools.answer_limit).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                tracing::error!("an MCP server's answer is above the limit of answers: withheld");
                return bad("The server's answer is too large");
            }
            Err(_) => return bad("The server's answer broke off"),
        };
        if bytes.is_empty() {
            return Ok(Response::from_parts(head, Body::empty()));
        }
        // An unreadable answer cannot be filtered.
        let Ok(mut json) = serde_json::from_slice::<Value>(&bytes) else {
            tracing::error!("an MCP server's answer is not JSON: withheld");
            return bad("The server's answer cannot be read");
        };
        let Ok(current) = auth.current().await else { return Err(reject_revoked(auth).await) };
        match filter.apply(&mut json, &current) {
            FilterOutcome::Unchanged => Ok(Response::from_parts(head, Body::from(bytes))),
            FilterOutcome::Changed => {
                head.headers.remove(CONTENT_LENGTH);
                Ok(Response::from_parts(head, Body::from(json.to_string())))
            }
            FilterOutcome::Withheld => bad("The server's answer is withheld"),
        }
    }
}

/// Returns the response to a request whose credential ended while the server worked on it. The gate replaces it by the
/// rejection.
async fn reject_revoked(auth: &AuthContext) -> RejectionResponse {
    let invalid = match auth.revalidate().await {
        Err(invalid) => invalid,
        Ok(()) => NoLongerValid::new(Reason::Invalid(InvalidCredential::Unknown)),
    };
    let mut response = StatusCode::UNAUTHORIZED.into_response();
    response.extensions_mut().insert(invalid);
    Box::new(response)
}

/// Returns the answer to an invalid message. `failed` means that the whole HTTP request failed.
fn answer_invalid(mut error: RpcError, id: &Value, stateless: bool, failed: bool) -> RejectionResponse {
    if stateless && error.code == RESOURCE_NOT_FOUND {
        error.code = INVALID_PARAMS;
    }
    let status = match error.code {
        // Before 2026-07-28, a 404 says that the session has ended.
        METHOD_NOT_FOUND if stateless => StatusCode::NOT_FOUND,
        _ if failed => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    reject(status, error.code, &error.message, id)
}

/// Returns a response with an error of JSON-RPC.
fn reject(status: StatusCode, code: i32, message: &str, id: &Value) -> RejectionResponse {
    let body = RpcError::new(code, message).answer(id).to_string();
    Box::new((status, [(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Returns whether a body is not encoded.
fn is_identity(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Returns whether the body is JSON in UTF-8: in another charset or coding the server might read another text.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next().and_then(|value| value.to_str().ok()), values.next()) else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}
