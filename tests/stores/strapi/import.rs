//! Databases of a real Strapi are imported by the program `keyward` and then judged by the example platform.

use crate::strapi::verdicts::{facts, fixtures, restore};
use axum::Json;
use axum::routing::get;
use keyward::admin::Lifespan;
use keyward::authz::{ActionEntry, Catalogue, Fields};
use keyward::store::{Digest, WriteStore};
use keyward::store::{EventQuery, NameScope};
use keyward::strapi::{Import, Outcome, Report, StrapiEncryptionKey, StrapiStore, import};
use keyward::testing::App;
use keyward::token::{EncryptionKeys, HashKeyRing, StrapiHashKey};
use keyward::{
    Decision, Grant, GuardedRouter, Keyward, NewAdminToken, Permission, PostgresStore, RoleId, SqliteStore, action,
};
use keyward_test_support::platform::{Answer, SALT, Server, bearer, platform_on};
use keyward_test_support::{command_line_tool, postgres};
use serde_json::{Value, json};
use std::error::Error;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SEALS: &str = "2026:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";
const PASSWORD: &str = "Passw0rd!";
const CM: &str = "/admin/content-manager/collection-types/api::article.article";
const JSON: &str = "Content-Type: application/json";

/// A Strapi database, the facts known about it, and the address of the target database.
struct Move {
    from: String,
    into: String,
    facts: Value,
    _directory: TempDir,
}

impl Move {
    fn on_sqlite() -> Option<Self> {
        let place = fixtures()?;
        let directory = tempfile::tempdir().unwrap();
        let from = format!("sqlite:{}", place.join("strapi-5.54.0.sqlite").display());
        let into = format!("sqlite:{}", directory.path().join("keyward.db").display());
        Some(Self { from, into, facts: facts(&place, "strapi-5.54.0.json"), _directory: directory })
    }

    fn on_postgres() -> Option<Self> {
        let place = fixtures()?;
        let runtime = Runtime::new().unwrap();
        let from = runtime.block_on(postgres::create_database())?;
        let into = runtime.block_on(postgres::create_database())?;
        restore(&place.join("strapi-5.54.0-postgres.sql.gz"), &from);
        let facts = facts(&place, "strapi-5.54.0-postgres.json");
        Some(Self { from, into, facts, _directory: tempfile::tempdir().unwrap() })
    }

    fn text(&self, name: &str) -> &str {
        self.facts[name].as_str().unwrap()
    }

    /// Returns the program on a database, with the secrets of this Strapi.
    fn tool(&self, database: &str) -> Command {
        let mut command = Command::new(command_line_tool());
        command.args(["--database", database]).env("KEYWARD_HASH_KEY", SALT).stdin(Stdio::null());
        command.env("API_TOKEN_SALT", self.text("salt")).env("ENCRYPTION_KEY", self.text("encryption_key"));
        command.env("KEYWARD_ENCRYPTION_KEY", SEALS);
        command
    }

    /// Creates the target database.
    fn init(&self) {
        let output = self.tool(&self.into).arg("init").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Returns the import into a database.
    fn import_into(&self, database: &str, flags: &[&str]) -> Command {
        let mut command = self.tool(database);
        command.args(["import", "strapi", "--from", &self.from]).args(flags);
        command
    }

    /// Returns the output of a successful import.
    fn print(&self, flags: &[&str]) -> String {
        let output = self.import_into(&self.into, flags).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn platform(&self) -> Server {
        let mut command = platform_on(&self.into);
        command.env("KEYWARD_STRAPI_HASH_KEY", self.text("salt")).env("KEYWARD_ENCRYPTION_KEY", SEALS);
        Server::start(command)
    }

    /// Returns an installation on the target database.
    async fn keyward(&self) -> Keyward {
        match self.into.strip_prefix("sqlite:") {
            Some(file) => self.on(SqliteStore::open(file).await.unwrap()),
            None => self.on(PostgresStore::connect(&self.into).await.unwrap()),
        }
    }

    fn on(&self, store: impl WriteStore) -> Keyward {
        Keyward::builder(store)
            .hash_key(HashKeyRing::parse(SALT).unwrap())
            .strapi_hash_key(StrapiHashKey::new(self.text("salt")).unwrap())
            .encryption(EncryptionKeys::parse(SEALS).unwrap())
            .admin("/admin")
            .content("/api")
            .build()
            .unwrap()
    }

    async fn import(&self, keyward: &Keyward, import_: Import) -> Report {
        let reference = StrapiStore::open(&self.from).await.unwrap();
        let key = StrapiEncryptionKey::new(self.text("encryption_key"));
        import(keyward, &reference, &import_.encryption_key(key)).await.unwrap()
    }
}

/// Returns the numbers of changes and events.
async fn marks(keyward: &Keyward) -> (u64, u64) {
    let seq = keyward.store().resolve(&Digest::Native([0; 27])).await.unwrap().seq;
    let paging = keyward::store::Paging { page: 1, page_size: 1 };
    let mut view = keyward.store().view().await.unwrap();
    (seq, view.events(&EventQuery::all(paging)).await.unwrap().total)
}

/// Returns the request that a verdict is about.
fn ask(server: &Server, action: &str, key: &str) -> Answer {
    let article = r#"{"title": "made with a key of Strapi"}"#;
    let (method, path, body) = match action {
        "plugin::content-manager.explorer.read" => ("GET", CM, ""),
        "plugin::content-manager.explorer.create" => ("POST", CM, article),
        "admin::webhooks.read" => ("GET", "/admin/webhooks", ""),
        "admin::users.read" => ("GET", "/admin/users", ""),
        "api::article.article.find" => ("GET", "/api/articles", ""),
        "api::article.article.create" => ("POST", "/api/articles", r#"{"data": {"title": "and another"}}"#),
        other => panic!("{other}"),
    };
    server.send(method, path, &[&bearer(key), JSON], body)
}

fn judge(server: &Server, facts: &Value) -> usize {
    let mut count = 0;
    for token in facts["tokens"].as_array().unwrap() {
        for verdict in token["verdicts"].as_array().unwrap() {
            let answer = ask(server, verdict["action"].as_str().unwrap(), token["key"].as_str().unwrap());
            let what = format!("{} on {}: {}", token["name"], verdict["action"], answer.text);
            // An error in Strapi itself: the token's owner was deleted.
            let failed = verdict["status"] == 500;
            assert_eq!(answer.status, if failed { 401 } else { verdict["status"].as_u64().unwrap() as u16 }, "{what}");
            if answer.status >= 400 && !failed {
                assert_eq!(answer.at("/error/message"), verdict["message"], "{what}");
            }
            count += 1;
        }
    }
    count
}

/// Returns the rules for each token's requests.
async fn same_rules(keyward: &Keyward, facts: &Value) {
    let explorer = |deed: &str| action(format!("plugin::content-manager.explorer.{deed}")).on("api::article.article");
    let routes = [
        ("plugin::content-manager.explorer.read", "/admin/read", explorer("read")),
        ("plugin::content-manager.explorer.create", "/admin/create", explorer("create")),
        ("admin::webhooks.read", "/admin/webhooks", action("admin::webhooks.read")),
        ("admin::users.read", "/admin/users", action("admin::users.read")),
    ];
    let router = routes
        .iter()
        .fold(GuardedRouter::new(), |all, (_, path, requirement)| all.route(path, requirement.clone(), get(rules)));
    let app = App::from_service(keyward.guard(router));
    let mut count = 0;
    for token in facts["tokens"].as_array().unwrap() {
        for verdict in token["verdicts"].as_array().unwrap().iter().filter(|v| v.get("rules").is_some()) {
            let (_, path, _) = routes.iter().find(|(action, ..)| verdict["action"] == *action).unwrap();
            let key = format!("Bearer {}", token["key"].as_str().unwrap());
            let answer = app.get(path).header(axum::http::header::AUTHORIZATION, &key).await;
            assert_eq!(sorted(answer.json()), sorted(verdict["rules"].clone()), "{} {path}", token["name"]);
            count += 1;
        }
    }
    assert!(count > 10);
}

async fn rules(decision: Decision) -> Json<Value> {
    let rule = |rule: &keyward::authz::DecisionRule| {
        let fields = match rule.fields() {
            Fields::All => Value::Null,
            Fields::Only(set) => json!(set.as_slice()),
        };
        let conditions: Vec<_> = rule.conditions().flatten().collect();
        json!({"fields": fields, "conditions": conditions})
    };
    Json(decision.rules().iter().map(rule).collect())
}

fn sorted(rules: Value) -> Vec<String> {
    let mut rules: Vec<String> = rules.as_array().unwrap().iter().map(ToString::to_string).collect();
    rules.sort();
    rules
}

fn sign_in(server: &Server, email: &str) -> Answer {
    let body = json!({"email": email, "password": PASSWORD}).to_string();
    server.send("POST", "/admin/login", &[JSON], &body)
}

/// Every person signs in with the former password and reveals the secrets of their tokens.
fn people_see_their_keys(server: &Server, facts: &Value) {
    let mut seen = 0;
    for (name, user) in facts["users"].as_object().unwrap() {
        let answer = sign_in(server, user["email"].as_str().unwrap());
        if ["Fay", "Gus"].contains(&name.as_str()) {
            answer.assert(400);
            continue;
        }
        let session = answer.assert(200).at("/data/token").as_str().unwrap().to_owned();
        let listed = server.get("/admin/admin-tokens", &session).assert(200).at("/data");
        for token in listed.as_array().unwrap().iter().filter(|t| t["adminUserOwner"]["email"] == user["email"]) {
            let opened = server.get(&format!("/admin/admin-tokens/{}", token["id"]), &session).assert(200);
            let there = facts["tokens"].as_array().unwrap().iter().find(|t| t["name"] == token["name"]).unwrap();
            assert_eq!(opened.at("/data/accessKey"), there["key"], "{}", token["name"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 10, "of all tokens but those whose owner was deleted or may not sign in");
}

async fn is_ours(keyward: &Keyward, email: &str) -> bool {
    let mut view = keyward.store().view().await.unwrap();
    let id = view.owner_with_email(email).await.unwrap().unwrap();
    let hash = view.password(id).await.unwrap().unwrap().0;
    assert!(hash.starts_with("$argon2id$") || hash.starts_with("$2a$"));
    hash.starts_with("$argon2id$")
}

/// The migration as the guide describes it.
fn whole_way(a_move: &Move) {
    let runtime = Runtime::new().unwrap();
    let dry = a_move.print(&["--dry-run"]);
    assert!(
        dry.starts_with("A dry run: nothing was changed. From \"strapi\" would come: 5 roles, 8 owners, "),
        "{dry}"
    );
    a_move.init();
    let said = a_move.print(&[]);
    // One of the 13 admin tokens has no owner; 2 content tokens come with every Strapi.
    let counts = "From \"strapi\" came: 5 roles, 8 owners, 12 admin tokens, 8 content tokens. \
                  Keys that can be shown again: 20.\n";
    assert!(said.starts_with(counts), "{said}");
    let narrowed = "\n\nCame, and allows less than there, because the owner may no more:\n  grant \
                    plugin::content-manager.explorer.read on api::article.article of token 10 \"eli-read\": there all \
                    fields of every row; here ";
    assert!(said.contains(narrowed), "{said}");
    assert!(said.contains("  token 14 \"cyd-ownerless\": its owner is gone"), "{said}");
    for secret in
        [a_move.text("salt"), a_move.text("encryption_key"), a_move.facts["tokens"][0]["key"].as_str().unwrap()]
    {
        assert!(!said.contains(secret), "{said}");
    }

    let server = a_move.platform();
    assert!(judge(&server, &a_move.facts) >= 100);
    let here = runtime.block_on(a_move.keyward());
    runtime.block_on(same_rules(&here, &a_move.facts));
    let ada = "ada@example.test";
    assert!(!runtime.block_on(is_ours(&here, ada)));
    let wrong = json!({"email": ada, "password": "passw0rd!"}).to_string();
    server.send("POST", "/admin/login", &[JSON], &wrong).assert(400);
    assert!(!runtime.block_on(is_ours(&here, ada)));
    people_see_their_keys(&server, &a_move.facts);
    assert!(runtime.block_on(is_ours(&here, ada)));
    sign_in(&server, ada).assert(200);

    let before = runtime.block_on(marks(&here));
    let again = a_move.print(&[]);
    assert_eq!(runtime.block_on(marks(&here)), before, "nothing is changed");
    assert!(again.contains("\nCame before, and left alone: 5 roles, 8 owners, 12 admin tokens, 8 content tokens."));
}

#[test]
fn import_on_sqlite_keeps_every_verdict() {
    let Some(a_move) = Move::on_sqlite() else { return };
    whole_way(&a_move);
}

#[test]
fn import_on_postgres_keeps_every_verdict() {
    let Some(a_move) = Move::on_postgres() else { return };
    whole_way(&a_move);
}

async fn status(keyward: &Keyward, path: &str, requirement: &str, key: &str) -> u16 {
    let app = App::from_service(keyward.guard(GuardedRouter::new().route(path, action(requirement), get(async || ()))));
    app.get(path).header(axum::http::header::AUTHORIZATION, &format!("Bearer {key}")).await.status.as_u16()
}

/// Tokens revoked, clamped or deleted after the import stay so.
async fn stays_gone(a_move: &Move, keyward: &Keyward) {
    let root_all = a_move.facts["tokens"][0]["key"].as_str().unwrap();
    assert_eq!(
        status(keyward, "/admin/x", "admin::webhooks.read", root_all).await,
        401,
        "the token is unknown before the import"
    );
    let dry = a_move.import(keyward, Import::default().dry_run()).await;
    assert_eq!(marks(keyward).await, (0, 0), "a dry run leaves nothing");
    let report = a_move.import(keyward, Import::default()).await;
    assert_eq!(dry.came, report.came);
    let what = |report: &Report| report.entries.iter().map(|e| (e.outcome, e.what.clone())).collect::<Vec<_>>();
    assert_eq!(what(&dry), what(&report), "the dry run reports what the import does");
    assert_eq!(report.with(Outcome::Narrowed).count(), 1);

    let key = |name: &str| {
        let all = a_move.facts["tokens"].as_array().unwrap();
        all.iter().find(|t| t["name"] == name).unwrap()["key"].as_str().unwrap().to_owned()
    };
    let webhooks = async |name: &str| status(keyward, "/admin/x", "admin::webhooks.read", &key(name)).await;
    let users = async |name: &str| status(keyward, "/admin/x", "admin::users.read", &key(name)).await;
    let content = async |name: &str| status(keyward, "/api/x", "api::article.article.find", &key(name)).await;
    assert_eq!((webhooks("root-all").await, webhooks("ada-read").await, users("cyd-ops").await), (200, 200, 200));
    assert_eq!((content("ro").await, content("full").await), (200, 200));

    let mut view = keyward.store().view().await.unwrap();
    let ops = view.role_with_name("Ops").await.unwrap().unwrap();
    let ada = view.owner_with_email("ada@example.test").await.unwrap().unwrap();
    let mut named = Vec::new();
    for name in ["root-all", "ro"] {
        named.push(view.token_with_name(name, NameScope::Installation).await.unwrap().unwrap());
    }
    drop(view);
    keyward.roles().set_permissions(ops, vec![Permission::new("admin::webhooks.read")]).await.unwrap();
    keyward
        .roles()
        .set_permissions(ops, vec!["admin::webhooks.read".into(), "admin::users.read".into()])
        .await
        .unwrap();
    keyward.owners().delete(ada).await.unwrap();
    for token in named {
        keyward.tokens().revoke(token).await.unwrap();
    }
    let before = marks(keyward).await;
    let report = a_move.import(keyward, Import::default()).await;
    assert!(report.came.is_empty(), "{report}");
    assert_eq!(marks(keyward).await, before);
    assert_eq!((webhooks("root-all").await, webhooks("ada-read").await, content("ro").await), (401, 401, 401));
    assert_eq!((webhooks("cyd-ops").await, users("cyd-ops").await), (200, 403), "clamped grants do not come back");
    assert_eq!(content("full").await, 200);

    // Under another source name everything would be imported again.
    let reference = StrapiStore::open(&a_move.from).await.unwrap();
    let error = import(keyward, &reference, &Import::default().source("again")).await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("must be \"strapi\""), "{:?}", error.source());
}

#[test]
fn second_import_does_not_bring_back_removed_grants() {
    let runtime = Runtime::new().unwrap();
    for a_move in [Move::on_sqlite(), Move::on_postgres()].into_iter().flatten() {
        runtime.block_on(async {
            stays_gone(&a_move, &a_move.keyward().await).await;
        });
    }
}

/// Returns the error of a failed import.
fn complaint(import: &mut Command) -> String {
    let output = import.output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn failed_import_is_explained_and_writes_nothing() {
    let Some(a_move) = Move::on_sqlite() else { return };
    let said = a_move.print(&["--dry-run"]);
    let file = a_move.into.strip_prefix("sqlite:").unwrap();
    assert!(said.contains("nothing was changed") && !std::path::Path::new(file).exists(), "no file was created");
    // Nor are tables created in an existing file, and Strapi's own file is not a valid target.
    std::fs::write(file, "").unwrap();
    a_move.print(&["--dry-run"]);
    assert_eq!(std::fs::read(file).unwrap(), b"");
    for flags in [&["--dry-run"][..], &[]] {
        let complaint = complaint(&mut a_move.import_into(&a_move.from, flags));
        assert!(complaint.contains("--database is the database of Strapi itself"), "{complaint}");
    }
    assert!(complaint(&mut a_move.import_into(&a_move.into, &[])).contains("`keyward init` creates the tables"));
    a_move.init();
    let with = |name: &str, value: &str| complaint(a_move.import_into(&a_move.into, &[]).env(name, value));
    assert!(with("API_TOKEN_SALT", "another").contains("check that the salt is Strapi's API_TOKEN_SALT"));
    assert!(with("ENCRYPTION_KEY", "another").contains("check that it is Strapi's ENCRYPTION_KEY"));
    assert!(complaint(&mut a_move.import_into(&a_move.into, &["--source", ""])).contains("1 to 64 characters"));
    let missing = complaint(a_move.import_into(&a_move.into, &[]).env_remove("API_TOKEN_SALT"));
    assert!(missing.contains("API_TOKEN_SALT or --salt-file is missing"), "{missing}");
    let runtime = Runtime::new().unwrap();
    let home = runtime.block_on(a_move.keyward());
    assert_eq!(runtime.block_on(marks(&home)), (0, 0));
}

/// Imports into an installation in use, with its own catalogue.
#[test]
fn import_into_an_installation_in_use() {
    let Some(a_move) = Move::on_sqlite() else { return };
    Runtime::new().unwrap().block_on(async {
        let file = a_move.into.strip_prefix("sqlite:").unwrap();
        let keyward = Keyward::builder(SqliteStore::open(file).await.unwrap())
            .hash_key(HashKeyRing::parse(SALT).unwrap())
            .strapi_hash_key(StrapiHashKey::new(a_move.text("salt")).unwrap())
            .catalogue(Catalogue::default().action(ActionEntry::settings("admin::webhooks.read", "Webhooks", "Read")))
            .admin("/admin")
            .content("/api")
            .build()
            .unwrap();
        keyward.set_up().await.unwrap();
        let eli = keyward::NewOwner::new("ELI@example.test").roles([RoleId::SUPER_ADMIN]);
        let eli = keyward.owners().create(eli).await.unwrap().id;
        let mine = NewAdminToken::new("root-all", eli).grants([Grant::new("admin::webhooks.read")]);
        keyward.tokens().issue_admin(mine.lifespan(Lifespan::days(7))).await.unwrap();

        let report = a_move.import(&keyward, Import::default()).await;
        let said = report.to_string();
        for line in [
            "role 2 \"Editor\"\n",
            "token 1 \"Read Only\": here \"Read Only (strapi)\", as that name is taken\n",
            "token 3 \"root-all\": here \"root-all (strapi)\", as that name is taken\n",
            "owner 6 \"eli@example.test\": the e-mail address has an account here already",
            "token 10 \"eli-read\": its owner did not come\n",
            "permission plugin::upload.read of role 2 \"Editor\": there is no action plugin::upload.read\n",
            "content action \"api::article.article.find\" of token 18 \"find-only\": there is no such action here\n",
            "sealed keys of 19 tokens: this installation has no encryption key to seal them with\n",
        ] {
            assert!(said.contains(&format!("\n  {line}")), "{line} in {said}");
        }
        assert_eq!((report.came.owners, report.came.admin_tokens, report.came.keys), (7, 11, 0));
    });
}
