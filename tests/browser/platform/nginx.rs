//! The platform behind nginx, configured as the guide shows: a path prefix that is stripped or kept, Basic authentication, a changed host,
//! and a loopback server that is reached through a proxy.

use crate::platform::sign_in;
use keyward_test_support::platform::{Answer, Server, bearer, platform, send};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The environment variable that is 1 where a missing nginx must fail tests instead of skipping them.
const REQUIRED: &str = "KEYWARD_REQUIRE_TOOLS";
const PATIENCE: Duration = Duration::from_secs(30);
const GUIDE: &str = include_str!("../../../src/guide/operating.md");
const SAME_ORIGIN: &str = "Sec-Fetch-Site: same-origin";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const ROOT: &str = "email=root%40example.test&password=Passw0rd%21&redirectTo=";

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join("nginx")).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "nginx is missing, and {REQUIRED} is 1");
        eprintln!("SKIPPED: a test behind nginx: nginx is missing");
    }
    found
}

/// A running nginx. It is killed when this is dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Nginx {
    /// Starts nginx in front of a platform, with this `server` block. `127.0.0.1:8080` stands for the platform.
    fn start(program: &PathBuf, server: &Server, locations: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let platform = server.url().strip_prefix("http://").unwrap().to_owned();
        let locations = locations.replace("127.0.0.1:8080", &platform);
        let mut http = String::new();
        for temporary in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(http, "  {temporary}_temp_path {temporary};").unwrap();
        }
        std::fs::write(dir.path().join("users"), "ops:{PLAIN}hunter2\n").unwrap();
        let text = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr crit;\nevents {{}}\nhttp {{\n{http}  access_log off;\n  \
             server {{\n    listen {address};\n{locations}\n  }}\n}}\n"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file).args(["-e", "stderr"]).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "nginx has ended");
            assert!(began.elapsed() < PATIENCE, "nginx does not listen");
            std::thread::yield_now();
        }
        Self { child, address, _dir: dir }
    }

    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        send(self.address, "GET", path, headers, "")
    }

    fn post(&self, path: &str, headers: &[&str], body: &str) -> Answer {
        let all: Vec<&str> = [FORM].iter().chain(headers).copied().collect();
        send(self.address, "POST", path, &all, body)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Returns the configurations of the guide, in order.
fn of_the_guide(what: &str) -> String {
    let blocks = GUIDE.split("```nginx\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let found = blocks.filter(|block| block.contains(what)).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{what}: {found:?}");
    found[0].to_owned()
}

/// Returns every address in a page.
fn addresses(page: &str) -> Vec<String> {
    let mut all = Vec::new();
    for attribute in ["href=\"", "src=\"", "action=\"", "data-session=\"", "data-sign-in=\"", "data-action=\""] {
        all.extend(page.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&")));
    }
    all.retain(|address| !address.starts_with('#'));
    all
}

/// Signs in and follows links as a browser does, below `/keys` only.
fn walk(nginx: &Nginx, extra: &[&str]) {
    let get = |path: &str, more: &[&str]| nginx.get(path, &[extra, more].concat());
    let post = |path: &str, more: &[&str], body: &str| nginx.post(path, &[extra, more].concat(), body);
    assert_eq!(get("/keys/admin/", &[]).assert(303).raw("location"), "/keys/admin");
    assert_eq!(get("/keys/admin", &[]).assert(303).raw("location"), "/keys/admin/settings");
    let sign_in = get("/keys/admin/settings", &[]).assert(303).raw("location");
    assert_eq!(sign_in, "/keys/admin/auth/login?redirectTo=/keys/admin/settings");
    let page = get("/keys/admin/auth/login?redirectTo=/keys/admin/settings/users", &[]).assert(200).text;
    let named = addresses(&page);
    assert!(named.len() >= 4, "{page}");
    for address in &named {
        assert!(address.starts_with("/keys/admin/"), "{address} in {page}");
        get(address, &[]).assert(200);
    }
    let entered = post("/keys/admin/auth/login", &[SAME_ORIGIN], &format!("{ROOT}%2Fkeys%2Fadmin%2Fsettings%2Fusers"))
        .assert(303);
    let set = entered.raw("set-cookie");
    assert!(
        set.starts_with("__Secure-keyward=") && set.contains("; Path=/keys/;"),
        "the cookie is for this path: {entered:?}"
    );
    let cookie = format!("Cookie: {}", set.split(';').next().unwrap());
    let checked = get(&entered.raw("location"), &[&cookie]).assert(303);
    assert_eq!(checked.raw("location"), "/keys/admin/settings/users");
    for path in ["admin-tokens", "api-tokens", "roles", "users", "audit-logs", "admin-tokens/create"] {
        let page = get(&format!("/keys/admin/settings/{path}"), &[&cookie]).assert(200).text;
        for address in addresses(&page) {
            assert!(address.starts_with("/keys/admin"), "{address} in {path}");
        }
    }
    assert_eq!(
        get("/keys/admin/settings/users/", &[&cookie]).assert(303).raw("location"),
        "/keys/admin/settings/users"
    );
    // A form and its redirect.
    let made = post("/keys/admin/settings/roles/create", &[&cookie, SAME_ORIGIN], "name=Behind+nginx").assert(303);
    assert!(made.raw("location").starts_with("/keys/admin/settings/roles/"), "{made:?}");
    let refused = post("/keys/admin/settings/roles/create", &[&cookie], "name=Unproven").assert(403);
    assert!(refused.text.contains("<a href=\"/keys/admin\">"), "{refused:?}");
    let left = post("/keys/admin/auth/logout", &[&cookie, SAME_ORIGIN], "").assert(303);
    assert!(left.raw("set-cookie").contains("; Path=/keys/;"), "{left:?}");
    assert_eq!(left.raw("location"), "/keys/admin/auth/login");
    let ended = post("/keys/admin/settings/roles/create", &[&cookie, SAME_ORIGIN], "name=Late").assert(401);
    assert!(ended.text.contains("href=\"/keys/admin/auth/login\" target"), "{ended:?}");
}

fn start(flags: &[&str]) -> (TempDir, Server) {
    let dir = TempDir::new().unwrap();
    let mut command = platform(&dir.path().join("platform.db"));
    command.args(flags);
    (dir, Server::start(command))
}

#[test]
fn prefix_stripped_by_nginx_is_added_to_every_address() {
    let Some(program) = program() else { return };
    let (_dir, server) = start(&["--demo", "--trusted-proxy", "127.0.0.1"]);
    let nginx = Nginx::start(&program, &server, &of_the_guide("X-Forwarded-Prefix /keys"));
    walk(&nginx, &[]);
    let document = nginx.get("/keys/admin/openapi.json", &[]).assert(200);
    assert_eq!(document.at("/servers/0/url"), "/keys");
    nginx.get("/keys/admin/users/me", &[&bearer(&sign_in(&server, "root@example.test"))]).assert(200);
    // The header of an untrusted peer is ignored.
    let (_dir, server) = start(&["--demo", "--trusted-proxy", "192.0.2.1"]);
    let response = send(server.address(), "GET", "/admin", &["X-Forwarded-Prefix: /keys"], "").assert(303);
    assert_eq!(response.raw("location"), "/admin/settings");
}

#[test]
fn prefix_kept_by_nginx_is_the_base_path() {
    let Some(program) = program() else { return };
    let (_dir, server) = start(&["--demo", "--trusted-proxy", "127.0.0.1", "--base-path", "/keys"]);
    let nginx = Nginx::start(&program, &server, &of_the_guide("proxy_pass http://127.0.0.1:8080;"));
    walk(&nginx, &["X-Forwarded-Prefix: /made/up"]);
    assert_eq!(nginx.get("/keys/admin/openapi.json", &[]).assert(200).at("/servers/0/url"), "/keys");
    let session = bearer(&sign_in(&server, "root@example.test"));
    nginx.get("/keys/admin/users/me", &[&session]).assert(200);
    nginx.get("/keys/admin/users/me", &[]).assert(401);
    nginx.get("/keys/api/articles", &[&bearer(server.secret("READONLY"))]).assert(200);
    nginx.get("/keys/keys/admin/users/me", &[&session]).assert(404);
    // The same with a stripped prefix.
    server.get("/admin/users/me", &sign_in(&server, "root@example.test")).assert(200);
}

#[test]
fn session_works_behind_basic_authentication() {
    let Some(program) = program() else { return };
    let (_dir, server) = start(&["--demo", "--trusted-proxy", "127.0.0.1"]);
    let location =
        of_the_guide("X-Forwarded-Prefix /keys").replacen('{', "{ auth_basic ops; auth_basic_user_file users;", 1);
    let nginx = Nginx::start(&program, &server, &location);
    nginx.get("/keys/admin/settings", &[]).assert(401);
    // ops:hunter2 with every request, as a browser sends it and nginx forwards it.
    walk(&nginx, &["Authorization: Basic b3BzOmh1bnRlcjI="]);
}

#[test]
fn host_changed_by_nginx_is_named_as_the_cause() {
    let Some(program) = program() else { return };
    let (_dir, server) = start(&["--demo", "--trusted-proxy", "127.0.0.1"]);
    let nginx = Nginx::start(&program, &server, "location / { proxy_pass http://127.0.0.1:8080; }");
    // Over plain HTTP a browser sends no Sec-Fetch-Site.
    let response = nginx.post("/admin/auth/login", &["Origin: http://localhost"], ROOT).assert(403);
    assert!(response.text.contains("proxy_set_header Host $http_host"), "{response:?}");
    let passed = "location / { proxy_pass http://127.0.0.1:8080; proxy_set_header Host $http_host; }";
    Nginx::start(&program, &server, passed).post("/admin/auth/login", &["Origin: http://localhost"], ROOT).assert(303);
}

#[test]
fn loopback_server_is_not_set_up_through_a_proxy() {
    let Some(program) = program() else { return };
    let passed = "location / { proxy_pass http://127.0.0.1:8080; proxy_set_header X-Forwarded-For $remote_addr; }";
    // The passwords of the demo data are public.
    let (_dir, server) = start(&[]);
    let nginx = Nginx::start(&program, &server, passed);
    for path in ["/admin/auth/login", "/admin/openapi.json"] {
        server.get(path, "").assert(200);
        assert!(nginx.get(path, &[]).assert(403).text.contains("demo data"), "{path}");
    }
    // The first visitor through a proxy may be any client.
    let (_dir, server) = start(&["--empty"]);
    let nginx = Nginx::start(&program, &server, passed);
    let first = r#"{"email":"a@example.test","firstname":"A","password":"Passw0rd!"}"#;
    let json = ["Content-Type: application/json"];
    let refused = send(nginx.address, "POST", "/admin/register-admin", &json, first).assert(400);
    assert_eq!(refused.problem(), "setupCode");
    let form = nginx.get("/admin/auth/register-admin", &[]).assert(200).text;
    assert!(form.contains("name=\"setupCode\""), "{form}");
    assert!(!server.get("/admin/auth/register-admin", "").assert(200).text.contains("name=\"setupCode\""));
    server.send("POST", "/admin/register-admin", &json, first).assert(200);
}
