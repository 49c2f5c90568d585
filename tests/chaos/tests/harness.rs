//! The chaos harness itself: its report without faults, and its detection of nodes that break the bound of staleness. `.ci/run chaos` also
//! runs it with faults for some seconds; `cargo run -p keyward-chaos -- --chaos --seconds 60 --seed 7` runs longer.

#![allow(clippy::unwrap_used)]

use keyward_test_support::postgres;
use std::process::{Command, Output, Stdio};

/// Runs the harness and returns its output.
fn chaos(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyward-chaos")).args(words).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Returns whether the machine can start a server to break.
fn own_server() -> bool {
    postgres::shared_server().is_some_and(|server| {
        let own = server.directory().is_some();
        if !own {
            eprintln!("SKIPPED: chaos breaks a server of its own, and {} names another", postgres::VARIABLE);
        }
        own
    })
}

#[test]
fn harness_measures_revocation_latency() {
    if !own_server() {
        return;
    }
    let output = chaos(&["--nodes", "2"]);
    let said = text(&output);
    assert!(output.status.success() && said.contains("promised 2s"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("| ") && line.ends_with("ms |")).count(), 20, "{said}");
}

#[test]
fn harness_detects_nodes_that_miss_changes() {
    if !own_server() {
        return;
    }
    let output = chaos(&["--chaos", "--only", "nothing", "--seconds", "3", "--seeded-bug", "deaf"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("after the bound") && !said.contains("the node itself"), "{said}");
}

#[test]
fn harness_detects_nodes_that_ignore_their_own_changes() {
    if !own_server() {
        return;
    }
    let output = chaos(&["--chaos", "--only", "nothing", "--seconds", "3", "--seeded-bug", "hoarding"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("after the node itself had said otherwise"), "{said}");
}

#[test]
fn harness_detects_nodes_without_a_lease() {
    if !own_server() {
        return;
    }
    let output =
        chaos(&["--chaos", "--strict", "--only", "network swallows", "--seconds", "12", "--seeded-bug", "leaseless"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("after the bound"), "{said}");
}

#[test]
fn invalid_options_are_explained() {
    for (words, message) in [
        (&["--nodes", "1"][..], "--nodes: \"1\" is not a number from 2 to 8"),
        (&["--nodes"], "--nodes needs a value"),
        (&["--seed", "1"], "go with --chaos"),
        (&["--chaos", "--database", "postgres://x"], "leave out --database"),
        (&["--chaos", "--only", "sunshine"], "no fault begins so. There are"),
        (&["--chaos", "--seeded-bug", "x"], "--seeded-bug: there is no \"x\""),
        (&["--cahos"], "\"--cahos\" is not an option"),
    ] {
        let output = chaos(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output).contains(message), "{words:?}: {}", text(&output));
    }
}
