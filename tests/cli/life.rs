//! The life of a token at a shell: its limits, its two secrets, and what is said about it.

use crate::tool::Tool;
use serde_json::{Value, json};

fn deploy(more: &[&str]) -> (Tool, Value) {
    let tool = Tool::new().with_service();
    let issue = ["token", "issue", "deploy", "--owner", "ci", "--allow", "deployments.create"];
    let issued = tool.json(&[&issue[..], more].concat());
    (tool, issued)
}

#[test]
fn limits_are_set_changed_and_removed() {
    let (tool, issued) = deploy(&[
        "--network",
        "10.1.2.3/8",
        "--network",
        "2001:db8::1",
        "--rate",
        "100/1m",
        "--idle-expiry",
        "30d",
        "--expires-at",
        "2999-01-31",
        "--may-delegate",
    ]);
    assert_eq!(issued["networks"], json!(["10.0.0.0/8", "2001:db8::1"]));
    assert_eq!(issued["rateLimit"], json!({"limit": 100, "window": 60_000}));
    assert_eq!(issued["idleExpiry"], json!(30 * 24 * 60 * 60 * 1_000_u64));
    assert_eq!(issued["expiresAt"], "2999-01-31T00:00:00.000Z");
    assert_eq!(issued["adminPermissions"][0]["mayDelegate"], true);
    let shown = tool.done(&["token", "show", "deploy"]);
    for line in ["network:      10.0.0.0/8", "rate:         100/1m", "idle expiry:  30days"] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is missing:\n{shown}");
    }
    let disabled = tool.json(&["token", "update", "deploy", "--disable"]);
    assert_eq!((&disabled["enabled"], &disabled["networks"]), (&json!(false), &issued["networks"]));
    let open = tool.json(&["token", "update", "deploy", "--enable", "--any-network", "--no-rate", "--no-idle-expiry"]);
    assert_eq!(
        (&open["enabled"], &open["networks"], &open["rateLimit"], &open["idleExpiry"]),
        (&json!(true), &json!([]), &Value::Null, &Value::Null)
    );
    let renamed = tool.json(&["token", "update", "deploy", "--name", "release", "--description", "Of releases"]);
    assert_eq!((&renamed["name"], &renamed["description"]), (&json!("release"), &json!("Of releases")));
}

#[test]
fn wrong_limits_name_their_argument_and_change_nothing() {
    let (tool, issued) = deploy(&[]);
    for (arguments, code, sentence) in [
        (&["update", "deploy", "--network", "10.0.0.0/99"][..], 2, "--network"),
        (&["update", "deploy", "--rate", "0/1m"], 2, "--rate"),
        (&["update", "deploy", "--rate", "100"], 2, "write for example 100/1m"),
        (&["update", "deploy", "--idle-expiry", "1s"], 1, "--idle-expiry: must be from"),
        (&["update", "deploy", "--network", "10.0.0.1", "--network", "10.0.0.1"], 1, "--network: is there twice"),
        (&["update", "deploy", "--enable", "--disable"], 2, "--disable"),
        (&["update", "deploy", "--network", "10.0.0.1", "--any-network"], 2, "--any-network"),
        (&["rotate", "deploy", "--grace", "9999d"], 1, "--grace: must be at most"),
        (&["rotate", "deploy", "--grace", "soon"], 2, "--grace"),
        (&["update", "nope", "--disable"], 3, "there is no token nope"),
        (
            &["issue", "t", "--owner", "ci", "--allow", "deployments.read", "--expires-at", "2001-01-01"],
            1,
            "--expires-at",
        ),
        (&["explain", "deploy"], 2, "ACTION[@RESOURCE]"),
        (&["explain", "deploy", "read@article#title"], 2, "the answer names the fields"),
        (&["explain", "nope", "read"], 3, "there is no token nope"),
        (&["find", "no-file"], 2, "no-file cannot be read"),
    ] {
        let said = tool.fails(code, &[&["token"], arguments].concat());
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
    let after = tool.json(&["token", "show", "deploy"]);
    assert_eq!((&after["secrets"], &after["updatedAt"]), (&issued["secrets"], &issued["updatedAt"]));
}

#[test]
fn both_secrets_are_shown_until_the_grace_period_ends() {
    let (tool, issued) = deploy(&[]);
    let old = issued["accessKey"].as_str().unwrap();
    let rotated = tool.json(&["token", "rotate", "deploy", "--grace", "1h"]);
    let new = rotated["accessKey"].as_str().unwrap();
    let secrets = rotated["secrets"].as_array().unwrap();
    assert_eq!(
        (secrets[0]["hint"].as_str(), secrets[1]["hint"].as_str()),
        (new.get(new.len() - 4..), old.get(old.len() - 4..))
    );
    assert_eq!((&secrets[0]["endsAt"], secrets[1]["endsAt"].is_string()), (&Value::Null, true));
    let find = |text: &str| tool.run_with(&["token", "find", "--quiet"], text);
    for secret in [old, new] {
        assert_eq!(
            find(&format!("curl -H 'Authorization: Bearer {secret}'\n")).stdout.trim_end(),
            rotated["id"].to_string()
        );
    }
    let ended = tool.json(&["token", "end-grace", "deploy"]);
    assert_eq!(ended["secrets"], json!([secrets[0]]));
    let gone = find(old);
    assert_eq!((gone.code, gone.stderr.as_str()), (3, "error: the text has no secret of a token\n"));
    assert_eq!(find("nothing").code, 3);
}

#[test]
fn explanations_name_the_step_that_decides() {
    let (tool, _) = deploy(&["--network", "10.0.0.0/8"]);
    let explain = |more: &[&str]| tool.json(&[&["token", "explain", "deploy"], more].concat());
    let why = explain(&["deployments.create", "--from", "10.0.0.1"]);
    assert_eq!((&why["outcome"], &why["status"]), (&json!("allowed"), &Value::Null), "{why:#}");
    let why = explain(&["deployments.create", "--from", "192.0.2.1"]);
    assert_eq!((&why["status"], &why["reason"]), (&json!(403), &json!("network_not_allowed")));
    let why = explain(&["deployments.create", "deployments.read", "--from", "10.0.0.1"]);
    assert_eq!((&why["outcome"], &why["actions"][1]["outcome"]), (&json!("denied"), &json!("denied")));
    tool.done(&["token", "update", "deploy", "--disable"]);
    assert_eq!(tool.done(&["token", "explain", "deploy", "deployments.create", "--quiet"]), "denied");
    tool.done(&["token", "update", "deploy", "--enable"]);
    assert_eq!(tool.done(&["token", "explain", "deploy", "deployments.create", "--quiet"]), "unknown");
    tool.done(&["token", "update", "deploy", "--disable"]);
    let text = tool.done(&["token", "explain", "deploy", "deployments.create"]);
    assert!(text.lines().any(|line| line.starts_with("denied  enabled")), "{text}");
    tool.done(&["token", "issue", "shop", "--content", "custom", "--allow", "orders.find"]);
    assert_eq!(tool.done(&["token", "explain", "shop", "orders.find", "--quiet"]), "allowed");
    assert_eq!(tool.done(&["token", "explain", "shop", "orders.delete", "--quiet"]), "denied");
}

/// A secret in place of a name or a file is not repeated.
#[test]
fn secrets_that_are_given_as_arguments_are_not_repeated() {
    let (tool, issued) = deploy(&[]);
    let secret = issued["accessKey"].as_str().unwrap();
    for arguments in [&["show", secret][..], &["rotate", secret], &["find", secret], &["explain", secret, "a"]] {
        let said = tool.fails(2, &[&["token"], arguments].concat());
        assert!(said.contains("looks like a secret") && !said.contains(secret), "{said}");
    }
}

#[test]
fn a_name_that_is_the_id_of_another_token_is_ambiguous() {
    let (tool, issued) = deploy(&[]);
    let id = issued["id"].to_string();
    tool.done(&["token", "issue", &id, "--owner", "ci", "--allow", "deployments.read"]);
    assert!(tool.fails(1, &["token", "revoke", &id]).contains("several tokens"));
    tool.done(&["token", "issue", "77", "--owner", "ci", "--allow", "deployments.read"]);
    assert!(tool.done(&["token", "revoke", "77"]).contains("(77)"));
}
