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

pub(super) async fn new_store_has_the_super_admin_role<S: Backend>(store: &S) {
    assert_eq!(seq(store).await, 0, "a new store has sequence 0");
    let mut tx = begin(store).await;
    let found = tx.role(RoleId::SUPER_ADMIN).await.expect("a role can be read").expect("the super admin role exists");
    assert_eq!((found.id, found.name.as_str()), (RoleId::SUPER_ADMIN, "Super Admin"));
    assert!(found.permissions.is_empty(), "the super admin role lists no permissions");
    assert_eq!(tx.other_super_admins(OwnerId(1)).await.expect("they are counted"), 0, "the role has no members");
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

    assert_eq!(seq(store).await, before, "a rolled back change does not change the sequence");
    assert!(resolve(store, &new.digest).await.record.is_none(), "an addition was rolled back");
    let record = resolve(store, &old.digest).await.record.expect("a deletion was rolled back");
    assert_eq!(record.owner.map(|(o, _)| o.state), Some(OwnerState::Active), "an update was rolled back");
    assert!(store.audit_events().await.expect("events can be read").is_empty(), "a rolled back change has no event");
    let mut tx = begin(store).await;
    assert_eq!(tx.seq(), abandoned, "the sequence has no gaps");
    assert!(tx.role_with_name("abandoned").await.expect("names can be queried").is_none());
    assert!(tx.owner_with_email("abandoned@b").await.expect("addresses can be queried").is_none());
    let found = tx.role(kept).await.expect("a role can be read").expect("it exists");
    assert_eq!(found.permissions, permissions(), "a role keeps its permissions");
}

pub(super) async fn each_commit_raises_the_sequence_by_one<S: Backend>(store: &S) {
    let start = seq(store).await;
    for n in 1..=5 {
        let tx = begin(store).await;
        assert_eq!(tx.seq(), start + n, "a transaction knows its sequence");
        assert_eq!(seq(store).await, start + n - 1, "readers see the sequence after the commit");
        tx.commit(&[]).await.expect("an empty change commits");
        assert_eq!(seq(store).await, start + n, "each commit raises the sequence by exactly one");
    }
    let tx = begin(store).await;
    let tags = [Tag::ALL, Tag::owner(OwnerId(i64::MAX)), Tag::role(RoleId(1)), Tag(u64::MAX)];
    tx.commit(&tags).await.expect("any tag can be stored");
}

pub(super) async fn snapshot_is_entirely_before_or_after_a_change<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", permissions())).await.expect("a role is added");
    let id = tx.insert_owner(owner("a@b", &[editor])).await.expect("an owner is added");
    let new = admin("token", id);
    tx.insert_token(new.clone()).await.expect("a token is added");
    commit(tx).await;
    let read = async || {
        let snapshot = resolve(store, &new.digest).await;
        let (owner, ceiling) = snapshot.record.and_then(|r| r.owner).expect("token and owner exist");
        (snapshot.seq, owner.state, ceiling)
    };
    let old = read().await;

    let mut tx = begin(store).await;
    tx.set_permissions(editor, &[Permission::new("read")]).await.expect("permissions are set");
    tx.set_owner_state(id, OwnerState::Deactivated).await.expect("a state is set");
    assert_eq!(read().await, old, "before the commit, readers read the old state without waiting");
    let committed = tx.seq();
    commit(tx).await;
    let ceiling = crate::domain::Ceiling::Of(vec![Permission::new("read")]);
    let new = (committed, OwnerState::Deactivated, ceiling);
    assert_eq!(read().await, new, "after the commit, readers read all of the new state, with its sequence");
}

pub(super) async fn writers_are_serialized<S: Backend>(store: &S) {
    const WRITERS: usize = 16;
    let mut tx = begin(store).await;
    let id = tx.insert_role(role("counted", Vec::new())).await.expect("a role is added");
    commit(tx).await;
    let start = seq(store).await;
    let add_one = async |n: usize| {
        let mut tx = begin(store).await;
        let mut held = tx.role(id).await.expect("a role can be read").expect("it exists").permissions;
        // Gives the other writers a chance to run.
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
    assert_eq!(seqs, expected, "each writer has its own sequence, without gaps");
    let held = begin(store).await.role(id).await.expect("a role can be read").expect("it exists").permissions;
    assert_eq!(held.len(), WRITERS, "no update is lost");
}

pub(super) async fn audit_events_keep_their_order<S: Backend>(store: &S) {
    let all = fixtures::ALL_ACTIONS;
    let targets = [
        AuditTarget::Owner(OwnerId(3)),
        AuditTarget::Role(RoleId(2)),
        AuditTarget::Token(TokenId(9), TokenKind::Admin),
        AuditTarget::Token(TokenId(9), TokenKind::Content),
        AuditTarget::Token(TokenId(9), TokenKind::Session),
        AuditTarget::Installation,
    ];
    let actors = [Actor::Service, Actor::Person(OwnerId(7)), Actor::Token(TokenId(i64::MAX)), Actor::Visitor];
    let addresses = [None, Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]))];
    let causes = [
        None,
        Some(AuditCause::RolePermissions(RoleId(2))),
        Some(AuditCause::OwnerRoles(OwnerId(3))),
        Some(AuditCause::OwnerDeleted(OwnerId(4))),
        Some(AuditCause::Catalogue),
    ];
    let details = [json!({}), json!(null), json!({"text": AWKWARD, "n": [1, -2.5, true]}), json!("text")];
    // Times run backwards: events are ordered by insertion, not by time.
    let events: Vec<AuditEvent> = (0..60_usize)
        .map(|i| AuditEvent {
            at: Timestamp(100_000 - i as i64),
            origin: AuditOrigin {
                actor: actors[i % actors.len()],
                address: addresses[i % addresses.len()],
                tool: [None, Some("publish".into())][i % 2].clone(),
            },
            what: all[i % all.len()],
            target: targets[i % targets.len()],
            cause: causes[i % causes.len()],
            details: details[i % details.len()].clone(),
        })
        .collect();
    for (n, batch) in events.chunks(7).enumerate() {
        let mut tx = begin(store).await;
        match n % 2 {
            0 => {
                for event in batch {
                    tx.audit(event.clone()).await.expect("an event is added");
                }
            }
            _ => tx.audit_all(batch.to_vec()).await.expect("events are added"),
        }
        commit(tx).await;
    }
    let kept = store.audit_events().await.expect("events can be read");
    assert_eq!(kept, events, "events are complete and in the order of insertion");
}

pub(super) async fn invalid_references_are_conflicts<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", Vec::new())).await.expect("a role is added");
    let id = tx.insert_owner(owner("a@b", &[editor])).await.expect("an owner is added");
    let new = admin("token", id);
    tx.insert_token(new.clone()).await.expect("a token is added");
    commit(tx).await;
    let before = seq(store).await;

    let (absent, absent_role) = (OwnerId(i64::MAX), RoleId(i64::MAX));
    let conflict = |what: &str, answer: Result<(), StoreError>| {
        assert!(matches!(answer, Err(StoreError::Conflict(_))), "{what}: a conflict, not {answer:?}");
    };
    // Each in its own transaction: after an error a transaction can only be dropped.
    let tx = async || begin(store).await;
    conflict("a taken role name", tx().await.insert_role(role("editor", vec![])).await.map(drop));
    conflict("permissions of an absent role", tx().await.set_permissions(absent_role, &permissions()).await);
    conflict("no permissions of an absent role", tx().await.set_permissions(absent_role, &[]).await);
    conflict("an owner with an absent role", tx().await.insert_owner(owner("c@d", &[absent_role])).await.map(drop));
    conflict("state of an absent owner", tx().await.set_owner_state(absent, OwnerState::Active).await);
    conflict("roles of an absent owner", tx().await.set_owner_roles(absent, &[editor]).await);
    conflict("no such role", tx().await.set_owner_roles(id, &[absent_role]).await);
    conflict("a token of an absent owner", tx().await.insert_token(admin("new", absent)).await.map(drop));
    let same_digest = crate::store::NewToken { name: "new".into(), ..new };
    conflict("a digest that exists", tx().await.insert_token(same_digest).await.map(drop));
    assert_eq!(seq(store).await, before, "a conflict changes nothing");
    let mut tx: Box<dyn Transaction> = begin(store).await;
    assert!(
        tx.token_with_name("new", crate::store::NameScope::Installation).await.expect("names can be queried").is_none(),
        "a conflict adds nothing"
    );
}
