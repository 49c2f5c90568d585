//! Check values of keys, and the number of tokens of each key.

use super::Backend;
use super::fixtures::{admin, begin, commit, owner, seq, stored, view};
use crate::domain::{HashKeyId, KeyCheck, KeyKind, SealedSecret};
use crate::store::{KeyUse, NewToken, Transaction};
use std::time::Duration;

pub(super) async fn key_check_values_are_stored<S: Backend>(store: &S) {
    let check = |kind, id: &str, value: &str| KeyCheck { kind, id: id.to_owned(), value: value.to_owned() };
    let hash = check(KeyKind::Hash, "0", "aa");
    let others =
        [check(KeyKind::Hash, "2030", "bb"), check(KeyKind::Encryption, "0", "cc"), check(KeyKind::Prefix, "", "kw")];
    assert_eq!(store.key_checks().await.expect("they can be read"), Some(vec![]));
    let mut tx = begin(store).await;
    tx.set_key_check(&hash).await.expect("a check value is stored");
    drop(tx);
    assert!(
        view(store).await.key_checks().await.expect("they can be read").is_empty(),
        "a rolled back check value is not stored"
    );
    let mut tx = begin(store).await;
    for check in others.iter().chain([&hash]) {
        tx.set_key_check(check).await.expect("a check value is stored");
    }
    let new = KeyCheck { value: "dd".to_owned(), ..hash };
    tx.set_key_check(&new).await.expect("a check value is replaced");
    let within = tx.key_checks().await.expect("they can be read");
    commit(tx).await;
    let after = store.key_checks().await.expect("they can be read").expect("this store has check values");
    for found in [within, after, view(store).await.key_checks().await.expect("they can be read")] {
        assert_eq!(found.len(), 4);
        assert!(others.iter().chain([&new]).all(|check| found.contains(check)), "{found:?}");
    }
    assert_eq!(seq(store).await, 1);
}

pub(super) async fn tokens_are_counted_per_key<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let owner = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        ids.push(tx.insert_token(admin(name, owner)).await.expect("a token is added"));
    }
    let sealed = SealedSecret { key: "2025".to_owned(), text: "00".to_owned() };
    tx.seal_secret(ids[0], &sealed).await.expect("a secret is sealed");
    commit(tx).await;
    let mut tx = begin(store).await;
    let mut uses = tx.key_uses().await.expect("they can be counted");
    uses.sort_by_key(|used| used.kind);
    let hash_key: HashKeyId = admin("four", owner).hash_key;
    let used = |kind, id: &str, tokens| KeyUse { kind, id: id.to_owned(), tokens };
    assert_eq!(uses, [used(KeyKind::Hash, hash_key.as_str(), 3), used(KeyKind::Encryption, "2025", 1)]);
    // The secret before the present one counts until its grace period is over.
    let other = HashKeyId::of_accounts();
    let renewed = NewToken { hash_key: other.clone(), ..admin("renewed", owner) };
    let ends = tx.now().plus(Duration::from_secs(3600));
    tx.replace_secret(ids[1], &stored(&renewed), ends).await.expect("a secret is replaced");
    let count = async |tx: &mut dyn Transaction, id: &str| {
        let uses = tx.key_uses().await.expect("they can be counted");
        uses.iter().find(|used| used.kind == KeyKind::Hash && used.id == id).map_or(0, |used| used.tokens)
    };
    assert_eq!((count(&mut *tx, hash_key.as_str()).await, count(&mut *tx, other.as_str()).await), (3, 1));
    tx.end_previous_secret(ids[1]).await.expect("a secret is ended");
    assert_eq!((count(&mut *tx, hash_key.as_str()).await, count(&mut *tx, other.as_str()).await), (2, 1));
    for id in ids {
        tx.delete_token(id).await.expect("a token is deleted");
    }
    commit(tx).await;
    assert!(view(store).await.key_uses().await.expect("they can be counted").is_empty());
}
