//! Every mutating method of the unit of work, against a table of the tags and events that each mutation of the store takes.
//!
//! A recording transaction notes the mutations that a method makes, and the tags with which it commits. The table below is written down
//! independently of the methods: a method that mutates without invalidating or without an event fails.

use super::*;
use crate::admin::preview::{delegate, delegate_reads};
use crate::admin::tokens::new_token;
use crate::domain::*;
use crate::keyward::Keyward;
use crate::resolve::{Incident, IncidentKind};
use crate::store::*;
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

/// A mutation of the store, with the ids and digests that decide about its tags.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Mutation {
    InsertRole(RoleId),
    UpdateRole,
    SetPermissions(RoleId),
    DeleteRole(RoleId),
    InsertOwner(OwnerId),
    UpdateOwner(OwnerId),
    SetOwnerState(OwnerId),
    SetOwnerRoles(OwnerId),
    SetPassword,
    DeleteOwner(OwnerId),
    InsertInvitation,
    DeleteInvitations,
    InsertToken(Digest),
    UpdateToken(Digest),
    ReplaceSecret(Digest, Digest),
    EndPreviousSecret(Option<Digest>),
    SetExpiry(Digest),
    SealSecret,
    DeleteToken(Digest),
    DeleteSessions(Vec<Digest>),
    DeleteEndedSessions,
    ClampMembers(RoleId),
    ClampOwner(OwnerId),
    ClampUnknown { deleted: bool },
    DeleteEvents,
    SetLease,
    AddNotices,
    RememberImported,
    BackdateOwner(OwnerId),
    BackdateToken(Digest),
    SetKeyCheck,
    RevokeTokens(Vec<Tag>),
}

impl Mutation {
    /// Returns the tags without which a stale principal would stay in caches.
    fn required_tags(&self) -> Vec<Tag> {
        match self {
            Self::InsertRole(id) | Self::SetPermissions(id) | Self::DeleteRole(id) | Self::ClampMembers(id) => {
                vec![Tag::role(*id)]
            }
            Self::InsertOwner(id)
            | Self::UpdateOwner(id)
            | Self::SetOwnerState(id)
            | Self::SetOwnerRoles(id)
            | Self::DeleteOwner(id)
            | Self::BackdateOwner(id)
            | Self::ClampOwner(id) => vec![Tag::owner(*id)],
            Self::InsertToken(digest)
            | Self::UpdateToken(digest)
            | Self::DeleteToken(digest)
            | Self::BackdateToken(digest) => vec![Tag::token(digest)],
            Self::ReplaceSecret(old, new) => vec![Tag::token(old), Tag::token(new)],
            Self::EndPreviousSecret(previous) => previous.iter().map(Tag::token).collect(),
            Self::SetExpiry(digest) => vec![Tag::token(digest)],
            Self::DeleteSessions(digests) => digests.iter().map(Tag::token).collect(),
            Self::ClampUnknown { deleted: true } => vec![Tag::ALL],
            Self::RevokeTokens(tags) => tags.clone(),
            // Principals hold none of these.
            Self::UpdateRole
            | Self::SetPassword
            | Self::InsertInvitation
            | Self::DeleteInvitations
            | Self::SealSecret
            | Self::ClampUnknown { deleted: false }
            | Self::DeleteEvents
            | Self::SetLease
            | Self::AddNotices
            | Self::RememberImported
            | Self::SetKeyCheck => Vec::new(),
            // Expired sessions are rejected, cached or not.
            Self::DeleteEndedSessions => Vec::new(),
        }
    }

    /// Returns the events of which one is required; none, if the mutation needs no event of its own.
    fn required_events(&self) -> &'static [AuditAction] {
        match self {
            Self::InsertRole(_) => &[AuditAction::RoleCreated],
            Self::UpdateRole => &[AuditAction::RoleUpdated],
            Self::SetPermissions(_) => &[AuditAction::RolePermissionsSet],
            Self::DeleteRole(_) => &[AuditAction::RoleDeleted],
            Self::InsertOwner(_) => &[AuditAction::OwnerCreated, AuditAction::OwnerInvited],
            Self::UpdateOwner(_) => &[AuditAction::OwnerUpdated, AuditAction::OwnerRegistered],
            Self::SetOwnerState(_) => &[AuditAction::OwnerStateSet, AuditAction::OwnerRegistered],
            Self::SetOwnerRoles(_) => &[AuditAction::OwnerRolesSet],
            Self::SetPassword => &[
                AuditAction::PasswordSet,
                AuditAction::OwnerCreated,
                AuditAction::OwnerRegistered,
                AuditAction::SignedIn,
            ],
            Self::DeleteOwner(_) => &[AuditAction::OwnerDeleted],
            Self::InsertInvitation => &[AuditAction::OwnerInvited, AuditAction::OwnerInvitedAgain],
            Self::DeleteInvitations => &[
                AuditAction::InvitationWithdrawn,
                AuditAction::OwnerUpdated,
                AuditAction::OwnerStateSet,
                AuditAction::OwnerRegistered,
            ],
            // A session opened by registration is covered by the event of the registration.
            Self::InsertToken(_) => &[
                AuditAction::TokenIssued,
                AuditAction::SignedIn,
                AuditAction::OwnerRegistered,
                AuditAction::OwnerCreated,
            ],
            Self::UpdateToken(_) => &[AuditAction::TokenUpdated, AuditAction::GrantClamped],
            Self::ReplaceSecret(..) | Self::SetExpiry(_) => &[AuditAction::TokenRegenerated],
            Self::EndPreviousSecret(_) => &[AuditAction::TokenGraceEnded],
            Self::DeleteToken(_) => &[AuditAction::TokenRevoked, AuditAction::SignedOut],
            Self::DeleteSessions(_) => &[
                AuditAction::PasswordSet,
                AuditAction::OwnerUpdated,
                AuditAction::OwnerStateSet,
                AuditAction::OwnerDeleted,
            ],
            Self::DeleteEvents => &[AuditAction::EventsDeleted],
            // It says which node works, and is no data.
            Self::SetLease => &[],
            Self::AddNotices => &[AuditAction::TokenExpiring, AuditAction::TokenIdle, AuditAction::TokenUnused],
            Self::RememberImported => &[AuditAction::RoleCreated, AuditAction::OwnerCreated, AuditAction::TokenIssued],
            Self::BackdateOwner(_) => &[AuditAction::OwnerCreated],
            Self::BackdateToken(_) => &[AuditAction::TokenIssued],
            // The store adds the events of a clamp itself.
            Self::ClampMembers(_) | Self::ClampOwner(_) | Self::ClampUnknown { .. } => &[],
            // And those of tokens that are revoked together.
            Self::RevokeTokens(_) => &[],
            // Part of issuing or regenerating, which have events.
            Self::SealSecret => &[AuditAction::TokenIssued, AuditAction::TokenRegenerated],
            // The end of a session needs no event where it expired.
            Self::DeleteEndedSessions => &[],
            Self::SetKeyCheck => &[],
        }
    }

    fn name(&self) -> String {
        format!("{self:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
    }
}

/// The mutations, events and tags of one committed transaction.
#[derive(Clone, Default, Debug)]
struct Committed {
    mutations: Vec<Mutation>,
    events: Vec<AuditAction>,
    tags: Vec<Tag>,
}

/// A memory store that records what is committed.
#[derive(Clone, Default)]
struct RecordingStore {
    inner: MemoryStore,
    committed: Arc<Mutex<Vec<Committed>>>,
}

struct RecordingTransaction {
    tx: Box<dyn Transaction>,
    recorded: Committed,
    committed: Arc<Mutex<Vec<Committed>>>,
}

impl RecordingTransaction {
    fn note(&mut self, mutation: Mutation) {
        self.recorded.mutations.push(mutation);
    }

    async fn digest_of(&mut self, id: TokenId) -> Digest {
        self.tx.token(id).await.unwrap().unwrap().digest
    }
}

#[async_trait]
impl Store for RecordingStore {
    async fn resolve(&self, digest: &Digest) -> Result<Snapshot, StoreError> {
        self.inner.resolve(digest).await
    }

    async fn note_uses(&self, uses: &[Use]) -> Result<(), StoreError> {
        self.inner.note_uses(uses).await
    }

    fn following(&self) -> Following {
        self.inner.following()
    }

    async fn key_checks(&self) -> Result<Option<Vec<KeyCheck>>, StoreError> {
        Store::key_checks(&self.inner).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl WriteStore for RecordingStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let tx = self.inner.begin().await?;
        let (recorded, committed) = (Committed::default(), self.committed.clone());
        Ok(Box::new(RecordingTransaction { tx, recorded, committed }))
    }

    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }

    async fn sign_in_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, StoreError> {
        self.inner.sign_in_candidate(email).await
    }
}

delegate_reads!(RecordingTransaction.tx);

#[async_trait]
impl WriteRoles for RecordingTransaction {
    async fn insert_role(&mut self, role: NewRole) -> Result<RoleId, StoreError> {
        let id = self.tx.insert_role(role).await?;
        self.note(Mutation::InsertRole(id));
        Ok(id)
    }

    async fn update_role(&mut self, id: RoleId, name: &str, description: &str) -> Result<(), StoreError> {
        self.note(Mutation::UpdateRole);
        self.tx.update_role(id, name, description).await
    }

    async fn set_permissions(&mut self, id: RoleId, permissions: &[Permission]) -> Result<(), StoreError> {
        self.note(Mutation::SetPermissions(id));
        self.tx.set_permissions(id, permissions).await
    }

    async fn delete_role(&mut self, id: RoleId) -> Result<(), StoreError> {
        self.note(Mutation::DeleteRole(id));
        self.tx.delete_role(id).await
    }
}

#[async_trait]
impl WriteAccounts for RecordingTransaction {
    async fn insert_owner(&mut self, owner: NewOwner) -> Result<OwnerId, StoreError> {
        let id = self.tx.insert_owner(owner).await?;
        self.note(Mutation::InsertOwner(id));
        Ok(id)
    }

    async fn update_owner(&mut self, id: OwnerId, profile: &Profile) -> Result<(), StoreError> {
        self.note(Mutation::UpdateOwner(id));
        self.tx.update_owner(id, profile).await
    }

    async fn set_owner_state(&mut self, id: OwnerId, state: OwnerState) -> Result<(), StoreError> {
        self.note(Mutation::SetOwnerState(id));
        self.tx.set_owner_state(id, state).await
    }

    async fn set_owner_roles(&mut self, id: OwnerId, roles: &[RoleId]) -> Result<(), StoreError> {
        self.note(Mutation::SetOwnerRoles(id));
        self.tx.set_owner_roles(id, roles).await
    }

    async fn set_password(&mut self, id: OwnerId, password: &PasswordHash) -> Result<(), StoreError> {
        self.note(Mutation::SetPassword);
        self.tx.set_password(id, password).await
    }

    async fn delete_owner(&mut self, id: OwnerId, origin: &AuditOrigin) -> Result<(), StoreError> {
        self.note(Mutation::DeleteOwner(id));
        self.tx.delete_owner(id, origin).await
    }

    async fn insert_invitation(&mut self, id: OwnerId, digest: &Digest, ends: Timestamp) -> Result<(), StoreError> {
        self.note(Mutation::InsertInvitation);
        self.tx.insert_invitation(id, digest, ends).await
    }

    async fn delete_invitations(&mut self, id: OwnerId) -> Result<u64, StoreError> {
        let deleted = self.tx.delete_invitations(id).await?;
        if deleted > 0 {
            self.note(Mutation::DeleteInvitations);
        }
        Ok(deleted)
    }
}

#[async_trait]
impl WriteTokens for RecordingTransaction {
    async fn insert_token(&mut self, token: NewToken) -> Result<TokenId, StoreError> {
        self.note(Mutation::InsertToken(token.digest));
        self.tx.insert_token(token).await
    }

    async fn update_token(
        &mut self,
        id: TokenId,
        name: Option<(&str, NameScope)>,
        description: &str,
        metadata: Option<&Metadata>,
        authority: &TokenAuthority,
        limits: &TokenLimits,
    ) -> Result<(), StoreError> {
        let digest = self.digest_of(id).await;
        self.note(Mutation::UpdateToken(digest));
        self.tx.update_token(id, name, description, metadata, authority, limits).await
    }

    async fn replace_secret(&mut self, id: TokenId, new: &StoredSecret, ends: Timestamp) -> Result<(), StoreError> {
        let old = self.digest_of(id).await;
        self.note(Mutation::ReplaceSecret(old, new.digest));
        self.tx.replace_secret(id, new, ends).await
    }

    async fn end_previous_secret(&mut self, id: TokenId) -> Result<(), StoreError> {
        let previous = self.tx.token(id).await?.and_then(|token| token.previous).map(|previous| previous.digest);
        self.note(Mutation::EndPreviousSecret(previous));
        self.tx.end_previous_secret(id).await
    }

    async fn set_expiry(&mut self, id: TokenId, expires_at: Timestamp) -> Result<(), StoreError> {
        let digest = self.digest_of(id).await;
        self.note(Mutation::SetExpiry(digest));
        self.tx.set_expiry(id, expires_at).await
    }

    async fn seal_secret(&mut self, id: TokenId, sealed: &SealedSecret) -> Result<(), StoreError> {
        self.note(Mutation::SealSecret);
        self.tx.seal_secret(id, sealed).await
    }

    async fn delete_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        let digest = self.digest_of(id).await;
        self.note(Mutation::DeleteToken(digest));
        self.tx.delete_token(id).await
    }

    async fn delete_sessions(&mut self, id: OwnerId) -> Result<Vec<Digest>, StoreError> {
        let digests = self.tx.delete_sessions(id).await?;
        self.note(Mutation::DeleteSessions(digests.clone()));
        Ok(digests)
    }

    async fn delete_ended_sessions(&mut self) -> Result<u64, StoreError> {
        self.note(Mutation::DeleteEndedSessions);
        self.tx.delete_ended_sessions().await
    }

    async fn clamp(
        &mut self,
        clamp: Clamp<'_>,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        let clamped = self.tx.clamp(clamp, origin, cause).await?;
        let mutation = match clamp {
            Clamp::Members(id) => Mutation::ClampMembers(id),
            Clamp::Owner(id) => Mutation::ClampOwner(id),
            Clamp::Unknown(_) => Mutation::ClampUnknown { deleted: clamped != Clamped::default() },
            Clamp::Listed(places) => {
                let owner = self.tx.token(places[0].0).await?.and_then(|token| token.owner());
                Mutation::ClampOwner(owner.expect("admin tokens have owners"))
            }
        };
        self.note(mutation);
        Ok(clamped)
    }

    async fn revoke_tokens(
        &mut self,
        ids: &[TokenId],
        origin: &AuditOrigin,
        selection: &str,
    ) -> Result<(), StoreError> {
        let mut tags = Vec::new();
        for id in ids {
            tags.push(Tag::token(&self.digest_of(*id).await));
        }
        self.note(Mutation::RevokeTokens(tags));
        self.tx.revoke_tokens(ids, origin, selection).await
    }
}

#[async_trait]
impl WriteAudit for RecordingTransaction {
    async fn audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.recorded.events.push(event.what);
        self.tx.audit(event).await
    }

    async fn delete_events(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.note(Mutation::DeleteEvents);
        self.tx.delete_events(before).await
    }
}

#[async_trait]
impl WriteNotices for RecordingTransaction {
    async fn set_lease(&mut self, name: &str, lease: &Lease) -> Result<(), StoreError> {
        self.note(Mutation::SetLease);
        self.tx.set_lease(name, lease).await
    }

    async fn add_notices(&mut self, due: &[Notice]) -> Result<Vec<Notice>, StoreError> {
        self.note(Mutation::AddNotices);
        self.tx.add_notices(due).await
    }
}

#[async_trait]
impl WriteImports for RecordingTransaction {
    async fn remember_imported(&mut self, source: &str, key: &str, what: Imported) -> Result<(), StoreError> {
        self.note(Mutation::RememberImported);
        self.tx.remember_imported(source, key, what).await
    }

    async fn backdate_owner(&mut self, id: OwnerId, created_at: Timestamp) -> Result<(), StoreError> {
        self.note(Mutation::BackdateOwner(id));
        self.tx.backdate_owner(id, created_at).await
    }

    async fn backdate_token(&mut self, id: TokenId, times: TokenTimes) -> Result<(), StoreError> {
        let digest = self.digest_of(id).await;
        self.note(Mutation::BackdateToken(digest));
        self.tx.backdate_token(id, times).await
    }
}

delegate! { RecordingTransaction.tx: }

#[async_trait]
impl WriteKeys for RecordingTransaction {
    async fn set_key_check(&mut self, check: &KeyCheck) -> Result<(), StoreError> {
        self.note(Mutation::SetKeyCheck);
        self.tx.set_key_check(check).await
    }
}

#[async_trait]
impl Transaction for RecordingTransaction {
    fn seq(&self) -> u64 {
        self.tx.seq()
    }

    fn op_id(&self) -> Option<&str> {
        self.tx.op_id()
    }

    async fn commit(self: Box<Self>, tags: &[Tag]) -> Result<(), StoreError> {
        let Self { tx, mut recorded, committed } = *self;
        tx.commit(tags).await?;
        recorded.tags = tags.to_vec();
        committed.lock().unwrap().push(recorded);
        Ok(())
    }
}

/// A host that has every account, active and without limit.
struct AnyAccount;

#[async_trait]
impl crate::resolve::Accounts for AnyAccount {
    async fn account(&self, _: &AccountKey) -> Result<Option<Account>, crate::resolve::AccountsError> {
        Ok(Some(Account::new("Any").unlimited()))
    }
}

/// An installation with an owner "ada" who has a role, a token and a session, and an invited owner "bob".
struct World {
    store: RecordingStore,
    keyward: Keyward,
    role: Role,
    ada: Owner,
    bob: Owner,
    token: Token,
    session: Token,
}

impl World {
    async fn new() -> Self {
        let store = RecordingStore::default();
        let hash_key = HashKey::generate().unwrap().0;
        let encryption = EncryptionKeys::parse("2026:Zp0Qx81vHn7RsYw2Lm5Kc9Tj3Ga6Fd4b").unwrap();
        let keyward = Keyward::builder(store.clone()).hash_key(hash_key).encryption(encryption).admin("/admin");
        let keyward = keyward.accounts(AnyAccount);
        let keyward = keyward.build().unwrap();
        let role = keyward.roles().create(NewRole::new("Reader").permissions(["read", "write"])).await.unwrap();
        let ada = keyward.owners().create(NewOwner::new("ada@x.test").roles([role.id])).await.unwrap();
        let bob = keyward.owners().invite(NewOwner::new("bob@x.test")).await.unwrap().owner;
        let new = crate::admin::NewAdminToken::new("ci", ada.id).grants([Grant::new("read")]);
        let token = keyward.tokens().issue_admin(new).await.unwrap().token;
        let hour = Duration::from_secs(3_600);
        let new = crate::admin::NewSession { owner: ada.id, idle: hour, lifespan: hour };
        let session = keyward.tokens().open_session(new).await.unwrap().token;
        store.committed.lock().unwrap().clear();
        Self { store, keyward, role, ada, bob, token, session }
    }

    fn issue(&self, kind: TokenKind) -> NewSecret {
        ServiceContext::new(self.keyward.store().clone(), self.keyward.admin_state().clone()).issue(kind).unwrap()
    }

    fn digest(&self) -> Digest {
        self.keyward.admin_state().format.issue_invitation(&OsEntropy).unwrap().digest
    }
}

/// Runs one method in a world of its own, checks what it commits, and returns the names of its mutations.
macro_rules! check {
    ($seen:ident, $methods:ident, $method:ident, |$world:ident, $unit:ident| $call:expr) => {{
        let $world = World::new().await;
        let (store, keyward) = ($world.store.clone(), $world.keyward.clone());
        let context = ServiceContext::new(keyward.store().clone(), keyward.admin_state().clone());
        let done = context.transact(move |$unit| {
            Box::pin(async move {
                $call?;
                Ok(())
            })
        });
        done.await.unwrap();
        let committed = store.committed.lock().unwrap().pop().expect("a commit");
        check_committed(stringify!($method), &committed);
        $seen.extend(committed.mutations.iter().map(Mutation::name));
        assert!($methods.insert(stringify!($method)), "one case for each method");
    }};
}

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Issues a token that the world's token makes.
async fn child(world: &World, unit: &mut UnitOfWork<'_>) -> Result<Token, ServiceError> {
    let authority = TokenAuthority::Admin { owner: world.ada.id, grants: Vec::new() };
    let issued = world.issue(TokenKind::Admin);
    let (new, secret) = new_token(issued, "child".into(), String::new(), Some(2 * HOUR), authority);
    unit.issue_token(NewToken { parent: Some((world.token.id, world.token.digest)), ..new }, &secret).await
}

fn check_committed(method: &str, committed: &Committed) {
    for mutation in &committed.mutations {
        for tag in mutation.required_tags() {
            assert!(committed.tags.contains(&tag), "{method}: {mutation:?} takes {tag:?}: {committed:?}");
        }
        let events = mutation.required_events();
        let has_event = events.is_empty() || events.iter().any(|event| committed.events.contains(event));
        assert!(has_event, "{method}: {mutation:?} takes one of {events:?}: {committed:?}");
    }
}

/// Returns the names of the methods that mutate, from the sources: so that none is left out below.
fn mutating_methods() -> BTreeSet<&'static str> {
    let sources = [
        include_str!("accounts.rs"),
        include_str!("host_accounts.rs"),
        include_str!("imports.rs"),
        include_str!("installation.rs"),
        #[cfg(feature = "secret-scanning")]
        include_str!("leaks.rs"),
        include_str!("revoke_all.rs"),
        include_str!("notices.rs"),
        include_str!("roles.rs"),
        include_str!("sessions.rs"),
        include_str!("tokens.rs"),
    ];
    let methods = sources.iter().flat_map(|source| source.split("pub(in crate::admin) async fn ").skip(1));
    let names = methods.map(|rest| rest.split(['(', '<']).next().unwrap());
    // Reports are no data: they are about to be handled, or are. Expired tokens are rejected, cached or not, and their end has
    // no event.
    let others = [
        "sweep_children",
        "load_owner",
        "ensure_available",
        "ensure_not_adopted",
        "load_account",
        "manages",
        "manages_account",
        "delete_account_reports",
        "was_adopted",
    ];
    names.filter(|name| !others.contains(name)).collect()
}

#[tokio::test]
async fn every_mutation_commits_its_tags_and_its_event() {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut methods = BTreeSet::new();
    let hash = || PasswordHash("$argon2id$".into());
    let profile =
        |email: &str| Profile { email: email.into(), firstname: "F".into(), lastname: "L".into(), username: None };
    let content = |issued: NewSecret| {
        let authority = TokenAuthority::Content { access: ContentAccess::ReadOnly };
        new_token(issued, "new".into(), String::new(), None, authority)
    };

    check!(seen, methods, create_role, |world, unit| { unit.create_role(NewRole::new("New")).await });
    check!(seen, methods, describe_role, |world, unit| unit.describe_role(&world.role, "Other", "").await);
    check!(seen, methods, set_role_permissions, |world, unit| unit
        .set_role_permissions(&world.role, &["write".into()])
        .await);
    check!(seen, methods, rename_role_permissions, |world, unit| unit
        .rename_role_permissions(&world.role, &["look".into()])
        .await);
    check!(seen, methods, delete_role, |world, unit| {
        unit.set_owner_roles(&world.ada, &[]).await?;
        unit.delete_role(&world.role).await
    });

    check!(seen, methods, create_owner, |world, unit| {
        unit.create_owner(NewOwner::new("new@x.test"), |_, _| Ok(())).await
    });
    check!(seen, methods, invite_owner, |world, unit| unit
        .invite_owner(NewOwner::new("new@x.test").state(OwnerState::Invited), &world.digest(), |_, _| Ok(()))
        .await);
    check!(seen, methods, create_first_admin, |world, unit| unit
        .create_first_admin(profile("new@x.test"), &hash(), world.issue(TokenKind::Session))
        .await);
    check!(seen, methods, accept_invitation, |world, unit| unit
        .accept_invitation(&world.bob, &profile("bob@x.test"), &hash(), world.issue(TokenKind::Session))
        .await);
    check!(seen, methods, renew_invitation, |world, unit| unit.renew_invitation(&world.bob, &world.digest()).await);
    check!(seen, methods, withdraw_invitation, |world, unit| unit.withdraw_invitation(&world.bob).await);
    check!(seen, methods, set_profile, |world, unit| {
        unit.set_profile(&world.bob, &profile("other@x.test")).await?;
        unit.set_profile(&world.ada, &profile("new@x.test")).await
    });
    check!(seen, methods, set_owner_state, |world, unit| unit
        .set_owner_state(&world.ada, OwnerState::of(false, false))
        .await);
    check!(seen, methods, set_owner_roles, |world, unit| unit.set_owner_roles(&world.ada, &[]).await);
    check!(seen, methods, set_password, |world, unit| unit.set_password(world.ada.id, &hash()).await);
    check!(seen, methods, delete_owner, |world, unit| unit.delete_owner(&world.ada).await);

    check!(seen, methods, sign_in, |world, unit| unit
        .sign_in(world.ada.id, world.issue(TokenKind::Session), Some(&hash()))
        .await);
    check!(seen, methods, sign_out, |world, unit| unit.sign_out(&world.session, world.ada.id).await);
    check!(seen, methods, delete_ended_sessions, |world, unit| { unit.delete_ended_sessions().await });

    let account = || AccountKey::from(7);
    check!(seen, methods, owner_of_account, |world, unit| {
        _ = &world;
        unit.owner_of_account(&account()).await
    });
    check!(seen, methods, open_account_session, |world, unit| {
        _ = &world;
        unit.open_account_session(&account()).await
    });
    check!(seen, methods, set_account, |world, unit| {
        let owner = unit.owner_of_account(&account()).await?;
        unit.open_account_session(&account()).await?;
        let authority = TokenAuthority::Admin { owner: owner.id, grants: vec![Grant::new("read")] };
        let (new, secret) =
            new_token(world.issue(TokenKind::Admin), "of an account".into(), String::new(), None, authority);
        unit.issue_token(new, &secret).await?;
        let clamped = unit.set_account(&owner, Some(Account::new("Other"))).await?.unwrap();
        assert_eq!((clamped.tokens, clamped.grants), (1, 1));
        let owner = unit.owner_of_account(&account()).await?;
        unit.set_account(&owner, Some(Account::new("Other").suspended())).await
    });

    check!(seen, methods, issue_token, |world, unit| {
        let (new, secret) = content(world.issue(TokenKind::Content));
        unit.issue_token(new, &secret).await
    });
    check!(seen, methods, adopt_token, |world, unit| {
        let (new, _) = content(world.issue(TokenKind::Content));
        unit.adopt_token(new, LegacyHash::Sha256).await
    });
    check!(seen, methods, update_token, |world, unit| {
        let after = Token { name: "other".into(), ..world.token.clone() };
        unit.update_token(&world.token, &after).await
    });
    check!(seen, methods, rename_token_authority, |world, unit| {
        let authority = TokenAuthority::Admin { owner: world.ada.id, grants: vec![Grant::new("look")] };
        unit.rename_token_authority(&world.token, &authority).await
    });
    check!(seen, methods, replace_secret, |world, unit| unit
        .replace_secret(&world.token, world.issue(TokenKind::Admin), Duration::ZERO)
        .await);
    check!(seen, methods, end_grace, |world, unit| {
        let (token, _) = unit.replace_secret(&world.token, world.issue(TokenKind::Admin), HOUR).await?;
        unit.end_grace(&token).await
    });
    check!(seen, methods, record_incident, |world, unit| {
        unit.record_incident(&world.token, IncidentKind::SecretReused).await
    });
    check!(seen, methods, revoke, |world, unit| {
        child(&world, unit).await?;
        // A grace period sets the expiry of the tokens that come from it.
        let (token, _) = unit.replace_secret(&world.token, world.issue(TokenKind::Admin), HOUR).await?;
        unit.revoke(&token, None).await
    });
    check!(seen, methods, record_incident_of_revoked, |world, unit| {
        let (token, token_kind) = (world.token.id, TokenKind::Admin);
        let incident = Incident { kind: IncidentKind::NetworkRefused, token, token_kind, address: None };
        unit.record_incident_of_revoked(incident).await
    });
    check!(seen, methods, record_reveal, |world, unit| unit.record_reveal(&world.token).await);
    check!(seen, methods, revoke_token, |world, unit| unit.revoke_token(&world.token).await);
    check!(seen, methods, revoke_presented, |world, unit| unit.revoke_presented(&world.token).await);

    check!(seen, methods, revoke_selected, |world, unit| {
        let selected = unit.view().selected_tokens(&TokenSelection::of_owner(world.ada.id), 10).await?;
        assert_eq!(selected.len(), 2, "a token and a session");
        unit.revoke_selected(&selected, "owner 1").await
    });
    #[cfg(feature = "secret-scanning")]
    {
        let details = || serde_json::json!({});
        check!(seen, methods, revoke_leaked, |world, unit| unit.revoke_leaked(&world.token, details()).await);
        check!(seen, methods, withdraw_leaked_invitation, |world, unit| unit
            .withdraw_leaked_invitation(world.bob.id, details())
            .await);
        check!(seen, methods, record_leak, |world, unit| unit
            .record_leak(AuditTarget::Token(world.token.id, TokenKind::Admin), details())
            .await);
    }

    check!(seen, methods, clamp_unknown_actions, |world, unit| { unit.clamp_unknown_actions(&["write".into()]).await });
    check!(seen, methods, record_retention, |world, unit| { unit.record_retention(serde_json::Value::Null).await });
    check!(seen, methods, record_failed_sign_ins, |world, unit| {
        unit.record_failed_sign_ins(serde_json::Value::Null).await
    });
    check!(seen, methods, delete_events, |world, unit| {
        let before = Timestamp(unit.now().0 + 1);
        unit.delete_events(before).await
    });

    check!(seen, methods, set_lease, |world, unit| {
        _ = &world;
        let now = unit.now();
        let lease = Lease { holder: "node".into(), ends_at: now, begun_at: now, complete_at: None };
        unit.set_lease("job", &lease).await
    });
    check!(seen, methods, add_notices, |world, unit| {
        let reason = NoticeReason::Unused { created_at: world.token.created_at };
        let Token { id, name, .. } = world.token.clone();
        let notice = Notice { token: id, kind: TokenKind::Admin, owner: Some(world.ada.id), name, reason };
        unit.add_notices(&[notice]).await
    });

    #[cfg(feature = "strapi")]
    {
        let from = ImportKey { source: "strapi", key: "1" };
        check!(seen, methods, import_role, |world, unit| { unit.import_role(from, NewRole::new("New")).await });
        check!(seen, methods, import_owner, |world, unit| {
            unit.import_owner(from, NewOwner::new("new@x.test"), Some(&hash()), Timestamp(1)).await
        });
        check!(seen, methods, import_token, |world, unit| {
            let (new, secret) = content(world.issue(TokenKind::Content));
            let times = TokenTimes { created_at: Timestamp(1), expires_at: None, last_used_at: None };
            unit.import_token(from, new, times, Some(&secret)).await
        });
        check!(seen, methods, record_import, |world, unit| { unit.record_import("strapi", 1, 1, 1).await });
        assert_eq!(methods, mutating_methods(), "a case for each method");
        let all = [
            "AddNotices",
            "BackdateOwner",
            "BackdateToken",
            "ClampMembers",
            "ClampOwner",
            "ClampUnknown",
            "DeleteEndedSessions",
            "DeleteEvents",
            "DeleteInvitations",
            "DeleteOwner",
            "DeleteRole",
            "DeleteSessions",
            "DeleteToken",
            "EndPreviousSecret",
            "InsertInvitation",
            "InsertOwner",
            "InsertRole",
            "InsertToken",
            "RememberImported",
            "ReplaceSecret",
            "RevokeTokens",
            "SealSecret",
            "SetExpiry",
            "SetLease",
            "SetOwnerRoles",
            "SetOwnerState",
            "SetPassword",
            "SetPermissions",
            "UpdateOwner",
            "UpdateRole",
            "UpdateToken",
        ];
        // Check values of keys are set before the work of a method: `seen` has them in no world but the first call of each process.
        seen.remove("SetKeyCheck");
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), all, "every mutation is covered");
    }
}
