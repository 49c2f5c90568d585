//! Registering: the first super admin, and whoever was invited.

use super::ServiceError;
use super::account::ProfileChange;
use super::error::FieldErrors;
use super::password::Password;
use super::sessions::{Sessions, SignedIn, no_token, nobody};
use crate::domain::{
    Actor, AuditAction, AuditTarget, Digest, Owner, OwnerState, RoleId, Secret, Tag, TokenKind, is_loopback_host,
};
use crate::store::{NewOwner, View};
use serde_json::json;
use std::fmt;

const SOMEBODY: ServiceError = ServiceError::Impossible("there is somebody already: ask them for an invitation");

/// The first super admin.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    /// The e-mail address to sign in with.
    pub email: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// A name they choose.
    pub username: Option<String>,
    /// The password to sign in with.
    pub password: Password,
}

/// Somebody who accepts an invitation. [`Debug`] shows neither the invitation nor the password.
#[derive(Clone)]
pub struct Registration {
    /// The secret of the invitation, as it was presented.
    pub invitation: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// A name they choose.
    pub username: Option<String>,
    /// The password to sign in with from now on.
    pub password: Password,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("firstname", &self.firstname).finish_non_exhaustive()
    }
}

impl Sessions {
    /// The code that registering the first super admin takes, while nobody is there. It is this process's own, kept in memory only;
    /// print it where only whoever runs the server reads it.
    ///
    /// # Errors
    /// If the store cannot be asked, or somebody else than the program asks.
    pub async fn setup_code(&self) -> Result<Option<Secret>, ServiceError> {
        if self.0.origin.actor != Actor::Service {
            return Err(ServiceError::Forbidden("only the program shows the setup code"));
        }
        if !nobody(&mut *self.0.view().await?).await? {
            return Ok(None);
        }
        let writer = &self.0.writer;
        writer.people.setup_code(&writer.format, &*writer.entropy).map(Some)
    }

    /// Registers the first super admin and signs them in. For a visitor who comes over HTTP, use
    /// [`register_first_at`](Self::register_first_at).
    ///
    /// # Errors
    /// If there is somebody already, the code is wrong, or a field is.
    pub async fn register_first(&self, first: FirstAdmin, code: Option<&str>) -> Result<SignedIn, ServiceError> {
        let open = self.0.writer.settings.open_setup;
        self.register_super_admin(first, code, open, "must be the code that the server has printed").await
    }

    /// Registers the first super admin, who reached the server by the host that the request names (`Host`, or `:authority` of HTTP/2), and
    /// signs them in.
    ///
    /// Where the [first visitor is trusted](crate::Builder::allow_open_setup), the code can be left out only if that host is `localhost`, a
    /// name below it, or a loopback address. By any other name it may be a page of another origin that makes a browser on this machine ask
    /// (DNS rebinding).
    ///
    /// # Errors
    /// As for [`register_first`](Self::register_first).
    pub async fn register_first_at(
        &self,
        host: Option<&str>,
        first: FirstAdmin,
        code: Option<&str>,
    ) -> Result<SignedIn, ServiceError> {
        let open = self.0.writer.settings.open_setup;
        let why = match open {
            true => "open the server by localhost or its loopback address, or enter the setup code that it has printed",
            false => "must be the code that the server has printed",
        };
        self.register_super_admin(first, code, open && host.is_some_and(is_loopback_host), why).await
    }

    /// The same, without a code where it is `open`.
    async fn register_super_admin(
        &self,
        first: FirstAdmin,
        code: Option<&str>,
        open: bool,
        why: &str,
    ) -> Result<SignedIn, ServiceError> {
        no_token(self.0.origin.actor)?;
        let writer = self.0.writer.clone();
        if !nobody(&mut *self.0.view().await?).await? {
            return Err(SOMEBODY);
        }
        let known = code.is_some_and(|code| writer.people.is_setup_code(code));
        if !known && !open {
            return Err(ServiceError::invalid("setupCode", why));
        }
        let FirstAdmin { email, firstname, lastname, username, password } = first;
        let profile = ProfileChange {
            email: Some(email),
            firstname: Some(firstname),
            lastname: Some(lastname),
            username: Some(username),
        };
        let mut wrong = FieldErrors::default();
        let profile = profile.checked(&mut wrong)?;
        password.judge("password", profile.email.as_deref().unwrap_or_default(), &mut wrong);
        wrong.done()?;
        let hash = writer.people.hasher.hash(&password, &*writer.entropy).await?;
        let issued = self.0.issue(TokenKind::Session)?;
        let signed_in = self
            .0
            .make(move |draft| {
                Box::pin(async move {
                    // Two may have come at the same time.
                    if !nobody(&mut *draft.tx).await? {
                        return Err(SOMEBODY);
                    }
                    let roles = vec![RoleId::SUPER_ADMIN];
                    let new = NewOwner {
                        email: profile.email.unwrap_or_default(),
                        firstname: profile.firstname.unwrap_or_default(),
                        lastname: profile.lastname.unwrap_or_default(),
                        username: profile.username.flatten(),
                        state: OwnerState::Active,
                        roles,
                    };
                    let details = json!({"email": new.email, "roles": new.roles, "first": true});
                    let id = draft.tx.insert_owner(new).await?;
                    draft.tx.set_password(id, &hash).await?;
                    draft.touch(Tag::owner(id));
                    draft.audit(AuditAction::OwnerCreated, AuditTarget::Owner(id), details).await?;
                    let session = draft.open(id, issued).await?;
                    let owner = draft.found(id).await?;
                    draft.signed_in(owner, session).await
                })
            })
            .await?;
        writer.people.forget_setup_code();
        self.0.remember_place(&signed_in.owner.email);
        Ok(signed_in)
    }

    /// Whom an invitation is for: whoever holds it sees as whom they were invited.
    ///
    /// # Errors
    /// If it is unknown, used, replaced, withdrawn or over (nobody learns which).
    pub async fn invited(&self, invitation: &str) -> Result<Owner, ServiceError> {
        no_token(self.0.origin.actor)?;
        let digest = verified(&self.0, invitation).await?;
        invited(&mut *self.0.view().await?, &digest).await
    }

    /// Accepts an invitation, and signs in whoever does.
    ///
    /// # Errors
    /// If the invitation is unknown, used, replaced, withdrawn or over (nobody learns which), or a field is wrong.
    pub async fn register(&self, registration: Registration) -> Result<SignedIn, ServiceError> {
        no_token(self.0.origin.actor)?;
        let Registration { invitation, firstname, lastname, username, password } = registration;
        let digest = verified(&self.0, &invitation).await?;
        let profile = ProfileChange {
            email: None,
            firstname: Some(firstname),
            lastname: Some(lastname),
            username: Some(username),
        };
        let mut view = self.0.view().await?;
        let email = invited(&mut *view, &digest).await?.email;
        drop(view);
        let mut wrong = FieldErrors::default();
        let profile = profile.checked(&mut wrong)?;
        password.judge("password", &email, &mut wrong);
        wrong.done()?;
        let writer = self.0.writer.clone();
        let hash = writer.people.hasher.hash(&password, &*writer.entropy).await?;
        let issued = self.0.issue(TokenKind::Session)?;
        let signed_in = self
            .0
            .make(move |draft| {
                Box::pin(async move {
                    // Somebody else may have been faster, or the invitation may be over by now.
                    let before = invited(&mut *draft.tx, &digest).await?;
                    let id = before.id;
                    draft.tx.update_owner(id, &profile.onto(&before)).await?;
                    draft.tx.set_password(id, &hash).await?;
                    draft.tx.set_owner_state(id, OwnerState::Active).await?;
                    draft.tx.delete_invitations(id).await?;
                    draft.touch(Tag::owner(id));
                    draft
                        .audit(AuditAction::OwnerRegistered, AuditTarget::Owner(id), json!({"email": before.email}))
                        .await?;
                    let session = draft.open(id, issued).await?;
                    let owner = draft.found(id).await?;
                    draft.signed_in(owner, session).await
                })
            })
            .await?;
        self.0.remember_place(&signed_in.owner.email);
        Ok(signed_in)
    }
}

/// Returns the digest of an invitation. With the wrong hash key a genuine invitation looks made up, so the keys are judged first.
async fn verified(change: &super::ServiceContext, invitation: &str) -> Result<Digest, ServiceError> {
    match change.writer.format.verify_invitation(invitation) {
        Ok(digest) => Ok(digest),
        Err(_) => {
            change.writer.keys.judge(&change.view().await?.key_checks().await?)?;
            Err(dead())
        }
    }
}

/// Whom an invitation is for, if it can still be accepted.
async fn invited(view: &mut dyn View, digest: &Digest) -> Result<Owner, ServiceError> {
    let (id, ends) = view.invitation(digest).await?.ok_or_else(dead)?;
    if view.now() >= ends {
        return Err(dead());
    }
    view.owner(id).await?.filter(|o| o.state == OwnerState::Invited).ok_or_else(dead)
}

fn dead() -> ServiceError {
    ServiceError::invalid("registrationToken", "must be an invitation that was not used and is not over")
}
