//! Tokens, their grants and their uses.

use super::fixtures::{AWKWARD, admin, begin, commit, grants, metadata, owner, resolve, seq, session, token};
use super::{Backend, Timestamp, TokenId};
use crate::domain::{
    Action, ContentAccess, Digest, Fields, Grant, Metadata, OwnerId, Token, TokenAuthority, TokenLimits,
};
use crate::store::{NameScope, NewToken, StoreError, Use};
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

pub(super) async fn tokens_are_read_back_unchanged<S: Backend>(store: &S) {
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
        match i {
            2 => new.digest = Digest::Strapi([0xA5; 64]),
            3 => new.digest = Digest::Legacy([0xA5; 32]),
            _ => {}
        }
        // Every second token has metadata, among them an empty object.
        new.metadata = [None, Some(metadata()), None, Some(Metadata::from_iter([]))][i % 4].clone();
        let mut tx = begin(store).await;
        let before = tx.now();
        let id = tx.insert_token(new.clone()).await.expect("a token is added");
        let after = tx.now();
        let found = tx.token(id).await.expect("a token can be read").expect("an added token exists");
        assert!((before..=after).contains(&found.created_at), "{name}: the creation time is that of the store's clock");
        same(&found, id, &new);
        commit(tx).await;

        let snapshot = resolve(store, &new.digest).await;
        let record = snapshot.record.expect("a token that was committed resolves");
        same(&record.token, id, &new);
        assert_eq!(record.token.created_at, found.created_at, "{name}: the creation time is unchanged");
        assert_eq!(record.token.last_used_at, None, "{name}: a new token has no last use");
        assert!(record.now >= found.created_at, "{name}: the store's time is not before the creation");
        let owner = record.owner.map(|(owner, _)| owner.id);
        assert_eq!(owner, found.owner(), "{name}: the owner is that of the token");
    }
}

fn same(found: &Token, id: TokenId, new: &NewToken) {
    let Token { name, .. } = found;
    assert_eq!(found.id, id, "{name}: its id");
    assert_eq!(found.name, new.name, "{name}: its name");
    assert_eq!(found.description, new.description, "{name}: its description");
    assert!(found.metadata == new.metadata, "{name}: its metadata");
    assert_eq!(found.hint, new.hint, "{name}: its hint");
    assert!(found.digest == new.digest, "{name}: its digest");
    let expires_at = new.lifespan.map(|span| found.created_at.plus(span));
    assert_eq!(found.expires_at, expires_at, "{name}: the expiry is the creation time plus the lifespan");
    assert_eq!(listed(&found.authority), listed(&new.authority), "{name}: grants and access are unchanged");
}

/// The actions of a content token are a set, so they are compared in order.
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

pub(super) async fn unknown_digest_resolves_to_no_record<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let mut tx = begin(store).await;
    tx.insert_token(admin("known", owner)).await.expect("a token is added");
    let expected = tx.seq();
    commit(tx).await;
    for digest in [Digest::Native([7; 27]), Digest::Strapi([7; 64]), Digest::Legacy([7; 32])] {
        let snapshot = resolve(store, &digest).await;
        assert!(snapshot.record.is_none(), "an unknown digest has no record");
        assert_eq!(snapshot.seq, expected, "an absence has a sequence too");
    }
    let absent = begin(store).await.token(TokenId(i64::MAX)).await.expect("a token can be queried");
    assert!(absent.is_none(), "an absent token is none, not an error");
}

pub(super) async fn names_are_unique_in_their_scope<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let [ada, bob] = ["a@b", "c@d"].map(|email| super::fixtures::owner(email, &[]));
    let ada = tx.insert_owner(ada).await.expect("an owner is added");
    let bob = tx.insert_owner(bob).await.expect("an owner is added");
    let of = |owner, scope| NewToken { scope, ..admin("ci", owner) };
    let own = NameScope::Owner;
    let first = tx.insert_token(of(ada, own(ada))).await.expect("a token is added");
    let second = tx.insert_token(of(bob, own(bob))).await.expect("another owner's token may have the name");
    let content = NewToken {
        scope: NameScope::Ownerless,
        ..token("CI", TokenAuthority::Content { access: ContentAccess::FullAccess })
    };
    let third = tx.insert_token(content.clone()).await.expect("so may a content token");
    let found = [
        (own(ada), Some(first)),
        (own(bob), Some(second)),
        (NameScope::Ownerless, Some(third)),
        (NameScope::Installation, Some(first)),
        (own(OwnerId(i64::MAX)), None),
    ];
    for (scope, id) in found {
        assert_eq!(tx.token_with_name("Ci", scope).await.expect("names can be queried"), id, "{scope:?}");
    }
    commit(tx).await;
    for again in [of(ada, own(ada)), NewToken { digest: Digest::Native([1; 27]), ..content }] {
        let again = begin(store).await.insert_token(again).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "a name belongs to one token of a scope: {again:?}");
    }
    let mut tx = begin(store).await;
    let authority = admin("ci", bob).authority;
    tx.update_token(second, None, "kept", None, &authority, &TokenLimits::none()).await.expect("a token is changed");
    assert_eq!(tx.token_with_name("ci", own(bob)).await.expect("names can be queried"), Some(second));
    tx.update_token(second, Some(("other", own(bob))), "", None, &authority, &TokenLimits::none())
        .await
        .expect("a token is changed");
    assert_eq!(tx.token_with_name("ci", own(bob)).await.expect("names can be queried"), None);
    tx.delete_token(first).await.expect("a token is deleted");
    assert_eq!(tx.token_with_name("ci", NameScope::Installation).await.expect("names can be queried"), Some(third));
    commit(tx).await;
}

pub(super) async fn names_are_unique_except_for_sessions<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let named_session = || NewToken { name: "session".into(), ..session(owner) };
    let mut tx = begin(store).await;
    tx.insert_token(admin("admin", owner)).await.expect("an admin token is added");
    let access = ContentAccess::FullAccess;
    tx.insert_token(token("content", TokenAuthority::Content { access })).await.expect("a content token is added");
    for new in [session(owner), session(owner), named_session(), named_session()] {
        tx.insert_token(new).await.expect("names of sessions need not be unique");
    }
    for (name, taken) in
        [("admin", true), ("content", true), ("session", false), ("", false), ("ADMIN", true), ("ädmin", false)]
    {
        let answer = tx.token_with_name(name, NameScope::Installation).await.expect("names can be queried").is_some();
        assert_eq!(answer, taken, "{name:?}: only names of admin and content tokens are taken, in comparable form");
    }
    let id = tx.insert_token(admin("session", owner)).await.expect("a session's name is available");
    tx.delete_sessions(owner).await.expect("sessions are deleted");
    let taken = tx.token_with_name("session", NameScope::Installation).await.expect("names can be queried").is_some();
    assert!(taken, "deleting sessions does not free a token's name");
    tx.delete_token(id).await.expect("a token is deleted");
    let taken = tx.token_with_name("session", NameScope::Installation).await.expect("names can be queried").is_some();
    assert!(!taken, "a token that is deleted frees its name");
    commit(tx).await;
    for again in ["content", "Content", "ｃontent"] {
        let again = begin(store).await.insert_token(admin(again, owner)).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "a name belongs to one token: {again:?}");
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
    let ended = tx.delete_sessions(owner).await.expect("sessions are deleted");
    assert_eq!(ended.len(), 2, "all sessions of the owner are deleted");
    assert!(
        ended.contains(&one.digest) && ended.contains(&two.digest),
        "the digests of the deleted sessions are returned"
    );
    let again = tx.delete_sessions(owner).await.expect("a deletion of nothing succeeds");
    assert!(again.is_empty(), "no session is left to delete");
    commit(tx).await;
    for (new, there) in [(one, false), (two, false), (theirs, true), (kept, true)] {
        assert_eq!(
            resolve(store, &new.digest).await.record.is_some(),
            there,
            "only sessions of that owner are deleted"
        );
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
    store
        .note_uses(&[Use { token: id, digest: new.digest, at, address: None, tool: None }])
        .await
        .expect("uses are noted");
    let mut tx = begin(store).await;
    tx.delete_token(id).await.expect("a token is deleted");
    tx.delete_token(id).await.expect("a token may be deleted twice");
    assert!(tx.token(id).await.expect("a token can be queried").is_none(), "a token is deleted within the transaction");
    commit(tx).await;
    assert!(resolve(store, &new.digest).await.record.is_none(), "a deleted token does not resolve");
    assert!(store.last_use(id).await.expect("uses can be read").is_none(), "a deleted token has no last use");
    same(&resolve(store, &kept.digest).await.record.expect("another token is kept").token, kept_id, &kept);
}

pub(super) async fn ids_are_not_reused<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let mut tx = begin(store).await;
        let id = tx.insert_token(admin("again", owner)).await.expect("a token is added");
        assert!(seen.insert(id) && id.0 > 0, "{id}: ids are positive and not reused");
        commit(tx).await;
        let mut tx = begin(store).await;
        tx.delete_token(id).await.expect("a token is deleted");
        commit(tx).await;
    }
}

pub(super) async fn recent_tokens_are_read_in_pages<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let none = store.recent_tokens(10, None).await.expect("recent tokens can be read");
    assert!(none.records.is_empty() && none.next.is_none(), "no token was used yet");
    let mut tx = begin(store).await;
    let mut used = Vec::new();
    for i in 0..450_i64 {
        let new = match i % 3 {
            0 => admin(&format!("token {i}"), owner),
            1 => token(&format!("token {i}"), TokenAuthority::Content { access: ContentAccess::FullAccess }),
            _ => session(owner),
        };
        let id = tx.insert_token(new.clone()).await.expect("a token is added");
        // The order of uses is another one than that of ids.
        used.push((Timestamp(1_000_000 + i * 7919 % 450), id, new.digest, i % 3 == 2));
    }
    let unused = tx.insert_token(admin("unused", owner)).await.expect("a token is added");
    commit(tx).await;
    let uses: Vec<_> = used
        .iter()
        .map(|(at, token, ..)| Use {
            token: *token,
            digest: Digest::Native([0; 27]),
            at: *at,
            address: None,
            tool: None,
        })
        .collect();
    store.note_uses(&uses).await.expect("uses are noted");
    used.retain(|(.., is_session)| !is_session);
    used.sort_unstable_by_key(|(at, ..)| std::cmp::Reverse(*at));
    for tokens in [1, 250, 300, 1000] {
        let (mut ids, mut position) = (Vec::new(), None);
        loop {
            let page = store.recent_tokens(tokens, position).await.expect("recent tokens can be read");
            assert_eq!(page.seq, seq(store).await, "the sequence is that of the last change");
            for record in &page.records {
                let resolved = resolve(store, &record.token.digest).await.record.expect("a recent token resolves");
                let (token, same) = (format!("{:?}", record.token), format!("{:?}", resolved.token));
                assert_eq!(token, same, "a page has the same token as a look-up");
                assert_eq!(record.owner, resolved.owner, "a page has the same owner as a look-up");
            }
            ids.extend(page.records.iter().map(|record| record.token.id));
            position = page.next;
            if position.is_none() {
                break;
            }
        }
        assert!(!ids.contains(&unused), "an unused token is no recent one");
        assert!(ids.is_sorted(), "pages follow one another by id");
        let mut expected: Vec<_> = used.iter().take(tokens as usize).map(|(_, id, ..)| *id).collect();
        expected.sort_unstable();
        assert_eq!(ids, expected, "the {tokens} tokens that were used last, no sessions");
    }
    // A token that is used meanwhile keeps its place.
    let page = store.recent_tokens(250, None).await.expect("recent tokens can be read");
    if let Some(position) = page.next {
        let last = used[200].1;
        let now =
            Use { token: last, digest: Digest::Native([0; 27]), at: Timestamp(9_000_000), address: None, tool: None };
        store.note_uses(&[now]).await.expect("a use is noted");
        let rest = store.recent_tokens(250, Some(position)).await.expect("recent tokens can be read");
        assert_eq!(page.records.len() + rest.records.len(), 250, "no token is skipped or read twice");
    }
}

pub(super) async fn latest_use_is_kept<S: Backend>(store: &S) {
    let owner = add_owner(store).await;
    let (new, other) = (admin("used", owner), admin("other", owner));
    let mut tx = begin(store).await;
    let id = tx.insert_token(new.clone()).await.expect("a token is added");
    let other = tx.insert_token(other).await.expect("a token is added");
    commit(tx).await;
    let before = seq(store).await;
    let [v4, v6]: [IpAddr; 2] = [[192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()];
    let used = |token, at, address| Use { token, digest: new.digest, at: Timestamp(at), address, tool: None };
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
        store.note_uses(&batch).await.expect("uses are noted, absent tokens are skipped");
        let expected = expected.map(|(at, address)| (Timestamp(at), address));
        let noted = store.last_use(id).await.expect("uses can be read");
        assert_eq!(noted, expected, "{batch:?}: the later of two uses is kept, with its address");
        let record = resolve(store, &new.digest).await.record.expect("it resolves");
        assert_eq!(record.token.last_used_at, expected.map(|(at, _)| at), "a resolved token has the same last use");
    }
    for tool in [Some("publish".into()), None] {
        let used = Use { tool: tool.clone(), ..used(id, 4_000, None) };
        store.note_uses(&[used]).await.expect("uses are noted");
        let record = resolve(store, &new.digest).await.record.expect("it resolves");
        assert_eq!(record.token.last_used_tool, tool, "the tool is that of the last use");
    }
    assert!(store.last_use(other).await.expect("uses can be read").is_none(), "another token has no last use");
    assert!(store.last_use(absent).await.expect("uses can be read").is_none(), "an absent token has no last use");
    assert_eq!(seq(store).await, before, "a use does not change the sequence");
}

async fn add_owner<S: Backend>(store: &S) -> OwnerId {
    let mut tx = begin(store).await;
    let id = tx.insert_owner(owner(&format!("{}@example.org", tx.seq()), &[])).await.expect("an owner is added");
    commit(tx).await;
    id
}
