//! The tests that the guide names exist, and the tutorial's steps compile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Returns the texts between backticks, in order.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn known_failures_name_existing_tests() {
    let page = fs::read_to_string(root().join("src/guide/known_failures.md")).unwrap();
    let mut headings = 0;
    for section in page.split("\n## ").skip(1) {
        headings += 1;
        let (heading, text) = section.split_once('\n').unwrap();
        let (_, shown) = text.split_once("\nShown by ").unwrap_or_else(|| panic!("{heading}: no test is named"));
        let (mut file, mut source) = (None, String::new());
        for name in quoted(shown.split("\n\n").next().unwrap()) {
            if name.ends_with(".rs") {
                source = fs::read_to_string(root().join(name)).unwrap_or_else(|_| panic!("{heading}: {name}"));
                file = Some(name);
            } else {
                let of = file.unwrap_or_else(|| panic!("{heading}: {name} is in no file"));
                let there = ["(", "<"].iter().any(|after| source.contains(&format!("fn {name}{after}")));
                assert!(there, "{heading}: there is no {name} in {of}");
            }
        }
        assert!(file.is_some(), "{heading}: no file is named");
    }
    assert!(headings > 25, "{headings} were read");
}

/// A `main` that returns an error prints its `Debug` form, without the remedy.
#[test]
fn programs_to_copy_print_the_text_of_errors() {
    let mut programs = vec![root().join("src/guide/tutorial.md"), root().join("examples/quickstart.rs")];
    programs.extend(
        ["beside_strapi", "own_store", "platform", "webhooks"]
            .map(|name| root().join(format!("examples/{name}/main.rs"))),
    );
    for program in programs {
        let text = fs::read_to_string(&program).unwrap();
        assert!(text.contains("fn main() -> ExitCode"), "{}: its main returns no exit code", program.display());
        assert!(!text.contains("fn main() -> Result"), "{}: its main returns an error", program.display());
    }
}

/// Builds each step as a reader does: without the hidden lines, and with the dependencies and features that the page names.
///
/// It takes a minute or two, so it runs only if `KEYWARD_BUILD_TUTORIAL` is set.
#[test]
fn tutorial_steps_compile_in_a_crate_of_their_own() {
    if std::env::var_os("KEYWARD_BUILD_TUTORIAL").is_none() {
        return eprintln!("skipped: KEYWARD_BUILD_TUTORIAL=1 builds the steps of the tutorial");
    }
    let page = fs::read_to_string(root().join("src/guide/tutorial.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("src")).unwrap();
    fs::copy(root().join("Cargo.lock"), directory.path().join("Cargo.lock")).unwrap();
    let mut steps = 0;
    // Fences divide the page into text and blocks, in turn. A block's first line is its language, the second its file.
    for block in page.split("```").skip(1).step_by(2) {
        let (_, block) = block.split_once('\n').unwrap();
        let shown: Vec<&str> = block.lines().filter(|line| !is_hidden(line)).collect();
        let (file, text) = (shown[0], shown[1..].join("\n"));
        let (file, text) = match file {
            "# Cargo.toml, below [package]" => ("Cargo.toml", manifest(&text)),
            "// src/main.rs" => ("src/main.rs", text),
            "// src/service.rs" => ("src/service.rs", text),
            other => panic!("{other:?} names no file"),
        };
        fs::write(directory.path().join(file), &text).unwrap();
        if file == "src/service.rs" {
            steps += 1;
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["check", "--quiet", "--offline", "--target-dir"]).current_dir(&directory);
            cargo.arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/tutorial")).env("RUSTFLAGS", "-D warnings");
            let output = cargo.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "step {steps} does not compile:\n{text}\n{errors}");
        }
    }
    assert_eq!(steps, 4);
}

/// Returns true for a line that rustdoc does not show.
fn is_hidden(line: &str) -> bool {
    line.trim() == "#" || (line.starts_with("# ") && !line.starts_with("# Cargo.toml"))
}

/// Returns a manifest with these dependencies, of which keyward is this one.
fn manifest(dependencies: &str) -> String {
    let here = format!("keyward = {{ path = {:?}, version", root());
    assert!(dependencies.contains("keyward = { version"), "{dependencies}");
    let dependencies = dependencies.replace("keyward = { version", &here);
    format!("[package]\nname = \"tutorial\"\nedition = \"2024\"\n\n{dependencies}\n")
}
