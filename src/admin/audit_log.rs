//! The audit log service.

use super::ServiceError;
use super::audit_visibility::AuditVisibility;
use super::context::{ServiceContext, actor_methods};
use super::unit_of_work::UnitOfWork;
use crate::domain::{AuditEvent, AuditTarget, Timestamp, TokenId, TokenKind};
use crate::store::{EventQuery, Page, View};
use std::time::Duration;

/// The audit log service: reads the audit log. Returned by [`Keyward::audit`](crate::Keyward::audit).
///
/// The host program and super admins read all of it. Other actors see as much of an event as they may see of its target: nothing of
/// admin tokens and sessions of other owners; of users, roles and content tokens what `admin::users.read`, `admin::roles.read` and
/// `admin::api-tokens.read` list. Of other events they learn the action and the time: the target is [`AuditTarget::Withheld`], the actor
/// may be [`Actor::Withheld`](crate::admin::Actor::Withheld), and there are no cause and no details. So every actor sees the same number
/// of events and pages.
#[derive(Clone, Debug)]
pub struct AuditLog(pub(super) ServiceContext);

actor_methods!(AuditLog);

impl AuditLog {
    fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self(f(self.0))
    }

    /// Returns what the actor may see.
    pub(super) async fn visibility(&self, view: &mut dyn View) -> Result<AuditVisibility, ServiceError> {
        let actor = self.0.actor(view).await?;
        AuditVisibility::of(&self.0, view, &actor).await
    }

    /// Lists a page of events with their ids, the latest first.
    ///
    /// A query for a target or an actor that the caller may not see has no events, like one for a target that does not exist. A query
    /// for another actor leaves out events about tokens and sessions of other owners.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) if the actor is a visitor.
    pub async fn list(&self, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, ServiceError> {
        let mut view = self.0.view().await?;
        let visibility = self.visibility(&mut *view).await?;
        let Some(query) = visibility.restrict(&mut *view, query).await? else {
            return Ok(Page { items: Vec::new(), total: 0 });
        };
        let Page { items, total } = view.events(&query).await?;
        Ok(Page { items: visibility.redact(&mut *view, items).await?, total })
    }

    /// Lists a page of events about an admin token, for its owner and super admins.
    ///
    /// # Errors
    /// [`NotFound`](ServiceError::NotFound) if there is no such token, or the actor may not see it.
    pub async fn of_token(&self, id: TokenId, query: &EventQuery) -> Result<Page<(i64, AuditEvent)>, ServiceError> {
        let mut view = self.0.view().await?;
        let actor = self.0.actor(&mut *view).await?;
        let owner = actor.visible_tokens()?;
        let is_visible =
            |t: &crate::domain::Token| t.kind() == TokenKind::Admin && (owner.is_none() || t.owner() == owner);
        let token = view.token(id).await?.filter(is_visible).ok_or(ServiceError::NotFound("token"))?;
        let query = EventQuery { target: Some(AuditTarget::Token(id, token.kind())), ..query.clone() };
        let Page { items, total } = view.events(&query).await?;
        let visibility = AuditVisibility::of(&self.0, &mut *view, &actor).await?;
        Ok(Page { items: visibility.redact(&mut *view, items).await?, total })
    }

    /// Deletes the events that are older than `age`, and records that in an event. Returns how many there were.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program.
    pub async fn delete_older_than(&self, age: Duration) -> Result<u64, ServiceError> {
        self.0.transact(move |unit| Box::pin(delete_older_than(unit, age))).await
    }
}

async fn delete_older_than(unit: &mut UnitOfWork<'_>, age: Duration) -> Result<u64, ServiceError> {
    if !unit.grantor().await?.is_program() {
        return Err(ServiceError::Forbidden("only the host program can delete events"));
    }
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp(unit.now().0.saturating_sub(age));
    let deleted = unit.delete_events(before).await?;
    if deleted == 0 {
        unit.skip_commit();
    }
    Ok(deleted)
}
