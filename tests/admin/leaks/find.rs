//! Finding the token of a secret.

use super::{DAY, Service};
use keyward::admin::{ServiceError, Tokens};
use keyward::token::{ContentAccess, LegacyCharacters, LegacyDigest, LegacyFormat, TokenKind};
use keyward::{Grant, NewContentToken, NewOwner, Permission};
use serde_json::{Value, json};

/// Returns the SHA-256 of a text, by a program that has nothing to do with keyward.
fn sha256(text: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut openssl = Command::new("openssl");
    let mut child = openssl
        .args(["dgst", "-sha256", "-r"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    output.split(' ').next().unwrap().to_owned()
}

async fn find(service: &Service, who: &str, text: &str) -> (u16, Value) {
    let answer = service.app.post("/admin/tokens/find").bearer(who).json(&json!({"secret": text})).await;
    let shown = String::from_utf8_lossy(&answer.body).into_owned();
    for part in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|part| part.len() > 20) {
        assert!(!shown.contains(part), "an answer repeats no part of the text: {shown}");
    }
    (answer.status.as_u16(), answer.json())
}

#[tokio::test]
async fn somebody_finds_a_secret_and_learns_whose_it_is() {
    let service = Service::new(|b| b);
    let world = &service.world;
    let root = world.super_admin().sign_in().await;
    let root = root.secret.expose();
    let ada = world.editor().with(Permission::new("read")).issue().await;
    let content = world.content(ContentAccess::ReadOnly).await;
    let session = service.session(ada.owner()).await;
    let before = service.events().await.len();

    let (status, found) = find(&service, root, ada.secret.expose()).await;
    assert_eq!(status, 200, "{found}");
    let data = &found["data"];
    assert_eq!((&data["id"], &data["kind"]), (&json!(ada.id), &json!("admin")));
    assert_eq!(data["adminUserOwner"]["id"], json!(ada.owner()));
    assert_eq!(data["adminPermissions"][0]["action"], "read");
    assert!(data.get("accessKey").is_none());

    // In any text, in quotes, beside other things that look like secrets.
    let made_up = format!("kw_admin_{}", "a".repeat(50));
    let secret = ada.secret.expose();
    for text in [
        format!("  {secret}\n"),
        format!("Authorization: Bearer {secret}"),
        format!("KEY=\"{secret}\";"),
        format!("{made_up} {secret}."),
        format!("{made_up}{secret}x"),
        format!("{{\"token\":\"{secret}\"}}\r\n{}", "-".repeat(60_000)),
        format!("https://user:{secret}@example.test/"),
    ] {
        let (status, found) = find(&service, root, &text).await;
        assert_eq!((status, &found["data"]["id"]), (200, &json!(ada.id)), "{text:.80}");
    }
    let (_, found) = find(&service, root, content.secret.expose()).await;
    assert_eq!((&found["data"]["id"], &found["data"]["kind"]), (&json!(content.id), &json!("content-api")));
    let (_, found) = find(&service, root, session.secret.expose()).await;
    assert_eq!((&found["data"]["id"], &found["data"]["kind"]), (&json!(session.token.id), &json!("session")));
    assert_eq!(found["data"]["adminUserOwner"]["id"], json!(ada.owner()));

    assert_eq!(service.events().await.len(), before, "a read is not audited");
    world.keyward.flush().await;
    assert_eq!(world.store.last_use(ada.id), None, "it is no use of the token");

    // An expired token is found, a revoked one and an ended secret are not.
    let short = world.editor().for_time(DAY).issue().await;
    world.clock.advance(DAY / 2);
    let root = world.super_admin().sign_in().await;
    world.clock.advance(DAY / 2 + DAY / 4);
    let root = service.session(root.owner()).await.secret;
    assert_eq!(service.status(&short).await, 401);
    assert_eq!(find(&service, root.expose(), short.secret.expose()).await.1["data"]["id"], json!(short.id));
    let renewed = world.keyward.tokens().regenerate(ada.id).await.unwrap().secret;
    assert_eq!(find(&service, root.expose(), ada.secret.expose()).await.0, 404);
    assert_eq!(find(&service, root.expose(), renewed.expose()).await.0, 200);
    world.keyward.tokens().revoke(ada.id).await.unwrap();
    assert_eq!(find(&service, root.expose(), renewed.expose()).await.0, 404);
}

#[tokio::test]
async fn tokens_of_others_are_answered_like_unknown_ones() {
    let service = Service::new(|b| b);
    let world = &service.world;
    let (ada, eve) = (world.editor().issue().await, world.editor().sign_in().await);
    let reader = world.editor().holds(Permission::new("admin::api-tokens.read")).sign_in().await;
    let own = service.session(ada.owner()).await.secret;
    let content = world.content(ContentAccess::ReadOnly).await;
    let sibling = world.editor().issue().await;
    let made_up = format!("kw_admin_{}", "a".repeat(50));
    let (status, unknown) = find(&service, eve.secret.expose(), &made_up).await;
    assert_eq!(status, 404);
    let of_others = [&ada.secret, &own, &content.secret, &sibling.secret];
    for secret in of_others {
        assert_eq!(find(&service, eve.secret.expose(), secret.expose()).await, (404, unknown.clone()));
    }
    for text in ["", " ", "nothing", "kw_admin_", "kw_invite_", &"a".repeat(256), "\u{202e}"] {
        assert_eq!(find(&service, eve.secret.expose(), text).await, (404, unknown.clone()), "{text:?}");
    }
    // Of several secrets in a text the one counts that the caller may see.
    let both = format!("{} {}", sibling.secret.expose(), ada.secret.expose());
    assert_eq!(find(&service, own.expose(), &both).await.1["data"]["id"], json!(ada.id));
    assert_eq!(find(&service, own.expose(), own.expose()).await.0, 200, "an own session");
    // Content tokens have no owner: this takes the action that lists them.
    assert_eq!(find(&service, reader.secret.expose(), content.secret.expose()).await.0, 200);
    assert_eq!(find(&service, reader.secret.expose(), ada.secret.expose()).await.0, 404);
    // A token finds itself, and nothing of its owner's.
    assert_eq!(find(&service, ada.secret.expose(), ada.secret.expose()).await.1["data"]["id"], json!(ada.id));
    assert_eq!(find(&service, ada.secret.expose(), own.expose()).await, (404, unknown.clone()));
    let of_root = world.super_admin().carries(Grant::new("read")).issue().await;
    assert_eq!(find(&service, of_root.secret.expose(), ada.secret.expose()).await, (404, unknown.clone()));
    service.app.post("/admin/tokens/find").json(&json!({"secret": ada.secret.expose()})).await.assert_status(401);
    // A service account's token is found by those who manage it: they hold all that it holds.
    let manager = world.editor().holds(Permission::new("write")).sign_in().await;
    let bot = NewOwner::service("deploys").roles([manager.role()]);
    let bot = world.keyward.owners().create(bot).await.unwrap().id;
    let issued = world.keyward.tokens().issue_admin(keyward::NewAdminToken::new("bot", bot)).await.unwrap();
    assert_eq!(
        find(&service, manager.secret.expose(), issued.secret.expose()).await.1["data"]["id"],
        json!(issued.token.id)
    );
    assert_eq!(find(&service, eve.secret.expose(), issued.secret.expose()).await, (404, unknown));
}

#[tokio::test]
async fn bad_input_is_rejected_with_the_field_and_without_the_text() {
    let service = Service::new(|b| b);
    let root = service.world.super_admin().sign_in().await.secret;
    for bad in [json!({}), json!({"secret": ["hidden-text"]}), json!({"secret": null}), json!({"secret": 7})] {
        let answer = service.app.post("/admin/tokens/find").bearer(&root).json(&bad).await;
        answer.assert_status(400);
        assert_eq!(answer.json()["error"]["details"]["errors"][0]["path"], json!(["secret"]), "{bad}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("hidden-text"));
    }
    let (status, answer) = find(&service, root.expose(), &"x ".repeat(33_000)).await;
    assert_eq!((status, &answer["error"]["details"]["errors"][0]["path"]), (400, &json!(["secret"])), "{answer}");
}

#[tokio::test]
async fn keys_of_other_systems_are_found_as_the_gate_accepts_them() {
    let prefixed = LegacyFormat::sha256().prefix("acme_").length(45).characters(LegacyCharacters::Hex);
    let bare = LegacyFormat::sha256().lengths(30..=40).characters(LegacyCharacters::Token68);
    let service = Service::new(|b| b.legacy_keys(prefixed).legacy_keys(bare));
    let tokens: Tokens = service.world.keyward.tokens();
    let keys = [format!("acme_{}", "0123456789".repeat(4)), "A-b.c_d~e+f/g0123456789012345678=".to_owned()];
    for (n, key) in keys.iter().enumerate() {
        let new = NewContentToken::new(format!("old {n}"), ContentAccess::ReadOnly);
        let adopted = tokens.adopt(new, LegacyDigest::sha256(sha256(key))).await.unwrap();
        service.app.get("/api/own").bearer(key).await.assert_ok();
        for text in
            [key.clone(), format!("key: {key}"), format!("KEY={key}"), format!("(see {key})"), format!("{key}, and")]
        {
            let found = tokens.find(&text).await;
            assert_eq!(found.ok().map(|found| found.token.id), Some(adopted.id), "{text}");
        }
        let of_content = tokens.clone().only(TokenKind::Content);
        assert!(of_content.find(key).await.is_ok());
        let of_admin = tokens.clone().only(TokenKind::Admin);
        assert!(matches!(of_admin.find(key).await, Err(ServiceError::NotFound("token"))));
    }
    let sentence = format!("the key is {}.", keys[0]);
    assert!(tokens.find(&sentence).await.is_ok());
    assert!(matches!(tokens.find(&format!("x{}", keys[0])).await, Err(ServiceError::NotFound("token"))));
}
