//! Where secrets appear, and how they are read.

use crate::tool::{Tool, run};
use std::fs;

/// no-secret-leaks: a secret is printed once, when it is made, and is nowhere in the database.
#[test]
fn secrets_are_printed_only_when_they_are_made() {
    let tool = Tool::without_database();
    let password = tool.done(&["init", "--admin", "ada@example.test", "--quiet"]);
    let tool = tool.with_service();
    let secret = tool.done(&["token", "issue", "deploy", "--owner", "ci", "--allow", "deployments.read", "--quiet"]);
    let rotated = tool.done(&["token", "rotate", "deploy", "--quiet"]);
    let invitation = tool.done(&["owner", "create", "bob@example.test", "--invite", "--quiet"]);
    let reset = tool.done(&["reset-password", "ada@example.test", "--quiet"]);
    let secrets = [password, secret, rotated, invitation, reset, keyward::testing::HASH_KEY.to_owned()];
    assert!(secrets.iter().all(|secret| secret.len() > 20), "{secrets:?}");
    for arguments in [
        &["token", "list"][..],
        &["token", "show", "deploy"],
        &["token", "list", "--json"],
        &["token", "show", "deploy", "--json"],
        &["owner", "list"],
        &["owner", "show", "bob@example.test", "--json"],
        &["role", "show", "Deployer"],
        &["audit", "export"],
        &["audit", "tail", "--no-follow"],
        &["check"],
        &["check", "--json"],
        &["init"],
        &["token", "issue", "deploy", "--owner", "ci", "--allow", "deployments.read"],
        &["token", "revoke", "deploy"],
    ] {
        let ran = run(tool.command(arguments).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1"));
        for secret in &secrets {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{arguments:?} prints {secret}");
        }
    }
    let stored = fs::read(tool.file()).unwrap();
    for secret in &secrets {
        assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret} is in the database");
    }
}

#[test]
fn keys_are_read_from_files_and_standard_input() {
    let tool = Tool::new();
    let key = tool.directory().join("key");
    fs::write(&key, format!("{}\n", keyward::testing::HASH_KEY)).unwrap();
    let without = |arguments: &[&str]| {
        let mut command = tool.command(arguments);
        command.env_remove("KEYWARD_HASH_KEY");
        command
    };
    assert_eq!(run(&mut without(&["role", "create", "One", "--hash-key-file", "key"])).code, 0);
    assert_eq!(run(without(&["role", "create", "Two"]).env("KEYWARD_HASH_KEY_FILE", &key)).code, 0);
    let stdin = fs::File::open(&key).unwrap();
    assert_eq!(run(without(&["role", "create", "Three", "--hash-key-file", "-"]).stdin(stdin)).code, 0);
    let both = ["reset-password", "ada@example.test", "--hash-key-file", "-", "--password-file", "-"];
    let stdin = fs::File::open(&key).unwrap();
    let twice = run(without(&both).stdin(stdin)).failed(2);
    assert!(twice.contains("both read standard input"), "{twice}");
    let missing = run(&mut without(&["role", "create", "Four", "--hash-key-file", "none"])).failed(2);
    assert!(missing.contains("--hash-key-file: none cannot be read"), "{missing}");
    fs::write(tool.directory().join("env"), format!("# keys\nKEYWARD_HASH_KEY={}\n", keyward::testing::HASH_KEY))
        .unwrap();
    assert_eq!(run(&mut without(&["role", "create", "Four", "--env-file", "env"])).code, 0);
}

#[test]
fn given_password_signs_in_and_a_weak_one_is_refused() {
    let tool = Tool::new();
    let reset = ["reset-password", "ada@example.test", "--password-file", "-"];
    let weak = tool.run_with(&reset, "weak\n").failed(1);
    assert!(weak.contains("--password-file: "), "{weak}");
    let done = tool.run_with(&reset, "Passw0rd!\n");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = keyward::SqliteStore::open(tool.file()).await.unwrap();
        let hash_key = keyward::HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let keyward = keyward::Keyward::builder(store).hash_key(hash_key).admin("/admin").build().unwrap();
        let password = keyward::admin::Password::new("Passw0rd!");
        keyward.sessions().sign_in("ada@example.test", &password).await.unwrap();
    });
}

/// An installation that seals secrets goes on doing so, or the program says that it does not.
#[test]
fn missing_encryption_key_is_a_warning() {
    let tool = Tool::new();
    let sealing = |arguments: &[&str]| {
        let mut command = tool.command(arguments);
        run(command.env("KEYWARD_ENCRYPTION_KEY", "Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b"))
    };
    let issued = sealing(&["token", "issue", "one", "--content", "read-only"]);
    assert!(issued.code == 0 && !issued.stderr.contains("warning"), "{}", issued.stderr);
    let issued = tool.run(&["token", "issue", "two", "--content", "read-only"]);
    assert!(issued.stderr.contains("warning: without KEYWARD_ENCRYPTION_KEY"), "{}", issued.stderr);
    let checked = tool.done(&["check"]);
    assert!(checked.contains("1 secret is sealed, and KEYWARD_ENCRYPTION_KEY is not set"), "{checked}");
}
