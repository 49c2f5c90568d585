//! The MCP server of the example platform, which keeps no sessions in any revision.

use super::driver::{Client, Driver};
use super::{LEGACY, STATELESS};
use keyward_test_support::platform::{Server, bearer, platform};
use serde_json::{Value, json};
use tempfile::TempDir;

#[tokio::test]
async fn each_client_uses_the_articles_of_the_platform() {
    let dir = TempDir::new().unwrap();
    let mut command = platform(&dir.path().join("platform.db"));
    command.env("RUST_LOG", "warn");
    let server = Server::start(command);
    let url = format!("{}/mcp", server.url());
    for (client, revision) in [
        (Client::Python1, LEGACY),
        (Client::Python2, STATELESS),
        (Client::TypeScript1, LEGACY),
        (Client::TypeScript2, LEGACY),
        (Client::TypeScript2, STATELESS),
        (Client::Inspector, LEGACY),
    ] {
        let Some(mut driver) = Driver::start(client) else { continue };
        // The editor may not publish, and reads the bodies of her own articles only.
        driver.connect(&url, revision, Some(server.secret("EDITOR"))).await.unwrap();
        let tools = ["search_articles", "read_article", "create_article"];
        assert_eq!(driver.run("list").await, Ok(json!(tools)), "{client:?}");
        let found = driver.call_with("search_articles", json!({"sort": "title:desc", "pageSize": 2})).await.unwrap();
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!(found["pagination"]["pageSize"], 2);
        assert_eq!(found["results"][0].get("body"), None, "{found}");
        let hidden = driver.call_with("search_articles", json!({"sort": "body"})).await.unwrap_err();
        assert!(hidden.contains("body is not visible on every row"), "{client:?}: {hidden}");
        let document = found["results"][0]["documentId"].clone();
        driver.call_with("publish_article", json!({"documentId": document})).await.unwrap_err();

        driver.connect(&url, revision, Some(server.secret("ROOT"))).await.unwrap();
        let created = driver.call_with("create_article", json!({"title": "By an agent"})).await.unwrap();
        let created: Value = serde_json::from_str(&created).unwrap();
        let document = json!({"documentId": created["data"]["documentId"]});
        let published = driver.call_with("publish_article", document.clone()).await.unwrap();
        let read = driver.call_with("read_article", document).await.unwrap();
        assert_eq!(published, read);
        assert!(read.contains(r#""publishedAt":"20"#), "{read}");
    }
}

#[test]
fn platform_refuses_mcp_without_an_admin_token_and_has_no_sessions() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(platform(&dir.path().join("platform.db")));
    let (root, full) = (bearer(server.secret("ROOT")), bearer(server.secret("FULL")));
    let (json, accept) = ("Content-Type: application/json", "Accept: application/json, text/event-stream");
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for credential in ["X-None: 1", &full] {
        let answer = server.send("POST", "/mcp", &[json, accept, credential], &ping).assert(401);
        assert_eq!((answer.at("/error/code"), answer.at("/id")), (json!(-32000), Value::Null));
    }
    let answer = server.send("POST", "/mcp", &[json, accept, &root], &ping).assert(200);
    assert_eq!(answer.at("/result"), json!({}));
    for method in ["GET", "DELETE"] {
        server.send(method, "/mcp", &[accept, &root], "").assert(405);
    }
}
