//! Copies keyward's sources into the package that explores them.
//!
//! The copy has this package's `sync` in place of keyward's. Each seeded mistake is added beside the code that it
//! replaces, behind a switch that is off. The build fails if a text of a table is not in the sources, so that tables
//! and sources cannot diverge.

#![allow(clippy::unwrap_used)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

mod mistakes {
    include!("src/mistakes.rs");
}
use mistakes::MISTAKES;

/// A source, a text that is there once, and its replacement.
const SWAPS: [(&str, &str, &str); 3] = [
    // Other tasks may run between a commit and its result.
    (
        "store/memory/transaction.rs",
        "store.content.store(Arc::new(content));",
        "store.content.store(Arc::new(content));\n        tokio::task::yield_now().await;",
    ),
    // The same between a snapshot and its result.
    (
        "store/memory.rs",
        "Ok(Snapshot { seq: content.seq, op_id: None, record })",
        "tokio::task::yield_now().await;\n        Ok(Snapshot { seq: content.seq, op_id: None, record })",
    ),
    (
        "store/memory.rs",
        "Ok(RecentTokens { seq: content.seq, op_id: None, records, next: None })",
        "tokio::task::yield_now().await;\n        Ok(RecentTokens { seq: content.seq, op_id: None, records, next: None })",
    ),
];

/// The sources whose primitives are explored. They take them from `sync`.
const EXPLORED: [&str; 4] = ["admin/", "guard/mark.rs", "resolve/", "store/memory"];

/// The sources whose atomics are explored with every result that their memory ordering allows. Their `sync` is beside
/// them.
const WEAK: [&str; 2] = ["resolve/freshness.rs", "guard/mark.rs"];

fn main() {
    let from = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../src").canonicalize().unwrap();
    let to = PathBuf::from(env::var("OUT_DIR").unwrap()).join("src");
    for watched in [&from, Path::new("build.rs"), Path::new("src/mistakes.rs")] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let mut sources = ["accounts.rs", "authz.rs", "health.rs", "keyward.rs", "testing/clock.rs", "time.rs", "token.rs"]
        .map(|file| from.join(file))
        .to_vec();
    for module in ["admin", "domain", "guard", "guide", "resolve", "store"] {
        collect(&from.join(module), &mut sources);
    }
    let mut replaced = 0;
    for source in &sources {
        let name = source.strip_prefix(&from).unwrap().to_str().unwrap().replace('\\', "/");
        let mut text = without_tests(&fs::read_to_string(source).unwrap());
        let mut replace = |original: &str, instead: &str| {
            assert_eq!(text.matches(original).count(), 1, "{name} does not have this once: {original}");
            text = text.replace(original, instead);
            replaced += 1;
        };
        for (mistake, _, original, instead) in MISTAKES.iter().filter(|(_, file, ..)| *file == name) {
            match instead.strip_prefix('=') {
                Some(whole) => replace(original, whole),
                None => {
                    replace(original, &format!("if crate::made(\"{mistake}\") {{ {instead} }} else {{ {original} }}"))
                }
            }
        }
        for (_, original, instead) in SWAPS.iter().filter(|(file, ..)| *file == name) {
            replace(original, instead);
        }
        if EXPLORED.iter().any(|explored| name.starts_with(explored)) {
            for other in ["std::sync::", "arc_swap::"] {
                assert!(!text.contains(other), "{name} uses {other} beside `sync`");
            }
        }
        if WEAK.contains(&&*name) {
            let weak = without_inner_attributes(&text)
                .replace("crate::sync::", "super::sync::")
                .replace("crate::resolve::Entry", "super::entry::Entry");
            write(&to.join("weak").join(source.file_name().unwrap()), &weak);
        }
        write(&to.join(name), &text);
    }
    assert_eq!(replaced, MISTAKES.len() + SWAPS.len(), "a table names a file that is not there");
    let root = without_inner_attributes(&fs::read_to_string(from.join("lib.rs")).unwrap());
    // `sync` and the clock are modules of this package.
    let root = root.replace("mod sync;\n", "#[path = \"testing/clock.rs\"]\nmod clock;\n");
    write(&to.join("root.rs"), &root);
}

/// Removes the tests from a source, and what only they use: they run in keyward itself.
fn without_tests(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    text.replace("#[cfg(test)]", "#[cfg(any())]").replace("#[cfg(any(test, ", "#[cfg(any(")
}

/// Removes the lines that a file must not have to be included in another.
fn without_inner_attributes(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("#!["));
    lines.map(|line| format!("{line}\n")).collect()
}

fn collect(directory: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if !path.ends_with("tests.rs") {
            sources.push(path);
        }
    }
}

/// Writes a file if its text has changed, so that unchanged sources are not compiled again.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
