//! Tasks. Each belongs to the caller that began it, and to the tool that it was begun by.

use super::*;
use keyward::{Grant, NewAdminToken};

/// A server that begins the task which a call names, and shows every task to everyone.
fn server(extension: bool, stream: bool) -> Results {
    let results = Results::of(move |message| match message["method"].as_str().unwrap_or_default() {
        "tools/call" if extension => json!({"resultType": "task", "taskId": message["params"]["arguments"]["task"]}),
        "tools/call" => json!({"task": {"taskId": message["params"]["arguments"]["task"]}}),
        "tasks/list" => {
            let tasks: Value = ["a", "b", "c", "d"].into_iter().map(|id| json!({"taskId": id})).collect();
            json!({"tasks": tasks})
        }
        _ => json!({}),
    });
    Results { stream, ..results }
}

fn begin(tool: &str, task: &str) -> Value {
    call("tools/call", json!({"name": tool, "arguments": {"task": task}, "task": {}}))
}

fn of_task(method: &str, task: &str) -> Value {
    call(method, json!({"taskId": task}))
}

/// Returns the message of an answer, from either form.
fn message(answer: &Answer) -> Value {
    let text = std::str::from_utf8(&answer.body).unwrap();
    serde_json::from_str(text.strip_prefix("data: ").unwrap_or(text)).unwrap()
}

const METHODS: [&str; 4] = ["tasks/get", "tasks/result", "tasks/update", "tasks/cancel"];

#[tokio::test]
async fn a_task_is_of_its_caller_and_of_its_tool() {
    for (extension, stream) in [(false, false), (true, false), (false, true), (true, true)] {
        let (world, server) = (world(), server(extension, stream));
        let app = server.guard(&world, table());
        let own = world.editor().with("article.read").with("article.publish").issue().await;
        let other = world.editor().with("article.read").issue().await;
        for (key, tool, task) in [(&own, "search", "a"), (&own, "publish", "b"), (&other, "search", "c")] {
            post(&app, key, &begin(tool, task)).await.assert_ok();
        }
        let list = async |key: &Key| {
            let listed = post(&app, key, &call("tasks/list", json!({}))).await;
            names(&message(&listed)["result"]["tasks"], "taskId").into_iter().collect::<String>()
        };
        assert_eq!((list(&own).await, list(&other).await), ("ab".to_owned(), "c".to_owned()));
        server.seen();
        let unknown = post(&app, &own, &of_task("tasks/get", "unknown")).await;
        assert_eq!(body(&unknown)["error"]["code"], -32602);
        for method in METHODS {
            for (key, task) in [(&own, "a"), (&own, "b"), (&other, "c")] {
                post(&app, key, &of_task(method, task)).await.assert_ok();
                assert_eq!(server.seen(), [of_task(method, task)]);
            }
            for (key, task) in [(&own, "c"), (&other, "a"), (&other, "b"), (&own, "d")] {
                let answer = post(&app, key, &of_task(method, task)).await;
                assert_eq!(answer.body, unknown.body, "another's task is like an unknown one");
            }
        }
        // The tool is judged now, not when the task began.
        let (_, role) = own.owner.unwrap();
        world.keyward.roles().set_permissions(role, vec![Permission::new("article.read")]).await.unwrap();
        for method in METHODS {
            post(&app, &own, &of_task(method, "b")).await.assert_rejected(Reason::Forbidden);
            assert_eq!(server.seen(), [] as [Value; 0]);
            post(&app, &own, &of_task(method, "a")).await.assert_ok();
            server.seen();
        }
        assert_eq!(list(&own).await, "a");
    }
}

#[tokio::test]
async fn a_task_is_shared_by_tokens_of_one_owner() {
    let (world, server) = (world(), server(false, false));
    let app = server.guard(&world, table());
    let key = world.editor().with("article.read").issue().await;
    post(&app, &key, &begin("search", "a")).await.assert_ok();
    let token = NewAdminToken::new("rotated", key.owner()).grants([Grant::new("article.read")]);
    let rotated = world.keyward.tokens().issue_admin(token).await.unwrap();
    app.post("/mcp").bearer(&rotated.secret).json(&of_task("tasks/get", "a")).await.assert_ok();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_subscription_needs_each_of_its_tasks() {
    let (world, server) = (world(), server(true, false));
    let app = server.guard(&world, table());
    let (own, other) =
        (world.editor().with("article.read").issue().await, world.editor().with("article.read").issue().await);
    for (key, task) in [(&own, "a"), (&own, "b"), (&other, "c")] {
        post(&app, key, &begin("search", task)).await.assert_ok();
    }
    server.seen();
    let listen = |tasks: &[&str]| call("subscriptions/listen", json!({"notifications": {"taskIds": tasks}}));
    post(&app, &own, &listen(&["a", "b"])).await.assert_ok();
    let refused = post(&app, &own, &listen(&["a", "c"])).await;
    assert_eq!(body(&refused)["error"]["message"], "Task not found");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn the_name_of_a_task_in_the_headers_agrees_with_the_body() {
    let (world, server) = (world(), server(true, false));
    let app = server.guard(&world, table());
    let key = world.editor().with("article.read").issue().await;
    for task in ["a", "b"] {
        post(&app, &key, &begin("search", task)).await.assert_ok();
    }
    let get =
        |name: &str| post(&app, &key, &of_task("tasks/get", "a")).header(HeaderName::from_static("mcp-name"), name);
    get("a").await.assert_ok();
    get("b").await.assert_status(400);
    let spelled = call("tasks/get", json!({"taskId": "a", "taskid": "c"}));
    post(&app, &key, &spelled).await.assert_status(400);
}

/// Its result was made for the decision of the caller that began it.
#[tokio::test]
async fn a_task_is_hidden_from_a_caller_who_may_see_less_than_it_was_made_for() {
    let (world, server) = (world(), server(false, false));
    let app = server.guard(&world, table());
    let key = world.editor().with("article.find").issue().await;
    post(&app, &key, &begin("rows", "a")).await.assert_ok();
    let title = Grant::new("article.find").fields(Fields::only(["title"]).unwrap());
    let token = NewAdminToken::new("titles", key.owner()).grants([title]);
    let narrow = world.keyward.tokens().issue_admin(token).await.unwrap();
    server.seen();
    let send = async |message: &Value| body(&app.post("/mcp").bearer(&narrow.secret).json(message).await);
    assert_eq!(send(&of_task("tasks/result", "a")).await["error"]["message"], "Task not found");
    assert_eq!(server.seen(), [] as [Value; 0]);
    assert_eq!(send(&call("tasks/list", json!({}))).await["result"]["tasks"], json!([]));
    post(&app, &key, &of_task("tasks/result", "a")).await.assert_ok();
}
