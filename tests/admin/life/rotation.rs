//! Rotation with a grace period.

use super::*;
use keyward::guard::{InvalidCredential, Reason};

const UNKNOWN: Reason = Reason::Invalid(InvalidCredential::Unknown);

impl Site {
    async fn rotate(&self, by: &str, path: &str, body: Value) -> String {
        let answer = self.post(by, &format!("{path}/regenerate"), body).await;
        answer.assert_status(201).json()["data"]["accessKey"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn both_secrets_are_admitted_until_the_grace_period_ends() {
    let site = Site::new().await;
    for (list, route) in [("/admin/admin-tokens", "/admin/x"), ("/admin/api-tokens", "/api/x")] {
        let token = site.make(list, body(list)).await;
        let path = format!("{list}/{}", token.id);
        let send = async |key: &str| site.app.get(route).bearer(key).await;
        send(&token.key).await.assert_ok();
        let new = site.rotate(&site.session, &path, json!({"gracePeriod": 3_600_000})).await;
        send(&token.key).await.assert_ok();
        send(&new).await.assert_ok();
        site.clock().advance(HOUR - Duration::from_millis(1));
        send(&token.key).await.assert_ok();
        site.clock().advance(Duration::from_millis(1));
        // A secret that has ended looks like one that never was.
        send(&token.key).await.assert_rejected(UNKNOWN).assert_status(401);
        send(&new).await.assert_ok();
    }
}

fn body(list: &str) -> Value {
    match list {
        "/admin/admin-tokens" => json!({"name": "rotated"}),
        _ => json!({"name": "rotated content", "type": "full-access"}),
    }
}

#[tokio::test]
async fn without_a_grace_period_the_old_secret_ends_at_once() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}", token.id);
    site.try_key(&token.key).await.assert_ok();
    // A request without a body, as Strapi's clients send it.
    let answer = site.app.post(&format!("{path}/regenerate")).bearer(site.session.as_str()).await;
    let new = answer.assert_status(201).json()["data"]["accessKey"].as_str().unwrap().to_owned();
    site.try_key(&token.key).await.assert_rejected(UNKNOWN);
    site.try_key(&new).await.assert_ok();
    let secrets = site.read(token.id).await["secrets"].clone();
    assert_eq!(secrets.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_owner_sees_which_secret_is_used_from_where() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}", token.id);
    let expires = token.shown["expiresAt"].clone();
    site.try_from(&token.key, "192.0.2.1").await.assert_ok();
    let new = site.rotate(&site.session, &path, json!({"gracePeriod": 86_400_000})).await;
    site.clock().advance(2 * MINUTE);
    site.try_from(&token.key, "192.0.2.2").await.assert_ok();
    site.world.keyward.flush().await;
    let shown = site.read(token.id).await;
    let [present, former] = shown["secrets"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!((&present["endsAt"], &present["lastUsedAt"]), (&Value::Null, &Value::Null), "{shown}");
    assert_eq!(former["lastUsedFrom"], "192.0.2.2");
    assert!(token.key.ends_with(former["hint"].as_str().unwrap()) && new.ends_with(present["hint"].as_str().unwrap()));
    assert_eq!(shown["expiresAt"], expires, "rotation changes no expiry");
    site.clock().advance(2 * MINUTE);
    site.try_from(&new, "192.0.2.3").await.assert_ok();
    site.world.keyward.flush().await;
    let shown = site.read(token.id).await;
    assert_eq!(shown["secrets"][0]["lastUsedFrom"], "192.0.2.3");
    assert_eq!(shown["secrets"][1]["lastUsedFrom"], "192.0.2.2");
}

#[tokio::test]
async fn the_former_secret_can_be_ended_early_and_a_third_ends_it() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}", token.id);
    let second = site.rotate(&site.session, &path, json!({"gracePeriod": 86_400_000})).await;
    let third = site.rotate(&site.session, &path, json!({"gracePeriod": 86_400_000})).await;
    site.try_key(&token.key).await.assert_rejected(UNKNOWN);
    site.try_key(&second).await.assert_ok();
    let ended = site.post(&site.session, &format!("{path}/end-grace"), json!({})).await;
    assert_eq!(ended.assert_ok().json()["data"]["secrets"].as_array().unwrap().len(), 1);
    site.try_key(&second).await.assert_rejected(UNKNOWN);
    site.try_key(&third).await.assert_ok();
    assert_eq!(site.events(AuditAction::TokenGraceEnded).await, 1);
    // There is nothing more to end, and no event of it.
    site.post(&site.session, &format!("{path}/end-grace"), json!({})).await.assert_ok();
    assert_eq!(site.events(AuditAction::TokenGraceEnded).await, 1);
}

#[tokio::test]
async fn a_token_rotates_itself_but_not_by_its_former_secret() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let own = "/admin/admin-tokens/self";
    let second = site.rotate(&token.key, own, json!({"gracePeriod": 3_600_000})).await;
    // Whoever has stolen the former secret gains nothing that lasts.
    for path in ["regenerate", "end-grace", "children"] {
        let answer = site.post(&token.key, &format!("{own}/{path}"), json!({"name": "x"}).take(path)).await;
        answer.assert_status(403);
    }
    let third = site.rotate(&second, own, json!({})).await;
    site.try_key(&second).await.assert_rejected(UNKNOWN);
    site.try_key(&token.key).await.assert_rejected(UNKNOWN);
    site.try_key(&third).await.assert_ok();
    let session = site.session.as_str();
    site.app.post(&format!("{own}/regenerate")).bearer(session).await.assert_status(403);
}

trait Take {
    fn take(self, path: &str) -> Value;
}

impl Take for Value {
    /// Returns the body for this path.
    fn take(self, path: &str) -> Value {
        if path == "children" { self } else { json!({}) }
    }
}

#[tokio::test]
async fn a_bad_grace_period_changes_nothing() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}/regenerate", token.id);
    for wrong in [json!(-1), json!("1h"), json!(1.5), json!(31_i64 * 24 * 60 * 60 * 1000)] {
        assert_field(&site.post(&site.session, &path, json!({"gracePeriod": wrong})).await, &["gracePeriod"]);
    }
    assert_field(&site.post(&site.session, &path, json!({"grace": 1})).await, &["grace"]);
    // A body without a content type is not ignored: a grace period in it would be.
    let request = site.app.post(&path).bearer(site.session.as_str()).form(&[("gracePeriod", "1000")]);
    request.await.assert_status(400);
    site.try_key(&token.key).await.assert_ok();
    assert_eq!(site.events(AuditAction::TokenRegenerated).await, 0);
}

#[tokio::test]
async fn use_of_an_ended_secret_is_recorded_once_a_minute() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let new = site.rotate(&site.session, &format!("/admin/admin-tokens/{}", token.id), json!({})).await;
    for _ in 0..5 {
        site.try_from(&token.key, "192.0.2.66").await.assert_rejected(UNKNOWN);
    }
    assert_eq!(site.events(AuditAction::TokenSecretReused).await, 1);
    site.clock().advance(61 * Duration::from_secs(1));
    site.try_key(&token.key).await.assert_rejected(UNKNOWN);
    assert_eq!(site.events(AuditAction::TokenSecretReused).await, 2);
    site.try_key(&new).await.assert_ok();
}

#[tokio::test]
async fn by_policy_the_use_of_an_ended_secret_revokes_the_token() {
    let strict = |mut policy: Policy| {
        policy.revoke_on_reuse = true;
        policy
    };
    let site = Site::with(strict, |builder| builder).await;
    let token = site.admin(json!({"name": "ci"})).await;
    let new = site.rotate(&site.session, &format!("/admin/admin-tokens/{}", token.id), json!({})).await;
    site.try_key(&new).await.assert_ok();
    site.try_key(&token.key).await.assert_rejected(UNKNOWN);
    site.world.keyward.flush().await;
    site.try_key(&new).await.assert_rejected(UNKNOWN);
    assert_eq!(site.causes(AuditAction::TokenRevoked).await, [Some(AuditCause::SecretReused)]);
}
