//! Hand-made sources, taken over into memory.

use super::*;
use crate::admin::{Password, SecretAccess};
use crate::domain::{
    ActionEntry, Actor, AuditAction, AuditEvent, Catalogue, ConditionClause, ContentAccess, Digest, EncryptionKeys,
    Fields, Grant, HashKey, IS_CREATOR, OwnerId, OwnerState, PasswordHash, Permission, ResourceEntry, RoleId,
    SecretFormat, StrapiHashKey, Timestamp, Token, TokenId, TokenKind, TokenKinds, TokenPrefix, seal_like_strapi,
};
use crate::keyward::Builder;
use crate::store::strapi::{ForeignAuthority, ForeignRole, ForeignToken, ForeignUser, NotUnderstood, Sealed};
use crate::store::{EventQuery, MemoryStore, NewOwner, NewRole, Paging, Store};
use std::error::Error;
use std::sync::LazyLock;
use std::time::Duration;

const SALT: &str = "4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
const REFERENCE: &str = "saltysaltysaltysalty";
const KEY: &str = "0123456789abcdef0123456789abcdef";
/// Of `Passw0rd!`, with cost 4.
static HASH: LazyLock<String> = LazyLock::new(|| bcrypt::hash("Passw0rd!", 4).unwrap());

const READ: &str = "plugin::content-manager.explorer.read";
const ARTICLE: &str = "api::article.article";

fn builder() -> Builder {
    Keyward::builder(MemoryStore::default())
        .hash_key(HashKey::parse(SALT).unwrap())
        .strapi_hash_key(StrapiHashKey::new(REFERENCE).unwrap())
        .encryption(EncryptionKeys::parse("2026:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b").unwrap())
        .admin("/admin")
        .content("/api")
}

fn with_key() -> Import {
    Import::default().encryption_key(StrapiEncryptionKey::new(KEY))
}

/// The key of the reference's token with this id.
fn key(id: i64) -> String {
    format!("{id:0256x}")
}

fn digest(id: i64) -> Digest {
    let hash_key = StrapiHashKey::new(REFERENCE).unwrap();
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(SALT).unwrap()).with_strapi(hash_key);
    format.verify(&key(id), TokenKinds::ADMIN).unwrap().digest
}

fn read() -> Permission {
    Permission::new(READ).on(ARTICLE)
}

fn only(fields: &[&str]) -> Fields {
    Fields::only(fields.iter().copied()).unwrap()
}

fn own() -> ConditionClause {
    ConditionClause::from_list([IS_CREATOR])
}

fn role(id: i64, name: &str, permissions: Vec<Permission>) -> ForeignRole {
    ForeignRole {
        id,
        key: format!("r{id}"),
        name: name.into(),
        description: format!("what {name} is for"),
        super_admin: id == 1,
        permissions,
        not_understood: Vec::new(),
    }
}

fn user(id: i64, name: &str, roles: &[i64]) -> ForeignUser {
    ForeignUser {
        id,
        key: format!("u{id}"),
        email: format!("{name}@example.test"),
        firstname: name.into(),
        lastname: "Test".into(),
        username: None,
        password: Some(PasswordHash(HASH.clone())),
        state: OwnerState::Active,
        roles: roles.to_vec(),
        created_at: Timestamp(1_000 + id),
    }
}

fn token(id: i64, name: &str, authority: ForeignAuthority) -> ForeignToken {
    ForeignToken {
        id,
        key: format!("t{id}"),
        name: name.into(),
        description: String::new(),
        digest: digest(id),
        sealed: Some(Sealed(seal_like_strapi(&StrapiEncryptionKey::new(KEY), &key(id)))),
        lifespan: Some(Duration::from_secs(7 * 86_400)),
        expires_at: Some(Timestamp(4_102_444_800_000)),
        created_at: Timestamp(2_000 + id),
        last_used_at: Some(Timestamp(3_000 + id)),
        authority,
        not_understood: Vec::new(),
    }
}

fn admin(id: i64, name: &str, owner: i64, grants: Vec<Grant>) -> ForeignToken {
    token(id, name, ForeignAuthority::Admin { owner: Some(owner), grants })
}

fn content(id: i64, name: &str, access: ContentAccess) -> ForeignToken {
    token(id, name, ForeignAuthority::Content { access })
}

/// Root, who may everything; Ada, who reads titles; Eli, who reads titles, and all of what is their own.
fn foreign() -> Foreign {
    Foreign {
        roles: vec![
            role(1, "Super Admin", vec![]),
            role(4, "Reader", vec![read().fields(only(&["title"])), Permission::new("admin::webhooks.read")]),
            role(5, "Creator", vec![read().when(own())]),
        ],
        users: vec![user(1, "root", &[1]), user(2, "ada", &[4]), user(6, "eli", &[5, 4])],
        tokens: vec![
            content(1, "Read Only", ContentAccess::ReadOnly),
            admin(3, "root-all", 1, vec![Grant::from(&read()), Grant::from(&read()).chosen(own())]),
            admin(5, "ada-read", 2, vec![Grant::from(&read()).fields(only(&["title"]))]),
            admin(10, "eli-read", 6, vec![Grant::from(&read())]),
        ],
        not_understood: Vec::new(),
    }
}

async fn seq(keyward: &Keyward) -> u64 {
    keyward.store().resolve(&Digest::Native([0; 27])).await.unwrap().seq
}

async fn audit_events(keyward: &Keyward) -> Vec<AuditEvent> {
    let mut view = keyward.store().view().await.unwrap();
    let all = Paging { page: 1, page_size: 1000 };
    let query = EventQuery { ascending: true, ..EventQuery::all(all) };
    view.events(&query).await.unwrap().items.into_iter().map(|(_, event)| event).collect()
}

/// How many changes and events there were.
async fn marks(keyward: &Keyward) -> (u64, usize) {
    (seq(keyward).await, audit_events(keyward).await.len())
}

async fn here(keyward: &Keyward, id: i64) -> Option<Token> {
    keyward.store().resolve(&digest(id)).await.unwrap().record.map(|record| record.token)
}

async fn owner_id_of(keyward: &Keyward, name: &str) -> Option<OwnerId> {
    let mut view = keyward.store().view().await.unwrap();
    view.owner_with_email(&format!("{name}@example.test")).await.unwrap()
}

async fn role_with_name(keyward: &Keyward, name: &str) -> Option<RoleId> {
    keyward.store().view().await.unwrap().role_with_name(name).await.unwrap()
}

fn told(report: &Report, outcome: Outcome) -> Vec<(String, String)> {
    report.with(outcome).map(|entry| (entry.what.clone(), entry.why.clone())).collect()
}

fn names(report: &Report, outcome: Outcome) -> Vec<String> {
    told(report, outcome).into_iter().map(|(what, _)| what).collect()
}

#[tokio::test]
async fn people_and_tokens_come_as_they_were() {
    let keyward = builder().build().unwrap();
    let report = import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    assert_eq!(report.came, Counts { roles: 2, owners: 3, admin_tokens: 3, content_tokens: 1, keys: 4 });
    assert!(report.before.is_empty() && !report.dry_run);
    assert_eq!(names(&report, Outcome::Came).len(), 2 + 3 + 4);

    let ada = keyward.owners().read(owner_id_of(&keyward, "ada").await.unwrap()).await.unwrap();
    let reader = role_with_name(&keyward, "Reader").await.unwrap();
    assert_eq!((ada.firstname.as_str(), ada.state, ada.created_at), ("ada", OwnerState::Active, Timestamp(1_002)));
    assert_eq!(ada.roles, [reader]);
    assert_eq!(keyward.roles().read(reader).await.unwrap().permissions, foreign().roles[1].permissions);
    let root = keyward.owners().read(owner_id_of(&keyward, "root").await.unwrap()).await.unwrap();
    assert!(root.is_super_admin());

    let token = here(&keyward, 5).await.unwrap();
    assert_eq!((token.name.as_str(), token.owner()), ("ada-read", Some(ada.id)));
    assert_eq!(token.hint, "0005");
    assert_eq!((token.created_at, token.expires_at), (Timestamp(2_005), Some(Timestamp(4_102_444_800_000))));
    assert_eq!((token.lifespan, token.last_used_at), (Some(Duration::from_secs(604_800)), Some(Timestamp(3_005))));
    assert_eq!(here(&keyward, 1).await.unwrap().kind(), TokenKind::Content);

    let events = audit_events(&keyward).await;
    let count =
        |what: AuditAction| events.iter().filter(|e| e.what == what && e.details["imported"] == "strapi").count();
    let kinds = [AuditAction::RoleCreated, AuditAction::OwnerCreated, AuditAction::TokenIssued, AuditAction::Imported];
    assert_eq!(kinds.map(count), [2, 3, 4, 1]);
    assert_eq!(events.len(), 10, "one event for each, and one for all of it");
    assert_eq!(seq(&keyward).await, 1, "in one change");
}

#[tokio::test]
async fn owners_see_their_keys_and_nobody_else_does() {
    let keyward = builder().build().unwrap();
    import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    let token = here(&keyward, 5).await.unwrap();
    let open = async |name: &str| {
        let who = Actor::Person(owner_id_of(&keyward, name).await.unwrap());
        keyward.tokens().acting_as(who).open(token.id).await.unwrap().secret
    };
    assert!(matches!(open("ada").await, SecretAccess::Shown(secret) if secret.expose() == key(5)));
    assert!(matches!(open("root").await, SecretAccess::NotForYou));
}

#[tokio::test]
async fn a_second_time_nothing_is_changed() {
    let keyward = builder().build().unwrap();
    let first = import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    let marks_before = marks(&keyward).await;
    let second = import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    assert_eq!(marks(&keyward).await, marks_before, "no change, no event");
    assert!(second.came.is_empty() && second.entries.is_empty(), "{second}");
    assert_eq!(second.before, Counts { keys: 0, ..first.came });

    // What came is left alone, whatever the source says by now.
    let mut later = foreign();
    later.roles[1].permissions.push(Permission::new("admin::users.read"));
    later.users[1].email = "other@example.test".into();
    later.users[1].roles.push(1);
    later.tokens[2].name = "other".into();
    later.tokens[2].digest = digest(99);
    import_foreign(&keyward, later.clone(), &Import::default()).await.unwrap();
    assert_eq!(marks(&keyward).await, marks_before);

    // And what is new comes, by what there is here.
    later.tokens.push(admin(
        11,
        "ada-new",
        2,
        vec![Grant::new("admin::webhooks.read"), Grant::new("admin::users.read")],
    ));
    later.users.push(user(7, "fay", &[4]));
    let third = import_foreign(&keyward, later, &with_key()).await.unwrap();
    assert_eq!((third.came.owners, third.came.admin_tokens, third.came.roles), (1, 1, 0));
    assert_eq!(here(&keyward, 11).await.unwrap().grants(), [Grant::new("admin::webhooks.read")]);
    assert_eq!(names(&third, Outcome::TakenAway), [r#"grant admin::users.read of token 11 "ada-new""#]);
}

#[tokio::test]
async fn what_went_here_stays_gone() {
    let keyward = builder().build().unwrap();
    import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    let reader = role_with_name(&keyward, "Reader").await.unwrap();
    // Clamped, revoked, and deleted with its owner.
    keyward.roles().set_permissions(reader, vec![Permission::new("admin::webhooks.read")]).await.unwrap();
    let root_all = here(&keyward, 3).await.unwrap().id;
    keyward.tokens().revoke(root_all).await.unwrap();
    keyward.owners().delete(owner_id_of(&keyward, "eli").await.unwrap()).await.unwrap();
    keyward.roles().delete(role_with_name(&keyward, "Creator").await.unwrap()).await.unwrap();
    let before = marks(&keyward).await;
    assert!(here(&keyward, 5).await.unwrap().grants().is_empty());

    let report = import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    assert_eq!(marks(&keyward).await, before);
    assert!(report.came.is_empty());
    assert!(here(&keyward, 5).await.unwrap().grants().is_empty());
    assert!(here(&keyward, 3).await.is_none() && here(&keyward, 10).await.is_none());
    assert!(owner_id_of(&keyward, "eli").await.is_none() && role_with_name(&keyward, "Creator").await.is_none());

    // What is new of somebody who was deleted here, or has a role that was, comes without.
    let mut later = foreign();
    later.tokens.push(admin(12, "eli-new", 6, vec![]));
    later.users.push(user(8, "gus", &[5, 4, 77]));
    let report = import_foreign(&keyward, later, &with_key()).await.unwrap();
    let left = told(&report, Outcome::Left);
    let gus = r#"owner 8 "gus@example.test""#;
    assert_eq!(
        left,
        [
            (format!("role 5 of {gus}"), "it was deleted here".to_owned()),
            (format!("role 77 of {gus}"), "there is no such role".to_owned()),
            (r#"token 12 "eli-new""#.to_owned(), "its owner was deleted here".to_owned()),
        ]
    );
    let gus = keyward.owners().read(owner_id_of(&keyward, "gus").await.unwrap()).await.unwrap();
    assert_eq!(gus.roles, [reader]);
}

#[tokio::test]
async fn no_token_is_stronger_than_its_owner() {
    let keyward = builder().build().unwrap();
    let mut source = foreign();
    let title = || only(&["title"]);
    source.tokens = vec![
        // The owner holds the title only, and no users.
        admin(
            5,
            "ada",
            2,
            vec![Grant::from(&read()), Grant::from(&read()).fields(title()), Grant::new("admin::users.read")],
        ),
        // The title of every row, all else of their own.
        admin(10, "eli", 6, vec![Grant::from(&read())]),
        admin(11, "eli-title", 6, vec![Grant::from(&read()).fields(title())]),
        admin(12, "eli-own", 6, vec![Grant::from(&read()).chosen(own())]),
    ];
    let report = import_foreign(&keyward, source, &with_key()).await.unwrap();
    assert_eq!(
        told(&report, Outcome::TakenAway),
        [
            (
                format!(r#"grant {READ} on {ARTICLE} of token 5 "ada""#),
                format!("the owner holds {READ} on {ARTICLE} for some fields only: name the fields")
            ),
            (
                r#"grant admin::users.read of token 5 "ada""#.to_owned(),
                "the owner does not hold admin::users.read".to_owned()
            ),
        ]
    );
    let narrowed = told(&report, Outcome::Narrowed);
    let [(what, why)] = &narrowed[..] else { panic!("{narrowed:?}") };
    assert_eq!(*what, format!(r#"grant {READ} on {ARTICLE} of token 10 "eli""#));
    assert_eq!(
        *why,
        "there all fields of every row; here title of every row, and all fields of rows with admin::is-creator"
    );
    assert_eq!(here(&keyward, 5).await.unwrap().grants(), [Grant::from(&read()).fields(title())]);
    assert_eq!(here(&keyward, 10).await.unwrap().grants(), [Grant::from(&read())]);
}

#[tokio::test]
async fn conditions_are_inherited_where_the_owner_has_them_anyway() {
    let keyward = builder().build().unwrap();
    let mut source = foreign();
    let (title, chosen) = (only(&["title"]), Grant::from(&read()).chosen(own()));
    source.users.push(user(7, "cyd", &[5]));
    source.tokens = vec![
        admin(3, "of a super admin", 1, vec![chosen.clone()]),
        admin(7, "inherited", 7, vec![chosen.clone()]),
        // Ada holds the title of every row: there this token may less.
        admin(8, "chosen once", 2, vec![chosen.clone().fields(title.clone())]),
        admin(9, "of both", 6, vec![chosen.clone()]),
    ];
    let report = import_foreign(&keyward, source, &with_key()).await.unwrap();
    assert_eq!((report.with(Outcome::Narrowed).count(), report.with(Outcome::TakenAway).count()), (0, 0), "{report}");
    assert_eq!(here(&keyward, 3).await.unwrap().grants(), std::slice::from_ref(&chosen));
    assert_eq!(here(&keyward, 7).await.unwrap().grants(), [Grant::from(&read())]);
    assert_eq!(here(&keyward, 8).await.unwrap().grants(), [chosen.clone().fields(title)]);
    assert_eq!(here(&keyward, 9).await.unwrap().grants(), [chosen]);
}

#[tokio::test]
async fn names_that_are_taken_get_a_suffix() {
    let keyward = builder().build().unwrap();
    keyward.set_up().await.unwrap();
    for name in ["Reader", "Creator", "Creator (strapi)"] {
        keyward.roles().create(NewRole::new(name).permissions(["admin::users.delete"])).await.unwrap();
    }
    let mut source = foreign();
    source.roles.push(role(9, " two\nlines ", vec![]));
    source.roles.push(role(10, "", vec![]));
    source.roles.push(role(11, &"ä".repeat(300), vec![]));
    source.tokens[1].name = "  root-all".into();
    source.tokens[2].description = "x".repeat(3_000);
    let report = import_foreign(&keyward, source, &with_key()).await.unwrap();
    let long = "ä".repeat(255);
    let expected = [
        (r#"role 4 "Reader""#.to_owned(), r#"here "Reader (strapi)", as that name is taken"#.to_owned()),
        (r#"role 5 "Creator""#.to_owned(), r#"here "Creator (strapi 2)", as that name is taken"#.to_owned()),
        (r#"role 9 " two\nlines ""#.to_owned(), r#"here "twolines", as names are written here"#.to_owned()),
        (r#"role 10 """#.to_owned(), r#"here "unnamed", as names are written here"#.to_owned()),
        (format!(r#"role 11 "{}""#, "ä".repeat(300)), format!(r#"here "{long}", as names are written here"#)),
        (r#"token 1 "Read Only""#.to_owned(), r#"here "Read Only (strapi)", as that name is taken"#.to_owned()),
        (r#"token 3 "  root-all""#.to_owned(), r#"here "root-all", as names are written here"#.to_owned()),
    ];
    assert_eq!(told(&report, Outcome::Renamed), expected);
    assert_eq!(names(&report, Outcome::Left), [r#"a part of the description of token 5 "ada-read""#]);
    // Nobody who came got what a role allows that happens to have the name.
    let ada = owner_id_of(&keyward, "ada").await.unwrap();
    let ceiling = keyward.store().view().await.unwrap().ceiling(ada).await.unwrap();
    assert!(ceiling.check(&Grant::new("admin::users.delete")).is_err());
    assert!(ceiling.check(&Grant::new("admin::webhooks.read")).is_ok());
}

#[tokio::test]
async fn who_is_here_already_is_left_with_all_their_tokens() {
    let keyward = builder().build().unwrap();
    keyward.owners().create(NewOwner::new("ADA@example.test")).await.unwrap();
    let mut source = foreign();
    source.users[2].email = "no address".into();
    source.tokens.push(token(14, "ownerless", ForeignAuthority::Admin { owner: None, grants: vec![] }));
    let report = import_foreign(&keyward, source, &with_key()).await.unwrap();
    let left = told(&report, Outcome::Left);
    let whys: Vec<(&str, &str)> = left.iter().map(|(what, why)| (what.as_str(), why.as_str())).collect();
    assert_eq!(
        whys,
        [
            (
                r#"owner 2 "ada@example.test""#,
                "the e-mail address has an account here already, and whoever made it would get their tokens"
            ),
            (r#"owner 6 "no address""#, "this e-mail address is refused here"),
            (r#"token 5 "ada-read""#, "its owner did not come"),
            (r#"token 10 "eli-read""#, "its owner did not come"),
            (r#"token 14 "ownerless""#, "its owner is gone, so it opens nothing there either"),
        ]
    );
    assert!(here(&keyward, 5).await.is_none());
    // Once the reason is gone, they come.
    keyward.owners().delete(owner_id_of(&keyward, "ada").await.unwrap()).await.unwrap();
    let report = import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    assert_eq!((report.came.owners, report.came.admin_tokens), (2, 2));
}

#[tokio::test]
async fn the_same_key_comes_once() {
    let keyward = builder().build().unwrap();
    import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    let mut source = foreign();
    source.users.clear();
    source.tokens.retain(|t| matches!(t.authority, ForeignAuthority::Content { .. }));
    // By another name it would come anew, with all that went here.
    let error = import_foreign(&keyward, source.clone(), &with_key().source("copy")).await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("must be \"strapi\""), "{:?}", error.source());
    // A copy that got document ids of its own.
    source.roles.iter_mut().for_each(|role| role.key.push('+'));
    source.tokens.iter_mut().for_each(|token| token.key.push('+'));
    let report = import_foreign(&keyward, source, &with_key().source("copy")).await.unwrap();
    let id = here(&keyward, 1).await.unwrap().id;
    let why = format!("its key opens token {id} here already: it came before");
    assert_eq!(told(&report, Outcome::Left), [(r#"token 1 "Read Only""#.to_owned(), why)]);
}

/// I5: what came is known again when its row has got a document id since.
#[tokio::test]
async fn what_came_without_a_document_id_does_not_come_again_with_one() {
    let keyward = builder().build().unwrap();
    let mut source = foreign();
    source.roles.iter_mut().for_each(|role| role.key = role.id.to_string());
    source.users.iter_mut().for_each(|user| user.key = user.id.to_string());
    source.tokens.iter_mut().for_each(|token| token.key = token.id.to_string());
    assert!(!import_foreign(&keyward, source, &with_key()).await.unwrap().came.is_empty());
    let gone = here(&keyward, 1).await.unwrap().id;
    keyward.tokens().revoke(gone).await.unwrap();
    let report = import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    assert!(report.came.is_empty(), "{report}");
    assert!(here(&keyward, 1).await.is_none());
}

/// Else the tokens of one would be given to the other.
#[tokio::test]
async fn who_cannot_be_told_apart_is_left() {
    let keyward = builder().build().unwrap();
    let mut source = foreign();
    source.roles[2].key = "r4".into();
    source.users[2].key = "u2".into();
    source.tokens[2].key = "t3".into();
    source.tokens[0].key = "nul\0".into();
    for came in [2, 0] {
        let report = import_foreign(&keyward, source.clone(), &with_key()).await.unwrap();
        let left = told(&report, Outcome::Left);
        let whys: Vec<(&str, &str)> = left.iter().map(|(what, why)| (what.as_str(), why.as_str())).collect();
        let same = "another one has the same document id";
        assert_eq!(
            whys,
            [
                ("role 5", same),
                ("owner 6", same),
                ("token 1", "its document id has control or invisible characters"),
                ("token 5", same),
                (r#"token 10 "eli-read""#, "its owner did not come"),
            ]
        );
        assert_eq!((report.came.owners, report.came.tokens()), (came, came / 2), "{report}");
    }
}

#[tokio::test]
async fn a_wrong_salt_and_a_wrong_key_are_told_apart_before_anything_is_written() {
    let wrong_salt = builder().strapi_hash_key(StrapiHashKey::new("another").unwrap()).build().unwrap();
    let error = import_foreign(&wrong_salt, foreign(), &with_key()).await.unwrap_err();
    assert!(matches!(error, ImportError::HashKey(4)) && error.to_string().contains("API_TOKEN_SALT"), "{error}");
    let keyward = builder().build().unwrap();
    let other = Import::default().encryption_key(StrapiEncryptionKey::new("another"));
    let error = import_foreign(&keyward, foreign(), &other).await.unwrap_err();
    assert!(matches!(error, ImportError::EncryptionKey(4)) && error.to_string().contains("ENCRYPTION_KEY"), "{error}");
    for keyward in [&wrong_salt, &keyward] {
        assert_eq!(marks(keyward).await, (0, 0));
    }

    let none = Keyward::builder(MemoryStore::default())
        .hash_key(HashKey::parse(SALT).unwrap())
        .admin("/admin")
        .build()
        .unwrap();
    let error = import_foreign(&none, foreign(), &with_key()).await.unwrap_err();
    assert!(matches!(error, ImportError::NoReferenceSalt), "{error}");
    for name in ["", " strapi", "a\nb", &"x".repeat(65)] {
        let error = import_foreign(&keyward, foreign(), &with_key().source(name)).await.unwrap_err();
        assert!(matches!(error, ImportError::Source), "{name}: {error}");
    }
}

#[tokio::test]
async fn one_key_that_is_of_no_use_is_dropped_and_its_token_comes() {
    let keyward = builder().build().unwrap();
    let mut source = foreign();
    let reference = StrapiEncryptionKey::new(KEY);
    source.tokens[0].sealed = Some(Sealed("v2:00:00:00".into()));
    source.tokens[1].sealed = Some(Sealed(seal_like_strapi(&StrapiEncryptionKey::new("older"), &key(3))));
    source.tokens[2].sealed = Some(Sealed(seal_like_strapi(&reference, &key(10))));
    let report = import_foreign(&keyward, source, &with_key()).await.unwrap();
    let left = told(&report, Outcome::Left);
    let whys: Vec<(&str, &str)> = left.iter().map(|(what, why)| (what.as_str(), why.as_str())).collect();
    assert_eq!(
        whys,
        [
            (r#"sealed key of token 1 "Read Only""#, "it is not sealed as Strapi seals keys"),
            (r#"sealed key of token 3 "root-all""#, "it does not open"),
            (r#"sealed key of token 5 "ada-read""#, "it is not the key of this token"),
        ]
    );
    assert_eq!((report.came.tokens(), report.came.keys), (4, 1));
    let token = here(&keyward, 5).await.unwrap();
    assert_eq!(token.hint, "");
    let ada = Actor::Person(owner_id_of(&keyward, "ada").await.unwrap());
    assert!(matches!(keyward.tokens().acting_as(ada).open(token.id).await.unwrap().secret, SecretAccess::NotKept));
}

#[tokio::test]
async fn keys_that_cannot_be_opened_or_kept_are_counted() {
    let keyward = builder().build().unwrap();
    let report = import_foreign(&keyward, foreign(), &Import::default()).await.unwrap();
    assert_eq!(names(&report, Outcome::Left), ["sealed keys of 4 tokens"]);
    assert_eq!((report.came.tokens(), report.came.keys), (4, 0));
    let unsealing = Keyward::builder(MemoryStore::default())
        .hash_key(HashKey::parse(SALT).unwrap())
        .strapi_hash_key(StrapiHashKey::new(REFERENCE).unwrap())
        .admin("/admin")
        .build()
        .unwrap();
    let report = import_foreign(&unsealing, foreign(), &with_key()).await.unwrap();
    let why = "this installation has no encryption key to seal them with";
    assert_eq!(told(&report, Outcome::Left), [("sealed keys of 4 tokens".to_owned(), why.to_owned())]);
    assert_eq!((report.came.keys, here(&unsealing, 5).await.unwrap().hint.as_str()), (0, "0005"));
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_leaves_nothing() {
    let keyward = builder().build().unwrap();
    let dry = import_foreign(&keyward, foreign(), &with_key().dry_run()).await.unwrap();
    assert_eq!(marks(&keyward).await, (0, 0));
    assert!(here(&keyward, 5).await.is_none() && owner_id_of(&keyward, "ada").await.is_none());
    assert!(keyward.store().view().await.unwrap().imported().await.unwrap().is_empty());
    assert!(
        dry.to_string().starts_with("A dry run: nothing was changed. From \"strapi\" would come: 2 roles, 3 owners")
    );
    let real = import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    assert_eq!(dry.came, real.came);
    let what = |report: &Report| report.entries.iter().map(|e| (e.outcome, e.what.clone())).collect::<Vec<_>>();
    assert_eq!(what(&dry), what(&real), "it tells what would come");
}

#[tokio::test]
async fn what_the_catalogue_lacks_is_left_and_named() {
    let catalogue = Catalogue::default()
        .resource(ResourceEntry::collection(ARTICLE, "Article").fields(["title"]))
        .action(ActionEntry::on_resources(READ, "Read", [ARTICLE]).with_fields())
        .content_action("api::article.article.find");
    let keyward = builder().catalogue(catalogue).build().unwrap();
    let mut source = foreign();
    source.roles[2].permissions.push(read().fields(only(&["body"])));
    source.roles[2].permissions.push(read().when(ConditionClause::from_list(["shop::in-stock"])));
    source.roles[2].permissions.push(read().when(ConditionClause::from_list(["shop::in-stock", IS_CREATOR])));
    source.roles[2].permissions.push(Permission::new("nul\u{202e}"));
    source.tokens[2] = admin(5, "ada-webhooks", 2, vec![Grant::new("admin::webhooks.read")]);
    let custom = ["api::article.article.find", "api::article.article.create"].map(Into::into);
    source.tokens[0] = content(1, "custom", ContentAccess::Custom(custom.into()));
    source
        .not_understood
        .push(NotUnderstood { what: "permission 99".into(), why: "it is for some locales only".into() });
    let report = import_foreign(&keyward, source, &with_key()).await.unwrap();
    let left: Vec<String> = report.with(Outcome::Left).map(|e| format!("{}: {}", e.what, e.why)).collect();
    assert_eq!(
        left,
        [
            "permission 99: it is for some locales only".to_owned(),
            r#"permission admin::webhooks.read of role 4 "Reader": there is no action admin::webhooks.read"#.to_owned(),
            format!(r#"permission {READ} on {ARTICLE} of role 5 "Creator": {ARTICLE} has no field body"#),
            format!(r#"permission {READ} on {ARTICLE} of role 5 "Creator": there is no condition shop::in-stock"#),
            format!(
                "condition shop::in-stock of permission {READ} on {ARTICLE} of role 5 \"Creator\": \
                 it is not registered here, so it never holds"
            ),
            "permission nul\u{fffd} of role 5 \"Creator\": \
             a name in it has control, invisible or direction-changing characters"
                .to_owned(),
            r#"content action "api::article.article.create" of token 1 "custom": there is no such action here"#
                .to_owned(),
            r#"grant admin::webhooks.read of token 5 "ada-webhooks": there is no action admin::webhooks.read"#
                .to_owned(),
        ]
    );
    let creator = role_with_name(&keyward, "Creator").await.unwrap();
    assert_eq!(keyward.roles().read(creator).await.unwrap().permissions, [read().when(own()), read().when(own())]);
}

#[tokio::test]
async fn passwords_are_good_once_more_and_then_ours() {
    let keyward = builder().build().unwrap();
    let mut source = foreign();
    source.users[1].password = Some(PasswordHash(HASH.replace("$04$", "$31$")));
    source.users.push(ForeignUser { state: OwnerState::Invited, password: None, ..user(9, "ina", &[]) });
    let report = import_foreign(&keyward, source, &with_key()).await.unwrap();
    assert_eq!(names(&report, Outcome::Left), [r#"password of owner 2 "ada@example.test""#]);
    let ina = keyward.owners().read(owner_id_of(&keyward, "ina").await.unwrap()).await.unwrap();
    assert_eq!(ina.state, OwnerState::Invited);

    let root = owner_id_of(&keyward, "root").await.unwrap();
    let kept = async || keyward.store().view().await.unwrap().password(root).await.unwrap().unwrap().0;
    let sign_in = async |name: &str, password: &str| {
        keyward.sessions().sign_in(&format!("{name}@example.test"), &Password::new(password)).await
    };
    assert!(sign_in("root", "passw0rd!").await.is_err());
    assert_eq!(kept().await, *HASH, "who fails changes nothing");
    sign_in("root", "Passw0rd!").await.unwrap();
    let renewed = kept().await;
    assert!(renewed.starts_with("$argon2id$"));
    let events = audit_events(&keyward).await;
    let last = events.last().unwrap();
    assert_eq!((last.what, &last.details["passwordHash"]), (AuditAction::SignedIn, &serde_json::json!("renewed")));
    assert!(!events.iter().any(|e| e.what == AuditAction::PasswordSet), "the password is the same");
    sign_in("root", "Passw0rd!").await.unwrap();
    assert_eq!(kept().await, renewed, "once");
    assert!(sign_in("ada", "Passw0rd!").await.is_err() && sign_in("ina", "Passw0rd!").await.is_err());
}

/// One of them replaces the hash that the others have verified.
#[tokio::test]
async fn all_who_come_at_the_same_moment_are_let_in() {
    let keyward = builder().build().unwrap();
    import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    let (sessions, right, wrong) = (keyward.sessions(), Password::new("Passw0rd!"), Password::new("passw0rd!"));
    let all = futures_util::future::join_all((0..4).map(|_| sessions.sign_in("root@example.test", &right))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let both = futures_util::future::join(
        sessions.sign_in("root@example.test", &right),
        sessions.sign_in("root@example.test", &wrong),
    );
    let (right, wrong) = both.await;
    assert!(right.is_ok() && wrong.is_err());
}

#[tokio::test]
async fn nothing_secret_is_told() {
    let keyward = builder().build().unwrap();
    let import = with_key();
    let report = import_foreign(&keyward, foreign(), &import).await.unwrap();
    let events = audit_events(&keyward).await;
    let json = serde_json::to_string(&report).unwrap();
    let said = format!("{report}{report:?}{json}{import:?}{events:?}{:?}", foreign());
    for secret in [KEY, REFERENCE, &HASH, &key(5), &digest(5).to_hex()] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    assert_eq!(serde_json::to_value(&report).unwrap()["came"]["adminTokens"], 3);
    assert!(
        report.to_string().contains("\n\nCame, and allows less than there, because the owner may no more:\n  grant ")
    );
}

#[tokio::test]
async fn a_token_that_came_is_revoked_like_any_other() {
    let keyward = builder().build().unwrap();
    // It was asked for before it was here.
    assert!(here(&keyward, 5).await.is_none());
    import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    let id: TokenId = here(&keyward, 5).await.unwrap().id;
    let issued = keyward.tokens().regenerate(id).await.unwrap();
    assert!(here(&keyward, 5).await.is_none() && issued.secret.expose().starts_with("kw_admin_"));
    import_foreign(&keyward, foreign(), &with_key()).await.unwrap();
    assert!(here(&keyward, 5).await.is_none(), "the old key does not come back");
}
