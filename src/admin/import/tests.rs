//! Imports from hand-made sources into memory.

use super::*;
use crate::admin::{Password, SecretAccess};
use crate::domain::{
    ActionEntry, Actor, AuditAction, AuditEvent, Catalogue, ConditionClause, ContentAccess, Digest, EncryptionKeys,
    Fields, Grant, HashKey, IS_CREATOR, OwnerId, OwnerState, PasswordHash, Permission, ResourceEntry, RoleId,
    SecretFormat, StrapiHashKey, Timestamp, Token, TokenId, TokenKind, TokenKinds, TokenPrefix, seal_like_strapi,
};
use crate::keyward::Builder;
use crate::store::strapi::{SealedKey, StrapiAuthority, StrapiRole, StrapiToken, StrapiUser, UnsupportedRow};
use crate::store::{EventQuery, MemoryStore, NewOwner, NewRole, Paging, Store};
use std::error::Error;
use std::sync::LazyLock;
use std::time::Duration;

const HASH_KEY: &str = "4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
const STRAPI_HASH_KEY: &str = "saltysaltysaltysalty";
const ENCRYPTION_KEY: &str = "0123456789abcdef0123456789abcdef";
/// Of `Passw0rd!`, with cost 4.
static BCRYPT_HASH: LazyLock<String> = LazyLock::new(|| bcrypt::hash("Passw0rd!", 4).unwrap());

const READ: &str = "plugin::content-manager.explorer.read";
const ARTICLE: &str = "api::article.article";

fn builder() -> Builder {
    Keyward::builder(MemoryStore::default())
        .hash_key(HashKey::parse(HASH_KEY).unwrap())
        .strapi_hash_key(StrapiHashKey::new(STRAPI_HASH_KEY).unwrap())
        .encryption(EncryptionKeys::parse("2026:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b").unwrap())
        .admin("/admin")
        .content("/api")
}

fn with_key() -> Import {
    Import::default().encryption_key(StrapiEncryptionKey::new(ENCRYPTION_KEY))
}

/// The secret of Strapi's token with this id.
fn key(id: i64) -> String {
    format!("{id:0256x}")
}

fn digest(id: i64) -> Digest {
    let hash_key = StrapiHashKey::new(STRAPI_HASH_KEY).unwrap();
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(HASH_KEY).unwrap()).with_strapi(hash_key);
    format.verify(&key(id), TokenKinds::ADMIN).unwrap().digest
}

fn read() -> Permission {
    Permission::new(READ).on(ARTICLE)
}

fn only(fields: &[&str]) -> Fields {
    Fields::only(fields.iter().copied()).unwrap()
}

fn creator_only() -> ConditionClause {
    ConditionClause::from_list([IS_CREATOR])
}

fn role(id: i64, name: &str, permissions: Vec<Permission>) -> StrapiRole {
    StrapiRole {
        id,
        key: format!("r{id}"),
        name: name.into(),
        description: format!("what {name} is for"),
        super_admin: id == 1,
        permissions,
        unsupported_rows: Vec::new(),
    }
}

fn user(id: i64, name: &str, roles: &[i64]) -> StrapiUser {
    StrapiUser {
        id,
        key: format!("u{id}"),
        email: format!("{name}@example.test"),
        firstname: name.into(),
        lastname: "Test".into(),
        username: None,
        password: Some(PasswordHash(BCRYPT_HASH.clone())),
        state: OwnerState::Active,
        roles: roles.to_vec(),
        created_at: Timestamp(1_000 + id),
    }
}

fn token(id: i64, name: &str, authority: StrapiAuthority) -> StrapiToken {
    StrapiToken {
        id,
        key: format!("t{id}"),
        name: name.into(),
        description: String::new(),
        digest: digest(id),
        sealed: Some(SealedKey(seal_like_strapi(&StrapiEncryptionKey::new(ENCRYPTION_KEY), &key(id)))),
        lifespan: Some(Duration::from_secs(7 * 86_400)),
        expires_at: Some(Timestamp(4_102_444_800_000)),
        created_at: Timestamp(2_000 + id),
        last_used_at: Some(Timestamp(3_000 + id)),
        authority,
        unsupported_rows: Vec::new(),
    }
}

fn admin(id: i64, name: &str, owner: i64, grants: Vec<Grant>) -> StrapiToken {
    token(id, name, StrapiAuthority::Admin { owner: Some(owner), grants })
}

fn content(id: i64, name: &str, access: ContentAccess) -> StrapiToken {
    token(id, name, StrapiAuthority::Content { access })
}

/// Root, who may do everything; Ada, who reads titles; Eli, who reads titles, and all fields of their own rows.
fn data() -> StrapiData {
    StrapiData {
        roles: vec![
            role(1, "Super Admin", vec![]),
            role(4, "Reader", vec![read().fields(only(&["title"])), Permission::new("admin::webhooks.read")]),
            role(5, "Creator", vec![read().when(creator_only())]),
        ],
        users: vec![user(1, "root", &[1]), user(2, "ada", &[4]), user(6, "eli", &[5, 4])],
        tokens: vec![
            content(1, "Read Only", ContentAccess::ReadOnly),
            admin(3, "root-all", 1, vec![Grant::from(&read()), Grant::from(&read()).chosen(creator_only())]),
            admin(5, "ada-read", 2, vec![Grant::from(&read()).fields(only(&["title"]))]),
            admin(10, "eli-read", 6, vec![Grant::from(&read())]),
        ],
        unsupported_rows: Vec::new(),
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

/// Returns the numbers of changes and events.
async fn counts(keyward: &Keyward) -> (u64, usize) {
    (seq(keyward).await, audit_events(keyward).await.len())
}

async fn token_of(keyward: &Keyward, id: i64) -> Option<Token> {
    keyward.store().resolve(&digest(id)).await.unwrap().record.map(|record| record.token)
}

async fn owner_id_of(keyward: &Keyward, name: &str) -> Option<OwnerId> {
    let mut view = keyward.store().view().await.unwrap();
    view.owner_with_email(&format!("{name}@example.test")).await.unwrap()
}

async fn role_with_name(keyward: &Keyward, name: &str) -> Option<RoleId> {
    keyward.store().view().await.unwrap().role_with_name(name).await.unwrap()
}

fn entries(report: &Report, outcome: Outcome) -> Vec<(String, String)> {
    report.with(outcome).map(|entry| (entry.what.clone(), entry.why.clone())).collect()
}

fn names(report: &Report, outcome: Outcome) -> Vec<String> {
    entries(report, outcome).into_iter().map(|(what, _)| what).collect()
}

#[tokio::test]
async fn people_and_tokens_are_imported_unchanged() {
    let keyward = builder().build().unwrap();
    let report = import_data(&keyward, data(), &with_key()).await.unwrap();
    assert_eq!(report.came, Counts { roles: 2, owners: 3, admin_tokens: 3, content_tokens: 1, keys: 4 });
    assert!(report.before.is_empty() && !report.dry_run);
    assert_eq!(names(&report, Outcome::Came).len(), 2 + 3 + 4);

    let ada = keyward.owners().read(owner_id_of(&keyward, "ada").await.unwrap()).await.unwrap();
    let reader = role_with_name(&keyward, "Reader").await.unwrap();
    assert_eq!((ada.firstname.as_str(), ada.state, ada.created_at), ("ada", OwnerState::Active, Timestamp(1_002)));
    assert_eq!(ada.roles, [reader]);
    assert_eq!(keyward.roles().read(reader).await.unwrap().permissions, data().roles[1].permissions);
    let root = keyward.owners().read(owner_id_of(&keyward, "root").await.unwrap()).await.unwrap();
    assert!(root.is_super_admin());

    let token = token_of(&keyward, 5).await.unwrap();
    assert_eq!((token.name.as_str(), token.owner()), ("ada-read", Some(ada.id)));
    assert_eq!(token.hint, "0005");
    assert_eq!((token.created_at, token.expires_at), (Timestamp(2_005), Some(Timestamp(4_102_444_800_000))));
    assert_eq!((token.lifespan, token.last_used_at), (Some(Duration::from_secs(604_800)), Some(Timestamp(3_005))));
    assert_eq!(token_of(&keyward, 1).await.unwrap().kind(), TokenKind::Content);

    let events = audit_events(&keyward).await;
    let count =
        |what: AuditAction| events.iter().filter(|e| e.what == what && e.details["imported"] == "strapi").count();
    let kinds = [AuditAction::RoleCreated, AuditAction::OwnerCreated, AuditAction::TokenIssued, AuditAction::Imported];
    assert_eq!(kinds.map(count), [2, 3, 4, 1]);
    assert_eq!(events.len(), 10, "one event for each record, and one for the import");
    assert_eq!(seq(&keyward).await, 1, "the import is one change");
}

#[tokio::test]
async fn only_owners_can_view_imported_secrets() {
    let keyward = builder().build().unwrap();
    import_data(&keyward, data(), &with_key()).await.unwrap();
    let token = token_of(&keyward, 5).await.unwrap();
    let open = async |name: &str| {
        let who = Actor::Person(owner_id_of(&keyward, name).await.unwrap());
        keyward.tokens().acting_as(who).open(token.id).await.unwrap().secret
    };
    assert!(matches!(open("ada").await, SecretAccess::Shown(secret) if secret.expose() == key(5)));
    assert!(matches!(open("root").await, SecretAccess::NotForYou));
}

#[tokio::test]
async fn second_import_only_adds_new_records() {
    let keyward = builder().build().unwrap();
    let first = import_data(&keyward, data(), &with_key()).await.unwrap();
    let counts_before = counts(&keyward).await;
    let second = import_data(&keyward, data(), &with_key()).await.unwrap();
    assert_eq!(counts(&keyward).await, counts_before, "no change, no event");
    assert!(second.came.is_empty() && second.entries.is_empty(), "{second}");
    assert_eq!(second.before, Counts { keys: 0, ..first.came });

    // Imported records are not updated from the source.
    let mut later = data();
    later.roles[1].permissions.push(Permission::new("admin::users.read"));
    later.users[1].email = "other@example.test".into();
    later.users[1].roles.push(1);
    later.tokens[2].name = "other".into();
    later.tokens[2].digest = digest(99);
    import_data(&keyward, later.clone(), &Import::default()).await.unwrap();
    assert_eq!(counts(&keyward).await, counts_before);

    // New records are imported, within the ceilings here.
    later.tokens.push(admin(
        11,
        "ada-new",
        2,
        vec![Grant::new("admin::webhooks.read"), Grant::new("admin::users.read")],
    ));
    later.users.push(user(7, "fay", &[4]));
    let third = import_data(&keyward, later, &with_key()).await.unwrap();
    assert_eq!((third.came.owners, third.came.admin_tokens, third.came.roles), (1, 1, 0));
    assert_eq!(token_of(&keyward, 11).await.unwrap().grants(), [Grant::new("admin::webhooks.read")]);
    assert_eq!(names(&third, Outcome::TakenAway), [r#"grant admin::users.read of token 11 "ada-new""#]);
}

#[tokio::test]
async fn deleted_records_are_not_imported_again() {
    let keyward = builder().build().unwrap();
    import_data(&keyward, data(), &with_key()).await.unwrap();
    let reader = role_with_name(&keyward, "Reader").await.unwrap();
    // Clamped, revoked, and deleted with its owner.
    keyward.roles().set_permissions(reader, vec![Permission::new("admin::webhooks.read")]).await.unwrap();
    let root_all = token_of(&keyward, 3).await.unwrap().id;
    keyward.tokens().revoke(root_all).await.unwrap();
    keyward.owners().delete(owner_id_of(&keyward, "eli").await.unwrap()).await.unwrap();
    keyward.roles().delete(role_with_name(&keyward, "Creator").await.unwrap()).await.unwrap();
    let before = counts(&keyward).await;
    assert!(token_of(&keyward, 5).await.unwrap().grants().is_empty());

    let report = import_data(&keyward, data(), &with_key()).await.unwrap();
    assert_eq!(counts(&keyward).await, before);
    assert!(report.came.is_empty());
    assert!(token_of(&keyward, 5).await.unwrap().grants().is_empty());
    assert!(token_of(&keyward, 3).await.is_none() && token_of(&keyward, 10).await.is_none());
    assert!(owner_id_of(&keyward, "eli").await.is_none() && role_with_name(&keyward, "Creator").await.is_none());

    // New tokens of a deleted owner are skipped, and new owners are imported without a deleted role.
    let mut later = data();
    later.tokens.push(admin(12, "eli-new", 6, vec![]));
    later.users.push(user(8, "gus", &[5, 4, 77]));
    let report = import_data(&keyward, later, &with_key()).await.unwrap();
    let left = entries(&report, Outcome::Left);
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
async fn imported_grants_stay_within_the_ceiling_of_the_owner() {
    let keyward = builder().build().unwrap();
    let mut source = data();
    let title = || only(&["title"]);
    source.tokens = vec![
        // The owner holds the title only, and no permission on users.
        admin(
            5,
            "ada",
            2,
            vec![Grant::from(&read()), Grant::from(&read()).fields(title()), Grant::new("admin::users.read")],
        ),
        // The title of every row, all other fields of the own rows.
        admin(10, "eli", 6, vec![Grant::from(&read())]),
        admin(11, "eli-title", 6, vec![Grant::from(&read()).fields(title())]),
        admin(12, "eli-own", 6, vec![Grant::from(&read()).chosen(creator_only())]),
    ];
    let report = import_data(&keyward, source, &with_key()).await.unwrap();
    assert_eq!(
        entries(&report, Outcome::TakenAway),
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
    let narrowed = entries(&report, Outcome::Narrowed);
    let [(what, why)] = &narrowed[..] else { panic!("{narrowed:?}") };
    assert_eq!(*what, format!(r#"grant {READ} on {ARTICLE} of token 10 "eli""#));
    assert_eq!(
        *why,
        "there all fields of every row; here title of every row, and all fields of rows with admin::is-creator"
    );
    assert_eq!(token_of(&keyward, 5).await.unwrap().grants(), [Grant::from(&read()).fields(title())]);
    assert_eq!(token_of(&keyward, 10).await.unwrap().grants(), [Grant::from(&read())]);
}

#[tokio::test]
async fn conditions_of_the_owner_are_inherited() {
    let keyward = builder().build().unwrap();
    let mut source = data();
    let (title, chosen) = (only(&["title"]), Grant::from(&read()).chosen(creator_only()));
    source.users.push(user(7, "cyd", &[5]));
    source.tokens = vec![
        admin(3, "of a super admin", 1, vec![chosen.clone()]),
        admin(7, "inherited", 7, vec![chosen.clone()]),
        // Ada holds the title of every row, so the condition is kept.
        admin(8, "chosen once", 2, vec![chosen.clone().fields(title.clone())]),
        admin(9, "of both", 6, vec![chosen.clone()]),
    ];
    let report = import_data(&keyward, source, &with_key()).await.unwrap();
    assert_eq!((report.with(Outcome::Narrowed).count(), report.with(Outcome::TakenAway).count()), (0, 0), "{report}");
    assert_eq!(token_of(&keyward, 3).await.unwrap().grants(), std::slice::from_ref(&chosen));
    assert_eq!(token_of(&keyward, 7).await.unwrap().grants(), [Grant::from(&read())]);
    assert_eq!(token_of(&keyward, 8).await.unwrap().grants(), [chosen.clone().fields(title)]);
    assert_eq!(token_of(&keyward, 9).await.unwrap().grants(), [chosen]);
}

#[tokio::test]
async fn taken_names_get_a_suffix() {
    let keyward = builder().build().unwrap();
    keyward.set_up().await.unwrap();
    for name in ["Reader", "Creator", "Creator (strapi)"] {
        keyward.roles().create(NewRole::new(name).permissions(["admin::users.delete"])).await.unwrap();
    }
    let mut source = data();
    source.roles.push(role(9, " two\nlines ", vec![]));
    source.roles.push(role(10, "", vec![]));
    source.roles.push(role(11, &"ä".repeat(300), vec![]));
    source.tokens[1].name = "  root-all".into();
    source.tokens[2].description = "x".repeat(3_000);
    let report = import_data(&keyward, source, &with_key()).await.unwrap();
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
    assert_eq!(entries(&report, Outcome::Renamed), expected);
    assert_eq!(names(&report, Outcome::Left), [r#"a part of the description of token 5 "ada-read""#]);
    // An imported owner gets no permission from an existing role with the same name.
    let ada = owner_id_of(&keyward, "ada").await.unwrap();
    let ceiling = keyward.store().view().await.unwrap().ceiling(ada).await.unwrap();
    assert!(ceiling.check(&Grant::new("admin::users.delete")).is_err());
    assert!(ceiling.check(&Grant::new("admin::webhooks.read")).is_ok());
}

#[tokio::test]
async fn owner_with_an_existing_address_is_skipped_with_all_tokens() {
    let keyward = builder().build().unwrap();
    keyward.owners().create(NewOwner::new("ADA@example.test")).await.unwrap();
    let mut source = data();
    source.users[2].email = "no address".into();
    source.tokens.push(token(14, "ownerless", StrapiAuthority::Admin { owner: None, grants: vec![] }));
    let report = import_data(&keyward, source, &with_key()).await.unwrap();
    let left = entries(&report, Outcome::Left);
    let reasons: Vec<(&str, &str)> = left.iter().map(|(what, why)| (what.as_str(), why.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (
                r#"owner 2 "ada@example.test""#,
                "the e-mail address has an account here already, whose owner would get their tokens"
            ),
            (r#"owner 6 "no address""#, "this e-mail address is refused here"),
            (r#"token 5 "ada-read""#, "its owner did not come"),
            (r#"token 10 "eli-read""#, "its owner did not come"),
            (r#"token 14 "ownerless""#, "its owner is gone, so it opens nothing there either"),
        ]
    );
    assert!(token_of(&keyward, 5).await.is_none());
    // Once the account is deleted, they are imported.
    keyward.owners().delete(owner_id_of(&keyward, "ada").await.unwrap()).await.unwrap();
    let report = import_data(&keyward, data(), &with_key()).await.unwrap();
    assert_eq!((report.came.owners, report.came.admin_tokens), (2, 2));
}

#[tokio::test]
async fn known_secret_is_not_imported_again() {
    let keyward = builder().build().unwrap();
    import_data(&keyward, data(), &with_key()).await.unwrap();
    let mut source = data();
    source.users.clear();
    source.tokens.retain(|t| matches!(t.authority, StrapiAuthority::Content { .. }));
    // Under another source name, deleted records would be imported again.
    let error = import_data(&keyward, source.clone(), &with_key().source("copy")).await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("must be \"strapi\""), "{:?}", error.source());
    // A copy with its own document ids.
    source.roles.iter_mut().for_each(|role| role.key.push('+'));
    source.tokens.iter_mut().for_each(|token| token.key.push('+'));
    let report = import_data(&keyward, source, &with_key().source("copy")).await.unwrap();
    let id = token_of(&keyward, 1).await.unwrap().id;
    let why = format!("its key opens token {id} here already: it came before");
    assert_eq!(entries(&report, Outcome::Left), [(r#"token 1 "Read Only""#.to_owned(), why)]);
}

/// Invariant clamped-stays-clamped: a row is recognised by its id if it gains a document id later.
#[tokio::test]
async fn record_that_gains_a_document_id_is_not_imported_again() {
    let keyward = builder().build().unwrap();
    let mut source = data();
    source.roles.iter_mut().for_each(|role| role.key = role.id.to_string());
    source.users.iter_mut().for_each(|user| user.key = user.id.to_string());
    source.tokens.iter_mut().for_each(|token| token.key = token.id.to_string());
    assert!(!import_data(&keyward, source, &with_key()).await.unwrap().came.is_empty());
    let gone = token_of(&keyward, 1).await.unwrap().id;
    keyward.tokens().revoke(gone).await.unwrap();
    let report = import_data(&keyward, data(), &with_key()).await.unwrap();
    assert!(report.came.is_empty(), "{report}");
    assert!(token_of(&keyward, 1).await.is_none());
}

/// Otherwise the tokens of one record would be given to another.
#[tokio::test]
async fn records_with_the_same_document_id_are_skipped() {
    let keyward = builder().build().unwrap();
    let mut source = data();
    source.roles[2].key = "r4".into();
    source.users[2].key = "u2".into();
    source.tokens[2].key = "t3".into();
    source.tokens[0].key = "nul\0".into();
    for came in [2, 0] {
        let report = import_data(&keyward, source.clone(), &with_key()).await.unwrap();
        let left = entries(&report, Outcome::Left);
        let reasons: Vec<(&str, &str)> = left.iter().map(|(what, why)| (what.as_str(), why.as_str())).collect();
        let same = "another one has the same document id";
        assert_eq!(
            reasons,
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
async fn wrong_hash_key_and_wrong_encryption_key_fail_before_any_change() {
    let wrong_hash_key = builder().strapi_hash_key(StrapiHashKey::new("another").unwrap()).build().unwrap();
    let error = import_data(&wrong_hash_key, data(), &with_key()).await.unwrap_err();
    assert!(matches!(error, ImportError::HashKey(4)) && error.to_string().contains("API_TOKEN_SALT"), "{error}");
    let keyward = builder().build().unwrap();
    let other = Import::default().encryption_key(StrapiEncryptionKey::new("another"));
    let error = import_data(&keyward, data(), &other).await.unwrap_err();
    assert!(matches!(error, ImportError::EncryptionKey(4)) && error.to_string().contains("ENCRYPTION_KEY"), "{error}");
    for keyward in [&wrong_hash_key, &keyward] {
        assert_eq!(counts(keyward).await, (0, 0));
    }

    let none = Keyward::builder(MemoryStore::default())
        .hash_key(HashKey::parse(HASH_KEY).unwrap())
        .admin("/admin")
        .build()
        .unwrap();
    let error = import_data(&none, data(), &with_key()).await.unwrap_err();
    assert!(matches!(error, ImportError::NoStrapiHashKey), "{error}");
    for name in ["", " strapi", "a\nb", &"x".repeat(65)] {
        let error = import_data(&keyward, data(), &with_key().source(name)).await.unwrap_err();
        assert!(matches!(error, ImportError::Source), "{name}: {error}");
    }
}

#[tokio::test]
async fn token_with_an_unusable_sealed_key_is_imported_without_it() {
    let keyward = builder().build().unwrap();
    let mut source = data();
    let encryption_key = StrapiEncryptionKey::new(ENCRYPTION_KEY);
    source.tokens[0].sealed = Some(SealedKey("v2:00:00:00".into()));
    source.tokens[1].sealed = Some(SealedKey(seal_like_strapi(&StrapiEncryptionKey::new("older"), &key(3))));
    source.tokens[2].sealed = Some(SealedKey(seal_like_strapi(&encryption_key, &key(10))));
    let report = import_data(&keyward, source, &with_key()).await.unwrap();
    let left = entries(&report, Outcome::Left);
    let reasons: Vec<(&str, &str)> = left.iter().map(|(what, why)| (what.as_str(), why.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (r#"sealed key of token 1 "Read Only""#, "it is not sealed as Strapi seals keys"),
            (r#"sealed key of token 3 "root-all""#, "it does not open"),
            (r#"sealed key of token 5 "ada-read""#, "it is not the key of this token"),
        ]
    );
    assert_eq!((report.came.tokens(), report.came.keys), (4, 1));
    let token = token_of(&keyward, 5).await.unwrap();
    assert_eq!(token.hint, "");
    let ada = Actor::Person(owner_id_of(&keyward, "ada").await.unwrap());
    assert!(matches!(keyward.tokens().acting_as(ada).open(token.id).await.unwrap().secret, SecretAccess::NotKept));
}

#[tokio::test]
async fn sealed_keys_that_cannot_be_opened_or_stored_are_counted() {
    let keyward = builder().build().unwrap();
    let report = import_data(&keyward, data(), &Import::default()).await.unwrap();
    assert_eq!(names(&report, Outcome::Left), ["sealed keys of 4 tokens"]);
    assert_eq!((report.came.tokens(), report.came.keys), (4, 0));
    let unsealing = Keyward::builder(MemoryStore::default())
        .hash_key(HashKey::parse(HASH_KEY).unwrap())
        .strapi_hash_key(StrapiHashKey::new(STRAPI_HASH_KEY).unwrap())
        .admin("/admin")
        .build()
        .unwrap();
    let report = import_data(&unsealing, data(), &with_key()).await.unwrap();
    let why = "this installation has no encryption key to seal them with";
    assert_eq!(entries(&report, Outcome::Left), [("sealed keys of 4 tokens".to_owned(), why.to_owned())]);
    assert_eq!((report.came.keys, token_of(&unsealing, 5).await.unwrap().hint.as_str()), (0, "0005"));
}

#[tokio::test]
async fn dry_run_reports_the_same_and_changes_nothing() {
    let keyward = builder().build().unwrap();
    let dry = import_data(&keyward, data(), &with_key().dry_run()).await.unwrap();
    assert_eq!(counts(&keyward).await, (0, 0));
    assert!(token_of(&keyward, 5).await.is_none() && owner_id_of(&keyward, "ada").await.is_none());
    assert!(keyward.store().view().await.unwrap().imported().await.unwrap().is_empty());
    assert!(
        dry.to_string().starts_with("A dry run: nothing was changed. From \"strapi\" would come: 2 roles, 3 owners")
    );
    let real = import_data(&keyward, data(), &with_key()).await.unwrap();
    assert_eq!(dry.came, real.came);
    let what = |report: &Report| report.entries.iter().map(|e| (e.outcome, e.what.clone())).collect::<Vec<_>>();
    assert_eq!(what(&dry), what(&real), "the dry run has the same entries");
}

#[tokio::test]
async fn permissions_outside_the_catalogue_are_skipped_and_reported() {
    let catalogue = Catalogue::default()
        .resource(ResourceEntry::collection(ARTICLE, "Article").fields(["title"]))
        .action(ActionEntry::on_resources(READ, "Read", [ARTICLE]).with_fields())
        .content_action("api::article.article.find");
    let keyward = builder().catalogue(catalogue).build().unwrap();
    let mut source = data();
    source.roles[2].permissions.push(read().fields(only(&["body"])));
    source.roles[2].permissions.push(read().when(ConditionClause::from_list(["shop::in-stock"])));
    source.roles[2].permissions.push(read().when(ConditionClause::from_list(["shop::in-stock", IS_CREATOR])));
    source.roles[2].permissions.push(Permission::new("nul\u{202e}"));
    source.tokens[2] = admin(5, "ada-webhooks", 2, vec![Grant::new("admin::webhooks.read")]);
    let custom = ["api::article.article.find", "api::article.article.create"].map(Into::into);
    source.tokens[0] = content(1, "custom", ContentAccess::Custom(custom.into()));
    source
        .unsupported_rows
        .push(UnsupportedRow { what: "permission 99".into(), why: "it is for some locales only".into() });
    let report = import_data(&keyward, source, &with_key()).await.unwrap();
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
    assert_eq!(
        keyward.roles().read(creator).await.unwrap().permissions,
        [read().when(creator_only()), read().when(creator_only())]
    );
}

#[tokio::test]
async fn bcrypt_hash_is_replaced_at_the_first_sign_in() {
    let keyward = builder().build().unwrap();
    let mut source = data();
    source.users[1].password = Some(PasswordHash(BCRYPT_HASH.replace("$04$", "$31$")));
    source.users.push(StrapiUser { state: OwnerState::Invited, password: None, ..user(9, "ina", &[]) });
    let report = import_data(&keyward, source, &with_key()).await.unwrap();
    assert_eq!(names(&report, Outcome::Left), [r#"password of owner 2 "ada@example.test""#]);
    let ina = keyward.owners().read(owner_id_of(&keyward, "ina").await.unwrap()).await.unwrap();
    assert_eq!(ina.state, OwnerState::Invited);

    let root = owner_id_of(&keyward, "root").await.unwrap();
    let kept = async || keyward.store().view().await.unwrap().password(root).await.unwrap().unwrap().0;
    let sign_in = async |name: &str, password: &str| {
        keyward.sessions().sign_in(&format!("{name}@example.test"), &Password::new(password)).await
    };
    assert!(sign_in("root", "passw0rd!").await.is_err());
    assert_eq!(kept().await, *BCRYPT_HASH, "a failed sign-in keeps the hash");
    sign_in("root", "Passw0rd!").await.unwrap();
    let renewed = kept().await;
    assert!(renewed.starts_with("$argon2id$"));
    let events = audit_events(&keyward).await;
    let last = events.last().unwrap();
    assert_eq!((last.what, &last.details["passwordHash"]), (AuditAction::SignedIn, &serde_json::json!("renewed")));
    assert!(!events.iter().any(|e| e.what == AuditAction::PasswordSet), "the password was not changed");
    sign_in("root", "Passw0rd!").await.unwrap();
    assert_eq!(kept().await, renewed, "the hash is replaced once");
    assert!(sign_in("ada", "Passw0rd!").await.is_err() && sign_in("ina", "Passw0rd!").await.is_err());
}

/// One sign-in replaces the hash while the others verify it.
#[tokio::test]
async fn concurrent_sign_ins_with_a_bcrypt_hash_succeed() {
    let keyward = builder().build().unwrap();
    import_data(&keyward, data(), &with_key()).await.unwrap();
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
async fn report_and_events_contain_no_secret() {
    let keyward = builder().build().unwrap();
    let import = with_key();
    let report = import_data(&keyward, data(), &import).await.unwrap();
    let events = audit_events(&keyward).await;
    let json = serde_json::to_string(&report).unwrap();
    let output = format!("{report}{report:?}{json}{import:?}{events:?}{:?}", data());
    for secret in [ENCRYPTION_KEY, STRAPI_HASH_KEY, &BCRYPT_HASH, &key(5), &digest(5).to_hex()] {
        assert!(!output.contains(secret), "{secret} in {output}");
    }
    assert_eq!(serde_json::to_value(&report).unwrap()["came"]["adminTokens"], 3);
    assert!(
        report.to_string().contains("\n\nCame, and allows less than there, because the owner may no more:\n  grant ")
    );
}

#[tokio::test]
async fn imported_token_can_be_regenerated() {
    let keyward = builder().build().unwrap();
    // The absence of the token is cached before the import.
    assert!(token_of(&keyward, 5).await.is_none());
    import_data(&keyward, data(), &with_key()).await.unwrap();
    let id: TokenId = token_of(&keyward, 5).await.unwrap().id;
    let issued = keyward.tokens().regenerate(id).await.unwrap();
    let is_ended = async || token_of(&keyward, 5).await.is_some_and(|token| token.digest == issued.token.digest);
    assert!(is_ended().await && issued.secret.expose().starts_with("kw_admin_"));
    import_data(&keyward, data(), &with_key()).await.unwrap();
    assert!(is_ended().await, "the old secret is not imported again");
}
