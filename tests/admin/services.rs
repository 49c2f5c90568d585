//! The rules of the services, on every store: a rejected call changes nothing, a change is audited once.

use keyward::admin::{
    Actor, AuditAction, AuditEvent, AuditTarget, IssuedToken, Lifespan, NewSession, OwnerState, RoleUpdate,
    ServiceError, TokenUpdate,
};
use keyward::authz::{Action, ConditionClause, Fields, IS_CREATOR};
use keyward::store::SqliteOptions;
use keyward::store::WriteStore;
use keyward::testing::SecretFormat;
use keyward::testing::TokenKinds;
use keyward::testing::{HASH_KEY, Key, ManualClock, World};
use keyward::token::{ContentAccess, TokenId, TokenKind, TokenPrefix};
use keyward::{
    Grant, HashKey, MemoryStore, NewAdminToken, NewContentToken, NewOwner, NewRole, OwnerId, Permission, RoleId,
    SqliteStore,
};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// A store whose audit events can be read.
trait Audited: WriteStore + Clone {
    fn events(&self) -> impl Future<Output = Vec<AuditEvent>> + Send;
}

impl Audited for MemoryStore {
    async fn events(&self) -> Vec<AuditEvent> {
        self.audit_events()
    }
}

impl Audited for SqliteStore {
    async fn events(&self) -> Vec<AuditEvent> {
        self.audit_events().await.unwrap()
    }
}

#[cfg(feature = "postgres")]
impl Audited for keyward::PostgresStore {
    async fn events(&self) -> Vec<AuditEvent> {
        self.audit_events().await.unwrap()
    }
}

/// Runs each test on each store.
macro_rules! on_every_store {
    ($($test:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test(super::World::new()).await; })*
        }

        mod sqlite {
            $(#[tokio::test] async fn $test() {
                let dir = tempfile::tempdir().unwrap();
                super::$test(super::in_file(dir.path()).await).await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test] async fn $test() {
                if let Some(world) = super::in_postgres().await {
                    super::$test(world).await;
                }
            })*
        }
    };
}

on_every_store! {
    token_is_issued_within_its_owners_ceiling
    only_super_admins_choose_conditions
    token_owner_exists_and_is_active
    token_names_are_trimmed_and_unique
    role_names_are_trimmed_and_unique
    custom_content_token_needs_an_action
    email_address_is_valid_and_unique_in_any_case
    unknown_role_is_rejected_with_its_path
    last_super_admin_cannot_be_removed
    super_admin_role_has_no_permissions
    unregistered_conditions_are_rejected_with_their_path
    active_account_cannot_become_invited
    token_lifespan_is_at_least_one_second
    missing_records_cannot_be_changed
    each_change_is_audited_once
}

async fn in_file(dir: &std::path::Path) -> World<SqliteStore> {
    let clock = Arc::new(ManualClock::default());
    let options = SqliteOptions::default().clock(clock.clone());
    let store = SqliteStore::open_with(dir.join("keyward.db"), options).await.unwrap();
    // The only handle, with a clock that jumps: without this option each jump would end the lease.
    World::on(store, clock, |b| b.store_is_exclusive())
}

#[cfg(feature = "postgres")]
async fn in_postgres() -> Option<World<keyward::PostgresStore>> {
    let clock = Arc::new(ManualClock::default());
    let store = crate::connect_store_with(clock.clone()).await?;
    Some(World::on(store, clock, |b| b.store_is_exclusive()))
}

/// Returns the state that a rejected call must not change: the audit log, the number of the last change, and the snapshots of the
/// gate.
async fn everything<S: Audited>(world: &World<S>, witness: &Key) -> (Vec<AuditEvent>, String) {
    let format = SecretFormat::new(&TokenPrefix::default(), HashKey::parse(HASH_KEY).unwrap());
    let digest = format.verify(witness.secret.expose(), TokenKinds::of(&TokenKind::ALL)).unwrap().digest;
    let store = &world.store;
    (store.events().await, format!("{:?}", store.resolve(&digest).await.unwrap()))
}

/// Returns the error of a rejected call and asserts that it changed nothing.
async fn refused<S: Audited, T: Debug>(
    world: &World<S>,
    witness: &Key,
    call: impl Future<Output = Result<T, ServiceError>>,
) -> ServiceError {
    let before = everything(world, witness).await;
    let error = call.await.expect_err("it should be refused");
    assert_eq!(everything(world, witness).await, before, "{error}");
    error
}

/// Returns the path of the invalid field of a rejected call and asserts that it changed nothing.
async fn wrong<S: Audited, T: Debug>(
    world: &World<S>,
    witness: &Key,
    call: impl Future<Output = Result<T, ServiceError>>,
) -> String {
    match refused(world, witness, call).await {
        ServiceError::Invalid(problems) => match problems.as_slice() {
            [one] if !one.message.is_empty() => one.path.to_string(),
            other => panic!("not exactly one error: {other:?}"),
        },
        ServiceError::Taken { field, .. } => field.to_string(),
        other => panic!("no field is named: {other:?}"),
    }
}

/// Returns the result of an allowed call and asserts that it was audited once.
async fn done<S: Audited, T>(
    world: &World<S>,
    what: AuditAction,
    target: impl Fn(&T) -> AuditTarget,
    call: impl Future<Output = Result<T, ServiceError>>,
) -> T {
    let before = world.store.events().await;
    let value = call.await.unwrap();
    let after = world.store.events().await;
    assert_eq!(after[..before.len()], before);
    let [event] = &after[before.len()..] else { panic!("one event for {what:?}: {:?}", &after[before.len()..]) };
    assert_eq!((event.origin.actor, event.what, event.target), (Actor::Service, what, target(&value)));
    assert_eq!(event.at, keyward::time::Clock::now(&*world.clock));
    value
}

fn admin(name: &str, owner: OwnerId, grants: Vec<Grant>) -> NewAdminToken {
    NewAdminToken::new(name, owner).grants(grants).lifespan(Lifespan::Unlimited)
}

fn content(name: &str, access: ContentAccess) -> NewContentToken {
    NewContentToken::new(name, access).lifespan(Lifespan::Unlimited)
}

fn session(owner: OwnerId) -> NewSession {
    NewSession { owner, idle: Duration::from_secs(1800), lifespan: Duration::from_secs(86_400) }
}

fn role(name: &str) -> NewRole {
    NewRole::new(name)
}

fn owner(email: &str, roles: &[RoleId]) -> NewOwner {
    NewOwner::new(email).roles(roles.iter().copied())
}

fn only(field: &str) -> Fields {
    Fields::only([field]).unwrap()
}

async fn token_is_issued_within_its_owners_ceiling<S: Audited>(world: World<S>) {
    let read = || Permission::new("read").on("article");
    let key = world
        .editor()
        .holds(read().fields(only("title")))
        .holds(Permission::new("write").on("article"))
        .holds("plain")
        .issue()
        .await;
    let tokens = world.keyward.tokens();
    let issue = |grants| tokens.issue_admin(admin("new", key.owner(), grants));
    let within = || vec![Grant::new("plain"), Grant::new("read").on("article").fields(only("title"))];
    for beyond in [
        Grant::new("read").on("article").fields(only("body")),
        Grant::new("read").on("article"),
        Grant::new("delete").on("article"),
        Grant::new("write").on("page"),
        Grant::new("write"),
        Grant::new("plain").on("article"),
    ] {
        assert_eq!(wrong(&world, &key, issue(vec![beyond.clone()])).await, "grants.0", "{beyond:?}");
        let last = within().into_iter().chain([beyond]).collect();
        assert_eq!(wrong(&world, &key, issue(last)).await, "grants.2");
    }
    issue(within()).await.unwrap();

    let super_admin = world.super_admin().issue().await;
    tokens.issue_admin(admin("anything", super_admin.owner(), vec![Grant::new("delete").on("article")])).await.unwrap();
}

async fn only_super_admins_choose_conditions<S: Audited>(world: World<S>) {
    let editor = world.editor().holds("read").issue().await;
    let super_admin = world.super_admin().issue().await;
    let tokens = world.keyward.tokens();
    let chosen = || vec![Grant::new("read").chosen(ConditionClause::from_list([IS_CREATOR]))];
    assert_eq!(wrong(&world, &editor, tokens.issue_admin(admin("e", editor.owner(), chosen()))).await, "grants.0");
    tokens.issue_admin(admin("b", super_admin.owner(), chosen())).await.unwrap();
}

async fn token_owner_exists_and_is_active<S: Audited>(world: World<S>) {
    let (tokens, owners) = (world.keyward.tokens(), world.keyward.owners());
    let key = world.editor().issue().await;
    for state in [OwnerState::Deactivated, OwnerState::Blocked] {
        owners.set_state(key.owner(), state).await.unwrap();
        let error = refused(&world, &key, tokens.issue_admin(admin("a", key.owner(), vec![]))).await;
        assert!(matches!(error, ServiceError::OwnerInactive), "{error:?}");
        let error = refused(&world, &key, tokens.open_session(session(key.owner()))).await;
        assert!(matches!(error, ServiceError::OwnerInactive), "{error:?}");
    }
    let invited = NewOwner { state: OwnerState::Invited, ..owner("invited@example.test", &[]) };
    let invited = owners.create(invited).await.unwrap().id;
    let error = refused(&world, &key, tokens.issue_admin(admin("a", invited, vec![]))).await;
    assert!(matches!(error, ServiceError::OwnerInactive), "{error:?}");

    let unknown = OwnerId(4711);
    let error = refused(&world, &key, tokens.issue_admin(admin("a", unknown, vec![]))).await;
    assert!(matches!(error, ServiceError::NotFound("owner")), "{error:?}");
    let error = refused(&world, &key, tokens.open_session(session(unknown))).await;
    assert!(matches!(error, ServiceError::NotFound("owner")), "{error:?}");

    owners.set_state(key.owner(), OwnerState::Active).await.unwrap();
    tokens.issue_admin(admin("a", key.owner(), vec![])).await.unwrap();
    tokens.open_session(session(key.owner())).await.unwrap();
    let hasty = NewSession { idle: Duration::from_millis(119_999), ..session(key.owner()) };
    assert_eq!(wrong(&world, &key, tokens.open_session(hasty)).await, "idle");
}

async fn token_names_are_trimmed_and_unique<S: Audited>(world: World<S>) {
    let tokens = world.keyward.tokens();
    let key = world.editor().issue().await;
    let issued = tokens.issue_admin(admin(" deploy\n", key.owner(), vec![])).await.unwrap();
    assert_eq!(issued.token.name, "deploy");
    let of_content = tokens.issue_content(content("\tsite ", ContentAccess::ReadOnly)).await.unwrap();
    assert_eq!(of_content.token.name, "site");
    for name in ["", " \t", "deploy", " deploy ", "site", "a\u{7}b", &"x".repeat(256)] {
        assert_eq!(wrong(&world, &key, tokens.issue_admin(admin(name, key.owner(), vec![]))).await, "name", "{name:?}");
        let call = tokens.issue_content(content(name, ContentAccess::ReadOnly));
        assert_eq!(wrong(&world, &key, call).await, "name", "{name:?}");
    }
    tokens.revoke(issued.token.id).await.unwrap();
    tokens.issue_content(content("deploy", ContentAccess::ReadOnly)).await.unwrap();
    tokens.issue_content(content(&"x".repeat(255), ContentAccess::ReadOnly)).await.unwrap();
}

async fn role_names_are_trimmed_and_unique<S: Audited>(world: World<S>) {
    let roles = world.keyward.roles();
    let key = world.editor().issue().await;
    assert_eq!(roles.create(role(" Author ")).await.unwrap().name, "Author");
    for name in ["", "  ", "Author", "\nAuthor", "Super Admin", &"x".repeat(256)] {
        assert_eq!(wrong(&world, &key, roles.create(role(name))).await, "name", "{name:?}");
    }
}

async fn custom_content_token_needs_an_action<S: Audited>(world: World<S>) {
    let tokens = world.keyward.tokens();
    let key = world.content(ContentAccess::ReadOnly).await;
    let custom = |actions: &[&str]| ContentAccess::Custom(actions.iter().map(|a| Action::new(*a)).collect());
    assert_eq!(wrong(&world, &key, tokens.issue_content(content("c", custom(&[])))).await, "access");
    tokens.issue_content(content("c", custom(&["api::article.article.find"]))).await.unwrap();
}

async fn email_address_is_valid_and_unique_in_any_case<S: Audited>(world: World<S>) {
    let owners = world.keyward.owners();
    let key = world.editor().issue().await;
    assert_eq!(owners.create(owner(" Ada@Example.test ", &[])).await.unwrap().email, "ada@example.test");
    for email in
        ["Ada@Example.test", "ada@example.test", "ADA@EXAMPLE.TEST", " ada@example.test", "", " ", "ada", "a b@c"]
    {
        assert_eq!(wrong(&world, &key, owners.create(owner(email, &[]))).await, "email", "{email:?}");
    }
    owners.create(owner("ada@example.tes", &[])).await.unwrap();
}

async fn unknown_role_is_rejected_with_its_path<S: Audited>(world: World<S>) {
    let owners = world.keyward.owners();
    let key = world.editor().issue().await;
    let roles = [key.role(), RoleId(4711)];
    assert_eq!(wrong(&world, &key, owners.create(owner("new@example.test", &roles))).await, "roles.1");
    assert_eq!(wrong(&world, &key, owners.set_roles(key.owner(), roles.to_vec())).await, "roles.1");
    assert_eq!(wrong(&world, &key, owners.set_roles(key.owner(), vec![RoleId(4711)])).await, "roles.0");
}

/// One active super admin must remain.
async fn last_super_admin_cannot_be_removed<S: Audited>(world: World<S>) {
    let owners = world.keyward.owners();
    let last = world.super_admin().issue().await;
    let editor = world.editor().issue().await;
    let is_last = async |why: &str| {
        let off = [OwnerState::Deactivated, OwnerState::Blocked];
        let error = refused(&world, &last, owners.set_state(last.owner(), off[0])).await;
        assert!(matches!(error, ServiceError::LastSuperAdmin), "{why}: {error:?}");
        let error = refused(&world, &last, owners.set_state(last.owner(), off[1])).await;
        assert!(matches!(error, ServiceError::LastSuperAdmin), "{why}: {error:?}");
        for roles in [vec![], vec![editor.role()]] {
            let error = refused(&world, &last, owners.set_roles(last.owner(), roles)).await;
            assert!(matches!(error, ServiceError::LastSuperAdmin), "{why}: {error:?}");
        }
    };
    is_last("there is no other").await;
    let other = world.super_admin().issue().await.owner();
    owners.set_state(other, OwnerState::Blocked).await.unwrap();
    is_last("the other one is not active").await;
    let both = vec![RoleId::SUPER_ADMIN, editor.role()];
    owners.set_roles(last.owner(), both).await.unwrap();
    is_last("it has another role besides").await;

    owners.set_state(other, OwnerState::Active).await.unwrap();
    owners.set_state(last.owner(), OwnerState::Deactivated).await.unwrap();
    owners.set_roles(last.owner(), vec![]).await.unwrap();
    let error = refused(&world, &last, owners.set_roles(other, vec![])).await;
    assert!(matches!(error, ServiceError::LastSuperAdmin), "now it is the other: {error:?}");
    // Other accounts are not affected.
    owners.set_state(editor.owner(), OwnerState::Deactivated).await.unwrap();
    owners.set_roles(editor.owner(), vec![]).await.unwrap();
    // A super admin who is not active does not count.
    let (off, third) = (OwnerState::Deactivated, world.super_admin().issue().await.owner());
    owners.set_state(third, off).await.unwrap();
    owners.set_roles(third, vec![]).await.unwrap();
}

async fn super_admin_role_has_no_permissions<S: Audited>(world: World<S>) {
    let (roles, super_admin) = (world.keyward.roles(), world.super_admin().issue().await);
    for permissions in [vec![], vec![Permission::new("read")]] {
        let call = roles.set_permissions(RoleId::SUPER_ADMIN, permissions);
        assert!(matches!(refused(&world, &super_admin, call).await, ServiceError::Impossible(_)));
    }
    let renamed = RoleUpdate { name: Some("x".into()), ..RoleUpdate::default() };
    let call = roles.update(RoleId::SUPER_ADMIN, renamed);
    assert!(matches!(refused(&world, &super_admin, call).await, ServiceError::Impossible(_)));
    assert!(matches!(
        refused(&world, &super_admin, roles.delete(RoleId::SUPER_ADMIN)).await,
        ServiceError::Impossible(_)
    ));
}

async fn unregistered_conditions_are_rejected_with_their_path<S: Audited>(world: World<S>) {
    let (roles, tokens) = (world.keyward.roles(), world.keyward.tokens());
    let super_admin = world.super_admin().issue().await;
    let when = |ids: &[&str]| ConditionClause::from_list(ids.iter().copied());
    let permissions = |ids| vec![Permission::new("plain"), Permission::new("read").when(when(ids))];
    let (known, unknown) = (&[IS_CREATOR][..], &[IS_CREATOR, "no::such"][..]);
    let new = NewRole { permissions: permissions(unknown), ..role("Author") };
    assert_eq!(wrong(&world, &super_admin, roles.create(new)).await, "permissions.1.conditions.1");
    let author = roles.create(NewRole { permissions: permissions(known), ..role("Author") }).await.unwrap().id;
    let call = roles.set_permissions(author, permissions(unknown));
    assert_eq!(wrong(&world, &super_admin, call).await, "permissions.1.conditions.1");
    roles.set_permissions(author, permissions(known)).await.unwrap();
    let grants = |ids| vec![Grant::new("plain"), Grant::new("read").chosen(when(ids))];
    let call = tokens.issue_admin(admin("a", super_admin.owner(), grants(unknown)));
    assert_eq!(wrong(&world, &super_admin, call).await, "grants.1.conditions.1");
    tokens.issue_admin(admin("a", super_admin.owner(), grants(known))).await.unwrap();
}

async fn active_account_cannot_become_invited<S: Audited>(world: World<S>) {
    let key = world.editor().issue().await;
    let owners = world.keyward.owners();
    assert_eq!(wrong(&world, &key, owners.set_state(key.owner(), OwnerState::Invited)).await, "state");
}

async fn token_lifespan_is_at_least_one_second<S: Audited>(world: World<S>) {
    let tokens = world.keyward.tokens();
    let key = world.editor().issue().await;
    let short = Lifespan::Of(Duration::from_millis(999));
    let of_admin = NewAdminToken { lifespan: short, ..admin("a", key.owner(), vec![]) };
    assert_eq!(wrong(&world, &key, tokens.issue_admin(of_admin)).await, "lifespan");
    let of_content = NewContentToken { lifespan: short, ..content("c", ContentAccess::ReadOnly) };
    assert_eq!(wrong(&world, &key, tokens.issue_content(of_content)).await, "lifespan");
    let second = Lifespan::Of(Duration::from_secs(1));
    tokens.issue_admin(NewAdminToken { lifespan: second, ..admin("a", key.owner(), vec![]) }).await.unwrap();
}

async fn missing_records_cannot_be_changed<S: Audited>(world: World<S>) {
    let (roles, owners, tokens) = (world.keyward.roles(), world.keyward.owners(), world.keyward.tokens());
    let key = world.editor().issue().await;
    let not_found = |error| match error {
        ServiceError::NotFound(what) => what,
        other => panic!("{other:?}"),
    };
    let unknown = OwnerId(4711);
    assert_eq!(not_found(refused(&world, &key, roles.set_permissions(RoleId(4711), vec![])).await), "role");
    assert_eq!(not_found(refused(&world, &key, owners.set_roles(unknown, vec![])).await), "owner");
    assert_eq!(not_found(refused(&world, &key, owners.set_state(unknown, OwnerState::Active)).await), "owner");
    assert_eq!(not_found(refused(&world, &key, owners.set_state(unknown, OwnerState::Blocked)).await), "owner");
    assert_eq!(not_found(refused(&world, &key, tokens.revoke(TokenId(4711))).await), "token");
}

async fn each_change_is_audited_once<S: Audited>(world: World<S>) {
    let (roles, owners, tokens) = (world.keyward.roles(), world.keyward.owners(), world.keyward.tokens());
    let world = &world;
    let role =
        done(world, AuditAction::RoleCreated, |r| AuditTarget::Role(r.id), roles.create(role("Author"))).await.id;
    let call = roles.set_permissions(role, vec![Permission::new("read")]);
    done(world, AuditAction::RolePermissionsSet, |_| AuditTarget::Role(role), call).await;
    let renamed = RoleUpdate { name: Some("Writer".into()), description: Some("Writes".into()), permissions: None };
    done(world, AuditAction::RoleUpdated, |_| AuditTarget::Role(role), roles.update(role, renamed)).await;
    let call = owners.create(owner("ada@example.test", &[role]));
    let ada = done(world, AuditAction::OwnerCreated, |o| AuditTarget::Owner(o.id), call).await.id;
    let of_ada = |_: &keyward::admin::Owner| AuditTarget::Owner(ada);
    let second = roles.create(NewRole::new("second")).await.unwrap().id;
    done(world, AuditAction::OwnerRolesSet, of_ada, owners.set_roles(ada, vec![role, second])).await;
    owners.set_roles(ada, vec![role]).await.unwrap();
    done(world, AuditAction::RoleDeleted, |_| AuditTarget::Role(second), roles.delete(second)).await;

    let token = |kind| move |issued: &IssuedToken| AuditTarget::Token(issued.token.id, kind);
    let call = tokens.issue_admin(admin("a", ada, vec![Grant::new("read")]));
    let issued = done(world, AuditAction::TokenIssued, token(TokenKind::Admin), call).await.token.id;
    let call = tokens.issue_content(content("c", ContentAccess::ReadOnly));
    done(world, AuditAction::TokenIssued, token(TokenKind::Content), call).await;
    done(world, AuditAction::TokenIssued, token(TokenKind::Session), tokens.open_session(session(ada))).await;
    let of_it = |_: &keyward::admin::DescribedToken| AuditTarget::Token(issued, TokenKind::Admin);
    let renamed = TokenUpdate { name: Some("b".into()), ..TokenUpdate::default() };
    done(world, AuditAction::TokenUpdated, of_it, tokens.update(issued, renamed.clone())).await;
    let call = tokens.regenerate(issued);
    done(world, AuditAction::TokenRegenerated, |_| AuditTarget::Token(issued, TokenKind::Admin), call).await;
    // An update that changes nothing has no event.
    let before = world.store.events().await;
    tokens.update(issued, renamed).await.unwrap();
    roles.set_permissions(role, vec![Permission::new("read")]).await.unwrap();
    owners.set_roles(ada, vec![role]).await.unwrap();
    assert_eq!(world.store.events().await, before);
    done(world, AuditAction::TokenRevoked, |_| AuditTarget::Token(issued, TokenKind::Admin), tokens.revoke(issued))
        .await;
    // The same for an update that ends sessions.
    for state in [OwnerState::Deactivated, OwnerState::Active] {
        done(world, AuditAction::OwnerStateSet, of_ada, owners.set_state(ada, state)).await;
    }
}
