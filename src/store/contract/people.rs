//! Roles, owners and ceilings.

use super::fixtures::{begin, commit, owner, permissions, resolve, role, service, session};
use super::{Backend, Transaction};
use crate::domain::{AccountKey, AccountKind, Ceiling, Owner, OwnerId, OwnerState, Permission, RoleId};
use crate::store::{NewOwner, Profile, StoreError};

pub(super) async fn roles_are_read_back_unchanged<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let name = super::fixtures::AWKWARD;
    let id = tx.insert_role(role(name, permissions())).await.expect("a role is added");
    let check = async |tx: &mut Box<dyn Transaction>, when: &str| {
        let found = tx.role(id).await.expect("a role can be read").expect("an added role exists");
        assert_eq!(found.id, id);
        assert_eq!(found.name, name, "{when}: the name is unchanged");
        assert_eq!(found.description, format!("{name}: {name}"), "{when}: the description is unchanged");
        assert_eq!(found.permissions, permissions(), "{when}: the permissions are complete and in order");
        assert!(
            tx.role_with_name(name).await.expect("names can be queried") == Some(id),
            "{when}: the name belongs to the role"
        );
        assert!(
            tx.role_with_name(&name.to_uppercase()).await.expect("names can be queried") == Some(id),
            "{when}: names are compared regardless of case"
        );
        assert!(
            tx.role_with_name("another").await.expect("names can be queried").is_none(),
            "{when}: other names are available"
        );
    };
    check(&mut tx, "in its own transaction").await;
    commit(tx).await;
    check(&mut begin(store).await, "after the commit").await;
    let absent = begin(store).await.role(RoleId(i64::MAX)).await.expect("a role can be queried");
    assert!(absent.is_none(), "an absent role is none, not an error");
}

pub(super) async fn permissions_are_replaced_as_a_whole<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let id = tx.insert_role(role("editor", permissions())).await.expect("a role is added");
    let other = tx.insert_role(role("other", permissions())).await.expect("a role is added");
    commit(tx).await;
    for list in [vec![Permission::new("read").on("article")], Vec::new(), permissions()] {
        let mut tx = begin(store).await;
        tx.set_permissions(id, &list).await.expect("permissions are set");
        commit(tx).await;
        let mut tx = begin(store).await;
        let found = tx.role(id).await.expect("a role can be read").expect("it exists");
        assert_eq!(found.permissions, list, "the new list replaces the old one");
        let kept = tx.role(other).await.expect("a role can be read").expect("it exists");
        assert_eq!(kept.permissions, permissions(), "another role keeps its permissions");
    }
}

pub(super) async fn owners_are_read_back_unchanged<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let mut roles = Vec::new();
    for name in ["a", "b"] {
        roles.push(tx.insert_role(role(name, Vec::new())).await.expect("a role is added"));
    }
    let twice = [roles[1], roles[0], roles[1]];
    let id = tx.insert_owner(owner("Ünï@Example.org", &twice)).await.expect("an owner is added");
    let read = async |tx: &mut Box<dyn Transaction>| {
        tx.owner(id).await.expect("an owner can be read").expect("an added owner exists")
    };
    let NewOwner { email, firstname, lastname, username, state, .. } = owner("Ünï@Example.org", &[]);
    let found = read(&mut tx).await;
    let (created_at, updated_at) = (found.created_at, found.created_at);
    let roles_ascending = roles.clone();
    let expected = Owner {
        id,
        account: None,
        kind: AccountKind::Person,
        email,
        firstname,
        lastname,
        username,
        state,
        roles: roles_ascending,
        created_at,
        updated_at,
    };
    assert_eq!(found, expected, "the owner is unchanged, with each role once, ascending");
    commit(tx).await;

    for state in OwnerState::ALL {
        let mut tx = begin(store).await;
        tx.set_owner_state(id, state).await.expect("a state is set");
        let new = session(id);
        let digest = new.digest;
        tx.insert_token(new).await.expect("a token is added");
        commit(tx).await;
        let found = resolve(store, &digest).await.record.and_then(|r| r.owner).expect("a token resolves its owner");
        let updated_at = found.0.updated_at;
        assert!(updated_at >= created_at, "the time of a change is not before the creation");
        assert_eq!(found.0, Owner { state, updated_at, ..expected.clone() }, "only the state changes");
    }

    for roles in [vec![roles[1]], vec![], vec![roles[0], RoleId::SUPER_ADMIN]] {
        let mut tx = begin(store).await;
        tx.set_owner_roles(id, &roles).await.expect("roles are set");
        commit(tx).await;
        let mut sorted = roles.clone();
        sorted.sort_unstable();
        assert_eq!(read(&mut begin(store).await).await.roles, sorted, "the new roles replace the old ones");
    }
    let absent = begin(store).await.owner(OwnerId(i64::MAX)).await.expect("an owner can be queried");
    assert!(absent.is_none(), "an absent owner is none, not an error");
}

pub(super) async fn accounts_are_owners_by_their_key<S: Backend>(store: &S) {
    let key = |text: &str| AccountKey::new(text).expect("a key");
    let account = |text: &str| NewOwner { account: Some(key(text)), ..owner("Ada@x.org", &[]) };
    let mut tx = begin(store).await;
    let person = tx.insert_owner(owner("ada@x.org", &[])).await.expect("a person is added");
    let upper = tx.insert_owner(account("ADA")).await.expect("an account is added");
    let lower = tx.insert_owner(account("ada")).await.expect("keys differ by case, and addresses need not differ");
    commit(tx).await;
    let again = begin(store).await.insert_owner(account("ada")).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "an account is one owner: {again:?}");
    let mut tx = begin(store).await;
    for (text, id) in [("ADA", Some(upper)), ("ada", Some(lower)), ("Ada", None)] {
        assert_eq!(tx.owner_of_account(&key(text)).await.expect("an account can be queried"), id, "{text}");
    }
    assert_eq!(tx.owner_with_email("ADA@X.org").await.expect("an owner can be queried"), Some(person));
    let profile = Profile { email: "ada@x.org".into(), firstname: "A".into(), lastname: String::new(), username: None };
    tx.update_owner(lower, &profile).await.expect("the address of an account need not be unique");
    let found = tx.owner(lower).await.expect("an owner can be read").expect("it exists");
    assert_eq!((found.account, found.firstname.as_str()), (Some(key("ada")), "A"));
    let ids = |owners: Vec<Owner>| owners.into_iter().map(|owner| owner.id).collect::<Vec<_>>();
    assert_eq!(ids(tx.accounts(OwnerId(0), 9).await.expect("accounts can be listed")), [upper, lower]);
    assert_eq!(ids(tx.accounts(OwnerId(0), 1).await.expect("accounts can be listed")), [upper]);
    assert_eq!(ids(tx.accounts(upper, 9).await.expect("accounts can be listed")), [lower]);
    let (new, origin) = (session(lower), service());
    let digest = new.digest;
    tx.insert_token(new).await.expect("an account has sessions");
    commit(tx).await;
    let (resolved, _) = resolve(store, &digest).await.record.and_then(|r| r.owner).expect("a token has its owner");
    assert_eq!(resolved.account, Some(key("ada")));
    let mut tx = begin(store).await;
    tx.delete_owner(lower, &origin).await.expect("an account is deleted");
    assert_eq!(tx.owner_of_account(&key("ada")).await.expect("an account can be queried"), None);
    commit(tx).await;
}

pub(super) async fn addresses_are_unique_in_any_case<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    tx.insert_owner(owner("Änne@Example.org", &[])).await.expect("an owner is added");
    for (email, taken) in [
        ("änne@example.ORG", true),
        ("Änne@Example.org", true),
        ("A\u{308}NNE@example.org", true),
        ("anne@example.org", false),
    ] {
        let answer = tx.owner_with_email(email).await.expect("addresses can be queried").is_some();
        assert_eq!(answer, taken, "{email}: addresses are compared without case, in any script");
    }
    commit(tx).await;
    for again in ["ÄNNE@example.org", "a\u{308}nne@example.org"] {
        let again = begin(store).await.insert_owner(owner(again, &[])).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "an address belongs to one owner: {again:?}");
    }
}

pub(super) async fn ceiling_is_the_union_of_the_roles<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let first = tx.insert_role(role("first", permissions())).await.expect("a role is added");
    let more = vec![Permission::new("more"), Permission::new("even more")];
    let second = tx.insert_role(role("second", more.clone())).await.expect("a role is added");
    tx.insert_role(role("third", vec![Permission::new("not theirs")])).await.expect("a role is added");
    let id = tx.insert_owner(owner("a@b", &[second, first])).await.expect("an owner is added");
    let poor = tx.insert_owner(owner("poor@b", &[])).await.expect("an owner is added");
    let new = session(id);
    let digest = new.digest;
    tx.insert_token(new).await.expect("a token is added");
    let all = Ceiling::Of([permissions(), more].concat());
    let none = Ceiling::Of(Vec::new());
    assert_eq!(
        tx.ceiling(id).await.expect("a ceiling can be read"),
        all,
        "the ceiling is the union of the roles' permissions"
    );
    assert_eq!(
        tx.ceiling(poor).await.expect("a ceiling can be read"),
        none,
        "an owner without roles has no permission"
    );
    let absent = tx.ceiling(OwnerId(i64::MAX)).await.expect("a ceiling can be read");
    assert_eq!(absent, none, "an absent owner has no permission");
    commit(tx).await;
    let (_, ceiling) = resolve(store, &digest).await.record.and_then(|r| r.owner).expect("the owner exists");
    assert_eq!(ceiling, all, "the guard reads the same ceiling as the services");
}

pub(super) async fn super_admins_have_no_ceiling<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", permissions())).await.expect("a role is added");
    let id = tx.insert_owner(owner("a@b", &[editor, RoleId::SUPER_ADMIN])).await.expect("an owner is added");
    let new = session(id);
    let digest = new.digest;
    tx.insert_token(new).await.expect("a token is added");
    assert_eq!(
        tx.ceiling(id).await.expect("a ceiling can be read"),
        Ceiling::Unlimited,
        "other roles do not bound a super admin"
    );
    commit(tx).await;
    let (_, ceiling) = resolve(store, &digest).await.record.and_then(|r| r.owner).expect("the owner exists");
    assert_eq!(ceiling, Ceiling::Unlimited, "the guard reads it too");
    let mut tx = begin(store).await;
    tx.set_owner_roles(id, &[editor]).await.expect("roles are set");
    commit(tx).await;
    let (_, ceiling) = resolve(store, &digest).await.record.and_then(|r| r.owner).expect("the owner exists");
    assert_eq!(ceiling, Ceiling::Of(permissions()), "a former super admin is bounded by the other roles");
}

pub(super) async fn other_super_admins_are_counted<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", permissions())).await.expect("a role is added");
    let mut admins = Vec::new();
    for email in ["a@b", "c@d", "e@f"] {
        admins.push(tx.insert_owner(owner(email, &[editor, RoleId::SUPER_ADMIN])).await.expect("an owner is added"));
    }
    let editor = tx.insert_owner(owner("g@h", &[editor])).await.expect("an owner is added");
    let count = async |tx: &mut Box<dyn Transaction>, id| tx.other_super_admins(id).await.expect("they are counted");
    assert_eq!(count(&mut tx, admins[0]).await, 2, "the owner in question is not counted");
    assert_eq!(count(&mut tx, editor).await, 3, "an owner without the role is not subtracted");
    tx.set_owner_state(admins[1], OwnerState::Blocked).await.expect("a state is set");
    assert_eq!(count(&mut tx, admins[0]).await, 1, "only active super admins count");
    tx.set_owner_roles(admins[2], &[]).await.expect("roles are set");
    assert_eq!(count(&mut tx, admins[0]).await, 0, "former members do not count");
    assert_eq!(count(&mut tx, admins[1]).await, 1, "the state of the owner in question does not matter");
}

pub(super) async fn owners_with_roles_of_two_lists_are_detected<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let mut roles = Vec::new();
    for name in ["a", "b", "c", "d"] {
        roles.push(tx.insert_role(role(name, permissions())).await.expect("a role is added"));
    }
    let [a, b, c, d] = roles[..] else { unreachable!() };
    let both = tx.insert_owner(owner("a@b", &[a, b])).await.expect("an owner is added");
    tx.insert_owner(owner("c@d", &[c])).await.expect("an owner is added");
    tx.insert_owner(owner("e@f", &[c, d, RoleId::SUPER_ADMIN])).await.expect("an owner is added");
    let meet = async |tx: &mut Box<dyn Transaction>, one: &[RoleId], other: &[RoleId]| {
        let met = tx.roles_meet(one, other).await.expect("the query succeeds");
        assert_eq!(tx.roles_meet(other, one).await.expect("the query succeeds"), met, "in either order");
        met
    };
    assert!(meet(&mut tx, &[a], &[b]).await && meet(&mut tx, &[a, d], &[c, b]).await);
    assert!(meet(&mut tx, &[c], &[c]).await, "a role may be in both lists");
    assert!(!meet(&mut tx, &[a, b], &[c, d]).await, "two different owners do not count");
    assert!(!meet(&mut tx, &[d], &[d]).await && !meet(&mut tx, &[c], &[d]).await, "super admins are excluded");
    assert!(!meet(&mut tx, &[], &[a]).await && !meet(&mut tx, &[], &[]).await);
    tx.set_owner_state(both, OwnerState::Deactivated).await.expect("a state is set");
    assert!(meet(&mut tx, &[a], &[b]).await, "a deactivated owner counts");
    tx.set_owner_roles(both, &[a]).await.expect("roles are set");
    assert!(!meet(&mut tx, &[a], &[b]).await);
}
