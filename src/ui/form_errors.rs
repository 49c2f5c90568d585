//! Errors that people can fix by changing a form.

use super::failure::Failure;
use crate::admin::{FieldError, FieldName, PathSegment, ServiceError, capitalize};

/// The errors of a form: of its fields, or of the form as a whole.
#[derive(Default, Debug)]
pub(super) struct FormErrors {
    pub(super) message: Option<String>,
    fields: Vec<FormError>,
}

/// The error of one field of a form.
#[derive(Debug)]
struct FormError {
    /// The form's name of the field, or of the list that the field is in.
    name: String,
    /// Whether the error is of an entry of the list.
    is_nested: bool,
    message: String,
}

impl FormError {
    fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), is_nested: false, message: message.into() }
    }
}

impl From<FieldError> for FormError {
    fn from(error: FieldError) -> Self {
        let (name, is_nested) = match error.path.segments() {
            [PathSegment::Field(field), rest @ ..] => (form_name(*field), !rest.is_empty()),
            _ => ("", false),
        };
        Self { name: name.to_owned(), is_nested, message: error.message }
    }
}

/// Returns the name of a field in the forms.
fn form_name(field: FieldName) -> &'static str {
    match field {
        FieldName::Active => "isActive",
        FieldName::CurrentPassword => "currentPassword",
        FieldName::Invitation => "registrationToken",
        FieldName::SetupCode => "setupCode",
        same => same.as_str(),
    }
}

impl FormErrors {
    pub(super) fn with_message(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), fields: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &str, message: &str) {
        self.fields.push(FormError::new(name, message));
    }

    /// Returns the first error of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|error| error.name == name && !error.is_nested).map(|error| error.message.as_str())
    }

    /// Returns the errors of a field and of everything below it.
    pub(super) fn below(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|error| error.name == name).map(|error| error.message.as_str()).collect()
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
            ServiceError::Invalid(errors) | ServiceError::Exceeds(errors) => {
                Ok(Self { message: None, fields: errors.into_iter().map(FormError::from).collect() })
            }
            ServiceError::Taken { field, message } => {
                Ok(Self { message: None, fields: vec![FormError::new(form_name(field), message)] })
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
