//! Two platforms on one PostgreSQL database: what one changes, the other judges by.

#![allow(clippy::disallowed_methods, reason = "it waits for a real process")]

use crate::server::{Server, platform_on};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn what_one_revokes_the_other_refuses() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(url) = runtime.block_on(crate::support::database()) else { return };
    let one = Server::start(platform_on(&url));
    let two = Server::start(platform_on(&url));
    assert!(
        !two.said.iter().any(|line| line.contains("postgres://")),
        "an address may hold a password: {:?}",
        two.said
    );
    let (root, editor) = (one.secret("ROOT"), one.secret("EDITOR"));
    two.get("/admin/ping", editor).assert(200);
    assert_eq!(two.get("/healthz", editor).assert(200).at("/keepsUp"), json!("byLog"));

    let session = one.send(
        "POST",
        "/admin/login",
        &["Content-Type: application/json"],
        r#"{"email":"root@example.test","password":"Passw0rd!"}"#,
    );
    let session = session.assert(200).at("/data/token").as_str().unwrap().to_owned();
    let tokens = one.get("/admin/admin-tokens", &session).assert(200).at("/data");
    for token in tokens.as_array().unwrap() {
        one.json("DELETE", &format!("/admin/admin-tokens/{}", token["id"]), &session, "");
    }
    let began = Instant::now();
    one.get("/admin/ping", root).assert(401);
    while two.get("/admin/ping", root).status == 200 {
        assert!(began.elapsed() < Duration::from_secs(2), "within max_staleness");
        std::thread::sleep(Duration::from_millis(2));
    }
    two.get("/admin/ping", root).assert(401);
}
