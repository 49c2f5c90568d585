//! Revealable secrets, durations, the catalogue, the audit log, and startup, on every store.

mod adopted;
mod key_checks;
mod names;

use adopted::{
    adopted_key_expires_with_its_token, adopted_key_is_the_secret_of_its_token,
    digest_of_one_function_admits_no_key_of_another, key_is_adopted_once, regeneration_ends_the_adopted_key,
    rejected_adoption_names_the_field, wrong_key_of_a_legacy_format_fails_startup,
};
use key_checks::{
    accepted_hash_key_replaces_the_former_one, new_hash_key_before_the_former_one_is_accepted,
    second_startup_writes_nothing, wrong_encryption_key_fails_startup_and_is_named_by_a_reveal,
    wrong_hash_key_fails_startup_and_makes_credentials_503, wrong_token_prefix_fails_startup,
};
use keyward::admin::{
    Actor, AuditAction, AuditCause, AuditTarget, Durations, Lifespan, OwnerState, Policy, SecretAccess, ServiceError,
    TokenUpdate,
};
use keyward::authz::{ActionEntry, Catalogue, ConditionClause, Fields, IS_CREATOR, ResourceEntry, Scope};
use keyward::store::SqliteOptions;
use keyward::store::{EventQuery, Paging, TokenQuery, WriteStore};
use keyward::testing::{ManualClock, World};
use keyward::token::{ContentAccess, EncryptionKeys, TokenId, TokenKind, Unsealable};
use keyward::{
    Builder, Grant, MemoryStore, NewAdminToken, NewContentToken, NewOwner, NewRole, OwnerId, Permission, RoleId,
    SqliteStore,
};
use names::{
    concurrent_creates_of_one_name_make_one_token_in_each_scope, names_are_unique_within_the_scope_of_the_policy,
};
use std::sync::Arc;
use std::time::Duration;

const OLD_KEY: &str = "2025:4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6Fd";
const NEW_KEY: &str = "2026:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

macro_rules! on_every_store {
    ($($case:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $case() {
                let clock = super::Arc::new(super::ManualClock::default());
                super::$case(super::MemoryStore::with_clock(clock.clone()), clock).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test] async fn $case() {
                let (dir, clock) = (tempfile::tempdir().unwrap(), super::Arc::new(super::ManualClock::default()));
                let options = super::SqliteOptions::default().clock(clock.clone());
                let store = super::SqliteStore::open_with(dir.path().join("keyward.db"), options).await.unwrap();
                super::$case(store, clock).await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test] async fn $case() {
                let clock = super::Arc::new(super::ManualClock::default());
                if let Some(store) = crate::connect_store_with(clock.clone()).await {
                    super::$case(store, clock).await;
                }
            })*
        }
    };
}

on_every_store! {
    issue_events_record_everything_granted
    reordered_grants_are_no_change
    secret_is_revealed_to_a_session_of_its_owner_only
    lost_encryption_key_breaks_reveal_only
    secret_shows_once_without_an_encryption_key
    durations_are_limited_to_those_offered
    entries_outside_the_catalogue_are_rejected
    entries_removed_from_the_catalogue_are_removed_at_startup
    entries_removed_from_the_catalogue_do_not_block_updates
    first_startup_creates_default_content_tokens_once
    default_content_tokens_have_an_offered_duration
    owners_see_events_of_their_tokens
    events_of_others_show_kind_and_time_only
    withheld_details_are_not_searchable
    audit_log_shows_what_its_reader_may_list
    ids_of_others_answer_like_unknown_ids
    taken_name_is_reported_after_other_errors
    confusable_names_and_addresses_count_as_taken
    names_are_unique_within_the_scope_of_the_policy
    concurrent_creates_of_one_name_make_one_token_in_each_scope
    repeated_changes_to_one_token_are_rate_limited
    changes_per_actor_are_rate_limited
    events_are_kept_for_the_policys_retention
    wrong_hash_key_fails_startup_and_makes_credentials_503
    accepted_hash_key_replaces_the_former_one
    new_hash_key_before_the_former_one_is_accepted
    wrong_encryption_key_fails_startup_and_is_named_by_a_reveal
    wrong_token_prefix_fails_startup
    second_startup_writes_nothing
    adopted_key_is_the_secret_of_its_token
    adopted_key_expires_with_its_token
    regeneration_ends_the_adopted_key
    key_is_adopted_once
    digest_of_one_function_admits_no_key_of_another
    rejected_adoption_names_the_field
    wrong_key_of_a_legacy_format_fails_startup
}

fn world<S: WriteStore + Clone>(
    store: &S,
    clock: &Arc<ManualClock>,
    settings: impl FnOnce(Builder) -> Builder,
) -> World<S> {
    // The clock jumps: without this option each jump would end the lease.
    World::on(store.clone(), clock.clone(), |b| settings(b).store_is_exclusive())
}

fn keys(text: &str) -> EncryptionKeys {
    EncryptionKeys::parse(text).unwrap()
}

async fn person<S: WriteStore>(world: &World<S>, name: &str, roles: &[RoleId]) -> OwnerId {
    let new = NewOwner::new(format!("{name}@example.test")).roles(roles.iter().copied());
    world.keyward.owners().create(new).await.unwrap().id
}

async fn reveal<S: WriteStore>(world: &World<S>, actor: Actor, id: TokenId) -> SecretAccess {
    world.keyward.tokens().acting_as(actor).open(id).await.unwrap().secret
}

async fn count<S: WriteStore>(world: &World<S>, what: AuditAction) -> u64 {
    let query = EventQuery { actions: Some(vec![what]), ..EventQuery::all(Paging { page: 1, page_size: 1 }) };
    world.keyward.audit().list(&query).await.unwrap().total
}

fn problems(error: ServiceError) -> Vec<String> {
    match error {
        ServiceError::Invalid(problems) => problems.into_iter().map(|p| p.path.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

/// secret-to-owner-only (`docs/invariants.md`).
async fn secret_is_revealed_to_a_session_of_its_owner_only<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b.encryption(keys(OLD_KEY)));
    let (ada, super_admin) = (person(&world, "ada", &[]).await, person(&world, "root", &[RoleId::SUPER_ADMIN]).await);
    let tokens = world.keyward.tokens();
    let issued = tokens.issue_admin(NewAdminToken::new("a", ada)).await.unwrap();
    let sibling = tokens.issue_admin(NewAdminToken::new("b", ada)).await.unwrap().token.id;
    let id = issued.token.id;
    let SecretAccess::Shown(secret) = reveal(&world, Actor::Person(ada), id).await else { panic!() };
    assert_eq!(secret.expose(), issued.secret.expose());
    assert_eq!(count(&world, AuditAction::TokenRevealed).await, 1);
    for other in [Actor::Person(super_admin), Actor::Token(sibling), Actor::Token(id), Actor::Service] {
        assert!(matches!(reveal(&world, other, id).await, SecretAccess::NotForYou), "{other:?}");
    }
    let stranger = Actor::Person(person(&world, "eve", &[]).await);
    assert!(matches!(tokens.clone().acting_as(stranger).open(id).await, Err(ServiceError::NotFound("token"))));
    assert!(matches!(tokens.clone().acting_as(Actor::Visitor).open(id).await, Err(ServiceError::Forbidden(_))));
    assert_eq!(count(&world, AuditAction::TokenRevealed).await, 1, "no secret was revealed since");

    let renewed = tokens.regenerate(id).await.unwrap();
    let SecretAccess::Shown(secret) = reveal(&world, Actor::Person(ada), id).await else { panic!() };
    assert_eq!(secret.expose(), renewed.secret.expose());

    let content = tokens.issue_content(NewContentToken::new("c", ContentAccess::ReadOnly)).await.unwrap();
    assert!(matches!(reveal(&world, stranger, content.token.id).await, SecretAccess::Shown(_)));
    assert!(matches!(reveal(&world, Actor::Token(id), content.token.id).await, SecretAccess::NotForYou));
}

async fn lost_encryption_key_breaks_reveal_only<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let before = world(&store, &clock, |b| b.encryption(keys(OLD_KEY)));
    let ada = person(&before, "ada", &[]).await;
    let issued = before.keyward.tokens().issue_admin(NewAdminToken::new("a", ada)).await.unwrap();
    let (id, me) = (issued.token.id, Actor::Person(ada));
    let rotated = world(&store, &clock, |b| b.encryption(keys(&format!("{NEW_KEY},{OLD_KEY}"))));
    assert!(matches!(reveal(&rotated, me, id).await, SecretAccess::Shown(_)));
    for lost in [world(&store, &clock, |b| b), world(&store, &clock, |b| b.encryption(keys(NEW_KEY)))] {
        match reveal(&lost, me, id).await {
            SecretAccess::Lost(Unsealable::NoKey(name)) => assert_eq!(name, "2025"),
            other => panic!("{other:?}"),
        }
        let app = lost.guard(keyward::GuardedRouter::new().route(
            "/admin/x",
            keyward::authenticated(),
            axum::routing::get(|| async {}),
        ));
        app.get("/admin/x").bearer(&issued.secret).await.assert_ok();
    }
    let other = format!("2025:{}", &NEW_KEY[5..]);
    let other = world(&store, &clock, |b| b.encryption(keys(&other)));
    assert!(matches!(reveal(&other, me, id).await, SecretAccess::Lost(Unsealable::Damaged(_))));
}

async fn secret_shows_once_without_an_encryption_key<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let ada = person(&world, "ada", &[]).await;
    let issued = world.keyward.tokens().issue_admin(NewAdminToken::new("a", ada)).await.unwrap();
    assert!(matches!(reveal(&world, Actor::Person(ada), issued.token.id).await, SecretAccess::NotKept));
}

async fn durations_are_limited_to_those_offered<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let ada = person(&world(&store, &clock, |b| b), "ada", &[]).await;
    let issue = async |durations: Durations, by: Actor, lifespan: Lifespan| {
        let mut policy = Policy::default();
        policy.durations = durations;
        let tokens = world(&store, &clock, |b| b.policy(policy)).keyward.tokens().acting_as(by);
        let admin = tokens.issue_admin(NewAdminToken::new("a", ada).lifespan(lifespan)).await;
        let content = tokens.issue_content(NewContentToken::new("c", ContentAccess::ReadOnly).lifespan(lifespan)).await;
        let (admin, content) = (admin.map(|i| i.token), content.map(|i| i.token));
        assert_eq!(admin.is_ok(), content.is_ok());
        if let Ok(token) = content {
            tokens.revoke(token.id).await.unwrap();
        }
        let token = admin.inspect_err(|e| assert!(e.to_string().starts_with("lifespan"), "{e}")).ok()?;
        tokens.revoke(token.id).await.unwrap();
        Some((token.lifespan, token.expires_at.map(|at| at.since(token.created_at))))
    };
    let me = Actor::Person(ada);
    let all = Durations::default;
    for days in [7, 30, 90] {
        let span = Some(days * DAY);
        assert_eq!(issue(all(), me, Lifespan::days(days)).await, Some((span, span)));
    }
    assert_eq!(issue(all(), me, Lifespan::Unlimited).await, Some((None, None)));
    assert_eq!(issue(all(), me, Lifespan::days(8)).await, None, "people choose among the offered durations");
    assert!(issue(all(), Actor::Service, Lifespan::days(8)).await.is_some(), "the host may choose any duration");
    assert!(issue(all().choices([8 * DAY]), me, Lifespan::days(8)).await.is_some());
    assert_eq!(issue(all().choices([8 * DAY]), me, Lifespan::days(7)).await, None);
    for by in [me, Actor::Service] {
        assert_eq!(issue(all().without_unlimited(), by, Lifespan::Unlimited).await, None);
        assert_eq!(issue(all().at_most(30 * DAY), by, Lifespan::Unlimited).await, None);
        assert_eq!(issue(all().at_most(30 * DAY), by, Lifespan::days(90)).await, None);
        assert!(issue(all().at_most(30 * DAY), by, Lifespan::days(30)).await.is_some());
    }
}

fn catalogue() -> Catalogue {
    Catalogue::default()
        .action(ActionEntry::settings("plain", "Things", "Plain").with_conditions(false))
        .action(ActionEntry::on_resources("read", "Read", ["article"]).with_fields())
        .action(ActionEntry::on_resources("drop", "Drop", ["article", "page"]))
        .resource(ResourceEntry::collection("article", "Article").fields(["title", "body"]))
        .content_action("article.find")
}

async fn entries_outside_the_catalogue_are_rejected<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b.catalogue(catalogue()));
    let super_admin = person(&world, "root", &[RoleId::SUPER_ADMIN]).await;
    let (roles, tokens) = (world.keyward.roles(), world.keyward.tokens());
    let only = |fields: &[&str]| Fields::only(fields.iter().copied()).unwrap();
    let own = ConditionClause::from_list([IS_CREATOR]);
    let good = [
        Permission::new("plain"),
        Permission::new("admin::users.read"),
        Permission::new("read").on("article").fields(only(&["title", "body"])).when(own.clone()),
        Permission::new("drop").on("page"),
    ];
    roles.create(NewRole::new("good").permissions(good.clone())).await.unwrap();
    tokens.issue_admin(NewAdminToken::new("good", super_admin).grants(good.iter().map(Grant::from))).await.unwrap();
    for (bad, paths) in [
        (Permission::new("nope"), &["action"][..]),
        (Permission::new("plain").on("article"), &["resource"]),
        (Permission::new("read"), &["resource"]),
        (Permission::new("read").on("page"), &["resource"]),
        (Permission::new("read").on("article").fields(only(&["slug", "title"])), &["fields.0"]),
        (Permission::new("drop").on("article").fields(only(&["title"])), &["fields"]),
        (Permission::new("drop").on("page").when(ConditionClause::from_list(["no::such"])), &["conditions.0"]),
        (Permission::new("plain").when(own.clone()), &["conditions.0"]),
    ] {
        let two = [Permission::new("plain"), bad.clone()];
        let error = roles.create(NewRole::new("bad").permissions(two.clone())).await.unwrap_err();
        let expected = |of: &str| paths.iter().map(|p| format!("{of}.1.{p}")).collect::<Vec<_>>();
        assert_eq!(problems(error), expected("permissions"), "{bad:?}");
        let grants = [Grant::new("plain"), Grant::from(&bad).chosen(bad.when.clone())];
        let error =
            tokens.issue_admin(NewAdminToken::new("bad", super_admin).grants(grants.clone())).await.unwrap_err();
        assert_eq!(problems(error), expected("grants"), "{bad:?}");
    }
    let custom = |action: &str| NewContentToken::new("c", ContentAccess::Custom([action.into()].into()));
    assert_eq!(problems(tokens.issue_content(custom("article.drop")).await.unwrap_err()), ["access.0"]);
    tokens.issue_content(custom("article.find")).await.unwrap();
    let several = NewAdminToken::new("", super_admin)
        .grants([Grant::new("x"), Grant::new("y")])
        .lifespan(Lifespan::Of(Duration::ZERO));
    let paths = problems(tokens.issue_admin(several).await.unwrap_err());
    assert_eq!(paths, ["name", "lifespan", "grants.0.action", "grants.1.action"], "all at once");
}

async fn entries_removed_from_the_catalogue_are_removed_at_startup<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let before = world(&store, &clock, |b| b.catalogue(catalogue()));
    let super_admin = person(&before, "root", &[RoleId::SUPER_ADMIN]).await;
    let both = [Permission::new("plain"), Permission::new("drop").on("page")];
    let role = before.keyward.roles().create(NewRole::new("r").permissions(both.clone())).await.unwrap().id;
    let ada = person(&before, "ada", &[role]).await;
    let mut ids = Vec::new();
    for owner in [super_admin, ada] {
        let new = NewAdminToken::new(format!("of {owner}"), owner).grants(both.iter().map(Grant::from));
        ids.push(before.keyward.tokens().issue_admin(new).await.unwrap().token.id);
    }
    assert_eq!(before.keyward.set_up().await.unwrap().clamped, 0);
    let after =
        world(&store, &clock, |b| b.catalogue(Catalogue::default().action(ActionEntry::settings("plain", "T", "P"))));
    assert_eq!(after.keyward.set_up().await.unwrap().clamped, 3);
    let later = world(&store, &clock, |b| b.catalogue(catalogue()));
    assert_eq!(later.keyward.set_up().await.unwrap().clamped, 0);
    for id in ids {
        assert_eq!(later.keyward.tokens().read(id).await.unwrap().token.grants(), [Grant::new("plain")]);
        let query = EventQuery {
            actions: Some(vec![AuditAction::GrantClamped]),
            ..EventQuery::all(Paging { page: 1, page_size: 9 })
        };
        let [(_, event)] = &later.keyward.audit().of_token(id, &query).await.unwrap().items[..] else { panic!() };
        assert_eq!(
            (event.target, event.cause),
            (AuditTarget::Token(id, TokenKind::Admin), Some(AuditCause::Catalogue))
        );
        assert_eq!(event.details["action"], "drop");
    }
    assert_eq!(later.keyward.roles().read(role).await.unwrap().permissions, [Permission::new("plain")]);
}

async fn entries_removed_from_the_catalogue_do_not_block_updates<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let world_before = world(&store, &clock, |b| b.catalogue(catalogue()));
    let super_admin = person(&world_before, "root", &[RoleId::SUPER_ADMIN]).await;
    let read = |fields: &[&str]| Grant::new("read").on("article").fields(Fields::only(fields.iter().copied()).unwrap());
    let permission = |grant: &Grant| Permission { scope: grant.scope.clone(), when: ConditionClause::Always };
    let old = read(&["body", "title"]);
    let role = world_before.keyward.roles().create(NewRole::new("r").permissions([permission(&old)])).await.unwrap().id;
    let tokens = world_before.keyward.tokens();
    let token = tokens.issue_admin(NewAdminToken::new("t", super_admin).grants([old.clone()])).await.unwrap().token.id;
    let custom = |actions: &[&str]| ContentAccess::Custom(actions.iter().map(|a| (*a).into()).collect());
    let content = tokens.issue_content(NewContentToken::new("c", custom(&["article.find"]))).await.unwrap().token.id;

    // The field `body` and the content action were removed.
    let smaller = Catalogue::default()
        .action(ActionEntry::settings("plain", "Things", "Plain").with_conditions(false))
        .action(ActionEntry::on_resources("read", "Read", ["article"]).with_fields())
        .resource(ResourceEntry::collection("article", "Article").fields(["title", "slug"]))
        .content_action("article.list");
    let world = world(&store, &clock, |b| b.catalogue(smaller));
    let (tokens, roles) = (world.keyward.tokens(), world.keyward.roles());
    let more = read(&["body", "slug", "title"]);
    let grants = |grants: &[&Grant]| TokenUpdate {
        grants: Some(grants.iter().map(|g| (*g).clone()).collect()),
        ..Default::default()
    };
    tokens.update(token, grants(&[&more, &Grant::new("plain")])).await.unwrap();
    roles.set_permissions(role, vec![permission(&more), Permission::new("plain")]).await.unwrap();
    let access = |access| TokenUpdate { access: Some(access), ..Default::default() };
    tokens.update(content, access(custom(&["article.find", "article.list"]))).await.unwrap();
    // New unknown entries are rejected, and so are former ones in another combination.
    let worse = read(&["body", "nope"]);
    assert_eq!(problems(tokens.update(token, grants(&[&worse])).await.unwrap_err()), ["grants.0.fields.1"]);
    let worse = roles.set_permissions(role, vec![permission(&worse)]).await;
    assert_eq!(problems(worse.unwrap_err()), ["permissions.0.fields.1"]);
    assert_eq!(problems(tokens.update(content, access(custom(&["article.drop"]))).await.unwrap_err()), ["access.0"]);
    // A removed entry does not come back.
    tokens.update(token, grants(&[&Grant::new("plain")])).await.unwrap();
    assert_eq!(problems(tokens.update(token, grants(&[&old])).await.unwrap_err()), ["grants.0.fields.0"]);
}

async fn first_startup_creates_default_content_tokens_once<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b.encryption(keys(OLD_KEY)));
    assert!(world.keyward.set_up().await.unwrap().needs_first_admin);
    let tokens = world.keyward.tokens();
    let listed = tokens.list(&TokenQuery::of(TokenKind::Content)).await.unwrap().items;
    let names: Vec<&str> = listed.iter().map(|t| t.token.name.as_str()).collect();
    assert_eq!(names, ["Full Access", "Read Only"]);
    let super_admin = person(&world, "root", &[RoleId::SUPER_ADMIN]).await;
    for described in &listed {
        assert!(matches!(reveal(&world, Actor::Person(super_admin), described.token.id).await, SecretAccess::Shown(_)));
        tokens.revoke(described.token.id).await.unwrap();
    }
    assert!(!world.keyward.set_up().await.unwrap().needs_first_admin);
    assert!(
        tokens.list(&TokenQuery::of(TokenKind::Content)).await.unwrap().items.is_empty(),
        "removed entries stay removed"
    );
}

async fn default_content_tokens_have_an_offered_duration<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let mut policy = Policy::default();
    policy.durations = Durations::default().at_most(30 * DAY);
    let world = world(&store, &clock, |b| b.policy(policy));
    world.keyward.set_up().await.unwrap();
    for described in world.keyward.tokens().list(&TokenQuery::of(TokenKind::Content)).await.unwrap().items {
        assert_eq!(described.token.lifespan, Some(30 * DAY));
    }
}

async fn owners_see_events_of_their_tokens<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let (ada, eve) = (person(&world, "ada", &[]).await, person(&world, "eve", &[]).await);
    let super_admin = person(&world, "root", &[RoleId::SUPER_ADMIN]).await;
    let tokens = world.keyward.tokens();
    let id = tokens.issue_admin(NewAdminToken::new("a", ada)).await.unwrap().token.id;
    tokens.issue_admin(NewAdminToken::new("b", eve)).await.unwrap();
    let renamed = TokenUpdate { name: Some("c".into()), ..TokenUpdate::default() };
    let address = Some("192.0.2.7".parse().unwrap());
    tokens.acting_as(Actor::Person(ada)).from_address(address).update(id, renamed).await.unwrap();
    let query = EventQuery::all(Paging { page: 1, page_size: 10 });
    let of = async |actor| world.keyward.audit().acting_as(actor).of_token(id, &query).await.map(|p| p.items);
    for seer in [ada, super_admin] {
        let events = of(Actor::Person(seer)).await.unwrap();
        let whats: Vec<AuditAction> = events.iter().map(|(_, e)| e.what).collect();
        assert_eq!(whats, [AuditAction::TokenUpdated, AuditAction::TokenIssued]);
        let (_, updated) = &events[0];
        assert_eq!((updated.origin.actor, updated.origin.address), (Actor::Person(ada), address));
        assert_eq!(updated.details, serde_json::json!({"name": {"before": "a", "after": "c"}}));
    }
    assert!(matches!(of(Actor::Person(eve)).await, Err(ServiceError::NotFound("token"))));
}

async fn events_are_kept_for_the_policys_retention<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let mut policy = Policy::default();
    policy.keep_events = Some(30 * DAY);
    let world = world(&store, &clock, |b| b.policy(policy));
    person(&world, "ada", &[]).await;
    world.keyward.set_up().await.unwrap();
    world.keyward.set_up().await.unwrap();
    assert_eq!(count(&world, AuditAction::RetentionSet).await, 1, "a changed setting has an event");
    clock.advance(31 * DAY);
    // The hourly clean-up may have run before.
    world.keyward.audit().delete_older_than(30 * DAY).await.unwrap();
    assert_eq!(
        (count(&world, AuditAction::OwnerCreated).await, count(&world, AuditAction::EventsDeleted).await),
        (0, 1)
    );
    let asked = world.keyward.audit().acting_as(Actor::Person(OwnerId(1))).delete_older_than(DAY).await;
    assert!(matches!(asked, Err(ServiceError::Forbidden(_))));
}

async fn issue_events_record_everything_granted<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let role = NewRole::new("r").permissions([Permission::new("read").on("article")]);
    let role = world.keyward.roles().create(role).await.unwrap().id;
    let ada = person(&world, "ada", &[role]).await;
    let tokens = world.keyward.tokens();
    let grant = Grant::new("read").on("article").fields(Fields::only(["title"]).unwrap());
    let admin = NewAdminToken::new("a", ada).description("For the site").grants([grant]).lifespan(Lifespan::days(7));
    let admin = tokens.issue_admin(admin).await.unwrap().token;
    let access = ContentAccess::Custom(["article.find".into(), "article.findOne".into()].into());
    tokens.issue_content(NewContentToken::new("c", access).lifespan(Lifespan::Unlimited)).await.unwrap();
    let query = EventQuery {
        actions: Some(vec![AuditAction::TokenIssued]),
        ..EventQuery::all(Paging { page: 1, page_size: 10 })
    };
    let events = world.keyward.audit().list(&query).await.unwrap().items;
    let details: Vec<_> = events.into_iter().map(|(_, event)| event.details).collect();
    assert_eq!(
        details,
        [
            serde_json::json!({"name": "c", "description": "", "lifespan": null, "expiresAt": null,
                "access": ["article.find", "article.findOne"]}),
            serde_json::json!({"name": "a", "description": "For the site", "lifespan": 604_800_000,
                "expiresAt": admin.expires_at.unwrap().to_string(), "owner": ada.0,
                "grants": [{"action": "read", "subject": "article", "fields": ["title"]}]}),
        ]
    );
}

async fn reordered_grants_are_no_change<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let permissions = || {
        let fields = Fields::only(["title", "body"]).unwrap();
        let conditions = ConditionClause::from_list([IS_CREATOR, keyward::authz::HAS_SAME_ROLE_AS_CREATOR]);
        let update = Permission { when: conditions, ..Permission::new("update").on("article") };
        vec![Permission::new("read").on("article").fields(fields), update, Permission::new("delete").on("article")]
    };
    let turned = |list: Vec<Permission>| {
        let turn = |p: Permission| Permission {
            scope: Scope {
                fields: match &p.scope.fields {
                    Fields::All => Fields::All,
                    Fields::Only(_) => Fields::only(["body", "title"]).unwrap(),
                },
                ..p.scope
            },
            when: ConditionClause::from_list(p.when.as_slice().iter().rev().map(|id| id.as_str()).collect::<Vec<_>>()),
        };
        list.into_iter().rev().map(turn).collect::<Vec<_>>()
    };
    let roles = world.keyward.roles();
    let role = roles.create(NewRole::new("r").permissions(permissions())).await.unwrap().id;
    let ada = person(&world, "ada", &[role]).await;
    let tokens = world.keyward.tokens();
    let grants = |list: Vec<Permission>| list.iter().map(Grant::from).map(unchosen).collect::<Vec<_>>();
    let admin = NewAdminToken::new("a", ada).grants(grants(permissions()));
    let admin = tokens.issue_admin(admin).await.unwrap().token.id;
    let custom = |actions: [&str; 2]| ContentAccess::Custom(actions.map(Into::into).into());
    let content = NewContentToken::new("c", custom(["a.find", "b.find"]));
    let content = tokens.issue_content(content).await.unwrap().token.id;
    let before = world.keyward.audit().list(&EventQuery::all(Paging { page: 1, page_size: 1 })).await.unwrap().total;

    roles.set_permissions(role, turned(permissions())).await.unwrap();
    let update = TokenUpdate { grants: Some(grants(turned(permissions()))), ..TokenUpdate::default() };
    tokens.update(admin, update).await.unwrap();
    let update = TokenUpdate { access: Some(custom(["b.find", "a.find"])), ..TokenUpdate::default() };
    tokens.update(content, update).await.unwrap();

    let after = world.keyward.audit().list(&EventQuery::all(Paging { page: 1, page_size: 1 })).await.unwrap().total;
    assert_eq!(after, before);
}

/// Conditions are inherited from the owner's roles.
fn unchosen(grant: Grant) -> Grant {
    Grant { chosen: ConditionClause::Always, ..grant }
}

fn log() -> EventQuery {
    EventQuery::all(Paging { page: 1, page_size: 100 })
}

/// Creates a person whose role has these permissions.
async fn with_role<S: WriteStore>(world: &World<S>, name: &str, permissions: &[&str]) -> OwnerId {
    let permissions: Vec<Permission> = permissions.iter().map(|p| Permission::new(*p)).collect();
    let role = world.keyward.roles().create(NewRole::new(name).permissions(permissions)).await.unwrap();
    person(world, name, &[role.id]).await
}

/// Many changes of a token of another owner, with all its names and ids in the audit log.
async fn eventful<S: WriteStore>(world: &World<S>) -> (OwnerId, TokenId) {
    let role = NewRole::new("secret-role").permissions([Permission::new("secret.one"), Permission::new("secret.two")]);
    let role = world.keyward.roles().create(role).await.unwrap();
    let ada = person(world, "ada", &[role.id]).await;
    let tokens = world.keyward.tokens().acting_as(Actor::Person(ada)).from_address(Some("192.0.2.7".parse().unwrap()));
    let both = [Grant::new("secret.one"), Grant::new("secret.two")];
    let id = tokens.issue_admin(NewAdminToken::new("secret-project", ada).grants(both)).await.unwrap().token.id;
    let description = TokenUpdate { description: Some("secret-text".into()), ..TokenUpdate::default() };
    tokens.update(id, description).await.unwrap();
    let itself = world.keyward.tokens().acting_as(Actor::Token(id)).from_address(Some("192.0.2.8".parse().unwrap()));
    itself.regenerate(id).await.unwrap();
    world.keyward.roles().set_permissions(role.id, vec![Permission::new("secret.one")]).await.unwrap();
    world.keyward.owners().set_roles(ada, vec![]).await.unwrap();
    itself.revoke(id).await.unwrap();
    let issued = tokens.issue_admin(NewAdminToken::new("secret-second", ada)).await.unwrap().token.id;
    let session = keyward::admin::NewSession { owner: ada, idle: DAY, lifespan: DAY };
    world.keyward.tokens().open_session(session).await.unwrap();
    (ada, issued)
}

async fn events_of_others_show_kind_and_time_only<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    // They may list everything except tokens of others, which only super admins may list.
    let lists = ["admin::audit-logs.read", "admin::admin-tokens.read", "admin::users.read", "admin::roles.read"];
    let reader = with_role(&world, "reader", &lists).await;
    let grants = lists.map(Grant::new);
    let new = NewAdminToken::new("auditor", reader).grants(grants);
    let auditor = world.keyward.tokens().acting_as(Actor::Person(reader)).issue_admin(new).await.unwrap().token.id;
    let (ada, second) = eventful(&world).await;
    world.keyward.owners().delete(ada).await.unwrap();

    let whole = world.keyward.audit().list(&log()).await.unwrap();
    for actor in [Actor::Person(reader), Actor::Token(auditor)] {
        let page = world.keyward.audit().acting_as(actor).list(&log()).await.unwrap();
        assert_eq!(page.total, whole.total, "{actor:?}: the pages are the same for every reader");
        let mut withheld = Vec::new();
        for ((id, event), (same, all)) in page.items.iter().zip(&whole.items) {
            assert_eq!((id, event.at, event.what), (same, all.at, all.what));
            let AuditTarget::Token(token, kind) = all.target else {
                let mut shown = all.clone();
                if let (Actor::Token(_), Some(details)) = (actor, shown.details.as_object_mut()) {
                    // A token does not learn how many tokens an owner had.
                    details.remove("tokens");
                }
                assert_eq!(event, &shown, "{actor:?}: the reader may list it");
                continue;
            };
            if token == auditor {
                assert_eq!(event, all, "{actor:?}: the reader's own event");
                continue;
            }
            assert_eq!(event.target, AuditTarget::Withheld(all.target.kind()), "{kind:?}");
            assert_eq!((event.origin.address, event.cause), (None, None));
            assert!(event.details.is_null(), "{event:?}");
            let theirs = matches!(all.origin.actor, Actor::Person(_) | Actor::Token(_));
            assert_eq!(event.origin.actor, if theirs { Actor::Withheld } else { all.origin.actor });
            withheld.push(event.what);
        }
        for what in [
            AuditAction::TokenIssued,
            AuditAction::TokenUpdated,
            AuditAction::TokenRegenerated,
            AuditAction::GrantClamped,
            AuditAction::TokenRevoked,
        ] {
            assert!(withheld.contains(&what), "{actor:?}: {what:?}");
        }
        let said = format!("{:?}", page.items);
        for secret in ["secret-project", "secret-second", "secret-text", "192.0.2."] {
            assert!(!said.contains(secret), "{actor:?}: {secret} in {said}");
        }
        let of_second = world.keyward.audit().acting_as(actor).of_token(second, &log()).await;
        assert!(matches!(of_second, Err(ServiceError::NotFound("token"))));
    }
    let super_admin = person(&world, "root", &[RoleId::SUPER_ADMIN]).await;
    let all = world.keyward.audit().acting_as(Actor::Person(super_admin)).list(&log()).await.unwrap();
    assert_eq!(all.items[1..], whole.items, "a super admin reads all details");
    assert!(format!("{all:?}").contains("secret-project"));
    let visitor = world.keyward.audit().acting_as(Actor::Visitor).list(&log()).await;
    assert!(matches!(visitor, Err(ServiceError::Forbidden(_))));
}

async fn withheld_details_are_not_searchable<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let reader = with_role(&world, "reader", &["admin::audit-logs.read", "admin::users.read"]).await;
    let blind = with_role(&world, "blind", &["admin::audit-logs.read"]).await;
    let own = world.keyward.tokens().acting_as(Actor::Person(reader));
    let mine = own.issue_admin(NewAdminToken::new("mine", reader)).await.unwrap().token.id;
    let (ada, second) = eventful(&world).await;
    let super_admin = person(&world, "root", &[RoleId::SUPER_ADMIN]).await;
    let renamed = TokenUpdate { name: Some("renamed".into()), ..TokenUpdate::default() };
    world.keyward.tokens().acting_as(Actor::Person(super_admin)).update(mine, renamed).await.unwrap();
    let named = keyward::admin::OwnerUpdate { firstname: Some("A".into()), ..keyward::admin::OwnerUpdate::default() };
    world.keyward.owners().acting_as(Actor::Person(super_admin)).update(ada, named).await.unwrap();

    let count = async |actor: OwnerId, query: EventQuery| {
        let page = world.keyward.audit().acting_as(Actor::Person(actor)).list(&query).await.unwrap();
        assert_eq!(page.total, page.items.len() as u64);
        page.total
    };
    let target = |target| EventQuery { target: Some(target), ..log() };
    let gone = TokenId(4711);
    for id in [second, gone] {
        for kind in [TokenKind::Admin, TokenKind::Session] {
            assert_eq!(count(reader, target(AuditTarget::Token(id, kind))).await, 0, "{id} as {kind:?}");
        }
        assert_eq!(count(reader, EventQuery { token: Some(id), ..log() }).await, 0);
    }
    assert_eq!(count(reader, target(AuditTarget::Token(mine, TokenKind::Admin))).await, 2);
    let by = |id| EventQuery { person: Some(id), ..log() };
    // Ada has only changed her own tokens: the number of events must not reveal their owner.
    assert_eq!((count(super_admin, by(ada)).await, count(reader, by(ada)).await), (3, 0));
    // Of the super admin's events they see the change of their own token and that of a user whom they may list.
    assert_eq!(count(reader, by(super_admin)).await, 2);
    assert_eq!(count(reader, by(reader)).await, 1, "actors see their own events");
    // A reader who may list no users can filter by no other account.
    assert_eq!((count(blind, by(super_admin)).await, count(blind, by(OwnerId(4711))).await), (0, 0));
    assert_eq!(count(blind, target(AuditTarget::Owner(ada))).await, 0);
    assert_ne!(count(blind, target(AuditTarget::Owner(blind))).await, 0, "the reader sees its own account");
}

async fn audit_log_shows_what_its_reader_may_list<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let content = NewContentToken::new("shop", ContentAccess::ReadOnly);
    let content = world.keyward.tokens().issue_content(content).await.unwrap().token.id;
    let role = world.keyward.roles().create(NewRole::new("painter")).await.unwrap().id;
    let ada = person(&world, "ada", &[]).await;
    let cases = [
        ("admin::users.read", AuditTarget::Owner(ada)),
        ("admin::roles.read", AuditTarget::Role(role)),
        ("admin::api-tokens.read", AuditTarget::Token(content, TokenKind::Content)),
    ];
    for (action, shown) in cases {
        let reader = with_role(&world, &action.replace("::", "-"), &["admin::audit-logs.read", action]).await;
        // A conditional permission does not list it; a token lists what its grants allow.
        let own = Permission::new(action).when(ConditionClause::from_list([IS_CREATOR]));
        let few = NewRole::new(format!("few {action}")).permissions([own, Permission::new("admin::audit-logs.read")]);
        let few = world.keyward.roles().create(few).await.unwrap().id;
        let few = person(&world, &format!("few-{}", action.replace("::", "-")), &[few]).await;
        let grants = ["admin::audit-logs.read", action].map(Grant::new);
        let tokens = world.keyward.tokens();
        let carries = NewAdminToken::new(format!("carries {action}"), reader).grants(grants.clone());
        let carries = tokens.issue_admin(carries).await.unwrap().token.id;
        let lacks = NewAdminToken::new(format!("lacks {action}"), reader).grants(grants[..1].to_vec());
        let lacks = tokens.issue_admin(lacks).await.unwrap().token.id;
        for (actor, sees) in [
            (Actor::Person(reader), true),
            (Actor::Person(few), false),
            (Actor::Token(carries), true),
            (Actor::Token(lacks), false),
        ] {
            let page = world.keyward.audit().acting_as(actor).list(&log()).await.unwrap();
            for (_, target) in cases {
                let found = page.items.iter().any(|(_, event)| event.target == target && event.details.is_object());
                assert_eq!(found, sees && target == shown, "{actor:?} with {action}: {target:?}");
            }
        }
    }
}

async fn ids_of_others_answer_like_unknown_ids<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let (ada, eve) = (person(&world, "ada", &[]).await, person(&world, "eve", &[]).await);
    let super_admin = person(&world, "root", &[RoleId::SUPER_ADMIN]).await;
    let tokens = world.keyward.tokens();
    let theirs = tokens.issue_admin(NewAdminToken::new("a", ada)).await.unwrap().token.id;
    let session = keyward::admin::NewSession { owner: ada, idle: DAY, lifespan: DAY };
    let session = tokens.open_session(session).await.unwrap().token.id;
    let sibling = tokens.issue_admin(NewAdminToken::new("b", ada)).await.unwrap().token.id;
    let content = tokens.issue_content(NewContentToken::new("c", ContentAccess::ReadOnly)).await.unwrap().token.id;
    let answers = async |actor: Actor, only: Option<TokenKind>, id: TokenId| {
        let tokens = world.keyward.tokens().acting_as(actor);
        let tokens = only.into_iter().fold(tokens, |tokens, kind| tokens.only(kind));
        let said = |error: Option<ServiceError>| error.map(|error| error.to_string());
        let update = TokenUpdate { name: Some("x".into()), ..TokenUpdate::default() };
        [
            said(tokens.read(id).await.err()),
            said(tokens.open(id).await.err()),
            said(tokens.update(id, update).await.err()),
            said(tokens.regenerate(id).await.err()),
            said(tokens.owner_permissions(id).await.err()),
            said(tokens.revoke(id).await.err()),
            said(world.keyward.audit().acting_as(actor).of_token(id, &log()).await.err()),
        ]
    };
    for (actor, id, kinds) in [
        (
            Actor::Person(eve),
            theirs,
            &[None, Some(TokenKind::Admin), Some(TokenKind::Content), Some(TokenKind::Session)][..],
        ),
        (Actor::Person(eve), session, &[None, Some(TokenKind::Session)]),
        (Actor::Person(super_admin), session, &[None, Some(TokenKind::Session)]),
        (Actor::Token(content), theirs, &[None, Some(TokenKind::Admin)]),
    ] {
        for only in kinds {
            let (found, none) = (answers(actor, *only, id).await, answers(actor, *only, TokenId(4711)).await);
            assert_eq!(found, none, "{actor:?} asks for {id} among {only:?}");
            assert!(none.iter().all(Option::is_some), "{none:?}");
        }
    }
    // A token may read the other tokens of its owner, and change none.
    let tokens = world.keyward.tokens().acting_as(Actor::Token(sibling));
    tokens.read(theirs).await.unwrap();
    for id in [theirs, TokenId(4711)] {
        assert!(matches!(
            tokens.regenerate(id).await,
            Err(ServiceError::Forbidden("a token changes nothing but itself"))
        ));
        assert!(matches!(tokens.revoke(id).await, Err(ServiceError::Forbidden("a token changes nothing but itself"))));
    }
    // A super admin gets another error than 404 for a visible token that it may not change.
    let tokens = world.keyward.tokens().acting_as(Actor::Person(super_admin));
    assert!(matches!(tokens.regenerate(theirs).await, Err(ServiceError::Forbidden(_))));
    assert!(matches!(tokens.regenerate(TokenId(4711)).await, Err(ServiceError::NotFound("token"))));
    assert!(matches!(tokens.update(TokenId(4711), TokenUpdate::default()).await, Err(ServiceError::NotFound("token"))));
    tokens.revoke(theirs).await.unwrap();
}

async fn taken_name_is_reported_after_other_errors<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let (ada, eve) = (person(&world, "ada", &[]).await, person(&world, "eve", &[]).await);
    let tokens = world.keyward.tokens();
    tokens.issue_admin(NewAdminToken::new("secret-project", ada)).await.unwrap();
    let own = tokens.issue_admin(NewAdminToken::new("own", eve)).await.unwrap().token.id;
    let tokens = tokens.acting_as(Actor::Person(eve));
    let excessive = [Grant::new("more.than.eve")];
    let mut said = Vec::new();
    for name in ["secret-project", "free"] {
        let new = NewAdminToken::new(name, eve).grants(excessive.clone());
        said.push(tokens.issue_admin(new).await.unwrap_err().to_string());
        let of_ada = NewAdminToken::new(name, ada);
        said.push(tokens.issue_admin(of_ada).await.unwrap_err().to_string());
        let update =
            TokenUpdate { name: Some(name.into()), grants: Some(excessive.to_vec()), ..TokenUpdate::default() };
        said.push(tokens.update(own, update).await.unwrap_err().to_string());
    }
    assert_eq!(said[..3], said[3..], "a taken name is answered like a free one");
    let taken = tokens.issue_admin(NewAdminToken::new("secret-project", eve)).await;
    assert!(
        matches!(taken, Err(ServiceError::Taken { field: keyward::admin::FieldName::Name, .. })),
        "names are unique in the installation"
    );
}

async fn confusable_names_and_addresses_count_as_taken<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let world = world(&store, &clock, |b| b);
    let ada = person(&world, "ada", &[]).await;
    let (tokens, roles, owners) = (world.keyward.tokens(), world.keyward.roles(), world.keyward.owners());
    let taken = |error: ServiceError| matches!(error, ServiceError::Taken { .. });
    let kept = tokens.issue_admin(NewAdminToken::new("De\u{301}ploy 1", ada)).await.unwrap().token;
    assert_eq!(kept.name, "Déploy 1", "stored in composed form");
    let role = roles.create(NewRole::new("De\u{301}ploy 1")).await.unwrap();
    assert_eq!(role.name, "Déploy 1");
    let other = tokens.issue_admin(NewAdminToken::new("other", ada)).await.unwrap().token.id;
    for alike in ["déploy 1", "DÉPLOY  1", "ｄéｐloy\u{a0}1", "De\u{301}ploy １"] {
        assert!(taken(tokens.issue_admin(NewAdminToken::new(alike, ada)).await.unwrap_err()), "{alike:?}");
        let content = NewContentToken::new(alike, ContentAccess::ReadOnly);
        assert!(taken(tokens.issue_content(content).await.unwrap_err()), "{alike:?}");
        let rename = TokenUpdate { name: Some(alike.into()), ..TokenUpdate::default() };
        assert!(taken(tokens.update(other, rename.clone()).await.unwrap_err()), "{alike:?}");
        assert!(taken(roles.create(NewRole::new(alike)).await.unwrap_err()), "{alike:?}");
        // A record may take another form of its own name.
        tokens.update(kept.id, rename).await.unwrap();
    }
    for alike in ["ADA@example.test", "ａda@example.test", "ada@example.TEST"] {
        assert!(taken(owners.create(NewOwner::new(alike)).await.unwrap_err()), "{alike:?}");
    }
    let hidden =
        ["\u{200b}", "\u{200d}", "\u{200f}", "\u{61c}", "\u{2060}", "\u{feff}", "\u{ad}", "\u{202e}", "\u{3164}"];
    for mark in hidden {
        let paths = |error: ServiceError| problems(error);
        let name = format!("t{mark}");
        assert_eq!(paths(tokens.issue_admin(NewAdminToken::new(&name, ada)).await.unwrap_err()), ["name"], "{mark:?}");
        assert_eq!(paths(roles.create(NewRole::new(&name)).await.unwrap_err()), ["name"], "{mark:?}");
        for address in
            [format!("ada{mark}@example.test"), format!("{mark}eve@example.test"), format!("eve@ex{mark}ample.test")]
        {
            assert_eq!(paths(owners.create(NewOwner::new(address)).await.unwrap_err()), ["email"], "{mark:?}");
        }
        let named = NewOwner::new("eve@example.test").named(format!("E{mark}ve"), format!("{mark}X"));
        assert_eq!(paths(owners.create(named).await.unwrap_err()), ["firstname", "lastname"], "{mark:?}");
    }
    let joined = NewAdminToken::new("joined", ada).description("👩\u{200d}💻 می\u{200c}روم");
    tokens.issue_admin(joined).await.unwrap();
}

async fn changes_per_actor_are_rate_limited<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let mut policy = Policy::default();
    policy.changes_per_hour = 3;
    let world = world(&store, &clock, |b| b.policy(policy));
    let (ada, bob) = (person(&world, "ada", &[]).await, person(&world, "bob", &[]).await);
    let of = |person: OwnerId| world.keyward.tokens().acting_as(Actor::Person(person));
    let issue = async |person: OwnerId| of(person).issue_admin(NewAdminToken::new("loop", person)).await;
    for _ in 0..3 {
        let token = issue(ada).await.unwrap().token;
        of(ada).revoke(token.id).await.expect("revoking is never limited");
    }
    let refused = issue(ada).await.unwrap_err();
    assert!(matches!(refused, ServiceError::TooManyAttempts(wait) if wait == Duration::from_secs(3600)), "{refused:?}");
    assert_eq!(count(&world, AuditAction::TokenIssued).await, 3, "a rejected call has no event");
    let other = issue(bob).await.expect("another person").token;
    let rename = TokenUpdate { name: Some("a".into()), ..TokenUpdate::default() };
    of(bob).update(other.id, rename).await.expect("a change of another sort");
    world.keyward.tokens().issue_admin(NewAdminToken::new("by the program", ada)).await.expect("the program");
    clock.advance(Duration::from_secs(3600));
    issue(ada).await.expect("an hour later");

    // A stolen session that exhausts the rate limit does not stop its owner from revoking.
    let root = with_role(&world, "root", &[]).await;
    world.keyward.owners().set_roles(root, vec![RoleId::SUPER_ADMIN]).await.unwrap();
    let owners = world.keyward.owners().acting_as(Actor::Person(root));
    let role = world.keyward.roles().create(NewRole::new("r").permissions([Permission::new("a")])).await.unwrap().id;
    owners.set_state(bob, OwnerState::Deactivated).await.unwrap();
    for roles in [vec![role], vec![], vec![role]] {
        owners.set_roles(bob, roles).await.unwrap();
    }
    owners.set_state(bob, OwnerState::Active).await.unwrap();
    for state in [OwnerState::Deactivated, OwnerState::Blocked, OwnerState::Deactivated] {
        owners.set_state(bob, state).await.expect("it takes something away");
    }
    owners.set_roles(bob, vec![]).await.expect("it takes something away");
    for refused in [owners.set_state(bob, OwnerState::Active).await, owners.set_roles(bob, vec![role]).await] {
        assert!(matches!(refused, Err(ServiceError::TooManyAttempts(_))), "{refused:?}");
    }
}

async fn repeated_changes_to_one_token_are_rate_limited<S: WriteStore + Clone>(store: S, clock: Arc<ManualClock>) {
    let mut policy = Policy::default();
    (policy.regenerations_per_hour, policy.reveals_per_hour, policy.token_updates_per_hour) = (3, 2, 2);
    let world = world(&store, &clock, |b| b.policy(policy.clone()).encryption(keys(OLD_KEY)));
    let ada = person(&world, "ada", &[]).await;
    let tokens = world.keyward.tokens();
    let id = tokens.issue_admin(NewAdminToken::new("a", ada)).await.unwrap().token.id;
    let twin = tokens.issue_admin(NewAdminToken::new("twin", ada)).await.unwrap().token.id;
    let (itself, owner) = (tokens.clone().acting_as(Actor::Token(id)), tokens.clone().acting_as(Actor::Person(ada)));
    let minute = Duration::from_secs(60);
    let wait = |error: ServiceError| match error {
        ServiceError::TooManyAttempts(wait) => wait,
        other => panic!("{other:?}"),
    };
    for _ in 0..3 {
        itself.regenerate(id).await.unwrap();
        clock.advance(minute);
    }
    assert_eq!(wait(itself.regenerate(id).await.unwrap_err()), 57 * minute);
    // The limit counts on another node, too.
    let node = self::world(&store, &clock, |b| b.policy(policy).encryption(keys(OLD_KEY)));
    assert_eq!(wait(node.keyward.tokens().acting_as(Actor::Token(id)).regenerate(id).await.unwrap_err()), 57 * minute);
    assert_eq!(count(&world, AuditAction::TokenRegenerated).await, 3, "a rejected call has no event");
    // A stolen secret does not limit its owner, and one token does not limit another.
    for _ in 0..3 {
        owner.regenerate(id).await.unwrap();
    }
    owner.regenerate(twin).await.unwrap();
    assert!(owner.regenerate(id).await.is_err());
    tokens.regenerate(id).await.expect("the program may always");
    clock.advance(57 * minute - Duration::from_millis(1));
    assert_eq!(wait(itself.regenerate(id).await.unwrap_err()), Duration::from_millis(1));
    clock.advance(Duration::from_millis(1));
    itself.regenerate(id).await.expect("an hour after the first one there is room for one");
    assert_eq!(wait(itself.regenerate(id).await.unwrap_err()), minute);

    for _ in 0..2 {
        owner.open(id).await.unwrap();
    }
    assert_eq!(wait(owner.open(id).await.unwrap_err()), 60 * minute);
    owner.read(id).await.expect("what leaves no event is not counted");
    let rename = |name: &str| TokenUpdate { name: Some(name.into()), ..TokenUpdate::default() };
    owner.update(id, rename("b")).await.unwrap();
    owner.update(id, rename("b")).await.expect("an update that changes nothing does not count");
    owner.update(id, rename("a")).await.unwrap();
    assert_eq!(wait(owner.update(id, rename("b")).await.unwrap_err()), 60 * minute);
    owner.revoke(id).await.expect("a token can always be revoked");
}
