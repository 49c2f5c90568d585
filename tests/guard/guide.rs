//! The tests that the guide names exist.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Returns the texts between backticks, in order.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn known_failures_name_existing_tests() {
    let page = std::fs::read_to_string(root().join("src/guide/known_failures.md")).unwrap();
    let mut headings = 0;
    for section in page.split("\n## ").skip(1) {
        headings += 1;
        let (heading, text) = section.split_once('\n').unwrap();
        let (_, shown) = text.split_once("\nShown by ").unwrap_or_else(|| panic!("{heading}: no test is named"));
        let (mut file, mut source) = (None, String::new());
        for name in quoted(shown.split("\n\n").next().unwrap()) {
            if name.ends_with(".rs") {
                source = std::fs::read_to_string(root().join(name)).unwrap_or_else(|_| panic!("{heading}: {name}"));
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
