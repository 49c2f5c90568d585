//! What attackers take from the others: `cargo build --release --all-features --example platform`, then
//! `cargo bench --all-features --bench attacks`.
//!
//! It starts the built platform on a new database for each attack, attacks it over HTTP, and prints one row of a table each.
//! `-- --platform FILE` attacks another build.

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

/// How many tokens the person has whose lists and previews are asked for.
const TOKENS: u32 = 50_000;
const ROOT: &str = "root@example.test";
const EDITOR: &str = "edda@example.test";
const PASSWORD: &str = "Passw0rd!";

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut bench, mut platform) = (false, built());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => bench = true,
            "--platform" => platform = arguments.next().expect("a file after --platform").into(),
            _ => {}
        }
    }
    // `cargo test --benches` calls it too, without this word; there is nothing to test.
    if !bench {
        return;
    }
    println!("| attack | others wait |");
    println!("| --- | --- |");
    made_up_names(&platform).await;
    guesses_at_once(&platform).await;
    long_lists(&platform).await;
    guesses_of_strangers(&platform).await;
    previews(&platform).await;
}

/// The example as `cargo build --release` builds it, beside this program.
fn built() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    path.join(format!("platform{}", std::env::consts::EXE_SUFFIX))
}

async fn started(platform: &Path) -> (TempDir, Server) {
    let dir = TempDir::new().unwrap();
    let server = Server::start(platform, &dir.path().join("platform.db")).await;
    (dir, server)
}

/// Two requests with one permission of 140 000 made-up fields each: as many as this machine's workers.
async fn made_up_names(platform: &Path) {
    let (_dir, server) = started(platform).await;
    let root = server.session(ROOT).await;
    let names: Vec<String> = (0..140_000).map(|n| format!("\"{n}\"")).collect();
    let body = format!(
        r#"{{"name":"n","lifespan":null,"adminPermissions":[{{"action":"article.read","properties":{{"fields":[{}]}}}}]}}"#,
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
    let waited = health.took;
    let answers = attack.join_all().await;
    println!(
        "| 2 tokens asked for with 140 000 made-up fields each: answered {answers:?} after {} | `/healthz` {} |",
        told(began.elapsed()),
        told(waited)
    );
}

/// Sixty wrong passwords from one address, twelve at a time.
async fn guesses_at_once(platform: &Path) {
    let (_dir, server) = started(platform).await;
    let before = server.memory_kb();
    for _ in 0..5 {
        let mut attack = JoinSet::new();
        for n in 0..12 {
            let client = server.client(1);
            attack.spawn(async move { client.sign_in(&format!("p{n}@example.test"), "wrong").await.status });
        }
        attack.join_all().await;
    }
    let grown = server.most_memory_kb() - before;
    println!("| 60 guesses, 12 at once | +{} MB of memory |", grown / 1_000);
}

/// Sixteen clients that list all that one person has.
async fn long_lists(platform: &Path) {
    let (dir, server) = started(platform).await;
    let root = server.session(ROOT).await;
    let mut cold = Vec::new();
    for n in 0..8 {
        let body = format!(r#"{{"name":"cold {n}","lifespan":null,"adminPermissions":[]}}"#);
        let issued = server.client(1).json("POST", "/admin/admin-tokens", &root, &body).await;
        cold.push(issued.member("accessKey"));
    }
    give_tokens(&dir, &server, &root, "").await;
    // Another process has nothing cached.
    let (root, server) = server.restart(platform, ROOT).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut attack = JoinSet::new();
    for n in 0..16 {
        let (client, root, stop) = (server.client(10 + n), root.clone(), stop.clone());
        attack.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                client.get("/admin/admin-tokens", &root).await;
            }
        });
    }
    sleep(Duration::from_secs(2)).await;
    let (mut good, mut slowest) = (0, Duration::ZERO);
    for secret in &cold {
        let answer = server.client(1).get("/admin/ping", secret).await;
        good += u32::from(answer.status == 200);
        slowest = slowest.max(answer.took);
    }
    let signed_in = server.client(1).sign_in(EDITOR, PASSWORD).await;
    let ready = server.client(1).get("/readyz", "").await.status;
    stop.store(true, Ordering::Relaxed);
    attack.join_all().await;
    println!(
        "| 16 clients that list {TOKENS} tokens | {good} of 8 cold tokens 200, the slowest after {}; a sign-in {} after {}; \
         `/readyz` {ready}; {} MB of memory |",
        told(slowest),
        signed_in.status,
        told(signed_in.took),
        server.most_memory_kb() / 1_000
    );
}

/// Sixty-four strangers, each from an address of its own, who guess all the time.
async fn guesses_of_strangers(platform: &Path) {
    let (_dir, server) = started(platform).await;
    server.session(EDITOR).await;
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
    let (mut good, mut all, mut slowest) = (0, 0, Duration::ZERO);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let answer = server.client(1).sign_in(EDITOR, PASSWORD).await;
        all += 1;
        good += u32::from(answer.status == 200);
        slowest = slowest.max(answer.took);
        sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Ordering::Relaxed);
    attack.join_all().await;
    println!(
        "| 64 strangers guess for 10 s | {good} of {all} right sign-ins from a known address 200, the slowest after {} |",
        told(slowest)
    );
}

/// One person who asks in four tabs what a change of somebody's roles would take.
async fn previews(platform: &Path) {
    let (dir, server) = started(platform).await;
    let root = server.session(ROOT).await;
    let editor = server.session(EDITOR).await;
    let me = server.client(1).get("/admin/users/me", &editor).await;
    let id = me.text.split("\"id\":").nth(1).unwrap().split([',', '}']).next().unwrap().to_owned();
    give_tokens(&dir, &server, &editor, r#"{"action":"article.read"}"#).await;
    let quiet = change(&server, &root, 0).await;
    let cookie = server.cookie(ROOT).await;
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
        slowest = slowest.max(change(&server, &root, n).await);
    }
    stop.store(true, Ordering::Relaxed);
    let previews: u32 = attack.join_all().await.into_iter().sum();
    println!(
        "| 4 loops of previews of {TOKENS} tokens ({previews} answered) | a change by another person: the slowest of ten after {}, {} alone |",
        told(slowest),
        told(quiet)
    );
}

/// How long it takes to issue a content token.
async fn change(server: &Server, root: &str, n: u32) -> Duration {
    let body = format!(r#"{{"name":"change {n}","type":"read-only","lifespan":null}}"#);
    let answer = server.client(1).json("POST", "/admin/api-tokens", root, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.took
}

/// Gives the person who is signed in as many tokens as no quota would allow, all with these grants.
async fn give_tokens(dir: &TempDir, server: &Server, session: &str, grants: &str) {
    let body = format!(r#"{{"name":"first of many","lifespan":null,"adminPermissions":[{grants}]}}"#);
    let issued = server.client(1).json("POST", "/admin/admin-tokens", session, &body).await;
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
    let made: Vec<String> = columns
        .iter()
        .map(|name| match name.as_str() {
            "digest" => "printf('%064x', n.value + 1)".into(),
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
        made.join(", ")
    );
    sqlx::query(sqlx::AssertSqlSafe(tokens)).execute(&mut database).await.unwrap();
    let columns: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM pragma_table_info('keyward_grant') WHERE name NOT IN ('id', 'token_id')")
            .fetch_all(&mut database)
            .await
            .unwrap();
    let columns: Vec<String> = columns.into_iter().map(|(name,)| name).collect();
    let kept: Vec<String> = columns.iter().map(|name| format!("g.{name}")).collect();
    let grants = format!(
        "INSERT INTO keyward_grant (token_id, {}) SELECT t.id, {} FROM keyward_token t, keyward_grant g \
         WHERE g.token_id = {first} AND t.name LIKE 'first of many_%'",
        columns.join(", "),
        kept.join(", ")
    );
    sqlx::query(sqlx::AssertSqlSafe(grants)).execute(&mut database).await.unwrap();
}

fn told(time: Duration) -> String {
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
    /// The secret of a new session of this person.
    async fn session(&self, email: &str) -> String {
        let answer = self.client(1).sign_in(email, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.member("token")
    }

    /// The cookie of a new session of this person.
    async fn cookie(&self, email: &str) -> String {
        let form = format!("email={}&password={PASSWORD}", email.replace('@', "%40"));
        let answer = self.client(1).page("POST", "/admin/auth/login", "", &form).await;
        let cookie = answer
            .head
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case("set-cookie")));
        cookie.expect("a cookie is set").1.split(';').next().unwrap().to_owned()
    }

    /// Starts anew on the same database.
    async fn restart(self, platform: &Path, email: &str) -> (String, Self) {
        let file = self.file().to_owned();
        drop(self);
        let server = Self::start(platform, &file).await;
        (server.session(email).await, server)
    }
}
