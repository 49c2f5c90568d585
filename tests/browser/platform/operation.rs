//! An operator's tasks: stop, back up, restore, and a start with wrong keys, as in the operating guide.

use keyward_test_support::platform::{SALT, Server, platform, platform_on};
use keyward_test_support::{command_line_tool, postgres, skip};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The time limit of a task.
const PATIENCE: Duration = Duration::from_secs(30);

/// Another hash key.
const OTHER: &str = "Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";
const KEY: &str = "4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";

fn names(dir: &TempDir) -> Vec<String> {
    let files = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs a task of the platform that ends by itself, or a start that fails. Returns whether it succeeded, and its output. A platform
/// that serves instead is killed.
#[allow(clippy::disallowed_methods, reason = "it waits for a real process")]
fn run(command: &mut Command) -> (bool, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Runs a command of the program `keyward` on the database of a platform.
fn task(file: &Path, name: &str, other: &Path) -> (bool, String) {
    let mut command = Command::new(command_line_tool());
    command.arg("--database").arg(format!("sqlite:{}", file.display())).arg(name).arg(other);
    run(command.env("KEYWARD_HASH_KEY", SALT).stdin(Stdio::null()))
}

/// Revokes the token that reads and writes articles.
fn revoke(server: &Server) {
    let login = r#"{"email":"root@example.test","password":"Passw0rd!"}"#;
    let session = server.send("POST", "/admin/login", &["Content-Type: application/json"], login).assert(200);
    let session = session.at("/data/token").as_str().unwrap().to_owned();
    let listed = server.get("/admin/api-tokens", &session).assert(200).at("/data");
    let id = listed.as_array().unwrap().iter().find(|t| t["name"] == "Reads and writes").unwrap()["id"].clone();
    server.json("DELETE", &format!("/admin/api-tokens/{id}"), &session, "").assert(200);
    server.get("/api/articles", server.secret("FULL")).assert(401);
}

#[test]
fn graceful_stop_leaves_one_complete_file() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(platform(&dir.path().join("platform.db")));
    server.get("/api/articles", server.secret("FULL")).assert(200);
    assert_eq!(names(&dir).len(), 3, "{:?}", names(&dir));
    assert_eq!(server.stop(), Some(0));
    assert_eq!(names(&dir), ["platform.db"]);
}

/// The steps of the guide.
#[test]
fn backup_is_made_while_running_and_restored_after_a_stop() {
    let dir = TempDir::new().unwrap();
    let (file, copy) = (dir.path().join("platform.db"), dir.path().join("copy"));
    let server = Server::start(platform(&file));
    let full = server.secret("FULL").to_owned();
    let (done, said) = task(&file, "backup", &copy);
    assert!(done, "{said}");
    revoke(&server);
    let (done, said) = task(&file, "restore", &copy);
    assert!(!done && said.contains("open in another process"), "{said}");
    server.get("/api/articles", &full).assert(401);
    assert_eq!(server.stop(), Some(0));
    let (done, said) = task(&file, "restore", &copy);
    assert!(done && said.contains("platform.db.before-restore"), "{said}");
    let server = Server::start(platform(&file));
    server.get("/api/articles", &full).assert(200);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(names(&dir), ["copy", "platform.db", "platform.db.before-restore"]);
    assert!(!task(&file, "backup", &copy).0, "a backup replaces nothing");
    assert!(!task(&dir.path().join("none.db"), "backup", &dir.path().join("x")).0);
    assert!(!dir.path().join("none.db").exists());
}

#[test]
fn backup_copied_over_leftovers_of_a_killed_process_is_rejected() {
    let dir = TempDir::new().unwrap();
    let (file, copy) = (dir.path().join("platform.db"), dir.path().join("copy"));
    let server = Server::start(platform(&file));
    let full = server.secret("FULL").to_owned();
    assert!(task(&file, "backup", &copy).0);
    revoke(&server);
    // Killed, not stopped.
    drop(server);
    fs::copy(&copy, &file).unwrap();
    let (done, said) = run(&mut platform(&file));
    assert!(!done && said.contains("copied over another database") && said.contains("platform.db-wal"), "{said}");
    let (done, said) = task(&file, "restore", &copy);
    assert!(done, "{said}");
    Server::start(platform(&file)).get("/api/articles", &full).assert(200);
}

#[test]
fn keys_that_do_not_match_the_data_fail_startup() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("platform.db");
    let with = |hash_key: &str, key: &str| {
        let mut command = platform(&file);
        command.env("KEYWARD_HASH_KEY", hash_key).env("KEYWARD_ENCRYPTION_KEY", key);
        command
    };
    let server = Server::start(with(SALT, KEY));
    let full = server.secret("FULL").to_owned();
    // Also while a node with the right keys runs.
    let (done, said) = run(&mut with(OTHER, KEY));
    assert!(!done && said.contains("KEYWARD_HASH_KEY") && said.contains("tokens with key `0`"), "{said}");
    let (done, said) = run(&mut with(SALT, OTHER));
    assert!(!done && said.contains("KEYWARD_ENCRYPTION_KEY") && said.contains("tokens with key `0`"), "{said}");
    for quote in ['"', '\''] {
        let (done, said) = run(&mut with(&format!("{quote}{SALT}{quote}"), KEY));
        assert!(!done && said.contains("KEYWARD_HASH_KEY") && said.contains("in quotes"), "{said}");
        let (done, said) = run(&mut with(SALT, &format!("{quote}{KEY}{quote}")));
        assert!(!done && said.contains("KEYWARD_ENCRYPTION_KEY") && said.contains("in quotes"), "{said}");
    }
    server.get("/api/articles", &full).assert(200);
    assert_eq!(server.stop(), Some(0));
    let mut accepting = with(OTHER, OTHER);
    accepting.args(["--accept-new-hash-key", "--accept-new-encryption-key"]);
    let server = Server::start(accepting);
    server.get("/api/articles", &full).assert(401);
    assert_eq!(server.stop(), Some(0));
    Server::start(with(OTHER, OTHER)).get("/api/articles", &full).assert(401);
}

#[test]
fn second_node_with_another_key_fails_startup() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(url) = runtime.block_on(postgres::create_database()) else { return };
    let server = Server::start(platform_on(&url));
    let mut second = platform_on(&url);
    second.env("KEYWARD_HASH_KEY", OTHER);
    let (done, said) = run(&mut second);
    assert!(!done && said.contains("KEYWARD_HASH_KEY") && said.contains("tokens with key `0`"), "{said}");
    server.get("/api/articles", server.secret("FULL")).assert(200);
    Server::start(platform_on(&url)).get("/api/articles", server.secret("FULL")).assert(200);
}

/// On its own file system, without free space.
#[test]
fn startup_succeeds_on_a_full_disk() {
    let alone = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]);
        command
    };
    if !alone().arg("true").status().is_ok_and(|status| status.success()) {
        return skip("a full disk", "no file system can be mounted here");
    }
    let dir = TempDir::new().unwrap();
    let (file, disk) = (dir.path().join("platform.db"), dir.path().join("disk"));
    fs::create_dir(&disk).unwrap();
    let server = Server::start(platform(&file));
    let full = server.secret("FULL").to_owned();
    // Killed, so that the log and its index remain, as on a disk that became full.
    drop(server);
    let script = r#"mount -t tmpfs -o size=16m tmpfs "$1" && cp "$0" "$0-wal" "$0-shm" "$1" && shift &&
        { dd if=/dev/zero of="$0.fill" bs=4k 2>/dev/null; exec "$@"; }"#;
    let fill = script.replace("$0.fill", &format!("{}/fill", disk.display()));
    let on_disk = platform(&disk.join("platform.db"));
    let mut command = alone();
    command.args(["sh", "-c", &fill]).arg(&file).arg(&disk).arg(on_disk.get_program()).args(on_disk.get_args());
    command.env("KEYWARD_HASH_KEY", SALT).env_remove("KEYWARD_ENCRYPTION_KEY").env_remove("KEYWARD_STRAPI_HASH_KEY");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let server = Server::start(command);
    server.get("/api/articles", &full).assert(200);
    let login = r#"{"email":"root@example.test","password":"Passw0rd!"}"#;
    server.send("POST", "/admin/login", &["Content-Type: application/json"], login).assert(503);
}
