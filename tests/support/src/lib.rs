//! Starts and drives other programs for keyward's tests and benches.
//!
//! This crate does not depend on keyward, so that its tests can be built with any of keyward's features.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here is a failed test")]
#![allow(clippy::disallowed_methods, reason = "it waits for real processes")]

pub mod hostile;
pub mod log;
pub mod memory;
pub mod platform;
pub mod pooler;
pub mod postgres;
pub mod process;

use std::path::PathBuf;

/// The environment variable that is 1 where missing programs must fail tests instead of skipping them.
const REQUIRED: &str = "KEYWARD_REQUIRE_POSTGRES";

/// Prints that tests are skipped, and why.
///
/// # Panics
///
/// If the environment forbids to skip tests.
pub fn skip(tests: &str, reason: &str) {
    assert!(!std::env::var(REQUIRED).is_ok_and(|v| v == "1"), "{tests} may not be skipped: {reason}");
    eprintln!("SKIPPED: {tests}. {reason}");
}

/// Returns the path of the built program `keyward`.
///
/// `cargo test` builds it for integration tests, with its feature `cli`.
///
/// # Panics
///
/// If the program was not built.
pub fn command_line_tool() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name(format!("keyward{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: run cargo build --all-features --bin keyward", path.display());
    path
}

/// Returns the path of a built example of keyward.
///
/// `cargo test` builds the examples; `cargo test --test NAME` alone does not.
///
/// # Panics
///
/// If the example was not built.
pub fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    let path = path.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: run cargo build --example {name} --all-features", path.display());
    path
}
