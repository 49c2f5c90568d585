//! A catalogue renames an action, a resource or a field: roles and tokens keep their permissions under the new name.

use keyward::admin::{AuditAction, AuditCause};
use keyward::authz::{ActionEntry, Catalogue, Fields, Rename, ResourceEntry};
use keyward::store::WriteStore;
use keyward::store::{EventQuery, Paging};
use keyward::testing::HASH_KEY;
use keyward::token::{ContentAccess, TokenId};
use keyward::{
    Grant, HashKey, Keyward, MemoryStore, NewAdminToken, NewContentToken, NewOwner, NewRole, Permission, RoleId,
    SqliteStore,
};
use std::sync::Arc;

fn catalogue(action: &str, resource: &str, fields: [&str; 2], content: &str) -> Catalogue {
    Catalogue::default()
        .resource(ResourceEntry::collection(resource, "Article").fields(fields))
        .action(ActionEntry::on_resources(action, "Read", [resource]).with_fields())
        .content_action(content)
}

fn before() -> Catalogue {
    catalogue("explorer.read", "post", ["heading", "body"], "post.find")
}

/// Returns the same catalogue with every name changed.
fn after() -> Catalogue {
    catalogue("manager.read", "article", ["title", "body"], "article.find")
        .renamed(Rename::action("explorer.read", "manager.read"))
        .renamed(Rename::action("post.find", "article.find"))
        .renamed(Rename::resource("post", "article"))
        .renamed(Rename::field("article", "heading", "title"))
}

fn installation(store: Arc<impl WriteStore>, catalogue: Catalogue) -> Keyward {
    let hash_key = HashKey::parse(HASH_KEY).unwrap();
    Keyward::builder(store).hash_key(hash_key).admin("/admin").content("/api").catalogue(catalogue).build().unwrap()
}

/// The role and the tokens that use the old names.
struct Ids {
    role: RoleId,
    admin: TokenId,
    content: TokenId,
}

async fn issue(keyward: &Keyward) -> Ids {
    keyward.set_up().await.unwrap();
    let fields = || Fields::only(["heading", "body"]).unwrap();
    let read = Permission::new("explorer.read").on("post").fields(fields());
    let role = keyward.roles().create(NewRole::new("Reader").permissions([read])).await.unwrap().id;
    let owner = keyward.owners().create(NewOwner::new("ada@example.test").roles([role])).await.unwrap().id;
    let grant = Grant::new("explorer.read").on("post").fields(fields());
    let admin = keyward.tokens().issue_admin(NewAdminToken::new("admin", owner).grants([grant])).await.unwrap();
    let access = ContentAccess::Custom(["post.find".into()].into());
    let content = keyward.tokens().issue_content(NewContentToken::new("content", access)).await.unwrap();
    Ids { role, admin: admin.token.id, content: content.token.id }
}

async fn events(keyward: &Keyward) -> Vec<(AuditAction, Option<AuditCause>)> {
    let query = EventQuery::all(Paging { page: 1, page_size: 100 });
    let page = keyward.audit().list(&query).await.unwrap();
    page.items.into_iter().map(|(_, event)| (event.what, event.cause)).collect()
}

async fn names_are_renamed_once(store: Arc<impl WriteStore>) {
    let held = issue(&installation(store.clone(), before())).await;
    let keyward = installation(store.clone(), after());
    let found = keyward.set_up().await.unwrap();
    assert_eq!((found.renamed, found.clamped), (3, 0));
    let fields = Fields::only(["title", "body"]).unwrap();
    let role = keyward.roles().read(held.role).await.unwrap();
    assert_eq!(role.permissions, [Permission::new("manager.read").on("article").fields(fields.clone())]);
    let admin = keyward.tokens().read(held.admin).await.unwrap();
    assert_eq!(admin.token.grants(), [Grant::new("manager.read").on("article").fields(fields)]);
    let content = keyward.tokens().read(held.content).await.unwrap();
    assert_eq!(content.token.access(), Some(&ContentAccess::Custom(["article.find".into()].into())));
    let recorded = events(&keyward).await;
    let renamed = |what| recorded.iter().filter(|event| **event == (what, Some(AuditCause::Renamed))).count();
    assert_eq!((renamed(AuditAction::RolePermissionsSet), renamed(AuditAction::TokenUpdated)), (1, 2));

    let again = keyward.set_up().await.unwrap();
    assert_eq!((again.renamed, again.clamped), (0, 0));
    assert_eq!(events(&keyward).await.len(), recorded.len());
}

#[tokio::test]
async fn renamed_entries_keep_permissions_and_grants() {
    names_are_renamed_once(Arc::new(MemoryStore::default())).await;
    let directory = tempfile::tempdir().unwrap();
    names_are_renamed_once(Arc::new(SqliteStore::open(directory.path().join("keyward.db")).await.unwrap())).await;
}

#[tokio::test]
async fn entries_missing_from_the_catalogue_are_removed_without_a_rename() {
    let store = Arc::new(MemoryStore::default());
    issue(&installation(store.clone(), before())).await;
    let bare = catalogue("manager.read", "article", ["title", "body"], "article.find");
    let found = installation(store, bare).set_up().await.unwrap();
    assert_eq!((found.renamed, found.clamped), (0, 2));
}

#[tokio::test]
async fn registered_name_is_not_renamed() {
    let store = Arc::new(MemoryStore::default());
    let held = issue(&installation(store.clone(), before())).await;
    let both = before()
        .resource(ResourceEntry::collection("article", "Article").fields(["title"]))
        .action(ActionEntry::on_resources("manager.read", "Read", ["article"]).with_fields())
        .renamed(Rename::action("explorer.read", "manager.read"))
        .renamed(Rename::resource("post", "article"))
        .renamed(Rename::field("post", "heading", "body"));
    let keyward = installation(store, both);
    assert_eq!(keyward.set_up().await.unwrap().renamed, 0);
    let admin = keyward.tokens().read(held.admin).await.unwrap();
    assert_eq!(admin.token.grants()[0].scope.action.as_str(), "explorer.read");
}

#[tokio::test]
async fn two_old_names_of_one_new_name_become_one_permission() {
    let store = Arc::new(MemoryStore::default());
    let old = Catalogue::default()
        .action(ActionEntry::settings("hooks.list", "Hooks", "List"))
        .action(ActionEntry::settings("hooks.show", "Hooks", "Show"));
    let keyward = installation(store.clone(), old);
    keyward.set_up().await.unwrap();
    let both = ["hooks.list", "hooks.show"].map(Permission::new);
    let role = keyward.roles().create(NewRole::new("Hooks").permissions(both)).await.unwrap().id;
    let new = Catalogue::default()
        .action(ActionEntry::settings("hooks.read", "Hooks", "Read"))
        .renamed(Rename::action("hooks.list", "hooks.read"))
        .renamed(Rename::action("hooks.show", "hooks.read"));
    let keyward = installation(store, new);
    assert_eq!(keyward.set_up().await.unwrap().renamed, 1);
    assert_eq!(keyward.roles().read(role).await.unwrap().permissions, [Permission::new("hooks.read")]);
}
