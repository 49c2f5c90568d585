//! What people do with their own account.

use super::ServiceError;
use super::account::{ProfileChange, found};
use super::actor::{Grantor, ResolvedActor};
use super::error::FieldErrors;
use super::password::Password;
use super::sessions::{Sessions, person, roles_of};
use crate::domain::{ConditionClause, Owner, PasswordHash, Permission, Role, TokenAuthority};

/// What somebody changes of their own account. What is `None` stays.
#[derive(Clone, Default, Debug)]
pub struct ProfileUpdate {
    /// The e-mail address to sign in with. It takes the current password, and ends every session.
    pub email: Option<String>,
    /// First name; may be empty.
    pub firstname: Option<String>,
    /// Last name; may be empty.
    pub lastname: Option<String>,
    /// A name they choose, or none.
    pub username: Option<Option<String>>,
    /// The password to sign in with. It takes the current one, and ends every session.
    pub password: Option<Password>,
    /// The password they have now.
    pub current_password: Option<Password>,
}

impl Sessions {
    /// Who asks, with their roles; a token asks for its owner.
    ///
    /// # Errors
    /// If nobody is signed in, or a content token asks.
    pub async fn me(&self) -> Result<(Owner, Vec<Role>), ServiceError> {
        let mut view = self.0.view().await?;
        let owner = match self.0.actor(&mut view).await? {
            ResolvedActor::Token(token) => {
                let id = token.owner().ok_or(ServiceError::Forbidden("a content token is nobody's"))?;
                found(&mut *view, id).await?
            }
            actor => person(actor)?,
        };
        let roles = roles_of(&mut *view, &owner).await?;
        Ok((owner, roles))
    }

    /// Changes the account of whoever asks. A new e-mail address or password takes the current password, and ends all of their
    /// sessions, this one too.
    ///
    /// # Errors
    /// If a field is wrong, the address is taken, the current password is wrong or was guessed at too often, or a token asks.
    pub async fn update_me(&self, update: ProfileUpdate) -> Result<Owner, ServiceError> {
        let ProfileUpdate { email, firstname, lastname, username, password, current_password } = update;
        let mut view = self.0.view().await?;
        let before = person(self.0.actor(&mut view).await?)?;
        let id = before.id;
        let kept = view.password(id).await?;
        drop(view);
        let mut wrong = FieldErrors::default();
        let profile = ProfileChange { email, firstname, lastname, username }.checked(&mut wrong)?;
        let after = profile.clone().onto(&before);
        if let Some(password) = &password {
            password.judge("password", &after.email, &mut wrong);
        }
        wrong.done()?;
        let needs_proof = password.is_some() || after.email != before.email;
        let proven = match needs_proof {
            true => Some(self.prove(&before, current_password, kept).await?),
            false => None,
        };
        let people = &self.0.writer.people;
        let hash = match &password {
            Some(password) => Some(people.hasher.hash(password, &*self.0.writer.entropy).await?),
            None => None,
        };
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let before = person(draft.actor().await?)?;
                    draft.unchanged("owner", before.version())?;
                    let after = profile.onto(&before);
                    let moves = after.email != before.email;
                    if (moves || hash.is_some()) && (proven.is_none() || draft.tx.password(id).await? != proven) {
                        return Err(not_proven());
                    }
                    draft.set_profile(&before, &after).await?;
                    if let Some(hash) = &hash {
                        draft.set_password(id, hash).await?;
                    }
                    if moves || hash.is_some() {
                        draft.end_sessions(id).await?;
                    }
                    draft.found(id).await
                })
            })
            .await
    }

    /// Makes sure that it is them, by their password; answers with its hash. Guesses are counted as those of signing in are.
    async fn prove(
        &self,
        who: &Owner,
        password: Option<Password>,
        kept: Option<PasswordHash>,
    ) -> Result<PasswordHash, ServiceError> {
        let people = &self.0.writer.people;
        let Some(password) = password else { return Err(not_proven()) };
        let reserved = people.throttle.reserve_in_session(&who.email, self.0.origin.address);
        let mut reserved = reserved.map_err(ServiceError::TooManyAttempts)?;
        let verified = match people.hasher.place(reserved.lane()) {
            Ok(place) => match people.hasher.turn(place).await {
                Ok(turn) => {
                    reserved.checks();
                    people.hasher.verify(turn, &password, kept.as_ref()).await
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match (verified, kept) {
            (Ok(true), Some(kept)) => {
                reserved.succeeded();
                Ok(kept)
            }
            (Ok(_), _) => Err(not_proven()),
            (Err(error), _) => {
                reserved.give_back();
                Err(error)
            }
        }
    }

    /// What whoever asks may do: a person all that their roles hold, a token its grants, under the conditions that they have.
    ///
    /// # Errors
    /// If nobody is signed in, or a content token asks.
    pub async fn permissions(&self) -> Result<Vec<Permission>, ServiceError> {
        let mut view = self.0.view().await?;
        match self.0.actor(&mut view).await? {
            ResolvedActor::Person(Grantor { ceiling, .. }) => Ok(self.0.writer.held(ceiling)),
            ResolvedActor::Token(token) => {
                let TokenAuthority::Admin { owner, grants } = token.authority else {
                    return Err(ServiceError::Forbidden("a content token has no permissions of this kind"));
                };
                let ceiling = view.ceiling(owner).await?;
                let ceiling = ceiling.index();
                let held = grants.into_iter().filter(|g| ceiling.meets(g));
                Ok(held
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

fn not_proven() -> ServiceError {
    ServiceError::invalid("currentPassword", "must be the current password")
}
