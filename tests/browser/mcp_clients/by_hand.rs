//! An MCP server without a library: revision 2026-07-28 without sessions, 2025-06-18 and 2025-11-25 with them.

use super::servers::{Calls, PUBLISH, SEARCH, SLOW, UNDECLARED, greeting};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body_util::BodyExt;
use keyward::mcp;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const STATELESS: &str = "2026-07-28";
const WITH_SESSIONS: [&str; 2] = ["2025-06-18", "2025-11-25"];

#[derive(Clone)]
struct ByHand {
    calls: Arc<Calls>,
    sessions: Arc<Mutex<HashSet<String>>>,
}

pub(super) fn server(calls: Arc<Calls>) -> MethodRouter {
    any(serve).with_state(ByHand { calls, sessions: Arc::default() })
}

async fn serve(State(server): State<ByHand>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let version = header(VERSION).unwrap_or_default();
    let message: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap_or_default();
    let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
    let stateless = version == STATELESS;
    if !stateless && method != "initialize" {
        if header(SESSION).is_none_or(|session| !server.sessions.lock().unwrap().contains(session)) {
            return StatusCode::NOT_FOUND.into_response();
        }
        if !WITH_SESSIONS.contains(&version) {
            return StatusCode::BAD_REQUEST.into_response();
        }
    }
    match parts.method {
        Method::GET => return events(stream::pending().boxed()),
        Method::DELETE => {
            server.sessions.lock().unwrap().remove(header(SESSION).unwrap_or_default());
            return StatusCode::NO_CONTENT.into_response();
        }
        _ if id.is_null() => return StatusCode::ACCEPTED.into_response(),
        _ => {}
    }
    let mut headers = HeaderMap::new();
    let capabilities = json!({"tools": {}});
    let result = match method {
        "initialize" => {
            let session = uuid::Uuid::new_v4().to_string();
            headers.insert(SESSION, session.parse().unwrap());
            server.sessions.lock().unwrap().insert(session);
            let asked = message["params"]["protocolVersion"].as_str().unwrap_or_default();
            let version = WITH_SESSIONS.into_iter().find(|known| *known == asked).unwrap_or(WITH_SESSIONS[1]);
            let info = json!({"name": "by hand", "version": "1"});
            json!({"protocolVersion": version, "capabilities": capabilities, "serverInfo": info})
        }
        "server/discover" => cacheable(json!({"supportedVersions": [STATELESS], "capabilities": capabilities})),
        "tools/list" => {
            let tool = |name| json!({"name": name, "inputSchema": {"type": "object"}});
            let tools = [SEARCH, PUBLISH, SLOW, UNDECLARED].map(tool);
            cacheable(json!({"tools": tools}))
        }
        "tools/call" if message["params"]["name"] == SLOW => {
            // The call ends when the stream is dropped.
            let running = server.calls.begin();
            return events(stream::once(async move { drop((std::future::pending::<()>().await, running)) }).boxed());
        }
        "tools/call" => {
            let text = greeting(mcp::caller(&parts.extensions).unwrap(), &message["params"]["name"]);
            json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
        }
        _ => {
            let error = json!({"code": -32601, "message": "Method not found"});
            let status = if stateless { StatusCode::NOT_FOUND } else { StatusCode::OK };
            return (status, axum::Json(json!({"jsonrpc": "2.0", "id": id, "error": error}))).into_response();
        }
    };
    (headers, axum::Json(json!({"jsonrpc": "2.0", "id": id, "result": result}))).into_response()
}

/// Adds the members that revision 2026-07-28 requires in a cacheable result.
fn cacheable(mut result: Value) -> Value {
    result["resultType"] = "complete".into();
    result["ttlMs"] = 0.into();
    result["cacheScope"] = "public".into();
    result
}

/// Answers with a stream that begins with a comment, so that its head is sent at once.
fn events(rest: stream::BoxStream<'static, ()>) -> Response {
    let frame = |()| Ok::<_, Infallible>(Bytes::from_static(b": open\n\n"));
    let frames = stream::once(async {}).chain(rest).map(frame);
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}
