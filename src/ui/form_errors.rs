//! Errors that people can fix by changing a form.

use super::failure::{Failure, capitalize};
use crate::admin::{FieldError, ServiceError};

/// The errors of a form: of its fields, or of the form as a whole.
#[derive(Default, Debug)]
pub(super) struct FormErrors {
    pub(super) message: Option<String>,
    fields: Vec<FieldError>,
}

impl FormErrors {
    pub(super) fn with_message(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), fields: Vec::new() }
    }

    pub(super) fn add(&mut self, path: &str, message: &str) {
        self.fields.push(FieldError { path: path.to_owned(), message: message.to_owned(), value: None });
    }

    /// Returns the first error of a field.
    pub(super) fn get(&self, path: &str) -> Option<&str> {
        self.fields.iter().find(|error| error.path == path).map(|error| error.message.as_str())
    }

    /// Returns the errors of a field and of everything below it.
    pub(super) fn below(&self, path: &str) -> Vec<&str> {
        let is_below = |error: &&FieldError| {
            error.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.fields.iter().filter(is_below).map(|error| error.message.as_str()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.message.is_none() && self.fields.is_empty()
    }

    /// Converts an error of a service.
    ///
    /// # Errors
    /// A failure page, if changing the form does not help.
    pub(super) fn from_service(error: ServiceError) -> Result<Self, Failure> {
        match error {
            ServiceError::Invalid(fields) | ServiceError::Exceeds(fields) => Ok(Self { message: None, fields }),
            ServiceError::Taken { path, message } => {
                let error = FieldError { path: path.into(), message: message.into(), value: None };
                Ok(Self { message: None, fields: vec![error] })
            }
            ServiceError::Impossible(_)
            | ServiceError::LastSuperAdmin
            | ServiceError::OwnerInactive
            | ServiceError::Forbidden(_)
            | ServiceError::WrongCredentials
            | ServiceError::TooManyAttempts(_) => Ok(Self::with_message(capitalize(&error.to_string()))),
            other => Err(other.into()),
        }
    }
}
