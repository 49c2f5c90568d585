//! What an attacker, a mistake or an unlucky moment must not achieve with the life of a key.

use super::*;
use async_trait::async_trait;
use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
use keyward::admin::NewChildToken;
use keyward::{Grant, NewAdminToken};
use std::sync::atomic::{AtomicBool, Ordering};

/// A use of the former secret is seen, also in the minute after one of the present secret.
#[tokio::test]
async fn a_single_use_of_the_former_secret_is_seen() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}/regenerate", token.id);
    let answer = site.post(&site.session, &path, json!({"gracePeriod": 86_400_000})).await;
    let new = answer.assert_status(201).json()["data"]["accessKey"].as_str().unwrap().to_owned();
    site.try_from(&new, "192.0.2.3").await.assert_ok();
    site.world.keyward.flush().await;
    site.clock().advance(Duration::from_secs(10));
    site.try_from(&token.key, "198.51.100.66").await.assert_ok();
    site.world.keyward.flush().await;
    site.clock().advance(HOUR);
    site.world.keyward.flush().await;
    let shown = site.read(token.id).await;
    assert_eq!(shown["secrets"][1]["lastUsedFrom"], "198.51.100.66", "{}", shown["secrets"]);
}

struct Users(Arc<AtomicBool>);

#[async_trait]
impl Accounts for Users {
    async fn account(&self, _: &AccountKey) -> Result<Option<Account>, AccountsError> {
        let there = self.0.load(Ordering::SeqCst);
        Ok(there.then(|| Account::new("Ada").permissions(["read"])))
    }
}

/// A secret in its grace period, of an account that the host does not find for a moment, is not taken for a stolen one.
#[tokio::test]
async fn an_account_that_is_missing_for_a_moment_keeps_its_tokens() {
    let there = Arc::new(AtomicBool::new(true));
    let users = Users(there.clone());
    let mut policy = Policy::default();
    policy.revoke_on_reuse = true;
    let world = World::with(|builder| builder.accounts(users).policy(policy));
    let app = world.guard(GuardedRouter::new().get("/admin/x", authenticated(), || async {}));
    let key = AccountKey::new("ada").unwrap();
    let tokens = world.keyward.tokens();
    let issued = tokens.issue_admin(NewAdminToken::new("t", &key).grants([Grant::new("read")])).await.unwrap();
    let new = tokens.regenerate_with_grace(issued.token.id, DAY).await.unwrap().secret;
    app.get("/admin/x").bearer(&issued.secret).await.assert_ok();
    there.store(false, Ordering::SeqCst);
    world.clock.advance(MINUTE);
    app.get("/admin/x").bearer(&issued.secret).await.assert_status(401);
    there.store(true, Ordering::SeqCst);
    world.keyward.flush().await;
    world.clock.advance(MINUTE);
    let kinds: Vec<_> = world.store.audit_events().iter().map(|event| event.what).collect();
    assert!(!kinds.contains(&AuditAction::TokenSecretReused), "{kinds:?}");
    app.get("/admin/x").bearer(&new).await.assert_ok();
}

/// A child no longer reads in the audit log what its parent may no longer pass on.
#[tokio::test]
async fn a_child_sees_no_more_events_than_it_may() {
    let site = Site::new().await;
    let (logs, users) = ("admin::audit-logs.read", "admin::users.read");
    let owner = site.world.editor().holds(logs).holds(users).issue().await.owner();
    let tokens = site.world.keyward.tokens();
    let grants = || [Grant::new(logs).may_delegate(), Grant::new(users).may_delegate()];
    let parent = tokens.issue_admin(NewAdminToken::new("parent", owner).grants(grants())).await.unwrap();
    let by_parent = tokens.clone().acting_as(keyward::admin::Actor::Token(parent.token.id));
    let new = NewChildToken::new("child").grants([Grant::new(logs), Grant::new(users)]);
    let child = by_parent.issue_child(new).await.unwrap().secret;
    let update = keyward::admin::TokenUpdate {
        grants: Some(vec![Grant::new(logs).may_delegate()]),
        ..keyward::admin::TokenUpdate::default()
    };
    tokens.update(parent.token.id, update).await.unwrap();
    site.app.get("/admin/users").bearer(&child).await.assert_status(403);
    let path = "/admin/audit-logs?pageSize=100&action=owner-created";
    let seen_by = async |secret: &keyward::token::Secret| {
        let seen = site.app.get(path).bearer(secret).await.assert_ok().json();
        seen["results"].as_array().unwrap().iter().filter(|event| event["withheld"] == false).count()
    };
    assert_eq!((seen_by(&parent.secret).await, seen_by(&child).await), (0, 0));
}

fn child_of(tokens: &keyward::admin::Tokens, parent: keyward::token::TokenId) -> keyward::admin::Tokens {
    tokens.clone().acting_as(keyward::admin::Actor::Token(parent))
}

fn delegable() -> Grant {
    Grant::new("read").may_delegate()
}

/// The most tokens that come from one token are counted over all generations.
#[tokio::test]
async fn the_number_of_tokens_that_come_from_one_is_bounded() {
    let strict = |mut policy: Policy| {
        policy.children_per_token = 2;
        policy
    };
    let site = Site::with(strict, |builder| builder).await;
    let owner = site.world.editor().with("read").issue().await.owner();
    let tokens = site.world.keyward.tokens();
    let parent = tokens.issue_admin(NewAdminToken::new("parent", owner).grants([delegable()])).await.unwrap().token.id;
    let (mut line, mut made) = (vec![parent], 0);
    for generation in 0..4 {
        let mut next = Vec::new();
        for token in &line {
            for n in 0..2 {
                let new = NewChildToken::new(format!("{generation} {token} {n}")).grants([delegable()]);
                if let Ok(child) = child_of(&tokens, *token).issue_child(new).await {
                    made += 1;
                    next.push(child.token.id);
                }
            }
        }
        line = next;
    }
    assert!(made <= 2, "{made} tokens come from one");
}

/// Children that have expired keep neither their owner from issuing tokens nor other tokens of the owner from making some.
#[tokio::test]
async fn expired_children_count_no_more() {
    let strict = |mut policy: Policy| {
        policy.tokens_per_owner = 5;
        policy
    };
    let site = Site::with(strict, |builder| builder).await;
    let owner = site.world.editor().with("read").issue().await.owner();
    let tokens = site.world.keyward.tokens();
    let parent = tokens.issue_admin(NewAdminToken::new("parent", owner).grants([delegable()])).await.unwrap().token.id;
    for n in 0..3 {
        child_of(&tokens, parent).issue_child(NewChildToken::new(format!("child {n}"))).await.unwrap();
    }
    site.clock().advance(DAY);
    let child = child_of(&tokens, parent).issue_child(NewChildToken::new("next")).await.map(drop);
    let own = tokens.issue_admin(NewAdminToken::new("own", owner)).await.map(drop);
    assert!(child.is_ok() && own.is_ok(), "{child:?} {own:?}");
}

/// A gateway that introspects learns when a secret ends, and that a token is not active which the gate might refuse.
#[tokio::test]
async fn introspection_says_what_the_gate_would() {
    let site = Site::new().await;
    let gateway = site.world.editor().with("admin::tokens.introspect").issue().await;
    let ask = async |key: &str| {
        let request = site.app.post("/admin/introspect").bearer(&gateway.secret).form(&[("token", key)]);
        request.peer("203.0.113.1".parse::<IpAddr>().unwrap()).await.assert_ok().json()
    };
    // The former secret ends in an hour, and the token never.
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}/regenerate", token.id);
    site.post(&site.session, &path, json!({"gracePeriod": 3_600_000})).await.assert_status(201);
    let former = ask(&token.key).await;
    let networked = site.admin(json!({"name": "n", "networks": ["10.0.0.0/8"]})).await;
    let networked = ask(&networked.key).await;
    let found = (former["exp"].is_number(), networked["active"].clone());
    assert_eq!(found, (true, json!(false)), "{former} {networked}");
}

/// Behind a trusted proxy that names no client, a client does not come from the network of the proxy.
#[tokio::test]
async fn a_client_that_the_proxy_does_not_name_is_in_no_network() {
    use keyward::guard::ProxyHeader;
    let site =
        Site::with(|policy| policy, |builder| builder.trusted_proxies(["10.0.0.0/8"], ProxyHeader::XForwardedFor))
            .await;
    let token = site.admin(json!({"name": "n", "networks": ["10.0.0.0/8"]})).await;
    let peer: IpAddr = "10.0.0.1".parse().unwrap();
    let named = site.app.get("/admin/x").bearer(token.key.as_str()).peer(peer);
    named.header("x-forwarded-for".parse().unwrap(), "203.0.113.9").await.assert_status(403);
    let unnamed = site.app.get("/admin/x").bearer(token.key.as_str()).peer(peer);
    unnamed.header("x-forwarded-for".parse().unwrap(), "unknown").await.assert_status(403);
}

/// A stream of a client that is in none of the networks any more ends.
#[tokio::test]
async fn a_stream_ends_when_the_client_leaves_the_networks() {
    use futures_util::FutureExt as _;
    let site = Site::new().await;
    let token = site.admin(json!({"name": "n"})).await;
    let auths: Arc<std::sync::Mutex<Option<keyward::AuthContext>>> = Arc::default();
    let kept = auths.clone();
    let routes = GuardedRouter::new().get("/admin/keep", authenticated(), move |auth: keyward::Auth| {
        *kept.lock().unwrap() = Some(auth.0);
        async {}
    });
    let app = site.world.guard(routes);
    let key = token.key.as_str();
    app.get("/admin/keep").bearer(key).peer("203.0.113.1".parse::<IpAddr>().unwrap()).await.assert_ok();
    let auth = auths.lock().unwrap().take().unwrap();
    let path = format!("/admin/admin-tokens/{}", token.id);
    let change = site.app.put(&path).bearer(site.session.as_str()).json(&json!({"networks": ["10.0.0.0/8"]}));
    change.await.assert_ok();
    app.get("/admin/keep").bearer(key).peer("203.0.113.1".parse::<IpAddr>().unwrap()).await.assert_status(403);
    assert!(auth.revalidate().await.is_err() || auth.revoked().now_or_never().is_some());
}

/// A token none of whose grants may be delegated makes no tokens.
#[tokio::test]
async fn a_token_that_may_delegate_nothing_makes_no_tokens() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "plain"})).await;
    let answer = site.post(&token.key, "/admin/admin-tokens/self/children", json!({"name": "child"})).await;
    answer.assert_status(403);
}

/// The tokens that end with a token which its bearer revokes are ended by it.
#[tokio::test]
async fn whoever_has_ended_a_secret_is_the_bearer_in_the_audit_log() {
    let site = Site::new().await;
    let owner = site.world.editor().with("read").issue().await.owner();
    let tokens = site.world.keyward.tokens();
    let parent = tokens.issue_admin(NewAdminToken::new("parent", owner).grants([delegable()])).await.unwrap();
    let child = child_of(&tokens, parent.token.id).issue_child(NewChildToken::new("child")).await.unwrap();
    site.app.post("/admin/revoke").form(&[("token", parent.secret.expose())]).await.assert_ok();
    let of_child = keyward::admin::AuditTarget::Token(child.token.id, keyward::token::TokenKind::Admin);
    let events = site.world.store.audit_events();
    let ended = events.iter().find(|e| e.target == of_child && e.what == AuditAction::TokenRevoked).unwrap();
    assert_eq!(ended.origin.actor, keyward::admin::Actor::Token(parent.token.id));
}

/// A use of the former secret does not hide the use of the present one that is written with it.
#[tokio::test]
async fn both_uses_of_a_batch_count() {
    use keyward::SqliteStore;
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let options = keyward::store::SqliteOptions::default().clock(clock.clone());
    let store = SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
    let world = World::on(store, clock, |builder| builder.store_is_exclusive());
    let app = world.guard(GuardedRouter::new().get("/admin/x", authenticated(), || async {}));
    let key = world.editor().issue().await;
    let tokens = world.keyward.tokens();
    let new = tokens.regenerate_with_grace(key.id, DAY).await.unwrap().secret;
    let send = async |secret: &keyward::token::Secret, address: &str| {
        app.get("/admin/x").bearer(secret).peer(address.parse::<IpAddr>().unwrap()).await.assert_ok();
    };
    send(&key.secret, "192.0.2.1").await;
    send(&new, "192.0.2.2").await;
    world.keyward.flush().await;
    // An hour later both are used within the five seconds of a batch.
    world.clock.advance(HOUR);
    send(&new, "192.0.2.2").await;
    world.clock.advance(Duration::from_secs(1));
    send(&key.secret, "192.0.2.1").await;
    world.keyward.flush().await;
    let uses: Vec<_> = tokens.read(key.id).await.unwrap().token.secrets().into_iter().map(|s| s.used).collect();
    let from: Vec<_> = uses.iter().map(|used| used.and_then(|used| used.address).map(|a| a.to_string())).collect();
    assert_eq!(from, [Some("192.0.2.2".to_owned()), Some("192.0.2.1".to_owned())], "{uses:?}");
}

/// A thief with the present secret cannot rotate so often that the use of the owner's is no incident.
#[tokio::test]
async fn a_thief_cannot_wash_the_secret_of_the_owner_away() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let mut stolen = token.key.clone();
    for _ in 0..9 {
        let answer = site.post(&stolen, "/admin/admin-tokens/self/regenerate", json!({})).await;
        stolen = answer.assert_status(201).json()["data"]["accessKey"].as_str().unwrap().to_owned();
    }
    site.try_key(&token.key).await.assert_status(401);
    assert_eq!(site.events(AuditAction::TokenSecretReused).await, 1);
}

/// Who ends the former secret that it has seen ends no other one, which a rotation has put in its place.
#[tokio::test]
async fn whoever_changes_over_ends_no_secret_that_was_not_seen() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}", token.id);
    let rotate = async || {
        let answer = site.post(&site.session, &format!("{path}/regenerate"), json!({"gracePeriod": 86_400_000})).await;
        answer.assert_status(201).json()["data"]["accessKey"].as_str().unwrap().to_owned()
    };
    let second = rotate().await;
    let seen = site.read(token.id).await["secrets"][1]["hint"].clone();
    assert!(token.key.ends_with(seen.as_str().unwrap()));
    // A colleague rotates. The page of the first person still shows the first secret.
    rotate().await;
    site.post(&site.session, &format!("{path}/end-grace"), json!({"hint": seen})).await;
    site.try_key(&second).await.assert_ok();
}

/// A token that a gateway introspects is found by the network that it was used from.
#[tokio::test]
async fn an_introspection_does_not_hide_where_a_token_was_used() {
    use keyward::store::TokenSelection;
    let site = Site::new().await;
    let gateway = site.world.editor().with("admin::tokens.introspect").issue().await;
    let token = site.admin(json!({"name": "ci"})).await;
    site.try_from(&token.key, "203.0.113.5").await.assert_ok();
    site.world.keyward.flush().await;
    site.clock().advance(2 * MINUTE);
    site.app.post("/admin/introspect").bearer(&gateway.secret).form(&[("token", &token.key)]).await.assert_ok();
    site.world.keyward.flush().await;
    let selection = TokenSelection { used_from: Some("203.0.113.0/24".parse().unwrap()), ..TokenSelection::default() };
    let preview = site.world.keyward.tokens().preview_revoke_all(&selection).await.unwrap();
    assert_eq!(preview.count, 1);
}

/// A stolen session cannot keep its person from disabling a token.
#[tokio::test]
async fn disabling_is_not_limited() {
    let strict = |mut policy: Policy| {
        policy.token_updates_per_hour = 1;
        policy
    };
    let site = Site::with(strict, |builder| builder).await;
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}", token.id);
    let set = async |body: Value| site.app.put(&path).bearer(site.session.as_str()).json(&body).await.status.as_u16();
    assert_eq!(set(json!({"description": "x"})).await, 200);
    assert_eq!(set(json!({"enabled": false})).await, 200);
}

/// The bearer of a former secret learns neither the end of the present one nor where that is used.
#[tokio::test]
async fn a_former_secret_learns_nothing_of_the_present_one() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let path = format!("/admin/admin-tokens/{}/regenerate", token.id);
    let answer = site.post(&site.session, &path, json!({"gracePeriod": 86_400_000})).await;
    let new = answer.assert_status(201).json()["data"]["accessKey"].as_str().unwrap().to_owned();
    site.try_from(&new, "192.0.2.77").await.assert_ok();
    site.world.keyward.flush().await;
    let who = site.app.get("/admin/whoami").bearer(token.key.as_str()).await.assert_ok().json();
    let own = site.app.get("/admin/admin-tokens/self").bearer(token.key.as_str()).await.assert_ok().json();
    let hint = &new[new.len() - 4..];
    let told = (who["data"]["hint"] == hint, own.to_string().contains("192.0.2.77"));
    assert_eq!(told, (false, false), "{who} {own}");
}

/// A rotation shortens the life of the tokens that come from the secret, and the audit log says so.
#[tokio::test]
async fn a_shorter_life_has_an_event() {
    let site = Site::new().await;
    let owner = site.world.editor().with("read").issue().await.owner();
    let tokens = site.world.keyward.tokens();
    let parent = tokens.issue_admin(NewAdminToken::new("parent", owner).grants([delegable()])).await.unwrap().token.id;
    let child = child_of(&tokens, parent).issue_child(NewChildToken::new("child")).await.unwrap().token;
    tokens.regenerate_with_grace(parent, MINUTE).await.unwrap();
    let shorter = tokens.read(child.id).await.unwrap().token.expires_at;
    assert!(shorter < child.expires_at);
    let of_child = keyward::admin::AuditTarget::Token(child.id, keyward::token::TokenKind::Admin);
    let events = site.world.store.audit_events();
    assert_eq!(events.iter().filter(|event| event.target == of_child).count(), 2, "issued, and shortened");
}

/// Nobody ends the rules of a role by a new name for it.
#[tokio::test]
async fn a_new_name_of_a_role_ends_no_rules() {
    use keyward::admin::{RoleUpdate, TokenRules};
    let strict = |mut policy: Policy| {
        policy.role_rules = vec![("Deployer".to_owned(), TokenRules::none().must_have_network())];
        policy
    };
    let site = Site::with(strict, |builder| builder).await;
    let roles = site.world.keyward.roles();
    let role = roles.create(keyward::NewRole::new("Deployer")).await.unwrap().id;
    let owners = site.world.keyward.owners();
    let bob = NewOwner::new("bob@example.test").named("B", "B").roles([role]);
    let owner = owners.create(bob).await.unwrap().id;
    let tokens = site.world.keyward.tokens();
    tokens.issue_admin(NewAdminToken::new("a", owner)).await.unwrap_err();
    let renamed = RoleUpdate { name: Some("Deployers".into()), ..RoleUpdate::default() };
    assert!(roles.update(role, renamed).await.unwrap_err().to_string().contains("rules for tokens"));
    tokens.issue_admin(NewAdminToken::new("b", owner)).await.unwrap_err();
}

/// Who revokes a token at once after its ended secret was used still finds that use in the audit log.
#[tokio::test]
async fn an_incident_of_a_token_that_was_revoked_since_is_recorded() {
    let site = Site::new().await;
    let token = site.admin(json!({"name": "ci"})).await;
    let tokens = site.world.keyward.tokens();
    let id = keyward::token::TokenId(token.id);
    tokens.regenerate(id).await.unwrap();
    site.try_key(&token.key).await.assert_status(401);
    tokens.revoke(id).await.unwrap();
    assert_eq!(site.events(AuditAction::TokenSecretReused).await, 1);
}

/// A key in a form is revoked as it was in a file or a header.
#[tokio::test]
async fn revocation_by_the_bearer_takes_what_was_copied() {
    let site = Site::new().await;
    for (n, text) in ["{}\n", " {}", "Bearer {}", "bearer {}\r\n"].into_iter().enumerate() {
        let token = site.admin(json!({"name": format!("{n}")})).await;
        site.try_key(&token.key).await.assert_ok();
        site.app.post("/admin/revoke").form(&[("token", &text.replace("{}", &token.key))]).await.assert_ok();
        site.try_key(&token.key).await.assert_status(401);
    }
}
