//! The example platform over HTTP: the requests that its first start prints, and requests that it must reject.

mod database_outage;
mod flood;
mod nginx;
mod operation;
mod rows;
mod shared_database;
mod sign_in;
mod startup;

use keyward_test_support::command_line_tool;
use keyward_test_support::platform::{SALT, Server, bearer, platform};
use serde_json::json;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The admin route of articles.
const CM: &str = "/admin/content-manager/collection-types/api::article.article";

fn fresh() -> (TempDir, Server) {
    let dir = TempDir::new().unwrap();
    let server = Server::start(platform(&dir.path().join("platform.db")));
    (dir, server)
}

/// Every request that the first start prints gets the status printed above it.
#[test]
fn printed_example_requests_get_their_printed_status() {
    let (_dir, server) = fresh();
    let mut tried = 0;
    let mut lines = server.said.iter();
    while let Some(line) = lines.next() {
        let Some(status) = line.strip_prefix("# ").and_then(|l| l.get(..3)).and_then(|l| l.parse().ok()) else {
            continue;
        };
        let request = lines.next().unwrap().replace("$CM", &format!("{}{CM}", server.url())).replace('"', "\u{1}");
        let (request, body) = match request.split_once(" --json ") {
            Some((request, body)) => (request.to_owned(), body.trim_matches('\'').replace('\u{1}', "\"")),
            None => (request, String::new()),
        };
        let [_, key, url] = request.split(' ').collect::<Vec<_>>()[..] else { panic!("{request}") };
        let path = url.trim_matches('\u{1}').strip_prefix(&server.url()).unwrap();
        let secret = server.secret(&key[1..]);
        match body.as_str() {
            "" => server.get(path, secret).assert(status),
            body => server.json("POST", path, secret, body).assert(status),
        };
        tried += 1;
    }
    assert!(tried > 12, "{:?}", server.said);
}

#[test]
fn ambiguous_paths_reach_no_handler() {
    let (_dir, server) = fresh();
    let root = server.secret("ROOT");
    for path in [
        "//admin/webhooks",
        "/admin//webhooks",
        "/admin/../admin/webhooks",
        "/admin/./webhooks",
        "/admin/%2e%2e/x",
        "/admin/%2E%2e/admin/webhooks",
        "/admin/x%2fy",
        "/admin%2fwebhooks",
        "/admin/x%5Cy",
        "/admin/%252e%252e/x",
        "/admin/..;/x",
        "/ping/../admin/webhooks",
        "/admin/%zz",
    ] {
        for headers in [vec![], vec![bearer(root)]] {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let answer = server.send("GET", path, &headers, "").assert(400);
            assert_eq!(answer.at("/error/message"), "Ambiguous path", "{path}");
        }
    }
    for path in ["/Admin/webhooks", "/%61dmin/webhooks", "/admins", "/", "/ping2"] {
        server.get(path, root).assert(404);
    }
    server.get("/admin/webhooks", root).assert(200);
}

#[test]
fn exactly_one_credential_of_the_right_kind_is_accepted() {
    let (_dir, server) = fresh();
    let (root, full) = (bearer(server.secret("ROOT")), bearer(server.secret("FULL")));
    let nope = "Authorization: Bearer nope";
    let webhooks = |headers: &[&str]| server.send("GET", "/admin/webhooks", headers, "");
    let wrong = webhooks(&[nope]).assert(401);
    assert_eq!(webhooks(&[&full]).assert(401).text, wrong.text);
    let two = webhooks(&[nope, nope]).assert(401);
    assert!(two.text.contains("Send one header"));
    assert_eq!(webhooks(&[&root, &root]).assert(401).text, two.text);
    for headers in [[nope, &root], [&root, nope], [&full, &root]] {
        assert!(webhooks(&headers).assert(400).text.contains("Send one credential"));
    }
    assert!(wrong.head.contains("cache-control: no-store") && wrong.head.contains("www-authenticate: bearer"));
    webhooks(&[]).assert(401);
    webhooks(&[&root]).assert(200);
    let articles = |headers: &[&str]| server.send("GET", "/api/articles", headers, "");
    articles(&[&full]).assert(200);
    articles(&[&root]).assert(401);
    articles(&[]).assert(403);
    assert_eq!(server.send("GET", "/ping", &[], "").assert(200).text, "pong");
    assert_eq!(server.send("GET", "/admin/ping", &[&root], "").assert(200).text, "pong");
    server.send("GET", "/admin/ping", &[], "").assert(401);
    server.send("GET", "/admin/nothing", &[], "").assert(401);
    server.send("GET", "/admin/nothing", &[&root], "").assert(404);
}

/// Signs in a person of the demo data.
fn sign_in(server: &Server, email: &str) -> String {
    let body = json!({"email": email, "password": "Passw0rd!"}).to_string();
    let answer = server.send("POST", "/admin/login", &["Content-Type: application/json"], &body).assert(200);
    answer.at("/data/token").as_str().unwrap().to_owned()
}

#[test]
fn next_request_is_judged_by_a_change() {
    let (_dir, server) = fresh();
    let (root, editor, full) = (server.secret("ROOT"), server.secret("EDITOR"), server.secret("FULL"));
    let session = sign_in(&server, "root@example.test");
    let id_of = |list: &str, name: &str| {
        let listed = server.get(list, &session).assert(200).at("/data");
        listed.as_array().unwrap().iter().find(|t| t["name"] == name).unwrap()["id"].clone()
    };
    server.get("/api/articles", full).assert(200);
    let of_full = format!("/admin/api-tokens/{}", id_of("/admin/api-tokens", "Reads and writes"));
    server.json("DELETE", &of_full, &session, "").assert(200);
    server.get("/api/articles", full).assert(401);
    server.json("DELETE", &of_full, &session, "").assert(404);

    server.get(CM, editor).assert(200);
    let edda = server.get("/admin/users?_q=edda", &session).assert(200).at("/data/results/0/id");
    let edda = format!("/admin/users/{edda}");
    server.json("PUT", &edda, &session, r#"{"isActive":false}"#).assert(200);
    assert_eq!(server.get(CM, editor).assert(401).at("/error/message"), "Token owner is deactivated");
    server.json("PUT", &edda, &session, r#"{"isActive":true}"#).assert(200);
    server.get(CM, editor).assert(200);
    let me = server.get("/admin/users/me", &session).assert(200).at("/data/id");
    let last = server.json("PUT", &format!("/admin/users/{me}"), &session, r#"{"isActive":false}"#).assert(400);
    assert!(last.at("/error/message").as_str().unwrap().contains("last active super admin"));
    server.get(CM, root).assert(200);
}

#[test]
fn empty_platform_is_set_up_over_http_and_a_lost_password_is_reset() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("platform.db");
    let mut command = platform(&file);
    command.arg("--empty");
    let server = Server::start(command);
    // The setup code is needed under another host name only, so no secret is printed.
    let secrets: Vec<_> = server.said.iter().filter(|line| line.contains("kw_")).collect();
    assert!(matches!(secrets[..], [line] if line.starts_with("by another host name")), "{secrets:?}");
    let body =
        json!({"email": "a@example.test", "firstname": "A", "lastname": "", "password": "Passw0rd!"}).to_string();
    let json = ["Content-Type: application/json"];
    let first = server.send("POST", "/admin/register-admin", &json, &body).assert(200);
    server.send("POST", "/admin/register-admin", &json, &body).assert(400);
    let session = first.at("/data/token").as_str().unwrap().to_owned();
    let defaults = server.get("/admin/api-tokens", &session).assert(200).at("/data");
    assert_eq!(defaults.as_array().unwrap().len(), 2);

    // Beside the running platform.
    let reset = |email: &str| {
        let mut command = Command::new(command_line_tool());
        command.arg("--database").arg(format!("sqlite:{}", file.display())).args(["reset-password", "--quiet", email]);
        command.env("KEYWARD_HASH_KEY", SALT).stdin(Stdio::null()).output().unwrap()
    };
    let output = reset("A@example.test");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let password = said.trim_end();
    let body = json!({"email": "a@example.test", "password": password}).to_string();
    server.send("POST", "/admin/login", &json, &body).assert(200);
    assert_eq!(reset("nobody@example.test").status.code(), Some(3));
}

#[test]
fn invalid_bodies_are_named_and_change_nothing() {
    let (_dir, server) = fresh();
    let (root, full) = (server.secret("ROOT"), server.secret("FULL"));
    let before = server.get(CM, root).assert(200).text;
    for (body, path) in [
        (r#"{"title":"x","nope":1}"#, "nope"),
        (r#"{"title":3}"#, "title"),
        (r#"{"title":null}"#, "title"),
        (r#"{"title":"  "}"#, "title"),
        (r#"{"body":"no title"}"#, "title"),
        (r#"{"title":"x","slug":[]}"#, "slug"),
        (r#"{"title":"x","createdBy":{"id":1}}"#, "createdBy"),
        (r#"{"title":"x","creator_id":1}"#, "creator_id"),
        (r#"{"title":"#, ""),
        ("[]", ""),
        ("", ""),
    ] {
        assert_eq!(server.json("POST", CM, root, body).assert(400).problem(), path, "{body}");
    }
    for (body, path) in [("{}", "data"), (r#"{"data":[]}"#, "data"), (r#"{"data":{"title":1}}"#, "data.title")] {
        assert_eq!(server.json("POST", "/api/articles", full, body).assert(400).problem(), path, "{body}");
    }
    for (body, path) in
        [(r#"{"name":"n"}"#, "url"), (r#"{"url":"http://x"}"#, "name"), (r#"{"name":"n","url":"ftp://x"}"#, "url")]
    {
        assert_eq!(server.json("POST", "/admin/webhooks", root, body).assert(400).problem(), path, "{body}");
    }
    let large = json!({"title": "x", "body": "y".repeat(1024 * 1024 - 20)}).to_string();
    server.json("POST", CM, root, &large).assert(413);
    server.send("POST", CM, &[&bearer(root), "Content-Type: text/plain"], r#"{"title":"x"}"#).assert(415);
    assert_eq!(server.get(CM, root).text, before);
    assert_eq!(server.get("/admin/webhooks", root).at("/data"), json!([]));
    let hook = server.json("POST", "/admin/webhooks", root, r#"{"name":"n","url":"https://x.test"}"#).assert(201);
    assert_eq!(server.get("/admin/webhooks", root).at("/data/0"), hook.at("/data"));
}

#[test]
fn concurrent_writers_all_succeed() {
    let (_dir, server) = fresh();
    let root = server.secret("ROOT");
    let before = server.get(CM, root).at("/pagination/total").as_u64().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..12 {
            let server = &server;
            scope.spawn(move || {
                for n in 0..10 {
                    let body = json!({"title": format!("{writer}.{n}")}).to_string();
                    server.json("POST", CM, server.secret("ROOT"), &body).assert(201);
                }
            });
        }
    });
    assert_eq!(server.get(CM, root).at("/pagination/total"), before + 120);
}

#[test]
fn later_startup_keeps_data_and_prints_no_secrets() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("platform.db");
    let server = Server::start(platform(&file));
    let root = server.secret("ROOT").to_owned();
    let list = server.get(CM, &root).assert(200).text;
    #[cfg(unix)]
    assert_eq!(server.stop(), Some(0));
    #[cfg(not(unix))]
    drop(server);
    let server = Server::start(platform(&file));
    assert!(server.said[0].contains("has data already") && !server.said.iter().any(|line| line.contains("kw_")));
    assert_eq!(server.get(CM, &root).assert(200).text, list);
}

#[test]
fn invalid_options_fail_startup() {
    let dir = TempDir::new().unwrap();
    let refused = |arguments: &[&str], hash_key: Option<&str>| {
        let mut command = platform(&dir.path().join("platform.db"));
        match hash_key {
            Some(hash_key) => command.env("KEYWARD_HASH_KEY", hash_key),
            None => command.env_remove("KEYWARD_HASH_KEY"),
        };
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--bogus"], Some(SALT)).contains("--bogus"));
    assert!(refused(&["--listen", "0.0.0.0:0"], None).contains("KEYWARD_HASH_KEY is not set"));
    assert!(refused(&["--listen", "[::]:0"], None).contains("KEYWARD_HASH_KEY is not set"));
    assert!(refused(&[], Some("short")).contains("KEYWARD_HASH_KEY"));
    assert!(refused(&["--database", "sqlite::memory:"], Some(SALT)).contains("--database"));
    assert!(!dir.path().join("platform.db").exists());
}

#[test]
fn health_routes_need_no_token_and_show_no_secret() {
    let (_dir, server) = fresh();
    let root = server.secret("ROOT");
    server.get(CM, root).assert(200);
    server.get(CM, root).assert(200);
    for headers in [vec![], vec!["Authorization: Bearer nonsense"]] {
        let report = server.send("GET", "/healthz", &headers, "").assert(200);
        assert!(report.head.contains("\r\ncache-control: no-store"), "{}", report.head);
        assert!(report.head.contains("\r\ncontent-type: application/json"), "{}", report.head);
        assert_eq!((report.at("/ready"), report.at("/storeReads")), (json!(true), json!(1)), "{}", report.text);
        assert_eq!((report.at("/cacheEntries"), report.at("/lookupsFailed")), (json!(1), json!(0)));
        assert!(report.at("/cacheBytes").as_u64().unwrap() > 0 && !report.text.contains("kw_"), "{}", report.text);
        let ready = server.send("GET", "/readyz", &headers, "").assert(200);
        assert!(ready.head.contains("\r\ncache-control: no-store") && !ready.head.contains("retry-after"));
    }
    for path in ["/healthz", "/readyz"] {
        server.send("HEAD", path, &[], "").assert(200);
        server.send("POST", path, &[], "").assert(405);
    }
    server.send("GET", "/readyzz", &[], "").assert(404);
}
