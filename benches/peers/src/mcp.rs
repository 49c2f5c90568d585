//! An MCP server alone, behind a map of secrets, and behind keyward's table.
//!
//! The server reads the message as JSON and answers, so that little hides the cost of a layer: it calls no tool and keeps
//! no session. The map admits every caller to every tool. keyward reads each message strictly, and decides on it by a table
//! of 20 tools, half of which the caller may use. It forwards the same bytes, and reads the answer to filter its lists.

use crate::by_hand;
use crate::harness::{self, Row};
use crate::world::{self, ACTION, Rows, request};
use crate::{CALLERS, OTHER_ACTION, assert_rejected};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, post};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt;
use keyward::guard::GateService;
use keyward::mcp::Tools;
use keyward::{Group, GuardedRouter, Keyward, action};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::runtime::Runtime;
use tower_service::Service;

const TOOLS: usize = 20;
const CALL: &str = "`tools/call`: the server alone";
const CALL_MAP: &str = "`tools/call`: behind a `DashMap` of secrets";
const CALL_KEYWARD: &str = "`tools/call`: behind keyward";
const LIST: &str = "`tools/list`: the server alone";
const LIST_KEYWARD: &str = "`tools/list`: behind keyward";

/// Measures the rows in turn, and prints them.
pub(crate) fn run(runtime: &Runtime, seconds: u64) {
    let keyward = world::builder(Rows::default(), CALLERS).group(Group::mcp("/mcp")).build().unwrap();
    let secrets = runtime.block_on(world::issue(&keyward, CALLERS));
    let call_tool =
        message("tools/call", json!({"name": "tool-0", "arguments": {"query": "bearer tokens", "limit": 10}}));
    let call_other = message("tools/call", json!({"name": "tool-1", "arguments": {}}));
    let list = message("tools/list", json!({}));
    runtime.block_on(async {
        let mut service = guard_server(&keyward);
        for secret in &secrets {
            let response = service.call(send(secret, &list)).await.unwrap();
            let answer = response.into_body().collect().await.unwrap().to_bytes();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), TOOLS / 2);
        }
    });
    assert_rejected(CALL_KEYWARD, guard_server(&keyward), send("unknown", &call_tool));
    assert_rejected(CALL_KEYWARD, guard_server(&keyward), send(&secrets[0], &call_other));

    let strings = by_hand::make_secrets(CALLERS);
    let map = by_hand::map_secrets(&strings, ACTION).wrap(server());
    let mut rows = [
        Row::new(CALL, None, 200, server(), cycle(&secrets, &call_tool)),
        Row::new(CALL_MAP, Some(CALL), 200, map, cycle(&strings, &call_tool)),
        Row::new(CALL_KEYWARD, Some(CALL), 200, guard_server(&keyward), cycle(&secrets, &call_tool)),
        Row::new(LIST, None, 200, server(), cycle(&secrets, &list)),
        Row::new(LIST_KEYWARD, Some(LIST), 200, guard_server(&keyward), cycle(&secrets, &list)),
    ];
    harness::run(&mut rows, Duration::from_secs(seconds));
    print(&rows);
}

fn print(rows: &[Row]) {
    println!("| request | least ns | median ns | allocations | x the server alone, by the least | by the median |");
    println!("| --- | --: | --: | --: | --: | --: |");
    for row in rows {
        let times = row.over.map(|name| rows.iter().find(|row| row.name == name).unwrap());
        let times = times.map_or_else(
            || "| ".to_owned(),
            |base| format!("{:.2} | {:.2}", row.least() / base.least(), row.median() / base.median()),
        );
        println!("| {} | {:.0} | {:.0} | {:.1} | {times} |", row.name, row.least(), row.median(), row.allocations);
    }
}

fn message(method: &str, params: Value) -> Bytes {
    let meta = json!({"progressToken": 1});
    let mut message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    message["params"]["_meta"] = meta;
    message.to_string().into()
}

/// Returns a function that builds requests with these secrets in turn.
fn cycle(secrets: &[String], body: &Bytes) -> impl FnMut() -> Request<Body> + use<> {
    let (secrets, body) = (secrets.to_vec(), body.clone());
    let mut next = 0;
    move || {
        next = (next + 1) % secrets.len();
        send(&secrets[next], &body)
    }
}

fn send(secret: &str, body: &Bytes) -> Request<Body> {
    let mut request = request::<Body>(Some(secret));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/mcp");
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.body_mut() = Body::from(body.clone());
    request
}

fn server() -> Router {
    Router::new().route("/mcp", handler())
}

fn guard_server(keyward: &Keyward) -> GateService<Router> {
    let tools = (0..TOOLS).fold(Tools::new(), |tools, i| {
        tools.tool(format!("tool-{i}"), action(if i % 2 == 0 { ACTION } else { OTHER_ACTION }))
    });
    keyward.guard(GuardedRouter::new().mcp("/mcp", tools, handler()))
}

fn handler() -> MethodRouter {
    post(|body: Bytes| async move {
        let Ok(message) = serde_json::from_slice::<Value>(&body) else {
            return http::StatusCode::BAD_REQUEST.into_response();
        };
        let result = match message["method"].as_str() {
            Some("tools/list") => json!({"tools": (0..TOOLS).map(describe).collect::<Vec<_>>()}),
            _ => json!({"content": [{"type": "text", "text": "ten articles"}], "isError": false}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
    })
}

fn describe(i: usize) -> Value {
    let query = json!({"type": "string", "description": "The words to look for"});
    let schema = json!({"type": "object", "properties": {"query": query}, "required": ["query"]});
    json!({"name": format!("tool-{i}"), "description": "Looks for articles", "inputSchema": schema})
}
