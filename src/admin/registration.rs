//! Registration: of the first super admin, and of invited owners.

use super::ServiceError;
use super::context::ServiceContext;
use super::error::FieldErrors;
use super::password::Password;
use super::profile::ProfileChange;
use super::sessions::{Sessions, SignedIn, reject_tokens};
use super::unit_of_work::UnitOfWork;
use crate::domain::{
    Actor, Digest, FieldName, NewSecret, Owner, OwnerState, PasswordHash, Secret, TokenKind, is_loopback_host,
};
use crate::store::{Profile, View};
use std::fmt;

const HAS_ACCOUNTS: ServiceError =
    ServiceError::Impossible("the installation has accounts already: ask a super admin for an invitation");

/// The first super admin.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    /// The e-mail address to sign in with.
    pub email: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// A name that the person chooses.
    pub username: Option<String>,
    /// The password to sign in with.
    pub password: Password,
}

/// The acceptance of an invitation. [`Debug`] shows neither the invitation nor the password.
#[derive(Clone)]
pub struct Registration {
    /// The secret of the invitation, as the client presented it.
    pub invitation: String,
    /// First name; may be empty.
    pub firstname: String,
    /// Last name; may be empty.
    pub lastname: String,
    /// A name that the person chooses.
    pub username: Option<String>,
    /// The password to sign in with.
    pub password: Password,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("firstname", &self.firstname).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Returns the code that the registration of the first super admin takes, or `None` if there are accounts. Each process has its own,
    /// in memory only. Print it where only the operators of the server read it.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program.
    pub async fn setup_code(&self) -> Result<Option<Secret>, ServiceError> {
        if self.0.origin.actor != Actor::Service {
            return Err(ServiceError::Forbidden("only the host program can read the setup code"));
        }
        if self.0.view().await?.has_owners().await? {
            return Ok(None);
        }
        let state = &self.0.state;
        state.sign_in.setup_code(&state.format, &*state.entropy).map(Some)
    }

    /// Registers the first super admin and signs them in. For a visitor over HTTP, use
    /// [`register_first_at`](Self::register_first_at).
    ///
    /// # Errors
    /// - [`Impossible`](ServiceError::Impossible) if there are accounts;
    /// - [`Invalid`](ServiceError::Invalid) if the code or a field is invalid.
    pub async fn register_first(&self, first: FirstAdmin, code: Option<&str>) -> Result<SignedIn, ServiceError> {
        let open = self.0.state.settings.open_setup;
        self.register_super_admin(first, code, open, "must be the code that the server has printed").await
    }

    /// Registers the first super admin, who reached the server by the host that the request names (`Host`, or `:authority` of HTTP/2), and
    /// signs them in.
    ///
    /// With [`allow_open_setup`](crate::Builder::allow_open_setup), the code can be left out only if that host is `localhost`, a name below
    /// it, or a loopback address. By any other name the request may come from a page of another origin, in a browser on this machine (DNS
    /// rebinding).
    ///
    /// # Errors
    /// As for [`register_first`](Self::register_first).
    pub async fn register_first_at(
        &self,
        host: Option<&str>,
        first: FirstAdmin,
        code: Option<&str>,
    ) -> Result<SignedIn, ServiceError> {
        let open = self.0.state.settings.open_setup;
        let message = match open {
            true => "open the server by localhost or its loopback address, or enter the setup code that it has printed",
            false => "must be the code that the server has printed",
        };
        self.register_super_admin(first, code, open && host.is_some_and(is_loopback_host), message).await
    }

    /// Registers the first super admin. With `open`, it takes no code.
    async fn register_super_admin(
        &self,
        first: FirstAdmin,
        code: Option<&str>,
        open: bool,
        wrong_code: &str,
    ) -> Result<SignedIn, ServiceError> {
        reject_tokens(self.0.origin.actor)?;
        let state = self.0.state.clone();
        if self.0.view().await?.has_owners().await? {
            return Err(HAS_ACCOUNTS);
        }
        let is_right = code.is_some_and(|code| state.sign_in.is_setup_code(code));
        if !is_right && !open {
            return Err(ServiceError::invalid(FieldName::SetupCode, wrong_code));
        }
        let FirstAdmin { email, firstname, lastname, username, password } = first;
        let profile = ProfileChange {
            email: Some(email),
            firstname: Some(firstname),
            lastname: Some(lastname),
            username: Some(username),
        };
        let mut errors = FieldErrors::default();
        let profile = profile.checked(&mut errors)?.into_profile();
        password.check_strength(&profile.email, &mut errors);
        errors.into_result()?;
        let hash = state.sign_in.hasher.hash(&password, &*state.entropy).await?;
        let issued = self.0.issue(TokenKind::Session)?;
        let signed_in = self.0.transact(move |unit| Box::pin(create_first(unit, profile, hash, issued))).await?;
        state.sign_in.forget_setup_code();
        self.0.remember_network(&signed_in.owner.email);
        Ok(signed_in)
    }

    /// Returns the owner that an invitation is for.
    ///
    /// # Errors
    /// [`Invalid`](ServiceError::Invalid) if it is unknown, used, replaced, withdrawn or expired. The error does not tell which.
    pub async fn invited(&self, invitation: &str) -> Result<Owner, ServiceError> {
        reject_tokens(self.0.origin.actor)?;
        let digest = verify_invitation(&self.0, invitation).await?;
        load_invited(&mut *self.0.view().await?, &digest).await
    }

    /// Accepts an invitation, and signs in the owner.
    ///
    /// # Errors
    /// [`Invalid`](ServiceError::Invalid) if a field is invalid, or the invitation is unknown, used, replaced, withdrawn or expired. The error
    /// does not tell which.
    pub async fn register(&self, registration: Registration) -> Result<SignedIn, ServiceError> {
        reject_tokens(self.0.origin.actor)?;
        let Registration { invitation, firstname, lastname, username, password } = registration;
        let digest = verify_invitation(&self.0, &invitation).await?;
        let profile = ProfileChange {
            email: None,
            firstname: Some(firstname),
            lastname: Some(lastname),
            username: Some(username),
        };
        let mut view = self.0.view().await?;
        let email = load_invited(&mut *view, &digest).await?.email;
        drop(view);
        let mut errors = FieldErrors::default();
        let profile = profile.checked(&mut errors)?;
        password.check_strength(&email, &mut errors);
        errors.into_result()?;
        let state = self.0.state.clone();
        let hash = state.sign_in.hasher.hash(&password, &*state.entropy).await?;
        let issued = self.0.issue(TokenKind::Session)?;
        let signed_in = self.0.transact(move |unit| Box::pin(accept(unit, digest, profile, hash, issued))).await?;
        self.0.remember_network(&signed_in.owner.email);
        Ok(signed_in)
    }
}

async fn create_first(
    unit: &mut UnitOfWork<'_>,
    profile: Profile,
    password: PasswordHash,
    issued: NewSecret,
) -> Result<SignedIn, ServiceError> {
    // Two may have registered at the same time.
    if unit.view().has_owners().await? {
        return Err(HAS_ACCOUNTS);
    }
    let (owner, session) = unit.create_first_admin(profile, &password, issued).await?;
    SignedIn::load(unit, owner, session).await
}

async fn accept(
    unit: &mut UnitOfWork<'_>,
    invitation: Digest,
    profile: ProfileChange,
    password: PasswordHash,
    issued: NewSecret,
) -> Result<SignedIn, ServiceError> {
    // The invitation may have been accepted or have expired while the password was hashed.
    let before = load_invited(unit.view(), &invitation).await?;
    let profile = profile.apply_to(&before);
    let (owner, session) = unit.accept_invitation(&before, &profile, &password, issued).await?;
    SignedIn::load(unit, owner, session).await
}

/// Returns the digest of an invitation.
///
/// # Errors
/// [`ServiceError::KeyMismatch`] if the hash key is wrong, as then every genuine invitation looks malformed;
/// [`ServiceError::Invalid`] if the invitation is malformed.
async fn verify_invitation(context: &ServiceContext, invitation: &str) -> Result<Digest, ServiceError> {
    match context.state.format.verify_invitation(invitation) {
        Ok(digest) => Ok(digest),
        Err(_) => {
            context.state.keys.judge(&context.view().await?.key_checks().await?)?;
            Err(invalid_invitation())
        }
    }
}

/// Loads the owner of an invitation that can still be accepted.
async fn load_invited(view: &mut dyn View, invitation: &Digest) -> Result<Owner, ServiceError> {
    let (id, ends) = view.invitation(invitation).await?.ok_or_else(invalid_invitation)?;
    if view.now() >= ends {
        return Err(invalid_invitation());
    }
    view.owner(id).await?.filter(|o| o.state == OwnerState::Invited).ok_or_else(invalid_invitation)
}

fn invalid_invitation() -> ServiceError {
    ServiceError::invalid(FieldName::Invitation, "must be an invitation that was not used and is not over")
}
