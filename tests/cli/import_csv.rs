//! `import csv`: keys of another system.

use crate::tool::Tool;
use axum::routing::get;
use keyward::store::WriteStore;
use keyward::testing::{App, HASH_KEY};
use keyward::token::{LegacyCharacters, LegacyFormat};
use keyward::{GuardedRouter, HashKey, Keyward, PostgresStore, SqliteStore, action};
use keyward_test_support::postgres;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;

const HEADING: &str = "name,owner,kind,actions,expiry,sha256\n";

fn key(text: &str) -> String {
    format!("acme_{text:0>40}")
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(key(text)))
}

fn server(store: impl WriteStore) -> App {
    let old_keys = LegacyFormat::sha256().prefix("acme_").length(45).characters(LegacyCharacters::Hex);
    let builder = Keyward::builder(store).hash_key(HashKey::parse(HASH_KEY).unwrap()).legacy_keys(old_keys);
    let keyward = builder.admin("/admin").content("/api").build().unwrap();
    let routes = GuardedRouter::new()
        .route("/admin/deployments", action("deployments.read"), get(|| async { "[]" }))
        .route("/api/articles", action("articles.find"), get(|| async { "[]" }));
    App::from_service(keyward.guard(routes))
}

fn write(tool: &Tool, rows: &str) {
    fs::write(tool.directory().join("keys.csv"), format!("{HEADING}{rows}")).unwrap();
}

async fn keys_open_what_their_rows_say(tool: &Tool, app: App) {
    let rows = format!(
        "deploy,ci,admin,deployments.create deployments.read,2100-01-31,{}\nsite,,content,read-only,,{}\n\"ada's, first\",ada@example.test,admin,users.read,2100-01-31T09:30:00Z,{}\n",
        digest("a1"),
        digest("b2").to_uppercase(),
        digest("c3"),
    );
    write(tool, &rows);
    assert_eq!(
        tool.json(&["import", "csv", "keys.csv", "--dry-run"]),
        json!({"dryRun": true, "adopted": 3, "skipped": 0})
    );
    assert_eq!(tool.json(&["token", "list"]), json!([]));
    assert_eq!(tool.json(&["import", "csv", "keys.csv"]), json!({"dryRun": false, "adopted": 3, "skipped": 0}));
    let status = async |path: &str, text: &str| app.get(path).bearer(&key(text)).await.status.as_u16();
    assert_eq!(status("/admin/deployments", "a1").await, 200);
    assert_eq!(status("/api/articles", "b2").await, 200);
    assert_eq!(status("/admin/deployments", "c3").await, 403);
    assert_eq!(status("/admin/deployments", "d4").await, 401);
    let deploy = tool.json(&["token", "show", "deploy"]);
    assert!(deploy["expiresAt"].as_str().unwrap().starts_with("2100-01-3"), "{deploy}");
    assert_eq!(tool.json(&["token", "show", "site"])["expiresAt"], json!(null));
    assert!(!tool.done(&["token", "show", "ada's, first"]).contains("ends in"));

    // Run again, it is refused as a whole, or skips what is there.
    write(tool, &format!("{rows}new,ci,admin,deployments.read,,{}\n", digest("d4")));
    let again = tool.fails(1, &["import", "csv", "keys.csv"]);
    assert!(again.contains("keys.csv:2: sha256: ") && again.contains("nothing was imported: 3 mistakes"), "{again}");
    assert_eq!(status("/admin/deployments", "d4").await, 401);
    assert_eq!(tool.json(&["import", "csv", "keys.csv", "--skip-adopted"])["adopted"], 1);
    assert_eq!(tool.json(&["token", "list"]).as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_file_are_adopted_on_sqlite() {
    let tool = Tool::new().with_service();
    let app = server(SqliteStore::open(tool.file()).await.unwrap());
    keys_open_what_their_rows_say(&tool, app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_file_are_adopted_on_postgresql() {
    let Some(url) = postgres::create_database().await else { return };
    let tool = Tool::on(url.clone());
    tool.done(&["init", "--admin", "ada@example.test"]);
    let tool = tool.with_service();
    let app = server(PostgresStore::connect(&url).await.unwrap());
    keys_open_what_their_rows_say(&tool, app).await;
}

#[test]
fn mistakes_are_named_by_line_and_column_and_nothing_is_imported() {
    let tool = Tool::new().with_service();
    let good = format!("good,ci,admin,deployments.read,,{}\n", digest("a1"));
    for (row, mistake) in [
        (format!(",ci,admin,deployments.read,,{}", digest("b2")), "3: name: is empty"),
        (
            format!("x,bob@example.test,admin,deployments.read,,{}", digest("b2")),
            "3: owner: there is no owner bob@example.test",
        ),
        (format!("x,,admin,deployments.read,,{}", digest("b2")), "3: owner: is empty"),
        (format!("x,ci,content,deployments.read,,{}", digest("b2")), "3: owner: a content token has no owner"),
        (format!("x,ci,other,deployments.read,,{}", digest("b2")), "3: kind: \"other\""),
        (format!("x,ci,admin,users.delete,,{}", digest("b2")), "3: actions: the owner does not hold users.delete"),
        (format!("x,ci,admin,@,,{}", digest("b2")), "3: actions: @: write ACTION"),
        (format!("x,,content,a@r,,{}", digest("b2")), "3: actions: a@r: a content token"),
        (format!("x,,content,,,{}", digest("b2")), "3: actions: a custom token names at least one action"),
        (format!("x,ci,admin,deployments.read,soon,{}", digest("b2")), "3: expiry: "),
        (format!("x,ci,admin,deployments.read,2020-01-01,{}", digest("b2")), "3: expiry: 2020-01-01 is over"),
        ("x,ci,admin,deployments.read,,abc".to_owned(), "3: sha256: must be 64 hex digits"),
        (format!("x,ci,admin,deployments.read,,{}", digest("a1")), "3: sha256: "),
        (format!("good,ci,admin,deployments.read,,{}", digest("b2")), "3: name: name already taken"),
        ("x,ci,admin".to_owned(), "3: the row has 3 columns, and the heading 6"),
    ] {
        write(&tool, &format!("{good}{row}\n"));
        let said = tool.fails(1, &["import", "csv", "keys.csv"]);
        assert!(said.contains(&format!("keys.csv:{mistake}")), "{row}: {said}");
        assert!(said.contains("nothing was imported: 1 mistake\n"), "{said}");
        assert_eq!(tool.json(&["token", "list"]), json!([]), "{row}");
    }
    for (heading, mistake) in [
        ("name,owner,kind,actions,expiry\n", "column sha256 is missing"),
        ("name,owner,kind,actions,expiry,sha256,name\n", "column name is there twice"),
        ("name,owner,kind,actions,expiry,sha256,secret\n", "unknown column secret"),
        ("", "column name is missing"),
    ] {
        fs::write(tool.directory().join("keys.csv"), heading).unwrap();
        let said = tool.fails(1, &["import", "csv", "keys.csv"]);
        assert!(said.contains(mistake), "{said}");
    }
    let read = tool.run_with(&["import", "csv", "-"], &format!("{HEADING}{good}"));
    assert_eq!((read.code, read.stdout.as_str()), (0, "adopted 1 key\n"), "{}", read.stderr);
}
