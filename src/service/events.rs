//! The audit log: what was done, by whom, and for how long that is kept.

use super::write::Change;
use super::{ServiceError, for_whom};
use crate::domain::{AuditEvent, Target, Timestamp, TokenId, What};
use crate::store::{EventQuery, Page};
use serde_json::json;
use std::time::Duration;

/// Reads the audit log. Made by [`Keyward::events`](crate::Keyward::events).
#[derive(Clone, Debug)]
pub struct Events(pub(super) Change);

for_whom!(Events);

impl Events {
    fn map(self, f: impl FnOnce(Change) -> Change) -> Self {
        Self(f(self.0))
    }

    /// A page of events with their ids, the latest first.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn list(&self, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, ServiceError> {
        Ok(self.0.view().await?.events(query).await?)
    }

    /// The same about one admin token, for whoever may see that token: its owner and super admins.
    ///
    /// # Errors
    /// If there is no such token, or none for whoever asks.
    pub async fn of_token(&self, id: TokenId, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, ServiceError> {
        let mut view = self.0.view().await?;
        let seen = self.0.actor(&mut view).await?.sees_tokens_of()?;
        let token = view.token(id).await?.filter(|t| t.owner().is_some() && (seen.is_none() || t.owner() == seen));
        let token = token.ok_or(ServiceError::NotFound("token"))?;
        let query = EventQuery { target: Some(Target::Token(id, token.kind())), ..query.clone() };
        Ok(view.events(&query).await?)
    }

    /// Deletes events that are older than `age`, and remembers that it did. Answers how many there were.
    ///
    /// # Errors
    /// If somebody else than the program asks.
    pub async fn delete_older_than(&self, age: Duration) -> Result<u64, ServiceError> {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    if !draft.giver().await?.is_program() {
                        return Err(ServiceError::Forbidden("only the program deletes events"));
                    }
                    let before =
                        Timestamp(draft.tx.now().0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
                    let deleted = draft.tx.delete_events(before).await?;
                    if deleted > 0 {
                        let details = json!({"before": before.to_string(), "deleted": deleted});
                        draft.audit(What::EventsDeleted, Target::Installation, details).await?;
                    }
                    Ok(deleted)
                })
            })
            .await
    }
}
