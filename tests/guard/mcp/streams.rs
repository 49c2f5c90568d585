//! Streams that stay open while the permissions of their caller change.

use super::*;
use axum::body::BodyDataStream;
use tokio::sync::mpsc;

/// A server whose streams carry what a test sends.
#[derive(Clone)]
struct Events(Arc<Mutex<Option<mpsc::UnboundedReceiver<String>>>>);

async fn serve_events(State(events): State<Events>, request: Request) -> Response {
    if request.method() == Method::POST {
        let answer = json!({"jsonrpc": "2.0", "id": 7, "result": {"task": {"taskId": "mine"}}});
        return ([(SESSION, "inner")], axum::Json(answer)).into_response();
    }
    let receiver = events.0.lock().unwrap().take().unwrap();
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        let frame = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(Bytes::from(frame)), receiver))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
}

/// Opens the stream of a session.
async fn open(world: &World, key: &Key, tools: Tools) -> (mpsc::UnboundedSender<String>, BodyDataStream) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let events = Events(Arc::new(Mutex::new(Some(receiver))));
    let routes = GuardedRouter::new().mcp("/mcp", tools, any(serve_events).with_state(events));
    let service = world.keyward.guard(routes);
    let bearer = format!("Bearer {}", key.secret.expose());
    let request = |method: Method, session: Option<&http::HeaderValue>, body: String| {
        let mut request = Request::builder().method(method).uri("/mcp").header(header::AUTHORIZATION, &bearer);
        request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(session) = session {
            request = request.header(SESSION, session);
        }
        request.body(Body::from(body)).unwrap()
    };
    let initialize = request(Method::POST, None, call("initialize", json!({})).to_string());
    let opened = service.clone().oneshot(initialize).await.unwrap();
    // It begins a task, if the caller may.
    service.clone().oneshot(request(Method::POST, None, tool("search").to_string())).await.unwrap();
    let stream = request(Method::GET, Some(&opened.headers()[SESSION]), String::new());
    let response = service.oneshot(stream).await.unwrap();
    assert_eq!(response.status(), 200);
    (sender, response.into_body().into_data_stream())
}

fn event(message: &Value) -> String {
    format!("data: {message}\n\n")
}

fn updated(uri: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}})
}

/// Sends these messages in one frame with a last one that is never withheld, and returns those that arrive before it.
async fn pass(sender: &mpsc::UnboundedSender<String>, frames: &mut BodyDataStream, messages: &[Value]) -> Vec<Value> {
    let last = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
    sender.send(messages.iter().chain([&last]).map(event).collect()).unwrap();
    let frame = frames.next().await.unwrap().unwrap();
    let text = std::str::from_utf8(&frame).unwrap();
    let mut arrived: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    assert_eq!(arrived.pop(), Some(last));
    arrived
}

#[tokio::test]
async fn a_caller_is_told_of_changes_to_resources_that_it_may_read() {
    let world = world();
    let key = world.editor().with("article.read").issue().await;
    let (sender, mut frames) = open(&world, &key, table()).await;
    let messages = [
        updated("article://1"),
        updated("secret://1"),
        updated("other://1"),
        updated("article://../secret"),
        json!({"jsonrpc": "2.0", "method": "notifications/resources/updated"}),
        json!([updated("secret://2"), updated("article://2")]),
        json!([updated("secret://3")]),
    ];
    let arrived = pass(&sender, &mut frames, &messages).await;
    assert_eq!(arrived, [updated("article://1"), json!([updated("article://2")])]);
}

#[tokio::test]
async fn an_open_stream_follows_the_permissions_of_its_caller() {
    let world = world();
    let key = world.editor().with("article.read").issue().await;
    let (sender, mut frames) = open(&world, &key, table()).await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "search"}, {"name": "publish"}]}});
    let narrowed = |names: &[&str]| {
        let tools: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}})
    };
    let messages = [updated("article://1"), list];
    assert_eq!(pass(&sender, &mut frames, &messages).await, [updated("article://1"), narrowed(&["search"])]);
    let (_, role) = key.owner.unwrap();
    world.keyward.roles().set_permissions(role, Vec::<Permission>::new()).await.unwrap();
    assert_eq!(pass(&sender, &mut frames, &messages).await, [narrowed(&[])]);
}

#[tokio::test]
async fn an_event_above_the_limit_of_answers_ends_its_stream() {
    let world = world();
    let key = world.editor().issue().await;
    let (sender, mut frames) = open(&world, &key, table().answer_limit(100)).await;
    assert_eq!(pass(&sender, &mut frames, &[]).await, [] as [Value; 0]);
    sender.send("data: ".to_owned()).unwrap();
    sender.send("1".repeat(100)).unwrap();
    assert_eq!(frames.next().await.unwrap().unwrap(), "");
    assert!(frames.next().await.is_none());
}

/// A byte order mark in a frame of its own hid the first event from the filter.
#[tokio::test]
async fn an_event_after_a_byte_order_mark_is_filtered_however_it_is_cut() {
    let world = world();
    let key = world.editor().with("article.read").issue().await;
    let (sender, mut frames) = open(&world, &key, table()).await;
    for byte in ["\u{feff}", "data", ": "] {
        sender.send(byte.to_owned()).unwrap();
    }
    sender.send(format!("{}\n\n", updated("secret://1"))).unwrap();
    assert_eq!(pass(&sender, &mut frames, &[]).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_caller_is_told_of_its_own_tasks() {
    let world = world();
    let key = world.editor().with("article.read").issue().await;
    let (sender, mut frames) = open(&world, &key, table()).await;
    let status = |method: &str, id: &str| json!({"jsonrpc": "2.0", "method": method, "params": {"taskId": id}});
    let (legacy, extension) = ("notifications/tasks/status", "notifications/tasks");
    let messages = [
        status(legacy, "mine"),
        status(legacy, "other"),
        status(extension, "mine"),
        status(extension, "other"),
        json!({"jsonrpc": "2.0", "method": extension}),
    ];
    let arrived = pass(&sender, &mut frames, &messages).await;
    assert_eq!(arrived, [status(legacy, "mine"), status(extension, "mine")]);
    let (_, role) = key.owner.unwrap();
    world.keyward.roles().set_permissions(role, Vec::<Permission>::new()).await.unwrap();
    assert_eq!(pass(&sender, &mut frames, &messages).await, [] as [Value; 0]);
}
