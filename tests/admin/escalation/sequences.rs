//! Known escalation sequences and similar ones. Each ends with a rejected call; the calls before it are allowed, so that the rejection is
//! due to the sequence.

use keyward::admin::{Actor, OwnerState, OwnerUpdate, Owners, Password, Roles, ServiceError};
use keyward::authz::{Attribute, ConditionClause, Conditions, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Predicate, Value};
use keyward::testing::World;
use keyward::{NewOwner, NewRole, OwnerId, Permission, RoleId};

/// An installation.
struct Setup {
    world: World,
}

fn read(condition: &str) -> Permission {
    Permission::new("read").on("article").when(ConditionClause::from_list([condition]))
}

fn read_all() -> Permission {
    Permission::new("read").on("article")
}

fn update_own() -> Permission {
    Permission::new("update").on("article").when(ConditionClause::from_list([IS_CREATOR]))
}

fn credentials() -> [OwnerUpdate; 2] {
    [
        OwnerUpdate { password: Some(Password::new("Taken0ver")), ..OwnerUpdate::default() },
        OwnerUpdate { email: Some("mine@example.test".into()), ..OwnerUpdate::default() },
    ]
}

/// Asserts `Forbidden` with these words in its text.
#[track_caller]
fn forbidden<T: std::fmt::Debug>(answer: Result<T, ServiceError>, text: &str) {
    match answer {
        Err(ServiceError::Forbidden(why)) => assert!(why.contains(text), "{why}"),
        other => panic!("not forbidden: {other:?}"),
    }
}

/// Asserts a rejection because of this permission of a list.
#[track_caller]
fn wrong<T: std::fmt::Debug>(answer: Result<T, ServiceError>, path: &str) {
    match answer {
        Err(ServiceError::Exceeds(problems)) => {
            assert_eq!(problems.iter().map(|p| p.path.to_string()).collect::<Vec<_>>(), [path]);
            assert!(problems[0].message.contains("only a super admin"), "{problems:?}");
        }
        other => panic!("not rejected: {other:?}"),
    }
}

impl Setup {
    fn new() -> Self {
        Self { world: World::new() }
    }

    async fn role(&self, name: &str, permissions: impl IntoIterator<Item = Permission>) -> RoleId {
        self.world.keyward.roles().create(NewRole::new(name).permissions(permissions)).await.unwrap().id
    }

    async fn person(&self, name: &str, roles: &[RoleId]) -> OwnerId {
        let new = NewOwner::new(format!("{name}@example.test")).roles(roles.iter().copied());
        self.world.keyward.owners().create(new).await.unwrap().id
    }

    fn services(&self, actor: OwnerId) -> (Owners, Roles) {
        let keyward = &self.world.keyward;
        (keyward.owners().acting_as(Actor::Person(actor)), keyward.roles().acting_as(Actor::Person(actor)))
    }

    /// Invites and registers an account, whose password the actor knows.
    async fn controlled_account(&self, actor: OwnerId, name: &str, roles: &[RoleId]) -> OwnerId {
        let new = NewOwner::new(format!("{name}@example.test")).roles(roles.iter().copied());
        let invited = self.services(actor).0.invite(new).await.unwrap();
        let registration = keyward::admin::Registration {
            invitation: invited.secret.expose().to_owned(),
            firstname: name.to_owned(),
            lastname: String::new(),
            username: None,
            password: Password::new("Passw0rd!"),
        };
        self.world.keyward.sessions().acting_as(Actor::Visitor).register(registration).await.unwrap();
        invited.owner.id
    }
}

#[tokio::test]
async fn active_account_keeps_its_credentials_when_its_roles_are_removed() {
    let setup = Setup::new();
    let author = setup.role("Author", [update_own()]).await;
    let eve = setup.person("eve", &[author]).await;
    let vera = setup.person("vera", &[author]).await;
    let (owners, _) = setup.services(eve);
    owners.set_roles(vera, vec![]).await.unwrap();
    for state in [OwnerState::Active, OwnerState::Deactivated, OwnerState::Blocked, OwnerState::DeactivatedAndBlocked] {
        owners.set_state(vera, state).await.unwrap();
        for update in credentials() {
            forbidden(owners.update(vera, update).await, "only a super admin or the account itself");
        }
        refused_invitation(owners.invite_again(vera).await);
    }
    owners.set_state(vera, OwnerState::Active).await.unwrap();
    owners.set_roles(vera, vec![author]).await.unwrap();
    assert_eq!(setup.world.keyward.owners().read(vera).await.unwrap().email, "vera@example.test");
}

#[track_caller]
fn refused_invitation<T: std::fmt::Debug>(answer: Result<T, ServiceError>) {
    assert!(matches!(answer, Err(ServiceError::Forbidden(_) | ServiceError::Impossible(_))), "{answer:?}");
}

#[tokio::test]
async fn members_keep_their_credentials_when_their_role_loses_its_permissions() {
    let setup = Setup::new();
    let author = setup.role("Author", [update_own()]).await;
    let lead = setup.role("Lead", [update_own(), "admin::users.update".into()]).await;
    let eve = setup.person("eve", &[lead]).await;
    let zoe = setup.person("zoe", &[author]).await;
    let (owners, roles) = setup.services(eve);
    roles.set_permissions(author, vec![]).await.unwrap();
    for update in credentials() {
        forbidden(owners.update(zoe, update).await, "only a super admin or the account itself");
    }
    wrong(roles.set_permissions(author, vec![update_own()]).await, "permissions.0");
}

#[tokio::test]
async fn emptied_role_with_a_controlled_member_regains_no_condition() {
    let setup = Setup::new();
    let shared = read(HAS_SAME_ROLE_AS_CREATOR);
    let legal = setup.role("Legal", [shared.clone()]).await;
    let lead = setup.role("Lead", [shared.clone()]).await;
    let eve = setup.person("eve", &[lead]).await;
    setup.person("lea", &[legal]).await;
    let (owners, roles) = setup.services(eve);
    forbidden(owners.invite(NewOwner::new("p@example.test").roles([legal])).await, "only a super admin");
    roles.set_permissions(legal, vec![]).await.unwrap();
    setup.controlled_account(eve, "controlled", &[legal]).await;
    wrong(roles.set_permissions(legal, vec![shared.clone()]).await, "permissions.0");
    wrong(roles.preview_clamp(legal, vec![shared]).await.map(drop), "permissions.0");
}

#[tokio::test]
async fn colleague_gets_no_role_that_opens_their_rows() {
    let setup = Setup::new();
    let lead = setup.role("Lead", [read(HAS_SAME_ROLE_AS_CREATOR), "legal".into()]).await;
    let legal = setup.role("Legal", ["legal".into()]).await;
    let lea = setup.person("lea", &[lead]).await;
    let vic = setup.person("vic", &[legal]).await;
    let (owners, _) = setup.services(lea);
    for roles in [vec![lead], vec![lead, legal]] {
        forbidden(owners.set_roles(vic, roles.clone()).await, "only a super admin");
        forbidden(owners.preview_clamp(vic, roles).await, "only a super admin");
    }
    // An account that was never used has created no rows.
    setup.controlled_account(lea, "new", &[lead]).await;
}

#[tokio::test]
async fn controlled_account_gains_no_rows_by_a_role_the_actor_dropped() {
    let setup = Setup::new();
    let desk = setup.role("Desk", [read(HAS_SAME_ROLE_AS_CREATOR)]).await;
    let team = setup.role("Team", []).await;
    let eve = setup.person("eve", &[desk, team]).await;
    let vic = setup.person("vic", &[]).await;
    let controlled = setup.controlled_account(eve, "controlled", &[desk, team]).await;
    let (owners, _) = setup.services(eve);
    // Afterwards the actor shares no role with the colleague and holds no condition. The controlled account does.
    owners.set_roles(eve, vec![]).await.unwrap();
    forbidden(owners.set_roles(vic, vec![team]).await, "only a super admin");
    owners.set_state(controlled, OwnerState::Deactivated).await.unwrap_err();
    let (controlled_owners, _) = setup.services(controlled);
    forbidden(controlled_owners.set_roles(vic, vec![team]).await, "only a super admin");
    // Nor does the controlled account give the roles back to the actor: it would then read the actor's rows.
    forbidden(controlled_owners.set_roles(eve, vec![desk, team]).await, "would reach rows of this account");
}

#[tokio::test]
async fn controlled_account_does_not_widen_the_rows_of_the_actor() {
    let setup = Setup::new();
    let desk = setup.role("Desk", [read(HAS_SAME_ROLE_AS_CREATOR)]).await;
    let legal = setup.role("Legal", []).await;
    let eve = setup.person("eve", &[desk]).await;
    setup.person("lea", &[legal]).await;
    let controlled = setup.controlled_account(eve, "controlled", &[legal]).await;
    let (controlled_owners, _) = setup.services(controlled);
    forbidden(controlled_owners.set_roles(eve, vec![desk, legal]).await, "permissions that you do not have");
    let (owners, _) = setup.services(eve);
    forbidden(owners.set_roles(controlled, vec![desk, legal]).await, "with these roles");
}

#[tokio::test]
async fn invited_account_is_not_demoted_taken_over_and_promoted_again() {
    let setup = Setup::new();
    let desk = setup.role("Desk", [read(HAS_SAME_ROLE_AS_CREATOR)]).await;
    let team = setup.role("Team", []).await;
    let eve = setup.person("eve", &[desk]).await;
    let new = NewOwner::new("new@example.test").roles([desk, team]);
    let new = setup.world.keyward.owners().invite(new).await.unwrap().owner.id;
    let (owners, _) = setup.services(eve);
    forbidden(owners.invite_again(new).await, "only a super admin");
    let address = OwnerUpdate { email: Some("mine@example.test".into()), ..OwnerUpdate::default() };
    forbidden(owners.update(new, address.clone()).await, "only a super admin");
    owners.set_roles(new, vec![desk]).await.unwrap();
    owners.update(new, address).await.unwrap();
    owners.invite_again(new).await.unwrap();
    forbidden(owners.set_roles(new, vec![desk, team]).await, "with these roles");
}

#[tokio::test]
async fn role_changed_while_it_has_no_members_is_checked_at_assignment() {
    let setup = Setup::new();
    let shared = read(HAS_SAME_ROLE_AS_CREATOR);
    let desk = setup.role("Desk", [shared.clone()]).await;
    let eve = setup.person("eve", &[desk]).await;
    let vic = setup.person("vic", &[]).await;
    let (owners, roles) = setup.services(eve);
    let mine = roles.create(NewRole::new("Mine").permissions([shared])).await.unwrap().id;
    forbidden(owners.set_roles(vic, vec![mine]).await, "with these roles");
    forbidden(owners.invite(NewOwner::new("p@example.test").roles([mine])).await, "with these roles");
    forbidden(owners.set_roles(eve, vec![desk, mine]).await, "cannot add roles to your own account");
}

#[tokio::test]
async fn host_conditions_are_compared_by_meaning() {
    let conditions = Conditions::default()
        .register("flag", |_| Predicate::Is(Attribute("flag"), Value::Bool(true)))
        .register("assigned", |a| Predicate::Is(Attribute("assignee"), Value::Int(a.owner.0)))
        .register("team", |a| Predicate::IsOneOf(Attribute("team"), a.roles.iter().map(|r| Value::Int(r.0)).collect()))
        .register("staff", |a| if a.roles.contains(&RoleId(2)) { Predicate::Never } else { Predicate::Always });
    let setup = Setup { world: World::with(|builder| builder.conditions(conditions)) };
    let trainee = setup.role("Trainee", []).await;
    assert_eq!(trainee, RoleId(2));
    let flag = setup.role("Flag", [read("flag")]).await;
    let assigned = setup.role("Assigned", [read("assigned")]).await;
    let team = setup.role("Team", [read("team")]).await;
    let staff = setup.role("Staff", [read("staff")]).await;
    let eve = setup.person("eve", &[flag, assigned, team, trainee, staff]).await;
    let (flag_too, vic) = (setup.role("Flag too", [read("flag")]).await, setup.person("vic", &[]).await);
    let gil = setup.person("gil", &[flag_too]).await;
    let (owners, _) = setup.services(eve);
    // Conditions that select the same rows for every account, or fewer.
    setup.controlled_account(eve, "flag", &[flag]).await;
    setup.controlled_account(eve, "team", &[team]).await;
    setup.services(gil).0.set_roles(vic, vec![flag_too]).await.unwrap();
    setup.services(gil).0.set_roles(vic, vec![]).await.unwrap();
    // Conditions on rows that are assigned to another account, or that an account reaches because it lacks a role.
    for role in [assigned, staff] {
        forbidden(owners.invite(NewOwner::new("p@example.test").roles([role])).await, "with these roles");
        forbidden(owners.set_roles(vic, vec![role]).await, "with these roles");
    }
    forbidden(owners.set_roles(eve, vec![staff]).await, "with these roles");
    // The host may compare roles with an attribute that follows the creator.
    forbidden(owners.set_roles(vic, vec![team]).await, "would reach rows of this account");
}

#[tokio::test]
async fn actor_with_all_permissions_unconditionally_administers_without_limits() {
    let setup = Setup::new();
    let shared = read(HAS_SAME_ROLE_AS_CREATOR);
    let author = setup.role("Author", [shared.clone(), update_own()]).await;
    let update = Permission::new("update").on("article");
    let admin = setup.role("Admin", ["admin::users.update".into(), read_all(), update]).await;
    let ann = setup.person("ann", &[admin]).await;
    let vic = setup.person("vic", &[]).await;
    let (owners, roles) = setup.services(ann);
    let invited = owners.invite(NewOwner::new("new@example.test").roles([author])).await.unwrap().owner.id;
    owners.invite_again(invited).await.unwrap();
    owners.set_roles(vic, vec![author]).await.unwrap();
    owners.set_roles(vic, vec![author, admin]).await.unwrap();
    owners.set_roles(vic, vec![]).await.unwrap();
    owners.set_roles(vic, vec![admin]).await.unwrap();
    let names = OwnerUpdate { firstname: Some("Vic".into()), active: Some(false), ..OwnerUpdate::default() };
    owners.update(vic, names).await.unwrap();
    roles.set_permissions(author, vec![]).await.unwrap();
    roles.set_permissions(author, vec![update_own(), shared]).await.unwrap();
    owners.delete(vic).await.unwrap();
    forbidden(owners.update(setup.person("old", &[]).await, credentials()[0].clone()).await, "only a super admin");
}

#[tokio::test]
async fn role_with_members_changes_within_its_own_conditions() {
    let setup = Setup::new();
    let both =
        Permission::new("read").on("article").when(ConditionClause::from_list([IS_CREATOR, HAS_SAME_ROLE_AS_CREATOR]));
    let desk = setup.role("Desk", [both.clone(), "a".into(), "b".into()]).await;
    let eve = setup.person("eve", &[desk]).await;
    let (_, roles) = setup.services(eve);
    roles.set_permissions(desk, vec![both, "a".into()]).await.unwrap();
    roles.set_permissions(desk, vec![read(IS_CREATOR), "a".into()]).await.unwrap();
    // Removed permissions do not come back.
    let again = roles.set_permissions(desk, vec![read(HAS_SAME_ROLE_AS_CREATOR)]).await;
    assert!(matches!(again, Err(ServiceError::Exceeds(_))), "{again:?}");
}

#[tokio::test]
async fn super_admin_may_do_each_of_these_steps() {
    let setup = Setup::new();
    let super_admin = setup.person("root", &[RoleId::SUPER_ADMIN]).await;
    let shared = read(HAS_SAME_ROLE_AS_CREATOR);
    let desk = setup.role("Desk", [shared.clone()]).await;
    let vic = setup.person("vic", &[desk]).await;
    let eve = setup.person("eve", &[]).await;
    let (owners, roles) = setup.services(super_admin);
    roles.set_permissions(desk, vec![]).await.unwrap();
    roles.set_permissions(desk, vec![shared]).await.unwrap();
    owners.set_roles(eve, vec![desk]).await.unwrap();
    for update in credentials() {
        owners.update(vic, update).await.unwrap();
    }
    setup.controlled_account(super_admin, "new", &[desk]).await;
}
