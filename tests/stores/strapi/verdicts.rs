//! Databases of a real Strapi, if available, with Strapi's verdict for each token; the example `beside_strapi` must agree over HTTP.

use keyward_test_support::platform::{Server, bearer};
use keyward_test_support::{example, postgres};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) fn fixtures() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    if !place.is_dir() {
        eprintln!("SKIPPED: verdicts of a real reference. {} is not there", place.display());
        return None;
    }
    Some(place)
}

fn beside(database: &str, hash_key: &str) -> Command {
    let mut command = Command::new(example("beside_strapi"));
    command.args(["--listen", "127.0.0.1:0", "--database", database]).env("API_TOKEN_SALT", hash_key);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Returns rules in a canonical order.
fn sorted(rules: &Value) -> Vec<String> {
    let mut rules: Vec<String> = rules.as_array().unwrap().iter().map(ToString::to_string).collect();
    rules.sort();
    rules
}

/// Asserts every verdict of the file and returns their number.
fn judge(server: &Server, facts: &Value) -> usize {
    let mut count = 0;
    for token in facts["tokens"].as_array().unwrap() {
        for verdict in token["verdicts"].as_array().unwrap() {
            let articles = "/content-manager/collection-types/api::article.article";
            let (method, path) = match verdict["action"].as_str().unwrap() {
                "plugin::content-manager.explorer.read" => ("GET", articles),
                "plugin::content-manager.explorer.create" => ("POST", articles),
                "admin::webhooks.read" => ("GET", "/admin/webhooks"),
                "admin::users.read" => ("GET", "/admin/users"),
                "api::article.article.find" => ("GET", "/api/articles"),
                "api::article.article.create" => ("POST", "/api/articles"),
                other => panic!("{other}"),
            };
            let answer = server.send(method, path, &[&bearer(token["key"].as_str().unwrap())], "");
            let what = format!("{} on {}: {}", token["name"], verdict["action"], answer.text);
            // An error in Strapi itself: the token's owner was deleted.
            let failed = verdict["status"] == 500;
            assert_eq!(answer.status, if failed { 401 } else { verdict["status"].as_u64().unwrap() as u16 }, "{what}");
            if answer.status >= 400 && !failed {
                assert_eq!(answer.at("/error/message"), verdict["message"], "{what}");
            }
            if let Some(rules) = verdict.get("rules") {
                assert_eq!(sorted(&answer.at("/rules")), sorted(rules), "{what}");
            }
            count += 1;
        }
    }
    count
}

pub(crate) fn facts(place: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.join(name)).unwrap()).unwrap()
}

#[test]
fn every_verdict_holds_on_sqlite() {
    let Some(place) = fixtures() else { return };
    let facts = facts(&place, "strapi-5.54.0.json");
    let database = format!("sqlite:{}", place.join("strapi-5.54.0.sqlite").display());
    let server = Server::start(beside(&database, facts["salt"].as_str().unwrap()));
    assert!(judge(&server, &facts) >= 100);
}

#[test]
fn every_verdict_holds_on_postgres() {
    let Some(place) = fixtures() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(url) = runtime.block_on(postgres::create_database()) else { return };
    let facts = facts(&place, "strapi-5.54.0-postgres.json");
    restore(&place.join("strapi-5.54.0-postgres.sql.gz"), &url);
    let server = Server::start(beside(&url, facts["salt"].as_str().unwrap()));
    assert!(judge(&server, &facts) >= 100);
}

/// Restores a dump into a database.
pub(crate) fn restore(dump: &Path, url: &str) {
    let mut unpacked = Command::new("gzip").arg("-dc").arg(dump).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    unpacked.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(unpacked.wait().unwrap().success());
    let psql = postgres::find_programs().map_or("psql".into(), |programs| programs.join("psql"));
    let mut restoring = Command::new(psql);
    restoring.args(["-q", "-v", "ON_ERROR_STOP=1", url]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut restoring = restoring.spawn().unwrap();
    restoring.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(restoring.wait().unwrap().success());
}

#[test]
fn wrong_salt_fails_startup_with_the_encryption_key() {
    let Some(place) = fixtures() else { return };
    let facts = facts(&place, "strapi-5.54.0.json");
    let database = format!("sqlite:{}", place.join("strapi-5.54.0.sqlite").display());
    let (hash_key, key) = (facts["salt"].as_str().unwrap(), facts["encryption_key"].as_str().unwrap());
    for (hash_key, key, says) in [
        ("another", key, "check that the salt is Strapi's API_TOKEN_SALT"),
        (hash_key, "another", "check that it is Strapi's ENCRYPTION_KEY"),
    ] {
        let mut command = beside(&database, hash_key);
        let output = command.env("ENCRYPTION_KEY", key).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(says), "{stderr}");
    }
    let mut right = beside(&database, hash_key);
    right.env("ENCRYPTION_KEY", key);
    assert_eq!(Server::start(right).send("GET", "/admin/users", &[], "").status, 401);
}
