//! Imported records.

use super::fixtures::{AWKWARD, admin, begin, commit, owner, resolve, role, service};
use super::{Backend, Timestamp, TokenId};
use crate::domain::{Digest, OwnerId, RoleId};
use crate::store::{Imported, StoreError, TokenTimes};

pub(super) async fn imported_keys_outlive_their_records<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", Vec::new())).await.expect("a role is added");
    let owner_id = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    let new = admin("token", owner_id);
    let token = tx.insert_token(new.clone()).await.expect("a token is added");
    let imported = [
        ("1", Imported::Role(editor)),
        ("1", Imported::Owner(owner_id)),
        ("1", Imported::Token(token)),
        (AWKWARD, Imported::Token(TokenId(i64::MAX))),
    ];
    for (key, what) in imported {
        tx.remember_imported(AWKWARD, key, what).await.expect("kinds have keys of their own");
    }
    tx.remember_imported("other", "1", Imported::Role(RoleId(99))).await.expect("so have sources");
    let found = tx.record(&new.digest).await.expect("digests can be queried");
    assert_eq!(found.map(|record| record.token.id), Some(token));
    let absent = tx.record(&Digest::Strapi([7; 64])).await.expect("digests can be queried");
    assert!(absent.is_none(), "an unknown digest has no record");
    commit(tx).await;

    let mut tx = begin(store).await;
    tx.delete_owner(owner_id, &service()).await.expect("an owner is deleted");
    tx.delete_role(editor).await.expect("a role is deleted");
    commit(tx).await;

    let mut tx = begin(store).await;
    let mut found = tx.imported().await.expect("imported keys can be read");
    let mut expected: Vec<(String, String, Imported)> =
        imported.map(|(key, what)| (AWKWARD.to_owned(), key.to_owned(), what)).into();
    expected.push(("other".to_owned(), "1".to_owned(), Imported::Role(RoleId(99))));
    for list in [&mut found, &mut expected] {
        list.sort_by_key(|(source, key, what)| (source.clone(), key.clone(), what.parts()));
    }
    assert_eq!(found, expected, "keys are kept after their records are deleted");
    for (source, key, id) in [(AWKWARD, "1", Some(token)), ("other", "1", None), (AWKWARD, "2", None)] {
        let found = tx.imported_token(source, key).await.expect("an imported key can be queried");
        assert_eq!(found, id, "a token's key is found by its source");
    }
    let again = tx.remember_imported("other", "1", Imported::Role(RoleId(100))).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "a key is recorded once: {again:?}");
}

pub(super) async fn imported_records_keep_their_times<S: Backend>(store: &S) {
    let times = |ends: Option<i64>, used: Option<i64>| TokenTimes {
        created_at: Timestamp(1_000),
        expires_at: ends.map(Timestamp),
        last_used_at: used.map(Timestamp),
    };
    let mut tx = begin(store).await;
    let owner_id = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    tx.backdate_owner(owner_id, Timestamp(900)).await.expect("an owner is backdated");
    let all = [times(Some(4_102_444_800_000), Some(2_000)), times(None, None), times(Some(3_000), Some(2_500))];
    let mut tokens = Vec::new();
    for (i, times) in all.into_iter().enumerate() {
        let mut new = admin(&format!("token {i}"), owner_id);
        new.lifespan = Some(std::time::Duration::from_secs(60));
        let id = tx.insert_token(new.clone()).await.expect("a token is added");
        tx.backdate_token(id, times).await.expect("a token is backdated");
        tokens.push((id, new.digest, times));
    }
    commit(tx).await;
    for (id, digest, times) in tokens {
        let record = resolve(store, &digest).await.record.expect("a token resolves");
        let made = record.owner.map(|(owner, _)| owner.created_at);
        assert_eq!(made, Some(Timestamp(900)), "an account keeps its creation time");
        let read = begin(store).await.token(id).await.expect("a token can be read").expect("it exists");
        for token in [record.token, read] {
            let kept = (token.created_at, token.expires_at, token.last_used_at);
            assert_eq!(kept, (times.created_at, times.expires_at, times.last_used_at), "a token keeps its times");
            assert_eq!(token.lifespan, Some(std::time::Duration::from_secs(60)), "a token keeps its lifespan");
        }
        let noted = store.last_use(id).await.expect("uses can be read");
        assert_eq!(noted, times.last_used_at.map(|at| (at, None)), "the last use is kept, without an address");
    }
    let absent = begin(store).await.backdate_owner(OwnerId(i64::MAX), Timestamp(1)).await;
    assert!(matches!(absent, Err(StoreError::Conflict(_))), "an absent owner cannot be backdated: {absent:?}");
    let nothing = begin(store).await.backdate_token(TokenId(i64::MAX), times(None, None)).await;
    assert!(matches!(nothing, Err(StoreError::Conflict(_))), "an absent token cannot be backdated: {nothing:?}");
}
