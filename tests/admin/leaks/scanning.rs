//! Reports of GitHub's secret scanning, signed by OpenSSL.

use super::{DAY, Service};
use keyward::admin::{Actor, AuditAction, AuditCause, AuditEvent, AuditTarget, SecretScanning};
use keyward::testing::{Answer, Key};
use keyward::token::{ContentAccess, LegacyDigest, LegacyFormat, TokenKind};
use keyward::{BuildError, HashKey, Keyward, MemoryStore, NewContentToken, NewOwner, api};
use serde_json::{Value, json};
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const PATH: &str = "/admin/secret-scanning";
const URL: &str = "https://github.com/octocat/Hello-World/blob/12345600b9cbe38a219f39a9941c9319b600c002/foo/bar.txt";

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut openssl = Command::new("openssl");
    let mut child = openssl.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("openssl runs");
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// A scanner with a key of its own.
struct Scanner {
    directory: tempfile::TempDir,
    id: &'static str,
    pem: String,
}

impl Scanner {
    fn new(id: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b"");
        std::fs::write(directory.path().join("key.pem"), &secret).unwrap();
        let pem = String::from_utf8(openssl(&["ec", "-pubout"], &secret)).unwrap();
        Self { directory, id, pem }
    }

    fn keys(&self) -> SecretScanning {
        SecretScanning::keys([(self.id, self.pem.as_str())]).unwrap()
    }

    fn sign(&self, body: &[u8]) -> String {
        let path = self.directory.path().join("key.pem");
        let der = openssl(&["dgst", "-sha256", "-sign", path.to_str().unwrap()], body);
        String::from_utf8(openssl(&["base64", "-A"], &der)).unwrap()
    }

    async fn send(&self, service: &Service, body: &[u8]) -> Answer {
        send(service, self.id, &self.sign(body), body).await
    }

    async fn report(&self, service: &Service, reports: &Value) -> Vec<String> {
        let answer = self.send(service, reports.to_string().as_bytes()).await;
        answer.assert_status(200);
        let feedback = answer.json();
        let feedback = feedback.as_array().unwrap();
        assert_eq!(feedback.len(), reports.as_array().unwrap().len());
        for (feedback, report) in feedback.iter().zip(reports.as_array().unwrap()) {
            let hash =
                String::from_utf8(openssl(&["dgst", "-sha256", "-r"], report["token"].as_str().unwrap().as_bytes()));
            assert_eq!(feedback["token_hash"], hash.unwrap().split(' ').next().unwrap());
            assert_eq!(feedback["token_type"], report.get("type").cloned().unwrap_or(json!("")));
            assert_eq!(feedback.as_object().unwrap().len(), 3, "the token itself is not repeated");
        }
        feedback.iter().map(|one| one["label"].as_str().unwrap().to_owned()).collect()
    }
}

async fn send(service: &Service, id: &str, signature: &str, body: &[u8]) -> Answer {
    let request = service.app.post(PATH).peer(IpAddr::from([192, 0, 2, 30]));
    let request = request.header("github-public-key-identifier".parse().unwrap(), id);
    let request = request.header("github-public-key-signature".parse().unwrap(), signature);
    request.body(body.to_vec()).await
}

fn report(secret: &str) -> Value {
    json!({"token": secret, "type": "acme_key", "url": URL, "source": "commit"})
}

fn leaks(events: &[AuditEvent]) -> Vec<&AuditEvent> {
    let is_leak = |e: &&AuditEvent| e.cause == Some(AuditCause::Leaked) || e.what == AuditAction::SecretLeaked;
    events.iter().filter(is_leak).collect()
}

/// No secret is in the audit log, whole or in part.
fn assert_no_secret(events: &[AuditEvent], keys: &[&str]) {
    let log = format!("{events:?}");
    for key in keys {
        assert!(!log.contains(&key[key.len() - 30..]) && !log.contains(&key[..30]), "{log}");
    }
}

#[tokio::test]
async fn reported_secrets_are_revoked_and_noted() {
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b.secret_scanning(scanner.keys()));
    let world = &service.world;
    let (ada, bob) = (world.editor().issue().await, world.editor().issue().await);
    let content = world.content(ContentAccess::ReadOnly).await;
    let session = service.session(bob.owner()).await;
    let made_up = format!("kw_admin_{}", "a".repeat(50));
    let reports = json!([
        report(ada.secret.expose()),
        report(&made_up),
        report(content.secret.expose()),
        report(session.secret.expose()),
        {"token": format!("\n{}\n", ada.secret.expose()), "type": "acme_key", "url": "", "more": [1]},
        {"token": "", "type": ""},
        {"token": "kw_invite_x"},
    ]);
    let labels = scanner.report(&service, &reports).await;
    let (real, not) = ("true_positive", "false_positive");
    assert_eq!(labels, [real, not, real, real, real, not, not]);
    for (key, status) in [(&ada, 401), (&content, 401), (&bob, 200)] {
        assert_eq!(service.status(key).await, status, "next-request (docs/invariants.md)");
    }
    service.app.get("/admin/own").bearer(&session.secret).await.assert_status(401);

    let events = service.events().await;
    let noted = leaks(&events);
    let targets: Vec<_> = noted.iter().map(|event| event.target).collect();
    let expected =
        [(ada.id, TokenKind::Admin), (content.id, TokenKind::Content), (session.token.id, TokenKind::Session)];
    assert_eq!(targets, expected.map(|(id, kind)| AuditTarget::Token(id, kind)), "one event for each");
    for event in noted {
        assert_eq!((event.what, event.cause), (AuditAction::TokenRevoked, Some(AuditCause::Leaked)));
        assert_eq!((&event.details["url"], &event.details["source"]), (&json!(URL), &json!("commit")));
        assert_eq!((event.origin.actor, event.origin.address), (Actor::Service, Some(IpAddr::from([192, 0, 2, 30]))));
    }
    assert_eq!(leaks(&events)[0].details["owner"], json!(ada.owner()));
    assert_no_secret(&events, &[ada.secret.expose(), content.secret.expose(), session.secret.expose()]);

    // The same message again: the same labels, and no change.
    let seq = world.keyward.store().begin().await.unwrap().seq();
    assert_eq!(scanner.report(&service, &reports).await, labels);
    assert_eq!(world.keyward.store().begin().await.unwrap().seq(), seq);
    assert_eq!(service.events().await.len(), events.len());
    // The management API shows the cause.
    let root = service.session(world.super_admin().sign_in().await.owner()).await.secret;
    let path = format!("/admin/audit-logs?targetKind=admin-token&targetId={}&action=token-revoked", ada.id);
    let shown = service.app.get(&path).bearer(&root).await.json();
    assert_eq!(shown["results"][0]["cause"], json!({"kind": "leaked", "id": null}));
}

#[tokio::test]
async fn report_only_leaves_what_is_reported() {
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b.secret_scanning(scanner.keys().report_only()));
    let key = service.world.editor().issue().await;
    let twice = json!([report(key.secret.expose()), report(key.secret.expose())]);
    for _ in 0..3 {
        assert_eq!(scanner.report(&service, &twice).await, ["true_positive", "true_positive"]);
    }
    assert_eq!(service.status(&key).await, 200);
    let events = service.events().await;
    let noted = leaks(&events);
    assert_eq!(noted.len(), 1, "a place is noted once");
    assert_eq!((noted[0].what, noted[0].cause), (AuditAction::SecretLeaked, None));
    assert_eq!(noted[0].target, AuditTarget::Token(key.id, TokenKind::Admin));
    let elsewhere = json!([{"token": key.secret.expose(), "type": "k", "url": "https://x.test/", "source": "npm"}]);
    scanner.report(&service, &elsewhere).await;
    assert_eq!(leaks(&service.events().await).len(), 2, "another place is news");
    let invited = service.world.keyward.owners().invite(NewOwner::new("new@example.test")).await.unwrap();
    scanner.report(&service, &json!([report(invited.secret.expose())])).await;
    let events = service.events().await;
    assert_eq!(leaks(&events)[2].target, AuditTarget::Owner(invited.owner.id));
    assert_no_secret(&events, &[key.secret.expose(), invited.secret.expose()]);
}

#[tokio::test]
async fn invitations_and_adopted_keys_are_handled_too() {
    let scanner = Scanner::new("2026");
    let format = LegacyFormat::sha256().prefix("acme_").length(45);
    let service = Service::new(|b| b.secret_scanning(scanner.keys()).legacy_keys(format));
    let keyward = &service.world.keyward;
    let invited = keyward.owners().invite(NewOwner::new("new@example.test")).await.unwrap();
    let old = format!("acme_{}", "0123456789".repeat(4));
    let hash = String::from_utf8(openssl(&["dgst", "-sha256", "-r"], old.as_bytes())).unwrap();
    let new = NewContentToken::new("old", ContentAccess::ReadOnly);
    keyward.tokens().adopt(new, LegacyDigest::sha256(hash.split(' ').next().unwrap())).await.unwrap();
    let stranger = old.replace('9', "8");
    let reports = json!([report(invited.secret.expose()), report(&old), report(&stranger)]);
    for _ in 0..2 {
        assert_eq!(scanner.report(&service, &reports).await, ["true_positive", "true_positive", "false_positive"]);
    }
    service.app.get("/api/own").bearer(&old).await.assert_status(401);
    let body = json!({"registrationToken": invited.secret.expose(), "userInfo": {"firstname": "N", "password": "Correct-Horse-7"}});
    service.app.post("/admin/register").json(&body).await.assert_status(400);
    let events = service.events().await;
    let what: Vec<_> = leaks(&events).iter().map(|event| (event.what, event.cause)).collect();
    let cause = Some(AuditCause::Leaked);
    assert_eq!(what, [(AuditAction::InvitationWithdrawn, cause), (AuditAction::TokenRevoked, cause)]);
    assert_no_secret(&events, &[invited.secret.expose(), &old]);
}

#[tokio::test]
async fn reported_places_are_cleaned() {
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b.secret_scanning(scanner.keys()));
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(service.world.editor().issue().await);
    }
    let secret = |n: usize| keys[n].secret.expose();
    let reports = json!([
        {"token": secret(0), "url": format!("https://x.test/{}", secret(0)), "source": secret(0)},
        {"token": secret(1), "url": format!("https://x.test/{}", secret(0).replace('_', "%5f")), "source": "commit"},
        {"token": secret(2), "url": "https://x.test/\u{0}\n\u{202e}é", "source": "s".repeat(900)},
        {"token": secret(3), "url": "u".repeat(100_000), "source": null},
    ]);
    scanner.report(&service, &reports).await;
    let events = service.events().await;
    let facts: Vec<_> = leaks(&events).iter().map(|e| (&e.details["url"], &e.details["source"])).collect();
    let withheld = json!("withheld, as it has a secret in it");
    assert_eq!(facts[0], (&withheld, &withheld));
    assert_eq!(facts[1], (&withheld, &json!("commit")));
    assert_eq!(facts[2], (&json!("https://x.test/????"), &json!("s".repeat(500))));
    assert_eq!(facts[3], (&json!("u".repeat(500)), &json!("")));
    assert_no_secret(&events, &[secret(0), secret(1), secret(2), secret(3)]);
}

#[tokio::test]
async fn unsigned_messages_change_nothing_and_learn_nothing() {
    let (scanner, other) = (Scanner::new("2026"), Scanner::new("2025"));
    let service = Service::new(|b| b.secret_scanning(scanner.keys()));
    let key = service.world.editor().issue().await;
    let body = json!([report(key.secret.expose())]).to_string();
    let body = body.as_bytes();
    let good = scanner.sign(body);
    let rejected = async |id: &str, signature: &str, body: &[u8]| {
        let answer = send(&service, id, signature, body).await;
        answer.assert_status(403);
        let error = json!({"status": 403, "name": "ForbiddenError", "message": "Forbidden", "details": {}});
        assert_eq!(answer.json()["error"], error, "without a reason");
    };
    rejected("2025", &good, body).await;
    rejected("", &good, body).await;
    rejected("2026", &other.sign(body), body).await;
    rejected("2026", "", body).await;
    rejected("2026", &good[1..], body).await;
    rejected("2026", &format!("{good}{good}"), body).await;
    rejected("2026", &"A".repeat(5_000), body).await;
    rejected("2026", &good, &[body, b" "].concat()).await;
    rejected("2026", &good, b"").await;
    rejected("2026", &good, b"not JSON").await;
    service.app.post(PATH).body(body.to_vec()).await.assert_status(403);
    let one = service.app.post(PATH).header("github-public-key-signature".parse().unwrap(), &good);
    one.body(body.to_vec()).await.assert_status(403);
    let twice = service.app.post(PATH).header("github-public-key-identifier".parse().unwrap(), "2026");
    let twice = twice.header("github-public-key-identifier".parse().unwrap(), "2025");
    let twice = twice.header("github-public-key-signature".parse().unwrap(), &good);
    twice.body(body.to_vec()).await.assert_status(403);
    service.app.get(PATH).await.assert_status(401);
    assert_eq!(service.status(&key).await, 200);
    assert!(leaks(&service.events().await).is_empty());
    scanner.send(&service, body).await.assert_status(200);
    assert_eq!(service.status(&key).await, 401);
}

#[tokio::test]
async fn signed_but_hostile_messages_are_4xx_and_change_nothing() {
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b.secret_scanning(scanner.keys()));
    let key = service.world.editor().issue().await;
    let secret = key.secret.expose();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("[{}]", vec![r#"{"token":"x"}"#; 10_001].join(","));
    for bad in [
        "",
        "{}",
        "[1]",
        "nul",
        "[{}]",
        "\u{feff}[]",
        &deep,
        &many,
        &format!(r#"{{"token":"{secret}"}}"#),
        &format!(r#"[{{"token":"{secret}"}},{{"token":1}}]"#),
        &format!(r#"[{{"token":["{secret}"]}}]"#),
        &format!(r#"[{{"token":"{secret}","type":{{"{secret}":1}}}}]"#),
        &format!(r#"[{{"token":"{secret}"}}"#),
    ] {
        let answer = scanner.send(&service, bad.as_bytes()).await;
        answer.assert_status(400);
        assert!(!String::from_utf8_lossy(&answer.body).contains(&secret[20..]), "an error repeats nothing");
    }
    let large = format!(r#"[{{"token":"{secret}","url":"{}"}}]"#, "x".repeat(1024 * 1024));
    scanner.send(&service, large.as_bytes()).await.assert_status(413);
    assert_eq!(service.status(&key).await, 200);
    assert!(leaks(&service.events().await).is_empty());
    scanner.send(&service, b"[]").await.assert_status(200);
    // Nearly the largest message, with the most reports.
    let mut reports = vec![r#"{"token":"kw_admin_0","type":"t","url":"","source":"x"}"#; 9_999].join(",");
    reports.push_str(&format!(r#",{{"token":"{secret}"}}"#));
    scanner.send(&service, format!("[{reports}]").as_bytes()).await.assert_status(200);
    assert_eq!(service.status(&key).await, 401);
}

#[tokio::test]
async fn keys_are_loaded_when_a_message_arrives() {
    let (first, second) = (Scanner::new("first"), Scanner::new("second"));
    let (loads, fails, rotated) =
        (Arc::<AtomicUsize>::default(), Arc::new(AtomicBool::new(true)), Arc::<AtomicBool>::default());
    let keys = [&first, &second].map(|scanner| (scanner.id.to_owned(), scanner.pem.clone()));
    let (counted, failing, switched) = (loads.clone(), fails.clone(), rotated.clone());
    let scanning = SecretScanning::keys_from(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let (fails, keys) = (failing.load(Ordering::SeqCst), keys.clone());
        let keys = if switched.load(Ordering::SeqCst) { keys[1..].to_vec() } else { keys[..1].to_vec() };
        async move { if fails { Err(std::io::Error::other("down")) } else { Ok(keys) } }
    });
    let service = Service::new(|b| b.secret_scanning(scanning));
    let (one, two) = (service.world.editor().issue().await, service.world.editor().issue().await);
    let body = |key: &Key| json!([report(key.secret.expose())]).to_string();
    assert_eq!(loads.load(Ordering::SeqCst), 0);
    let answer = first.send(&service, body(&one).as_bytes()).await;
    answer.assert_status(503);
    assert!(answer.headers.contains_key("retry-after"), "it is this service's failure: GitHub sends it again");
    assert_eq!(service.status(&one).await, 200);
    fails.store(false, Ordering::SeqCst);
    service.world.clock.advance(std::time::Duration::from_secs(10));
    first.send(&service, body(&one).as_bytes()).await.assert_status(200);
    assert_eq!(service.status(&one).await, 401);
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    rotated.store(true, Ordering::SeqCst);
    second.send(&service, body(&two).as_bytes()).await.assert_status(403);
    service.world.clock.advance(std::time::Duration::from_secs(60));
    second.send(&service, body(&two).as_bytes()).await.assert_status(200);
    assert_eq!(service.status(&two).await, 401);
    service.world.clock.advance(DAY / 10);
    first.send(&service, b"[]").await.assert_status(403);
}

#[tokio::test]
async fn route_exists_only_where_reports_are_taken() {
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b);
    scanner.send(&service, b"[]").await.assert_status(401);
    let hash_key = || HashKey::generate().unwrap().0;
    let builder = Keyward::builder(MemoryStore::default()).hash_key(hash_key()).admin("/admin");
    let error = builder.secret_scanning(scanner.keys()).build().unwrap_err();
    assert!(matches!(error, BuildError::NoSecretScanningRoute), "{error}");
    // In any order, and at every mount.
    let builder = Keyward::builder(MemoryStore::default()).hash_key(hash_key()).secret_scanning(scanner.keys());
    let keyward = builder.api("/one").api("/two").api(keyward::guard::Mount::own_tokens("/own")).build().unwrap();
    let app = keyward::testing::App::from_service(keyward.guard(api::router(&keyward)));
    for (path, status) in [("/one/secret-scanning", 200), ("/two/secret-scanning", 200), ("/own/secret-scanning", 401)]
    {
        let request = app.post(path).header("github-public-key-identifier".parse().unwrap(), "2026");
        let request = request.header("github-public-key-signature".parse().unwrap(), &scanner.sign(b"[]"));
        request.body(b"[]".to_vec()).await.assert_status(status);
    }
}

#[tokio::test]
async fn failure_of_the_store_is_503_and_a_retry_finishes() {
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b.secret_scanning(scanner.keys()));
    let key = service.world.editor().issue().await;
    // Another writer holds the lock.
    let body = json!([report(key.secret.expose())]).to_string();
    let writer = service.world.keyward.store().begin().await.unwrap();
    tokio::time::pause();
    scanner.send(&service, body.as_bytes()).await.assert_status(503);
    tokio::time::resume();
    drop(writer);
    assert_eq!(service.status(&key).await, 200);
    scanner.send(&service, body.as_bytes()).await.assert_status(200);
    assert_eq!(service.status(&key).await, 401);
}

/// ATTACK: a token is revoked because of a leaked secret, and one of its secrets stays admitted.
async fn attack_with(reported: &str) {
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b.secret_scanning(scanner.keys()));
    let key = service.world.editor().issue().await;
    let new = service.world.keyward.tokens().regenerate_with_grace(key.id, DAY).await.unwrap().secret;
    let send = async |secret: &keyward::token::Secret| {
        service.app.get("/admin/own").bearer(secret).await.status.as_u16()
    };
    assert_eq!((send(&key.secret).await, send(&new).await), (200, 200));
    let leaked = if reported == "present" { new.expose() } else { key.secret.expose() };
    assert_eq!(scanner.report(&service, &json!([report(leaked)])).await, ["true_positive"]);
    // The token is gone from the store.
    service.world.keyward.tokens().read(key.id).await.unwrap_err();
    service.world.clock.advance(DAY / 4);
    assert_eq!((send(&key.secret).await, send(&new).await), (401, 401), "the former and the present secret");
}

#[tokio::test]
async fn attack_a_leaked_token_ends_with_its_former_secret() {
    attack_with("present").await;
}

#[tokio::test]
async fn attack_a_leaked_former_secret_ends() {
    attack_with("former").await;
}

/// ATTACK: the tokens that a leaked token has made stay admitted, and have no event.
#[tokio::test]
async fn attack_the_children_of_a_leaked_token_end() {
    use keyward::admin::NewChildToken;
    use keyward::{Grant, NewAdminToken};
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b.secret_scanning(scanner.keys()));
    let owner = service.world.editor().holds("article.read").issue().await.owner();
    let tokens = service.world.keyward.tokens();
    let new = NewAdminToken::new("parent", owner).grants([Grant::new("article.read").may_delegate()]);
    let parent = tokens.issue_admin(new).await.unwrap();
    let child = tokens.clone().acting_as(Actor::Token(parent.token.id));
    let child = child.issue_child(NewChildToken::new("child").grants([Grant::new("article.read")])).await.unwrap();
    let send = async || service.app.get("/admin/own").bearer(&child.secret).await.status.as_u16();
    assert_eq!(send().await, 200);
    scanner.report(&service, &json!([report(parent.secret.expose())])).await;
    let events = service.events().await;
    let revoked = events.iter().filter(|e| e.target == AuditTarget::Token(child.token.id, TokenKind::Admin));
    let revoked = revoked.filter(|e| e.what == AuditAction::TokenRevoked).count();
    assert_eq!((send().await, revoked), (401, 1));
}

/// ATTACK: a secret that was replaced long ago is found in an old commit, and the live token is revoked.
#[tokio::test]
async fn attack_a_leaked_secret_that_has_ended_revokes_nothing() {
    let scanner = Scanner::new("2026");
    let service = Service::new(|b| b.secret_scanning(scanner.keys()));
    let key = service.world.editor().issue().await;
    let new = service.world.keyward.tokens().regenerate(key.id).await.unwrap().secret;
    scanner.report(&service, &json!([report(key.secret.expose())])).await;
    assert_eq!(service.app.get("/admin/own").bearer(&new).await.status.as_u16(), 200);
}
