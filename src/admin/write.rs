//! One change: transaction, commit, tag clock, answer.

use super::actor::{Grantor, ResolvedActor};
use super::error::{FieldError, FieldErrors};
#[cfg(feature = "people")]
use super::people::People;
use super::preview::{Preview, PreviewTurns};
use super::{Policy, ServiceError};
use crate::domain::{
    Actor, Admission, AdmittedActor, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, Catalogue, Ceiling,
    ConditionId, Conditions, ConfiguredKeys, EncryptionKeys, Entropy, InvalidCredential, Issued, Permission, Reason,
    Scope, SecretFormat, Tag, TokenKind, Unregistered, Version,
};
use crate::resolve::{LogPosition, Resolver, Stop};
use crate::store::{Clamp, Clamped, StoreError, Transaction, View, WriteStore};
use futures_util::future::BoxFuture;
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What every change of an installation needs besides its store.
pub(crate) struct Writer {
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) format: SecretFormat,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(super) keys: Arc<ConfiguredKeys>,
    /// The store has their check values.
    keys_kept: AtomicBool,
    pub(super) previews: PreviewTurns,
    #[cfg(feature = "people")]
    pub(super) people: People,
}

/// What the host has said about writing.
#[derive(Default)]
pub(crate) struct Settings {
    /// Without one, actions and subjects are not checked.
    pub(crate) catalogue: Option<Catalogue>,
    /// Without any, secrets are shown once only.
    pub(crate) encryption: Option<EncryptionKeys>,
    pub(crate) policy: Policy,
    /// The first super admin needs no setup code.
    #[cfg(feature = "people")]
    pub(crate) open_setup: bool,
}

impl Writer {
    pub(crate) fn new(
        resolver: Arc<Resolver>,
        format: SecretFormat,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
        keys: Arc<ConfiguredKeys>,
    ) -> Self {
        Self {
            #[cfg(feature = "people")]
            people: People::new(&settings.policy, resolver.clock.clone()),
            previews: PreviewTurns::default(),
            resolver,
            format,
            entropy,
            settings,
            keys,
            keys_kept: AtomicBool::new(false),
        }
    }
}

/// Reads, and makes changes, for somebody.
#[derive(Clone)]
pub(super) struct ServiceContext {
    store: Arc<dyn WriteStore>,
    pub(super) writer: Arc<Writer>,
    pub(super) origin: AuditOrigin,
    /// What admitted the request: judged again in every transaction.
    admission: Option<Arc<Admission>>,
    /// What is to be changed has to be of this version.
    expected: Option<Version>,
    /// What the device of a session that is opened is called.
    device: Arc<str>,
    /// It may issue tokens by the hash key.
    issues: bool,
}

impl fmt::Debug for ServiceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceContext").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A change in the making.
pub(super) struct UnitOfWork {
    pub(super) tx: Box<dyn Transaction>,
    pub(super) writer: Arc<Writer>,
    pub(super) origin: AuditOrigin,
    expected: Option<Version>,
    #[cfg_attr(not(feature = "people"), expect(dead_code, reason = "only a sign-in has a device"))]
    pub(super) device: Arc<str>,
    tags: Vec<Tag>,
    /// There was nothing to change.
    idle: bool,
}

impl UnitOfWork {
    /// Does it all, up to the commit.
    async fn ready<T, F>(&mut self, work: F) -> Result<T, ServiceError>
    where
        F: for<'d> FnOnce(&'d mut UnitOfWork) -> BoxFuture<'d, Result<T, ServiceError>>,
    {
        let value = work(self).await?;
        match self.expected {
            // Nobody has looked at it: what was to be as it was seen may not be.
            Some(_) => Err(ServiceError::Impossible("this changes nothing that has a version")),
            None => Ok(value),
        }
    }

    /// The change touches this.
    pub(super) fn touch(&mut self, tag: Tag) {
        self.tags.push(tag);
    }

    /// There was nothing to change: it is not committed, and leaves no row in the log of changes.
    pub(super) fn nothing_to_do(&mut self) {
        self.idle = true;
    }

    /// Compares the configured keys with those that the data was written with. New check values are written with this change, but for that of
    /// the hash key if the change issues nothing.
    async fn check_keys(&mut self, issues: bool) -> Result<CheckedKeys, ServiceError> {
        if self.writer.keys_kept.load(Ordering::Acquire) {
            return Ok(CheckedKeys { written: false, complete: true });
        }
        let to_keep = match self.writer.keys.compare(&self.tx.key_checks().await?, issues) {
            Ok(to_keep) => to_keep,
            Err(mismatch) => return Err(mismatch.counted(self.tx.key_uses().await?).into()),
        };
        for check in &to_keep {
            self.tx.set_key_check(check).await?;
        }
        Ok(CheckedKeys { written: !to_keep.is_empty(), complete: issues })
    }

    /// Goes on only if what is to be changed is as whoever asked has seen it.
    pub(super) fn unchanged(&mut self, what: &'static str, version: Version) -> Result<(), ServiceError> {
        match self.expected.take() {
            Some(expected) if expected != version => Err(ServiceError::Changed(what)),
            _ => Ok(()),
        }
    }

    /// Goes on only if the credential that admitted the request would still be admitted, and still meets what was required of it, by
    /// what this transaction sees. Writers follow one another, so that is what holds at its commit.
    async fn readmit(&mut self, admission: Option<&Admission>) -> Result<(), ServiceError> {
        let Some(Admission { digest, required }) = admission else { return Ok(()) };
        let lost = |reason| Err(ServiceError::Unauthenticated(reason));
        let Some(record) = self.tx.record(digest).await? else {
            return lost(Reason::Invalid(InvalidCredential::Unknown));
        };
        match self.writer.resolver.admits(&record, required) {
            Ok(()) => Ok(()),
            Err(Reason::Forbidden) => Err(ServiceError::Forbidden("the permission that this takes was taken away")),
            Err(reason) => lost(reason),
        }
    }

    /// Who makes it, as they are now.
    pub(super) async fn actor(&mut self) -> Result<ResolvedActor, ServiceError> {
        ResolvedActor::load(&mut *self.tx, self.origin.actor).await
    }

    /// Who makes it, if they may change people, roles and tokens.
    pub(super) async fn grantor(&mut self) -> Result<Grantor, ServiceError> {
        self.actor().await?.grantor()
    }

    /// The change is to be remembered as this.
    pub(super) async fn audit(
        &mut self,
        what: AuditAction,
        target: AuditTarget,
        details: serde_json::Value,
    ) -> Result<(), ServiceError> {
        self.audit_because(None, what, target, details).await
    }

    /// The same, where another change made it necessary.
    pub(super) async fn audit_because(
        &mut self,
        cause: impl Into<Option<AuditCause>>,
        what: AuditAction,
        target: AuditTarget,
        details: serde_json::Value,
    ) -> Result<(), ServiceError> {
        self.limit_changes(what, &details).await?;
        let (at, origin, cause) = (self.tx.now(), self.origin, cause.into());
        Ok(self.tx.audit(AuditEvent { at, origin, what, target, cause, details }).await?)
    }

    /// Takes away what owners no longer hold, and answers what that was.
    pub(super) async fn clamp(&mut self, clamp: Clamp<'_>, cause: AuditCause) -> Result<Clamped, ServiceError> {
        let origin = self.origin;
        Ok(self.tx.clamp(clamp, &origin, cause).await?)
    }
}

/// The outcome of comparing the keys with their check values in a change.
struct CheckedKeys {
    /// It writes some.
    written: bool,
    /// After it the store has all of them.
    complete: bool,
}

impl Writer {
    /// The store has the check values of the keys, and they fit.
    fn keep_keys(&self) {
        self.keys_kept.store(true, Ordering::Release);
        self.resolver.keys_fit();
    }

    /// All that a ceiling holds; of a super admin's, all that has a name.
    pub(super) fn held(&self, ceiling: Ceiling) -> Vec<Permission> {
        match ceiling {
            Ceiling::Of(permissions) => permissions,
            Ceiling::Unlimited => self.settings.catalogue.as_ref().map(Catalogue::everything).unwrap_or_default(),
        }
    }

    /// What nobody has registered of a list of permissions or grants: it would be denied for ever. What was there `before` may stay: it
    /// was registered once.
    pub(super) fn unregistered<'a>(
        &self,
        path: &str,
        items: impl Iterator<Item = Item<'a>>,
        before: impl Iterator<Item = Item<'a>>,
        wrong: &mut FieldErrors,
    ) {
        let seen = |(scope, _): Item<'a>, u: &Unregistered| (&scope.action, scope.resource.as_ref(), u.message.clone());
        // Looked at only if something is not registered.
        let mut before = Some(before);
        let mut old = HashSet::new();
        for (i, item) in items.enumerate() {
            for u in self.problems(item) {
                if let Some(before) = before.take() {
                    old =
                        before.flat_map(|item| self.problems(item).into_iter().map(move |u| seen(item, &u))).collect();
                }
                if wrong.is_full() {
                    return;
                }
                if !old.contains(&seen(item, &u)) {
                    let path = format!("{path}.{i}.{}", u.path);
                    wrong.add(FieldError { path, message: u.message, value: Some(u.name) });
                }
            }
        }
    }

    /// What nobody has registered of a permission or grant.
    pub(super) fn problems(&self, (scope, chosen): Item<'_>) -> Vec<Unregistered> {
        let conditions: &Conditions = self.resolver.conditions();
        if let Some(catalogue) = &self.settings.catalogue {
            return catalogue.check(scope, chosen, conditions);
        }
        let unknown = chosen.iter().enumerate().filter(|(_, id)| !conditions.contains(id.as_str()));
        let problem = |(j, id): (usize, &ConditionId)| {
            let (path, message) = (format!("conditions.{j}"), format!("there is no condition {id}"));
            Unregistered { path, name: id.to_string(), message }
        };
        unknown.map(problem).collect()
    }
}

/// A permission or a grant: action, subject, fields, conditions.
pub(super) type Item<'a> = (&'a Scope, &'a [ConditionId]);

impl ServiceContext {
    /// For the program itself.
    pub(super) fn new(store: Arc<dyn WriteStore>, writer: Arc<Writer>) -> Self {
        let origin = AuditOrigin { actor: Actor::Service, address: None };
        Self { store, writer, origin, admission: None, expected: None, device: "".into(), issues: true }
    }

    pub(super) fn acting_as(self, actor: AdmittedActor) -> Self {
        let (actor, admission) = (actor.actor(), actor.admission().cloned());
        Self { origin: AuditOrigin { actor, ..self.origin }, admission, ..self }
    }

    pub(super) fn from_address(self, address: Option<IpAddr>) -> Self {
        Self { origin: AuditOrigin { address, ..self.origin }, ..self }
    }

    /// The change issues nothing: the hash key may be any.
    #[cfg(feature = "strapi")]
    pub(super) fn issuing_nothing(self) -> Self {
        Self { issues: false, ..self }
    }

    #[cfg(feature = "people")]
    pub(super) fn on_device(self, name: &str) -> Self {
        Self { device: name.into(), ..self }
    }

    pub(super) fn if_version(self, version: Version) -> Self {
        Self { expected: Some(version), ..self }
    }

    #[cfg(feature = "people")]
    pub(super) fn store(&self) -> &Arc<dyn WriteStore> {
        &self.store
    }

    /// What there is at this moment.
    pub(super) async fn view(&self) -> Result<Box<dyn View>, ServiceError> {
        Ok(self.store.view().await?)
    }

    /// Who asks, as they are in this view.
    pub(super) async fn actor(&self, view: &mut Box<dyn View>) -> Result<ResolvedActor, ServiceError> {
        ResolvedActor::load(&mut **view, self.origin.actor).await
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.writer.settings.policy
    }

    pub(super) fn issue(&self, kind: TokenKind) -> Result<Issued, ServiceError> {
        Ok(self.writer.format.issue(kind, &*self.writer.entropy)?)
    }

    /// Runs `work` in a transaction and commits it. An error rolls back.
    pub(super) async fn make<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: for<'d> FnOnce(&'d mut UnitOfWork) -> BoxFuture<'d, Result<T, ServiceError>> + Send + 'static,
    {
        let change = self.clone();
        let task = tokio::spawn(async move {
            let Self { store, writer, .. } = &change;
            let era = writer.resolver.freshness.era();
            let mut draft = change.draft().await?;
            let begun = writer.resolver.freshness.position(era);
            let checked = draft.check_keys(change.issues).await?;
            draft.readmit(change.admission.as_deref()).await?;
            let value = draft.ready(work).await?;
            let UnitOfWork { tx, tags, idle, .. } = draft;
            let keep = || checked.complete.then(|| writer.keep_keys());
            if idle && !checked.written {
                keep();
                return Ok(value);
            }
            let op_id = tx.op_id().map(str::to_owned);
            let mut raise = InvalidationGuard { resolver: writer.resolver.clone(), begun, seq: tx.seq(), op_id, tags };
            match tx.commit(&raise.tags).await {
                Ok(()) => {
                    drop(raise);
                    keep();
                }
                Err(unknown @ StoreError::Unknown(_)) => {
                    let tags = raise.tags.clone();
                    // Nobody has seen it in the log.
                    raise.op_id = None;
                    drop(raise);
                    writer.resolver.tasks.spawn(|stop| settle(store.clone(), writer.clone(), tags, stop));
                    return Err(unknown.into());
                }
                Err(error) => {
                    raise.forget();
                    return Err(error.into());
                }
            }
            Ok(value)
        });
        task.await.unwrap_or_else(|lost| Err(StoreError::Unknown(Box::new(lost)).into()))
    }

    /// Runs `work` in a transaction that is rolled back at once: it tells what would be, by all the rules, and leaves nothing.
    #[cfg(feature = "strapi")]
    pub(super) async fn rehearse<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        F: for<'d> FnOnce(&'d mut UnitOfWork) -> BoxFuture<'d, Result<T, ServiceError>>,
    {
        self.draft().await?.ready(work).await
    }

    /// Runs `work` on a view, by all the rules, and tells what would be. It writes nothing, waits for no writer and keeps none waiting.
    pub(super) async fn preview<T, F>(&self, work: F) -> Result<T, ServiceError>
    where
        F: for<'d> FnOnce(&'d mut UnitOfWork) -> BoxFuture<'d, Result<T, ServiceError>>,
    {
        let _turn = self.writer.previews.turn(self.origin.actor).await?;
        let preview = Preview::new(self.store.view().await?);
        let mut draft = self.draft_in(Box::new(preview));
        draft.readmit(self.admission.as_deref()).await?;
        draft.ready(work).await
    }

    async fn draft(&self) -> Result<UnitOfWork, ServiceError> {
        Ok(self.draft_in(self.store.begin().await?))
    }

    fn draft_in(&self, tx: Box<dyn Transaction>) -> UnitOfWork {
        let Self { writer, origin, expected, device, .. } = self.clone();
        UnitOfWork { tx, writer, origin, expected, device, tags: Vec::new(), idle: false }
    }
}

/// Raises the tags of a change when dropped: after its commit, or when the task dies while nobody knows how that went.
struct InvalidationGuard {
    resolver: Arc<Resolver>,
    begun: LogPosition,
    seq: u64,
    op_id: Option<String>,
    tags: Vec<Tag>,
}

impl InvalidationGuard {
    /// It did not happen.
    fn forget(mut self) {
        self.tags.clear();
    }
}

impl Drop for InvalidationGuard {
    fn drop(&mut self) {
        if !self.tags.is_empty() {
            self.resolver.freshness.invalidate_own(self.begun, self.seq, self.op_id.as_deref(), &self.tags);
        }
    }
}

/// After a commit that nobody knows the outcome of, everything that rests on its tags has to be read again; and what is read is
/// as old as that commit would be, if it did not happen. One more change with the same tags ends the doubt: it comes after
/// the commit, whether that happened or not. Until then requests that rest on the tags are answered 503.
async fn settle(store: Arc<dyn WriteStore>, writer: Arc<Writer>, tags: Vec<Tag>, mut stop: Stop) {
    let mut pause = Duration::from_millis(10);
    loop {
        match again(&*store, &writer, &tags).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a change is still in doubt"),
        }
        tokio::select! {
            () = stop.requested() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

async fn again(store: &dyn WriteStore, writer: &Writer, tags: &[Tag]) -> Result<(), StoreError> {
    let era = writer.resolver.freshness.era();
    let tx = store.begin().await?;
    let begun = writer.resolver.freshness.position(era);
    let (seq, op_id) = (tx.seq(), tx.op_id().map(str::to_owned));
    tx.commit(tags).await?;
    writer.resolver.freshness.invalidate_own(begun, seq, op_id.as_deref(), tags);
    Ok(())
}
