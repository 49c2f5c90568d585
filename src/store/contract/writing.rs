//! Transactions, the sequence and the audit log.

use super::fixtures::{self, AWKWARD, admin, begin, commit, event, owner, permissions, resolve, role, seq, session};
use super::{Backend, StoreError, Timestamp, TokenId, Transaction};
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, OwnerId, OwnerState, Permission, RoleId, Tag,
    TokenKind,
};
use futures_util::future::join_all;
use serde_json::json;
use std::net::IpAddr;

pub(super) async fn a_fresh_store_has_the_super_admin_role<S: Backend>(store: &S) {
    assert_eq!(seq(store).await, 0, "nothing has changed yet");
    let mut tx = begin(store).await;
    let found = tx.role(RoleId::SUPER_ADMIN).await.expect("a role can be read").expect("the role without a ceiling");
    assert_eq!((found.id, found.name.as_str()), (RoleId::SUPER_ADMIN, "Super Admin"));
    assert!(found.permissions.is_empty(), "it has no ceiling, so it lists nothing");
    assert_eq!(tx.other_super_admins(OwnerId(1)).await.expect("they are counted"), 0, "nobody is in it");
}

pub(super) async fn uncommitted_changes_are_rolled_back<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let kept = tx.insert_role(role("kept", permissions())).await.expect("a role is added");
    let owner_id = tx.insert_owner(owner("kept@b", &[kept])).await.expect("an owner is added");
    let old = admin("old", owner_id);
    let old_id = tx.insert_token(old.clone()).await.expect("a token is added");
    commit(tx).await;
    let before = seq(store).await;

    let new = session(owner_id);
    let mut tx = begin(store).await;
    let abandoned = tx.seq();
    tx.insert_role(role("abandoned", permissions())).await.expect("a role is added");
    tx.insert_owner(owner("abandoned@b", &[])).await.expect("an owner is added");
    tx.insert_token(new.clone()).await.expect("a token is added");
    tx.delete_token(old_id).await.expect("a token is deleted");
    tx.set_owner_state(owner_id, OwnerState::Blocked).await.expect("a state is set");
    tx.set_permissions(kept, &[]).await.expect("permissions are set");
    tx.audit(event(AuditAction::TokenRevoked)).await.expect("an event is added");
    drop(tx);

    assert_eq!(seq(store).await, before, "a change that was abandoned moves no sequence");
    assert!(resolve(store, &new.digest).await.record.is_none(), "what was added is not there");
    let record = resolve(store, &old.digest).await.record.expect("what was removed is there");
    assert_eq!(record.owner.map(|(o, _)| o.state), Some(OwnerState::Active), "what was changed is as it was");
    assert!(store.audit_events().await.expect("events can be read").is_empty(), "and nothing is remembered of it");
    let mut tx = begin(store).await;
    assert_eq!(tx.seq(), abandoned, "the next change takes the sequence of the abandoned one: there are no gaps");
    assert!(tx.role_with_name("abandoned").await.expect("names can be asked for").is_none());
    assert!(tx.owner_with_email("abandoned@b").await.expect("addresses can be asked for").is_none());
    let found = tx.role(kept).await.expect("a role can be read").expect("it is there");
    assert_eq!(found.permissions, permissions(), "a role keeps its permissions");
}

pub(super) async fn each_commit_raises_the_sequence_by_one<S: Backend>(store: &S) {
    let start = seq(store).await;
    for n in 1..=5 {
        let tx = begin(store).await;
        assert_eq!(tx.seq(), start + n, "a change is numbered when it begins");
        assert_eq!(seq(store).await, start + n - 1, "and counts when it is committed");
        tx.commit(&[]).await.expect("also a change that touches nothing commits");
        assert_eq!(seq(store).await, start + n, "each commit raises the sequence by exactly one");
    }
    let tx = begin(store).await;
    let tags = [Tag::ALL, Tag::owner(OwnerId(i64::MAX)), Tag::role(RoleId(1)), Tag(u64::MAX)];
    tx.commit(&tags).await.expect("every tag can be kept");
}

pub(super) async fn a_snapshot_is_all_old_or_all_new<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", permissions())).await.expect("a role is added");
    let id = tx.insert_owner(owner("a@b", &[editor])).await.expect("an owner is added");
    let new = admin("token", id);
    tx.insert_token(new.clone()).await.expect("a token is added");
    commit(tx).await;
    let told = async || {
        let snapshot = resolve(store, &new.digest).await;
        let (owner, ceiling) = snapshot.record.and_then(|r| r.owner).expect("token and owner are there");
        (snapshot.seq, owner.state, ceiling)
    };
    let old = told().await;

    let mut tx = begin(store).await;
    tx.set_permissions(editor, &[Permission::new("read")]).await.expect("permissions are set");
    tx.set_owner_state(id, OwnerState::Deactivated).await.expect("a state is set");
    assert_eq!(told().await, old, "until the commit, readers see the old state, and do not wait");
    let committed = tx.seq();
    commit(tx).await;
    let ceiling = crate::domain::Ceiling::Of(vec![Permission::new("read")]);
    let new = (committed, OwnerState::Deactivated, ceiling);
    assert_eq!(told().await, new, "from the commit on, all of the new state, with its sequence");
}

pub(super) async fn writers_follow_one_another<S: Backend>(store: &S) {
    const WRITERS: usize = 16;
    let mut tx = begin(store).await;
    let id = tx.insert_role(role("counted", Vec::new())).await.expect("a role is added");
    commit(tx).await;
    let start = seq(store).await;
    let add_one = async |n: usize| {
        let mut tx = begin(store).await;
        let mut held = tx.role(id).await.expect("a role can be read").expect("it is there").permissions;
        // Lets the others run in between, if the store did.
        tokio::task::yield_now().await;
        held.push(Permission::new(format!("action {n}")));
        tx.set_permissions(id, &held).await.expect("permissions are set");
        let seq = tx.seq();
        commit(tx).await;
        seq
    };
    let mut seqs = join_all((0..WRITERS).map(add_one)).await;
    seqs.sort_unstable();
    let expected: Vec<u64> = (1..=WRITERS as u64).map(|n| start + n).collect();
    assert_eq!(seqs, expected, "each writer has a sequence of its own, without gaps");
    let held = begin(store).await.role(id).await.expect("a role can be read").expect("it is there").permissions;
    assert_eq!(held.len(), WRITERS, "each writer sees what the one before it wrote: no update is lost");
}

pub(super) async fn audit_events_keep_their_order<S: Backend>(store: &S) {
    let all = fixtures::EVERYTHING;
    let targets = [
        AuditTarget::Owner(OwnerId(3)),
        AuditTarget::Role(RoleId(2)),
        AuditTarget::Token(TokenId(9), TokenKind::Admin),
        AuditTarget::Token(TokenId(9), TokenKind::Content),
        AuditTarget::Token(TokenId(9), TokenKind::Session),
        AuditTarget::Installation,
    ];
    let doers = [Actor::Service, Actor::Person(OwnerId(7)), Actor::Token(TokenId(i64::MAX)), Actor::Visitor];
    let addresses = [None, Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]))];
    let causes = [
        None,
        Some(AuditCause::RolePermissions(RoleId(2))),
        Some(AuditCause::OwnerRoles(OwnerId(3))),
        Some(AuditCause::OwnerDeleted(OwnerId(4))),
        Some(AuditCause::Catalogue),
    ];
    let details = [json!({}), json!(null), json!({"text": AWKWARD, "n": [1, -2.5, true]}), json!("text")];
    // Times run backwards: the order is that of writing, not of the clock.
    let events: Vec<AuditEvent> = (0..60_usize)
        .map(|i| AuditEvent {
            at: Timestamp(100_000 - i as i64),
            origin: AuditOrigin { actor: doers[i % doers.len()], address: addresses[i % addresses.len()] },
            what: all[i % all.len()],
            target: targets[i % targets.len()],
            cause: causes[i % causes.len()],
            details: details[i % details.len()].clone(),
        })
        .collect();
    for batch in events.chunks(7) {
        let mut tx = begin(store).await;
        for event in batch {
            tx.audit(event.clone()).await.expect("an event is added");
        }
        commit(tx).await;
    }
    let kept = store.audit_events().await.expect("events can be read");
    assert_eq!(kept, events, "events come back whole, in the order in which they were written");
}

pub(super) async fn invalid_references_are_conflicts<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", Vec::new())).await.expect("a role is added");
    let id = tx.insert_owner(owner("a@b", &[editor])).await.expect("an owner is added");
    let new = admin("token", id);
    tx.insert_token(new.clone()).await.expect("a token is added");
    commit(tx).await;
    let before = seq(store).await;

    let (nobody, no_role) = (OwnerId(i64::MAX), RoleId(i64::MAX));
    let conflict = |what: &str, answer: Result<(), StoreError>| {
        assert!(matches!(answer, Err(StoreError::Conflict(_))), "{what}: a conflict, not {answer:?}");
    };
    // Each in a transaction of its own: after an error there is nothing to do with one but to drop it.
    let tx = async || begin(store).await;
    conflict("a role's name is taken", tx().await.insert_role(role("editor", vec![])).await.map(drop));
    conflict("permissions of no role", tx().await.set_permissions(no_role, &permissions()).await);
    conflict("no permissions of no role", tx().await.set_permissions(no_role, &[]).await);
    conflict("an owner with no such role", tx().await.insert_owner(owner("c@d", &[no_role])).await.map(drop));
    conflict("the state of nobody", tx().await.set_owner_state(nobody, OwnerState::Active).await);
    conflict("the roles of nobody", tx().await.set_owner_roles(nobody, &[editor]).await);
    conflict("no such role", tx().await.set_owner_roles(id, &[no_role]).await);
    conflict("a token of nobody", tx().await.insert_token(admin("new", nobody)).await.map(drop));
    let same_digest = crate::store::NewToken { name: "new".into(), ..new };
    conflict("a digest that is there", tx().await.insert_token(same_digest).await.map(drop));
    assert_eq!(seq(store).await, before, "a conflict changes nothing");
    let mut tx: Box<dyn Transaction> = begin(store).await;
    assert!(tx.token_with_name("new").await.expect("names can be asked for").is_none(), "and leaves nothing behind");
}
