//! Clamps: grants that are deleted when their owners no longer hold them.

use super::fixtures::{begin, commit, owner, role, seq, service, token, view};
use super::{Backend, Transaction};
use crate::domain::{
    Action, AuditAction, AuditCause, AuditEvent, AuditTarget, ConditionClause, Fields, Grant, OwnerId, OwnerState,
    Permission, RoleId, TokenAuthority, TokenId, TokenKind,
};
use crate::store::{Clamp, Clamped, Proposed};
use serde_json::{Value, json};
use std::collections::HashSet;

const CAUSE: AuditCause = AuditCause::Catalogue;

/// A pseudo-random generator with a fixed seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn permission(&mut self) -> Permission {
        let permission = Permission::new(["read", "write"][self.below(2)]);
        let permission = match self.below(3) {
            0 => permission,
            n => permission.on(["", "article"][n - 1]),
        };
        let which = self.below(8);
        let names = ["title", "body", ""].into_iter().enumerate().filter(|(i, _)| which >> i & 1 == 1);
        let fields = Fields::only(names.map(|(_, name)| name)).unwrap_or(Fields::All);
        let when = if self.below(2) == 0 { ConditionClause::Always } else { ConditionClause::from_list(["own"]) };
        permission.fields(fields).when(when)
    }

    pub(super) fn permissions(&mut self, most: usize) -> Vec<Permission> {
        (0..self.below(most + 1)).map(|_| self.permission()).collect()
    }
}

pub(super) async fn clamping_agrees_with_the_ceiling<S: Backend>(store: &S) {
    let mut dice = Dice(1);
    for round in 0..12 {
        let mut tx = begin(store).await;
        let mut roles = vec![RoleId::SUPER_ADMIN];
        for n in 0..4 {
            let new = role(&format!("{round}/{n}"), dice.permissions(5));
            roles.push(tx.insert_role(new).await.expect("a role is added"));
        }
        let (mut owners, mut tokens) = (Vec::new(), Vec::new());
        for n in 0..8 {
            // One of eight owners is a super admin.
            let theirs: Vec<RoleId> = match n {
                0 => vec![roles[0], roles[1]],
                _ => (1..5).filter(|_| dice.below(2) == 0).map(|i| roles[i]).collect(),
            };
            let id = tx.insert_owner(owner(&format!("{round}-{n}@b"), &theirs)).await.expect("an owner is added");
            tx.set_owner_state(id, OwnerState::ALL[n % 5]).await.expect("a state is set");
            owners.push((id, theirs));
            for i in 0..3 {
                let grants: Vec<Grant> = dice.permissions(4).iter().map(Grant::from).collect();
                let new = token(&format!("{round}/{n}/{i}"), TokenAuthority::Admin { owner: id, grants });
                tokens.push((id, tx.insert_token(new).await.expect("a token is added")));
            }
        }
        commit(tx).await;
        let (clamp, whose): (_, Vec<OwnerId>) = match round % 3 {
            0 => (Clamp::Owner(owners[round % 8].0), vec![owners[round % 8].0]),
            _ => {
                let members = owners.iter().filter(|(_, theirs)| theirs.contains(&roles[1])).map(|(id, _)| *id);
                (Clamp::Members(roles[1]), members.collect())
            }
        };
        agree(store, clamp, &whose, &tokens).await;
    }
}

pub(super) async fn preview_counts_as_many_as_the_clamp_deletes<S: Backend>(store: &S) {
    let mut dice = Dice(2);
    let (mut owners, mut roles) = (Vec::new(), vec![RoleId::SUPER_ADMIN]);
    let mut tx = begin(store).await;
    for n in 0..4 {
        let new = role(&n.to_string(), dice.permissions(5));
        roles.push(tx.insert_role(new).await.expect("a role is added"));
    }
    for n in 0..8 {
        let theirs: Vec<RoleId> = match n {
            0 => vec![roles[0], roles[1]],
            _ => (1..5).filter(|_| dice.below(2) == 0).map(|i| roles[i]).collect(),
        };
        let id = tx.insert_owner(owner(&format!("{n}@b"), &theirs)).await.expect("an owner is added");
        owners.push(id);
        for i in 0..3 {
            let ceiling = dice.permissions(6);
            let grants: Vec<Grant> = ceiling.iter().map(Grant::from).collect();
            let new = token(&format!("{n}/{i}"), TokenAuthority::Admin { owner: id, grants });
            tx.insert_token(new).await.expect("a token is added");
        }
    }
    commit(tx).await;
    let before = seq(store).await;
    let mut took = 0;
    for round in 0..24 {
        let permissions = dice.permissions(6);
        let role = roles[1 + round % 4];
        let owner = owners[round % 8];
        let theirs: Vec<RoleId> = (0..5).filter(|_| dice.below(3) == 0).map(|i| roles[i]).collect();
        let mut view = view(store).await;
        let of_role = view.preview_clamp(Proposed::Permissions(role, &permissions)).await.expect("a preview succeeds");
        let of_owner = view.preview_clamp(Proposed::Roles(owner, &theirs)).await.expect("a preview succeeds");
        drop(view);
        // The real change, rolled back.
        let mut tx = begin(store).await;
        tx.set_permissions(role, &permissions).await.expect("permissions are set");
        let clamped = tx.clamp(Clamp::Members(role), &service(), CAUSE).await.expect("grants are clamped");
        assert_eq!(of_role, clamped, "round {round}: {role:?} with {permissions:?}");
        drop(tx);
        let mut tx = begin(store).await;
        tx.set_owner_roles(owner, &theirs).await.expect("roles are set");
        let clamped = tx.clamp(Clamp::Owner(owner), &service(), CAUSE).await.expect("grants are clamped");
        assert_eq!(of_owner, clamped, "round {round}: {owner:?} with {theirs:?}");
        took += of_role.grants.min(of_owner.grants);
    }
    assert!(took > 0, "both kinds of previews counted grants");
    let mut view = view(store).await;
    for nothing in [Proposed::Permissions(RoleId(i64::MAX), &[]), Proposed::Roles(OwnerId(i64::MAX), &[])] {
        assert_eq!(view.preview_clamp(nothing).await.expect("a preview succeeds"), Clamped::default(), "{nothing:?}");
    }
    let super_admin = Proposed::Roles(owners[3], &[RoleId::SUPER_ADMIN]);
    assert_eq!(
        view.preview_clamp(super_admin).await.expect("a preview succeeds"),
        Clamped::default(),
        "a super admin loses no grant"
    );
    assert_eq!(seq(store).await, before, "a preview changes nothing");
}

/// Clamps, and compares the remaining grants and the events with the ceiling.
async fn agree<S: Backend>(store: &S, clamp: Clamp<'_>, whose: &[OwnerId], tokens: &[(OwnerId, TokenId)]) {
    let seen = store.audit_events().await.expect("events can be read").len();
    let mut tx = begin(store).await;
    let (mut expected, mut gone) = (Vec::new(), Vec::new());
    for (owner, id) in tokens {
        let ceiling = tx.ceiling(*owner).await.expect("a ceiling can be read");
        let goes = |grant: &Grant| whose.contains(owner) && ceiling.check(grant).is_err();
        let (lost, kept): (Vec<Grant>, Vec<Grant>) = grants(&mut tx, *id).await.into_iter().partition(goes);
        gone.extend(lost.iter().map(|grant| (*id, details(grant))));
        expected.push(kept);
    }
    let count = tx.clamp(clamp, &service(), CAUSE).await.expect("grants are clamped");
    let of: HashSet<TokenId> = gone.iter().map(|(id, _)| *id).collect();
    let expected_count = Clamped { tokens: of.len() as u64, grants: gone.len() as u64, permissions: 0 };
    assert_eq!(count, expected_count, "{clamp:?}: the result counts grants and tokens");
    for ((_, id), kept) in tokens.iter().zip(expected) {
        assert_eq!(grants(&mut tx, *id).await, kept, "{clamp:?}: the other grants are kept whole and in order");
    }
    let again = tx.clamp(clamp, &service(), CAUSE).await.expect("grants are clamped");
    assert_eq!(again, Clamped::default(), "{clamp:?}: grants within the ceiling are kept");
    commit(tx).await;
    assert_events(store, seen, gone).await;
}

/// Checks that each removed grant has an event after the first `seen` ones, with the grant.
async fn assert_events<S: Backend>(store: &S, seen: usize, mut gone: Vec<(TokenId, Value)>) {
    let events = store.audit_events().await.expect("events can be read");
    let mut read: Vec<(TokenId, Value)> = events[seen..].iter().map(clamped).collect();
    let by = |(id, details): &(TokenId, Value)| (*id, details.to_string());
    read.sort_by_key(by);
    gone.sort_by_key(by);
    assert_eq!(read, gone, "each removed grant has an event with the grant");
}

pub(super) async fn listed_grants_are_clamped<S: Backend>(store: &S) {
    let mut dice = Dice(3);
    let (mut listed, mut unlisted) = (0, 0);
    for round in 0..12 {
        let mut tx = begin(store).await;
        let owner = tx.insert_owner(owner(&format!("listed-{round}@b"), &[])).await.expect("an owner is added");
        let (mut places, mut expected, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..5 {
            let mut grants = Vec::new();
            for Permission { scope, when, .. } in dice.permissions(6) {
                grants.push(Grant { scope, chosen: when, may_delegate: dice.below(2) == 0 });
            }
            let new = token(&format!("listed {round}/{n}"), TokenAuthority::Admin { owner, grants: grants.clone() });
            let id = tx.insert_token(new).await.expect("a token is added");
            let goes: Vec<bool> = grants.iter().map(|_| n < 3 && dice.below(2) == 0).collect();
            let chosen = goes.iter().enumerate().filter(|(_, goes)| **goes).map(|(place, _)| (id, place));
            // Twice, and one that is not there.
            places.extend(chosen.clone().chain(chosen).chain([(id, grants.len())]));
            let (lost, kept): (Vec<_>, Vec<_>) = grants.into_iter().zip(goes).partition(|(_, goes)| *goes);
            gone.extend(lost.iter().map(|(grant, _)| (id, details(grant))));
            expected.push((id, kept.into_iter().map(|(grant, _)| grant).collect::<Vec<_>>()));
        }
        commit(tx).await;
        // The places of a second clamp count only the grants that the first has left.
        for first in [true, false] {
            let seen = store.audit_events().await.expect("events can be read").len();
            let mut tx = begin(store).await;
            if !first {
                places = expected.iter().filter(|(_, kept)| !kept.is_empty()).map(|(id, _)| (*id, 0)).collect();
                gone.clear();
                for (id, kept) in expected.iter_mut().filter(|(_, kept)| !kept.is_empty()) {
                    gone.push((*id, details(&kept.remove(0))));
                }
            }
            let count = tx.clamp(Clamp::Listed(&places), &service(), CAUSE).await.expect("grants are clamped");
            let tokens = gone.iter().map(|(id, _)| *id).collect::<HashSet<_>>().len() as u64;
            assert_eq!(count, Clamped { tokens, grants: gone.len() as u64, permissions: 0 }, "{places:?}");
            for (id, kept) in &expected {
                assert_eq!(
                    &grants(&mut tx, *id).await,
                    kept,
                    "{places:?}: the other grants are kept whole and in order"
                );
            }
            commit(tx).await;
            assert_events(store, seen, gone.clone()).await;
            (listed, unlisted) =
                (listed + gone.len(), unlisted + expected.iter().map(|(_, kept)| kept.len()).sum::<usize>());
        }
    }
    assert!(listed > 20 && unlisted > 20, "some go and some stay: {listed}, {unlisted}");
}

fn clamped(event: &AuditEvent) -> (TokenId, Value) {
    assert_eq!((event.what, event.cause, &event.origin), (AuditAction::GrantClamped, Some(CAUSE), &service()));
    match event.target {
        AuditTarget::Token(id, TokenKind::Admin) => (id, event.details.clone()),
        other => panic!("the target is the token, not {other:?}"),
    }
}

fn details(grant: &Grant) -> Value {
    let fields = match &grant.scope.fields {
        Fields::All => Value::Null,
        Fields::Only(set) => json!(set.as_slice()),
    };
    json!({"action": grant.scope.action, "subject": grant.scope.resource, "fields": fields})
}

async fn grants(tx: &mut Box<dyn Transaction>, id: TokenId) -> Vec<Grant> {
    tx.token(id).await.expect("a token can be read").expect("it exists").grants().to_vec()
}

pub(super) async fn unknown_actions_are_clamped_for_all_owners<S: Backend>(store: &S) {
    let title = Fields::only(["title"]).expect("there is one");
    let all = [Permission::new("old").on("x").fields(title.clone()), Permission::new("new"), Permission::new("old")];
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", all.to_vec())).await.expect("a role is added");
    let other = tx.insert_role(role("other", vec![Permission::new("new")])).await.expect("a role is added");
    let mut tokens = Vec::new();
    for (email, role) in [("a@b", RoleId::SUPER_ADMIN), ("c@d", editor)] {
        let owner = tx.insert_owner(owner(email, &[role])).await.expect("an owner is added");
        let grants = all.iter().map(Grant::from).collect();
        tokens.push(tx.insert_token(token(email, TokenAuthority::Admin { owner, grants })).await.expect("a token"));
    }
    commit(tx).await;
    let mut tx = begin(store).await;
    let known = [Action::new("new"), Action::new("another")];
    let gone = tx.clamp(Clamp::Unknown(&known), &service(), CAUSE).await.expect("actions are clamped");
    let all_of_them = Clamped { tokens: 2, grants: 4, permissions: 2 };
    assert_eq!(gone, all_of_them, "grants and permissions are counted separately");
    for id in &tokens {
        assert_eq!(grants(&mut tx, *id).await, [Grant::new("new")], "super admins' tokens lose unknown actions too");
    }
    commit(tx).await;
    let mut view = view(store).await;
    let found = view.role(editor).await.expect("a role can be read").expect("it exists");
    assert_eq!(found.permissions, [Permission::new("new")], "roles lose unknown actions");
    let kept = view.role(other).await.expect("a role can be read").expect("it exists");
    assert_eq!(
        (kept.permissions.len(), kept.updated_at),
        (1, kept.created_at),
        "roles without unknown actions are unchanged"
    );
    let events = store.audit_events().await.expect("events can be read");
    let of = |what, target| {
        let of = events.iter().filter(|e| (e.what, e.target, e.cause) == (what, target, Some(CAUSE)));
        of.map(|e| e.details.clone()).collect::<Vec<_>>()
    };
    let expected = [
        json!({"action": "old", "subject": "x", "fields": ["title"]}),
        json!({"action": "old", "subject": null, "fields": null}),
    ];
    assert_eq!(of(AuditAction::PermissionClamped, AuditTarget::Role(editor)), expected);
    for id in tokens {
        assert_eq!(of(AuditAction::GrantClamped, AuditTarget::Token(id, TokenKind::Admin)), expected);
    }
    assert_eq!(events.len(), 6, "one event for each grant and permission");
}
