//! The dependencies between the modules of the crate.

use std::fs;
use std::path::{Path, PathBuf};

/// The other modules that each module may use.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("resolve", &["domain", "store"]),
    // The public module re-exports the handle `Guard`.
    ("guard", &["domain", "store", "resolve", "keyward"]),
    // A service belongs to an installation through its handle; it does not see the guard.
    ("admin", &["domain", "store", "resolve", "keyward"]),
    ("api", &["domain", "store", "admin", "guard", "keyward"]),
    ("ui", &["domain", "store", "admin", "guard", "keyward"]),
];
const MODULES: [&str; 9] = ["api", "domain", "store", "resolve", "guard", "admin", "keyward", "testing", "ui"];

fn files(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn modules_depend_in_one_direction() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, may) in MAY_USE {
        let sources = files(&src.join(module));
        assert!(!sources.is_empty());
        for file in sources.iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
            let text = fs::read_to_string(file).unwrap();
            let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
            for line in code {
                for other in MODULES.iter().filter(|o| **o != module && !may.contains(o)) {
                    let uses =
                        line.contains(&format!("crate::{other}::")) || line.contains(&format!("crate::{other};"));
                    assert!(!uses, "{} uses {other}: {line}", file.display());
                }
            }
        }
    }
}

#[test]
fn domain_is_free_of_io() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain");
    for file in files(&src) {
        let text = fs::read_to_string(&file).unwrap();
        for impure in ["async fn", "tokio", "axum", "http::", "sqlx", "tower"] {
            let uses = text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(impure));
            assert!(!uses, "{} uses {impure}", file.display());
        }
    }
}
