//! Reading tokens.

use super::{ReadOnlyBackend, UNKNOWN, insert, is_valid, principal, resolve};
use crate::domain::{Digest, Timestamp, TokenId, Verdict, action};
use crate::store::{Record, Snapshot, Use};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

async fn resolve_valid(backend: &impl ReadOnlyBackend, digest: &Digest) -> Record {
    let record = resolve(backend, digest).await.record.expect("a token resolves");
    assert!(is_valid(&record), "a token is valid until it expires, is revoked, or its owner is deactivated");
    record
}

async fn assert_not_valid(backend: &impl ReadOnlyBackend, digest: &Digest, why: &str) {
    let snapshot = resolve(backend, digest).await;
    assert!(!snapshot.record.as_ref().is_some_and(is_valid), "{why}");
}

pub(super) async fn inserted_token_resolves(backend: &impl ReadOnlyBackend) {
    let [first, second] = backend.actions();
    let mut ids: Vec<TokenId> = Vec::new();
    for (name, allowed, denied) in [("first", first, second), ("second", second, first), ("third", first, second)] {
        let digest = backend.insert(name, allowed).await;
        let record = resolve_valid(backend, &digest).await;
        let token = &record.token;
        assert_eq!(token.name, name, "a digest resolves to its token");
        assert_eq!(token.digest, digest, "a token has the digest that was looked up");
        assert_eq!(token.expires_at, None, "a token without an expiry has none");
        assert!(token.created_at <= record.now, "times are milliseconds since 1970 by one clock");
        assert!(!ids.contains(&token.id), "each token has an id of its own");
        ids.push(token.id);
        assert_eq!(record.owner.as_ref().map(|(owner, _)| owner.id), token.owner(), "a token comes with its owner");
        let principal = principal(&record).expect("a token has its owner");
        let may = |name: &str| principal.verdict(&action(name)) == Verdict::Allowed;
        assert!(may(allowed), "a token may do what it was issued for");
        assert!(!may(denied), "a token may do nothing else, also if its owner may");
    }
}

pub(super) async fn unknown_digest_is_no_error(backend: &impl ReadOnlyBackend) {
    for digest in [UNKNOWN, Digest::Strapi([0; 64])] {
        let found = backend.store().resolve(&digest).await.expect("an unknown digest is not an error");
        assert!(found.record.is_none(), "an unknown digest has no record");
    }
    insert(backend, "known").await;
    let found = backend.store().resolve(&UNKNOWN).await.expect("an unknown digest is not an error");
    assert!(found.record.is_none(), "an unknown digest has no record");
}

pub(super) async fn expiry_is_read(backend: &impl ReadOnlyBackend) {
    let (digest, other) = (insert(backend, "expiring").await, insert(backend, "other").await);
    let record = resolve_valid(backend, &digest).await;
    let later = record.now.plus(HOUR);
    backend.set_expiry(&digest, later).await;
    let found = resolve(backend, &digest).await.record.expect("a token resolves before its expiry");
    let found = found.token.expires_at.expect("the expiry of a token is read");
    // A column may keep seconds only.
    assert!(later.0.abs_diff(found.0) < 1000, "the expiry of a token is read in milliseconds since 1970");
    resolve_valid(backend, &digest).await;
    let earlier = Timestamp(record.now.0 - 1000);
    backend.set_expiry(&digest, earlier).await;
    assert_not_valid(backend, &digest, "an expired token has its expiry, or does not resolve").await;
    resolve_valid(backend, &other).await;
}

pub(super) async fn revoked_token_does_not_resolve(backend: &impl ReadOnlyBackend) {
    let (digest, other) = (insert(backend, "revoked").await, insert(backend, "other").await);
    resolve_valid(backend, &digest).await;
    backend.revoke(&digest).await;
    assert_not_valid(backend, &digest, "a revoked token does not resolve").await;
    assert_eq!(resolve_valid(backend, &other).await.token.name, "other", "other tokens are kept");
}

pub(super) async fn token_of_an_inactive_owner_is_not_valid(backend: &impl ReadOnlyBackend) {
    let (digest, other) = (insert(backend, "first").await, insert(backend, "other").await);
    resolve_valid(backend, &digest).await;
    if backend.deactivate_owner(&digest).await {
        assert_not_valid(backend, &digest, "a token of a deactivated owner has that owner, or does not resolve").await;
    }
    resolve_valid(backend, &other).await;
}

pub(super) async fn many_tokens_resolve_like_one(backend: &impl ReadOnlyBackend) {
    let mut digests = vec![UNKNOWN, Digest::Strapi([0; 64])];
    for n in 0..6 {
        digests.push(insert(backend, &format!("token {n}")).await);
    }
    backend.revoke(&digests[3]).await;
    backend.deactivate_owner(&digests[5]).await;
    digests.extend([digests[4], UNKNOWN, digests[2]]);
    for asked in [&digests[..], &digests[4..5], &[]] {
        let found = backend.store().resolve_many(asked).await.expect("tokens are resolved");
        assert_eq!(found.len(), asked.len(), "each digest has a snapshot");
        for (digest, snapshot) in asked.iter().zip(found) {
            let snapshot = snapshot.expect("each token is resolved");
            let alone = resolve(backend, digest).await;
            assert_eq!(content(&snapshot), content(&alone), "a batch has the same tokens in the order of its digests");
        }
    }
}

/// Everything in a snapshot but the time at which it was read.
fn content(snapshot: &Snapshot) -> String {
    let Snapshot { seq, op_id, record } = snapshot;
    let record = record.as_ref().map(|record| (record.token.digest.to_hex(), &record.token, &record.owner));
    format!("{seq} {op_id:?} {record:#?}")
}

pub(super) async fn uses_are_no_changes(backend: &impl ReadOnlyBackend) {
    let digest = insert(backend, "used").await;
    let record = resolve_valid(backend, &digest).await;
    let before = resolve(backend, &digest).await;
    let used = |token| Use { token, digest: record.token.digest, at: record.now, address: None, tool: None };
    let uses = [used(record.token.id), used(TokenId(i64::MAX))];
    backend.store().note_uses(&uses).await.expect("uses are stored or ignored, those of absent tokens skipped");
    let after = resolve(backend, &digest).await;
    assert_eq!((after.seq, after.op_id), (before.seq, before.op_id), "a use is not a change");
}
