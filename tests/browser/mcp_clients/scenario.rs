//! The cases that a client goes through, in the same order for each client.

use super::STATELESS;
use super::driver::{Client, Driver};
use super::servers::{PUBLISH, SEARCH, SLOW, Server, ServerKind, UNDECLARED};
use keyward::Permission;
use serde_json::json;
use std::time::Duration;
use tokio::sync::Notify;

/// Drives a client through all cases. Returns the text that its user sees in each; `None` if it is not installed.
pub(super) async fn observe(client: Client, revision: &str, kind: ServerKind) -> Option<Vec<(String, String)>> {
    let mut driver = Driver::start(client)?;
    let server = Server::start(kind).await;
    let (world, url) = (&server.world, &*server.url);
    let caller = || world.editor().with("article.read").with("article.wait");
    let (own, other) = (caller().issue().await, caller().issue().await);
    let mut texts = Vec::new();
    let mut note = |case: &str, text: String| texts.push((case.to_owned(), text));

    let refused = match driver.connect(url, revision, None).await {
        Ok(_) => driver.run("list").await,
        refused => refused,
    };
    note("no credential", refused.unwrap_err());
    assert_eq!(driver.connect(url, revision, Some(own.secret.expose())).await, Ok(json!(revision)));
    assert_eq!(driver.run("list").await, Ok(json!([SEARCH, SLOW])));
    assert_eq!(driver.call(SEARCH).await, Ok(format!("search for {}", own.owner())));
    note("call that is not allowed", driver.call(PUBLISH).await.unwrap_err());
    if client.ends_at_errors() {
        assert_eq!(driver.run("list").await, Err("the connection has ended".to_owned()));
        driver.connect(url, revision, Some(own.secret.expose())).await.unwrap();
    }
    note("tool that the table does not have", driver.call(UNDECLARED).await.unwrap_err());

    // rmcp's answer of this revision begins with the result of the tool.
    let moment = match (kind, revision) {
        (ServerKind::Rmcp, STATELESS) => "before its answer begins",
        _ => "in its stream",
    };
    let take = async {
        wait_for(&server.calls.begun).await;
        world.keyward.roles().set_permissions(own.role(), vec![Permission::new("article.read")]).await.unwrap();
        wait_for(&server.calls.ended).await;
    };
    let (called, ()) = tokio::join!(driver.call(SLOW), take);
    note(&format!("grant taken during a call, {moment}"), called.unwrap_err());
    assert_eq!(driver.run("list").await, Ok(json!([SEARCH])));

    if client.is_connected() {
        driver.run("seen").await.unwrap();
        driver.use_token(other.secret.expose()).await;
        let called = driver.call(SEARCH).await;
        if revision == STATELESS {
            assert_eq!(called, Ok(format!("search for {}", other.owner())));
        } else {
            note("session of another caller", called.unwrap_err());
            _ = driver.run("close").await;
            assert_eq!(driver.run("seen").await, Ok(json!(["POST 404", "DELETE 404"])));
        }
    }

    driver.connect(url, revision, Some(other.secret.expose())).await.unwrap();
    let revoke = async {
        wait_for(&server.calls.begun).await;
        world.keyward.tokens().revoke(other.id).await.unwrap();
        wait_for(&server.calls.ended).await;
    };
    let (called, ()) = tokio::join!(driver.call(SLOW), revoke);
    note(&format!("token revoked during a call, {moment}"), called.unwrap_err());
    note("call after the revocation", driver.call(SEARCH).await.unwrap_err());
    Some(texts)
}

/// Waits until a tool has begun, or ended.
async fn wait_for(notify: &Notify) {
    let waited = tokio::time::timeout(Duration::from_secs(60), notify.notified()).await;
    waited.expect("the slow tool begins, and ends");
}
