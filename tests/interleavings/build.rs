//! Copies keyward's sources into the package that explores them.
//!
//! The copy uses the explorers' atomics, locks and tasks. Each seeded mistake is added beside the code that it
//! replaces, behind a switch that is off. Nothing else differs. The build fails if a text of the tables is not in the
//! sources, so that tables and sources cannot diverge.

#![allow(clippy::unwrap_used)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

mod mistakes {
    include!("src/mistakes.rs");
}
use mistakes::MISTAKES;

/// The prefix of a source's path, a text, and its replacement wherever it occurs.
const SWAPS: [(&str, &str, &str); 12] = [
    ("resolve/", "std::sync::", "shuttle::sync::"),
    ("admin/", "std::sync::", "shuttle::sync::"),
    ("resolve/", "use arc_swap::", "use crate::swap::"),
    ("store/memory", "use arc_swap::", "use crate::swap::"),
    // The explored map has a fixed hasher.
    ("resolve/lookup.rs", "watch::Receiver<Option<Outcome>>, HashDigest>", "watch::Receiver<Option<Outcome>>>"),
    ("resolve/freshness.rs", "watch::Sender::new(())", "watch::channel(()).0"),
    // Fewer slots, because the explorer follows each of them. Two tags in one slot only cost a look-up.
    ("resolve/freshness.rs", "const SLOTS: usize = 1 << 16;", "const SLOTS: usize = 1 << 3;"),
    ("domain/tag.rs", ">> 48) as usize", ">> 61) as usize"),
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
    // The task that writes token uses never ends, and is not explored.
    ("keyward.rs", "resolver.write_uses_behind();", ""),
    ("store/mod.rs", "#[cfg(any(test, feature = \"testing\"))]", "#[cfg(any())]"),
];

/// The same for the files whose atomics are explored with every result that their memory ordering allows.
const WEAK_SWAPS: [(&str, &str, &str); 13] = [
    ("resolve/freshness.rs", "shuttle::sync::atomic::", "loom::sync::atomic::"),
    (
        "resolve/freshness.rs",
        "use shuttle::sync::{Arc, Mutex, MutexGuard, PoisonError};",
        "use std::sync::{Arc, PoisonError};\nuse loom::sync::{Mutex, MutexGuard};",
    ),
    ("resolve/freshness.rs", "use crate::swap::", "use super::swap::"),
    ("resolve/freshness.rs", "use tokio::sync::watch;", "use super::watch;"),
    ("guard/mark.rs", "std::sync::atomic::", "loom::sync::atomic::"),
    (
        "guard/mark.rs",
        "use std::sync::{Arc, Mutex, PoisonError, Weak};",
        "use super::counted::Arc;\nuse loom::sync::Mutex;\nuse std::sync::{PoisonError, Weak};",
    ),
    (
        "guard/mark.rs",
        "thread_local! {\n    static BLANK: RefCell<GuardSlots> = const { RefCell::new(Vec::new()) };",
        "loom::thread_local! {\n    static BLANK: RefCell<GuardSlots> = RefCell::new(Vec::new());",
    ),
    // Gates use the standard reference count.
    ("guard/mark.rs", "use super::gate::Gate;", "use super::Gate;"),
    ("guard/mark.rs", "use super::base::Base;", "use crate::guard::Base;"),
    ("guard/mark.rs", "&Arc<Gate>", "&std::sync::Arc<Gate>"),
    ("guard/mark.rs", "Option<Arc<Gate>>", "Option<std::sync::Arc<Gate>>"),
    ("guard/mark.rs", "Arc::as_ptr(gate)", "std::sync::Arc::as_ptr(gate)"),
    ("guard/mark.rs", "Arc::downgrade(gate)", "std::sync::Arc::downgrade(gate)"),
];

fn main() {
    let from = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../src").canonicalize().unwrap();
    let to = PathBuf::from(env::var("OUT_DIR").unwrap()).join("src");
    for watched in [&from, Path::new("build.rs"), Path::new("src/mistakes.rs")] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let mut sources = Vec::new();
    for room in ["admin", "domain", "guard", "guide", "resolve", "store"] {
        collect(&from.join(room), &mut sources);
    }
    sources.extend(
        ["authz.rs", "health.rs", "keyward.rs", "testing/clock.rs", "time.rs", "token.rs"].map(|file| from.join(file)),
    );
    let mut swapped = [false; SWAPS.len()];
    let mut seeded = 0;
    for source in &sources {
        let name = source.strip_prefix(&from).unwrap().to_str().unwrap().replace('\\', "/");
        let mut text = without_tests(fs::read_to_string(source).unwrap());
        for (mistake, _, original, instead) in MISTAKES.iter().filter(|(_, file, ..)| *file == name) {
            assert_eq!(text.matches(original).count(), 1, "{mistake} is not in {name} once: {original}");
            let switched = match instead.strip_prefix('=') {
                Some(whole) => whole.to_owned(),
                None => format!("if crate::made(\"{mistake}\") {{ {instead} }} else {{ {original} }}"),
            };
            text = text.replace(original, &switched);
            seeded += 1;
        }
        for ((file, what, with), swapped) in SWAPS.iter().zip(&mut swapped) {
            if name.starts_with(file) {
                *swapped |= text.contains(what);
                text = text.replace(what, with);
            }
        }
        let mut weak = text.clone();
        for (_, what, with) in WEAK_SWAPS.iter().filter(|(file, ..)| *file == name) {
            assert!(weak.contains(what), "there is no {what} in {name}");
            weak = weak.replace(what, with);
        }
        if weak != text {
            write(&to.join("weak").join(source.file_name().unwrap()), &weak);
        }
        write(&to.join(name), &text);
    }
    assert!(swapped.iter().all(|swapped| *swapped), "something that is swapped is not there any more: {swapped:?}");
    assert_eq!(seeded, MISTAKES.len(), "a mistake is in a file that is not there");
    write_root(&from, &to);
}

/// Writes the crate's root, with the paths of the copied sources.
fn write_root(from: &Path, to: &Path) {
    let mut root = String::new();
    for line in fs::read_to_string(from.join("lib.rs")).unwrap().lines() {
        if line.starts_with("//!") || line.starts_with("#![") {
            continue;
        }
        let module = line.strip_suffix(';').and_then(|line| line.rsplit_once("mod ")).map(|(_, module)| module);
        if let Some(module) = module {
            let file = [format!("{module}.rs"), format!("{module}/mod.rs")].map(|file| to.join(file));
            if let Some(file) = file.iter().find(|file| file.exists()) {
                root += &format!("#[path = {file:?}]\n");
            }
        }
        root += line;
        root.push('\n');
    }
    let clock = to.join("testing/clock.rs");
    root += &format!("#[path = {clock:?}]\nmod clock;\n");
    write(&to.join("root.rs"), &root);
    let weak = ["freshness", "mark"]
        .map(|m| format!("#[path = {:?}]\npub(crate) mod {m};\n", to.join("weak").join(m.to_owned() + ".rs")));
    write(&to.join("weak.rs"), &weak.concat());
}

/// Removes the tests from a source: they run in keyward itself.
fn without_tests(text: String) -> String {
    let text = text.replace("#[cfg(test)]\nmod tests;\n", "");
    match text.find("\n#[cfg(test)]\nmod tests {") {
        Some(end) => text[..end].to_owned() + "\n",
        None => text,
    }
}

fn collect(directory: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else {
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
