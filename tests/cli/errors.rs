//! What the program says when it is used in a wrong way, and its exit codes.

use crate::tool::{Tool, bare, run};

#[test]
fn missing_and_wrong_settings_are_named() {
    let missing = run(&mut bare(&["token", "list"])).failed(2);
    assert!(missing.contains("--database or KEYWARD_DATABASE is missing"), "{missing}");
    let wrong = run(&mut bare(&["token", "list", "--database", "mysql://h/d"])).failed(2);
    assert!(wrong.contains("--database: write sqlite:"), "{wrong}");
    for address in ["postgres://ada:hidden@h/d", "postgres://h/d?password=hidden"] {
        let seen = run(&mut bare(&["token", "list", "--database", address])).failed(2);
        assert!(seen.contains("--database: other users of this machine can see a password"), "{seen}");
        assert!(!seen.contains("hidden"), "{seen}");
    }
    let tool = Tool::new();
    let without = run(tool.command(&["role", "create", "R"]).env_remove("KEYWARD_HASH_KEY")).failed(2);
    assert!(without.contains("KEYWARD_HASH_KEY or --hash-key-file is missing"), "{without}");
    let twice = run(tool.command(&["role", "create", "R"]).env("KEYWARD_HASH_KEY_FILE", "x")).failed(2);
    assert!(twice.contains("set twice, by KEYWARD_HASH_KEY_FILE and by KEYWARD_HASH_KEY"), "{twice}");
    let short = run(tool.command(&["role", "create", "R"]).env("KEYWARD_HASH_KEY", "short")).failed(2);
    assert!(short.contains("KEYWARD_HASH_KEY: hash key too short"), "{short}");
}

#[test]
fn unavailable_databases_have_a_code_of_their_own() {
    let tool = Tool::without_database();
    let missing = tool.fails(4, &["token", "list"]);
    assert!(missing.contains("there is no such file: `keyward init` creates the tables"), "{missing}");
    assert!(!tool.file().exists(), "only init creates a database");
    std::fs::write(tool.file(), "no database").unwrap();
    tool.fails(4, &["token", "list"]);
    let closed = run(&mut bare(&["token", "list", "--database", "postgres://keyward@127.0.0.1:1/d"])).failed(4);
    assert!(closed.contains("nothing listens at the host and port"), "{closed}");
}

#[test]
fn records_that_do_not_exist_have_a_code_of_their_own() {
    let tool = Tool::new();
    for (arguments, sentence) in [
        (&["token", "show", "nope"][..], "there is no token nope"),
        (&["token", "show", "99"], "there is no token 99"),
        (&["token", "revoke", "nope"], "there is no token nope"),
        (&["token", "rotate", "7"], "there is no token 7"),
        (&["token", "list", "--owner", "bob@example.test"], "there is no owner bob@example.test"),
        (&["token", "issue", "t", "--owner", "bob", "--allow", "a"], "there is no owner bob"),
        (&["owner", "suspend", "99"], "there is no owner 99"),
        (&["owner", "set-roles", "1", "Nope"], "there is no role Nope"),
        (&["role", "delete", "Nope"], "there is no role Nope"),
        (&["reset-password", "bob@example.test"], "there is no owner bob@example.test"),
    ] {
        let said = tool.fails(3, arguments);
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
}

#[test]
fn refusals_name_the_argument() {
    let tool = Tool::new().with_service();
    tool.done(&["token", "issue", "deploy", "--owner", "ci", "--allow", "deployments.create"]);
    for (arguments, sentence) in [
        (&["token", "issue", "deploy", "--owner", "ci", "--allow", "deployments.read"][..], "NAME: name already taken"),
        (&["token", "issue", "", "--owner", "ci", "--allow", "deployments.read"], "NAME: "),
        (
            &["token", "issue", "t", "--owner", "ci", "--allow", "users.delete"],
            "--allow: the owner does not hold users.delete",
        ),
        (
            &["token", "issue", "t", "--owner", "ci", "--allow", "deployments.read", "--lifespan", "1ms"],
            "--lifespan: must be at least a second",
        ),
        (&["token", "issue", "t", "--content", "read-only", "--metadata", "[]"], "--metadata: must be an object"),
        (&["owner", "create", "ada@example.test"], "EMAIL: "),
        (&["owner", "create", "ada"], "EMAIL: "),
        (&["owner", "create", "--service", "ci"], "--service"),
        (&["owner", "suspend", "ada@example.test"], "last active super admin"),
        (&["owner", "delete", "ada@example.test"], "last active super admin"),
        (&["owner", "set-roles", "ada@example.test", "--none"], "last active super admin"),
        (&["role", "create", "Deployer"], "NAME: name already taken"),
        (&["role", "delete", "Deployer"], "users have this role"),
        (&["role", "set-permissions", "1", "--none"], "the super admin role cannot be changed"),
    ] {
        let said = tool.fails(1, arguments);
        assert!(said.contains(sentence), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn wrong_usage_is_told_before_the_database_is_opened() {
    for (arguments, sentence) in [
        (&["token", "issue", "t"][..], "--owner"),
        (&["token", "issue", "t", "--owner", "ci"], "--allow is missing"),
        (&["token", "issue", "t", "--content", "custom"], "--allow is missing"),
        (&["token", "issue", "t", "--content", "read-only", "--allow", "a"], "use --content custom"),
        (&["token", "issue", "t", "--content", "custom", "--allow", "a@r"], "without resource and fields"),
        (&["token", "issue", "t", "--owner", "ci", "--allow", "a b"], "ACTION[@RESOURCE]"),
        (&["token", "issue", "t", "--owner", "ci", "--allow", "a", "--lifespan", "soon"], "90d, 12h or unlimited"),
        (&["role", "set-permissions", "R"], "--none takes all permissions away"),
        (&["audit", "tail", "--action", "nope"], "token-issued"),
        (&["audit", "export", "--since", "tomorrow"], "2030-01-31"),
        (&["token", "list", "--json", "--quiet"], "--quiet"),
        (&["nope"], "unrecognized subcommand"),
    ] {
        let said = run(&mut bare(&[arguments, &["--database", "sqlite:none/none.db"]].concat())).failed(2);
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
}

/// `head` closes the pipe early.
#[test]
fn closed_standard_output_is_no_error() {
    let tool = Tool::new();
    let mut child = tool
        .command(&["audit", "tail"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // It has an event to print, and ends at once or with the next one.
    tool.done(&["role", "create", "R"]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
