//! The initial installation: roles, people, and the rows that they have created.

use keyward::admin::OwnerState;
use keyward::authz::{
    Attribute, ConditionClause, Conditions, Fields, HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Predicate, Value,
};
use keyward::testing::World;
use keyward::{NewOwner, NewRole, OwnerId, Permission, RoleId};
use proptest::prelude::*;

pub(crate) const ACTIONS: [&str; 2] = ["read", "update"];
pub(crate) const FIELDS: [&str; 2] = ["title", "body"];
/// Actions without rows.
pub(crate) const PLAIN: [&str; 2] = ["admin::users.update", "admin::roles.update"];

/// Holds for flagged rows, for every account alike.
pub(crate) const FLAG: &str = "test::flag";
/// Holds for rows of a role that the account has.
pub(crate) const TEAM: &str = "test::team";
/// Holds for rows that are assigned to the account.
pub(crate) const ASSIGNED: &str = "test::assigned";
/// Holds if the account lacks the role of trainees: fewer roles open more rows.
pub(crate) const TRAINEE: &str = "test::no-trainee";
/// Holds if the account and the creator of the row both have the role of the guild. It is not a shared-role condition.
pub(crate) const GUILD: &str = "test::guild";
pub(crate) const CONDITIONS: [&str; 7] = [IS_CREATOR, HAS_SAME_ROLE_AS_CREATOR, FLAG, TEAM, ASSIGNED, TRAINEE, GUILD];

/// The first role that a run creates.
pub(crate) const TRAINEE_ROLE: RoleId = RoleId(2);
/// The second role that a run creates.
pub(crate) const GUILD_ROLE: RoleId = RoleId(3);

/// A row of the host.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) creator: OwnerId,
    pub(crate) flag: bool,
    pub(crate) team: RoleId,
    pub(crate) assignee: OwnerId,
}

/// A row before it is created: indexes of people and roles.
pub(crate) type Sketch = (usize, bool, usize, usize);

/// The initial state of an installation.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) roles: Vec<Vec<Permission>>,
    /// The roles of the actor, of active people, of a deactivated one, and of an invited one.
    pub(crate) people: Vec<Vec<usize>>,
    pub(crate) rows: Vec<Sketch>,
}

pub(crate) const ROLES: usize = 5;
const PEOPLE: usize = 6;

/// An installation in its initial state.
pub(crate) struct Made {
    pub(crate) world: World,
    pub(crate) actor: OwnerId,
    pub(crate) rows: Vec<Row>,
}

fn fields() -> impl Strategy<Value = Fields> {
    prop_oneof![
        3 => Just(Fields::All),
        2 => Just(Fields::only(FIELDS).unwrap()),
        2 => prop::sample::select(FIELDS.to_vec()).prop_map(|field| Fields::only([field]).unwrap()),
    ]
}

fn when() -> impl Strategy<Value = ConditionClause> {
    let some = |n| prop::sample::subsequence(CONDITIONS.to_vec(), n).prop_map(ConditionClause::from_list);
    let shared = ConditionClause::from_list([HAS_SAME_ROLE_AS_CREATOR]);
    prop_oneof![4 => Just(ConditionClause::Always), 4 => some(1), 2 => Just(shared), 1 => some(2)]
}

pub(crate) fn permission() -> impl Strategy<Value = Permission> {
    let on_rows = (prop::sample::select(ACTIONS.to_vec()), fields(), when())
        .prop_map(|(action, fields, when)| Permission::new(action).on("article").fields(fields).when(when));
    prop_oneof![5 => on_rows, 1 => prop::sample::select(PLAIN.to_vec()).prop_map(Permission::new)]
}

pub(crate) fn permissions() -> impl Strategy<Value = Vec<Permission>> {
    prop::collection::vec(permission(), 0..3)
}

pub(crate) fn setting() -> impl Strategy<Value = Setting> {
    let roles = prop::collection::vec(permissions(), ROLES);
    let people = prop::collection::vec(prop::collection::btree_set(0..ROLES, 0..4), PEOPLE);
    let rows = prop::collection::vec((0..PEOPLE, prop::bool::ANY, 0..ROLES, 0usize..20), 8);
    (roles, people, rows).prop_map(|(roles, people, rows)| {
        let people = people.into_iter().map(|roles| roles.into_iter().collect()).collect();
        Setting { roles, people, rows }
    })
}

pub(crate) fn conditions() -> Conditions {
    Conditions::default()
        .register(FLAG, |_| Predicate::Is(Attribute("flag"), Value::Bool(true)))
        .register(TEAM, |actor| {
            Predicate::IsOneOf(Attribute("team"), actor.roles.iter().map(|role| Value::Int(role.0)).collect())
        })
        .register(ASSIGNED, |actor| Predicate::Is(Attribute("assignee"), Value::Int(actor.owner.0)))
        .register(TRAINEE, |actor| match actor.roles.contains(&TRAINEE_ROLE) {
            true => Predicate::Never,
            false => Predicate::Always,
        })
        .register(GUILD, |actor| match actor.roles.contains(&GUILD_ROLE) {
            true => Predicate::Is(Attribute("creator_is_in_guild"), Value::Bool(true)),
            false => Predicate::Never,
        })
}

impl Setting {
    pub(crate) async fn make(&self) -> Made {
        let world = World::with(|builder| builder.conditions(conditions()));
        let mut roles = Vec::new();
        for (i, permissions) in self.roles.iter().enumerate() {
            let new = NewRole::new(format!("role {i}")).permissions(permissions.iter().cloned());
            roles.push(world.keyward.roles().create(new).await.unwrap().id);
        }
        assert_eq!(roles[..2], [TRAINEE_ROLE, GUILD_ROLE]);
        let owners = world.keyward.owners();
        let super_admin = NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN]);
        let super_admin = owners.create(super_admin).await.unwrap().id;
        let mut people = Vec::new();
        for (i, theirs) in self.people.iter().enumerate() {
            let new = NewOwner::new(format!("person-{i}@example.test")).roles(theirs.iter().map(|role| roles[*role]));
            let state = match i {
                4 => OwnerState::Deactivated,
                5 => OwnerState::Invited,
                _ => OwnerState::Active,
            };
            people.push(owners.create(new.state(state)).await.unwrap().id);
        }
        let row = |(creator, flag, team, assignee): &Sketch| Row {
            // An invited account has created no rows.
            creator: if *creator == PEOPLE - 1 { super_admin } else { people[*creator] },
            flag: *flag,
            team: roles[*team],
            // An index beyond the last person: an account that is created later.
            assignee: OwnerId(people[0].0 + i64::try_from(*assignee).unwrap()),
        };
        let rows = self.rows.iter().map(row).collect();
        Made { actor: people[0], rows, world }
    }
}
