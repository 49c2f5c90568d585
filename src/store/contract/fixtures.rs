//! Records for the cases.

use super::Backend;
use crate::domain::{
    Actor, AuditAction, AuditEvent, AuditOrigin, AuditTarget, ConditionClause, Digest, Fields, Grant, HashKey,
    Metadata, OsEntropy, OwnerId, Permission, RateLimit, RoleId, SecretFormat, Tag, Timestamp, TokenAuthority, TokenId,
    TokenKind, TokenLimits, TokenPrefix,
};
use crate::store::{NameScope, NewOwner, NewRole, NewToken, Snapshot, StoredSecret, Transaction, View};
use std::time::Duration;

/// Text with quotes, placeholders, wildcards and letters outside ASCII.
pub(super) const AWKWARD: &str = r#"Ünïcödé 🦀 "quoted" 'twice' \ $1 ?1 {"a":[1]} -- ; %_ 漢字"#;

/// Every kind of event.
pub(super) const ALL_ACTIONS: [AuditAction; 31] = [
    AuditAction::OwnerCreated,
    AuditAction::OwnerInvited,
    AuditAction::OwnerInvitedAgain,
    AuditAction::InvitationWithdrawn,
    AuditAction::OwnerRegistered,
    AuditAction::OwnerUpdated,
    AuditAction::OwnerStateSet,
    AuditAction::OwnerRolesSet,
    AuditAction::PasswordSet,
    AuditAction::OwnerDeleted,
    AuditAction::RoleCreated,
    AuditAction::RoleUpdated,
    AuditAction::RolePermissionsSet,
    AuditAction::PermissionClamped,
    AuditAction::RoleDeleted,
    AuditAction::TokenIssued,
    AuditAction::TokenUpdated,
    AuditAction::TokenRegenerated,
    AuditAction::TokenRevealed,
    AuditAction::GrantClamped,
    AuditAction::TokenRevoked,
    AuditAction::TokenExpiring,
    AuditAction::TokenIdle,
    AuditAction::TokenUnused,
    AuditAction::SignedIn,
    AuditAction::SignedOut,
    AuditAction::SignInsFailed,
    AuditAction::RetentionSet,
    AuditAction::EventsDeleted,
    AuditAction::Imported,
    AuditAction::SecretLeaked,
];

/// The host program as the origin.
pub(super) fn service() -> AuditOrigin {
    AuditOrigin { actor: Actor::Service, address: None, tool: None }
}

pub(super) async fn begin<S: Backend>(store: &S) -> Box<dyn Transaction> {
    store.begin().await.expect("a transaction begins")
}

pub(super) async fn view<S: Backend>(store: &S) -> Box<dyn View> {
    store.view().await.expect("a view opens")
}

pub(super) async fn commit(tx: Box<dyn Transaction>) {
    tx.commit(&[Tag::ALL]).await.expect("a transaction commits");
}

pub(super) async fn resolve<S: Backend>(store: &S, digest: &Digest) -> Snapshot {
    store.resolve(digest).await.expect("a token is resolved")
}

pub(super) async fn seq<S: Backend>(store: &S) -> u64 {
    resolve(store, &Digest::Native([0; 27])).await.seq
}

pub(super) fn role(name: &str, permissions: Vec<Permission>) -> NewRole {
    NewRole { name: name.into(), description: format!("{name}: {AWKWARD}"), permissions }
}

pub(super) fn owner(email: &str, roles: &[RoleId]) -> NewOwner {
    NewOwner { firstname: AWKWARD.into(), roles: roles.to_vec(), ..NewOwner::new(email) }
}

/// A token with the digest of a generated secret.
pub(super) fn token(name: &str, authority: TokenAuthority) -> NewToken {
    let kind = match authority {
        TokenAuthority::Admin { .. } => TokenKind::Admin,
        TokenAuthority::Content { .. } => TokenKind::Content,
        TokenAuthority::Session { .. } => TokenKind::Session,
    };
    let (hash_key, _) = HashKey::generate().expect("there is randomness");
    let issued =
        SecretFormat::new(&TokenPrefix::default(), hash_key).issue(kind, &OsEntropy).expect("there is randomness");
    NewToken {
        name: name.into(),
        scope: NameScope::Installation,
        description: AWKWARD.into(),
        metadata: None,
        digest: issued.digest,
        hash_key: issued.hash_key,
        hint: issued.secret.hint().into(),
        lifespan: None,
        authority,
        limits: TokenLimits::none(),
        parent: None,
    }
}

pub(super) fn session(owner: OwnerId) -> NewToken {
    let idle = Duration::from_secs(1800);
    token("", TokenAuthority::Session { owner, idle })
}

pub(super) fn admin(name: &str, owner: OwnerId) -> NewToken {
    token(name, TokenAuthority::Admin { owner, grants: grants() })
}

/// With and without a resource, all and some fields, no, one and several conditions, and a duplicate.
pub(super) fn permissions() -> Vec<Permission> {
    let some = || Fields::only(["title", AWKWARD, "123", ""]).expect("there are some");
    vec![
        Permission::new("write").on("article").fields(some()),
        Permission::new("admin::webhooks.create"),
        Permission::new("read").on("article").when(ConditionClause::from_list(["admin::is-creator"])),
        Permission::new("read").on("article").fields(some()).when(ConditionClause::from_list(["b", "a", AWKWARD])),
        Permission::new(AWKWARD).on(AWKWARD),
        Permission::new("").on(""),
        Permission::new("admin::webhooks.create"),
    ]
}

/// With texts, numbers and other values, and names that a path would read as its own signs.
/// Limits of every kind.
pub(super) fn limits() -> TokenLimits {
    let networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"].map(|text| text.parse().expect("it is a network"));
    let rate = RateLimit::new(100, Duration::from_secs(60)).expect("it is a rate");
    TokenLimits::none().enabled(false).networks(networks).rate(rate).idle_expiry(Duration::from_secs(86_400))
}

/// The secret of a token that is not added.
pub(super) fn stored(new: &NewToken) -> StoredSecret {
    StoredSecret { digest: new.digest, hash_key: new.hash_key.clone(), hint: new.hint.clone() }
}

pub(super) fn metadata() -> Metadata {
    let members = serde_json::json!({
        "team": "ci", AWKWARD: AWKWARD, "": "", "$.team": "path", "a.b": "dot", "[0]": "index", "0": "digit", "\"": "quote",
        "number": 7, "flag": true, "none": null, "list": ["ci"], "object": {"team": "inner"},
    });
    members.as_object().cloned().expect("it is an object").into()
}

pub(super) fn grants() -> Vec<Grant> {
    let grant = |p: Permission| Grant { scope: p.scope, chosen: p.when, may_delegate: false };
    permissions().into_iter().map(grant).collect()
}

pub(super) fn event(what: AuditAction) -> AuditEvent {
    let target = AuditTarget::Token(TokenId(1), TokenKind::Admin);
    AuditEvent { at: Timestamp(1), origin: service(), what, target, cause: None, details: serde_json::json!({}) }
}
