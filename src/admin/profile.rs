//! Checks profiles of accounts, and loads accounts with their roles.

use super::ServiceError;
use super::error::FieldErrors;
use super::text_fields::{checked_name, reject_hidden};
use crate::domain::{AllowedHidden, FieldName, Owner, OwnerId, comparable, compose};
use crate::store::{Profile, View};

/// A change of a profile. `None` leaves a field as it is.
#[derive(Clone, Default)]
pub(super) struct ProfileChange {
    pub(super) email: Option<String>,
    pub(super) firstname: Option<String>,
    pub(super) lastname: Option<String>,
    pub(super) username: Option<Option<String>>,
}

impl ProfileChange {
    /// Returns the change in its stored form, and collects its errors.
    pub(super) fn checked(self, errors: &mut FieldErrors) -> Result<Self, ServiceError> {
        let Self { email, firstname, lastname, username } = self;
        let mut name = |field: FieldName, text: Option<String>| match text {
            Some(text) if text.trim().is_empty() => Ok(Some(String::new())),
            Some(text) => errors.collect(checked_name(field, &text)),
            None => Ok(None),
        };
        let firstname = name(FieldName::Firstname, firstname)?;
        let lastname = name(FieldName::Lastname, lastname)?;
        let username = match username {
            Some(Some(text)) => name(FieldName::Username, Some(text))?.map(|name| Some(name).filter(|n| !n.is_empty())),
            other => other,
        };
        let email = email.map(|email| errors.collect(checked_email(&email))).transpose()?.flatten();
        Ok(Self { email, firstname, lastname, username })
    }

    /// Applies the change to an owner's profile.
    pub(super) fn apply_to(self, before: &Owner) -> Profile {
        Profile {
            email: self.email.unwrap_or_else(|| before.email.clone()),
            firstname: self.firstname.unwrap_or_else(|| before.firstname.clone()),
            lastname: self.lastname.unwrap_or_else(|| before.lastname.clone()),
            username: self.username.unwrap_or_else(|| before.username.clone()),
        }
    }

    /// Returns the profile of a new account. Fields without a value are empty.
    pub(super) fn into_profile(self) -> Profile {
        Profile {
            email: self.email.unwrap_or_default(),
            firstname: self.firstname.unwrap_or_default(),
            lastname: self.lastname.unwrap_or_default(),
            username: self.username.flatten(),
        }
    }
}

/// The most bytes of an e-mail address (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const EMAIL_LENGTH: usize = 254;

/// Returns an e-mail address in its stored form: trimmed, in lower case and composed (NFC).
///
/// It checks the form only, not whether the address exists.
///
/// # Errors
/// [`ServiceError::Invalid`] if the address is malformed or too long.
pub(super) fn checked_email(text: &str) -> Result<String, ServiceError> {
    let field = FieldName::Email;
    let text = text.trim();
    let too_long = || ServiceError::invalid(field, format!("must have at most {EMAIL_LENGTH} bytes"));
    if text.len() > 4 * EMAIL_LENGTH {
        return Err(too_long());
    }
    let text = compose(&text.to_lowercase());
    let parts = text.split_once('@');
    let parts = parts.filter(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'));
    if parts.is_none() || text.contains(char::is_whitespace) {
        return Err(ServiceError::invalid(field, "must be an e-mail address"));
    }
    reject_hidden(field, &text, AllowedHidden::None)?;
    // The comparable form is stored too, and may be longer.
    if text.len() > EMAIL_LENGTH || comparable(&text).len() > 4 * EMAIL_LENGTH {
        return Err(too_long());
    }
    Ok(text)
}

pub(super) async fn load_owner(view: &mut dyn View, id: OwnerId) -> Result<Owner, ServiceError> {
    view.owner(id).await?.ok_or(ServiceError::NotFound("owner"))
}

#[cfg(feature = "people")]
pub(super) async fn load_roles_of(
    view: &mut dyn View,
    owner: &Owner,
) -> Result<Vec<crate::domain::Role>, ServiceError> {
    let mut roles = Vec::with_capacity(owner.roles.len());
    for id in &owner.roles {
        roles.extend(view.role(*id).await?);
    }
    Ok(roles)
}
