//! token-gains-nothing and no-escalation (`docs/invariants.md`): no sequence of calls gives any account more permissions than its actor
//! has.

use crate::histories::in_file;
use crate::histories::names::{once, permissions, questions, row};
use keyward::admin::{Actor, OwnerUpdate, Password, ProfileUpdate, RoleUpdate, ServiceError, TokenUpdate};
use keyward::store::TokenQuery;
use keyward::store::WriteStore;
use keyward::testing::World;
use keyward::token::{ContentAccess, TokenId, TokenKind};
use keyward::{Grant, NewAdminToken, NewContentToken, NewOwner, NewRole, OwnerId, Permission, RoleId};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Call {
    CreateRole(Vec<Permission>),
    SetPermissions(usize, Vec<Permission>),
    RenameRole(usize),
    DeleteRole(usize),
    Invite(Vec<usize>),
    SetRoles(usize, Vec<usize>),
    SetPassword(usize),
    SetEmail(usize),
    Deactivate(usize),
    DeleteOwner(usize),
    IssueFor(usize, Vec<Grant>),
    IssueContent,
    UpdateToken(usize, Vec<Grant>),
    Regenerate(usize),
    Revoke(usize),
    ChangeMe,
}

fn call() -> impl Strategy<Value = Call> {
    let roles = || prop::collection::vec(0usize..5, 0..3);
    let grants = || crate::histories::names::grants();
    prop_oneof![
        permissions().prop_map(Call::CreateRole),
        (0usize..5, permissions()).prop_map(|(r, p)| Call::SetPermissions(r, p)),
        (0usize..5).prop_map(Call::RenameRole),
        (0usize..5).prop_map(Call::DeleteRole),
        roles().prop_map(Call::Invite),
        (0usize..5, roles()).prop_map(|(o, r)| Call::SetRoles(o, r)),
        (0usize..5).prop_map(Call::SetPassword),
        (0usize..5).prop_map(Call::SetEmail),
        (0usize..5).prop_map(Call::Deactivate),
        (0usize..5).prop_map(Call::DeleteOwner),
        (0usize..5, grants()).prop_map(|(o, g)| Call::IssueFor(o, g)),
        Just(Call::IssueContent),
        (0usize..5, grants()).prop_map(|(t, g)| Call::UpdateToken(t, g)),
        (0usize..5).prop_map(Call::Regenerate),
        (0usize..5).prop_map(Call::Revoke),
        Just(Call::ChangeMe),
    ]
}

/// The permissions of every account, as stored at this moment.
#[derive(Clone, Debug, PartialEq)]
struct Powers {
    roles: BTreeMap<RoleId, Vec<Permission>>,
    owners: BTreeMap<OwnerId, Vec<RoleId>>,
    tokens: BTreeMap<TokenId, (OwnerId, Vec<Grant>, String, String)>,
    content: usize,
}

impl Powers {
    async fn of<S: WriteStore>(world: &World<S>) -> Self {
        let mut view = world.keyward.store().view().await.unwrap();
        let page = keyward::store::Paging { page: 1, page_size: 1000 };
        let sort = keyward::store::OwnerSort::Id;
        let query = keyward::store::OwnerQuery { sort, ..keyward::store::OwnerQuery::all(page) };
        let owners = view.owners(&query).await.unwrap().items.into_iter().map(|o| (o.id, o.roles)).collect();
        let roles = view.roles().await.unwrap().into_iter().map(|(r, _)| (r.id, r.permissions)).collect();
        let all = TokenQuery { paging: page, ..TokenQuery::of(TokenKind::Admin) };
        let tokens = view.tokens(&all).await.unwrap().items;
        let token = |t: keyward::token::Token| {
            let digest = t.digest.to_hex();
            (t.id, (t.owner().unwrap(), t.grants().to_vec(), t.name, digest))
        };
        let tokens = tokens.into_iter().map(token).collect();
        let content = view.count_tokens(TokenKind::Content, None).await.unwrap() as usize;
        Self { roles, owners, tokens, content }
    }

    fn permissions_of(&self, owner: OwnerId) -> Option<Vec<Permission>> {
        let roles = self.owners.get(&owner)?;
        let of = |r: &RoleId| self.roles.get(r).cloned().unwrap_or_default();
        (!roles.contains(&RoleId::SUPER_ADMIN)).then(|| roles.iter().flat_map(of).collect())
    }

    fn is_super_admin(&self, owner: OwnerId) -> bool {
        self.owners.get(&owner).is_some_and(|r| r.contains(&RoleId::SUPER_ADMIN))
    }
}

struct Play<S> {
    world: World<S>,
    actor: Actor,
    names: usize,
}

impl<S: WriteStore> Play<S> {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("name {}", self.names)
    }

    async fn make(&mut self, call: Call, now: &Powers) -> Result<(), ServiceError> {
        let keyward = self.world.keyward.clone();
        let name = self.name();
        let nth = |n: usize, of: Vec<i64>| of[n % of.len()];
        let role = |n: usize| RoleId(nth(n, now.roles.keys().map(|r| r.0).collect()));
        let owner = |n: usize| OwnerId(nth(n, now.owners.keys().map(|o| o.0).collect()));
        let token = |n: usize| TokenId(nth(n, now.tokens.keys().map(|t| t.0).collect()));
        let roles = keyward.roles().acting_as(self.actor);
        let owners = keyward.owners().acting_as(self.actor);
        let tokens = keyward.tokens().acting_as(self.actor);
        let of = |list: Vec<usize>| list.into_iter().map(role).collect::<Vec<_>>();
        let update = |update: OwnerUpdate| update;
        match call {
            Call::CreateRole(p) => roles.create(NewRole::new(name).permissions(p)).await.map(drop),
            Call::SetPermissions(r, p) => roles.set_permissions(role(r), p).await.map(drop),
            Call::RenameRole(r) => {
                roles.update(role(r), RoleUpdate { name: Some(name), ..RoleUpdate::default() }).await.map(drop)
            }
            Call::DeleteRole(r) => roles.delete(role(r)).await.map(drop),
            Call::Invite(r) => {
                let email = format!("{}@example.test", name.replace(' ', "-"));
                owners.invite(NewOwner::new(email).roles(of(r))).await.map(drop)
            }
            Call::SetRoles(o, r) => owners.set_roles(owner(o), of(r)).await.map(drop),
            Call::SetPassword(o) => {
                let password = Some(Password::new("N3wPassw0rd!"));
                owners.update(owner(o), update(OwnerUpdate { password, ..Default::default() })).await.map(drop)
            }
            Call::SetEmail(o) => {
                let email = Some(format!("{}@example.test", name.replace(' ', "-")));
                owners.update(owner(o), update(OwnerUpdate { email, ..Default::default() })).await.map(drop)
            }
            Call::Deactivate(o) => {
                let active = Some(false);
                owners.update(owner(o), update(OwnerUpdate { active, ..Default::default() })).await.map(drop)
            }
            Call::DeleteOwner(o) => owners.delete(owner(o)).await.map(drop),
            Call::IssueFor(o, g) => tokens.issue_admin(NewAdminToken::new(name, owner(o)).grants(g)).await.map(drop),
            Call::IssueContent => {
                tokens.issue_content(NewContentToken::new(name, ContentAccess::FullAccess)).await.map(drop)
            }
            Call::UpdateToken(t, g) => {
                let grants = Some(g);
                tokens.update(token(t), TokenUpdate { grants, ..Default::default() }).await.map(drop)
            }
            Call::Regenerate(t) => tokens.regenerate(token(t)).await.map(drop),
            Call::Revoke(t) => tokens.revoke(token(t)).await.map(drop),
            Call::ChangeMe => {
                let firstname = Some(name);
                keyward
                    .sessions()
                    .acting_as(self.actor)
                    .update_me(ProfileUpdate { firstname, ..Default::default() })
                    .await
                    .map(drop)
            }
        }
    }
}

/// Creates two super admins, two people with roles, and the actor.
async fn stage<S: WriteStore>(world: &World<S>, mine: Vec<Permission>, theirs: Vec<Permission>) -> (OwnerId, TokenId) {
    let keyward = &world.keyward;
    let role = async |name: &str, p| keyward.roles().create(NewRole::new(name).permissions(p)).await.unwrap().id;
    let (a, b) = (role("mine", mine.clone()).await, role("theirs", theirs).await);
    let owner = async |name: &str, roles: &[RoleId]| {
        let new = NewOwner::new(format!("{name}@example.test")).roles(roles.iter().copied());
        keyward.owners().create(new).await.unwrap().id
    };
    let super_admin = owner("root", &[RoleId::SUPER_ADMIN]).await;
    owner("other-super_admin", &[RoleId::SUPER_ADMIN]).await;
    let me = owner("me", &[a]).await;
    let both = owner("both", &[a, b]).await;
    let grants: Vec<Grant> = once(mine.iter().map(Grant::from).collect());
    keyward.tokens().issue_admin(NewAdminToken::new("root", super_admin).grants([Grant::new("read")])).await.unwrap();
    keyward.tokens().issue_admin(NewAdminToken::new("both", both).grants(grants.clone())).await.unwrap();
    let token = keyward.tokens().issue_admin(NewAdminToken::new("me", me).grants(grants)).await.unwrap().token.id;
    (me, token)
}

/// no-escalation: after each call of a person who is not a super admin, an account that gained permissions has none beyond that
/// person's.
async fn a_person<S: WriteStore>(world: World<S>, mine: Vec<Permission>, theirs: Vec<Permission>, calls: Vec<Call>) {
    let (me, _) = stage(&world, mine, theirs).await;
    let mut play = Play { world, actor: Actor::Person(me), names: 0 };
    for call in calls {
        let before = Powers::of(&play.world).await;
        let made = format!("{call:?}");
        let done = play.make(call, &before).await;
        let after = Powers::of(&play.world).await;
        if done.is_err() {
            assert_eq!(before, after, "a rejected call changed something: {made}");
            continue;
        }
        let Some(mine) = before.permissions_of(me) else { panic!("{me} is a super admin before {made}") };
        let my_roles = before.owners.get(&me).cloned().unwrap_or_default();
        for (owner, roles) in &after.owners {
            assert!(
                !after.is_super_admin(*owner) || before.is_super_admin(*owner),
                "{owner} is a super admin by {made}"
            );
            if *owner == me {
                assert!(roles.iter().all(|r| my_roles.contains(r)), "the actor gained a role by {made}");
            }
            let Some(now) = after.permissions_of(*owner) else { continue };
            let then = before.permissions_of(*owner).unwrap_or_default();
            let rows: Vec<_> = std::iter::once(row(owner.0, roles))
                .chain(std::iter::once(row(-1, &[])))
                .chain(roles.iter().map(|r| row(-1, &[*r])))
                .collect();
            for question in questions() {
                for row in &rows {
                    // Conditions are evaluated for the same person, as they refer to it.
                    let may = |held: &[Permission]| question.allowed(held, row, owner.0, roles);
                    assert!(!may(&now) || may(&then) || may(&mine), "{owner} gained {question:?} by {made}");
                }
            }
        }
        for (id, (owner, _, _, digest)) in &after.tokens {
            let fresh = before.tokens.get(id).is_none_or(|(_, _, _, then)| then != digest);
            assert!(!fresh || *owner == me, "a token of {owner} was created by {made}");
        }
        if !after.owners.contains_key(&me) {
            return;
        }
    }
}

/// token-gains-nothing: a token changes only its own secret and existence.
async fn a_token<S: WriteStore>(world: World<S>, mine: Vec<Permission>, theirs: Vec<Permission>, calls: Vec<Call>) {
    let (_, token) = stage(&world, mine, theirs).await;
    let mut play = Play { world, actor: Actor::Token(token), names: 0 };
    for call in calls {
        let before = Powers::of(&play.world).await;
        let made = format!("{call:?}");
        let done = play.make(call, &before).await;
        let mut after = Powers::of(&play.world).await;
        if done.is_ok() {
            assert!(made.starts_with("Regenerate") || made.starts_with("Revoke"), "{made}");
            let Some(now) = after.tokens.get_mut(&token) else { return };
            let then = &before.tokens[&token];
            assert_eq!((now.0, &now.1), (then.0, &then.1));
            now.3 = then.3.clone();
        }
        assert_eq!(before, after, "by {made}");
    }
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn person_raises_no_account_above_its_own_permissions_in_memory(
        mine in permissions(), theirs in permissions(), calls in prop::collection::vec(call(), 1..25),
    ) {
        run(a_person_in_memory(mine, theirs, calls));
    }

    #[test]
    fn token_changes_only_itself(
        mine in permissions(), theirs in permissions(), calls in prop::collection::vec(call(), 1..25),
    ) {
        run(async { a_token(World::new(), mine, theirs, calls).await });
    }
}

async fn a_person_in_memory(mine: Vec<Permission>, theirs: Vec<Permission>, calls: Vec<Call>) {
    a_person(World::new(), mine, theirs, calls).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn person_raises_no_account_above_its_own_permissions_in_a_file(
        mine in permissions(), theirs in permissions(), calls in prop::collection::vec(call(), 1..25),
    ) {
        run(async {
            let (_dir, world) = in_file().await;
            a_person(world, mine, theirs, calls).await;
        });
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn person_raises_no_account_above_its_own_permissions_in_postgres(
        mine in permissions(), theirs in permissions(), calls in prop::collection::vec(call(), 1..25),
    ) {
        run(async {
            if let Some(world) = crate::histories::in_postgres().await {
                a_person(world, mine, theirs, calls).await;
            }
        });
    }
}

/// The stricter rules for token actors (see the guide's comparison with Strapi), one by one.
#[tokio::test]
async fn calls_reserved_for_sessions_are_rejected_for_tokens() {
    let world = World::new();
    let (me, token) = stage(&world, vec![Permission::new("read")], vec![]).await;
    let keyward = &world.keyward;
    let by = Actor::Token(token);
    let forbidden = |r: Result<(), ServiceError>| assert!(matches!(r, Err(ServiceError::Forbidden(_))), "{r:?}");
    forbidden(keyward.tokens().acting_as(by).issue_admin(NewAdminToken::new("x", me)).await.map(drop));
    forbidden(keyward.tokens().acting_as(by).owner_permissions(token).await.map(drop));
    forbidden(keyward.sessions().acting_as(by).list().await.map(drop));
    let all = keyward.tokens().list(&TokenQuery::of(TokenKind::Admin)).await.unwrap().items;
    let mine = keyward.tokens().acting_as(by).list(&TokenQuery::of(TokenKind::Admin)).await.unwrap().items;
    assert_eq!((all.len(), mine.len()), (3, 1), "its owner's only");
    for other in all.iter().map(|t| t.token.id).filter(|id| *id != token) {
        assert!(matches!(keyward.tokens().acting_as(by).open(other).await, Err(ServiceError::NotFound("token"))));
        forbidden(keyward.tokens().acting_as(by).regenerate(other).await.map(drop));
        forbidden(keyward.tokens().acting_as(by).revoke(other).await.map(drop));
    }
    let before = keyward.tokens().read(token).await.unwrap().token;
    let renewed = keyward.tokens().acting_as(by).regenerate(token).await.unwrap();
    assert_eq!(renewed.token.expires_at, before.expires_at, "its expiry is kept");
    keyward.tokens().acting_as(by).revoke(token).await.unwrap();
    forbidden(keyward.tokens().acting_as(by).regenerate(token).await.map(drop));
}
