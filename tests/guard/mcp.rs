//! The guard of an MCP server, in front of a server that does everything it is asked for and lists everything.

mod fields;
mod introspection;
mod requests;
mod streams;
mod tasks;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::StreamExt;
use http::{HeaderName, Method, StatusCode, header};
use http_body_util::BodyExt;
use keyward::admin::AuditAction;
use keyward::authz::Fields;
use keyward::guard::{InvalidCredential, Reason};
use keyward::mcp::{self, Tools};
use keyward::store::WriteStore;
use keyward::testing::{Answer, App, Key, TestRequest, World};
use keyward::{Group, GuardedRouter, Keyward, Permission, action, authenticated};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tower::ServiceExt;

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// A server that keeps what it has seen.
#[derive(Clone, Default)]
struct Server {
    seen: Arc<Mutex<Vec<Value>>>,
    sessions: Arc<Mutex<Vec<Option<String>>>>,
    working: Arc<Notify>,
    tools: Vec<String>,
    stream: bool,
    keyward: Option<Keyward>,
}

impl Server {
    fn with(tools: &[&str]) -> Self {
        Self { tools: tools.iter().map(|&t| t.to_owned()).collect(), ..Self::default() }
    }

    fn guard(&self, world: &World, tools: Tools) -> App {
        world.guard(GuardedRouter::new().mcp("/mcp", tools, any(serve).with_state(self.clone())))
    }

    /// Sends a body, and returns the response with its open body.
    async fn send(&self, world: &World, key: &Key, content_type: &str, body: String) -> Response {
        let routes = GuardedRouter::new().mcp("/mcp", table().body_limit(2000), any(serve).with_state(self.clone()));
        let request = Request::post("/mcp")
            .header(header::AUTHORIZATION, format!("Bearer {}", key.secret.expose()))
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body));
        world.keyward.guard(routes).oneshot(request.unwrap()).await.unwrap()
    }

    /// Sends a message, and returns the frames of the answer.
    async fn open(&self, world: &World, key: &Key, message: &Value) -> axum::body::BodyDataStream {
        let response = self.send(world, key, "application/json", message.to_string()).await;
        assert_eq!(response.status(), 200);
        response.into_body().into_data_stream()
    }

    fn seen(&self) -> Vec<Value> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    fn result(&self, message: &Value) -> Value {
        let named = |n: &String| json!({"name": n});
        let result = match message["method"].as_str().unwrap_or_default() {
            "tools/list" => json!({
                "tools": self.tools.iter().map(named).collect::<Vec<_>>(), "nextCursor": "next", "cacheScope": "public"
            }),
            "resources/list" => json!({"resources": [{"uri": "article://1"}, {"uri": "secret://1"}, {}]}),
            "resources/templates/list" => json!({"resourceTemplates": [
                {"uriTemplate": "article://{id}"}, {"uriTemplate": "secret://{id}"}, {"uriTemplate": "{any}"}
            ]}),
            "prompts/list" => json!({"prompts": [{"name": "summarize"}, {"name": "other"}]}),
            _ => json!({"content": [], "tools": ["of a call"]}),
        };
        json!({"jsonrpc": "2.0", "id": message["id"], "result": result})
    }
}

async fn serve(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let session = parts.headers.get(SESSION).map(|v| v.to_str().unwrap().to_owned());
    server.sessions.lock().unwrap().push(session);
    if parts.method != Method::POST {
        let open = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        return ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(open)).into_response();
    }
    let message: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    server.seen.lock().unwrap().push(message.clone());
    let answer = match &message {
        Value::Array(batch) => batch.iter().map(|message| server.result(message)).collect(),
        message => server.result(message),
    };
    if message["params"]["name"] == "slow" {
        server.working.notify_one();
        std::future::pending::<()>().await;
    }
    if message["params"]["name"] == "silent" {
        let open = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        return ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(open)).into_response();
    }
    if message["params"]["name"] == "rows" {
        let caller = mcp::caller(&parts.extensions).unwrap();
        let rows: Vec<_> =
            caller.decision().project(json!({"id": 1, "title": "t", "body": "b"}), &["id"]).into_iter().collect();
        return axum::Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": rows})).into_response();
    }
    if message["params"]["name"] == "rotate" {
        let caller = mcp::caller(&parts.extensions).unwrap();
        let tokens = server.keyward.clone().unwrap().tokens().acting_as(caller.actor());
        tokens.regenerate(caller.token().unwrap()).await.unwrap();
    }
    if message["method"] == "initialize" {
        return ([(SESSION, "inner")], axum::Json(answer)).into_response();
    }
    if server.stream {
        // In two frames, the first of which ends within the event.
        let text = format!("\u{feff}id: 7\r\ndata: {answer}\r\n\r\n: on\n\n");
        let (a, b) = text.as_bytes().split_at(text.len() / 2);
        let frames = [a.to_vec(), b.to_vec()].map(|f| Ok::<_, std::io::Error>(Bytes::from(f)));
        let open = futures_util::stream::iter(frames).chain(futures_util::stream::pending());
        return ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(open)).into_response();
    }
    axum::Json(answer).into_response()
}

fn world() -> World {
    World::bare(|builder| builder.group(Group::mcp("/mcp")))
}

fn call(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

fn tool(name: &str) -> Value {
    call("tools/call", json!({"name": name}))
}

fn with_id(mut message: Value, id: usize) -> Value {
    message["id"] = id.into();
    message
}

/// A server whose results a function makes.
#[derive(Clone)]
struct Results {
    of: Arc<dyn Fn(&Value) -> Value + Send + Sync>,
    seen: Arc<Mutex<Vec<Value>>>,
    stream: bool,
}

impl Results {
    fn of(result: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        Self { of: Arc::new(result), seen: Arc::default(), stream: false }
    }

    fn guard(&self, world: &World, tools: Tools) -> App {
        world.guard(GuardedRouter::new().mcp("/mcp", tools, any(serve_results).with_state(self.clone())))
    }

    fn seen(&self) -> Vec<Value> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn serve_results(State(results): State<Results>, axum::Json(message): axum::Json<Value>) -> Response {
    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": (results.of)(&message)});
    results.seen.lock().unwrap().push(message);
    match results.stream {
        true => ([(header::CONTENT_TYPE, "text/event-stream")], format!("data: {answer}\n\n")).into_response(),
        false => axum::Json(answer).into_response(),
    }
}

fn post(app: &App, key: &Key, message: &Value) -> TestRequest {
    app.post("/mcp").bearer(&key.secret).json(message)
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

fn names(list: &Value, member: &str) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

fn table() -> Tools {
    Tools::new()
        .tool("search", action("article.read"))
        .tool("publish", action("article.publish"))
        .tool_with_decision("rows", action("article.find"))
        .tool("whole_rows", action("article.find"))
        .tool("slow", action("article.read"))
        .tool("silent", action("article.read"))
        .resources("article://", action("article.read"))
        .resources("secret://", action("secret.read"))
        .prompt("summarize", authenticated())
        .method("x/mine", action("article.publish"))
}

#[tokio::test]
async fn calls_reach_the_server_only_if_their_requirement_is_met() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key = world.editor().with("article.read").issue().await;
    for passed in [
        tool("search"),
        call("resources/read", json!({"uri": "article://1"})),
        call("resources/subscribe", json!({"uri": "article://1"})),
        call("resources/unsubscribe", json!({"uri": "secret://1"})),
        call(
            "subscriptions/listen",
            json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["article://1"]}}),
        ),
        call("prompts/get", json!({"name": "summarize"})),
        call("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "summarize"}})),
        call("completion/complete", json!({"ref": {"type": "ref/resource", "uri": "article://{id}"}})),
        call("initialize", json!({})),
        call("ping", json!({})),
        call("server/discover", json!({})),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": "of the server", "result": {}}),
    ] {
        post(&app, &key, &passed).await.assert_ok();
        assert_eq!(server.seen(), [passed]);
    }
    for forbidden in [
        tool("publish"),
        call("resources/read", json!({"uri": "secret://1"})),
        call("resources/subscribe", json!({"uri": "secret://1"})),
        call(
            "subscriptions/listen",
            json!({"notifications": {"resourceSubscriptions": ["article://1", "secret://1"]}}),
        ),
        call("completion/complete", json!({"ref": {"type": "ref/resource", "uri": "secret://{id}"}})),
        call("x/mine", json!({})),
        json!([with_id(tool("search"), 6), tool("publish")]),
    ] {
        let answer = post(&app, &key, &forbidden).await;
        answer.assert_rejected(Reason::Forbidden).assert_status(403);
        let scope = if forbidden.to_string().contains("secret") { "secret.read" } else { "article.publish" };
        let challenge = answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains(&format!(r#"error="insufficient_scope", scope="{scope}""#)), "{challenge}");
        let error = body(&answer);
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!(7), &json!(-32000)), "{error}");
        assert_eq!(error["error"]["data"]["scope"], scope);
        assert_eq!(server.seen(), [] as [Value; 0]);
    }
}

#[tokio::test]
async fn what_the_table_does_not_have_is_refused_to_everyone() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key = world.super_admin().sign_in().await;
    for (message, code) in [
        (tool("other"), -32602),
        (tool("Search"), -32602),
        (call("prompts/get", json!({"name": "other"})), -32602),
        (call("resources/read", json!({"uri": "other://1"})), -32002),
        (call("resources/read", json!({"uri": "article://../secret"})), -32002),
        (call("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "other"}})), -32602),
        (call("completion/complete", json!({"ref": {"type": "ref/resource", "uri": "{any}"}})), -32002),
        (call("tasks/get", json!({"taskId": "1"})), -32602),
        (call("x/other", json!({})), -32601),
        (call("tools/Call", json!({"name": "search"})), -32601),
    ] {
        let answer = post(&app, &key, &message).await;
        assert_eq!((answer.status, body(&answer)["error"]["code"].clone()), (StatusCode::OK, json!(code)), "{message}");
        let answer = post(&app, &key, &message).header(VERSION, "2026-07-28").await;
        let (status, code) = match code {
            -32601 => (404, -32601),
            _ => (200, -32602),
        };
        assert_eq!(body(answer.assert_status(status))["error"]["code"], code);
    }
    for invalid in [
        json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "other"}}),
        json!([with_id(tool("search"), 6), tool("other")]),
        json!([tool("search"), tool("publish")]),
        json!([]),
        json!(1),
        json!({"id": 1, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1}),
        json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "result": {}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "Method": "tools/call"}),
        call("tools/call", json!({"name": "search", "Name": "publish"})),
        call("tools/call", json!({"name": ["search"]})),
        call("tools/call", json!(["search"])),
        call("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "summarize", "uri": "secret://1"}})),
        call("subscriptions/listen", json!({"notifications": {"other": ["secret://1"]}})),
    ] {
        post(&app, &key, &invalid).await.assert_status(400);
    }
    assert_eq!(server.seen(), [] as [Value; 0]);
}

#[tokio::test]
async fn bodies_that_two_readers_may_read_differently_are_refused() {
    let (world, server) = (world(), Server::default());
    let key = world.super_admin().sign_in().await;
    let json = "application/json";
    let send = async |body: String, content_type: &str| server.send(&world, &key, content_type, body).await.status();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(send(ping.into(), json).await, 200);
    assert_eq!(send(ping.into(), "application/json; charset=UTF-8").await, 200);
    server.seen();
    let duplicated = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","name":"publish"}}"#;
    for body in [duplicated.to_owned(), format!("\u{feff}{ping}"), format!("{ping}{ping}"), "[".repeat(100)] {
        assert_eq!(send(body, json).await, 400);
    }
    assert_eq!(send(format!("{ping}{}", " ".repeat(2000)), json).await, 413);
    for content_type in ["text/plain", "application/json; charset=utf-7", "application/jsonp"] {
        assert_eq!(send(ping.into(), content_type).await, 415);
    }
    assert_eq!(server.seen(), [] as [Value; 0]);
}

#[tokio::test]
async fn headers_that_differ_from_the_body_are_refused() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key = world.super_admin().sign_in().await;
    let (method, name) = (HeaderName::from_static("mcp-method"), HeaderName::from_static("mcp-name"));
    let send = |m: &str, n: &str| post(&app, &key, &tool("search")).header(method.clone(), m).header(name.clone(), n);
    send("tools/call", "search").await.assert_ok();
    send("tools/call", "=?base64?c2VhcmNo?=").await.assert_ok();
    server.seen();
    for (m, n) in
        [("tools/list", "search"), ("tools/call", "publish"), ("tools/call", "=?base64?!?="), ("Tools/call", "search")]
    {
        let answer = send(m, n).await;
        assert_eq!(body(answer.assert_status(400))["error"]["code"], -32020);
    }
    send("tools/call", "search").header(name.clone(), "publish").await.assert_status(400);
    assert_eq!(server.seen(), [] as [Value; 0]);
}

#[tokio::test]
async fn lists_show_what_the_caller_may_use() {
    for stream in [false, true] {
        let world = world();
        let server = Server { stream, ..Server::with(&["search", "publish", "rows", "whole_rows", "other"]) };
        let app = server.guard(&world, table());
        let key = world.editor().with("article.read").issue().await;
        let list = async |method: &str| {
            if !stream {
                return body(post(&app, &key, &call(method, json!({}))).await.assert_ok())["result"].clone();
            }
            let mut frames = server.open(&world, &key, &call(method, json!({}))).await;
            let event = String::from_utf8(frames.next().await.unwrap().unwrap().to_vec()).unwrap();
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            assert!(event.starts_with("id: 7\n"), "{event}");
            serde_json::from_str::<Value>(data).unwrap()["result"].clone()
        };
        let tools = list("tools/list").await;
        assert_eq!(tools, json!({"tools": [{"name": "search"}], "nextCursor": "next", "cacheScope": "private"}));
        assert_eq!(names(&list("resources/list").await["resources"], "uri"), ["article://1".to_owned()].into());
        let templates = list("resources/templates/list").await;
        assert_eq!(names(&templates["resourceTemplates"], "uriTemplate"), ["article://{id}".to_owned()].into());
        assert_eq!(names(&list("prompts/list").await["prompts"], "name"), ["summarize".to_owned()].into());
    }
}

/// Which tools run is computed here from the grants alone, without keyward's decisions.
#[tokio::test]
async fn tools_in_the_list_are_those_that_run() {
    let mut random = fastrand::Rng::with_seed(20);
    for _ in 0..40 {
        let world = world();
        let all: Vec<String> = (0..8).map(|i| format!("t{i}")).collect();
        let server = Server { tools: all.clone(), ..Server::default() };
        let (mut tools, mut expected, mut caller) = (Tools::new(), BTreeSet::new(), world.editor());
        // 0: nothing, 1: some fields, 2: everything.
        let held: Vec<u8> = (0..4).map(|_| random.u8(0..3)).collect();
        for (action, held) in held.iter().enumerate().filter(|(_, held)| **held > 0) {
            let permission = Permission::new(format!("a{action}")).on("article");
            caller =
                caller.with(if *held == 1 { permission.fields(Fields::only(["title"]).unwrap()) } else { permission });
        }
        for name in &all {
            let (i, declared) = (random.usize(0..4), random.u8(0..3));
            let requirement = action(format!("a{i}")).on("article");
            tools = match declared {
                0 => continue,
                1 => tools.tool(name, requirement),
                _ => tools.tool_with_decision(name, requirement),
            };
            if held[i] == 2 || (held[i] == 1 && declared == 2) {
                expected.insert(name.clone());
            }
        }
        let (app, key) = (server.guard(&world, tools), caller.issue().await);
        let listed = post(&app, &key, &call("tools/list", json!({}))).await;
        assert_eq!(names(&body(&listed)["result"]["tools"], "name"), expected);
        server.seen();
        for name in &all {
            post(&app, &key, &tool(name)).await;
        }
        let ran =
            server.seen().iter().map(|m| m["params"]["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(ran, expected);
    }
}

#[tokio::test]
async fn a_tool_gets_the_decision_if_it_is_declared_to_take_it() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key =
        world.editor().with(Permission::new("article.find").fields(Fields::only(["title"]).unwrap())).issue().await;
    let answer = post(&app, &key, &tool("rows")).await;
    assert_eq!(body(answer.assert_ok())["result"], json!([{"id": 1, "title": "t"}]));
    post(&app, &key, &tool("whole_rows")).await.assert_rejected(Reason::Forbidden);
}

#[tokio::test]
async fn a_session_is_of_its_owner_alone() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let (own, other) = (world.editor().issue().await, world.editor().issue().await);
    let answer = post(&app, &own, &call("initialize", json!({}))).await;
    let id = answer.headers[SESSION].to_str().unwrap().to_owned();
    server.sessions.lock().unwrap().clear();
    let ping = call("ping", json!({}));
    for wrong in [id.as_str(), "inner", "00.inner"] {
        let key = if wrong == id { &other } else { &own };
        assert_eq!(body(post(&app, key, &ping).header(SESSION, wrong).await.assert_status(404))["id"], 7);
        for method in [Method::GET, Method::DELETE] {
            app.request(method, "/mcp").bearer(&key.secret).header(SESSION, wrong).await.assert_status(404);
        }
    }
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let answer = app.request(method, "/mcp").bearer(&own.secret).await;
        assert_eq!(answer.assert_status(405).headers[header::ALLOW], "POST");
    }
    assert!(server.sessions.lock().unwrap().is_empty());
    post(&app, &own, &ping).header(SESSION, &id).await.assert_ok();
    post(&app, &own, &ping).header(SESSION, &id).header(VERSION, "2026-07-28").await.assert_ok();
    assert_eq!(*server.sessions.lock().unwrap(), [Some("inner".to_owned()), None]);
}

#[tokio::test]
async fn a_stream_ends_with_its_credential() {
    let world = world();
    let server = Server { stream: true, ..Server::with(&[]) };
    let key = world.editor().with("article.read").issue().await;
    let mut frames = server.open(&world, &key, &tool("search")).await;
    frames.next().await.unwrap().unwrap();
    world.keyward.tokens().revoke(key.id).await.unwrap();
    // The first request has its answer.
    let rest: Vec<_> = frames.map(Result::unwrap).collect().await;
    assert!(rest.concat().is_empty() || rest.concat() == b": on\n\n", "{rest:?}");
}

#[tokio::test]
async fn a_call_without_an_answer_gets_an_error_before_its_stream_ends() {
    let (world, server) = (world(), Server::default());
    let key = world.editor().with("article.read").issue().await;
    let frames = server.open(&world, &key, &tool("silent")).await;
    // The token stays, and loses what the tool requires.
    let (_, role) = key.owner.unwrap();
    world.keyward.roles().set_permissions(role, Vec::<Permission>::new()).await.unwrap();
    let rest: Vec<_> = frames.map(Result::unwrap).collect().await;
    let event = String::from_utf8(rest.concat()).unwrap();
    let error: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(7), &json!(-32000)));
}

#[tokio::test]
async fn a_running_call_ends_with_its_credential() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key = world.editor().with("article.read").issue().await;
    let running = tokio::spawn(post(&app, &key, &tool("slow")).into_future());
    server.working.notified().await;
    world.keyward.tokens().revoke(key.id).await.unwrap();
    let answer = running.await.unwrap();
    answer.assert_status(401).assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    assert_eq!(body(&answer)["id"], 7);
}

/// The caller learns what it has lost, as if it had asked afterwards.
#[tokio::test]
async fn a_running_call_ends_with_its_grant() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key = world.editor().with("article.read").issue().await;
    let running = tokio::spawn(post(&app, &key, &tool("slow")).into_future());
    server.working.notified().await;
    world.keyward.roles().set_permissions(key.role(), Vec::<Permission>::new()).await.unwrap();
    let answer = running.await.unwrap();
    answer.assert_rejected(Reason::Forbidden);
    let afterwards = post(&app, &key, &tool("slow")).await;
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], afterwards.headers[header::WWW_AUTHENTICATE]);
    assert_eq!(body(&answer), body(&afterwards));
    assert_eq!(body(&answer)["error"]["data"]["scope"], "article.read");
}

#[tokio::test]
async fn a_missing_credential_is_answered_in_json_rpc() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let answer = app.post("/mcp").json(&tool("search")).await;
    let error = body(answer.assert_status(401));
    assert_eq!(error["error"]["message"], "Missing or invalid credentials");
    assert_eq!((&error["id"], &error["error"]["code"]), (&Value::Null, &json!(-32000)));
    let wrong = app.post("/mcp").bearer("wrong").json(&tool("search")).await;
    assert_eq!(body(wrong.assert_status(401))["error"]["data"]["code"], "invalid_token");
    assert_eq!(server.seen(), [] as [Value; 0]);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key = world.editor().issue().await;
    let send = |origin: &str| post(&app, &key, &call("ping", json!({}))).header(header::ORIGIN, origin);
    send("http://localhost:6274").await.assert_ok();
    send("http://evil.example").header(header::HOST, "evil.example").await.assert_status(403);
}

#[tokio::test]
async fn clients_find_the_metadata_of_the_resource() {
    let (url, issuer) = ("https://example.com/mcp", "https://login.example.com");
    let world = World::bare(|builder| builder.group(Group::mcp("/mcp").protected_resource(url, [issuer])));
    let app = Server::default().guard(&world, table());
    let metadata = r#"resource_metadata="https://example.com/.well-known/oauth-protected-resource/mcp""#;
    let key = world.editor().with("article.read").issue().await;
    for (answer, status) in [
        (app.post("/mcp").await, 401),
        (app.post("/mcp").bearer("wrong").await, 401),
        (post(&app, &key, &tool("publish")).await, 403),
    ] {
        let challenge = answer.assert_status(status).headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains(metadata), "{challenge}");
    }
    let found = app.get("/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(found.assert_status(200).headers[header::CONTENT_TYPE], "application/json");
    let expected = json!({"resource": url, "authorization_servers": [issuer], "bearer_methods_supported": ["header"]});
    assert_eq!(body(&found), expected);
    for probe in [
        "oauth-protected-resource",
        "oauth-authorization-server",
        "oauth-authorization-server/mcp",
        "openid-configuration",
    ] {
        body(app.get(&format!("/.well-known/{probe}")).await.assert_status(404));
    }
}

/// One request must not cost more than its length: what it asks for is bounded, and each rule counts once.
#[tokio::test]
async fn many_resources_or_messages_in_one_request_are_refused() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table().body_limit(1 << 20));
    let key = world.editor().with("article.read").issue().await;
    let uris = |count: usize| (0..count).map(|n| format!("article://{n}")).collect::<Vec<_>>();
    let listen = |count| call("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": uris(count)}}));
    post(&app, &key, &listen(100)).await.assert_status(200);
    let refused = post(&app, &key, &listen(20_000)).await;
    assert_eq!(body(&refused)["error"]["message"], "more than 100 resourceSubscriptions in one subscription");
    let batch = |count| (0..count).map(|n| with_id(tool("search"), n)).collect::<Value>();
    post(&app, &key, &batch(100)).await.assert_status(200);
    post(&app, &key, &batch(101)).await.assert_status(400);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn tool_is_named_in_audit_events_and_in_the_last_use() {
    let world = world();
    let server = Server { keyward: Some(world.keyward.clone()), ..Server::default() };
    let app = server.guard(&world, Tools::new().tool("rotate", authenticated()).prompt("greet", authenticated()));
    let last_tool = async |key: &Key| {
        world.keyward.flush().await;
        let token = world.store.view().await.unwrap().token(key.id).await.unwrap().unwrap();
        token.last_used_tool.map(|tool| tool.to_string())
    };
    let key = world.editor().issue().await;
    post(&app, &key, &call("prompts/get", json!({"name": "greet"}))).await.assert_ok();
    assert_eq!(last_tool(&key).await.as_deref(), Some("prompts/get"));
    let key = world.editor().issue().await;
    // The secret of the call is the former one afterwards.
    post(&app, &key, &tool("rotate")).await.assert_status(401);
    let last = world.store.audit_events().pop().unwrap();
    assert_eq!((last.what, last.origin.tool.as_deref()), (AuditAction::TokenRegenerated, Some("rotate")));
    assert_eq!(last_tool(&key).await.as_deref(), Some("rotate"));
    world.keyward.tokens().revoke(key.id).await.unwrap();
    assert_eq!(world.store.audit_events().pop().unwrap().origin.tool, None, "not of this call");
}
