//! Rows and fields of the example are limited by the decision. The tests create people, roles and tokens in the database.

use crate::platform::CM;
use keyward::admin::{Lifespan, OwnerState};
use keyward::authz::{ConditionClause, Conditions, Fields, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Predicate};
use keyward::token::HashKeyRing;
use keyward::{Grant, Keyward, NewAdminToken, NewOwner, NewRole, Permission, RoleId, SqliteStore};
use keyward_test_support::platform::{SALT, Server, platform};
use serde_json::{Value, json};
use tempfile::TempDir;

const ARTICLE: &str = "api::article.article";

fn may(deed: &str) -> Permission {
    Permission::new(format!("plugin::content-manager.explorer.{deed}")).on(ARTICLE)
}

fn only(fields: &[&str]) -> Fields {
    Fields::only(fields.iter().copied()).unwrap()
}

/// Returns a platform where each of these people has a role with these permissions and a token with these grants.
fn people(all: &[(Vec<Permission>, Vec<Grant>)]) -> (TempDir, Server, Vec<String>) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("platform.db");
    let make = async {
        let hash_keys = HashKeyRing::parse(SALT).unwrap();
        let store = SqliteStore::open(&file).await.unwrap();
        // Registered here and unknown to the platform: a condition that cannot be evaluated denies.
        let conditions = Conditions::default().register("no::such", |_| Predicate::Always);
        let builder = Keyward::builder(store).hash_key(hash_keys).conditions(conditions);
        let keyward = builder.admin("/admin").build().unwrap();
        let mut secrets = Vec::new();
        for (i, (permissions, grants)) in all.iter().enumerate() {
            let (name, description) = (format!("r{i}"), String::new());
            let role = NewRole { name, description, permissions: permissions.clone() };
            let role = match permissions.is_empty() {
                true => RoleId::SUPER_ADMIN,
                false => keyward.roles().create(role).await.unwrap().id,
            };
            let (email, firstname, state) = (format!("p{i}@example.test"), format!("P{i}"), OwnerState::Active);
            let owner = NewOwner { firstname, state, roles: vec![role], ..NewOwner::new(email) };
            let owner = keyward.owners().create(owner).await.unwrap().id;
            let (name, description, lifespan) = (format!("t{i}"), String::new(), Lifespan::Unlimited);
            let token =
                NewAdminToken::new(name, owner).description(description).grants(grants.clone()).lifespan(lifespan);
            secrets.push(keyward.tokens().issue_admin(token).await.unwrap().secret.expose().to_owned());
        }
        secrets
    };
    let secrets = tokio::runtime::Runtime::new().unwrap().block_on(make);
    let mut command = platform(&file);
    command.arg("--empty");
    (dir, Server::start(command), secrets)
}

fn everything() -> (Vec<Permission>, Vec<Grant>) {
    let deeds = ["create", "read", "update", "delete"];
    (Vec::new(), deeds.iter().map(|deed| Grant::from(&may(deed))).collect())
}

/// Returns permissions to see and change only own rows, by this condition.
fn own(condition: &str) -> (Vec<Permission>, Vec<Grant>) {
    let when = || ConditionClause::from_list([condition]);
    let permissions: Vec<_> =
        [may("create"), may("read").when(when()), may("update").when(when()), may("delete").when(when())].into();
    let grants = permissions.iter().map(Grant::from).collect();
    (permissions, grants)
}

fn create(server: &Server, secret: &str, title: &str, body: &str) -> String {
    let article = json!({"title": title, "body": body}).to_string();
    let made = server.json("POST", CM, secret, &article).assert(201);
    format!("{CM}/{}", made.at("/data/documentId").as_str().unwrap())
}

#[test]
fn lists_count_sort_and_page_visible_rows_only() {
    let (_dir, server, secrets) = people(&[everything(), own(IS_CREATOR)]);
    let [root, ed] = &secrets[..] else { unreachable!() };
    for title in ["b", "d", "f"] {
        create(&server, root, title, "secret");
    }
    for title in ["c", "a", "e"] {
        create(&server, ed, title, "own");
    }
    let list = |secret: &str, query: &str| server.get(&format!("{CM}?{query}"), secret).assert(200);
    let page = list(ed, "sort=title&pageSize=2&page=2");
    assert_eq!(page.column("title"), ["e"]);
    assert_eq!(page.at("/pagination"), json!({"page": 2, "pageSize": 2, "pageCount": 2, "total": 3}));
    assert_eq!(page.at("/results/0/createdBy"), json!({"id": 2, "firstname": "P1", "lastname": ""}));
    assert_eq!(list(ed, "").column("title"), ["c", "a", "e"]);
    assert_eq!(list(ed, "sort=body,title:desc").column("title"), ["e", "c", "a"]);
    assert_eq!(list(ed, "filters[body]=secret").at("/pagination/total"), 0);
    assert_eq!(list(ed, "filters[title]=b").at("/pagination/total"), 0);
    assert_eq!(list(ed, "filters[title][$eq]=c").column("title"), ["c"]);
    assert_eq!(list(ed, "pagination[page]=2&pagination[pageSize]=2").column("title"), ["e"]);
    assert_eq!(list(root, "sort=title:desc&pageSize=100").column("title"), ["f", "e", "d", "c", "b", "a"]);
    assert_eq!(list(root, "filters%5Bbody%5D=secret").at("/pagination/total"), 3);
    for (query, path) in [
        ("page=0", "page"),
        ("pageSize=101", "pageSize"),
        ("sort=nope", "sort"),
        ("sort=title:up", "sort"),
        ("sort=creator_id", "sort"),
        ("filters[creator_id]=1", "filters.creator_id"),
        ("filters[title][$contains]=b", "filters.title.$contains"),
        ("filters[title][$eq][$eq]=b", "filters.title.$eq][$eq"),
        ("filters[creator_id][$gt]=1", "filters.creator_id"),
        ("pagination[pageSize]=101", "pagination[pageSize]"),
        ("page=1&pagination[page]=2", "pagination[page]"),
        ("filters[title]=a&filters[title][$eq]=b", "filters[title][$eq]"),
        ("bogus=1", "bogus"),
    ] {
        assert_eq!(server.get(&format!("{CM}?{query}"), ed).assert(400).problem(), path);
    }
}

#[test]
fn rows_of_others_are_404() {
    let (_dir, server, secrets) = people(&[everything(), own(IS_CREATOR)]);
    let [root, ed] = &secrets[..] else { unreachable!() };
    let (theirs, mine) = (create(&server, root, "theirs", "secret"), create(&server, ed, "mine", "own"));
    let nothing = server.get(&format!("{CM}/nothing"), ed).assert(404).text;
    assert_eq!(server.get(&theirs, ed).assert(404).text, nothing);
    assert_eq!(server.json("PUT", &theirs, ed, r#"{"title":"taken"}"#).assert(404).text, nothing);
    assert_eq!(server.json("DELETE", &theirs, ed, "").assert(404).text, nothing);
    assert_eq!(server.get(&theirs, root).assert(200).at("/data/title"), "theirs");
    assert_eq!(server.json("PUT", &mine, ed, r#"{"title":"new"}"#).assert(200).at("/data/title"), "new");
    // A row that was read can be written back, but not with another creator.
    let whole = server.get(&mine, ed).at("/data");
    server.json("PUT", &mine, ed, &whole.to_string()).assert(200);
    let mut stolen = whole;
    stolen["createdBy"] = json!({"id": 1, "firstname": "P0", "lastname": ""});
    stolen.as_object_mut().unwrap().remove("updatedAt");
    assert_eq!(server.json("PUT", &mine, ed, &stolen.to_string()).assert(400).problem(), "createdBy");
    assert_eq!(server.json("DELETE", &mine, ed, "").assert(200).at("/data/title"), "new");
    server.get(&mine, root).assert(404);
}

#[test]
fn shared_role_condition_uses_current_roles() {
    let same_role = own(HAS_SAME_ROLE_AS_CREATOR);
    let (_dir, server, secrets) = people(&[everything(), same_role.clone(), same_role]);
    let [root, ed, other] = &secrets[..] else { unreachable!() };
    let (theirs, mine) = (create(&server, root, "theirs", ""), create(&server, ed, "mine", ""));
    assert_eq!(server.get(CM, ed).assert(200).column("title"), ["mine"]);
    server.get(&mine, ed).assert(200);
    server.json("PUT", &mine, ed, r#"{"title":"new"}"#).assert(200);
    for path in [&theirs, &mine] {
        server.get(path, other).assert(404);
        server.json("PUT", path, other, r#"{"title":"taken"}"#).assert(404);
        server.json("DELETE", path, other, "").assert(404);
    }
}

#[test]
fn hidden_fields_are_neither_shown_nor_filterable() {
    let editor = vec![
        may("create"),
        may("read").fields(only(&["title"])),
        may("read").fields(only(&["body"])).when(ConditionClause::from_list([IS_CREATOR])),
        may("update").fields(only(&["title"])),
    ];
    let read = Grant::new("plugin::content-manager.explorer.read").on(ARTICLE).fields(only(&["title", "body"]));
    let update = Grant::from(&may("update")).fields(only(&["title"]));
    let grants = vec![Grant::from(&may("create")), read, update];
    let (_dir, server, secrets) = people(&[everything(), (editor, grants)]);
    let [root, ed] = &secrets[..] else { unreachable!() };
    let theirs = create(&server, root, "theirs", "secret");
    create(&server, ed, "mine", "own");
    let list = server.get(CM, ed).assert(200);
    assert_eq!(list.column("title"), ["theirs", "mine"]);
    assert_eq!(list.column("body"), [Value::Null, json!("own")]);
    assert!(!list.text.contains("secret") && !list.text.contains("slug") && !list.text.contains("creator_"));
    for query in
        ["sort=body", "sort=title,body:desc", "filters[body]=secret", "filters[body][$startsWith]=s", "sort=slug"]
    {
        server.get(&format!("{CM}?{query}"), ed).assert(400);
    }
    assert_eq!(server.get(&format!("{CM}?filters[title]=theirs"), ed).assert(200).at("/pagination/total"), 1);
    // The title of any row may be set; the response shows only readable fields.
    let answer = server.json("PUT", &theirs, ed, r#"{"title":"set"}"#).assert(200);
    assert!(answer.at("/data").get("body").is_none());
    for guess in ["secret", "wrong"] {
        let body = json!({"title": "set", "body": guess}).to_string();
        assert_eq!(
            server.json("PUT", &theirs, ed, &body).assert(403).at("/error/details/errors/0/path"),
            json!(["body"])
        );
    }
}

#[test]
fn read_and_write_permissions_are_separate() {
    let permissions = vec![
        may("create").fields(only(&["title"])),
        may("read").fields(only(&["title"])),
        may("update"),
        may("delete").when(ConditionClause::from_list(["no::such"])),
    ];
    let grants = permissions.iter().map(Grant::from).collect();
    let (_dir, server, secrets) = people(&[everything(), (permissions, grants)]);
    let [root, ed] = &secrets[..] else { unreachable!() };
    let theirs = create(&server, root, "theirs", "secret");
    let refused = server.json("POST", CM, ed, r#"{"title":"t","body":"b"}"#).assert(403);
    assert_eq!(refused.at("/error/details/errors/0/path"), json!(["body"]));
    assert_eq!(server.get(CM, root).at("/pagination/total"), 1);
    server.json("POST", CM, ed, r#"{"title":"t"}"#).assert(201);
    let answer = server.json("PUT", &theirs, ed, r#"{"title":"set"}"#).assert(200);
    assert_eq!(answer.at("/data/title"), "set");
    assert!(!answer.text.contains("secret"));
    // An unknown condition never holds, so nothing is allowed.
    server.json("DELETE", &theirs, ed, "").assert(403);
    server.get(&theirs, root).assert(200);
}
