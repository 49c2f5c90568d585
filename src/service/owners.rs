//! Owners: the people whom tokens belong to.

use super::ServiceError;
use super::error::named;
use super::write::{Change, Draft};
use crate::domain::{Owner, OwnerId, OwnerState, RoleId, Tag, Target, What};
use crate::store::NewOwner;
use serde_json::json;

/// Changes owners. Made by [`Keyward::owners`](crate::Keyward::owners).
#[derive(Clone, Debug)]
pub struct Owners(pub(super) Change);

impl Owners {
    /// Adds an owner.
    ///
    /// # Errors
    /// If the e-mail address is none or is taken, or a role does not exist.
    pub async fn create(&self, new: NewOwner) -> Result<Owner, ServiceError> {
        let email = named("email", &new.email)?;
        if !email.contains('@') || email.contains(char::is_whitespace) {
            return Err(ServiceError::invalid("email", "must be an e-mail address"));
        }
        for (path, text) in [("firstname", &new.firstname), ("lastname", &new.lastname)] {
            if !text.is_empty() {
                named(path, text)?;
            }
        }
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    if draft.tx.email_taken(&email).await? {
                        return Err(ServiceError::invalid("email", "is taken already"));
                    }
                    roles_exist(draft, &new.roles).await?;
                    let roles = new.roles.clone();
                    let id = draft.tx.insert_owner(NewOwner { email, ..new }).await?;
                    draft.touch(Tag::owner(id));
                    draft.audit(What::OwnerCreated, Target::Owner(id), json!({"roles": roles})).await?;
                    found(draft, id).await
                })
            })
            .await
    }

    /// Sets where an account stands. An owner who is no longer active loses their sessions for good, and the use of their
    /// tokens until they are active again.
    ///
    /// # Errors
    /// If there is no such owner, it is the last active super admin, or the state is `Invited`.
    pub async fn set_state(&self, id: OwnerId, state: OwnerState) -> Result<Owner, ServiceError> {
        if state == OwnerState::Invited {
            return Err(ServiceError::invalid("state", "nobody becomes invited again"));
        }
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let before = found(draft, id).await?;
                    if !state.is_active() {
                        keep_a_super_admin(draft, &before).await?;
                        for session in draft.tx.delete_sessions(id).await? {
                            draft.touch(Tag::token(&session));
                        }
                    }
                    draft.tx.set_owner_state(id, state).await?;
                    draft.touch(Tag::owner(id));
                    let details = json!({"before": before.state, "after": state});
                    draft.audit(What::OwnerStateSet, Target::Owner(id), details).await?;
                    found(draft, id).await
                })
            })
            .await
    }

    /// Replaces an owner's roles.
    ///
    /// # Errors
    /// If there is no such owner or role, or the last active super admin would be none any more.
    pub async fn set_roles(&self, id: OwnerId, roles: Vec<RoleId>) -> Result<Owner, ServiceError> {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let before = found(draft, id).await?;
                    roles_exist(draft, &roles).await?;
                    if !roles.contains(&RoleId::SUPER_ADMIN) {
                        keep_a_super_admin(draft, &before).await?;
                    }
                    draft.tx.set_owner_roles(id, &roles).await?;
                    draft.touch(Tag::owner(id));
                    let details = json!({"before": before.roles, "after": roles});
                    draft.audit(What::OwnerRolesSet, Target::Owner(id), details).await?;
                    found(draft, id).await
                })
            })
            .await
    }
}

async fn found(draft: &mut Draft, id: OwnerId) -> Result<Owner, ServiceError> {
    draft.tx.owner(id).await?.ok_or(ServiceError::NotFound("owner"))
}

async fn roles_exist(draft: &mut Draft, roles: &[RoleId]) -> Result<(), ServiceError> {
    for (i, role) in roles.iter().enumerate() {
        if draft.tx.role(*role).await?.is_none() {
            return Err(ServiceError::invalid(format!("roles.{i}"), format!("there is no role {role}")));
        }
    }
    Ok(())
}

async fn keep_a_super_admin(draft: &mut Draft, owner: &Owner) -> Result<(), ServiceError> {
    let counts = owner.is_super_admin() && owner.state.is_active();
    if counts && draft.tx.other_super_admins(owner.id).await? == 0 {
        return Err(ServiceError::LastSuperAdmin);
    }
    Ok(())
}
