//! Several tokens in one read.

use super::Backend;
use super::clamping::Dice;
use super::fixtures::{begin, commit, owner, resolve, role, service, token};
use crate::domain::{
    Action, Ancestor, Ceiling, ContentAccess, Digest, Grant, OwnerState, Permission, RoleId, TokenAuthority,
};
use crate::store::{Snapshot, StoreError, Use};
use std::time::Duration;

/// Everything in a snapshot but the time at which it was read.
fn content(snapshot: &Snapshot) -> String {
    let Snapshot { seq, op_id, record } = snapshot;
    let record = record.as_ref().map(|record| (record.token.digest.to_hex(), &record.token, &record.owner));
    format!("{seq} {op_id:?} {record:#?}")
}

async fn resolve_all<S: Backend>(store: &S, digests: &[Digest]) -> Vec<Snapshot> {
    let read = store.resolve_many(digests).await.expect("tokens are resolved");
    read.into_iter().collect::<Result<_, StoreError>>().expect("each token is resolved")
}

/// A token, its child and its grandchild are found alone and between others, each with its ancestors, the parent first.
pub(super) async fn tokens_are_found_with_their_ancestors<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let owner = tx.insert_owner(owner("family@b", &[RoleId::SUPER_ADMIN])).await.expect("an owner is added");
    let (mut family, mut digests) = (Vec::new(), Vec::new());
    for n in 0..3 {
        let grants = vec![Grant::new("read").may_delegate(), Grant::new(format!("own.{n}"))];
        let mut new = token(&format!("family {n}"), TokenAuthority::Admin { owner, grants });
        new.parent = family.last().copied().zip(digests.last().copied());
        new.limits.enabled = n != 1;
        new.lifespan = (n < 2).then_some(Duration::from_secs(60));
        digests.push(new.digest);
        family.push(tx.insert_token(new).await.expect("a token is added"));
    }
    let mut tokens = Vec::new();
    for id in &family {
        tokens.push(tx.token(*id).await.expect("a token is read").expect("it exists"));
    }
    let other = token("other", TokenAuthority::Content { access: ContentAccess::ReadOnly });
    let asked = [digests[2], other.digest, digests[0], Digest::Native([0; 27]), digests[1]];
    tx.insert_token(other).await.expect("a token is added");
    commit(tx).await;
    let many = resolve_all(store, &asked).await;
    for (digest, of_many) in asked.iter().zip(&many) {
        assert_eq!(content(&resolve(store, digest).await), content(of_many), "{digest:?}");
        let Some(place) = digests.iter().position(|member| member == digest) else { continue };
        let found = &of_many.record.as_ref().expect("it is found").token;
        let expected: Vec<Ancestor> = tokens[..place].iter().rev().map(Ancestor::of).collect();
        assert_eq!((found.id, &found.ancestors), (family[place], &expected));
    }
    assert!(many[1].record.is_some() && many[3].record.is_none(), "the others are what they are");
}

pub(super) async fn many_tokens_resolve_like_one<S: Backend>(store: &S) {
    let mut dice = Dice(7);
    let mut digests = vec![Digest::Native([0; 27]), Digest::Strapi([7; 64])];
    let mut owners = Vec::new();
    for round in 0..4 {
        let mut tx = begin(store).await;
        let mut roles = vec![RoleId::SUPER_ADMIN];
        for n in 0..4 {
            let new = role(&format!("{round}/{n}"), dice.permissions(5));
            roles.push(tx.insert_role(new).await.expect("a role is added"));
        }
        for n in 0..5 {
            // Some owners have no role, and a few are super admins.
            let one_in = |n| if n == 0 { 9 } else { 2 };
            let theirs: Vec<_> = (0..5).filter(|n| dice.below(one_in(*n)) == 0).map(|n| roles[n]).collect();
            let id = tx.insert_owner(owner(&format!("{round}-{n}@b"), &theirs)).await.expect("an owner is added");
            tx.set_owner_state(id, OwnerState::ALL[n % 5]).await.expect("a state is set");
            owners.push(id);
        }
        for n in 0..12 {
            let owner = owners[dice.below(owners.len())];
            let grants = dice
                .permissions(4)
                .into_iter()
                .map(|p| Grant { scope: p.scope, chosen: p.when, may_delegate: false })
                .collect();
            let authority = match dice.below(4) {
                0 => TokenAuthority::Session { owner, idle: Duration::from_millis(dice.below(5000) as u64) },
                1 => TokenAuthority::Content { access: ContentAccess::ReadOnly },
                2 => {
                    let actions: Vec<_> = (0..dice.below(3)).map(|n| Action::new(format!("find.{n}"))).collect();
                    TokenAuthority::Content { access: ContentAccess::Custom(actions.into()) }
                }
                _ => TokenAuthority::Admin { owner, grants },
            };
            let mut new = token(&format!("{round}.{n}"), authority);
            new.lifespan = (dice.below(2) == 0).then_some(Duration::from_secs(60));
            match n {
                0 => new.digest = Digest::Strapi([round; 64]),
                1 => new.digest = Digest::Legacy([round; 32]),
                _ => {}
            }
            digests.push(new.digest);
            let id = tx.insert_token(new).await.expect("a token is added");
            if dice.below(8) == 0 {
                tx.delete_token(id).await.expect("a token is deleted");
            }
        }
        // The tokens of this owner are gone.
        let gone = owners.remove(dice.below(owners.len()));
        tx.delete_owner(gone, &service()).await.expect("an owner is deleted");
        commit(tx).await;
        let used = digests[2 + dice.below(digests.len() - 2)];
        if let Some(record) = resolve(store, &used).await.record {
            let used =
                Use { token: record.token.id, digest: record.token.digest, at: record.now, address: None, tool: None };
            store.note_uses(&[used]).await.expect("a use is stored");
        }

        let mut all: Vec<_> = std::iter::repeat_with(|| digests[dice.below(digests.len())]).take(40).collect();
        all.extend(&digests);
        for list in [&all[..], &all[..1], &[]] {
            let snapshots = resolve_all(store, list).await;
            assert_eq!(snapshots.len(), list.len(), "each digest has a snapshot");
            for (digest, snapshot) in list.iter().zip(&snapshots) {
                let alone = resolve(store, digest).await;
                assert_eq!(content(snapshot), content(&alone), "a token resolves alike alone and among others");
            }
        }
    }
}

pub(super) async fn batch_is_entirely_before_or_after_a_change<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let changing = tx.insert_role(role("changing", Vec::new())).await.expect("a role is added");
    let owner = tx.insert_owner(owner("ada@b", &[changing])).await.expect("an owner is added");
    let mut digests = Vec::new();
    for n in 0..6 {
        let new = token(&format!("{n}"), TokenAuthority::Admin { owner, grants: Vec::new() });
        digests.push(new.digest);
        tx.insert_token(new).await.expect("a token is added");
    }
    let name = |seq: u64| vec![Permission::new(format!("{seq}"))];
    let seq = tx.seq();
    tx.set_permissions(changing, &name(seq)).await.expect("permissions are set");
    commit(tx).await;

    let writes = async {
        for _ in 0..20 {
            let mut tx = begin(store).await;
            let seq = tx.seq();
            tx.set_permissions(changing, &name(seq)).await.expect("permissions are set");
            commit(tx).await;
        }
    };
    let reads = async {
        for _ in 0..60 {
            let snapshots = resolve_all(store, &digests).await;
            for Snapshot { seq, record, .. } in &snapshots {
                let (_, ceiling) = record.as_ref().and_then(|record| record.owner.as_ref()).expect("it has an owner");
                assert_eq!(*ceiling, Ceiling::Of(name(*seq)), "the sequence is that of the permissions");
            }
            if store.batch_size() > 1 {
                assert!(snapshots.iter().all(|s| s.seq == snapshots[0].seq), "a batch is of one moment");
            }
        }
    };
    tokio::join!(writes, reads);
}
