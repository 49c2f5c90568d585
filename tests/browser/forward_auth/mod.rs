//! nginx, Caddy and HAProxy with the configurations of `examples/forward_auth`, in front of a service that records what
//! reaches it. keyward answers them from the test process, with the rules of the example.
//!
//! Whatever a client sends, the service sees a request only if the rule of its path and host allows it, and the identity
//! that keyward has named.

mod proxies;
#[path = "../../../examples/forward_auth/rules.rs"]
mod rules;
mod service;
mod wire;

use async_trait::async_trait;
use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
use keyward::{Grant, NewAdminToken};
use proxies::{Kind, Proxy, SCRIPT, Setting};
use rules::{READ_ORDERS, READ_REPORTS, WRITE_ORDERS};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wire::{bearer, sent};

const HOST: &str = "Host: app.test";

/// Runs a test with each of the proxies that is there.
macro_rules! with_each_proxy {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn nginx() {
                super::run(super::Kind::Nginx, async |setting, proxy| super::$test(&setting, &proxy).await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn caddy() {
                super::run(super::Kind::Caddy, async |setting, proxy| super::$test(&setting, &proxy).await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn haproxy() {
                super::run(super::Kind::Haproxy, async |setting, proxy| super::$test(&setting, &proxy).await).await;
            }
        }
    )+};
}

with_each_proxy!(
    requests_pass_as_the_rules_say,
    a_revoked_token_is_refused_by_the_next_request,
    a_client_names_no_caller,
    no_path_is_read_twice,
    no_host_is_read_twice,
    a_method_is_that_of_the_request_line,
    nothing_passes_without_an_answer,
);

async fn run(kind: Kind, test: impl AsyncFnOnce(Setting, Proxy)) {
    let Some(program) = kind.program() else { return };
    let setting = Setting::start(kind).await;
    let proxy = Proxy::start(kind, &program, &setting);
    test(setting, proxy).await;
}

async fn requests_pass_as_the_rules_say(setting: &Setting, proxy: &Proxy) {
    let reads = bearer(&setting.service_key([READ_ORDERS]).await);
    let writes = bearer(&setting.service_key([READ_ORDERS, WRITE_ORDERS]).await);
    let admin = bearer(&setting.admin_key(READ_REPORTS).await.secret);
    for (line, headers, status) in [
        ("GET /orders/7?x=%2F&y=//..", vec![HOST, &reads], 200),
        ("HEAD /orders", vec![HOST, &reads], 200),
        ("POST /orders", vec![HOST, &reads], 403),
        ("POST /orders", vec![HOST, &writes], 200),
        ("GET /orders", vec![HOST, &admin], 401),
        ("GET /orders", vec![HOST], 401),
        ("GET /reports", vec![HOST, &admin], 200),
        ("GET /reports", vec![HOST, &reads], 401),
        ("GET /public/logo.svg", vec![HOST], 200),
        ("GET /healthz", vec![HOST], 200),
        ("GET /healthz/x", vec![HOST, &admin], 403),
        ("GET /elsewhere", vec![HOST, &admin], 403),
        ("GET /", vec![HOST, &admin], 403),
        ("GET /", vec!["Host: a.internal.test", &admin], 200),
        ("GET /orders", vec!["Host: a.internal.test", &reads], 401),
    ] {
        let (answer, reached) = setting.send(proxy, line, &headers).await;
        assert_eq!(answer.status, status, "{line} {answer:?}");
        let challenged = answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer realm="));
        assert!(challenged || status != 401, "{line} {answer:?}");
        let (method, uri) = line.split_once(' ').unwrap();
        match status {
            200 => assert_eq!(sent(&reached), [(method, uri)], "unchanged"),
            _ => assert!(reached.is_empty(), "{line} {reached:?}"),
        }
        assert!(reached.iter().all(|request| request.header("authorization").is_none()), "the secret stays here");
    }
    let body = "x".repeat(100_000);
    let (answer, reached) = setting.send_body(proxy, "POST /orders", &[HOST, &writes], &body).await;
    assert_eq!((answer.status, reached.len(), reached[0].body), (200, 1, body.len()));
    // keyward's own address through the proxy.
    for path in ["/_keyward", "/nginx", "/caddy", "/haproxy"] {
        let (answer, reached) = setting.send(proxy, &format!("GET {path}"), &[HOST, &admin]).await;
        assert!(matches!(answer.status, 403 | 404) && reached.is_empty(), "{path} {answer:?}");
    }
}

async fn a_revoked_token_is_refused_by_the_next_request(setting: &Setting, proxy: &Proxy) {
    let key = setting.admin_key(READ_REPORTS).await;
    let line = bearer(&key.secret);
    for _ in 0..3 {
        assert_eq!(setting.send(proxy, "GET /reports", &[HOST, &line]).await.0.status, 200);
    }
    setting.world.keyward.flush().await;
    let (_, address) = setting.world.store.last_use(key.id).unwrap();
    assert_eq!(address, Some([127, 0, 0, 7].into()), "of the client, as the proxy says");
    setting.world.keyward.tokens().revoke(key.id).await.unwrap();
    for _ in 0..3 {
        let (answer, reached) = setting.send(proxy, "GET /reports", &[HOST, &line]).await;
        assert_eq!((answer.status, reached.len()), (401, 0));
    }
}

async fn a_client_names_no_caller(setting: &Setting, proxy: &Proxy) {
    let key = setting.admin_key(READ_REPORTS).await;
    let (own, token, owner) = (bearer(&key.secret), key.id.to_string(), key.owner().to_string());
    let smuggled = [
        "X-Keyward-Token: 1",
        "x-keyward-kind: session",
        "X-KEYWARD-OWNER: 1",
        "X-Keyward-Owner: 2",
        "X-Keyward-Account: root",
        "X-Keyward-Token-Name: root",
        "X-Keyward-Owner-Name: root",
        // Some services take these for the same names.
        "X_Keyward_Owner: 1",
        "X.Keyward.Owner: 1",
        "X~Keyward~Owner: 1",
        "X-Keyward_Owner: 1",
        "X_KEYWARD-OWNER: 1",
        "X-Original-Method: GET",
        "X-Original-URI: /public",
        "X-Original-URL: http://app.test/public",
        "X-Forwarded-Method: GET",
        "X-Forwarded-Uri: /public",
        "X-Forwarded-Host: other.test",
        "X-Forwarded-Proto: http",
        "X-Forwarded-For: 10.9.8.7",
    ];
    for connection in
        ["close", "close, X-Keyward-Owner, X-Keyward-Token, X-Forwarded-Uri, X-Original-URI, X-Forwarded-Host"]
    {
        let connection = format!("Connection: {connection}");
        let headers = [&[HOST, &connection], &smuggled[..]].concat();
        // Without a credential: refused, or without any identity.
        let (answer, reached) = setting.send(proxy, "GET /reports", &headers).await;
        assert_eq!((answer.status, reached.len()), (401, 0), "{answer:?}");
        let (answer, reached) = setting.send(proxy, "GET /public/x", &headers).await;
        assert_eq!((answer.status, reached.len()), (200, 1), "{answer:?}");
        assert_eq!(reached[0].identity(), Vec::<(&str, &str)>::new());
        let (answer, reached) = setting.send(proxy, "GET /reports", &[&[own.as_str()], &headers[..]].concat()).await;
        assert_eq!((answer.status, reached.len()), (200, 1), "{answer:?}");
        let expected =
            [("x-keyward-kind", "admin"), ("x-keyward-owner", owner.as_str()), ("x-keyward-token", token.as_str())];
        assert_eq!(reached[0].identity(), expected);
    }
}

/// Either the request is refused, or the rule of the path that the service sees allows it.
async fn no_path_is_read_twice(setting: &Setting, proxy: &Proxy) {
    let admin = bearer(&setting.admin_key(READ_REPORTS).await.secret);
    for path in [
        "/public/..%2freports",
        "/public/..%2Freports",
        "/public/../reports",
        "/public/%2e%2e/reports",
        "/public/.%2e/reports",
        "/public/%252e%252e/reports",
        "/public/..;/reports",
        "/public/..%5creports",
        "/public/..\\reports",
        "/public/./../reports",
        "/public//../reports",
        "//reports",
        "/public//reports",
        "/public/%2freports",
        "/%2freports",
        "/%72eports",
        "/Reports",
        "/reports;x=1",
        "/PUBLIC/x",
        "/%70ublic/x",
        "/public;x/y",
        "/public%00/x",
        "/public#/../reports",
        "/public?/../x#y",
        "/public\u{e9}",
        "/public%zz",
        "/public%",
        "/.",
        "/..",
        "*",
        "public",
        "",
    ] {
        for headers in [vec![HOST], vec![HOST, &admin]] {
            let (answer, reached) = setting.send(proxy, &format!("GET {path}"), &headers).await;
            assert!(matches!(answer.status, 400 | 401 | 403 | 404), "{path} {answer:?}");
            assert!(reached.is_empty(), "{path} reached the service as {reached:?}");
        }
    }
    // A whole address in the request line.
    for (target, status) in [
        ("http://app.test/public/x", 200),
        ("http://app.test/reports", 401),
        ("http://app.test/public/../reports", 403),
        ("http://app.test", 403),
    ] {
        let (answer, reached) = setting.send(proxy, &format!("GET {target}"), &[HOST]).await;
        let refused = answer.status == 400 && reached.is_empty();
        assert!(answer.status == status || refused, "{target} {answer:?}");
        assert!(reached.iter().all(|request| request.path() == "/public/x"), "{target} {reached:?}");
        assert_eq!(reached.len(), usize::from(answer.status == 200));
    }
}

/// The host that selects the rule is the one that the service sees.
async fn no_host_is_read_twice(setting: &Setting, proxy: &Proxy) {
    let reads = bearer(&setting.service_key([READ_ORDERS]).await);
    for (target, hosts) in [
        ("/orders", &["a.internal.test"][..]),
        ("/orders", &["A.INTERNAL.TEST:80"]),
        ("/orders", &["a.internal.test."]),
        ("/orders", &["app.test@a.internal.test"]),
        ("/orders", &["app.test", "a.internal.test"]),
        ("/orders", &["a.internal.test", "app.test"]),
        ("/orders", &["app.test, a.internal.test"]),
        ("/orders", &["app.test/a.internal.test"]),
        ("/orders", &[]),
        ("/orders", &[""]),
        ("http://a.internal.test/orders", &["app.test"]),
        ("http://app.test/orders", &["a.internal.test"]),
        ("http://app.test@a.internal.test/orders", &["app.test"]),
    ] {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("Host: {host}")).collect();
        let headers: Vec<&str> = hosts.iter().map(String::as_str).chain([reads.as_str()]).collect();
        let (answer, reached) = setting.send(proxy, &format!("GET {target}"), &headers).await;
        for request in &reached {
            let seen: Vec<&str> = request.headers("host").collect();
            assert_eq!(seen, ["app.test"], "{target} {hosts:?} {request:?}");
        }
        assert_eq!(reached.len(), usize::from(answer.status == 200), "{target} {hosts:?} {answer:?}");
    }
}

async fn a_method_is_that_of_the_request_line(setting: &Setting, proxy: &Proxy) {
    let reads = bearer(&setting.service_key([READ_ORDERS]).await);
    for header in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let (overrides, same) = (format!("{header}: DELETE"), format!("{header}: GET"));
        let (answer, reached) = setting.send(proxy, "GET /orders", &[HOST, &reads, &overrides]).await;
        assert_eq!((answer.status, reached.len()), (403, 0), "{header} {answer:?}");
        let (answer, reached) = setting.send(proxy, "GET /orders", &[HOST, &reads, &same]).await;
        assert_eq!((answer.status, reached.len()), (200, 1), "{header} {answer:?}");
        assert!(reached[0].header(&header.to_lowercase()).is_none(), "the service is not told");
        let (answer, reached) = setting.send(proxy, "DELETE /orders", &[HOST, &reads, &same]).await;
        assert_eq!((answer.status, reached.len()), (403, 0), "{header} {answer:?}");
    }
    for method in ["get", "Get", "GETX", "TRACE", "OPTIONS", "PROPFIND"] {
        let (answer, reached) = setting.send(proxy, &format!("{method} /orders"), &[HOST, &reads]).await;
        assert!(answer.status >= 400 && reached.is_empty(), "{method} {answer:?}");
    }
    // A gRPC rejection would be a 200.
    let grpc = [HOST, &reads, "Content-Type: application/grpc"];
    let (answer, reached) = setting.send(proxy, "POST /orders", &grpc).await;
    assert_eq!((answer.status, reached.len()), (403, 0), "{answer:?}");
}

/// The proxy's address is trusted, and no other one. Without an answer of keyward nothing passes.
async fn nothing_passes_without_an_answer(setting: &Setting, proxy: &Proxy) {
    let admin = bearer(&setting.admin_key(READ_REPORTS).await.secret);
    let question = [
        HOST,
        &admin,
        "X-Original-Method: GET",
        "X-Original-URI: /reports",
        "X-Forwarded-Method: GET",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: app.test",
        "X-Forwarded-Uri: /reports",
    ];
    let path = format!("GET /{}", setting.kind.name());
    let keyward = setting.answers();
    let of_proxy = wire::send([127, 0, 0, 1], keyward, &path, &question, "").await;
    let of_client = wire::send([127, 0, 0, 2], keyward, &path, &question, "").await;
    let forged = [&question[..], &["X-Forwarded-For: 127.0.0.1"]].concat();
    let of_forger = wire::send([127, 0, 0, 2], keyward, &path, &forged, "").await;
    assert_eq!((of_proxy.status, of_client.status, of_forger.status), (200, 403, 403));
    assert!(of_client.header("x-keyward-token").is_none() && of_client.header("www-authenticate").is_none());
    assert_eq!(setting.send(proxy, "GET /reports", &[HOST, &admin]).await.0.status, 200);
    setting.stop_answers();
    for line in ["GET /reports", "GET /public/x"] {
        let (answer, reached) = setting.send(proxy, line, &[HOST, &admin]).await;
        assert!(answer.status >= 500 && reached.is_empty(), "{line} {answer:?}");
    }
}

/// HAProxy goes on with a request whose script fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_script_of_haproxy_lets_nothing_pass() {
    let Some(program) = Kind::Haproxy.program() else { return };
    let setting = Setting::start(Kind::Haproxy).await;
    let start = "local sent = txn.http:req_get_headers()";
    let end = "txn:set_var(\"txn.keyward\", \"passed\")";
    for line in [start, end] {
        assert!(SCRIPT.contains(line), "{line}");
        let script = SCRIPT.replace(line, &format!("error(\"broken\")\n{line}"));
        let proxy = Proxy::with_script(Kind::Haproxy, &program, &setting, &script);
        let (answer, reached) = setting.send(&proxy, "GET /public/x", &[HOST]).await;
        assert_eq!((answer.status, reached.len()), (503, 0), "{line} {answer:?}");
    }
    let proxy = Proxy::start(Kind::Haproxy, &program, &setting);
    assert_eq!(setting.send(&proxy, "GET /public/x", &[HOST]).await.0.status, 200);
}

/// The accounts of a host whose database has failed.
struct Failing(Arc<AtomicBool>);

#[async_trait]
impl Accounts for Failing {
    async fn account(&self, _: &AccountKey) -> Result<Option<Account>, AccountsError> {
        match self.0.load(Ordering::SeqCst) {
            true => Err("no database".into()),
            false => Ok(Some(Account::new("Ada").permissions([READ_REPORTS]))),
        }
    }
}

/// nginx makes 500 of a 503: it understands 2xx, 401 and 403.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_keyward_is_no_401_behind_any_proxy() {
    for (kind, expected) in [(Kind::Nginx, 500), (Kind::Caddy, 503), (Kind::Haproxy, 503)] {
        let Some(program) = kind.program() else { continue };
        let fails = Arc::new(AtomicBool::new(false));
        let setting = Setting::with(kind, |builder| builder.accounts(Failing(fails.clone()))).await;
        let proxy = Proxy::start(kind, &program, &setting);
        let ada = AccountKey::new("ada").unwrap();
        let new = NewAdminToken::new("key", &ada).grants([Grant::new(READ_REPORTS)]);
        let key = bearer(&setting.world.keyward.tokens().issue_admin(new).await.unwrap().secret);
        fails.store(true, Ordering::SeqCst);
        let (answer, reached) = setting.send(&proxy, "GET /reports", &[HOST, &key]).await;
        assert_eq!((answer.status, reached.len()), (expected, 0), "{kind:?} {answer:?}");
        fails.store(false, Ordering::SeqCst);
        assert_eq!(setting.send(&proxy, "GET /reports", &[HOST, &key]).await.0.status, 200, "{kind:?}");
    }
}
