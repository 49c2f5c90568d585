//! never-more-than-owner and clamped-stays-clamped (`docs/invariants.md`): after any change of roles, people and tokens, a token may do
//! nothing that its owner may not, and a removed grant does not come back by itself.

use crate::histories::in_file;
use crate::histories::names::{self, Question, any_holds, covers_grant, permissions, questions, row};
use keyward::admin::{Actor, OwnerState, ServiceError, TokenUpdate};
use keyward::authz::{ConditionClause, Conditions};
use keyward::guard::Principal;
use keyward::store::WriteStore;
use keyward::testing::World;
use keyward::token::TokenId;
use keyward::{Grant, NewAdminToken, NewOwner, NewRole, OwnerId, Permission, RoleId, action};
use proptest::prelude::*;
use std::collections::BTreeMap;

const ROLES: usize = 3;
const OWNERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    SetPermissions(usize, Vec<Permission>),
    /// Indexes of roles; the last one stands for super admin.
    SetRoles(usize, Vec<usize>),
    SetState(usize, OwnerState),
    Issue(usize, Vec<Grant>),
    Update(usize, Vec<Grant>),
    Revoke(usize),
    DeleteOwner(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let roles = || prop::collection::vec(0..ROLES, 0..3);
    let with_super = (roles(), prop::bool::weighted(0.15)).prop_map(|(mut roles, super_admin)| {
        roles.extend(super_admin.then_some(ROLES));
        roles
    });
    let states = vec![OwnerState::Active, OwnerState::Active, OwnerState::Deactivated, OwnerState::Blocked];
    prop_oneof![
        4 => (0..ROLES, permissions()).prop_map(|(r, p)| Step::SetPermissions(r, p)),
        3 => (0..OWNERS, with_super).prop_map(|(o, r)| Step::SetRoles(o, r)),
        1 => (0..OWNERS, prop::sample::select(states)).prop_map(|(o, s)| Step::SetState(o, s)),
        5 => (0..OWNERS, names::grants()).prop_map(|(o, g)| Step::Issue(o, g)),
        3 => (0usize..6, names::grants()).prop_map(|(t, g)| Step::Update(t, g)),
        1 => (0usize..6).prop_map(Step::Revoke),
        1 => (0..OWNERS).prop_map(Step::DeleteOwner),
    ]
}

/// The expected state.
#[derive(Default)]
struct Model {
    roles: BTreeMap<RoleId, Vec<Permission>>,
    owners: BTreeMap<OwnerId, (Vec<RoleId>, OwnerState)>,
    tokens: BTreeMap<TokenId, (OwnerId, Vec<Grant>)>,
}

impl Model {
    /// Returns the permissions of an owner; `None` for a super admin.
    fn permissions(&self, owner: OwnerId) -> Option<Vec<Permission>> {
        let (roles, _) = &self.owners[&owner];
        let all = roles.iter().filter_map(|r| self.roles.get(r)).flatten().cloned().collect();
        (!roles.contains(&RoleId::SUPER_ADMIN)).then_some(all)
    }

    /// Removes grants that the owner does not hold.
    fn clamp(&mut self) {
        for id in self.tokens.keys().copied().collect::<Vec<_>>() {
            if let Some(permissions) = self.permissions(self.tokens[&id].0) {
                self.tokens.get_mut(&id).unwrap().1.retain(|g| covers_grant(g, &permissions));
            }
        }
    }

    /// Returns the grants that are stored for these requested ones; `None` if they are rejected.
    fn grants_after_clamp(&self, owner: OwnerId, asked: &[Grant], before: &[Grant]) -> Option<Vec<Grant>> {
        let Some(permissions) = self.permissions(owner) else { return Some(asked.to_vec()) };
        let mut kept = Vec::new();
        for grant in asked {
            let same: Vec<_> = before
                .iter()
                .filter(|b| b.scope.action == grant.scope.action && b.scope.resource == grant.scope.resource)
                .collect();
            let chosen = match same.as_slice() {
                [first, rest @ ..] if rest.iter().all(|r| r.chosen == first.chosen) => first.chosen.clone(),
                _ => ConditionClause::Always,
            };
            let mine = if grant.chosen == ConditionClause::Always { chosen.clone() } else { grant.chosen.clone() };
            if (mine != ConditionClause::Always && mine != chosen) || !covers_grant(grant, &permissions) {
                return None;
            }
            kept.push(grant.clone().chosen(mine));
        }
        Some(kept)
    }

    fn owner_may(&self, owner: OwnerId, question: Question, row: &serde_json::Value) -> bool {
        let (roles, _) = &self.owners[&owner];
        self.permissions(owner).is_none_or(|held| question.allowed(&held, row, owner.0, roles))
    }

    fn token_may(&self, token: TokenId, question: Question, row: &serde_json::Value) -> bool {
        let (owner, grants) = &self.tokens[&token];
        let (roles, _) = &self.owners[owner];
        let granted = grants.iter().any(|g| {
            question.concerns(g.scope.action.as_str(), g.scope.resource.as_ref(), &g.scope.fields)
                && any_holds(&g.chosen, row, owner.0, roles)
        });
        granted && self.owner_may(*owner, question, row)
    }
}

struct History<S: WriteStore> {
    world: World<S>,
    model: Model,
    roles: Vec<RoleId>,
    owners: Vec<OwnerId>,
    names: usize,
}

impl<S: WriteStore> History<S> {
    async fn begin(world: World<S>) -> Self {
        let mut model = Model::default();
        let (mut roles, mut owners) = (Vec::new(), Vec::new());
        for i in 0..ROLES {
            let id = world.keyward.roles().create(NewRole::new(format!("role {i}"))).await.unwrap().id;
            model.roles.insert(id, Vec::new());
            roles.push(id);
        }
        roles.push(RoleId::SUPER_ADMIN);
        for i in 0..OWNERS {
            let id = world.keyward.owners().create(NewOwner::new(format!("o{i}@example.test"))).await.unwrap().id;
            model.owners.insert(id, (Vec::new(), OwnerState::Active));
            owners.push(id);
        }
        // One super admin stays, so that the others can be changed.
        let root = NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN]);
        world.keyward.owners().create(root).await.unwrap();
        Self { world, model, roles, owners, names: 0 }
    }

    fn token(&self, n: usize) -> Option<TokenId> {
        let ids: Vec<TokenId> = self.model.tokens.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[n % ids.len()])
    }

    async fn take(&mut self, step: Step) {
        let keyward = &self.world.keyward;
        match step {
            Step::SetPermissions(role, permissions) => {
                let id = self.roles[role];
                keyward.roles().set_permissions(id, permissions.clone()).await.unwrap();
                self.model.roles.insert(id, permissions);
                self.model.clamp();
            }
            Step::SetRoles(owner, roles) => {
                let (id, roles) = (self.owners[owner], roles.iter().map(|r| self.roles[*r]).collect::<Vec<_>>());
                let Some(known) = self.model.owners.get_mut(&id) else { return };
                keyward.owners().set_roles(id, roles.clone()).await.unwrap();
                known.0 = roles;
                self.model.clamp();
            }
            Step::SetState(owner, state) => {
                let id = self.owners[owner];
                let Some(known) = self.model.owners.get_mut(&id) else { return };
                keyward.owners().set_state(id, state).await.unwrap();
                known.1 = state;
            }
            Step::Issue(owner, grants) => {
                let id = self.owners[owner];
                let Some((_, state)) = self.model.owners.get(&id) else { return };
                self.names += 1;
                let new = NewAdminToken::new(format!("token {}", self.names), id).grants(grants.clone());
                let issued = keyward.tokens().issue_admin(new).await;
                match self.model.grants_after_clamp(id, &grants, &[]).filter(|_| state.is_active()) {
                    Some(kept) => _ = self.model.tokens.insert(issued.unwrap().token.id, (id, kept)),
                    None => assert!(matches!(issued, Err(ServiceError::Invalid(_) | ServiceError::OwnerInactive))),
                }
            }
            Step::Update(token, grants) => {
                let Some(id) = self.token(token) else { return };
                let (owner, before) = self.model.tokens[&id].clone();
                let update = TokenUpdate { grants: Some(grants.clone()), ..TokenUpdate::default() };
                let updated = keyward.tokens().update(id, update).await;
                match self.model.grants_after_clamp(owner, &grants, &before) {
                    Some(kept) => {
                        updated.unwrap();
                        self.model.tokens.insert(id, (owner, kept));
                    }
                    None => assert!(matches!(updated, Err(ServiceError::Invalid(_))), "{updated:?}"),
                }
            }
            Step::Revoke(token) => {
                let Some(id) = self.token(token) else { return };
                keyward.tokens().revoke(id).await.unwrap();
                self.model.tokens.remove(&id);
            }
            Step::DeleteOwner(owner) => {
                let id = self.owners[owner];
                if self.model.owners.remove(&id).is_some() {
                    keyward.owners().delete(id).await.unwrap();
                    self.model.tokens.retain(|_, (of, _)| *of != id);
                }
            }
        }
    }

    async fn judge(&self, after: &str) {
        let listed = self
            .world
            .keyward
            .tokens()
            .list(&keyward::store::TokenQuery::of(keyward::token::TokenKind::Admin))
            .await
            .unwrap()
            .items;
        let ids: Vec<TokenId> = listed.iter().map(|t| t.token.id).collect();
        assert_eq!(ids.len(), self.model.tokens.len(), "after {after}");
        for described in &listed {
            let (id, owner) = (described.token.id, described.token.owner().unwrap());
            assert_eq!(described.token.grants(), self.model.tokens[&id].1, "the grants of {id} after {after}");
            let record = self.world.keyward.store().resolve(&described.token.digest).await.unwrap().record.unwrap();
            let (of, ceiling) = record.owner.as_ref().unwrap();
            let principal = Principal::of(&record.token, Some((of, ceiling))).unwrap();
            let mut rows = vec![row(owner.0, &of.roles), row(-1, &[])];
            rows.extend(self.roles.iter().map(|role| row(-1, &[*role])));
            for question in questions() {
                let requirement = match question.resource {
                    Some(resource) => action(question.action).on(resource),
                    None => action(question.action),
                };
                let decision = principal.decide(&requirement, &Conditions::default());
                for row in &rows {
                    let may = decision.fields_of(row).is_some_and(|f| f.contains(question.field));
                    let owner_may = self.model.owner_may(owner, question, row);
                    assert!(!may || owner_may, "never-more-than-owner: {id} on {question:?} {row} after {after}");
                    assert_eq!(may, self.model.token_may(id, question, row), "{id} {question:?} {row} after {after}");
                }
            }
        }
    }
}

async fn live<S: WriteStore>(world: World<S>, steps: Vec<Step>) {
    let mut history = History::begin(world).await;
    for step in steps {
        let after = format!("{step:?}");
        history.take(step).await;
        history.judge(&after).await;
    }
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn token_follows_its_owner_in_memory(steps in prop::collection::vec(step(), 1..40)) {
        run(async { live(World::new(), steps).await });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn token_follows_its_owner_in_a_file(steps in prop::collection::vec(step(), 1..40)) {
        run(async {
            let (_dir, world) = in_file().await;
            live(world, steps).await;
        });
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn token_follows_its_owner_in_postgres(steps in prop::collection::vec(step(), 1..40)) {
        run(async {
            if let Some(world) = crate::histories::in_postgres().await {
                live(world, steps).await;
            }
        });
    }
}

/// Conditions that a super admin chose for a token stay after a demotion, also if an update omits them.
#[tokio::test]
async fn chosen_conditions_survive_demotion() {
    let world = World::new();
    let keyward = &world.keyward;
    let read = || Permission::new("read").on("article");
    let role = keyward.roles().create(NewRole::new("reads").permissions([read()])).await.unwrap().id;
    keyward.owners().create(NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
    let both = NewOwner::new("second@example.test").roles([RoleId::SUPER_ADMIN, role]);
    let super_admin = keyward.owners().create(both).await.unwrap().id;
    let own = Grant::from(&read()).chosen(ConditionClause::from_list([keyward::authz::IS_CREATOR]));
    let token = keyward
        .tokens()
        .issue_admin(NewAdminToken::new("own", super_admin).grants([own.clone()]))
        .await
        .unwrap()
        .token
        .id;
    let grants = async || keyward.tokens().read(token).await.unwrap().token.grants().to_vec();

    keyward.owners().set_roles(super_admin, vec![role]).await.unwrap();
    assert_eq!(grants().await, std::slice::from_ref(&own));
    let put_back = TokenUpdate { grants: Some(vec![Grant::from(&read())]), ..TokenUpdate::default() };
    keyward.tokens().acting_as(Actor::Person(super_admin)).update(token, put_back.clone()).await.unwrap();
    assert_eq!(grants().await, std::slice::from_ref(&own));
    let other = own.clone().chosen(ConditionClause::from_list([keyward::authz::HAS_SAME_ROLE_AS_CREATOR]));
    let choose = TokenUpdate { grants: Some(vec![other]), ..TokenUpdate::default() };
    assert!(matches!(keyward.tokens().update(token, choose).await, Err(ServiceError::Invalid(_))));

    keyward.owners().set_roles(super_admin, vec![RoleId::SUPER_ADMIN]).await.unwrap();
    keyward.tokens().update(token, put_back).await.unwrap();
    assert_eq!(grants().await, [Grant::from(&read())], "a super admin removes the conditions");
}
