//! Removal of grants that are no longer held: a fixed number of statements for any number of tokens.

use super::view::Writing;
use super::{events, lists, statements};
use crate::domain::{AuditAction, AuditCause, AuditOrigin, RoleId};
use crate::store::{Clamp, Clamped, StoreError, View};
use sqlx::query;

impl Writing<'_> {
    pub(super) async fn clamp_grants(
        &mut self,
        clamp: Clamp<'_>,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        let super_admin = RoleId::SUPER_ADMIN.0;
        let (permissions, mark) = match clamp {
            Clamp::Members(id) => (0, query(statements::MARK_OF_MEMBERS).bind(id.0).bind(super_admin)),
            Clamp::Owner(id) => (0, query(statements::MARK_OF_OWNER).bind(id.0).bind(super_admin)),
            Clamp::Unknown(known) => {
                let permissions = self.clamp_permissions(known, origin, cause).await?;
                (permissions, query(statements::MARK_UNKNOWN).bind(lists::actions(known)))
            }
            Clamp::Listed(places) => (0, query(statements::MARK_LISTED).bind(lists::places(places))),
        };
        let (grants, mut tokens) = (self.execute(mark).await?, 0);
        if grants > 0 {
            tokens = self.count(query(statements::COUNT_MARKED)).await?;
            let now = self.now();
            let what = AuditAction::GrantClamped;
            self.execute(events::bind_event(statements::AUDIT_MARKED, now, origin, what, Some(cause))).await?;
            self.execute(query(statements::DELETE_MARKED)).await?;
            self.execute(query(statements::UNMARK)).await?;
        }
        Ok(Clamped { tokens, grants, permissions })
    }
}
