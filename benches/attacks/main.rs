//! Measures the effect of attacks on other clients: `cargo build --release --all-features --example platform`, then
//! `cargo bench --all-features --bench attacks`.
//!
//! For each attack it starts the built platform on a new database, attacks it over HTTP, and prints one row of a table.
//! `-- --platform FILE` measures another build.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

mod server;

use server::{Client, Server};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// The number of tokens of the person in the attacks with lists and previews.
const TOKENS: u32 = 50_000;
const ROOT: &str = "root@example.test";
const EDITOR: &str = "edda@example.test";
/// A grant within the permissions of the editor's role.
const GRANT: &str = r#"{"action":"plugin::content-manager.explorer.create","subject":"api::article.article"}"#;
const PASSWORD: &str = "Passw0rd!";

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut bench, mut platform) = (false, built_platform());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => bench = true,
            "--platform" => platform = arguments.next().expect("--platform needs a file").into(),
            _ => {}
        }
    }
    // `cargo test --benches` also runs this program, without `--bench`. There is nothing to test.
    if !bench {
        return;
    }
    println!("| attack | effect on other clients |");
    println!("| --- | --- |");
    attack_with_unknown_fields(&platform).await;
    attack_with_concurrent_guesses(&platform).await;
    attack_with_long_lists(&platform).await;
    attack_with_guesses_from_unknown_networks(&platform).await;
    attack_with_previews(&platform).await;
}

/// Returns the path of the example as `cargo build --release` builds it, beside this program.
fn built_platform() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    path.join(format!("platform{}", std::env::consts::EXE_SUFFIX))
}

async fn start(platform: &Path) -> (TempDir, Server) {
    let dir = TempDir::new().unwrap();
    let server = Server::start(platform, &dir.path().join("platform.db")).await;
    (dir, server)
}

/// Two requests with one permission of 120 000 unknown fields each. Two is the number of workers on a machine with two
/// cores.
async fn attack_with_unknown_fields(platform: &Path) {
    let (_dir, server) = start(platform).await;
    let root = server.start_session(ROOT).await;
    let names: Vec<String> = (0..120_000).map(|n| format!("\"{n:x}\"")).collect();
    let body = format!(
        r#"{{"name":"n","lifespan":null,"adminPermissions":[{{"action":"plugin::content-manager.explorer.read","subject":"api::article.article","properties":{{"fields":[{}]}}}}]}}"#,
        names.join(",")
    );
    let mut attack = JoinSet::new();
    let began = Instant::now();
    for _ in 0..2 {
        let (client, root, body) = (server.client(1), root.clone(), body.clone());
        attack.spawn(async move { client.json("POST", "/admin/admin-tokens", &root, &body).await.status });
    }
    sleep(Duration::from_millis(50)).await;
    let health = server.client(2).get("/healthz", "").await;
    let statuses = attack.join_all().await;
    println!(
        "| 2 requests to issue a token with 120 000 unknown fields | {statuses:?} after {}; `/healthz` {} |",
        format_time(began.elapsed()),
        format_time(health.took)
    );
}

/// Sixty wrong passwords from one address, twelve at once.
async fn attack_with_concurrent_guesses(platform: &Path) {
    let (_dir, server) = start(platform).await;
    let before = server.memory_kb();
    for _ in 0..5 {
        let mut attack = JoinSet::new();
        for n in 0..12 {
            let client = server.client(1);
            attack.spawn(async move { client.sign_in(&format!("p{n}@example.test"), "wrong").await.status });
        }
        attack.join_all().await;
    }
    let grown = server.peak_memory_kb() - before;
    println!("| 60 wrong passwords, 12 at once | {} MB |", grown / 1_000);
}

/// Sixteen clients that list all tokens of one person.
async fn attack_with_long_lists(platform: &Path) {
    let (dir, server) = start(platform).await;
    let root = server.start_session(ROOT).await;
    let mut uncached = Vec::new();
    for n in 0..8 {
        let body = format!(r#"{{"name":"uncached {n}","lifespan":null,"adminPermissions":[]}}"#);
        let issued = server.client(1).json("POST", "/admin/admin-tokens", &root, &body).await;
        uncached.push(issued.member("accessKey"));
    }
    insert_tokens(&dir, &server, &root, "1", "").await;
    // A new process has cached no token.
    let (root, server) = server.restart(platform, ROOT).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut attack = JoinSet::new();
    for n in 0..16 {
        let (client, root, stop) = (server.client(10 + n), root.clone(), stop.clone());
        attack.spawn(async move {
            let mut lists = 0;
            while !stop.load(Ordering::Relaxed) {
                lists += u32::from(client.get("/admin/admin-tokens", &root).await.status == 200);
            }
            lists
        });
    }
    sleep(Duration::from_secs(2)).await;
    let (mut accepted, mut slowest) = (0, Duration::ZERO);
    for secret in &uncached {
        let answer = server.client(1).get("/admin/ping", secret).await;
        accepted += u32::from(answer.status == 200);
        slowest = slowest.max(answer.took);
    }
    let signed_in = server.client(1).sign_in(EDITOR, PASSWORD).await;
    let ready = server.client(1).get("/readyz", "").await.status;
    stop.store(true, Ordering::Relaxed);
    let lists: u32 = attack.join_all().await.into_iter().sum();
    println!(
        "| 16 clients that list {TOKENS} tokens ({lists} lists) | {accepted} of 8 uncached tokens pass, the slowest after {}; a sign-in is {} \
         after {}; `/readyz` is {ready}; {} MB in all |",
        format_time(slowest),
        signed_in.status,
        format_time(signed_in.took),
        server.peak_memory_kb() / 1_000
    );
}

/// Sixty-four clients, each from its own unknown address, that guess passwords without a pause.
async fn attack_with_guesses_from_unknown_networks(platform: &Path) {
    let (_dir, server) = start(platform).await;
    server.start_session(EDITOR).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut attack = JoinSet::new();
    for n in 0..64 {
        let (client, stop) = (server.client(10 + n), stop.clone());
        attack.spawn(async move {
            let mut count = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                client.sign_in(&format!("p{n}-{count}@example.test"), "wrong").await;
                count += 1;
            }
        });
    }
    let (mut accepted, mut all, mut slowest) = (0, 0, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let answer = server.client(1).sign_in(EDITOR, PASSWORD).await;
        all += 1;
        accepted += u32::from(answer.status == 200);
        slowest = slowest.max(answer.took);
        sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Ordering::Relaxed);
    attack.join_all().await;
    println!(
        "| 64 unknown networks guess passwords for 10 s | {accepted} of {all} correct sign-ins from a known network, the slowest after {} |",
        format_time(slowest)
    );
}

/// Four clients of one person that preview a change of another person's roles.
async fn attack_with_previews(platform: &Path) {
    let (dir, server) = start(platform).await;
    let root = server.start_session(ROOT).await;
    let editor = server.start_session(EDITOR).await;
    let me = server.client(1).get("/admin/users/me", &editor).await;
    let id = me.text.split("\"id\":").nth(1).unwrap().split([',', '}']).next().unwrap().to_owned();
    insert_tokens(&dir, &server, &root, &id, GRANT).await;
    let idle = issue_token(&server, &root, 0).await;
    let cookie = server.start_page_session(ROOT).await;
    let page = server.client(1).page("GET", &format!("/admin/settings/users/{id}"), &cookie, "").await;
    let version = page.text.split("name=\"version\" value=\"").nth(1).map(|rest| rest.split('"').next().unwrap());
    let form =
        format!("version={}&email=edda%40example.test&firstname=Edda&lastname=Editor", version.unwrap_or_default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut attack = JoinSet::new();
    for n in 0..4 {
        let (client, cookie, form, stop) = (server.client(10 + n), cookie.clone(), form.clone(), stop.clone());
        let path = format!("/admin/settings/users/{id}");
        attack.spawn(async move {
            let mut previews = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = client.page("POST", &path, &cookie, &form).await;
                previews +=
                    u32::from(answer.text.contains("50000") || answer.text.contains("50,000") || answer.status == 429);
            }
            previews
        });
    }
    sleep(Duration::from_millis(500)).await;
    let mut slowest = Duration::ZERO;
    for n in 1..=10 {
        slowest = slowest.max(issue_token(&server, &root, n).await);
    }
    stop.store(true, Ordering::Relaxed);
    let previews: u32 = attack.join_all().await.into_iter().sum();
    println!(
        "| 4 clients that preview changes of {TOKENS} tokens ({previews} previews) | a change by another person: {} for the slowest of ten ({} alone) |",
        format_time(slowest),
        format_time(idle)
    );
}

/// Issues a content token, and returns the time of the response.
async fn issue_token(server: &Server, root: &str, n: u32) -> Duration {
    let body = format!(r#"{{"name":"token {n}","type":"read-only","lifespan":null}}"#);
    let answer = server.client(1).json("POST", "/admin/api-tokens", root, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.took
}

/// Inserts more tokens of a person than the quotas allow, all with these grants.
async fn insert_tokens(dir: &TempDir, server: &Server, root: &str, owner: &str, grants: &str) {
    let body = format!(r#"{{"name":"first of many","lifespan":null,"adminPermissions":[{grants}]}}"#);
    let issued = server.client(1).json("POST", "/admin/admin-tokens", root, &body).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let file =
        SqliteConnectOptions::new().filename(dir.path().join("platform.db")).busy_timeout(Duration::from_secs(30));
    let mut database = file.connect().await.unwrap();
    let columns: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM pragma_table_info('keyward_token') WHERE name <> 'id'")
            .fetch_all(&mut database)
            .await
            .unwrap();
    let columns: Vec<String> = columns.into_iter().map(|(name,)| name).collect();
    let values: Vec<String> = columns
        .iter()
        .map(|name| match name.as_str() {
            "digest" => "printf('%054x', n.value + 1)".into(),
            "owner_id" => owner.to_owned(),
            "name" | "name_key" => format!("t.{name} || n.value"),
            _ => format!("t.{name}"),
        })
        .collect();
    let first = "(SELECT max(id) FROM keyward_token WHERE name = 'first of many')";
    let tokens = format!(
        "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {}) \
         INSERT INTO keyward_token ({}) SELECT {} FROM keyward_token t, n WHERE t.id = {first}",
        TOKENS - 1,
        columns.join(", "),
        values.join(", ")
    );
    sqlx::query(sqlx::AssertSqlSafe(tokens)).execute(&mut database).await.unwrap();
    let columns: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM pragma_table_info('keyward_grant') WHERE name NOT IN ('id', 'token_id')")
            .fetch_all(&mut database)
            .await
            .unwrap();
    let columns: Vec<String> = columns.into_iter().map(|(name,)| name).collect();
    let grant_columns: Vec<String> = columns.iter().map(|name| format!("g.{name}")).collect();
    let grants = format!(
        "INSERT INTO keyward_grant (token_id, {}) SELECT t.id, {} FROM keyward_token t, keyward_grant g \
         WHERE g.token_id = {first} AND t.name LIKE 'first of many_%'",
        columns.join(", "),
        grant_columns.join(", ")
    );
    sqlx::query(sqlx::AssertSqlSafe(grants)).execute(&mut database).await.unwrap();
}

fn format_time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

impl Client {
    async fn sign_in(&self, email: &str, password: &str) -> server::Answer {
        let body = format!(r#"{{"email":"{email}","password":"{password}"}}"#);
        self.json("POST", "/admin/login", "", &body).await
    }
}

impl Server {
    /// Signs this person in, and returns the secret of the session.
    async fn start_session(&self, email: &str) -> String {
        let answer = self.client(1).sign_in(email, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.member("token")
    }

    /// Signs this person in to the pages, and returns the cookie.
    async fn start_page_session(&self, email: &str) -> String {
        let form = format!("email={}&password={PASSWORD}", email.replace('@', "%40"));
        let answer = self.client(1).page("POST", "/admin/auth/login", "", &form).await;
        let cookie = answer
            .head
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case("set-cookie")));
        cookie.expect("the response sets a cookie").1.split(';').next().unwrap().to_owned()
    }

    /// Starts a new process on the same database, and signs this person in.
    async fn restart(self, platform: &Path, email: &str) -> (String, Self) {
        let file = self.file().to_owned();
        drop(self);
        let server = Self::start(platform, &file).await;
        (server.start_session(email).await, server)
    }
}
