//! Failures of commands, their sentence and their exit code.

use keyward::BuildError;
use keyward::admin::{FieldError, FieldName, PathSegment, ServiceError};
use keyward::store::StoreError;
use std::error::Error;
use std::io;
use std::process::ExitCode;

/// The reason why a command failed, in one sentence.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request was rejected, or failed.
    Failed(String),
    /// An argument or a setting is wrong.
    Usage(String),
    /// A record does not exist.
    NotFound(String),
    /// The database cannot be used.
    Unavailable(String),
    /// The reader of standard output has gone.
    Closed,
}

impl Failure {
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self::Failed(sentence.into())
    }

    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self::Usage(sentence.into())
    }

    /// Creates the failure of a service call. `arguments` names the argument that each field came from.
    pub(crate) fn of_service(error: ServiceError, arguments: &[(FieldName, &str)]) -> Self {
        match error {
            ServiceError::Invalid(errors) | ServiceError::Exceeds(errors) => Self::Failed(sentence(&errors, arguments)),
            ServiceError::Taken { field, message } => {
                Self::Failed(format!("{}: {}", argument(field, arguments), lower(message)))
            }
            ServiceError::Store(error) => error.into(),
            ServiceError::NotFound(_) => Self::NotFound(error.to_string()),
            error => Self::Failed(one_line(&error)),
        }
    }

    /// Returns the sentence.
    pub(crate) fn sentence(&self) -> &str {
        match self {
            Self::Failed(text) | Self::Usage(text) | Self::NotFound(text) | Self::Unavailable(text) => text,
            Self::Closed => "standard output is closed",
        }
    }

    /// Prints the sentence, and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let code = match self {
            Self::Closed => return ExitCode::SUCCESS,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Unavailable(_) => 4,
        };
        eprintln!("error: {}", self.sentence());
        ExitCode::from(code)
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::of_service(error, &[])
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let line = one_line(&error);
        match error {
            StoreError::Unavailable(_) | StoreError::Busy | StoreError::Unknown(_) => Self::Unavailable(line),
            _ => Self::Failed(line),
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::Usage(one_line(&error))
    }
}

/// An error of standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(format!("standard output: {error}")),
        }
    }
}

/// Joins field errors, each after the argument that it came from.
fn sentence(errors: &[FieldError], arguments: &[(FieldName, &str)]) -> String {
    let part = |error: &FieldError| {
        let FieldError { path, message, value, .. } = error;
        let place = match path.segments().first() {
            Some(PathSegment::Field(name)) => match arguments.iter().find(|(known, _)| known == name) {
                Some((_, argument)) => (*argument).to_owned(),
                None => path.to_string(),
            },
            _ => path.to_string(),
        };
        match value {
            Some(value) if !message.contains(value.as_str()) => format!("{place} {value}: {message}"),
            _ => format!("{place}: {message}"),
        }
    };
    errors.iter().map(part).collect::<Vec<_>>().join("; ")
}

fn argument<'a>(field: FieldName, arguments: &[(FieldName, &'a str)]) -> &'a str {
    arguments.iter().find(|(name, _)| *name == field).map_or(field.as_str(), |(_, argument)| argument)
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Writes an error and its causes on one line. A cause that is part of the text already is left out.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}
