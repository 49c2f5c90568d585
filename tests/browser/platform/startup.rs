//! Startup: secrets from files, the hash key behind a proxy, the log, and errors with location and remedy.

use keyward_test_support::platform::{SALT, Server, platform, platform_on};
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const ENCRYPTION_KEY: &str = "Yd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";
/// The start of a terminal's escape sequences.
const ESCAPE: char = '\u{1b}';

/// Runs a platform that does not start, and returns its exit code and its last line of errors.
fn refused(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A platform that starts nevertheless prints its address, and is killed.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let started = lines.find(|line| line.starts_with("listening on "));
    if started.is_some() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(started, None, "it starts");
    let text = String::from_utf8(output.stderr).unwrap();
    let last = text.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("platform: "), "{text}");
    (output.status.code(), last)
}

/// Returns a command for a platform on a file in this directory, without secrets in its environment.
fn without_secrets(dir: &TempDir) -> Command {
    let mut command = platform(&dir.path().join("platform.db"));
    command.env_remove("KEYWARD_SALT").env_remove("KEYWARD_HASH_KEY");
    command
}

/// Runs a platform with this `RUST_LOG`, sends a request that it rejects, and returns its log.
fn logged(rust_log: Option<&str>) -> String {
    let dir = TempDir::new().unwrap();
    let mut command = platform(&dir.path().join("platform.db"));
    command.env_remove("RUST_LOG").envs(rust_log.map(|levels| ("RUST_LOG", levels))).stderr(Stdio::piped());
    let mut server = Server::start(command);
    server.send("GET", "/admin/webhooks", &["Authorization: Bearer nope"], "").assert(401);
    let mut stderr = server.take_stderr();
    drop(server);
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn secrets_come_from_files() {
    let dir = TempDir::new().unwrap();
    let (hash_key, encryption_key) = (dir.path().join("hash"), dir.path().join("encryption"));
    std::fs::write(&hash_key, format!("{SALT}\n")).unwrap();
    std::fs::write(&encryption_key, format!("{ENCRYPTION_KEY}\r\n")).unwrap();
    let mut command = without_secrets(&dir);
    command.arg("--hash-key-file").arg(&hash_key).arg("--encryption-key-file").arg(&encryption_key);
    let root = {
        let server = Server::start(command);
        server.get("/admin/ping", server.secret("ROOT")).assert(200);
        server.secret("ROOT").to_owned()
    };
    // The variables with _FILE name the same files.
    let mut command = without_secrets(&dir);
    command.env("KEYWARD_HASH_KEY_FILE", &hash_key).env("KEYWARD_ENCRYPTION_KEY_FILE", &encryption_key);
    Server::start(command).get("/admin/ping", &root).assert(200);
    // The final line break is not part of the key, and KEYWARD_SALT is an alias.
    let mut command = without_secrets(&dir);
    command.env("KEYWARD_SALT", SALT).env("KEYWARD_ENCRYPTION_KEY", ENCRYPTION_KEY);
    let server = Server::start(command);
    server.get("/admin/ping", &root).assert(200);
    let login = json!({"email": "root@example.test", "password": "Passw0rd!"}).to_string();
    let login = server.send("POST", "/admin/login", &["Content-Type: application/json"], &login).assert(200);
    let session = login.at("/data/token").as_str().unwrap().to_owned();
    let tokens = server.get("/admin/admin-tokens", &session).assert(200).at("/data");
    let own = tokens.as_array().unwrap().iter().find(|token| token["name"] == "Root's token").unwrap();
    let own = server.get(&format!("/admin/admin-tokens/{}", own["id"]), &session).assert(200);
    assert_eq!(own.at("/data/accessKey"), json!(root), "sealed under the key of the first file");
}

#[test]
fn missing_or_duplicate_secret_is_named_and_not_shown() {
    let dir = TempDir::new().unwrap();
    let hash_key = dir.path().join("hash");
    let mut missing = without_secrets(&dir);
    missing.arg("--hash-key-file").arg(&hash_key);
    let (code, line) = refused(missing);
    assert_eq!(code, Some(2));
    assert!(line.contains("--hash-key-file") && line.contains("cannot be read"), "{line}");
    assert!(line.contains(&hash_key.display().to_string()), "{line}");

    std::fs::write(&hash_key, SALT).unwrap();
    let mut twice = without_secrets(&dir);
    twice.arg("--hash-key-file").arg(&hash_key).env("KEYWARD_HASH_KEY", SALT);
    let (code, line) = refused(twice);
    assert_eq!(code, Some(2));
    assert!(
        line.contains("--hash-key-file") && line.contains("KEYWARD_HASH_KEY") && line.contains("keep one"),
        "{line}"
    );
    assert!(!line.contains(SALT), "{line}");

    std::fs::write(&hash_key, "hunter2\n").unwrap();
    let mut short = without_secrets(&dir);
    short.arg("--hash-key-file").arg(&hash_key);
    let (code, line) = refused(short);
    assert_eq!(code, Some(2));
    assert!(line.contains("openssl rand -hex 32") && !line.contains("hunter2"), "{line}");
}

/// The public key of development is for a server that no other machine reaches.
#[test]
fn hash_key_must_be_set_behind_a_proxy() {
    for flags in [&["--trusted-proxy", "127.0.0.1"][..], &["--base-path", "/keys"], &["--secure-cookies"]] {
        let dir = TempDir::new().unwrap();
        let mut command = without_secrets(&dir);
        command.args(flags);
        let (code, line) = refused(command);
        assert_eq!(code, Some(2), "{flags:?}");
        assert!(line.contains("KEYWARD_HASH_KEY") && line.contains("openssl rand -hex 32"), "{flags:?}: {line}");
        assert!(!dir.path().join("platform.db").exists(), "{flags:?}");
    }
    let dir = TempDir::new().unwrap();
    let mut alone = without_secrets(&dir);
    alone.stderr(Stdio::null());
    Server::start(alone);
}

#[test]
fn log_follows_rust_log_and_has_no_escape_codes() {
    let detailed = logged(Some("keyward=debug"));
    assert!(detailed.contains("DEBUG") && detailed.contains("request rejected"), "{detailed}");
    assert!(!detailed.contains(ESCAPE), "{detailed:?}");
    assert!(!detailed.contains("nope"), "{detailed}");
    for levels in [None, Some(""), Some("info"), Some("keyward=warn,info")] {
        let text = logged(levels);
        assert!(!text.contains("DEBUG") && !text.contains(ESCAPE), "{levels:?}: {text:?}");
    }
    let dir = TempDir::new().unwrap();
    let mut command = platform(&dir.path().join("platform.db"));
    command.env("RUST_LOG", "keyward=loud");
    let (code, line) = refused(command);
    assert_eq!(code, Some(2));
    assert!(line.contains("RUST_LOG") && line.contains("debug"), "{line}");
}

#[test]
fn startup_errors_name_location_cause_and_remedy() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (_, line) = refused(platform_on(&format!("sqlite:{}", path("missing/x.db"))));
    assert!(line.contains(&format!("the directory {} does not exist: create it", path("missing"))), "{line}");
    std::fs::write(path("text"), "no database, and longer than the header of one: ".repeat(20)).unwrap();
    let (_, line) = refused(platform_on(&format!("sqlite:{}", path("text"))));
    assert!(line.contains(&path("text")) && line.contains("not an SQLite database"), "{line}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = platform(&dir.path().join("platform.db"));
    command.args(["--listen", &address]);
    let (_, line) = refused(command);
    assert!(line.contains(&address) && line.contains("choose another port with --listen"), "{line}");

    for (flags, named) in [
        (["--trusted-proxy", "localhost"], "localhost"),
        (["--base-path", "keys"], "`keys`"),
        (["--listen", "localhost"], "127.0.0.1:8080"),
    ] {
        let mut command = platform(&dir.path().join("platform.db"));
        command.args(flags);
        let (_, line) = refused(command);
        assert!(line.contains(named), "{flags:?}: {line}");
    }
}

/// No error about an address shows a part of its password.
#[test]
fn startup_errors_show_no_part_of_a_password() {
    for database in [
        "mysql://ada:hunter2@db/auth",
        "postgres://ada:hun/ter2@db/auth",
        "postgres://ada:hunter2@db/auth?sslmod=require",
        "postgres://ada:hunter2@127.0.0.1:1/auth",
        "ada:hunter2@db",
    ] {
        let (code, line) = refused(platform_on(database));
        assert!(code.is_some_and(|code| code != 0), "{database}");
        assert!(!line.contains("hunter2") && !line.contains("hun") && !line.contains("ter2"), "{database}: {line}");
    }
}
