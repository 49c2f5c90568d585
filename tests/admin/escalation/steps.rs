//! Random sequences of calls, by a person and by the accounts that this person comes to control.
//!
//! Controlled accounts are: the person; accounts that a controlled account has invited, also repeatedly; and accounts whose e-mail address
//! or password a controlled account has set. Only rows that existed at the start count: rows that controlled accounts create during the
//! run are theirs to read.

use crate::escalation::oracle::{Power, State};
use crate::escalation::setting::{Made, ROLES, Row, Setting, permission, permissions, setting};
use keyward::admin::{Actor, OwnerState, OwnerUpdate, Password, RoleUpdate, ServiceError};
use keyward::store::WriteStore;
use keyward::testing::World;
use keyward::{Grant, NewAdminToken, NewOwner, NewRole, OwnerId, Permission, RoleId};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRunner};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A call. Numbers are indexes modulo the number of records.
#[derive(Clone, Debug)]
enum Call {
    CreateRole(Gift),
    SetPermissions(usize, Gift),
    RenameRole(usize),
    DeleteRole(usize),
    Invite(Vec<usize>),
    /// With the actor's own roles.
    InviteAlike,
    InviteAgain(usize),
    Register(usize),
    SetRoles(usize, Choice),
    /// The actor drops a role of its own.
    StepDown(usize),
    SetEmail(usize, Option<Choice>),
    SetPassword(usize),
    SetState(usize, OwnerState),
    DeleteOwner(usize),
    IssueToken(usize, Vec<Permission>),
}

/// Permissions for a role.
#[derive(Clone, Debug)]
enum Gift {
    None,
    /// The permissions that the role had at the start.
    AtFirst,
    /// Any permission.
    Any(Vec<Permission>),
    /// An index beyond the last one stands for any permission.
    More(Permission),
    /// The present permissions and the one that the actor holds at this index.
    Held(usize),
    /// The present permissions without the one at this index.
    Less(usize),
}

/// Roles for an account.
#[derive(Clone, Debug)]
enum Choice {
    Only(Vec<usize>),
    More(usize),
    Less(usize),
    /// The roles that it had at the start.
    AtFirst,
    /// The actor's own.
    Own,
    /// The present roles and one of a controlled account.
    Shared(usize),
}

#[derive(Clone, Debug)]
struct Step {
    /// The index of the controlled account that calls.
    by: usize,
    call: Call,
}

fn gift() -> impl Strategy<Value = Gift> {
    prop_oneof![
        2 => Just(Gift::None),
        3 => Just(Gift::AtFirst),
        2 => permissions().prop_map(Gift::Any),
        2 => permission().prop_map(Gift::More),
        5 => (0usize..6).prop_map(Gift::Held),
        2 => (0usize..4).prop_map(Gift::Less),
    ]
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        3 => prop::collection::vec(0..ROLES + 2, 0..3).prop_map(Choice::Only),
        4 => (0..ROLES + 2).prop_map(Choice::More),
        3 => (0usize..3).prop_map(Choice::Less),
        3 => Just(Choice::AtFirst),
        1 => Just(Choice::Own),
        3 => (0usize..12).prop_map(Choice::Shared),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (role, owner) = (|| 0..ROLES + 3, || 0usize..12);
    let states = vec![OwnerState::Active, OwnerState::Active, OwnerState::Deactivated, OwnerState::Blocked];
    let call = prop_oneof![
        2 => gift().prop_map(Call::CreateRole),
        8 => (role(), gift()).prop_map(|(r, g)| Call::SetPermissions(r, g)),
        1 => role().prop_map(Call::RenameRole),
        1 => role().prop_map(Call::DeleteRole),
        4 => prop::collection::vec(role(), 0..3).prop_map(Call::Invite),
        2 => Just(Call::InviteAlike),
        2 => owner().prop_map(Call::InviteAgain),
        3 => owner().prop_map(Call::Register),
        14 => (owner(), choice()).prop_map(|(o, c)| Call::SetRoles(o, c)),
        1 => (0usize..3).prop_map(Call::StepDown),
        4 => (owner(), prop::option::weighted(0.3, choice())).prop_map(|(o, c)| Call::SetEmail(o, c)),
        3 => owner().prop_map(Call::SetPassword),
        2 => (owner(), prop::sample::select(states)).prop_map(|(o, s)| Call::SetState(o, s)),
        1 => owner().prop_map(Call::DeleteOwner),
        1 => (owner(), permissions()).prop_map(|(o, p)| Call::IssueToken(o, p)),
    ];
    (prop_oneof![3 => Just(0usize), 2 => 0usize..6], call).prop_map(|(by, call)| Step { by, call })
}

/// The number of accepted and rejected calls per kind.
type Tally = BTreeMap<&'static str, (usize, usize)>;

struct Run {
    world: World,
    rows: Vec<Row>,
    at_first: State,
    power: Power,
    controlled: Vec<OwnerId>,
    names: usize,
}

impl Run {
    async fn begin(setting: &Setting) -> Self {
        let Made { world, actor, rows } = setting.make().await;
        let at_first = State::of(&world).await;
        let power = at_first.power(actor, &rows);
        Self { world, rows, at_first, power, controlled: vec![actor], names: 0 }
    }

    /// Makes a call and returns its kind and whether it was accepted.
    async fn make(&mut self, step: &Step, now: &State) -> (&'static str, Result<(), ServiceError>) {
        let keyward = self.world.keyward.clone();
        self.names += 1;
        let name = format!("name-{}", self.names);
        let actors: Vec<OwnerId> = self.controlled.iter().copied().filter(|id| is_active(now, *id)).collect();
        let Some(actor) = actors.get(step.by % actors.len().max(1)).copied() else { return ("nothing", Ok(())) };
        let acting = Actor::Person(actor);
        let (owners, roles) = (keyward.owners().acting_as(acting), keyward.roles().acting_as(acting));
        let role = |n: usize| *now.roles.keys().nth(n % now.roles.len()).unwrap();
        let owner = |n: usize| *now.owners.keys().nth(n % now.owners.len()).unwrap();
        let email = || format!("{name}@example.test");
        match &step.call {
            Call::CreateRole(gift) => {
                let new = NewRole::new(&name).permissions(self.permissions(gift, None, actor, now));
                ("create role", roles.create(new).await.map(drop))
            }
            Call::SetPermissions(n, gift) => {
                let permissions = self.permissions(gift, Some(role(*n)), actor, now);
                let kind = match permissions.iter().any(|p| !p.when.as_slice().is_empty()) {
                    true => "set permissions under conditions",
                    false => "set permissions",
                };
                (kind, roles.set_permissions(role(*n), permissions).await.map(drop))
            }
            Call::RenameRole(n) => {
                let update = RoleUpdate { name: Some(name), ..RoleUpdate::default() };
                ("rename role", roles.update(role(*n), update).await.map(drop))
            }
            Call::DeleteRole(n) => ("delete role", roles.delete(role(*n)).await.map(drop)),
            Call::Invite(list) => {
                let new = NewOwner::new(email()).roles(list.iter().map(|n| role(*n)));
                let invited = owners.invite(new).await;
                ("invite", invited.map(|invited| self.control(invited.owner.id)))
            }
            Call::InviteAlike => {
                let new = NewOwner::new(email()).roles(self.roles(&Choice::Own, actor, actor, now));
                let invited = owners.invite(new).await;
                ("invite alike", invited.map(|invited| self.control(invited.owner.id)))
            }
            Call::InviteAgain(n) => {
                let id = owner(*n);
                ("invite again", owners.invite_again(id).await.map(|_| self.control(id)))
            }
            Call::Register(n) => {
                let waiting: Vec<OwnerId> =
                    self.controlled.iter().copied().filter(|id| state(now, *id) == Some(OwnerState::Invited)).collect();
                let Some(id) = waiting.get(n % waiting.len().max(1)) else { return ("nothing", Ok(())) };
                // The effect of a registration without hashing a password, which is slow.
                let mut tx = keyward.store().begin().await.unwrap();
                tx.set_owner_state(*id, OwnerState::Active).await.unwrap();
                tx.delete_invitations(*id).await.unwrap();
                tx.commit(&[]).await.unwrap();
                ("register", Ok(()))
            }
            Call::SetRoles(n, choice) => {
                let id = owner(*n);
                ("set roles", owners.set_roles(id, self.roles(choice, id, actor, now)).await.map(drop))
            }
            Call::StepDown(n) => {
                let roles = self.roles(&Choice::Less(*n), actor, actor, now);
                ("step down", owners.set_roles(actor, roles).await.map(drop))
            }
            Call::SetEmail(n, choice) => {
                let id = owner(*n);
                let roles = choice.as_ref().map(|choice| self.roles(choice, id, actor, now));
                let update = OwnerUpdate { email: Some(email()), roles, ..OwnerUpdate::default() };
                ("set e-mail", owners.update(id, update).await.map(|_| self.control(id)))
            }
            Call::SetPassword(n) => {
                let id = owner(*n);
                let update = OwnerUpdate { password: Some(Password::new("Passw0rd!")), ..OwnerUpdate::default() };
                ("set password", owners.update(id, update).await.map(|_| self.control(id)))
            }
            // The actor is kept: without it no further call is tried.
            Call::DeleteOwner(n) | Call::SetState(n, _) if owner(*n) == self.controlled[0] => ("nothing", Ok(())),
            Call::SetState(n, state) => ("set state", owners.set_state(owner(*n), *state).await.map(drop)),
            Call::DeleteOwner(n) => ("delete owner", owners.delete(owner(*n)).await.map(drop)),
            Call::IssueToken(n, permissions) => {
                let new = NewAdminToken::new(name, owner(*n)).grants(permissions.iter().map(Grant::from));
                ("issue token", keyward.tokens().acting_as(acting).issue_admin(new).await.map(drop))
            }
        }
    }

    fn control(&mut self, id: OwnerId) {
        if !self.controlled.contains(&id) {
            self.controlled.push(id);
        }
    }

    fn permissions(&self, gift: &Gift, role: Option<RoleId>, actor: OwnerId, now: &State) -> Vec<Permission> {
        let of = |state: &State| role.and_then(|role| state.roles.get(&role)).cloned().unwrap_or_default();
        let mut permissions = of(now);
        match gift {
            Gift::None => return Vec::new(),
            Gift::AtFirst => return of(&self.at_first),
            Gift::Any(any) => return any.clone(),
            Gift::More(permission) => permissions.push(permission.clone()),
            Gift::Held(n) => {
                let held: Vec<&Permission> =
                    now.permissions_of(actor).chain(self.at_first.permissions_of(actor)).collect();
                permissions.extend(held.get(n % held.len().max(1)).copied().cloned());
            }
            Gift::Less(n) if !permissions.is_empty() => drop(permissions.remove(n % permissions.len())),
            Gift::Less(_) => {}
        }
        permissions
    }

    fn roles(&self, choice: &Choice, of: OwnerId, actor: OwnerId, now: &State) -> Vec<RoleId> {
        let role = |n: usize| *now.roles.keys().nth(n % now.roles.len()).unwrap();
        let has = |state: &State, id| state.owners.get(&id).map_or(Vec::new(), |(roles, _)| roles.clone());
        let mut roles = has(now, of);
        match choice {
            Choice::Only(list) => return list.iter().map(|n| role(*n)).collect(),
            Choice::AtFirst => roles = has(&self.at_first, of),
            Choice::Own => return has(now, actor),
            Choice::More(n) => roles.push(role(*n)),
            Choice::Shared(n) => {
                let shared: Vec<RoleId> = self.controlled.iter().flat_map(|id| has(now, *id)).collect();
                roles.extend(shared.get(n % shared.len().max(1)));
            }
            Choice::Less(n) if !roles.is_empty() => drop(roles.remove(n % roles.len())),
            Choice::Less(_) => {}
        }
        roles.retain(|role| now.roles.contains_key(role));
        roles
    }

    /// Compares the permissions of every controlled account with those of the actor at the start.
    fn judge(&self, now: &State) -> Result<(), String> {
        for id in self.controlled.iter().filter(|id| now.owners.contains_key(id)) {
            if let Some(more) = now.power(*id, &self.rows).beyond(&self.power) {
                return Err(format!("account {id} gained {more}; the actor is {}", self.controlled[0]));
            }
        }
        match now.token_owners.iter().find(|owner| !self.controlled.contains(owner)) {
            Some(owner) => Err(format!("a token of account {owner} was issued")),
            None => Ok(()),
        }
    }
}

fn state(now: &State, id: OwnerId) -> Option<OwnerState> {
    now.owners.get(&id).map(|(_, state)| *state)
}

fn is_active(now: &State, id: OwnerId) -> bool {
    state(now, id) == Some(OwnerState::Active)
}

fn count(tally: &RefCell<Tally>, kind: &'static str, went_through: bool) {
    let mut tally = tally.borrow_mut();
    let (done, refused) = tally.entry(kind).or_default();
    *if went_through { done } else { refused } += 1;
}

async fn run(setting: &Setting, steps: &[Step], tally: &RefCell<Tally>) -> Result<(), String> {
    let mut run = Run::begin(setting).await;
    let mut now = State::of(&run.world).await;
    for step in steps {
        let (kind, answer) = run.make(step, &now).await;
        count(tally, kind, answer.is_ok());
        match answer {
            Ok(()) => {
                now = State::of(&run.world).await;
                run.judge(&now).map_err(|gained| format!("{gained}, by {step:?}"))?;
            }
            Err(ServiceError::Store(error)) => return Err(format!("{step:?}: {error}")),
            Err(_) => {}
        }
    }
    Ok(())
}

#[test]
fn no_sequence_of_calls_makes_a_controlled_account_stronger() {
    const CASES: u32 = 950;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tally = RefCell::new(Tally::new());
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: 3_000,
        rng_algorithm: RngAlgorithm::XorShift,
        failure_persistence: None,
        ..Config::default()
    });
    let cases = (setting(), prop::collection::vec(step(), 60..220));
    let result = runner
        .run(&cases, |(setting, steps)| runtime.block_on(run(&setting, &steps, &tally)).map_err(TestCaseError::fail));
    if let Err(error) = result {
        panic!("{error}");
    }
    let tally = tally.into_inner();
    println!("{tally:#?}");
    let steps: usize =
        tally.iter().filter(|(kind, _)| **kind != "nothing").map(|(_, (done, refused))| done + refused).sum();
    assert!(steps >= 100_000, "{steps} steps");
    let done: BTreeSet<&str> = tally.iter().filter(|(_, (done, _))| *done > 30).map(|(kind, _)| *kind).collect();
    let every = [
        "create role",
        "delete owner",
        "delete role",
        "invite",
        "invite again",
        "invite alike",
        "issue token",
        "register",
        "rename role",
        "set e-mail",
        "set permissions",
        "set permissions under conditions",
        "set roles",
        "set state",
        "step down",
    ];
    let missing: Vec<&str> = every.into_iter().filter(|kind| !done.contains(kind)).collect();
    assert!(missing.is_empty(), "rarely accepted: {missing:?}");
}
