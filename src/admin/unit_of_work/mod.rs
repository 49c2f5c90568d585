//! The unit of work: a transaction whose every mutation brings its cache invalidation and its audit event.
//!
//! The transaction is private to this module. Services read through [`UnitOfWork::view`] and write through the methods of the
//! modules below. Each method makes a mutation, notes the tags of the principals that become stale, and adds the audit event. The
//! tests compare every method with a table of the tags and events that its mutation requires.

mod accounts;
mod commit;
mod host_accounts;
#[cfg(feature = "strapi")]
mod imports;
mod installation;
#[cfg(feature = "secret-scanning")]
mod leaks;
mod notices;
mod revoke_all;
mod roles;
mod sessions;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod staged_change;
#[cfg(test)]
mod tests;
mod tokens;

#[cfg(feature = "strapi")]
pub(super) use imports::ImportKey;
#[cfg(feature = "secret-scanning")]
pub(super) use leaks::was_adopted;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use staged_change::StagedChange;

use super::ServiceError;
use super::actor::{Grantor, ResolvedActor, load_ceiling};
use super::context::ServiceContext;
use super::state::AdminState;
use crate::domain::{
    Actor, Admission, AuditAction, AuditCause, AuditEvent, AuditOrigin, AuditTarget, Ceiling, Digest,
    InvalidCredential, OwnerId, Reason, Tag, Timestamp, Version,
};
use crate::store::{Transaction, View};
use crate::sync::Arc;
use futures_util::future::BoxFuture;
use serde_json::Value;

/// The work of a change, done in a unit of work.
pub(super) type Work<T> =
    Box<dyn for<'u, 't> FnOnce(&'u mut UnitOfWork<'t>) -> BoxFuture<'u, Result<T, ServiceError>> + Send>;

/// A transaction whose every mutation brings its cache invalidation and its audit event.
pub(super) struct UnitOfWork<'t> {
    tx: Box<dyn Transaction + 't>,
    pub(super) state: Arc<AdminState>,
    origin: AuditOrigin,
    expected: Option<Version>,
    device: Arc<str>,
    /// The digest of the secret that admitted the request, if one did.
    presented: Option<Digest>,
    /// The tags of the principals that the mutations make stale.
    tags: Vec<Tag>,
    /// Whether there is nothing to commit.
    is_idle: bool,
}

impl<'t> UnitOfWork<'t> {
    fn new(tx: Box<dyn Transaction + 't>, context: &ServiceContext) -> Self {
        let ServiceContext { state, origin, expected, device, admission, .. } = context.clone();
        let presented = admission.map(|admission| admission.digest);
        Self { tx, state, origin, expected, device, presented, tags: Vec::new(), is_idle: false }
    }

    /// Returns the state of the store, with the mutations made so far.
    pub(super) fn view(&mut self) -> &mut dyn View {
        &mut *self.tx
    }

    /// Returns the store's time.
    pub(super) fn now(&self) -> Timestamp {
        self.tx.now()
    }

    /// Returns the actor's id.
    pub(super) fn actor_id(&self) -> Actor {
        self.origin.actor
    }

    /// Loads the actor as this transaction shows it.
    pub(super) async fn actor(&mut self) -> Result<ResolvedActor, ServiceError> {
        ResolvedActor::load(&mut *self.tx, self.state.resolver.accounts(), self.origin.actor).await
    }

    /// Returns the ceiling of an owner: the roles' permissions, or what the host says of its account.
    pub(super) async fn ceiling(&mut self, owner: OwnerId) -> Result<Ceiling, ServiceError> {
        load_ceiling(&mut *self.tx, self.state.resolver.accounts(), owner).await
    }

    /// Loads the actor, if it may change people, roles and tokens.
    pub(super) async fn grantor(&mut self) -> Result<Grantor, ServiceError> {
        self.actor().await?.grantor()
    }

    /// Acts for the host program from now on.
    pub(super) fn act_as_service(&mut self) {
        self.origin = AuditOrigin { actor: Actor::Service, address: None, tool: None };
    }

    /// Rolls the transaction back at the end instead of committing it: there was nothing to change, and the change log gets no row.
    pub(super) fn skip_commit(&mut self) {
        self.is_idle = true;
    }

    /// Checks that a record still has the version that the caller has read.
    pub(super) fn check_version(&mut self, what: &'static str, version: Version) -> Result<(), ServiceError> {
        match self.expected.take() {
            Some(expected) if expected != version => Err(ServiceError::Changed(what)),
            _ => Ok(()),
        }
    }

    /// Runs a change by all the rules, up to the commit.
    async fn change<T, F>(&mut self, context: &ServiceContext, work: F) -> Result<(T, CheckedKeys), ServiceError>
    where
        F: for<'u> FnOnce(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<T, ServiceError>>,
    {
        let keys = self.check_keys(context.issues_tokens).await?;
        self.readmit(context.admission.as_deref()).await?;
        Ok((self.run(work).await?, keys))
    }

    /// Runs all of the work, up to the commit.
    async fn run<T, F>(&mut self, work: F) -> Result<T, ServiceError>
    where
        F: for<'u> FnOnce(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<T, ServiceError>>,
    {
        let value = work(self).await?;
        match self.expected {
            // `if_version` was set, but no version was checked.
            Some(_) => Err(ServiceError::Impossible("this changes nothing that has a version")),
            None => Ok(value),
        }
    }

    /// Compares the configured keys with the check values in the store, and adds those that are missing. If the change issues no
    /// tokens, the hash key is neither compared nor added.
    async fn check_keys(&mut self, issues_tokens: bool) -> Result<CheckedKeys, ServiceError> {
        if self.state.are_keys_stored() {
            return Ok(CheckedKeys { written: false, complete: true });
        }
        let missing = match self.state.keys.compare(&self.tx.key_checks().await?, issues_tokens) {
            Ok(missing) => missing,
            Err(mismatch) => return Err(mismatch.counted(self.tx.key_uses().await?).into()),
        };
        for check in &missing {
            self.tx.set_key_check(check).await?;
        }
        Ok(CheckedKeys { written: !missing.is_empty(), complete: issues_tokens })
    }

    /// Checks that the credential which admitted the request would still be admitted, and still meets the requirement
    /// (valid-at-commit). Writers are serialised: what this transaction shows holds when it commits.
    async fn readmit(&mut self, admission: Option<&Admission>) -> Result<(), ServiceError> {
        let Some(Admission { digest, client, required }) = admission else { return Ok(()) };
        let reject = |reason| Err(ServiceError::Unauthenticated(reason));
        let Some(mut record) = self.tx.record(digest).await? else {
            return reject(Reason::Invalid(InvalidCredential::Unknown));
        };
        self.state.resolver.accounts().complete_record(&mut record).await?;
        match self.state.resolver.admits(&record, digest, *client, required) {
            Ok(()) => Ok(()),
            Err(Reason::Forbidden) => Err(ServiceError::Forbidden("the permission that this takes was taken away")),
            Err(reason) => reject(reason),
        }
    }

    /// Makes the principals with this tag stale when the change is committed.
    fn invalidate(&mut self, tag: Tag) {
        self.tags.push(tag);
    }

    async fn audit(&mut self, action: AuditAction, target: AuditTarget, details: Value) -> Result<(), ServiceError> {
        self.audit_with_cause(None, action, target, details).await
    }

    /// Adds an audit event, if the rate limit of the action allows it.
    async fn audit_with_cause(
        &mut self,
        cause: Option<AuditCause>,
        action: AuditAction,
        target: AuditTarget,
        details: Value,
    ) -> Result<(), ServiceError> {
        self.limit_changes(action, &details).await?;
        let (at, origin) = (self.tx.now(), self.origin.clone());
        Ok(self.tx.audit(AuditEvent { at, origin, what: action, target, cause, details }).await?)
    }
}

/// The outcome of comparing the keys with their check values.
struct CheckedKeys {
    /// Whether the change adds check values.
    written: bool,
    /// Whether the store has all of them afterwards.
    complete: bool,
}
