//! The head of a request, and the body of an answer.

use super::*;
use http::HeaderMap;
use keyward::Require;

/// A server that keeps the headers of the last request.
#[derive(Clone, Default)]
struct Heads(Arc<Mutex<HeaderMap>>);

async fn keep_head(State(heads): State<Heads>, request: Request) -> Response {
    *heads.0.lock().unwrap() = request.headers().clone();
    axum::Json(json!({"jsonrpc": "2.0", "id": 7, "result": {}})).into_response()
}

#[tokio::test]
async fn an_encoded_body_is_refused() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key = world.editor().issue().await;
    let send = |encoding: &str| post(&app, &key, &call("ping", json!({}))).header(header::CONTENT_ENCODING, encoding);
    send("identity").await.assert_ok();
    send("Identity").header(header::CONTENT_ENCODING, "identity").await.assert_ok();
    for encoding in ["gzip", "identity, gzip", ""] {
        send(encoding).await.assert_status(415);
    }
    send("identity").header(header::CONTENT_ENCODING, "br").await.assert_status(415);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn headers_of_the_protocol_are_sent_once() {
    let (world, server) = (world(), Server::default());
    let app = server.guard(&world, table());
    let key = world.editor().issue().await;
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "mcp-param-region"] {
        let name = HeaderName::from_static(name);
        let value = if name == VERSION { "2025-06-18" } else { "ping" };
        let answer = post(&app, &key, &call("ping", json!({}))).header(name.clone(), value).header(name, value).await;
        assert_eq!(body(answer.assert_status(400))["error"]["code"], -32020);
    }
    assert_eq!(server.seen(), [] as [Value; 0]);
}

#[tokio::test]
async fn credentials_do_not_reach_the_server() {
    let api_key = HeaderName::from_static("x-api-key");
    let named = World::bare(|b| b.group(Group::mcp("/mcp")).credential_headers(["x-api-key", "authorization"]));
    for (world, name) in [(world(), header::AUTHORIZATION), (named, api_key.clone())] {
        let heads = Heads::default();
        let app = world.guard(GuardedRouter::new().mcp("/mcp", table(), any(keep_head).with_state(heads.clone())));
        let key = world.editor().issue().await;
        let secret = key.secret.expose();
        let credential = if name == api_key { secret.to_owned() } else { format!("Bearer {secret}") };
        let request = app.post("/mcp").header(name.clone(), &credential).json(&call("ping", json!({})));
        request.header(header::COOKIE, "a=b").header(VERSION, "2025-06-18").await.assert_ok();
        let head = heads.0.lock().unwrap().clone();
        assert!(head.contains_key(VERSION) && !head.contains_key(header::COOKIE), "{head:?}");
        assert!(!head.contains_key(&name) && head.values().all(|v| !v.as_bytes().ends_with(secret.as_bytes())));
    }
}

#[tokio::test]
async fn an_answer_above_the_limit_becomes_an_error() {
    let (world, server) = (world(), Server::with(&["search"; 50]));
    let key = world.editor().with("article.read").issue().await;
    let list = call("tools/list", json!({}));
    let length = post(&server.guard(&world, table()), &key, &list).await.body.len();
    // The answer that the server sends is a little longer: its `cacheScope` is `public`.
    let app = server.guard(&world, table().answer_limit(length));
    post(&app, &key, &list).await.assert_ok();
    let app = server.guard(&world, table().answer_limit(length - 10));
    let answer = post(&app, &key, &list).await;
    let error = body(answer.assert_status(502));
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(7), &json!(-32603)));
}

/// Sends the head of an answer, and nothing more.
async fn stall(State(begun): State<Arc<Notify>>) -> Response {
    let first = futures_util::stream::once(async move {
        begun.notify_one();
        Ok::<_, std::io::Error>(Bytes::from("{"))
    });
    let body = Body::from_stream(first.chain(futures_util::stream::pending()));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[tokio::test]
async fn an_answer_that_is_being_read_ends_with_the_credential() {
    let (world, begun) = (world(), Arc::new(Notify::new()));
    let app = world.guard(GuardedRouter::new().mcp("/mcp", table(), any(stall).with_state(begun.clone())));
    let key = world.editor().with("article.read").issue().await;
    let running = tokio::spawn(post(&app, &key, &tool("search")).into_future());
    begun.notified().await;
    world.keyward.tokens().revoke(key.id).await.unwrap();
    let answer = running.await.unwrap();
    answer.assert_status(401).assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
}

/// The server does not know of the layer's requirement, so it cannot apply the decision on it.
#[tokio::test]
async fn a_partial_decision_of_an_outer_layer_is_not_taken_by_a_call() {
    let (world, server) = (world(), Server::default());
    let some = Permission::new("article.find").fields(Fields::only(["title"]).unwrap());
    let key = world.editor().with(some).with("article.read").issue().await;
    let guard = |requirement| {
        let routes = GuardedRouter::new().mcp("/mcp", table(), any(serve).with_state(server.clone()));
        world.guard(routes.layer(Require::new(requirement)))
    };
    for message in [tool("search"), call("ping", json!({}))] {
        let partial = post(&guard(action("article.find")), &key, &message).await;
        partial.assert_rejected(Reason::Unguarded);
        post(&guard(action("article.read")), &key, &message).await.assert_ok();
    }
}

#[tokio::test]
async fn a_template_needs_what_its_expansions_need() {
    let (world, server) = (world(), Server::default());
    let key = world.editor().with("a").issue().await;
    let tools = Tools::new()
        .resources("x://", action("b"))
        .resources("x://open", action("a"))
        .resources("x://open/strict", action("b"))
        .resources("z://", action("b"))
        .resources("z://open", action("a"))
        .resources("y://", action("a"))
        .resources("y://part", action("b"));
    let app = server.guard(&world, tools);
    for (template, status) in [
        ("x://open", 200),
        ("z://open{?query}", 200),
        ("z://open{#part}", 200),
        // It may expand to `z://opened`.
        ("z://open{id}", 403),
        ("x://open/other/{id}", 200),
        ("x://open/{id}", 403),
        ("x://open{/id}", 403),
        ("x://open/str{id}", 403),
        ("x://{id}", 403),
        ("y://{id}", 403),
        ("y://other/{id}", 200),
        ("y://pa{id}", 403),
    ] {
        let message = call("completion/complete", json!({"ref": {"type": "ref/resource", "uri": template}}));
        let answer = post(&app, &key, &message).await;
        assert_eq!(answer.status, status, "{template}");
    }
}

/// A client may hold a request open while its permission is taken away.
#[tokio::test]
async fn a_call_is_judged_when_its_body_has_arrived() {
    // The server is polled before the watch in about half of the rounds.
    for _ in 0..10 {
        let (world, server) = (world(), Server::default());
        let key = world.editor().with("article.read").with("article.publish").issue().await;
        let app = world.keyward.guard(GuardedRouter::new().mcp("/mcp", table(), any(serve).with_state(server.clone())));
        let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
        let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|frame| (Ok::<_, std::io::Error>(frame), receiver))
        });
        let request = Request::post("/mcp")
            .header(header::AUTHORIZATION, format!("Bearer {}", key.secret.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from_stream(frames))
            .unwrap();
        let running = tokio::spawn(app.oneshot(request));
        let text = tool("publish").to_string();
        let (start, end) = text.split_at(10);
        sender.send(Bytes::copy_from_slice(start.as_bytes())).await.unwrap();
        // The first frame is read: the head was admitted.
        let next = sender.reserve().await.unwrap();
        world.keyward.roles().set_permissions(key.role(), vec![Permission::new("article.read")]).await.unwrap();
        next.send(Bytes::copy_from_slice(end.as_bytes()));
        drop(sender);
        assert_eq!(running.await.unwrap().unwrap().status(), 403);
        assert_eq!(server.seen(), [] as [Value; 0]);
    }
}

#[tokio::test]
async fn a_connection_is_not_handed_to_the_server() {
    let (world, heads) = (world(), Heads::default());
    let app = world.guard(GuardedRouter::new().mcp("/mcp", table(), any(keep_head).with_state(heads.clone())));
    let key = world.editor().issue().await;
    let request = post(&app, &key, &call("ping", json!({})));
    request.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "websocket").await.assert_ok();
    let head = heads.0.lock().unwrap().clone();
    assert!(!head.contains_key(header::UPGRADE) && !head.contains_key(header::CONNECTION), "{head:?}");
    let switch = any(|| async { StatusCode::SWITCHING_PROTOCOLS });
    let app = world.guard(GuardedRouter::new().mcp("/mcp", table(), switch));
    post(&app, &key, &call("ping", json!({}))).await.assert_status(502);
}

#[tokio::test]
async fn an_encoded_answer_is_withheld() {
    let world = world();
    let key = world.editor().issue().await;
    for content_type in ["application/json", "text/event-stream"] {
        let encoded = move || async move {
            ([(header::CONTENT_TYPE, content_type), (header::CONTENT_ENCODING, "gzip")], "\x1f\n\n").into_response()
        };
        let app = world.guard(GuardedRouter::new().mcp("/mcp", table(), any(encoded)));
        post(&app, &key, &call("tools/list", json!({}))).await.assert_status(502);
    }
}

#[tokio::test]
async fn a_list_beside_a_method_is_filtered() {
    let world = world();
    let key = world.editor().with("article.read").issue().await;
    let tools = json!([{"name": "search"}, {"name": "publish"}]);
    let echo = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list", "result": {"tools": tools}});
    let app = world.guard(GuardedRouter::new().mcp("/mcp", table(), any(move || async { axum::Json(echo) })));
    let listed = body(&post(&app, &key, &call("tools/list", json!({}))).await);
    assert_eq!(listed["result"]["tools"], json!([{"name": "search"}]));
}

#[tokio::test]
async fn a_uri_that_normalizes_to_another_prefix_is_refused() {
    let (world, server) = (world(), Server::default());
    let key = world.editor().with("a").with("b").issue().await;
    let tools = Tools::new().resources("db://", action("a")).resources("db://secret/private", action("b"));
    let app = server.guard(&world, tools.resources("db://host", action("b")));
    let read = async |uri: &str| {
        post(&app, &key, &call("resources/read", json!({"uri": uri}))).await;
        !server.seen().is_empty()
    };
    for uri in ["db://other/X", "db://secret/other;x", "db://host/Y", "db://secret/private/Z.", "db://OTHER:1/x"] {
        assert!(read(uri).await, "{uri}");
    }
    for uri in [
        "db://SECRET/private",
        "db://secret/PRIVATE/x",
        "db://secret/private;x/y",
        "db://secret/private./y",
        "db://host:5432/x",
        "db://user@host/x",
        "db://host./x",
        "db://HOST:5432",
    ] {
        assert!(!read(uri).await, "{uri}");
    }
}
