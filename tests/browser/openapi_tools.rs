//! The API's description in other programs: a validator of OpenAPI, and generators of clients for Python and TypeScript.
//!
//! `.ci/run` installs them in `target/openapi-tools`. Tests whose programs are missing are skipped with a message; with
//! `KEYWARD_REQUIRE_TOOLS=1` they fail.

use keyward::testing::App;
use keyward::{HashKey, Keyward, MemoryStore, api};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const REQUIRED: &str = "KEYWARD_REQUIRE_TOOLS";

fn tool(path: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("openapi-tools").join(path);
    if file.exists() {
        return Some(file);
    }
    assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "{} is missing, and {REQUIRED} is 1", file.display());
    eprintln!("SKIPPED: a test of the API's description: {} is missing", file.display());
    None
}

/// Writes the description to files, without and with a base path.
async fn documents() -> (TempDir, [PathBuf; 2]) {
    let dir = TempDir::new().unwrap();
    let files = ["", "/keys"].map(|base| dir.path().join(format!("openapi{}.json", base.replace('/', "-"))));
    for (base, file) in ["", "/keys"].into_iter().zip(&files) {
        let hash_key = HashKey::generate().unwrap().0;
        let keyward =
            Keyward::builder(MemoryStore::default()).hash_key(hash_key).api("/admin").base_path(base).build().unwrap();
        let app = App::from_service(keyward.guard(api::router(&keyward)));
        let document = app.get("/admin/openapi.json").await;
        std::fs::write(file, &document.assert_status(200).body).unwrap();
    }
    (dir, files)
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[tokio::test]
async fn validator_accepts_the_description() {
    let Some(validator) = tool("python/bin/openapi-spec-validator") else { return };
    let (_dir, files) = documents().await;
    for file in files {
        run(Command::new(&validator).args(["--validation-errors", "all"]).arg(file));
    }
}

/// Without a warning: a generator only warns of parts that it leaves out.
#[tokio::test]
async fn python_generator_makes_a_client_of_the_whole_description() {
    let Some(generator) = tool("python/bin/openapi-python-client") else { return };
    let (dir, [file, _]) = documents().await;
    let out = dir.path().join("client");
    // The generator formats its output with the installed ruff.
    let beside = generator.parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([beside].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let said = run(Command::new(generator)
        .args(["generate", "--meta", "none", "--fail-on-warning", "--path"])
        .arg(file)
        .arg("--output-path")
        .arg(&out)
        .env("PATH", path));
    assert!(!said.contains("Warning"), "{said}");
    let operations = walk(&out.join("api")).into_iter().filter(|name| !name.ends_with("__init__.py")).count();
    assert!(operations >= 39, "{operations} operations: {said}");
    let Some(python) = tool("python/bin/python3") else { return };
    run(Command::new(python).args(["-m", "compileall", "-q"]).arg(&out));
}

#[tokio::test]
async fn typescript_generator_makes_types_that_compile() {
    let Some(generator) = tool("node/node_modules/.bin/openapi-typescript") else { return };
    let Some(compiler) = tool("node/node_modules/.bin/tsc") else { return };
    let (dir, [file, _]) = documents().await;
    let out = dir.path().join("keyward.ts");
    run(Command::new(generator).arg(file).arg("--output").arg(&out));
    let text = std::fs::read_to_string(&out).unwrap();
    for name in ["getAdminTokensSelf", "putRolesByIdPermissions", "postLogin"] {
        assert!(text.contains(&format!("{name}: {{")), "{name} is not an operation");
    }
    run(Command::new(compiler).args(["--noEmit", "--strict"]).arg(&out));
}

fn walk(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => all.extend(walk(&entry.path())),
            false => all.push(entry.file_name().to_string_lossy().into_owned()),
        }
    }
    all
}
