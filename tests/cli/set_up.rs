//! `init`, `check`, `reset-password`, `backup` and `restore`.

use crate::tool::{Tool, bare, run};
use keyward::testing::HASH_KEY;
use keyward_test_support::postgres;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use std::fs;

#[test]
fn init_makes_the_database_its_key_and_the_first_super_admin_once() {
    let tool = Tool::without_database();
    let mut init =
        tool.command(&["init", "--admin", "ada@example.test", "--firstname", "Ada", "--with-encryption-key", "--json"]);
    let made = run(init.env_remove("KEYWARD_HASH_KEY"));
    assert_eq!(made.code, 0, "{}", made.stderr);
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(made["envFile"], "keyward.env");
    assert_eq!(
        (&made["created"], &made["madeHashKey"], &made["madeEncryptionKey"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!(
        (&made["admin"]["email"], &made["admin"]["roles"][0]["code"]),
        (&json!("ada@example.test"), &json!("strapi-super-admin"))
    );
    assert!(made["password"].as_str().unwrap().len() > 20);
    let keys = fs::read_to_string(tool.directory().join("keyward.env")).unwrap();
    let names: Vec<&str> = keys.lines().map(|line| line.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["KEYWARD_HASH_KEY", "KEYWARD_ENCRYPTION_KEY"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(tool.directory().join("keyward.env")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    // The data is bound to the key: another one is refused, and no further one is made.
    let mut again = tool.command(&["init"]);
    let sentence = run(again.env_remove("KEYWARD_HASH_KEY")).failed(2);
    assert!(sentence.contains("KEYWARD_HASH_KEY is missing"), "{sentence}");
    let other = tool.fails(1, &["role", "create", "Other"]);
    assert!(other.contains("KEYWARD_HASH_KEY"), "{other}");
    let with = |arguments: &[&str]| {
        let mut command = tool.command(arguments);
        run(command.env_remove("KEYWARD_HASH_KEY").args(["--env-file", "keyward.env"]))
    };
    assert_eq!(with(&["role", "create", "Other"]).code, 0);
    assert_eq!(with(&["init"]).code, 0, "a second run migrates");
    let sentence = with(&["init", "--admin", "bob@example.test"]).failed(1);
    assert!(sentence.contains("there are accounts already"), "{sentence}");
    assert_eq!(fs::read_to_string(tool.directory().join("keyward.env")).unwrap(), keys);
}

/// A refused first administrator leaves neither an account nor keys behind.
#[test]
fn refused_init_can_be_run_again() {
    let tool = Tool::without_database();
    let run_init = |arguments: &[&str], input: &str| {
        let mut command = tool.command(&[&["init"], arguments].concat());
        command.env_remove("KEYWARD_HASH_KEY");
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        crate::tool::Ran::from(child.wait_with_output().unwrap())
    };
    let weak = run_init(&["--admin", "ada@example.test", "--password-file", "-"], "short\n").failed(1);
    assert!(weak.contains("--password-file: ") && !weak.contains("short\n"), "{weak}");
    let wrong = run_init(&["--admin", "ada"], "").failed(1);
    assert!(wrong.contains("--admin: "), "{wrong}");
    assert!(!tool.directory().join("keyward.env").exists());
    let done = run_init(&["--admin", "ada@example.test", "--password-file", "-"], "Passw0rd!\n");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stdout.contains("Passw0rd!"), "a password that was given is not printed: {}", done.stdout);
    assert_eq!(tool.json(&["owner", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn init_takes_an_existing_key_and_writes_no_file() {
    let tool = Tool::without_database();
    let made = tool.json(&["init"]);
    assert_eq!((&made["madeHashKey"], &made["envFile"], &made["admin"]), (&json!(false), &json!(null), &json!(null)));
    assert!(!tool.directory().join("keyward.env").exists());
}

#[test]
fn check_passes_on_a_new_installation_and_names_what_is_wrong() {
    let tool = Tool::new().with_service();
    tool.done(&["token", "issue", "deploy", "--owner", "ci", "--allow", "deployments.create"]);
    let checked = tool.json(&["check"]);
    assert_eq!(checked["ok"], true);
    let found = |name: &str| {
        let checks = checked["checks"].as_array().unwrap().iter();
        checks.filter(|check| check["name"] == name).map(|check| check["message"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert!(found("database")[0].contains("tables as of "), "{checked}");
    assert_eq!(found("keys")[1..], ["hash key 0: 1 token"]);
    assert_eq!(found("people"), ["1 active super admin"]);
    assert_eq!(found("tls"), ["a file needs no connection"]);

    let wrong = run(tool.command(&["check"]).env("KEYWARD_HASH_KEY", "Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b"));
    assert_eq!(wrong.code, 1);
    assert!(wrong.stdout.contains("FAILED") && wrong.stdout.contains("1 token with key `0`"), "{}", wrong.stdout);
    let without = run(tool.command(&["check"]).env_remove("KEYWARD_HASH_KEY"));
    assert_eq!(without.code, 0);
    assert!(without.stdout.contains("KEYWARD_HASH_KEY is not set"), "{}", without.stdout);
    let prefix = run(tool.command(&["check", "--prefix", "acme"]).env("KEYWARD_HASH_KEY", HASH_KEY));
    assert!(prefix.code == 1 && prefix.stdout.contains("token prefix `kw`"), "{}", prefix.stdout);
}

#[test]
fn check_measures_the_clock_and_the_encryption_of_postgresql() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(url) = runtime.block_on(postgres::create_database()) else { return };
    let tool = Tool::on(url);
    let missing = tool.fails(4, &["check"]);
    assert!(missing.contains("`keyward init` creates the tables"), "{missing}");
    tool.done(&["init", "--admin", "ada@example.test"]);
    let checked = tool.json(&["check"]);
    assert_eq!(checked["ok"], true, "{checked}");
    let text = checked.to_string();
    assert!(
        text.contains("the clock of the database is ") && text.contains("not encrypted, within this machine"),
        "{text}"
    );
}

#[test]
fn check_says_whether_the_certificate_is_verified() {
    if postgres::shared_server().is_none() {
        return;
    }
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let files = [("server.crt", certificate.as_str()), ("server.key", &*key.serialize_pem())];
    let server = postgres::Server::start_with(&["ssl=on"], &files).unwrap();
    let authority = tempfile::NamedTempFile::new().unwrap();
    fs::write(&authority, &certificate).unwrap();
    for (parameters, found) in [
        (
            format!("sslmode=verify-full&sslrootcert={}", authority.path().display()),
            "encrypted, and the certificate is verified",
        ),
        ("sslmode=require".to_owned(), "encrypted, within this machine"),
        ("sslmode=disable".to_owned(), "not encrypted, within this machine"),
    ] {
        let tool = Tool::on(format!("{}?{parameters}", server.url()));
        tool.done(&["init"]);
        let checked = tool.done(&["check"]);
        assert!(checked.contains(found) && checked.contains("TLSv1.3") != found.starts_with("not"), "{checked}");
    }
}

/// The word that secrets begin with is remembered by the database.
#[test]
fn token_prefix_of_the_database_is_used() {
    let tool = Tool::without_database();
    tool.done(&["init", "--admin", "ada@example.test", "--prefix", "acme_pat|key|web"]);
    let secret = tool.done(&["token", "issue", "shop", "--content", "read-only", "--quiet"]);
    assert!(secret.starts_with("acme_key_"), "{secret}");
    assert!(tool.fails(1, &["role", "create", "R", "--prefix", "kw"]).contains("token prefix"));
}

#[test]
fn backup_copies_and_restore_replaces_the_file() {
    let tool = Tool::new();
    tool.done(&["backup", "copy.db"]);
    tool.done(&["role", "create", "Later"]);
    assert!(tool.fails(1, &["backup", "copy.db"]).contains("copy.db"), "a backup replaces nothing");
    tool.done(&["restore", "copy.db"]);
    assert!(!tool.done(&["role", "list"]).contains("Later"));
    let mut elsewhere = bare(&["backup", "x", "--database", "postgres://h/d"]);
    assert!(run(&mut elsewhere).failed(2).contains("pg_dump"));
}
