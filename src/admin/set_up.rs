//! Sets an installation up at its start, and keeps it tidy.

use super::ServiceError;
use super::catalogue_renames::apply_renames;
use super::context::ServiceContext;
use super::key_report::KeyReport;
use super::tokens::new_token;
use super::unit_of_work::UnitOfWork;
use crate::domain::{AuditAction, ContentAccess, KeyKind, KeyUse, NewSecret, TokenAuthority, TokenKind};
use crate::keyward::Keyward;
use crate::store::{EventQuery, NewToken, Paging};
use crate::sync::Arc;
use serde_json::{Value, json};
use std::time::Duration;

/// The outcome of [`Keyward::set_up`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SetUp {
    /// Whether there is no account yet: the first super admin can be registered.
    pub needs_first_admin: bool,
    /// The number of grants and permissions that were deleted, because the catalogue no longer has their action.
    pub clamped: u64,
    /// The number of roles and tokens that hold a new name, because the catalogue renamed theirs.
    pub renamed: u64,
}

/// The interval between searches for ended sessions and old events.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

impl Keyward {
    /// Brings the store in line with the settings. Call it once at every start, before the server listens.
    ///
    /// In an empty store it makes the two content tokens "Read Only" and "Full Access", with the longest lifespan that the policy offers,
    /// if there is a [content group](crate::Group::content).
    /// It deletes the grants, and the permissions of roles, whose action the catalogue no longer has. From then on it removes sessions
    /// that have ended, and events that are older than [`Policy::keep_events`](crate::admin::Policy::keep_events).
    ///
    /// It reads from the audit log where people signed in within the last 30 days (the latest 64 addresses of each). Password
    /// guesses by strangers then lock no person out at these networks.
    ///
    /// It logs how many tokens use each key. If there is nothing to do, it writes nothing.
    ///
    /// # Errors
    /// [`ServiceError::Store`] if the store fails; [`ServiceError::KeyMismatch`] if the data uses other keys than the
    /// configuration. Then nothing is changed.
    pub async fn set_up(&self) -> Result<SetUp, ServiceError> {
        let tokens = [
            ("Read Only", "A default content token that may read", ContentAccess::ReadOnly),
            ("Full Access", "A default content token that may do everything", ContentAccess::FullAccess),
        ];
        let context = self.context();
        let mut defaults = Vec::new();
        for (name, description, access) in tokens.into_iter().filter(|_| self.admin_state().settings.has_content) {
            defaults.push((context.issue(TokenKind::Content)?, name, description, access));
        }
        let outcome = context.transact(move |unit| Box::pin(set_up(unit, defaults))).await?;
        context.report_keys().await?;
        #[cfg(feature = "people")]
        context.restore_networks().await?;
        self.tidy_in_background();
        Ok(outcome)
    }

    /// Deletes ended sessions and old events every hour, for as long as the installation lives.
    fn tidy_in_background(&self) {
        // Weak: the task must not keep the installation alive.
        let (state, store) = (Arc::downgrade(self.admin_state()), Arc::downgrade(self.store()));
        self.admin_state().resolver.tasks.spawn(|mut stop| async move {
            let mut ticks = tokio::time::interval(TIDY_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.requested() => return,
                    _ = ticks.tick() => {}
                }
                let (Some(state), Some(store)) = (state.upgrade(), store.upgrade()) else { return };
                if let Err(error) = tidy(ServiceContext::new(store, state)).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "ended sessions and old events were not deleted");
                }
            }
        });
    }
}

async fn tidy(context: ServiceContext) -> Result<(), ServiceError> {
    context.transact(|unit| Box::pin(delete_ended_sessions(unit))).await?;
    if let Some(age) = context.policy().keep_events {
        super::AuditLog(context).delete_older_than(age).await?;
    }
    Ok(())
}

async fn delete_ended_sessions(unit: &mut UnitOfWork<'_>) -> Result<(), ServiceError> {
    if unit.delete_ended_sessions().await? == 0 {
        unit.skip_commit();
    }
    Ok(())
}

type DefaultToken = (NewSecret, &'static str, &'static str, ContentAccess);

async fn set_up(unit: &mut UnitOfWork<'_>, defaults: Vec<DefaultToken>) -> Result<SetUp, ServiceError> {
    unit.act_as_service();
    let is_empty = unit.view().is_empty().await?;
    if is_empty {
        for (issued, name, description, access) in defaults {
            let authority = TokenAuthority::Content { access };
            let lifespan = unit.state.settings.policy.durations.longest().from(unit.now());
            let (new, secret) = new_token(issued, name.to_owned(), description.to_owned(), lifespan, authority);
            let scope = unit.state.settings.policy.name_scope(None);
            unit.issue_token(NewToken { scope, ..new }, &secret).await?;
        }
    }
    let state = unit.state.clone();
    let (mut clamped, mut renamed) = (0, 0);
    if let Some(catalogue) = &state.settings.catalogue {
        renamed = apply_renames(unit, &catalogue.renames()).await?;
        let known: Vec<_> = catalogue.actions().iter().map(|a| a.id.clone()).collect();
        let deleted = unit.clamp_unknown_actions(&known).await?;
        clamped = deleted.grants + deleted.permissions;
    }
    let retention_changed = set_retention(unit, state.settings.policy.keep_events).await?;
    if !is_empty && clamped == 0 && renamed == 0 && !retention_changed {
        unit.skip_commit();
    }
    let needs_first_admin = !unit.view().has_owners().await?;
    Ok(SetUp { needs_first_admin, clamped, renamed })
}

impl ServiceContext {
    /// Logs how many tokens use each key, and warns of keys that are not configured.
    async fn report_keys(&self) -> Result<(), ServiceError> {
        for KeyReport { usage: KeyUse { kind, id, tokens }, is_configured } in self.key_reports().await? {
            match (kind, is_configured) {
                (KeyKind::Encryption, true) => {
                    tracing::info!(key = id, tokens, "secrets are sealed with this encryption key");
                }
                (KeyKind::Encryption, false) => tracing::warn!(
                    key = id,
                    tokens,
                    "secrets are sealed with an encryption key that is not configured: they cannot be shown again"
                ),
                (_, true) => tracing::info!(key = id, tokens, "tokens use this hash key"),
                (_, false) => {
                    tracing::warn!(key = id, tokens, "tokens use a hash key that is not configured: they are rejected")
                }
            }
        }
        Ok(())
    }
}

/// Records for how long events are kept, if that has changed. Returns whether it has.
async fn set_retention(unit: &mut UnitOfWork<'_>, keep: Option<Duration>) -> Result<bool, ServiceError> {
    let days = |keep: Duration| keep.as_secs_f64() / 86_400.0;
    let details = json!({"days": keep.map(days)});
    let query = EventQuery {
        actions: Some(vec![AuditAction::RetentionSet]),
        ..EventQuery::all(Paging { page: 1, page_size: 1 })
    };
    let last = unit.view().events(&query).await?.items.pop().map(|(_, event)| event.details);
    // Without an event, events are kept for ever.
    if last.unwrap_or_else(|| json!({"days": Value::Null})) == details {
        return Ok(false);
    }
    unit.record_retention(details).await?;
    Ok(true)
}
