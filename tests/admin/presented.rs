//! Introspection (RFC 7662), revocation (RFC 7009) and `whoami`: what the bearer of a secret may ask and do.

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, VARY};
use keyward::admin::{Actor, AuditAction, AuditCause, AuditTarget, Lifespan, NewChildToken, OwnerState};
use keyward::authz::{ConditionClause, Fields, IS_CREATOR};
use keyward::store::{EventQuery, Paging};
use keyward::testing::{Answer, App, Key, SecretFormat, SeededEntropy, World};
use keyward::token::{ContentAccess, StrapiHashKey, TokenId, TokenKind, TokenLimits};
use keyward::{Group, GuardedRouter, HashKey, NewAdminToken, NewOwner, Permission, RoleId, api, authenticated};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const FORM: &str = "application/x-www-form-urlencoded";

struct Site {
    world: World,
    app: App,
    /// A token of a gateway, which may introspect.
    gateway: Key,
}

impl Site {
    async fn new() -> Self {
        let world = World::with(|builder| {
            let strapi = StrapiHashKey::new("saltysaltysaltysalty").unwrap();
            let open = Group::content("/open").public_actions(["article.find"]);
            builder.store_is_exclusive().strapi_hash_key(strapi).api("/admin").group(open)
        });
        let routes = GuardedRouter::new()
            .get("/admin/x", authenticated(), || async {})
            .get("/api/x", authenticated(), || async {})
            .merge(api::router(&world.keyward))
            .merge(api::whoami(&world.keyward, "/api/whoami"))
            .merge(api::whoami(&world.keyward, "/open/whoami"));
        let app = world.guard(routes);
        let gateway = world.editor().with("admin::tokens.introspect").issue().await;
        Self { world, app, gateway }
    }

    async fn introspect(&self, fields: &[(&str, &str)]) -> Answer {
        self.app.post("/admin/introspect").bearer(&self.gateway.secret).form(fields).await
    }

    async fn state(&self, secret: &str) -> Value {
        let answer = self.introspect(&[("token", secret)]).await;
        assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
        answer.assert_ok().json()
    }

    async fn revoke(&self, secret: &str) -> Answer {
        self.app.post("/admin/revoke").form(&[("token", secret)]).await
    }
}

fn inactive() -> Value {
    json!({"active": false})
}

/// Secrets that are those of no token: made up, never stored, malformed.
fn unknown() -> Vec<String> {
    let of = |hash_key: &str| {
        let format = SecretFormat::new(&Default::default(), HashKey::parse(hash_key).unwrap());
        format.issue(TokenKind::Admin, &SeededEntropy::new(4711)).unwrap().secret.expose().to_owned()
    };
    vec![of(keyward::testing::HASH_KEY), of("another hash key, of at least 32 bytes"), "x".into(), "a1".repeat(128)]
}

#[tokio::test]
async fn a_gateway_learns_what_a_token_may_do() {
    let site = Site::new().await;
    let own = ConditionClause::from_list([IS_CREATOR]);
    let key = site
        .world
        .editor()
        .with("orders.read")
        .with("orders.cancel")
        .with(Permission::new("article.read").on("article"))
        .with(Permission::new("article.update").fields(Fields::only(["title"]).unwrap()).when(own))
        .for_time(HOUR)
        .issue()
        .await;
    let state = site.state(key.secret.expose()).await;
    let token = site.world.keyward.tokens().read(key.id).await.unwrap().token;
    let expected = json!({
        "active": true,
        // What holds for some rows or on one resource is no scope: who reads nothing else takes it for more than it is.
        "scope": "orders.cancel orders.read",
        "token_type": "Bearer",
        "kind": "admin",
        "sub": key.owner().to_string(),
        "username": state["username"],
        "iat": token.created_at.0 / 1000,
        "exp": token.expires_at.unwrap().0 / 1000,
        "jti": key.id.to_string(),
        "permissions": state["permissions"],
    });
    assert_eq!(state, expected);
    assert!(state["username"].as_str().unwrap().ends_with("@example.test"));
    assert_eq!(state["permissions"]["extent"], "listed");
    let listed = state["permissions"]["permissions"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    let limited = json!({"action": "article.update", "fields": ["title"], "conditions": [[IS_CREATOR]]});
    assert!(listed.contains(&limited) && listed.contains(&json!({"action": "article.read", "resource": "article"})));
    // It is a use of the token, from an unknown address.
    site.world.keyward.flush().await;
    let token = site.world.keyward.tokens().read(key.id).await.unwrap().token;
    assert!(token.last_used_at.is_some());

    let content = site.world.content(ContentAccess::only(["orders.find"])).await;
    let state = site.state(content.secret.expose()).await;
    assert_eq!(
        (&state["kind"], &state["scope"], &state["sub"]),
        (&json!("content"), &json!("orders.find"), &Value::Null)
    );
    assert_eq!(state.get("exp"), None);
    let full = site.state(site.world.content(ContentAccess::FullAccess).await.secret.expose()).await;
    assert_eq!((full.get("scope"), &full["permissions"]["extent"]), (None, &json!("full-access")));
    let session = site.world.super_admin().sign_in().await;
    let state = site.state(session.secret.expose()).await;
    assert_eq!((&state["kind"], &state["permissions"]["extent"]), (&json!("session"), &json!("everything")));
}

#[tokio::test]
async fn tokens_that_are_not_valid_are_answered_alike() {
    let site = Site::new().await;
    let [expiring, revoked, suspended] = [
        site.world.editor().with("x").for_time(HOUR).issue().await,
        site.world.editor().with("x").issue().await,
        site.world.editor().with("x").issue().await,
    ];
    for key in [&expiring, &revoked, &suspended] {
        assert_eq!(site.state(key.secret.expose()).await["active"], true);
    }
    let keyward = &site.world.keyward;
    keyward.tokens().revoke(revoked.id).await.unwrap();
    keyward.owners().set_state(suspended.owner(), OwnerState::Deactivated).await.unwrap();
    site.world.clock.advance(HOUR);
    for secret in
        [&expiring, &revoked, &suspended].map(|key| key.secret.expose().to_owned()).into_iter().chain(unknown())
    {
        assert_eq!(site.state(&secret).await, inactive());
    }
}

#[tokio::test]
async fn introspection_takes_a_permission_and_a_form() {
    let site = Site::new().await;
    let key = site.world.editor().with("x").issue().await;
    let secret = key.secret.expose();
    let form = [("token", secret)];
    site.app.post("/admin/introspect").form(&form).await.assert_status(401);
    site.app.post("/admin/introspect").bearer(&key.secret).form(&form).await.assert_status(403);
    let json = site.app.post("/admin/introspect").bearer(&site.gateway.secret).json(&json!({"token": secret})).await;
    let refused = |answer: &Answer, path: Value, message: &str| {
        let error = answer.assert_status(400).json()["error"].clone();
        assert_eq!(
            (&error["name"], &error["details"]["errors"][0]["path"]),
            (&json!("ValidationError"), &path),
            "{error}"
        );
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(secret));
    };
    refused(&json, json!([]), "Content-Type: application/x-www-form-urlencoded");
    refused(&site.introspect(&[]).await, json!(["token"]), "is required");
    refused(&site.introspect(&[("token", "")]).await, json!(["token"]), "is required");
    refused(&site.introspect(&[("token", secret), ("token", secret)]).await, json!(["token"]), "is there twice");
    let hints = [("token_type_hint", "x"), ("token", secret), ("token_type_hint", "y")];
    refused(&site.introspect(&hints).await, json!(["token_type_hint"]), "is there twice");
    refused(&site.introspect(&[("token", secret), ("max_age", "-1")]).await, json!(["max_age"]), "a number of seconds");
    let nowhere = [("token", secret), ("client_address", "here")];
    refused(&site.introspect(&nowhere).await, json!(["client_address"]), "an IP address");
    let known = [("token_type_hint", "refresh_token"), ("resource", "https://example.test"), ("token", secret)];
    assert_eq!(site.introspect(&known).await.assert_ok().json()["active"], true);
}

#[tokio::test]
async fn an_answer_may_be_kept_for_the_staleness_of_the_installation() {
    let site = Site::new().await;
    let key = site.world.editor().with("x").for_time(HOUR).issue().await;
    let cache_control = async |secret: &str, max_age: &str| {
        let answer = site.introspect(&[("token", secret), ("max_age", max_age)]).await;
        assert_eq!(answer.assert_ok().headers[VARY], "Authorization");
        answer.headers[CACHE_CONTROL].to_str().unwrap().to_owned()
    };
    let secret = key.secret.expose();
    for (wanted, kept) in [("0", "no-store"), ("1", "private, max-age=1"), ("60", "private, max-age=2")] {
        assert_eq!(cache_control(secret, wanted).await, kept);
    }
    assert_eq!(cache_control("x", "60").await, "no-store");
    site.world.clock.advance(HOUR - Duration::from_millis(1500));
    assert_eq!(cache_control(secret, "60").await, "private, max-age=1");
    // No other route sets it.
    let answer = site.app.get("/admin/whoami").bearer(secret).await;
    assert_eq!(answer.assert_ok().headers[CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn a_token_that_is_bound_to_networks_is_active_for_an_address_in_them_alone() {
    let site = Site::new().await;
    let owner = site.world.editor().holds("x").issue().await.owner();
    let tokens = site.world.keyward.tokens();
    let limits = TokenLimits::none().networks(["10.0.0.0/8".parse().unwrap()]);
    let new = NewAdminToken::new("parent", owner).grants([keyward::Grant::new("x").may_delegate()]).limits(limits);
    let parent = tokens.issue_admin(new).await.unwrap();
    let limits = TokenLimits::none().networks(["10.1.0.0/16".parse().unwrap()]);
    let by_parent = tokens.clone().acting_as(Actor::Token(parent.token.id));
    let new = NewChildToken::new("child").grants([keyward::Grant::new("x")]).limits(limits);
    let child = by_parent.issue_child(new).await.unwrap();
    let of = async |secret: &keyward::token::Secret, address: &str| {
        let form = [("token", secret.expose()), ("client_address", address), ("max_age", "60")];
        let answer = site.introspect(&form).await;
        // It counts for this address alone.
        assert_eq!(answer.assert_ok().headers[CACHE_CONTROL], "no-store");
        answer.json()
    };
    for secret in [&parent.secret, &child.secret] {
        assert_eq!(site.state(secret.expose()).await, inactive(), "the client may be anywhere");
        assert_eq!(of(secret, "192.0.2.1").await, inactive());
    }
    assert_eq!(of(&child.secret, "10.2.0.1").await, inactive());
    assert_eq!(of(&parent.secret, "::ffff:10.2.0.1").await["networks"], json!([["10.0.0.0/8"]]));
    assert_eq!(of(&child.secret, "10.1.0.1").await["networks"], json!([["10.1.0.0/16"], ["10.0.0.0/8"]]));
    // The gateway's client has used the token.
    site.world.keyward.flush().await;
    let used = tokens.read(child.token.id).await.unwrap().token.secret_used.unwrap();
    assert_eq!(used.address, Some("10.1.0.1".parse().unwrap()));
}

#[tokio::test]
async fn the_end_of_an_introspected_token_is_the_earliest() {
    const MINUTE: Duration = Duration::from_secs(60);
    let site = Site::new().await;
    let owner = site.world.editor().holds("x").issue().await.owner();
    let tokens = site.world.keyward.tokens();
    let exp = async |secret: &keyward::token::Secret| {
        let now = keyward::time::Clock::now(&*site.world.clock).0 / 1000;
        site.state(secret.expose()).await["exp"].as_i64().map(|exp| exp - now)
    };
    // The expiry, then the idle expiry.
    let idle = TokenLimits::none().idle_expiry(10 * MINUTE);
    let new = NewAdminToken::new("idle", owner).lifespan(Lifespan::Of(HOUR)).limits(idle);
    let new = new.grants([keyward::Grant::new("x").may_delegate()]);
    let parent = tokens.issue_admin(new).await.unwrap();
    assert_eq!(exp(&parent.secret).await, Some(600));
    site.world.clock.advance(5 * MINUTE);
    assert_eq!(exp(&parent.secret).await, Some(600), "it is a use");
    site.world.keyward.flush().await;
    // The parent of a child is used by nobody.
    let by_parent = tokens.clone().acting_as(Actor::Token(parent.token.id));
    let child = by_parent.issue_child(NewChildToken::new("child")).await.unwrap();
    site.world.clock.advance(5 * MINUTE);
    let left = exp(&child.secret).await.unwrap();
    assert!((300..=360).contains(&left), "{left}");
    site.world.clock.advance(Duration::from_secs(left.unsigned_abs()));
    assert_eq!(site.state(child.secret.expose()).await, inactive());
    // The grace period of a former secret.
    let token = tokens.issue_admin(NewAdminToken::new("former", owner).lifespan(Lifespan::Of(HOUR))).await.unwrap();
    let present = tokens.regenerate_with_grace(token.token.id, MINUTE).await.unwrap();
    assert_eq!((exp(&token.secret).await, exp(&present.secret).await), (Some(60), Some(3600)));
    let who = site.app.get("/admin/whoami").bearer(&token.secret).await.assert_ok().json();
    assert_eq!(who["data"]["hint"], token.secret.hint());
    assert_ne!(who["data"]["expiresAt"], json!(present.token.expires_at.unwrap().to_string()));
}

#[tokio::test]
async fn a_caller_learns_about_its_own_credential() {
    let site = Site::new().await;
    let keyward = &site.world.keyward;
    let ada = NewOwner::new("ada@example.test").named("Ada", "Lovelace").roles([RoleId::SUPER_ADMIN]);
    let ada = keyward.owners().create(ada).await.unwrap();
    let deploy = NewAdminToken::new("deploy", ada.id).grants([keyward::Grant::new("orders.read")]);
    let issued = keyward.tokens().issue_admin(deploy).await.unwrap();
    let who = site.app.get("/admin/whoami").bearer(&issued.secret).await.assert_ok().json();
    let expected = json!({"data": {
        "id": issued.token.id.0,
        "kind": "admin",
        "name": "deploy",
        "hint": issued.secret.hint(),
        "owner": {"id": ada.id.0, "name": "Ada Lovelace"},
        "createdAt": issued.token.created_at.to_string(),
        "expiresAt": issued.token.expires_at.map(|at| at.to_string()),
        "scopes": ["orders.read"],
        "permissions": {"extent": "listed", "permissions": [{"action": "orders.read"}]},
    }});
    assert_eq!(who, expected);
    let session = site.world.super_admin().sign_in().await;
    let who = site.app.get("/admin/whoami").bearer(&session.secret).await.assert_ok().json();
    assert_eq!(
        (&who["data"]["kind"], &who["data"]["permissions"]["extent"]),
        (&json!("session"), &json!("everything"))
    );
    let content = site.world.content(ContentAccess::ReadOnly).await;
    let who = site.app.get("/api/whoami").bearer(&content.secret).await.assert_ok().json();
    assert_eq!(
        (&who["data"]["kind"], &who["data"]["owner"], &who["data"]["id"]),
        (&json!("content"), &Value::Null, &json!(content.id.0))
    );
    let who = site.app.get("/open/whoami").await.assert_ok().json();
    assert_eq!(
        (&who["data"]["kind"], &who["data"]["id"], &who["data"]["scopes"]),
        (&json!("public"), &Value::Null, &json!(["article.find"]))
    );
    site.app.get("/admin/whoami").await.assert_status(401);
    site.app.get("/api/whoami").await.assert_status(403);
    // Nothing of it tells about others.
    site.app.get("/admin/whoami").bearer(&content.secret).await.assert_status(401);
}

#[tokio::test]
async fn the_bearer_of_a_secret_revokes_its_token() {
    let site = Site::new().await;
    let keyward = &site.world.keyward;
    let [admin, content, session, expired] = [
        site.world.editor().with("x").issue().await,
        site.world.content(ContentAccess::FullAccess).await,
        site.world.editor().sign_in().await,
        site.world.editor().with("x").for_time(HOUR).issue().await,
    ];
    for (key, path) in [(&admin, "/admin/x"), (&content, "/api/x"), (&session, "/admin/x"), (&expired, "/admin/x")] {
        if key.id == expired.id {
            site.world.clock.advance(HOUR);
        } else {
            site.app.get(path).bearer(&key.secret).await.assert_ok();
        }
        let address: std::net::IpAddr = "192.0.2.7".parse().unwrap();
        let form = [("token", key.secret.expose()), ("token_type_hint", "refresh_token")];
        let answer = site.app.post("/admin/revoke").peer(address).form(&form).await;
        let first = (answer.status, answer.headers, answer.body);
        assert_eq!((first.0.as_u16(), &first.2[..]), (200, &b"{}"[..]));
        site.app.get(path).bearer(&key.secret).await.assert_status(401);
        assert!(keyward.tokens().read(key.id).await.is_err());
        // The same answer again, and to secrets that were never issued.
        for secret in std::iter::once(key.secret.expose().to_owned()).chain(unknown()) {
            let again = site.revoke(&secret).await;
            assert_eq!((again.status, again.headers, again.body), first);
        }
        let events = keyward.audit().list(&EventQuery::all(Paging { page: 1, page_size: 1000 })).await.unwrap();
        let of_token = |target: AuditTarget| matches!(target, AuditTarget::Token(id, _) if id == key.id);
        let caused: Vec<_> =
            events.items.iter().filter(|(_, event)| of_token(event.target) && event.cause.is_some()).collect();
        let [(_, event)] = &caused[..] else { panic!("{caused:?}") };
        assert_eq!((event.cause, event.origin.address), (Some(AuditCause::Bearer), Some(address)));
        let by = match key.id == session.id {
            true => (AuditAction::SignedOut, Actor::Person(key.owner())),
            false => (AuditAction::TokenRevoked, Actor::Token(key.id)),
        };
        assert_eq!((event.what, event.origin.actor), by);
    }
}

#[tokio::test]
async fn a_revocation_takes_a_form_of_a_strangers_size() {
    let site = Site::new().await;
    let key = site.world.editor().with("x").issue().await;
    let secret = key.secret.expose();
    let json = site.app.post("/admin/revoke").json(&json!({"token": secret})).await;
    assert_eq!(json.assert_status(400).json()["error"]["name"], "ValidationError");
    let twice = site.app.post("/admin/revoke").form(&[("token", "x"), ("token", secret)]).await;
    assert_eq!(twice.assert_status(400).json()["error"]["details"]["errors"][0]["path"], json!(["token"]));
    let large = "a".repeat(16 * 1024);
    site.revoke(&large).await.assert_status(413);
    // The secret in the address is read by nobody: it would be in logs.
    let query = site.app.post(&format!("/admin/revoke?token={secret}")).header(CONTENT_TYPE, FORM).await;
    query.assert_status(400);
    site.app.get("/admin/revoke").await.assert_status(401);
    site.app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    // A credential in the header neither helps nor hinders.
    let answer = site.app.post("/admin/revoke").header(AUTHORIZATION, "Bearer x").form(&[("token", secret)]).await;
    answer.assert_status(200);
    site.app.get("/admin/x").bearer(&key.secret).await.assert_status(401);
    assert!(site.world.keyward.tokens().read(TokenId(key.id.0)).await.is_err());
}

/// made-up-costs-nothing, bounded-by-strangers.
#[tokio::test]
async fn made_up_secrets_cost_no_read_in_forms() {
    let site = Site::new().await;
    site.state("x").await;
    let before = site.world.keyward.health().store_reads;
    let format =
        SecretFormat::new(&Default::default(), HashKey::parse("another hash key, of at least 32 bytes").unwrap());
    for seed in 0..100 {
        let made_up = format.issue(TokenKind::Admin, &SeededEntropy::new(seed)).unwrap().secret;
        site.revoke(made_up.expose()).await.assert_status(200);
        assert_eq!(site.state(made_up.expose()).await, inactive());
    }
    assert_eq!(site.world.keyward.health().store_reads, before);
}
