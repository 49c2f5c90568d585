//! Changes and deletions of records.

use super::fixtures::{
    AWKWARD, admin, begin, commit, limits, metadata, owner, permissions, resolve, role, service, session, stored,
    token, view,
};
use super::{Backend, StoreError, Transaction};
use crate::domain::{
    Action, AuditAction, AuditCause, AuditTarget, ContentAccess, Digest, Grant, LastUse, Metadata, OwnerId,
    PasswordHash, RoleId, SealedSecret, Timestamp, TokenAuthority, TokenId, TokenKind, TokenLimits,
};
use crate::store::{NameScope, NewToken, Profile, REMEMBERED_SECRETS, Use};
use std::time::Duration;

fn conflict<T: std::fmt::Debug>(what: &str, answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Conflict(_))), "{what}: a conflict, not {answer:?}");
}

fn profile(email: &str, username: Option<&str>) -> Profile {
    let (firstname, lastname) = (AWKWARD.into(), "last".into());
    Profile { email: email.into(), firstname, lastname, username: username.map(Into::into) }
}

pub(super) async fn owners_are_changed_one_part_at_a_time<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let id = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    let other = tx.insert_owner(owner("c@d", &[])).await.expect("an owner is added");
    assert_eq!(tx.password(id).await.expect("a password can be queried"), None, "a new owner has no password");
    commit(tx).await;
    for (email, username) in [("Ä@B", Some(AWKWARD)), ("ä@b", Some("")), ("e@f", None)] {
        let mut tx = begin(store).await;
        let before = tx.owner(id).await.expect("an owner can be read").expect("it exists");
        let new = profile(email, username);
        tx.update_owner(id, &new).await.expect("an owner may change the case of the own address");
        let after = tx.owner(id).await.expect("an owner can be read").expect("it exists");
        let Profile { email, firstname, lastname, username } = new;
        assert!(after.updated_at >= before.updated_at && after.created_at == before.created_at);
        let updated_at = after.updated_at;
        let found = tx.owner_with_email(&email.to_uppercase()).await.expect("addresses can be queried");
        assert_eq!(found, Some(id), "the new address belongs to the owner");
        let found = tx.owner_with_email("a@b").await.expect("addresses can be queried");
        assert_eq!(found, None, "the old address is available");
        assert_eq!(after, crate::domain::Owner { email, firstname, lastname, username, updated_at, ..before });
        commit(tx).await;
    }
    conflict("an address that is taken", begin(store).await.update_owner(id, &profile("C@D", None)).await);
    let absent = OwnerId(i64::MAX);
    conflict("names of an absent owner", begin(store).await.update_owner(absent, &profile("x@y", None)).await);
    let hash = PasswordHash(AWKWARD.into());
    conflict("password of an absent owner", begin(store).await.set_password(absent, &hash).await);
    let mut tx = begin(store).await;
    for hash in [PasswordHash("other".into()), hash.clone()] {
        tx.set_password(id, &hash).await.expect("a password is set");
    }
    commit(tx).await;
    let mut view = view(store).await;
    assert_eq!(view.password(id).await.expect("a password can be read"), Some(hash), "the latest password is kept");
    assert_eq!(view.password(other).await.expect("a password can be queried"), None, "another owner has no password");
    assert_eq!(
        view.password(absent).await.expect("a password can be queried"),
        None,
        "an absent owner has no password"
    );
}

pub(super) async fn roles_are_changed_and_deleted_without_members<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let id = tx.insert_role(role("editor", permissions())).await.expect("a role is added");
    tx.insert_role(role("author", vec![])).await.expect("a role is added");
    let member = tx.insert_owner(owner("a@b", &[id])).await.expect("an owner is added");
    tx.update_role(id, "editor", "same name").await.expect("a role may keep its name");
    tx.update_role(id, AWKWARD, AWKWARD).await.expect("a role is renamed");
    let found = tx.role(id).await.expect("a role can be read").expect("it exists");
    assert_eq!((found.name.as_str(), found.description.as_str()), (AWKWARD, AWKWARD));
    assert_eq!(found.permissions, permissions(), "a rename keeps the permissions");
    assert_eq!(tx.role_with_name("editor").await.expect("names can be queried"), None, "the old name is available");
    commit(tx).await;
    conflict("a name that is taken", begin(store).await.update_role(id, "author", "").await);
    let none = RoleId(i64::MAX);
    conflict("no such role", begin(store).await.update_role(none, "new", "").await);
    conflict("a role with a member", begin(store).await.delete_role(id).await);
    conflict("no such role", begin(store).await.delete_role(none).await);
    conflict("the super admin role", begin(store).await.delete_role(RoleId::SUPER_ADMIN).await);
    let mut tx = begin(store).await;
    tx.set_owner_roles(member, &[]).await.expect("roles are set");
    tx.delete_role(id).await.expect("a role without members is deleted");
    assert!(tx.role(id).await.expect("a role can be queried").is_none());
    commit(tx).await;
    let again = begin(store)
        .await
        .insert_role(role(AWKWARD, permissions()))
        .await
        .expect("the name of a deleted role is available");
    assert!(again > id, "ids are not reused");
}

pub(super) async fn deleting_an_owner_cascades<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let editor = tx.insert_role(role("editor", permissions())).await.expect("a role is added");
    let id = tx.insert_owner(owner("a@b", &[editor])).await.expect("an owner is added");
    let other = tx.insert_owner(owner("c@d", &[editor])).await.expect("an owner is added");
    let (mine, signed_in, theirs) = (admin("mine", id), session(id), admin("theirs", other));
    let mut ids = Vec::new();
    for new in [&mine, &signed_in, &theirs] {
        ids.push(tx.insert_token(new.clone()).await.expect("a token is added"));
    }
    let (invited, also) = (Digest::Native([1; 27]), Digest::Native([2; 27]));
    tx.insert_invitation(id, &invited, Timestamp(5)).await.expect("an invitation is given");
    tx.insert_invitation(other, &also, Timestamp(5)).await.expect("an invitation is given");
    tx.set_password(id, &PasswordHash("hash".into())).await.expect("a password is set");
    commit(tx).await;
    conflict("an absent owner", begin(store).await.delete_owner(OwnerId(i64::MAX), &service()).await);

    let mut tx = begin(store).await;
    tx.delete_owner(id, &service()).await.expect("an owner is deleted");
    drop(tx);
    assert!(resolve(store, &mine.digest).await.record.is_some(), "an uncommitted deletion has no effect");
    assert!(store.audit_events().await.expect("events can be read").is_empty());

    let mut tx = begin(store).await;
    tx.delete_owner(id, &service()).await.expect("an owner is deleted");
    commit(tx).await;
    for (new, there) in [(&mine, false), (&signed_in, false), (&theirs, true)] {
        assert_eq!(
            resolve(store, &new.digest).await.record.is_some(),
            there,
            "only the owner's tokens and sessions are deleted"
        );
    }
    let mut tx = begin(store).await;
    assert!(tx.owner(id).await.expect("an owner can be queried").is_none());
    assert!(tx.password(id).await.expect("a password can be queried").is_none());
    assert!(tx.invitation(&invited).await.expect("an invitation can be queried").is_none());
    assert!(
        tx.invitation(&also).await.expect("an invitation can be queried").is_some(),
        "invitations of others are kept"
    );
    let found = tx.token(ids[2]).await.expect("a token can be read").expect("it exists");
    assert_eq!(found.authority, theirs.authority, "tokens of others are kept with all grants");
    let events = store.audit_events().await.expect("events can be read");
    let [event] = &events[..] else { panic!("one event for the admin token: {events:?}") };
    assert_eq!((event.what, event.target), (AuditAction::TokenRevoked, AuditTarget::Token(ids[0], TokenKind::Admin)));
    assert_eq!((event.cause, &event.origin), (Some(AuditCause::OwnerDeleted(id)), &service()));
    let again = tx.insert_owner(owner("A@B", &[])).await.expect("the address of a deleted owner is available");
    assert!(again > other, "ids are not reused");
    tx.insert_token(admin("mine", again)).await.expect("the name of a deleted token is available");
}

pub(super) async fn new_invitation_replaces_the_old_one<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let id = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    let other = tx.insert_owner(owner("c@d", &[])).await.expect("an owner is added");
    let [old, new, theirs] = [1, 2, 3].map(|n| Digest::Native([n; 27]));
    for (id, digest, ends) in [(id, old, 10), (other, theirs, 20), (id, new, 30), (id, new, 40)] {
        tx.insert_invitation(id, &digest, Timestamp(ends)).await.expect("an invitation is given");
    }
    commit(tx).await;
    let mut tx = begin(store).await;
    let expected = [(old, None), (new, Some((id, Timestamp(40)))), (theirs, Some((other, Timestamp(20))))];
    for (digest, invitation) in expected {
        let found = tx.invitation(&digest).await.expect("an invitation can be queried");
        assert_eq!(found, invitation, "only the newest invitation of each owner is valid");
    }
    assert_eq!(tx.delete_invitations(id).await.expect("invitations are deleted"), 1);
    assert_eq!(tx.delete_invitations(id).await.expect("a deletion of nothing succeeds"), 0);
    assert!(tx.invitation(&new).await.expect("an invitation can be queried").is_none());
    commit(tx).await;
    let absent = OwnerId(i64::MAX);
    conflict(
        "an invitation of an absent owner",
        begin(store).await.insert_invitation(absent, &old, Timestamp(1)).await,
    );
    conflict(
        "the digest of another owner's invitation",
        begin(store).await.insert_invitation(id, &theirs, Timestamp(1)).await,
    );
}

pub(super) async fn tokens_are_changed_within_their_kind<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let id = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    let other = tx.insert_owner(owner("c@d", &[])).await.expect("an owner is added");
    let content = |access| TokenAuthority::Content { access };
    let custom = ContentAccess::Custom([Action::new("a"), Action::new("b")].into());
    let (first, second) = (admin("first", id), token("second", content(custom)));
    let of_admin = tx.insert_token(first.clone()).await.expect("a token is added");
    let of_content = tx.insert_token(second.clone()).await.expect("a token is added");
    commit(tx).await;
    let grants = |n| (0..n).map(|i| Grant::new(format!("action {i}"))).collect();
    for (token, name, authority) in [
        (of_admin, "first", TokenAuthority::Admin { owner: id, grants: grants(30) }),
        (of_admin, AWKWARD, TokenAuthority::Admin { owner: id, grants: grants(0) }),
        (of_admin, "third", first.authority.clone()),
        (of_content, "second", content(ContentAccess::Custom([Action::new("b")].into()))),
        (of_content, "first", content(ContentAccess::ReadOnly)),
        (of_content, "second", second.authority.clone()),
    ] {
        let mut tx = begin(store).await;
        let before = tx.token(token).await.expect("a token can be read").expect("it exists");
        // Each token gets metadata, other metadata, and none.
        let metadata = match name {
            "first" => Some(metadata()),
            "second" => Some(Metadata::from_iter([])),
            _ => None,
        };
        let limits = if name == "first" { limits() } else { TokenLimits::none() };
        tx.update_token(token, Some((name, NameScope::Installation)), AWKWARD, metadata.as_ref(), &authority, &limits)
            .await
            .expect("a token is changed");
        let found = tx.token(token).await.expect("a token can be read").expect("it exists");
        assert_eq!((found.name.as_str(), found.description.as_str()), (name, AWKWARD));
        assert!(found.metadata == metadata, "{name}: the new metadata replaces the old");
        assert_eq!(found.limits, limits, "{name}: the new limits replace the old");
        assert_eq!(found.authority, authority, "the new list replaces the old one");
        assert!(found.digest == before.digest && found.created_at == before.created_at, "other columns are kept");
        assert!(found.updated_at >= before.updated_at);
        assert_eq!(tx.token_with_name(name, NameScope::Installation).await.expect("names can be queried"), Some(token));
        commit(tx).await;
    }
    let refused = async |what, token, name, authority: TokenAuthority| {
        let (name, limits) = (Some((name, NameScope::Installation)), TokenLimits::none());
        conflict(what, begin(store).await.update_token(token, name, "", None, &authority, &limits).await);
    };
    let of = |owner| TokenAuthority::Admin { owner, grants: vec![] };
    refused("a name that is taken", of_admin, "second", of(id)).await;
    refused("another owner", of_admin, "third", of(other)).await;
    refused("another kind", of_admin, "third", content(ContentAccess::ReadOnly)).await;
    refused("no such token", TokenId(i64::MAX), "new", of(id)).await;
}

pub(super) async fn new_secret_replaces_the_old_one<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let owner = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    let old = NewToken { lifespan: Some(Duration::from_secs(60)), ..admin("token", owner) };
    let (new, other) = (admin("new", owner), admin("other", owner));
    let id = tx.insert_token(old.clone()).await.expect("a token is added");
    let before = tx.token(id).await.expect("a token can be read").expect("it exists");
    let its = tx.insert_token(other.clone()).await.expect("a token is added");
    assert_eq!(tx.sealed_secret(id).await.expect("the query succeeds"), None, "a new token has no sealed secret");
    let sealed = SealedSecret { key: "2026".into(), text: "00ff".into() };
    for id in [id, its] {
        tx.seal_secret(id, &sealed).await.expect("a secret is sealed");
        assert_eq!(tx.sealed_secret(id).await.expect("it can be read"), Some(sealed.clone()));
    }
    commit(tx).await;
    let address = "192.0.2.7".parse().ok();
    let used = |digest, at| Use { token: id, digest, at: Timestamp(at), address, tool: None };
    store.note_uses(&[used(old.digest, 7)]).await.expect("uses are noted");
    let mut tx = begin(store).await;
    let ends = tx.now().plus(Duration::from_secs(3600));
    tx.replace_secret(id, &stored(&new), ends).await.expect("a secret is replaced");
    assert_eq!(
        tx.sealed_secret(id).await.expect("the query succeeds"),
        None,
        "the sealed copy of the old secret is deleted"
    );
    assert_eq!(
        tx.sealed_secret(its).await.expect("it can be read"),
        Some(sealed.clone()),
        "sealed secrets of other tokens are kept"
    );
    commit(tx).await;
    for secret in [&old, &new] {
        let found = resolve(store, &secret.digest).await.record.expect("both secrets resolve").token;
        assert_eq!((found.id, found.hint.as_str(), found.name.as_str()), (id, new.hint.as_str(), "token"));
        assert!(found.digest == new.digest, "the new secret is the present one");
        assert_eq!((found.expires_at, found.lifespan), (before.expires_at, old.lifespan), "the expiry is kept");
        assert_eq!(found.last_used_at, Some(Timestamp(7)), "its last use is kept");
        assert_eq!(found.secret_used, None, "the new secret was not used");
        let previous = found.previous.expect("the old secret is the previous one");
        assert!(previous.digest == old.digest && previous.hint == old.hint);
        assert_eq!((previous.ends_at, previous.used), (ends, Some(LastUse { at: Timestamp(7), address })));
    }
    // Each secret has its own last use, whichever was the later one.
    for (batch, token, present, former) in [
        (&[used(new.digest, 9), used(old.digest, 8)][..], 9, 9, 8),
        (&[used(new.digest, 11), used(old.digest, 12)], 12, 11, 12),
        // Of another node, which is late.
        (&[used(new.digest, 10), used(old.digest, 10)], 12, 11, 12),
        (&[used(new.digest, 12)], 12, 12, 12),
    ] {
        store.note_uses(batch).await.expect("uses are noted");
        let found = resolve(store, &new.digest).await.record.expect("it resolves").token;
        assert_eq!(found.last_used_at, Some(Timestamp(token)));
        assert_eq!(found.secret_used, Some(LastUse { at: Timestamp(present), address }));
        assert_eq!(found.previous.and_then(|p| p.used), Some(LastUse { at: Timestamp(former), address }));
    }
    // A third secret ends the first.
    let third = admin("third", owner);
    let mut tx = begin(store).await;
    let now = tx.now();
    tx.replace_secret(id, &stored(&third), ends).await.expect("a secret is replaced");
    commit(tx).await;
    let found = resolve(store, &old.digest).await.record.expect("it is remembered").token;
    assert!(found.digest == third.digest && found.previous.is_some_and(|p| p.digest == new.digest));
    let mut tx = begin(store).await;
    tx.end_previous_secret(id).await.expect("a secret is ended");
    commit(tx).await;
    assert!(resolve(store, &new.digest).await.record.is_some_and(|r| r.token.previous.is_none() && r.now >= now));
    // The last ones are remembered, and not more.
    for n in 0..REMEMBERED_SECRETS {
        let mut tx = begin(store).await;
        let next = admin(&format!("next {n}"), owner);
        let now = tx.now();
        tx.replace_secret(id, &stored(&next), now).await.expect("a secret is replaced");
        commit(tx).await;
    }
    assert!(resolve(store, &old.digest).await.record.is_none() && resolve(store, &new.digest).await.record.is_none());
    assert!(resolve(store, &third.digest).await.record.is_some(), "the last ones are remembered");
    let mut tx = begin(store).await;
    tx.seal_secret(its, &SealedSecret { text: "ff".into(), ..sealed.clone() }).await.expect("it is replaced");
    tx.delete_token(its).await.expect("a token is deleted");
    assert_eq!(
        tx.sealed_secret(its).await.expect("the query succeeds"),
        None,
        "a sealed secret is deleted with its token"
    );
    drop(tx);
    let absent = TokenId(i64::MAX);
    conflict("no such token", begin(store).await.seal_secret(absent, &sealed).await);
    conflict("no such token", begin(store).await.replace_secret(absent, &stored(&old), Timestamp(0)).await);
    conflict("the digest of another token", begin(store).await.replace_secret(id, &stored(&other), Timestamp(0)).await);
}

pub(super) async fn expired_sessions_are_deleted<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let id = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    let with_lifespan =
        |ms: i64, new: NewToken| NewToken { lifespan: Some(Duration::from_millis(ms.unsigned_abs())), ..new };
    let (short, long, endless) = (with_lifespan(0, session(id)), with_lifespan(3_600_000, session(id)), session(id));
    let token = with_lifespan(0, admin("ended", id));
    for new in [&short, &long, &endless, &token] {
        tx.insert_token(new.clone()).await.expect("a token is added");
    }
    commit(tx).await;
    let mut tx = begin(store).await;
    let start = tx.now();
    // Waits for the next millisecond of the store's clock, which cannot be set here.
    while tx.now() <= start {
        drop(tx);
        tokio::task::yield_now().await;
        tx = begin(store).await;
    }
    assert_eq!(tx.delete_ended_sessions().await.expect("expired sessions are deleted"), 1, "one session has expired");
    commit(tx).await;
    for (new, there) in [(short, false), (long, true), (endless, true), (token, true)] {
        assert_eq!(resolve(store, &new.digest).await.record.is_some(), there, "only expired sessions are deleted");
    }
}

pub(super) async fn dropped_transactions_change_nothing<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let id = tx.insert_owner(owner("a@b", &[])).await.expect("an owner is added");
    let old = admin("token", id);
    let token = tx.insert_token(old.clone()).await.expect("a token is added");
    commit(tx).await;
    let mut tx: Box<dyn Transaction> = begin(store).await;
    tx.update_owner(id, &profile("new@b", None)).await.expect("an owner is changed");
    tx.set_password(id, &PasswordHash("hash".into())).await.expect("a password is set");
    let digest = Digest::Native([9; 27]);
    tx.insert_invitation(id, &digest, Timestamp(1)).await.expect("an invitation is given");
    tx.seal_secret(token, &SealedSecret { key: "k".into(), text: "00".into() }).await.expect("a secret is sealed");
    let none = TokenAuthority::Admin { owner: id, grants: vec![] };
    tx.update_token(token, Some(("renamed", NameScope::Installation)), "", None, &none, &TokenLimits::none())
        .await
        .expect("a token is changed");
    drop(tx);
    let mut view = view(store).await;
    assert_eq!(view.owner_with_email("a@b").await.expect("addresses can be queried"), Some(id));
    assert_eq!(view.owner_with_email("new@b").await.expect("addresses can be queried"), None);
    assert!(view.password(id).await.expect("the query succeeds").is_none());
    assert!(view.invitation(&digest).await.expect("the query succeeds").is_none());
    assert!(view.sealed_secret(token).await.expect("the query succeeds").is_none());
    assert_eq!(view.token_with_name("renamed", NameScope::Installation).await.expect("names can be queried"), None);
    let found = view.token(token).await.expect("a token can be read").expect("it exists");
    assert_eq!(found.authority, old.authority);
}
