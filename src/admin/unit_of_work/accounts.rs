//! Mutations of accounts: profile, state, roles, password and invitations.

use super::UnitOfWork;
use crate::admin::profile::load_owner;
use crate::admin::tokens::IssuedToken;
use crate::admin::{ServiceError, audit_details};
use crate::domain::{
    AuditAction, AuditCause, AuditTarget, Digest, FieldName, NewSecret, Owner, OwnerId, OwnerState, PasswordHash,
    RoleId, Tag, Timestamp, TokenKind, email_key,
};
use crate::store::{Clamp, Clamped, NewOwner, Profile};
use serde_json::{Value, json};

impl UnitOfWork<'_> {
    pub(in crate::admin) async fn load_owner(&mut self, id: OwnerId) -> Result<Owner, ServiceError> {
        load_owner(&mut *self.tx, id).await
    }

    /// Checks that no other owner has this e-mail address; without an address, that no other service has this name.
    pub(in crate::admin) async fn ensure_available(
        &mut self,
        email: &str,
        name: &str,
        own: Option<OwnerId>,
    ) -> Result<(), ServiceError> {
        let key = email_key(email, name, None);
        let taken = self.tx.owners_by_email(&[&key]).await?.into_iter().any(|(_, id)| own != Some(id));
        match (taken, email.is_empty()) {
            (true, true) => Err(ServiceError::Taken { field: FieldName::Firstname, message: "Name already taken" }),
            (true, false) => Err(ServiceError::Taken { field: FieldName::Email, message: "Email already taken" }),
            (false, _) => Ok(()),
        }
    }

    /// Adds an owner. `permit` decides once the id is known; its error rolls back.
    pub(in crate::admin) async fn create_owner(
        &mut self,
        new: NewOwner,
        permit: impl FnOnce(&Self, OwnerId) -> Result<(), ServiceError> + Send,
    ) -> Result<Owner, ServiceError> {
        self.insert_owner(new, AuditAction::OwnerCreated, permit).await
    }

    /// Adds an owner with an invitation. Returns when the invitation ends.
    pub(in crate::admin) async fn invite_owner(
        &mut self,
        new: NewOwner,
        invitation: &Digest,
        permit: impl FnOnce(&Self, OwnerId) -> Result<(), ServiceError> + Send,
    ) -> Result<(Owner, Timestamp), ServiceError> {
        let owner = self.insert_owner(new, AuditAction::OwnerInvited, permit).await?;
        let ends = self.insert_invitation(owner.id, invitation).await?;
        Ok((owner, ends))
    }

    async fn insert_owner(
        &mut self,
        new: NewOwner,
        action: AuditAction,
        permit: impl FnOnce(&Self, OwnerId) -> Result<(), ServiceError> + Send,
    ) -> Result<Owner, ServiceError> {
        let details = json!({"email": new.email, "roles": new.roles});
        let id = self.tx.insert_owner(new).await?;
        permit(self, id)?;
        self.invalidate(Tag::owner(id));
        self.audit(action, AuditTarget::Owner(id), details).await?;
        self.load_owner(id).await
    }

    /// Adds the first super admin with a password, and opens a session.
    pub(in crate::admin) async fn create_first_admin(
        &mut self,
        profile: Profile,
        password: &PasswordHash,
        session: NewSecret,
    ) -> Result<(Owner, IssuedToken), ServiceError> {
        let Profile { email, firstname, lastname, username } = profile;
        let roles = vec![RoleId::SUPER_ADMIN];
        let new = NewOwner { firstname, lastname, username, roles, ..NewOwner::new(email) };
        let details = json!({"email": new.email, "roles": new.roles, "first": true});
        let id = self.tx.insert_owner(new).await?;
        self.tx.set_password(id, password).await?;
        self.invalidate(Tag::owner(id));
        self.audit(AuditAction::OwnerCreated, AuditTarget::Owner(id), details).await?;
        let session = self.open_session(id, session).await?;
        Ok((self.load_owner(id).await?, session))
    }

    /// Registers an invited owner, and opens a session.
    pub(in crate::admin) async fn accept_invitation(
        &mut self,
        before: &Owner,
        profile: &Profile,
        password: &PasswordHash,
        session: NewSecret,
    ) -> Result<(Owner, IssuedToken), ServiceError> {
        let id = before.id;
        self.tx.update_owner(id, profile).await?;
        self.tx.set_password(id, password).await?;
        self.tx.set_owner_state(id, OwnerState::Active).await?;
        self.tx.delete_invitations(id).await?;
        self.invalidate(Tag::owner(id));
        self.audit(AuditAction::OwnerRegistered, AuditTarget::Owner(id), json!({"email": before.email})).await?;
        let session = self.open_session(id, session).await?;
        Ok((self.load_owner(id).await?, session))
    }

    /// Replaces an owner's invitation. Returns when the new one ends.
    pub(in crate::admin) async fn renew_invitation(
        &mut self,
        owner: &Owner,
        invitation: &Digest,
    ) -> Result<Timestamp, ServiceError> {
        let ends = self.insert_invitation(owner.id, invitation).await?;
        let details = json!({"email": owner.email});
        self.audit(AuditAction::OwnerInvitedAgain, AuditTarget::Owner(owner.id), details).await?;
        Ok(ends)
    }

    async fn insert_invitation(&mut self, id: OwnerId, invitation: &Digest) -> Result<Timestamp, ServiceError> {
        let ends = self.now().plus(self.state.settings.policy.invitation_lifespan);
        self.tx.insert_invitation(id, invitation, ends).await?;
        Ok(ends)
    }

    /// Deletes an owner's invitation, if there is one.
    pub(in crate::admin) async fn withdraw_invitation(&mut self, owner: &Owner) -> Result<(), ServiceError> {
        if self.tx.delete_invitations(owner.id).await? == 0 {
            return Ok(());
        }
        let details = json!({"email": owner.email});
        self.audit(AuditAction::InvitationWithdrawn, AuditTarget::Owner(owner.id), details).await
    }

    /// Sets a profile, if it differs. A new e-mail address ends the sessions, and also the invitations: the link went to the old
    /// address.
    pub(in crate::admin) async fn set_profile(&mut self, before: &Owner, after: &Profile) -> Result<(), ServiceError> {
        let mut details = audit_details::changes([
            ("email", json!(before.email), json!(after.email)),
            ("firstname", json!(before.firstname), json!(after.firstname)),
            ("lastname", json!(before.lastname), json!(after.lastname)),
            ("username", json!(before.username), json!(after.username)),
        ]);
        if details.is_empty() {
            return Ok(());
        }
        let email_changes = before.email != after.email;
        self.ensure_available(&after.email, &after.firstname, Some(before.id)).await?;
        self.tx.update_owner(before.id, after).await?;
        if email_changes && self.tx.delete_invitations(before.id).await? > 0 {
            details.insert("invitation".to_owned(), json!({"before": true, "after": false}));
        }
        self.invalidate(Tag::owner(before.id));
        self.audit(AuditAction::OwnerUpdated, AuditTarget::Owner(before.id), Value::Object(details)).await?;
        if email_changes {
            self.end_sessions(before.id).await?;
        }
        Ok(())
    }

    /// Sets the state of a registered account. Its invitations end, and its sessions too unless it is active.
    pub(in crate::admin) async fn set_owner_state(
        &mut self,
        before: &Owner,
        state: OwnerState,
    ) -> Result<(), ServiceError> {
        let id = before.id;
        self.tx.set_owner_state(id, state).await?;
        self.tx.delete_invitations(id).await?;
        self.invalidate(Tag::owner(id));
        let details = json!({"before": before.state, "after": state});
        self.audit(AuditAction::OwnerStateSet, AuditTarget::Owner(id), details).await?;
        if !state.is_active() {
            self.end_sessions(id).await?;
        }
        Ok(())
    }

    /// Sets an owner's roles, and clamps the owner's tokens.
    pub(in crate::admin) async fn set_owner_roles(
        &mut self,
        before: &Owner,
        roles: &[RoleId],
    ) -> Result<Clamped, ServiceError> {
        let (id, origin) = (before.id, self.origin.clone());
        self.tx.set_owner_roles(id, roles).await?;
        self.invalidate(Tag::owner(id));
        let details = json!({"before": before.roles, "after": roles});
        self.audit(AuditAction::OwnerRolesSet, AuditTarget::Owner(id), details).await?;
        Ok(self.tx.clamp(Clamp::Owner(id), &origin, AuditCause::OwnerRoles(id)).await?)
    }

    /// Sets an owner's password, and ends the owner's sessions.
    pub(in crate::admin) async fn set_password(
        &mut self,
        id: OwnerId,
        password: &PasswordHash,
    ) -> Result<(), ServiceError> {
        self.tx.set_password(id, password).await?;
        self.audit(AuditAction::PasswordSet, AuditTarget::Owner(id), json!({})).await?;
        self.end_sessions(id).await
    }

    /// Deletes an owner with the owner's tokens, sessions and invitations.
    pub(in crate::admin) async fn delete_owner(&mut self, owner: &Owner) -> Result<(), ServiceError> {
        let (id, origin) = (owner.id, self.origin.clone());
        let tokens = self.tx.count_tokens(TokenKind::Admin, Some(id)).await?;
        self.end_sessions(id).await?;
        self.tx.delete_owner(id, &origin).await?;
        self.invalidate(Tag::owner(id));
        let Owner { email, firstname, lastname, username, roles, .. } = owner;
        let details = json!({
            "email": email, "firstname": firstname, "lastname": lastname, "username": username, "roles": roles, "tokens": tokens,
        });
        self.audit(AuditAction::OwnerDeleted, AuditTarget::Owner(id), details).await
    }
}
