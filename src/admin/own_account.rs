//! Changes of a person's own account.

use super::ServiceError;
use super::account_policy::reject_account;
use super::actor::{Grantor, ResolvedActor};
use super::error::FieldErrors;
use super::password::Password;
use super::profile::{ProfileChange, load_owner, load_roles_of};
use super::sessions::{Sessions, person};
use super::unit_of_work::UnitOfWork;
use crate::domain::{ConditionClause, FieldName, Owner, PasswordHash, Permission, Role, TokenAuthority};

/// A change of one's own account. `None` leaves a field as it is.
#[derive(Clone, Default, Debug)]
pub struct ProfileUpdate {
    /// The e-mail address to sign in with. A new one takes the current password, and ends every session.
    pub email: Option<String>,
    /// First name; may be empty.
    pub firstname: Option<String>,
    /// Last name; may be empty.
    pub lastname: Option<String>,
    /// A name that the person chooses, or none.
    pub username: Option<Option<String>>,
    /// The password to sign in with. A new one takes the current one, and ends every session.
    pub password: Option<Password>,
    /// The current password.
    pub current_password: Option<Password>,
}

impl Sessions {
    /// Returns the account that acts, with its roles. For an admin token it is the owner's account.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) if no person is signed in, or the actor is a content token.
    pub async fn me(&self) -> Result<(Owner, Vec<Role>), ServiceError> {
        let mut view = self.0.view().await?;
        let owner = match self.0.actor(&mut *view).await? {
            ResolvedActor::Token(token) => {
                let id = token.owner().ok_or(ServiceError::Forbidden("a content token has no owner"))?;
                load_owner(&mut *view, id).await?
            }
            actor => person(actor)?,
        };
        let roles = load_roles_of(&mut *view, &owner).await?;
        Ok((owner, roles))
    }

    /// Changes the account of the person who acts. A new e-mail address or password takes the current password, and ends all of the
    /// person's sessions, including the one that acts.
    ///
    /// # Errors
    /// - [`Invalid`](ServiceError::Invalid) if a field is invalid or the current password is wrong;
    /// - [`Taken`](ServiceError::Taken) if the e-mail address is taken;
    /// - [`TooManyAttempts`](ServiceError::TooManyAttempts) if the current password was guessed too often;
    /// - [`Forbidden`](ServiceError::Forbidden) if no person is signed in.
    pub async fn update_me(&self, update: ProfileUpdate) -> Result<Owner, ServiceError> {
        let ProfileUpdate { email, firstname, lastname, username, password, current_password } = update;
        let mut view = self.0.view().await?;
        let before = person(self.0.actor(&mut *view).await?)?;
        let stored = view.password(before.id).await?;
        drop(view);
        let mut errors = FieldErrors::default();
        let profile = ProfileChange { email, firstname, lastname, username }.checked(&mut errors)?;
        let after = profile.clone().apply_to(&before);
        if let Some(password) = &password {
            password.check_strength(&after.email, &mut errors);
        }
        errors.into_result()?;
        let proven = match password.is_some() || after.email != before.email {
            true => Some(self.verify_current(&before, current_password, stored).await?),
            false => None,
        };
        let state = &self.0.state;
        let hash = match &password {
            Some(password) => Some(state.sign_in.hasher.hash(password, &*state.entropy).await?),
            None => None,
        };
        self.0.transact(move |unit| Box::pin(update_own(unit, profile, hash, proven))).await
    }

    /// Verifies the current password, and returns its hash. Wrong guesses count as those of signing in do.
    async fn verify_current(
        &self,
        owner: &Owner,
        password: Option<Password>,
        stored: Option<PasswordHash>,
    ) -> Result<PasswordHash, ServiceError> {
        let sign_in = &self.0.state.sign_in;
        let Some(password) = password else { return Err(wrong_password()) };
        let guess = sign_in.throttle.reserve_in_session(&owner.email, self.0.origin.address);
        let mut guess = guess.map_err(ServiceError::TooManyAttempts)?;
        let verified = match sign_in.hasher.place(guess.lane()) {
            Ok(place) => match sign_in.hasher.turn(place).await {
                Ok(turn) => {
                    guess.begin_check();
                    sign_in.hasher.verify(turn, &password, stored.as_ref()).await
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match (verified, stored) {
            (Ok(true), Some(stored)) => {
                guess.succeed();
                Ok(stored)
            }
            (Ok(_), _) => Err(wrong_password()),
            (Err(error), _) => {
                guess.refund();
                Err(error)
            }
        }
    }

    /// Lists the permissions of the actor: those of a person's roles, or the grants of an admin token with their conditions.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) if no person is signed in, or the actor is a content token.
    pub async fn permissions(&self) -> Result<Vec<Permission>, ServiceError> {
        let mut view = self.0.view().await?;
        match self.0.actor(&mut *view).await? {
            ResolvedActor::Person(Grantor { ceiling, .. }) => Ok(self.0.state.permissions_of(ceiling)),
            ResolvedActor::Token(token) => {
                let TokenAuthority::Admin { owner, grants } = token.authority else {
                    return Err(ServiceError::Forbidden("a content token has no permissions of this kind"));
                };
                let ceiling = self.0.ceiling(&mut *view, owner).await?;
                let ceiling = ceiling.index();
                let effective = grants.into_iter().filter(|g| ceiling.meets(g));
                Ok(effective
                    .map(|grant| {
                        let when = ConditionClause::from_list(ceiling.shown_conditions(&grant));
                        Permission { scope: grant.scope, when }
                    })
                    .collect())
            }
            _ => Err(ServiceError::Forbidden("sign in first")),
        }
    }
}

async fn update_own(
    unit: &mut UnitOfWork<'_>,
    profile: ProfileChange,
    password: Option<PasswordHash>,
    proven: Option<PasswordHash>,
) -> Result<Owner, ServiceError> {
    let before = person(unit.actor().await?)?;
    reject_account(&before)?;
    unit.check_version("owner", before.version())?;
    let after = profile.apply_to(&before);
    let needs_proof = password.is_some() || after.email != before.email;
    if needs_proof && (proven.is_none() || unit.view().password(before.id).await? != proven) {
        return Err(wrong_password());
    }
    unit.set_profile(&before, &after).await?;
    if let Some(hash) = &password {
        unit.set_password(before.id, hash).await?;
    }
    unit.load_owner(before.id).await
}

fn wrong_password() -> ServiceError {
    ServiceError::invalid(FieldName::CurrentPassword, "must be the current password")
}
