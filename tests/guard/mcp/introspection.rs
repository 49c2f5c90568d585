//! Tools that the layer answers.

use super::*;

/// A server with two pages of tools, and a `whoami` of its own.
fn server() -> Results {
    Results::of(|message| match message["params"]["cursor"].as_str() {
        None => json!({"tools": [{"name": "search"}], "nextCursor": "last"}),
        Some(_) => json!({"tools": [{"name": "whoami"}, {"name": "publish"}]}),
    })
}

fn tools() -> Tools {
    table().introspection()
}

/// Calls a tool, and returns what it says.
async fn ask(app: &App, key: &Key, name: &str) -> Value {
    let result = body(post(app, key, &tool(name)).await.assert_ok())["result"].clone();
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), result["structuredContent"]);
    result["structuredContent"].clone()
}

#[tokio::test]
async fn the_layer_tells_a_caller_about_itself() {
    let world = World::bare(|builder| builder.group(Group::mcp("/mcp")).caller_names());
    let (server, app) = (server(), server().guard(&world, tools()));
    let some = Permission::new("article.update").on("article").fields(Fields::only(["title"]).unwrap());
    let key =
        world.editor().with("article.read").with(some).for_time(std::time::Duration::from_secs(3600)).issue().await;
    let me = ask(&app, &key, "whoami").await;
    assert_eq!((&me["kind"], &me["expires_in_seconds"]), (&json!("admin"), &json!(3600)), "{me}");
    assert!(me["token_name"].is_string() && me["owner_name"].is_string(), "{me}");
    let may = ask(&app, &key, "list_my_permissions").await;
    let listed: BTreeSet<_> = may["permissions"].as_array().unwrap().iter().map(Value::to_string).collect();
    let expected = [
        json!({"action": "article.read"}),
        json!({"action": "article.update", "resource": "article", "fields": ["title"]}),
    ];
    assert_eq!((may["extent"].as_str(), listed), (Some("listed"), expected.iter().map(Value::to_string).collect()));
    let admin = world.super_admin().sign_in().await;
    let may = ask(&app, &admin, "list_my_permissions").await;
    assert_eq!(may, json!({"extent": "everything", "permissions": []}));
    assert_eq!(server.seen(), [] as [Value; 0]);
    let stateless = post(&app, &key, &tool("whoami")).header(VERSION, "2026-07-28").await;
    assert_eq!(body(&stateless)["result"]["resultType"], "complete");
    // A former secret ends with its grace period.
    let grace = std::time::Duration::from_secs(60);
    world.keyward.tokens().regenerate_with_grace(key.id, grace).await.unwrap();
    assert_eq!(ask(&app, &key, "whoami").await["expires_in_seconds"], 60);
}

#[tokio::test]
async fn the_last_page_of_tools_has_those_of_the_layer() {
    let (world, server) = (world(), server());
    let (app, key) = (server.guard(&world, tools()), world.editor().with("article.read").issue().await);
    let list = async |params: Value| {
        let listed = body(post(&app, &key, &call("tools/list", params)).await.assert_ok());
        listed["result"]["tools"].as_array().unwrap().clone()
    };
    assert_eq!(list(json!({})).await, [json!({"name": "search"})]);
    let last = list(json!({"cursor": "last"})).await;
    let shown: Vec<_> = last.iter().map(|tool| (&tool["name"], tool["inputSchema"].is_object())).collect();
    assert_eq!(shown, [(&json!("whoami"), true), (&json!("list_my_permissions"), true)]);
    let app = server.guard(&world, table());
    let unknown = body(&post(&app, &key, &tool("whoami")).await);
    assert_eq!(unknown["error"]["message"], "Unknown tool: whoami");
}

#[tokio::test]
async fn a_tool_of_the_layer_is_called_alone() {
    let (world, server) = (world(), server());
    let (app, key) = (server.guard(&world, tools()), world.editor().issue().await);
    let notification = json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "whoami"}});
    for refused in [json!([tool("whoami")]), json!([with_id(call("ping", json!({})), 1), tool("whoami")]), notification]
    {
        let answer = post(&app, &key, &refused).await;
        let text = "whoami is called by a request of its own: send it alone, with an id";
        assert_eq!(body(answer.assert_status(400))["error"]["message"], text);
    }
    assert_eq!(server.seen(), [] as [Value; 0]);
}

#[test]
#[should_panic(expected = "the tool whoami is there twice: remove one")]
fn the_names_of_the_layer_are_its_own() {
    let _ = Tools::new().tool("whoami", authenticated()).introspection();
}
