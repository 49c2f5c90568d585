//! What a service answers where it does not do what it was asked.

use crate::domain::NoEntropy;
use crate::store::StoreError;

/// A service did not do what it was asked, and changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A field is wrong.
    #[error("{path}: {message}")]
    Invalid {
        /// Which field, with dots for what is inside: `grants.0.fields`.
        path: String,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// It would leave nobody who may do everything.
    #[error("this is the last active super admin: make another one first")]
    LastSuperAdmin,
    /// The owner's account does not allow it.
    #[error("the owner is not active")]
    OwnerInactive,
    /// The store could not do it. Only after [`StoreError::Unknown`] may it have happened all the same.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system had no randomness to give.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

impl ServiceError {
    pub(super) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { path: path.into(), message: message.into() }
    }
}

/// A name as it is kept: trimmed, not empty, at most 255 characters.
pub(super) fn named(path: &str, text: &str) -> Result<String, ServiceError> {
    let name = text.trim();
    match name.chars().count() {
        0 => Err(ServiceError::invalid(path, "must not be empty")),
        1..=255 if !name.chars().any(char::is_control) => Ok(name.to_owned()),
        1..=255 => Err(ServiceError::invalid(path, "must not contain control characters")),
        _ => Err(ServiceError::invalid(path, "must have at most 255 characters")),
    }
}
