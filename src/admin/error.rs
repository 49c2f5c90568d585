//! What a service answers where it does not do what it was asked.

use crate::domain::{AllowedHidden, KeyMismatch, NoEntropy, Reason, comparable, compose, find_hidden};
use crate::store::StoreError;
use std::fmt;
use std::time::Duration;

/// A service did not do what it was asked, and changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// There is no such thing, or none for whoever asked.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The actor may not do it. The text says why.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// Permissions or roles are more than the actor may give away. Each of them is named.
    #[error("not allowed: {}", FieldErrorList(.0))]
    Exceeds(Vec<FieldError>),
    /// The credential that admitted the request is no longer valid: revoked, regenerated, expired, its session ended or its owner
    /// deactivated since. Nothing was changed.
    #[error("the credential is no longer valid: sign in again, or use another token")]
    Unauthenticated(Reason),
    /// Fields are wrong.
    #[error("{}", FieldErrorList(.0))]
    Invalid(Vec<FieldError>),
    /// Somebody or something else has this name or address already.
    #[error("{path}: {message}")]
    Taken {
        /// Which field.
        path: &'static str,
        /// What is wrong with it.
        message: &'static str,
    },
    /// It changed since the actor read it, see [`if_version`](crate::admin::Tokens::if_version).
    #[error("somebody else has changed this {0}: read it again")]
    Changed(&'static str),
    /// What is there does not allow it. The text says what to do first.
    #[error("{0}")]
    Impossible(&'static str),
    /// It would leave nobody who may do everything.
    #[error("this is the last active super admin: make another one first")]
    LastSuperAdmin,
    /// The owner's account does not allow it.
    #[error("the owner is not active")]
    OwnerInactive,
    /// Wrong password, or no active account; the error does not say which.
    #[error("Invalid credentials")]
    WrongCredentials,
    /// It was tried too often.
    #[error("too many attempts: try again in {} s", .0.as_secs().max(1))]
    TooManyAttempts(Duration),
    /// The store could not do it. Only after [`StoreError::Unknown`] may it have happened all the same.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys of the configuration are not those that the data rests on.
    #[error(transparent)]
    KeyMismatch(#[from] KeyMismatch),
    /// The system had no randomness to give.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// Too many passwords are being checked at this moment.
    #[error("too many sign-ins at once: try again in a moment")]
    Busy,
}

/// A field that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FieldError {
    /// Which field, with dots for what is inside: `grants.0.fields.1`.
    pub path: String,
    /// What is wrong with it, and what to do.
    pub message: String,
    /// The name that is wrong, where it is one among several.
    pub value: Option<String>,
}

struct FieldErrorList<'a>(&'a [FieldError]);

impl fmt::Display for FieldErrorList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, FieldError { path, message, .. }) in self.0.iter().enumerate() {
            write!(f, "{}{path}: {message}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl ServiceError {
    pub(super) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { path: path.into(), message: message.into(), value: None }])
    }
}

/// An answer names no more problems: a client with more mends these first.
const MOST_PROBLEMS: usize = 100;

/// Collects what is wrong, so that one answer names all of it, up to [`MOST_PROBLEMS`].
#[derive(Default)]
pub(super) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    pub(super) fn say(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(FieldError { path: path.into(), message: message.into(), value: None });
    }

    pub(super) fn add(&mut self, problem: FieldError) {
        if !self.is_full() {
            self.0.push(problem);
        }
    }

    /// Whether more would not be named: a check may stop here.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST_PROBLEMS
    }

    /// Takes what a check says of one field.
    pub(super) fn take<T>(&mut self, checked: Result<T, ServiceError>) -> Result<Option<T>, ServiceError> {
        match checked {
            Ok(value) => Ok(Some(value)),
            Err(ServiceError::Invalid(problems)) => {
                problems.into_iter().for_each(|problem| self.add(problem));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    #[cfg(feature = "people")]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn done(self) -> Result<(), ServiceError> {
        if self.0.is_empty() { Ok(()) } else { Err(ServiceError::Invalid(self.0)) }
    }

    /// The same where they are not wrong, but more than the actor may give away.
    pub(super) fn none_exceeds(self) -> Result<(), ServiceError> {
        if self.0.is_empty() { Ok(()) } else { Err(ServiceError::Exceeds(self.0)) }
    }
}

/// The most characters that a name may have.
const NAME_LENGTH: usize = 255;
/// The most characters of a free text.
const TEXT_LENGTH: usize = 2_000;
/// No text has more bytes than this for each character that it is kept with: composing it takes three characters together at most.
const MOST_BYTES: usize = 12;

/// A name as it is kept: trimmed and composed (NFC), not empty, at most 255 characters, also where compatibility characters are written
/// out to compare it. Nothing in it is invisible or turns text around.
pub(super) fn named(path: &str, text: &str) -> Result<String, ServiceError> {
    let name = text.trim();
    if name.is_empty() {
        return Err(ServiceError::invalid(path, "must not be empty"));
    }
    let name = if name.len() > MOST_BYTES * NAME_LENGTH { None } else { Some(compose(name)) };
    let short = |text: &str| text.chars().count() <= NAME_LENGTH;
    let name = name.filter(|name| short(name) && short(&comparable(name)));
    let Some(name) = name else {
        return Err(ServiceError::invalid(path, format!("must have at most {NAME_LENGTH} characters")));
    };
    shows(path, &name, AllowedHidden::Emoji)?;
    Ok(name)
}

/// Refuses what is no part of a text but does something to it, or shows nothing: one name would look like another, and a line of the
/// audit log would read as another one.
pub(super) fn shows(path: &str, text: &str, extra: AllowedHidden) -> Result<(), ServiceError> {
    match find_hidden(text, extra) {
        None => Ok(()),
        Some(c) => {
            let message = format!(
                "must not contain control, invisible or direction-changing characters: remove U+{:04X}",
                u32::from(c)
            );
            Err(ServiceError::invalid(path, message))
        }
    }
}

/// A free text as it is kept: trimmed and composed (NFC), at most 2 000 characters. Line breaks, tabs and joiners are the only ones in it that
/// do not show.
pub(super) fn described(path: &str, text: &str) -> Result<String, ServiceError> {
    let text = text.trim();
    let text = if text.len() > MOST_BYTES * TEXT_LENGTH { None } else { Some(compose(text)) };
    let Some(text) = text.filter(|text| text.chars().count() <= TEXT_LENGTH) else {
        return Err(ServiceError::invalid(path, format!("must have at most {TEXT_LENGTH} characters")));
    };
    shows(path, &text, AllowedHidden::Lines)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_does_nothing_to_what_is_beside_it() {
        for good in ["Ada", "עדה", "آدا", "क्षत्रिय", "❤\u{fe0f}"] {
            assert!(named("name", good).is_ok() && described("description", good).is_ok(), "{good:?}");
        }
        for bad in
            ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{ad}', '\u{61c}', '\u{200b}', '\u{200f}', '\u{2028}', '\u{202e}']
        {
            let text = format!("a{bad}b");
            assert!(named("name", &text).is_err() && described("description", &text).is_err(), "{bad:?}");
        }
        assert!(named("name", "a\nb").is_err() && described("description", "a\r\n\tb").is_ok());
        // Emoji sequences and Persian need them, and descriptions are not compared.
        assert!(named("name", "👩\u{200d}💻").is_err() && described("description", "👩\u{200d}💻").is_ok());
    }

    #[test]
    fn a_name_is_kept_composed_and_says_what_to_remove() {
        assert_eq!(named("name", " Cafe\u{301} ").ok().as_deref(), Some("Café"));
        assert_eq!(described("description", "e\u{301}").ok().as_deref(), Some("é"));
        let error = named("name", "t\u{200b}").unwrap_err().to_string();
        assert!(error.starts_with("name: ") && error.ends_with("remove U+200B"), "{error}");
    }

    #[test]
    fn a_name_is_short_also_where_it_is_compared() {
        assert!(named("name", &"a".repeat(255)).is_ok() && named("name", &"a".repeat(256)).is_err());
        assert!(named("name", &"🦀".repeat(255)).is_ok() && named("name", &"🦀".repeat(256)).is_err());
        // One character, written out as eighteen.
        assert!(named("name", &"ﷺ".repeat(14)).is_ok() && named("name", &"ﷺ".repeat(15)).is_err());
    }
}
