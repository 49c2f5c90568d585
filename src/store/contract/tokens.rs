//! Tokens, their grants and their uses.

use super::fixtures::{AWKWARD, admin, begin, commit, grants, owner, resolve, seq, session, token};
use super::{Backend, Timestamp, TokenId};
use crate::domain::{Action, ContentAccess, Digest, Fields, Grant, OwnerId, Token, TokenAuthority};
use crate::store::{NewToken, StoreError, Use};
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

pub(super) async fn tokens_come_back_as_they_were<S: Backend>(store: &S) {
    let id = add_owner(store).await;
    let content = |access| TokenAuthority::Content { access };
    let custom = ContentAccess::Custom([Action::new("a.find"), Action::new(AWKWARD)].into());
    let kinds = [
        ("admin", TokenAuthority::Admin { owner: id, grants: grants() }, None),
        ("no grants", TokenAuthority::Admin { owner: id, grants: Vec::new() }, Some(Duration::from_millis(1))),
        ("reads", content(ContentAccess::ReadOnly), Some(Duration::from_secs(7 * 86_400))),
        ("all", content(ContentAccess::FullAccess), None),
        (AWKWARD, content(custom), Some(Duration::MAX)),
        ("", TokenAuthority::Session { owner: id, idle: Duration::from_millis(1_234_567) }, Some(Duration::ZERO)),
    ];
    for (i, (name, authority, lifespan)) in (0..).zip(kinds) {
        let mut new = NewToken { lifespan, ..token(name, authority) };
        if i == 2 {
            new.digest = Digest::Strapi([0xA5; 64]);
        }
        let mut tx = begin(store).await;
        let before = tx.now();
        let id = tx.insert_token(new.clone()).await.expect("a token is added");
        let after = tx.now();
        let found = tx.token(id).await.expect("a token can be read").expect("a token that was added is there");
        assert!((before..=after).contains(&found.created_at), "{name}: it was made just now, by the store's clock");
        same(&found, id, &new);
        commit(tx).await;

        let snapshot = resolve(store, &new.digest).await;
        let record = snapshot.record.expect("a token that was committed resolves");
        same(&record.token, id, &new);
        assert_eq!(record.token.created_at, found.created_at, "{name}: it was made once");
        assert_eq!(record.token.last_used_at, None, "{name}: it was never used");
        assert!(record.now >= found.created_at, "{name}: what is left is reckoned from the store's present");
        let owner = record.owner.map(|(owner, _)| owner.id);
        assert_eq!(owner, found.owner(), "{name}: a token comes with its owner, and a content token with none");
    }
}

fn same(found: &Token, id: TokenId, new: &NewToken) {
    let Token { name, .. } = found;
    assert_eq!(found.id, id, "{name}: its id");
    assert_eq!(found.name, new.name, "{name}: its name");
    assert_eq!(found.description, new.description, "{name}: its description");
    assert_eq!(found.hint, new.hint, "{name}: its hint");
    assert!(found.digest == new.digest, "{name}: its digest");
    let expires_at = new.lifespan.map(|span| found.created_at.plus(span));
    assert_eq!(found.expires_at, expires_at, "{name}: it lives as long as was said, from when it was made");
    assert_eq!(listed(&found.authority), listed(&new.authority), "{name}: grants and access come back as they were");
}

/// The actions of a content token are a set: any order will do.
fn listed(authority: &TokenAuthority) -> TokenAuthority {
    match authority {
        TokenAuthority::Content { access: ContentAccess::Custom(actions) } => {
            let mut actions = actions.to_vec();
            actions.sort_unstable();
            TokenAuthority::Content { access: ContentAccess::Custom(actions.into()) }
        }
        other => other.clone(),
    }
}

pub(super) async fn hundreds_of_grants_keep_their_order<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let fields = |i: u32| Fields::only((0..=i % 7).map(|f| format!("field {f} of {i}"))).expect("there are some");
    let grants: Vec<Grant> = (0..700).map(|i| Grant::new(format!("action {}", i % 31)).fields(fields(i))).collect();
    let new = token("many", TokenAuthority::Admin { owner, grants });
    let mut tx = begin(store).await;
    let id = tx.insert_token(new.clone()).await.expect("a token is added");
    commit(tx).await;
    same(&resolve(store, &new.digest).await.record.expect("it resolves").token, id, &new);
}

pub(super) async fn an_unknown_digest_is_an_answer<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let mut tx = begin(store).await;
    tx.insert_token(admin("known", owner)).await.expect("a token is added");
    let expected = tx.seq();
    commit(tx).await;
    for digest in [Digest::Native([7; 27]), Digest::Strapi([7; 64])] {
        let snapshot = resolve(store, &digest).await;
        assert!(snapshot.record.is_none(), "there is no such token");
        assert_eq!(snapshot.seq, expected, "also an absence is known as of a sequence");
    }
    let absent = begin(store).await.token(TokenId(i64::MAX)).await.expect("a token can be asked for");
    assert!(absent.is_none(), "a token that is not there is none, not an error");
}

pub(super) async fn names_are_taken_by_all_but_sessions<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let named_session = || NewToken { name: "session".into(), ..session(owner) };
    let mut tx = begin(store).await;
    tx.insert_token(admin("admin", owner)).await.expect("an admin token is added");
    let access = ContentAccess::FullAccess;
    tx.insert_token(token("content", TokenAuthority::Content { access })).await.expect("a content token is added");
    for new in [session(owner), session(owner), named_session(), named_session()] {
        tx.insert_token(new).await.expect("sessions take no name, not even one that is not empty");
    }
    for (name, taken) in
        [("admin", true), ("content", true), ("session", false), ("", false), ("ADMIN", true), ("ädmin", false)]
    {
        let answer = tx.token_with_name(name).await.expect("names can be asked for").is_some();
        assert_eq!(answer, taken, "{name:?}: names are taken by admin and content tokens, and compared by their form");
    }
    let id = tx.insert_token(admin("session", owner)).await.expect("a session's name is free");
    tx.delete_sessions(owner).await.expect("sessions end");
    let taken = tx.token_with_name("session").await.expect("names can be asked for").is_some();
    assert!(taken, "a session that ends frees nobody's name");
    tx.delete_token(id).await.expect("a token is deleted");
    let taken = tx.token_with_name("session").await.expect("names can be asked for").is_some();
    assert!(!taken, "a token that is deleted frees its name");
    commit(tx).await;
    for again in ["content", "Content", "ｃontent"] {
        let again = begin(store).await.insert_token(admin(again, owner)).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "one name, one token: {again:?}");
    }
}

pub(super) async fn sessions_of_an_owner_are_deleted_together<S: Backend>(store: &S) {
    let (owner, other) = (add_owner(store).await, add_owner(store).await);
    let (one, two, theirs, kept) = (session(owner), session(owner), session(other), admin("kept", owner));
    let mut tx = begin(store).await;
    for new in [&one, &two, &theirs, &kept] {
        tx.insert_token(new.clone()).await.expect("a token is added");
    }
    commit(tx).await;
    let mut tx = begin(store).await;
    let ended = tx.delete_sessions(owner).await.expect("sessions end");
    assert_eq!(ended.len(), 2, "all sessions of the owner end, and nothing else");
    assert!(ended.contains(&one.digest) && ended.contains(&two.digest), "and their digests are told");
    let again = tx.delete_sessions(owner).await.expect("there may be none");
    assert!(again.is_empty(), "they end once");
    commit(tx).await;
    for (new, there) in [(one, false), (two, false), (theirs, true), (kept, true)] {
        assert_eq!(resolve(store, &new.digest).await.record.is_some(), there, "sessions of that owner, only these");
    }
}

pub(super) async fn deleted_token_does_not_resolve<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let (new, kept) = (admin("gone", owner), admin("kept", owner));
    let mut tx = begin(store).await;
    let id = tx.insert_token(new.clone()).await.expect("a token is added");
    let kept_id = tx.insert_token(kept.clone()).await.expect("a token is added");
    commit(tx).await;
    let at = Timestamp(1_000);
    store.note_uses(&[Use { token: id, at, address: None }]).await.expect("uses are noted");
    let mut tx = begin(store).await;
    tx.delete_token(id).await.expect("a token is deleted");
    tx.delete_token(id).await.expect("a token that is gone stays gone");
    assert!(tx.token(id).await.expect("a token can be asked for").is_none(), "it is gone at once");
    commit(tx).await;
    assert!(resolve(store, &new.digest).await.record.is_none(), "it is gone for everybody");
    assert!(store.last_use(id).await.expect("uses can be read").is_none(), "and so is its last use");
    same(&resolve(store, &kept.digest).await.record.expect("others stay").token, kept_id, &kept);
}

pub(super) async fn no_id_is_used_again<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let mut tx = begin(store).await;
        let id = tx.insert_token(admin("again", owner)).await.expect("a token is added");
        assert!(seen.insert(id) && id.0 > 0, "{id}: ids are positive, and never used again");
        commit(tx).await;
        let mut tx = begin(store).await;
        tx.delete_token(id).await.expect("a token is deleted");
        commit(tx).await;
    }
}

pub(super) async fn the_latest_use_stays<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let (new, other) = (admin("used", owner), admin("other", owner));
    let mut tx = begin(store).await;
    let id = tx.insert_token(new.clone()).await.expect("a token is added");
    let other = tx.insert_token(other).await.expect("a token is added");
    commit(tx).await;
    let before = seq(store).await;
    let [v4, v6]: [IpAddr; 2] = [[192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()];
    let used = |token, at, address| Use { token, at: Timestamp(at), address };
    let absent = TokenId(i64::MAX);
    let batches = [
        (vec![], None),
        (vec![used(absent, 9_000, None)], None),
        (vec![used(id, 2_000, Some(v6)), used(absent, 9_000, None), used(id, 1_000, None)], Some((2_000, Some(v6)))),
        (vec![used(id, 1_500, Some(v4))], Some((2_000, Some(v6)))),
        (vec![used(id, 2_000, Some(v4))], Some((2_000, Some(v4)))),
        (vec![used(id, 2_500, None), used(id, 3_000, None)], Some((3_000, None))),
    ];
    for (batch, expected) in batches {
        store.note_uses(&batch).await.expect("uses are noted, absent tokens passed over");
        let expected = expected.map(|(at, address)| (Timestamp(at), address));
        let noted = store.last_use(id).await.expect("uses can be read");
        assert_eq!(noted, expected, "{batch:?}: of two uses the later stays, with its address");
        let record = resolve(store, &new.digest).await.record.expect("it resolves");
        assert_eq!(record.token.last_used_at, expected.map(|(at, _)| at), "the gate is told the same");
    }
    assert!(store.last_use(other).await.expect("uses can be read").is_none(), "a token's use is its own");
    assert!(store.last_use(absent).await.expect("uses can be read").is_none(), "nothing is kept of absent tokens");
    assert_eq!(seq(store).await, before, "use is not a change: it moves no sequence");
}

async fn add_owner<S: Backend>(store: &S) -> OwnerId {
    let mut tx = begin(store).await;
    let id = tx.insert_owner(owner(&format!("{}@example.org", tx.seq()), &[])).await.expect("an owner is added");
    commit(tx).await;
    id
}
