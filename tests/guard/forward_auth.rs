//! Forward authentication: questions of proxies, in the forms that these document, and the answers. Real proxies ask in
//! `tests/browser/forward_auth`.

use crate::invariants::shim;
use async_trait::async_trait;
use axum::Router;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderName};
use http::{Method, StatusCode};
use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
use keyward::admin::OwnerUpdate;
use keyward::authz::{Fields, Permission};
use keyward::forward_auth::{self, Identity, InvalidRules, Rule, Rules};
use keyward::guard::{Ambiguity, FailureBudget, InvalidCredential, ProxyHeader, Reason, Unavailable};
use keyward::store::WriteStore;
use keyward::testing::{Answer, App, Key, TestRequest, World};
use keyward::token::ContentAccess;
use keyward::{
    Builder, Grant, GuardedRouter, NewAdminToken, NewContentToken, NewOwner, NewRole, action, authenticated,
};
use keyward_test_support::log;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const METHOD: HeaderName = HeaderName::from_static("x-original-method");
const URI: HeaderName = HeaderName::from_static("x-original-uri");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const HEADERS: [&str; 6] = [
    "x-keyward-token",
    "x-keyward-kind",
    "x-keyward-owner",
    "x-keyward-account",
    "x-keyward-token-name",
    "x-keyward-owner-name",
];

fn trusting(builder: Builder) -> Builder {
    builder.trusted_proxies(["10.0.0.0/8"], ProxyHeader::XForwardedFor)
}

fn world() -> World {
    World::with(trusting)
}

fn app<S: WriteStore + Clone>(world: &World<S>, rules: Rules) -> App {
    App::from_service(forward_auth::router(&world.keyward, rules).unwrap())
}

/// Asks as nginx does.
fn ask(app: &App, method: &str, host: &str, uri: &str) -> TestRequest {
    app.get("/auth").peer(PROXY).header(HOST, host).header(METHOD, method).header(URI, uri)
}

fn get(app: &App, uri: &str) -> TestRequest {
    ask(app, "GET", "app.test", uri)
}

/// Returns the identity headers, in order. All of them are there, once.
fn identity(answer: &Answer) -> [String; 6] {
    HEADERS.map(|name| {
        let mut values = answer.headers.get_all(name).iter();
        let value = values.next().unwrap_or_else(|| panic!("{name} is missing in {:?}", answer.headers));
        assert!(values.next().is_none(), "{name} occurs twice");
        value.to_str().unwrap().to_owned()
    })
}

async fn service_key<S: WriteStore + Clone>(world: &World<S>, actions: &[&str]) -> Key {
    let new = NewContentToken::new(format!("key {actions:?}"), ContentAccess::only(actions.iter().copied()));
    let issued = world.keyward.tokens().issue_content(new).await.unwrap();
    Key { secret: issued.secret, id: issued.token.id, owner: None }
}

#[tokio::test]
async fn each_rule_admits_its_kind_with_its_requirement() {
    let world = world();
    let rules = Rules::nginx()
        .rule(Rule::admin("/reports", action("reports.read")))
        .rule(Rule::service_keys("/orders", action("orders.write")))
        .rule(Rule::service_keys("/orders", "orders.read").methods([Method::GET]))
        .rule(Rule::content("/shop", action("orders.read")).public_actions(["other"]))
        .rule(Rule::content("/open", action("open.read")).public_actions(["open.read"]))
        .rule(Rule::public("/healthz").exact())
        .rule(Rule::admin("/", authenticated()).host("*.internal.test"));
    let app = app(&world, rules);
    let admin = world.editor().with("reports.read").issue().await;
    let session = world.editor().holds("reports.read").sign_in().await;
    let bare = world.editor().issue().await;
    let key = service_key(&world, &["orders.read"]).await;
    let expect = async |method: &str, host: &str, uri: &str, key: Option<&Key>, status: u16| {
        // The first one reads the store, the second one is answered from the cache.
        for _ in 0..2 {
            let question = ask(&app, method, host, uri);
            let question = match key {
                Some(key) => question.bearer(&key.secret),
                None => question,
            };
            let answer = question.await;
            answer.assert_status(status);
            assert_eq!(answer.headers["cache-control"], "no-store");
            let challenged = status == 401 || answer.reason == Some(Reason::Forbidden);
            assert_eq!(answer.headers.contains_key("www-authenticate"), challenged, "{answer:?}");
            match status {
                200 => drop(identity(&answer)),
                _ => assert!(HEADERS.iter().all(|name| !answer.headers.contains_key(*name))),
            }
        }
    };
    let host = "app.test";
    expect("GET", host, "/reports", Some(&admin), 200).await;
    expect("DELETE", host, "/reports/7?all", Some(&admin), 200).await;
    expect("GET", host, "/reports", Some(&session), 200).await;
    expect("GET", host, "/reports", Some(&bare), 403).await;
    expect("GET", host, "/reports", Some(&key), 401).await;
    expect("GET", host, "/reports", None, 401).await;
    expect("GET", host, "/orders/7", Some(&key), 200).await;
    expect("HEAD", host, "/orders/7", Some(&key), 200).await;
    expect("POST", host, "/orders", Some(&key), 403).await;
    expect("GET", host, "/orders", Some(&admin), 401).await;
    expect("GET", host, "/orders", None, 401).await;
    expect("GET", host, "/shop", Some(&key), 200).await;
    expect("GET", host, "/open", None, 200).await;
    expect("GET", host, "/healthz", None, 200).await;
    expect("GET", host, "/healthz", Some(&key), 200).await;
    for (method, uri) in [("GET", "/"), ("GET", "/elsewhere"), ("GET", "/healthz/x"), ("GET", "/report")] {
        for key in [None, Some(&admin), Some(&key)] {
            expect(method, host, uri, key, 403).await;
        }
    }
    expect("GET", "a.internal.test", "/elsewhere", Some(&bare), 200).await;
    expect("GET", "A.Internal.test:8443", "/elsewhere", Some(&bare), 200).await;
    expect("GET", "a.internal.test", "/healthz", None, 401).await;
    expect("GET", "internal.test", "/elsewhere", Some(&bare), 403).await;
    // Without a credential and without the action, the public may not.
    ask(&app, "GET", host, "/shop").await.assert_status(403);
}

/// The oracle is the gate in front of routes: the same groups and requirements, without a proxy.
#[tokio::test]
async fn answers_are_those_of_the_gate() {
    let world = world();
    let routes = GuardedRouter::new()
        .route("/admin/{*rest}", action("a").whole(), axum::routing::any(|| async {}))
        .route("/admin/strict/{*rest}", action("b").whole(), axum::routing::any(|| async {}))
        .route("/api/{*rest}", action("c").whole(), axum::routing::any(|| async {}))
        .public("/public/{*rest}", axum::routing::any(|| async {}));
    let (gate, rules) = (world.guard(routes), |rules: Rules| {
        rules
            .rule(Rule::admin("/admin", action("a")))
            .rule(Rule::admin("/admin/strict", action("b")))
            .rule(Rule::content("/api", action("c")))
            .rule(Rule::public("/public"))
    });
    let app = app(&world, rules(Rules::envoy("")));
    let some = Permission::new("a").fields(Fields::only(["title"]).unwrap());
    let mut credentials = vec![
        String::new(),
        "Bearer".into(),
        "Bearer nope".into(),
        "Basic b3BzOmh1bnRlcjI=".into(),
        format!("Bearer {}", "0123456789abcdef".repeat(16)),
    ];
    let gone = world.super_admin().issue().await;
    world.keyward.tokens().revoke(gone.id).await.unwrap();
    let keys = [
        gone,
        world.editor().with("a").issue().await,
        world.editor().with("a").with("b").issue().await,
        world.editor().with(some).issue().await,
        world.editor().with("a").for_time(Duration::from_secs(30)).issue().await,
        world.editor().holds("b").sign_in().await,
        world.super_admin().issue().await,
        world.content(ContentAccess::FullAccess).await,
        service_key(&world, &["c"]).await,
        service_key(&world, &["d"]).await,
    ];
    credentials.extend(keys.iter().map(|key| format!("Bearer {}", key.secret.expose())));
    let paths =
        ["/admin/x", "/admin/strict/x", "/admin/strictly/x", "/api/x", "/public/x", "/admin/%2e%2e/x", "/api//x"];
    let mut passed = 0;
    for round in 0..3 {
        for path in paths {
            for credential in &credentials {
                let send = |app: &App| {
                    let request = app.get(path).peer(PROXY).header(HOST, "app.test");
                    if credential.is_empty() { request } else { request.header(AUTHORIZATION, credential) }
                };
                let (own, other) = (send(&gate).await, send(&app).await);
                assert_eq!((own.status, own.reason), (other.status, other.reason), "{path} {credential} in {round}");
                assert_eq!(own.headers.get("www-authenticate"), other.headers.get("www-authenticate"), "{path}");
                assert!(other.body.is_empty() || own.body == other.body, "{path}: {own:?} {other:?}");
                passed += usize::from(other.status == StatusCode::OK);
            }
        }
        if round == 1 {
            world.clock.advance(Duration::from_secs(60));
            world.keyward.tokens().revoke(keys[1].id).await.unwrap();
        }
    }
    assert!(passed > 60, "{passed}");
}

#[tokio::test]
async fn only_trusted_proxies_are_answered() {
    let (log, _guard) = log::capture();
    let world = world();
    let rules = || Rules::nginx().rule(Rule::public("/"));
    let installed = app(&world, rules());
    let question = |app: &App, peer: &str| {
        let question = app.get("/auth").header(HOST, "a").header(METHOD, "GET").header(URI, "/");
        if peer.is_empty() { question } else { question.peer(peer.parse::<IpAddr>().unwrap()) }
    };
    for peer in ["10.0.0.1", "10.255.0.7", "::ffff:10.0.0.1"] {
        question(&installed, peer).await.assert_status(200);
    }
    for peer in ["192.0.2.1", "127.0.0.1", "::1", ""] {
        for _ in 0..20 {
            let answer = question(&installed, peer).header(FORWARDED_FOR, "10.0.0.1").await;
            answer.assert_rejected(Reason::NotForwarded).assert_status(403);
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
    }
    assert_eq!(log.lines_with("no trusted proxy"), 1, "{}", log.text());
    // Its own proxies are instead of those of the installation.
    let own = app(&world, rules().trusted_proxies(["192.0.2.1"], ProxyHeader::Forwarded));
    question(&own, "192.0.2.1").await.assert_status(200);
    question(&own, "10.0.0.1").await.assert_rejected(Reason::NotForwarded);
    let world = World::new();
    assert!(matches!(forward_auth::router(&world.keyward, rules()), Err(InvalidRules::NoProxy)));
    let none = rules().trusted_proxies([""; 0], ProxyHeader::Forwarded);
    assert!(matches!(forward_auth::router(&world.keyward, none), Err(InvalidRules::NoProxy)));
    let typo = rules().trusted_proxies(["10.0.0.0/99"], ProxyHeader::Forwarded);
    assert!(matches!(forward_auth::router(&world.keyward, typo), Err(InvalidRules::Proxy(_))));
}

#[tokio::test]
async fn a_question_in_another_form_is_refused() {
    let (log, _guard) = log::capture();
    let world = world();
    let rules = |rules: Rules| app(&world, rules.rule(Rule::public("/")));
    let traefik: [(&'static str, &str); 4] = [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a.test"),
        ("x-forwarded-uri", "/x"),
    ];
    let nginx = [("host", "a.test"), ("x-original-method", "GET"), ("x-original-uri", "/x")];
    let ingress = [("x-original-method", "GET"), ("x-original-url", "https://a.test/x")];
    let send = async |app: &App, headers: &[(&'static str, &str)]| {
        let mut question = app.get("/auth").peer(PROXY);
        for (name, value) in headers {
            question = question.header(HeaderName::from_static(name), value);
        }
        question.await
    };
    for (form, own, others) in [
        (Rules::nginx(), &nginx[..], [&traefik[..], &ingress]),
        (Rules::ingress_nginx(), &ingress, [&traefik, &nginx]),
        (Rules::traefik(), &traefik, [&nginx, &ingress]),
        (Rules::caddy(), &traefik, [&nginx, &ingress]),
        (Rules::haproxy(), &[traefik[0], traefik[2], traefik[3]], [&nginx, &ingress]),
    ] {
        let app = rules(form);
        send(&app, own).await.assert_status(200);
        for other in others {
            send(&app, other).await.assert_rejected(Reason::NotForwarded).assert_status(403);
        }
        for (name, value) in own {
            let twice = [own, &[(*name, *value)]].concat();
            send(&app, &twice).await.assert_rejected(Reason::NotForwarded).assert_status(403);
        }
    }
    assert_eq!(log.lines_with("is the proxy another one"), 5, "one of each router: {}", log.text());
}

#[tokio::test]
async fn envoy_reports_in_the_request_itself() {
    let world = world();
    let rules = Rules::envoy("/envoy").rule(Rule::service_keys("/orders", "orders.read").methods([Method::GET]));
    let router = forward_auth::router(&world.keyward, rules).unwrap();
    let app = App::from_service(Router::new().nest_service("/envoy", router.clone()));
    let key = service_key(&world, &["orders.read"]).await;
    let send = |app: &App, method: Method, uri: &str| {
        app.request(method, uri).peer(PROXY).header(HOST, "a.test").bearer(&key.secret)
    };
    send(&app, Method::GET, "/envoy/orders/7?x=//..%2f").await.assert_status(200);
    send(&app, Method::HEAD, "/envoy/orders").await.assert_status(200);
    send(&app, Method::POST, "/envoy/orders").await.assert_rejected(Reason::NoRule).assert_status(403);
    send(&app, Method::GET, "/envoy").await.assert_rejected(Reason::NotForwarded);
    send(&app, Method::GET, "/envoy/").await.assert_rejected(Reason::NoRule);
    for path in ["/envoy/orders/../x", "/envoy//orders", "/envoy/orders%2f7", "/envoy/orders/%2e%2e/x"] {
        send(&app, Method::GET, path).await.assert_status(400);
    }
    // At a listener of its own.
    let app = App::from_service(router);
    send(&app, Method::GET, "/envoy/orders").await.assert_status(200);
    send(&app, Method::GET, "/orders").await.assert_rejected(Reason::NotForwarded);
    send(&app, Method::GET, "/envoyorders").await.assert_rejected(Reason::NotForwarded);
}

#[tokio::test]
async fn every_answer_names_the_caller_completely() {
    let world = World::with(|builder| trusting(builder).caller_names());
    let rules = Rules::traefik()
        .rule(Rule::admin("/admin", authenticated()))
        .rule(Rule::content("/api", "read").public_actions(["read"]))
        .rule(Rule::public("/public"));
    let app = app(&world, rules);
    let question = |uri: &str| {
        let mut question = app.get("/auth").peer(PROXY);
        for (name, value) in [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a.test"),
            ("x-forwarded-uri", uri),
            // A client's own.
            ("x-keyward-token", "1"),
            ("x-keyward-kind", "session"),
            ("x-keyward-owner", "1"),
        ] {
            question = question.header(HeaderName::from_static(name), value);
        }
        question
    };
    let role = world.keyward.roles().create(NewRole::new("R").permissions(["read"])).await.unwrap().id;
    let zoe = NewOwner::new("zoe@example.test").named("Zo\u{eb}", "a: b\"c").roles([role]);
    let zoe = world.keyward.owners().create(zoe).await.unwrap().id;
    let new = NewAdminToken::new("deploy, 100%", zoe).grants([Grant::new("read")]);
    let issued = world.keyward.tokens().issue_admin(new).await.unwrap();
    let (token, owner) = (issued.token.id.to_string(), zoe.to_string());
    let named = identity(question("/admin").bearer(&issued.secret).await.assert_status(200));
    assert_eq!(named, [&token, "admin", &owner, "", "deploy%2C%20100%25", "Zo%C3%AB%20a%3A%20b%22c"]);
    let key = service_key(&world, &["read"]).await;
    let named = identity(question("/api").bearer(&key.secret).await.assert_status(200));
    assert_eq!(named, [&key.id.to_string(), "content", "", "", "key%20%5B%22read%22%5D", ""]);
    for (uri, secret) in [("/api", None), ("/public", None), ("/public", Some(&key.secret))] {
        let question = question(uri);
        let question = match secret {
            Some(secret) => question.bearer(secret),
            None => question,
        };
        assert_eq!(identity(question.await.assert_status(200)), [""; 6], "{uri}");
    }
}

struct Users;

#[async_trait]
impl Accounts for Users {
    async fn account(&self, _: &AccountKey) -> Result<Option<Account>, AccountsError> {
        Ok(Some(Account::new("Ada").permissions(["read"])))
    }
}

#[tokio::test]
async fn accounts_and_names_of_headers_are_the_hosts() {
    let world = World::with(|builder| trusting(builder).accounts(Users));
    let rules = Rules::nginx()
        .rule(Rule::admin("/", "read"))
        .identity_header(Identity::Account, "X-Webauth-User")
        .identity_header(Identity::Token, "X-Token");
    let app = app(&world, rules);
    let user = AccountKey::new("ada@example.test/7 \u{e4}").unwrap();
    let new = NewAdminToken::new("t", &user).grants([Grant::new("read")]);
    let issued = world.keyward.tokens().issue_admin(new).await.unwrap();
    let answer = get(&app, "/").bearer(&issued.secret).await;
    answer.assert_status(200);
    assert_eq!(answer.headers["x-webauth-user"], "ada@example.test%2F7%20%C3%A4");
    assert_eq!(answer.headers["x-token"], issued.token.id.to_string());
    assert_eq!(answer.headers["x-keyward-token-name"], "", "names are not kept");
    assert!(!answer.headers.contains_key("x-keyward-account") && !answer.headers.contains_key("x-keyward-token"));
}

#[tokio::test]
async fn a_partial_decision_does_not_pass() {
    let world = world();
    let read = || action("read").on("article");
    let rules = Rules::nginx()
        .rule(Rule::admin("/strict", read()))
        .rule(Rule::admin("/partial", read()).allow_partial_decisions());
    let app = app(&world, rules);
    let whole = world.editor().with(Permission::new("read").on("article")).issue().await;
    let some = Permission::new("read").on("article").fields(Fields::only(["title"]).unwrap());
    let some = world.editor().with(some).issue().await;
    let none = world.editor().issue().await;
    for (path, key, status) in [
        ("/strict", &whole, 200),
        ("/strict", &some, 403),
        ("/strict", &none, 403),
        ("/partial", &whole, 200),
        ("/partial", &some, 200),
        ("/partial", &none, 403),
    ] {
        for _ in 0..2 {
            get(&app, path).bearer(&key.secret).await.assert_status(status);
        }
    }
}

#[tokio::test]
async fn a_credential_that_ends_is_refused_by_the_next_request() {
    let world = world();
    let app = app(&world, Rules::nginx().rule(Rule::admin("/", "read")));
    let [revoked, expired, inactive, smaller] = [
        world.editor().with("read").issue().await,
        world.editor().with("read").for_time(Duration::from_secs(60)).issue().await,
        world.editor().with("read").issue().await,
        world.editor().with("read").issue().await,
    ];
    for key in [&revoked, &expired, &inactive, &smaller] {
        get(&app, "/").bearer(&key.secret).await.assert_status(200);
    }
    let keyward = &world.keyward;
    keyward.tokens().revoke(revoked.id).await.unwrap();
    get(&app, "/").bearer(&revoked.secret).await.assert_status(401);
    let blocked = OwnerUpdate { blocked: Some(true), ..OwnerUpdate::default() };
    keyward.owners().update(inactive.owner(), blocked).await.unwrap();
    get(&app, "/").bearer(&inactive.secret).await.assert_rejected(Reason::OwnerInactive).assert_status(401);
    keyward.roles().set_permissions(smaller.role(), Vec::<Permission>::new()).await.unwrap();
    get(&app, "/").bearer(&smaller.secret).await.assert_rejected(Reason::Forbidden).assert_status(403);
    world.clock.advance(Duration::from_secs(60));
    get(&app, "/").bearer(&expired.secret).await.assert_rejected(Reason::Expired).assert_status(401);
}

#[tokio::test]
async fn a_failing_store_never_lets_a_request_pass() {
    let (world, shim) = shim::world(trusting);
    let rules = |rules: Rules| rules.rule(Rule::admin("/", authenticated()));
    let (nginx, envoy) = (app(&world, rules(Rules::nginx())), app(&world, rules(Rules::envoy(""))));
    let key = world.super_admin().issue().await;
    shim.fail(true);
    for _ in 0..2 {
        let unavailable = Reason::Unavailable(Unavailable::Store);
        let answer = get(&nginx, "/").bearer(&key.secret).await;
        answer.assert_rejected(unavailable).assert_status(503);
        let answer = envoy.get("/").peer(PROXY).header(HOST, "a").bearer(&key.secret).await;
        answer.assert_rejected(unavailable).assert_status(503);
        assert_eq!(
            (&answer.headers["retry-after"], &answer.headers["cache-control"]),
            (&"1".parse().unwrap(), &"no-store".parse().unwrap())
        );
    }
    shim.fail(false);
    get(&nginx, "/").bearer(&key.secret).await.assert_status(200);
}

/// A gRPC rejection is a 200 with the status in a header, which a proxy would take for a yes.
#[tokio::test]
async fn a_question_about_grpc_is_not_answered_as_grpc() {
    let world = world();
    let rules = |rules: Rules| rules.rule(Rule::admin("/", action("read")));
    let (nginx, envoy) = (app(&world, rules(Rules::nginx())), app(&world, rules(Rules::envoy(""))));
    let bare = world.editor().issue().await;
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let nginx = || ask(&nginx, "POST", "a", "/x").header(CONTENT_TYPE, content_type);
        let envoy = || envoy.post("/x").peer(PROXY).header(HOST, "a").header(CONTENT_TYPE, content_type);
        for question in [nginx(), envoy()] {
            question.await.assert_status(401);
        }
        for question in [nginx(), envoy()] {
            question.bearer(&bare.secret).await.assert_status(403);
        }
        envoy().header(HOST, "b").await.assert_status(403);
    }
}

#[tokio::test]
async fn cookies_are_no_credentials() {
    let world = World::with(|b| trusting(b).group(keyward::Group::pages("/pages", "sid", "/login")));
    let app = app(&world, Rules::nginx().rule(Rule::admin("/pages", authenticated())));
    let session = world.super_admin().sign_in().await;
    let cookie = format!("sid={}", session.secret.expose());
    get(&app, "/pages").header(COOKIE, &cookie).await.assert_rejected(Reason::NoCredential).assert_status(401);
    get(&app, "/pages").bearer(&session.secret).await.assert_status(200);
}

#[tokio::test]
async fn credential_headers_are_those_of_the_installation() {
    const KEY: HeaderName = HeaderName::from_static("x-api-key");
    let world = World::with(|b| trusting(b).credential_headers(["authorization", "x-api-key"]));
    let app = app(&world, Rules::nginx().rule(Rule::admin("/", authenticated())));
    let (key, other) = (world.super_admin().issue().await.secret, world.super_admin().issue().await.secret);
    get(&app, "/").header(KEY, key.expose()).await.assert_status(200);
    get(&app, "/").header(KEY, key.expose()).bearer(&key).await.assert_status(200);
    let several = get(&app, "/").header(KEY, key.expose()).bearer(&other).await;
    several.assert_rejected(Reason::SeveralCredentials).assert_status(403);
    get(&app, "/").bearer(&key).bearer(&key).await.assert_status(401);
}

#[tokio::test]
async fn the_last_use_has_the_address_that_the_proxy_reports() {
    let world = world();
    let app = app(&world, Rules::nginx().rule(Rule::admin("/", authenticated())));
    let key = world.super_admin().issue().await;
    get(&app, "/")
        .header(FORWARDED_FOR, "198.51.100.9, 203.0.113.5, 10.0.0.9")
        .bearer(&key.secret)
        .await
        .assert_status(200);
    world.keyward.flush().await;
    let (_, address) = world.store.last_use(key.id).unwrap();
    assert_eq!(address, Some("203.0.113.5".parse().unwrap()), "the last one that is no proxy");
}

#[tokio::test]
async fn the_failure_budget_is_that_of_the_installation() {
    let budget = FailureBudget::new(3, Duration::from_secs(60));
    let world = World::with(|b| trusting(b).failure_budget(budget));
    let rules = |rules: Rules| rules.rule(Rule::admin("/", authenticated()));
    let (nginx, envoy) = (app(&world, rules(Rules::nginx())), app(&world, rules(Rules::envoy(""))));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let gone = world.super_admin().issue().await;
        world.keyward.tokens().revoke(gone.id).await.unwrap();
        let answer = get(&nginx, "/").header(FORWARDED_FOR, "203.0.113.5").bearer(&gone.secret).await;
        statuses.push(answer.status.as_u16());
    }
    // nginx does not understand 429.
    assert_eq!(statuses, [401, 401, 401, 403, 403]);
    let gone = world.super_admin().issue().await;
    world.keyward.tokens().revoke(gone.id).await.unwrap();
    let other = |address: &str| {
        envoy.get("/").peer(PROXY).header(HOST, "a").header(FORWARDED_FOR, address).bearer(&gone.secret)
    };
    other("203.0.113.5").await.assert_status(429);
    other("203.0.113.6").await.assert_status(401);
}

#[tokio::test]
async fn invalid_secrets_are_refused_alike() {
    let world = world();
    let rules = |rules: Rules| rules.rule(Rule::admin("/", authenticated()));
    let (nginx, envoy) = (app(&world, rules(Rules::nginx())), app(&world, rules(Rules::envoy(""))));
    let gone = world.super_admin().issue().await;
    world.keyward.tokens().revoke(gone.id).await.unwrap();
    let wrong_kind = world.content(ContentAccess::FullAccess).await;
    let made_up = gone.secret.expose().replace(|c: char| c.is_ascii_uppercase(), "x");
    let mut seen = Vec::new();
    for secret in [gone.secret.expose(), wrong_kind.secret.expose(), &made_up, "nope", &"a".repeat(600)] {
        let answers =
            [get(&nginx, "/").bearer(secret).await, envoy.get("/").peer(PROXY).header(HOST, "a").bearer(secret).await];
        seen.push(answers.map(|answer| (answer.status, answer.headers, answer.body)));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    assert_eq!(seen[0][0].0, 401);
}

#[tokio::test]
async fn paths_with_two_readings_are_refused() {
    let world = world();
    let rules = |rules: Rules| {
        let rules = rules.rule(Rule::public("/").shadowing()).rule(Rule::admin("/admin", authenticated()));
        app(&world, rules)
    };
    let (nginx, haproxy) = (rules(Rules::nginx()), rules(Rules::haproxy()));
    let super_admin = world.super_admin().issue().await;
    for uri in [
        "/public/..%2fadmin",
        "/public/../admin",
        "/%2e%2e/admin",
        "//admin",
        "/x//admin",
        "/admin%2fx",
        "/x\\admin",
        "/%61dmin",
        "/Admin",
        "/admin;x",
        "/x;/../admin",
        "/#/../admin",
        "http://app.test/admin",
        "*",
        "admin",
        "/ x",
        "/%",
        "/%00",
    ] {
        for secret in [None, Some(&super_admin.secret)] {
            let haproxy = haproxy
                .get("/auth")
                .peer(PROXY)
                .header(HeaderName::from_static("x-forwarded-method"), "GET")
                .header(HeaderName::from_static("x-forwarded-host"), "app.test")
                .header(HeaderName::from_static("x-forwarded-uri"), uri);
            for (question, status) in [(get(&nginx, uri), 403), (haproxy, 400)] {
                let question = match secret {
                    Some(secret) => question.bearer(secret),
                    None => question,
                };
                let answer = question.await;
                answer.assert_status(status);
                assert!(matches!(answer.reason, Some(Reason::AmbiguousPath(_))), "{uri}: {answer:?}");
            }
        }
    }
    get(&nginx, "/admin?/../x").await.assert_status(401);
    get(&nginx, "/x?//..%2f").await.assert_status(200);
    get(&nginx, "/%61dmin").await.assert_rejected(Reason::AmbiguousPath(Ambiguity::OtherRule));
}

#[tokio::test]
async fn a_host_with_two_readings_is_refused() {
    let world = world();
    let rules = Rules::nginx().rule(Rule::public("/")).rule(Rule::admin("/", authenticated()).host("admin.test"));
    let app = app(&world, rules);
    for (host, status) in [
        ("other.test", 200),
        ("admin.test", 401),
        ("ADMIN.test", 401),
        ("admin.test:8443", 401),
        ("admin.test.", 403),
        ("other.test@admin.test", 403),
        ("admin.test, other.test", 403),
        ("admin.test/", 403),
        ("", 403),
    ] {
        ask(&app, "GET", host, "/").await.assert_status(status);
    }
    ask(&app, "GET", "other.test", "/").header(HOST, "admin.test").await.assert_status(403);
}

#[tokio::test]
async fn an_overridden_method_selects_no_other_rule() {
    let world = world();
    let rules = Rules::nginx()
        .rule(Rule::service_keys("/orders", "orders.read").methods([Method::GET, Method::POST]))
        .rule(Rule::service_keys("/orders", "orders.write"));
    let app = app(&world, rules);
    let key = service_key(&world, &["orders.read"]).await;
    let with = |method: &str, header: &'static str, value: &str| {
        let question = ask(&app, method, "a", "/orders").bearer(&key.secret);
        if header.is_empty() { question } else { question.header(HeaderName::from_static(header), value) }
    };
    with("POST", "", "").await.assert_status(200);
    with("DELETE", "", "").await.assert_status(403);
    with("POST", "x-http-method-override", "GET").await.assert_status(200);
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        for value in ["DELETE", "delete", "DELETE, GET", ""] {
            with("POST", header, value).await.assert_status(403);
        }
    }
    with("get", "", "").await.assert_rejected(Reason::NoRule);
}

#[tokio::test]
async fn mistakes_in_rules_are_found_when_the_router_is_built() {
    let world = world();
    let build = |rules: Rules| forward_auth::router(&world.keyward, rules).err().map(|error| error.to_string());
    assert_eq!(build(Rules::nginx()), Some(InvalidRules::None.to_string()));
    assert_eq!(build(Rules::nginx().rule(Rule::public("/"))), None);
    let header = Rules::nginx().rule(Rule::public("/")).identity_header(Identity::Owner, "X-Forwarded-User");
    assert_eq!(build(header), Some(InvalidRules::Header("X-Forwarded-User".into()).to_string()));
    let prefix = Rules::envoy("/envoy/").rule(Rule::public("/"));
    assert_eq!(build(prefix), Some(InvalidRules::Prefix("/envoy/".into()).to_string()));
    let host = |rules: Rules| build(rules.rule(Rule::public("/")).rule(Rule::public("/x").host("a.test")));
    assert_eq!(host(Rules::nginx()), None);
    assert_eq!(host(Rules::ingress_nginx()), Some(InvalidRules::HostUnknown("a.test/x".into()).to_string()));
    let twice = Rules::nginx().rule(Rule::public("/a")).rule(Rule::admin("/a", "x"));
    assert_eq!(build(twice).unwrap(), "the rules `/a` and `/a` cover the same requests: remove one");
}

/// A router of questions beside guarded routes: these stay behind the gate.
#[tokio::test]
async fn the_router_is_nested_beside_guarded_routes() {
    let world = world();
    let routes = world.keyward.guard(GuardedRouter::new().get("/admin/x", authenticated(), || async { "in" }));
    let auth = forward_auth::router(&world.keyward, Rules::nginx().rule(Rule::admin("/", authenticated()))).unwrap();
    let app = App::from_service(routes.into_router().nest_service("/auth", auth));
    let key = world.super_admin().issue().await;
    app.get("/admin/x").await.assert_status(401);
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
    for path in ["/auth", "/auth/", "/auth/x/y?z"] {
        let question = |uri: &str| app.get(path).peer(PROXY).header(HOST, "a").header(METHOD, "GET").header(URI, uri);
        question("/x").bearer(&key.secret).await.assert_status(200);
        question("/x").await.assert_rejected(Reason::NoCredential);
        let invalid = Reason::Invalid(InvalidCredential::Malformed);
        question("/x").header(AUTHORIZATION, "Bearer x").await.assert_rejected(invalid);
    }
}

/// A header that a configuration forgets is one that clients can set.
#[test]
fn configurations_of_the_example_name_every_identity_header() {
    let read = |name: &str| {
        std::fs::read_to_string(format!("{}/examples/forward_auth/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let [nginx, caddy, lua] = ["nginx.conf", "Caddyfile", "keyward.lua"].map(read);
    for name in HEADERS {
        let variable = name.strip_prefix("x-").unwrap().replace('-', "_");
        let (lines, upper) = (nginx.to_lowercase(), caddy.to_lowercase());
        assert!(lines.contains(&format!("auth_request_set ${variable} $upstream_http_x_{variable};")), "{name}");
        assert!(lines.contains(&format!("proxy_set_header {name} ${variable};")), "{name}");
        let copied = upper.lines().find(|line| line.trim_start().starts_with("copy_headers ")).unwrap();
        assert!(copied.split_whitespace().any(|copied| copied == name), "{name}");
        assert!(upper.contains(&format!("header_up {name} {{header.{name}}}")), "{name}");
        assert!(lua.contains(&format!("\"{name}\"")), "{name}");
    }
    assert!(caddy.contains("request_header -*Keyward*") && lua.contains("name:lower():find(\"keyward\", 1, true)"));
    assert!(read("traefik.yml").contains("authResponseHeadersRegex: (?i)keyward"));
    let envoy = read("envoy.yaml");
    assert!(envoy.contains("name:find(\"keyward\", 1, true)") && envoy.contains("prefix: x-keyward-"));
    assert!(envoy.contains("failure_mode_allow: false") && read("traefik.yml").contains("trustForwardHeader: false"));
}
