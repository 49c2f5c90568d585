//! The structure of the crate: which module may use which, and which names its root exports.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The other modules that each module may use.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("resolve", &["domain", "store"]),
    ("guard", &["domain", "store", "resolve", "keyward"]),
    // Services are created by the handle; they never use the guard itself.
    ("admin", &["domain", "store", "resolve", "keyward"]),
    ("api", &["domain", "store", "admin", "guard", "keyward"]),
    ("mcp", &["domain", "guard"]),
    ("forward_auth", &["domain", "guard"]),
    ("ui", &["domain", "store", "admin", "guard", "keyward"]),
];
const MODULES: [&str; 11] =
    ["api", "domain", "forward_auth", "store", "resolve", "guard", "admin", "keyward", "mcp", "testing", "ui"];

/// All names of the crate root, modules included. Add one only if most applications need it.
const ROOT: [&str; 43] = [
    // Modules.
    "accounts",
    "admin",
    "api",
    "authz",
    "forward_auth",
    "guard",
    "guide",
    "health",
    "mcp",
    "store",
    "strapi",
    "testing",
    "time",
    "token",
    "ui",
    // The installation.
    "BuildError",
    "Builder",
    "Keyward",
    "HashKey",
    // Stores.
    "MemoryStore",
    "PostgresStore",
    "SqliteStore",
    // Guarding.
    "AdminAuth",
    "Auth",
    "AuthContext",
    "ContentAuth",
    "Group",
    "GuardedRouter",
    "Require",
    // Requirements and grants.
    "Decision",
    "Grant",
    "Permission",
    "Requirement",
    "action",
    "all_of",
    "any_of",
    "authenticated",
    // Administration.
    "NewAdminToken",
    "NewContentToken",
    "NewOwner",
    "NewRole",
    "OwnerId",
    "RoleId",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Returns the text of a source file without comment lines.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_use_only_allowed_modules() {
    for (module, allowed) in ALLOWED {
        let sources = files(&source().join(module));
        assert!(!sources.is_empty());
        for file in sources.iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
            let code = code(file);
            for other in MODULES.iter().filter(|o| **o != module && !allowed.contains(o)) {
                for path in [format!("crate::{other}::"), format!("crate::{other};")] {
                    assert!(!code.contains(&path), "{} uses {other}", file.display());
                }
            }
        }
    }
}

#[test]
fn the_domain_is_pure() {
    for file in files(&source().join("domain")) {
        let code = code(&file);
        for impure in ["async fn", "tokio", "axum", "http::", "sqlx", "tower"] {
            assert!(!code.contains(impure), "{} uses {impure}", file.display());
        }
    }
}

#[test]
fn root_names_are_listed() {
    let mut exported = BTreeSet::new();
    for statement in code(&source().join("lib.rs")).split(';') {
        if let Some((_, module)) = statement.split_once("pub mod ") {
            exported.insert(module.trim().to_owned());
        }
        if let Some((_, used)) = statement.split_once("pub use ") {
            let names = used.split_once('{').map_or_else(
                || used.rsplit("::").next().unwrap().to_owned(),
                |(_, names)| names.trim_end().trim_end_matches('}').to_owned(),
            );
            exported.extend(names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
        }
    }
    let listed: BTreeSet<String> = ROOT.iter().map(|name| (*name).to_owned()).collect();
    let (unlisted, missing): (Vec<_>, Vec<_>) =
        (exported.difference(&listed).collect(), listed.difference(&exported).collect());
    assert!(unlisted.is_empty() && missing.is_empty(), "not listed: {unlisted:?}; not exported: {missing:?}");
    assert_eq!(listed.len(), ROOT.len(), "a name is listed twice");
}
