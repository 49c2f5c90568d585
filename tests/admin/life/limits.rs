//! Networks, rates, idle expiry, exact expiry, and disabled tokens.

use super::*;
use keyward::guard::Reason;

#[tokio::test]
async fn a_token_is_admitted_from_its_networks_alone() {
    let site = Site::new().await;
    let networks = json!(["10.0.0.0/8", "2001:db8::/32"]);
    let token = site.admin(json!({"name": "ci", "networks": networks})).await;
    assert_eq!(token.shown["networks"], networks);
    for address in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"] {
        site.try_from(&token.key, address).await.assert_ok();
        site.try_from(&token.key, address).await.assert_ok();
    }
    for address in ["11.0.0.1", "2001:db9::1"] {
        let answer = site.try_from(&token.key, address).await;
        answer.assert_rejected(Reason::NetworkNotAllowed).assert_status(403);
        assert_eq!(answer.json()["error"]["message"], "The token is not accepted from this network");
    }
    // Without an address nobody is in a network.
    site.try_key(&token.key).await.assert_rejected(Reason::NetworkNotAllowed);
    assert_eq!(site.events(AuditAction::TokenNetworkRefused).await, 1, "at most one a minute");
    let path = format!("/admin/admin-tokens/{}", token.id);
    let update = site.app.put(&path).bearer(site.session.as_str()).json(&json!({"networks": []}));
    assert_eq!(update.await.assert_ok().json()["data"]["networks"], json!([]));
    site.try_from(&token.key, "11.0.0.1").await.assert_ok();
}

#[tokio::test]
async fn a_rate_is_limited_and_says_when_to_come_back() {
    let site = Site::new().await;
    let rate = json!({"limit": 3, "window": 60_000});
    let token = site.admin(json!({"name": "ci", "rateLimit": rate})).await;
    assert_eq!(token.shown["rateLimit"], rate);
    for _ in 0..3 {
        site.try_key(&token.key).await.assert_ok();
    }
    let refused = site.try_key(&token.key).await;
    refused.assert_status(429);
    let header = |name: &str| refused.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("retry-after"), "20");
    assert_eq!(
        (header("ratelimit-policy"), header("ratelimit")),
        ("\"token\";q=3;w=60".into(), "\"token\";r=0;t=20".into())
    );
    // A change of the token does not reset the count.
    let path = format!("/admin/admin-tokens/{}", token.id);
    let update = json!({"description": "the same rate"});
    site.app.put(&path).bearer(site.session.as_str()).json(&update).await.assert_ok();
    site.try_key(&token.key).await.assert_status(429);
    site.clock().advance(Duration::from_secs(20));
    site.try_key(&token.key).await.assert_ok();
    site.try_key(&token.key).await.assert_status(429);
    let update = json!({"rateLimit": null});
    site.app.put(&path).bearer(site.session.as_str()).json(&update).await.assert_ok();
    for _ in 0..10 {
        site.try_key(&token.key).await.assert_ok();
    }
}

#[tokio::test]
async fn a_disabled_token_is_refused_until_it_is_enabled() {
    let site = Site::new().await;
    for (list, route) in [("/admin/admin-tokens", "/admin/x"), ("/admin/api-tokens", "/api/x")] {
        let token = site.make(list, json!({"name": list, "type": "full-access"}).without_type(list)).await;
        assert_eq!(token.shown["enabled"], true);
        let path = format!("{list}/{}", token.id);
        let set = async |enabled: bool| {
            let update = site.app.put(&path).bearer(site.session.as_str()).json(&json!({"enabled": enabled}));
            assert_eq!(update.await.assert_ok().json()["data"]["enabled"], enabled);
        };
        site.app.get(route).bearer(&token.key).await.assert_ok();
        set(false).await;
        site.app.get(route).bearer(&token.key).await.assert_rejected(Reason::Disabled).assert_status(401);
        set(true).await;
        site.app.get(route).bearer(&token.key).await.assert_ok();
    }
}

trait WithoutType {
    fn without_type(self, list: &str) -> Value;
}

impl WithoutType for Value {
    /// Removes the type, which admin tokens do not have.
    fn without_type(mut self, list: &str) -> Value {
        if list == "/admin/admin-tokens" {
            self.as_object_mut().unwrap().remove("type");
        }
        self
    }
}

#[tokio::test]
async fn an_unused_token_ends() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci", "idleExpiry": 86_400_000_i64})).await;
    for _ in 0..3 {
        site.clock().advance(DAY - 5 * MINUTE);
        site.try_key(&token.key).await.assert_ok();
        site.world.keyward.flush().await;
    }
    site.clock().advance(DAY + 2 * MINUTE);
    site.try_key(&token.key).await.assert_rejected(Reason::Expired).assert_status(401);
    // A refused request is no use.
    site.try_key(&token.key).await.assert_rejected(Reason::Expired);
}

#[tokio::test]
async fn an_exact_expiry_is_kept() {
    let site = Site::new().await;
    let at = keyward::time::Clock::now(&**site.clock()).plus(10 * HOUR);
    let token = site.admin(json!({"name": "ci", "expiresAt": at.to_string()})).await;
    assert_eq!(token.shown["expiresAt"], at.to_string());
    site.clock().advance(10 * HOUR - Duration::from_millis(1));
    site.try_key(&token.key).await.assert_ok();
    site.clock().advance(Duration::from_millis(1));
    site.try_key(&token.key).await.assert_rejected(Reason::Expired);
}

#[tokio::test]
async fn bad_limits_name_their_fields_and_change_nothing() {
    let site = Site::new().await;
    let before = site.events(AuditAction::TokenIssued).await;
    let past = keyward::time::Clock::now(&**site.clock()).to_string();
    for (list, extra) in [("/admin/admin-tokens", json!({})), ("/admin/api-tokens", json!({"type": "read-only"}))] {
        for (field, value, path) in [
            ("networks", json!(["10.0.0.0/33"]), &["networks", "0"][..]),
            ("networks", json!(["10.0.0.0/8", "10.1.0.0/8"]), &["networks", "1"]),
            ("networks", json!("10.0.0.0/8"), &["networks"]),
            ("networks", json!(vec!["10.0.0.1"; 65]), &["networks"]),
            ("rateLimit", json!({"limit": 0, "window": 1000}), &["rateLimit", "limit"]),
            ("rateLimit", json!({"limit": 1, "window": 999}), &["rateLimit", "window"]),
            ("rateLimit", json!({"limit": 1}), &["rateLimit", "window"]),
            ("rateLimit", json!(5), &["rateLimit"]),
            ("idleExpiry", json!(1000), &["idleExpiry"]),
            ("idleExpiry", json!(-1), &["idleExpiry"]),
            ("enabled", json!("no"), &["enabled"]),
            ("enabled", json!(null), &["enabled"]),
            ("expiresAt", json!("tomorrow"), &["expiresAt"]),
            ("expiresAt", json!(past), &["expiresAt"]),
        ] {
            let mut body = extra.clone();
            body["name"] = json!("ci");
            body[field] = value;
            assert_field(&site.post(&site.session, list, body).await, path);
        }
        let mut both = extra.clone();
        (both["name"], both["lifespan"], both["expiresAt"]) =
            (json!("ci"), json!(604_800_000), json!("2100-01-01T00:00:00.000Z"));
        assert_field(&site.post(&site.session, list, both).await, &["expiresAt"]);
    }
    assert_eq!(site.events(AuditAction::TokenIssued).await, before);
}

#[tokio::test]
async fn networks_are_judged_again_while_a_request_runs() {
    use futures_util::FutureExt as _;
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci", "networks": ["10.0.0.0/8"]})).await;
    let auths: Arc<std::sync::Mutex<Option<keyward::AuthContext>>> = Arc::default();
    let kept = auths.clone();
    let routes = GuardedRouter::new().get("/admin/keep", authenticated(), move |auth: keyward::Auth| {
        *kept.lock().unwrap() = Some(auth.0);
        async {}
    });
    let app = site.world.guard(routes);
    let peer: IpAddr = "10.1.2.3".parse().unwrap();
    app.get("/admin/keep").bearer(token.key.as_str()).peer(peer).await.assert_ok();
    let auth = auths.lock().unwrap().take().unwrap();
    let narrow = async |networks: Value| {
        let path = format!("/admin/admin-tokens/{}", token.id);
        site.app.put(&path).bearer(site.session.as_str()).json(&json!({"networks": networks})).await.assert_ok();
    };
    // The client is in the networks still.
    narrow(json!(["10.1.0.0/16"])).await;
    auth.revalidate().await.unwrap();
    assert!(auth.revoked().now_or_never().is_none());
    let tokens = site.world.keyward.tokens().acting_as(auth.actor());
    let id = keyward::token::TokenId(token.id);
    tokens.revoke(keyward::token::TokenId(999_999)).await.unwrap_err();
    // Now it is not: its streams end, and what it has begun changes nothing.
    narrow(json!(["10.2.0.0/16"])).await;
    assert_eq!(auth.revalidate().await.unwrap_err().reason(), Reason::NetworkNotAllowed);
    assert!(auth.revoked().now_or_never().is_some());
    let refused = tokens.revoke(id).await.unwrap_err();
    use keyward::admin::ServiceError::Unauthenticated;
    assert!(matches!(refused, Unauthenticated(Reason::NetworkNotAllowed)), "{refused:?}");
    assert_eq!(site.read(token.id).await["enabled"], true);
}
