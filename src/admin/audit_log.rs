//! The audit log: what was done, by whom, and for how long that is kept.

use super::sight::Sight;
use super::write::ServiceContext;
use super::{ServiceError, for_whom};
use crate::domain::{AuditAction, AuditEvent, AuditTarget, Timestamp, TokenId, TokenKind};
use crate::store::{EventQuery, Page};
use serde_json::json;
use std::time::Duration;

/// Reads the audit log. Made by [`Keyward::audit`](crate::Keyward::audit).
///
/// The program and super admins read all of it. Other actors see of an event as much as they may see of its target: of admin tokens and
/// sessions of other owners nothing; of users, roles and content tokens what `admin::users.read`, `admin::roles.read` and
/// `admin::api-tokens.read` list. Of the rest they learn what was done and when: the target is [`AuditTarget::Withheld`], who did it may be
/// [`Actor::Withheld`](crate::admin::Actor::Withheld), and there is neither cause nor detail. So the number of events and pages is the same for all.
#[derive(Clone, Debug)]
pub struct AuditLog(pub(super) ServiceContext);

for_whom!(AuditLog);

impl AuditLog {
    fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self(f(self.0))
    }

    /// A page of events with their ids, the latest first.
    ///
    /// To ask for the events of what one may not see, or by an actor that one may not know, is answered like asking for what is not there. Where
    /// events are asked for by another actor, those are left out that are about tokens and sessions of other owners.
    ///
    /// # Errors
    /// If the store cannot be asked, or the actor is a visitor.
    pub async fn list(&self, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, ServiceError> {
        let mut view = self.0.view().await?;
        let actor = self.0.actor(&mut view).await?;
        let sight = Sight::of(&mut *view, &actor).await?;
        let Some(query) = sight.narrowed(&mut *view, query).await? else {
            return Ok(Page { items: Vec::new(), total: 0 });
        };
        let Page { items, total } = view.events(&query).await?;
        Ok(Page { items: sight.shown(&mut *view, items).await?, total })
    }

    /// The same about one admin token, for whoever may see that token: its owner and super admins.
    ///
    /// # Errors
    /// If there is no such token, or none for whoever asks.
    pub async fn of_token(&self, id: TokenId, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, ServiceError> {
        let mut view = self.0.view().await?;
        let actor = self.0.actor(&mut view).await?;
        let seen = actor.sees_tokens_of()?;
        let token =
            view.token(id).await?.filter(|t| t.kind() == TokenKind::Admin && (seen.is_none() || t.owner() == seen));
        let token = token.ok_or(ServiceError::NotFound("token"))?;
        let query = EventQuery { target: Some(AuditTarget::Token(id, token.kind())), ..query.clone() };
        let Page { items, total } = view.events(&query).await?;
        let sight = Sight::of(&mut *view, &actor).await?;
        Ok(Page { items: sight.shown(&mut *view, items).await?, total })
    }

    /// Deletes events that are older than `age`, and remembers that it did. Answers how many there were.
    ///
    /// # Errors
    /// If somebody else than the program asks.
    pub async fn delete_older_than(&self, age: Duration) -> Result<u64, ServiceError> {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    if !draft.grantor().await?.is_program() {
                        return Err(ServiceError::Forbidden("only the program deletes events"));
                    }
                    let before =
                        Timestamp(draft.tx.now().0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
                    let deleted = draft.tx.delete_events(before).await?;
                    if deleted > 0 {
                        let details = json!({"before": before.to_string(), "deleted": deleted});
                        draft.audit(AuditAction::EventsDeleted, AuditTarget::Installation, details).await?;
                    }
                    Ok(deleted)
                })
            })
            .await
    }
}
