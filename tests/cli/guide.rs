//! The session of the guide, as a reader types it.

use crate::tool::bare;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A text that no output contains.
const END: &str = "\u{1}end of the output\u{1}";

/// A command of a session, and the output that the page shows.
#[derive(Default, Debug)]
struct Step {
    command: String,
    output: Vec<String>,
}

/// Returns the steps of the page's `console` blocks: commands follow `$ `, or `> ` where they go on.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
                (Some(command), _, _) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
                (None, Some(more), Some(step)) if step.output.is_empty() => write!(step.command, "\n{more}").unwrap(),
                (None, _, Some(step)) => step.output.push(line.to_owned()),
                _ => panic!("no command is before {line:?}"),
            }
        }
    }
    steps
}

/// Returns whether a line is as shown, where `[..]` stands for any text.
fn fits(line: &str, shown: &str) -> bool {
    let mut parts = shown.split("[..]");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (i, part) in parts.iter().enumerate() {
        match rest.find(part) {
            _ if i + 1 == parts.len() => return rest.ends_with(part),
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn placeholders_stand_for_any_text() {
    for (line, shown) in [("a", "a"), ("ab", "a[..]"), ("a-b-c", "a[..]b[..]c"), ("a", "a[..]"), ("x a", "[..] a")] {
        assert!(fits(line, shown), "{line} {shown}");
    }
    for (line, shown) in [("ab", "a"), ("b", "a[..]"), ("a-c", "a[..]b[..]c"), ("a", "[..] a"), ("a x", "a[..] ")] {
        assert!(!fits(line, shown), "{line} {shown}");
    }
}

#[test]
fn session_of_the_guide_prints_what_the_guide_shows() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/command_line.md")).unwrap();
    let steps = steps(&page);
    assert!(steps.len() > 15, "{} steps", steps.len());
    let directory = tempfile::tempdir().unwrap();
    let mut script = String::new();
    for step in &steps {
        // The next command sees the status of this one.
        write!(script, "{}\nstatus=$?; printf '%s\\n' '{END}'; (exit $status)\n", step.command).unwrap();
    }
    fs::write(directory.path().join("session"), &script).unwrap();
    let tool = bare(&[]);
    let mut bash = Command::new("bash");
    for (name, value) in tool.get_envs().filter(|(_, value)| value.is_none()) {
        assert!(value.is_none());
        bash.env_remove(name);
    }
    let programs = Path::new(tool.get_program()).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    // One pipe for both, so that lines stay in order.
    bash.args(["-c", "exec 2>&1; . ./session"]).current_dir(&directory).env("PATH", path).stdin(Stdio::null());
    let output = String::from_utf8(bash.output().unwrap().stdout).unwrap();
    let parts: Vec<&str> = output.split(&format!("{END}\n")).collect();
    assert_eq!(parts.len(), steps.len() + 1, "{output}");
    for (step, part) in steps.iter().zip(parts) {
        let lines: Vec<&str> = part.lines().collect();
        let same =
            lines.len() == step.output.len() && lines.iter().zip(&step.output).all(|(line, shown)| fits(line, shown));
        assert!(same, "$ {}\nprinted:\n{part}\nthe page shows:\n{}", step.command, step.output.join("\n"));
    }
}
