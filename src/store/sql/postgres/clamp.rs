//! Removal of grants that are no longer held: one query for any number of tokens.

use super::view::Writing;
use super::{corrupt, events, lists, rows, statements};
use crate::domain::{AuditAction, AuditCause, AuditOrigin, RoleId};
use crate::store::{Clamp, Clamped, StoreError, View};

impl Writing<'_> {
    pub(super) async fn clamp_grants(
        &mut self,
        clamp: Clamp<'_>,
        origin: &AuditOrigin,
        cause: AuditCause,
    ) -> Result<Clamped, StoreError> {
        let now = self.now();
        let event = |statement| events::bind_event(statement, now, origin, AuditAction::GrantClamped, Some(cause));
        let super_admin = RoleId::SUPER_ADMIN.0;
        let (permissions, grants) = match clamp {
            Clamp::Members(id) => (0, event(statements::CLAMP_MEMBERS).bind(id.0).bind(super_admin)),
            Clamp::Owner(id) => (0, event(statements::CLAMP_OWNER).bind(id.0).bind(super_admin)),
            Clamp::Unknown(known) => {
                let permissions = self.clamp_permissions(known, origin, cause).await?;
                (permissions, event(statements::CLAMP_UNKNOWN).bind(lists::actions(known)))
            }
            Clamp::Listed(places) => (0, event(statements::CLAMP_LISTED).bind(lists::places(places))),
        };
        let row = self.row(grants).await?.ok_or_else(|| corrupt("grants", "no row"))?;
        let number = |column| rows::unsigned(column, rows::get(&row, column)?);
        Ok(Clamped { tokens: number("tokens")?, grants: number("grants")?, permissions })
    }
}
