//! Checks of names and free texts, and the form in which they are stored.

use super::ServiceError;
use crate::domain::{AllowedHidden, FieldName, comparable, compose, find_hidden};

/// The most characters of a name.
const NAME_LENGTH: usize = 255;
/// The most characters of a free text.
const TEXT_LENGTH: usize = 2_000;
/// The most bytes of input for each stored character: composition joins at most three characters into one.
const MOST_BYTES: usize = 12;

/// Returns a name in its stored form: trimmed and composed (NFC).
///
/// A name is not empty, has at most 255 characters (also in its [comparable](comparable) form), and none that is invisible or
/// changes the direction of text.
///
/// # Errors
/// [`ServiceError::Invalid`] otherwise.
pub(super) fn checked_name(field: FieldName, text: &str) -> Result<String, ServiceError> {
    let name = text.trim();
    if name.is_empty() {
        return Err(ServiceError::invalid(field, "must not be empty"));
    }
    let name = if name.len() > MOST_BYTES * NAME_LENGTH { None } else { Some(compose(name)) };
    let is_short = |text: &str| text.chars().count() <= NAME_LENGTH;
    let name = name.filter(|name| is_short(name) && is_short(&comparable(name)));
    let Some(name) = name else {
        return Err(ServiceError::invalid(field, format!("must have at most {NAME_LENGTH} characters")));
    };
    reject_hidden(field, &name, AllowedHidden::Emoji)?;
    Ok(name)
}

/// Returns a free text in its stored form: trimmed and composed (NFC).
///
/// A free text has at most 2 000 characters. Line breaks, tabs and joiners are the only invisible ones that it may have.
///
/// # Errors
/// [`ServiceError::Invalid`] otherwise.
pub(super) fn checked_description(field: FieldName, text: &str) -> Result<String, ServiceError> {
    let text = text.trim();
    let text = if text.len() > MOST_BYTES * TEXT_LENGTH { None } else { Some(compose(text)) };
    let Some(text) = text.filter(|text| text.chars().count() <= TEXT_LENGTH) else {
        return Err(ServiceError::invalid(field, format!("must have at most {TEXT_LENGTH} characters")));
    };
    reject_hidden(field, &text, AllowedHidden::Lines)?;
    Ok(text)
}

/// Rejects control, invisible and direction-changing characters: with them one name looks like another, and a line of the audit
/// log reads as another one.
///
/// # Errors
/// [`ServiceError::Invalid`] with the first of them.
pub(super) fn reject_hidden(field: FieldName, text: &str, extra: AllowedHidden) -> Result<(), ServiceError> {
    match find_hidden(text, extra) {
        None => Ok(()),
        Some(c) => {
            let message = format!(
                "must not contain control, invisible or direction-changing characters: remove U+{:04X}",
                u32::from(c)
            );
            Err(ServiceError::invalid(field, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<String, ServiceError> {
        checked_name(FieldName::Name, text)
    }

    fn description(text: &str) -> Result<String, ServiceError> {
        checked_description(FieldName::Description, text)
    }

    #[test]
    fn hidden_characters_are_rejected() {
        for good in ["Ada", "עדה", "آدا", "क्षत्रिय", "❤\u{fe0f}"] {
            assert!(name(good).is_ok() && description(good).is_ok(), "{good:?}");
        }
        for bad in
            ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{ad}', '\u{61c}', '\u{200b}', '\u{200f}', '\u{2028}', '\u{202e}']
        {
            let text = format!("a{bad}b");
            assert!(name(&text).is_err() && description(&text).is_err(), "{bad:?}");
        }
        assert!(name("a\nb").is_err() && description("a\r\n\tb").is_ok());
        // Emoji sequences and Persian need joiners. Descriptions may have them, as they are not compared.
        assert!(name("👩\u{200d}💻").is_err() && description("👩\u{200d}💻").is_ok());
    }

    #[test]
    fn texts_are_composed_and_errors_name_the_character() {
        assert_eq!(name(" Cafe\u{301} ").ok().as_deref(), Some("Café"));
        assert_eq!(description("e\u{301}").ok().as_deref(), Some("é"));
        let error = name("t\u{200b}").unwrap_err().to_string();
        assert!(error.starts_with("name: ") && error.ends_with("remove U+200B"), "{error}");
    }

    #[test]
    fn name_length_is_limited_in_its_comparable_form_too() {
        assert!(name(&"a".repeat(255)).is_ok() && name(&"a".repeat(256)).is_err());
        assert!(name(&"🦀".repeat(255)).is_ok() && name(&"🦀".repeat(256)).is_err());
        // The comparable form of this character has eighteen characters.
        assert!(name(&"ﷺ".repeat(14)).is_ok() && name(&"ﷺ".repeat(15)).is_err());
    }
}
