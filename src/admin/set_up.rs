//! What is to be done when an installation starts.

use super::ServiceError;
use super::tokens::record;
use super::write::UnitOfWork;
use crate::domain::{
    Actor, AuditAction, AuditCause, AuditOrigin, AuditTarget, ContentAccess, HashKeyId, Issued, KeyKind, KeyUse, Tag,
    TokenAuthority, TokenKind,
};
use crate::keyward::Keyward;
use crate::store::{Clamp, EventQuery, Paging};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What [`Keyward::set_up`] has found and done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SetUp {
    /// Whether there is nobody yet: the first super admin can be registered.
    pub nobody_yet: bool,
    /// How many grants and permissions went, because the catalogue no longer has their action.
    pub clamped: u64,
    /// How many roles and tokens hold a new name, because the catalogue says that it has taken the place of theirs.
    pub renamed: u64,
}

/// How often sessions that have ended and events that are too old are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

impl Keyward {
    /// Brings the store in line with the settings. Call it once at every start, before the server listens.
    ///
    /// In a store that nobody has been in yet it makes the two content tokens "Read Only" and "Full Access", which live as long as
    /// the policy offers. It takes away the grants, and the permissions of roles, whose action the catalogue no longer has. From then
    /// on, sessions that have ended are removed, and events that are older than [`Policy::keep_events`](crate::admin::Policy::keep_events).
    ///
    /// It reads from the audit log where people signed in within the last 30 days (the latest 64 addresses of each), so that guesses
    /// by strangers shut none of them out of these places.
    ///
    /// It says in the log how many tokens rest on which key. Where nothing is to be done, nothing is written.
    ///
    /// # Errors
    /// If the store cannot do it, or ([`ServiceError::KeyMismatch`]) the data rests on other keys than those of the configuration. Then
    /// nothing is changed.
    pub async fn set_up(&self) -> Result<SetUp, ServiceError> {
        let tokens = [
            ("Read Only", "A default content token that may read", ContentAccess::ReadOnly),
            ("Full Access", "A default content token that may do everything", ContentAccess::FullAccess),
        ];
        let change = self.change();
        let mut defaults = Vec::new();
        for (name, description, access) in tokens {
            defaults.push((change.issue(TokenKind::Content)?, name, description, access));
        }
        let found = change.make(move |draft| Box::pin(set_up(draft, defaults))).await?;
        self.change().report_keys().await?;
        #[cfg(feature = "people")]
        self.change().restore_places().await?;
        self.tidy_behind();
        Ok(found)
    }

    /// Removes what is over for as long as the installation lives.
    fn tidy_behind(&self) {
        // The task must not keep alive what it looks after.
        let (home, store) = (Arc::downgrade(self.writer()), Arc::downgrade(self.store()));
        self.writer().resolver.tasks.spawn(|mut stop| async move {
            let mut ticks = tokio::time::interval(TIDY_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.requested() => return,
                    _ = ticks.tick() => {}
                }
                let (Some(writer), Some(store)) = (home.upgrade(), store.upgrade()) else { return };
                if let Err(error) = tidy(super::ServiceContext::new(store, writer)).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "what is over is still there");
                }
            }
        });
    }
}

async fn tidy(change: super::ServiceContext) -> Result<(), ServiceError> {
    change.make(|draft| Box::pin(async move { Ok(draft.tx.delete_ended_sessions().await?) })).await?;
    if let Some(age) = change.policy().keep_events {
        super::AuditLog(change).delete_older_than(age).await?;
    }
    Ok(())
}

type DefaultToken = (Issued, &'static str, &'static str, ContentAccess);

async fn set_up(draft: &mut UnitOfWork, defaults: Vec<DefaultToken>) -> Result<SetUp, ServiceError> {
    draft.origin = AuditOrigin { actor: Actor::Service, address: None };
    let fresh = draft.tx.is_empty().await?;
    if fresh {
        for (issued, name, description, access) in defaults {
            let authority = TokenAuthority::Content { access };
            let lifespan = draft.writer.settings.policy.durations.longest().limit();
            let (new, secret) = record(issued, name.to_owned(), description.to_owned(), lifespan, authority);
            super::tokens::insert(draft, new, secret, AuditAction::TokenIssued).await?;
        }
    }
    let writer = draft.writer.clone();
    let (mut clamped, mut renamed) = (0, 0);
    if let Some(catalogue) = &writer.settings.catalogue {
        renamed = super::rename::apply(draft, &catalogue.renames()).await?;
        let actions: Vec<_> = catalogue.actions().iter().map(|a| a.id.clone()).collect();
        let gone = draft.clamp(Clamp::Unknown(&actions), AuditCause::Catalogue).await?;
        clamped = gone.grants + gone.permissions;
        if clamped > 0 {
            draft.touch(Tag::ALL);
        }
    }
    let remembered = remember_retention(draft, writer.settings.policy.keep_events).await?;
    if !fresh && clamped == 0 && renamed == 0 && !remembered {
        draft.nothing_to_do();
    }
    let nobody_yet = !draft.tx.has_owners().await?;
    Ok(SetUp { nobody_yet, clamped, renamed })
}

impl super::ServiceContext {
    /// Says how many tokens rest on which key, and warns of keys that are not there.
    async fn report_keys(&self) -> Result<(), ServiceError> {
        let mut view = self.view().await?;
        let (known, uses) = (view.key_checks().await?, view.key_uses().await?);
        for KeyUse { kind, id, tokens } in uses {
            let there = match kind {
                KeyKind::Hash if id == HashKeyId::STRAPI => self.writer.format.has_strapi(),
                _ => self.writer.keys.has(kind, &id, &known),
            };
            match (kind, there) {
                (KeyKind::Encryption, true) => {
                    tracing::info!(key = id, tokens, "secrets are sealed with this encryption key");
                }
                (KeyKind::Encryption, false) => tracing::warn!(
                    key = id,
                    tokens,
                    "secrets are sealed with an encryption key that is not configured: they cannot be shown again"
                ),
                (_, true) => tracing::info!(key = id, tokens, "tokens rest on this hash key (salt)"),
                (_, false) => tracing::warn!(
                    key = id,
                    tokens,
                    "tokens rest on a hash key (salt) that is not configured: they are refused"
                ),
            }
        }
        Ok(())
    }
}

/// Remembers for how long events are kept, if that is not what was remembered last. Answers whether it was not.
async fn remember_retention(draft: &mut UnitOfWork, keep: Option<Duration>) -> Result<bool, ServiceError> {
    let days = |keep: Duration| keep.as_secs_f64() / 86_400.0;
    let details = json!({"days": keep.map(days)});
    let query = EventQuery {
        actions: Some(vec![AuditAction::RetentionSet]),
        ..EventQuery::all(Paging { page: 1, page_size: 1 })
    };
    let last = draft.tx.events(&query).await?.items.pop().map(|(_, event)| event.details);
    // For ever is what goes without saying.
    if last.unwrap_or_else(|| json!({"days": Value::Null})) == details {
        return Ok(false);
    }
    draft.audit(AuditAction::RetentionSet, AuditTarget::Installation, details).await?;
    Ok(true)
}
