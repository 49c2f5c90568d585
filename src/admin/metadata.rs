//! Checks of the metadata of tokens.

use super::ServiceError;
use super::text_fields::reject_hidden;
use crate::domain::{AllowedHidden, FieldName, Metadata};
use serde_json::Value;

/// The most levels of objects and lists.
const MOST_LEVELS: usize = 32;

/// Returns metadata as it is stored; `None` for null.
///
/// Metadata is an object of at most 32 levels and 2 048 bytes as compact text. Its names and texts have the characters of a
/// free text.
///
/// # Errors
/// [`ServiceError::Invalid`] otherwise.
pub(super) fn checked_metadata(value: Option<Value>) -> Result<Option<Metadata>, ServiceError> {
    let members = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(ServiceError::invalid(FieldName::Metadata, "must be an object, or null for none")),
    };
    let metadata = Metadata::from(members);
    check(metadata.as_value(), MOST_LEVELS)?;
    if metadata.to_string().len() > Metadata::MOST_BYTES {
        let message = format!("must have at most {} bytes as JSON without spaces", Metadata::MOST_BYTES);
        return Err(ServiceError::invalid(FieldName::Metadata, message));
    }
    Ok(Some(metadata))
}

/// Checks the levels first: a parser rejects text that is nested too deeply, so such a token could not be read again.
fn check(value: &Value, levels: usize) -> Result<(), ServiceError> {
    let text = |text: &str| reject_hidden(FieldName::Metadata, text, AllowedHidden::Lines);
    let inner = || {
        let message = format!("must have at most {MOST_LEVELS} levels of objects and lists");
        levels.checked_sub(1).ok_or_else(|| ServiceError::invalid(FieldName::Metadata, message))
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(it) => text(it),
        Value::Array(items) => {
            let inner = inner()?;
            items.iter().try_for_each(|item| check(item, inner))
        }
        Value::Object(members) => {
            let inner = inner()?;
            members.iter().try_for_each(|(name, value)| text(name).and_then(|()| check(value, inner)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problem(value: Value) -> String {
        checked_metadata(Some(value)).unwrap_err().to_string()
    }

    #[test]
    fn null_and_nothing_are_no_metadata() {
        assert!(matches!(checked_metadata(None), Ok(None)));
        assert!(matches!(checked_metadata(Some(Value::Null)), Ok(None)));
        assert!(matches!(checked_metadata(Some(json!({}))), Ok(Some(metadata)) if metadata.to_string() == "{}"));
    }

    #[test]
    fn only_an_object_is_metadata() {
        for value in [json!([]), json!("{}"), json!(1), json!(true)] {
            assert_eq!(problem(value), "metadata: must be an object, or null for none");
        }
    }

    #[test]
    fn metadata_is_measured_as_compact_text() {
        let of = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
        assert!(checked_metadata(Some(of(2048))).is_ok());
        assert_eq!(problem(of(2049)), "metadata: must have at most 2048 bytes as JSON without spaces");
        // An umlaut has two bytes, and a quotation mark is escaped.
        assert!(checked_metadata(Some(json!({"a": "ä".repeat(1020)}))).is_ok());
        assert!(checked_metadata(Some(json!({"a": "ä".repeat(1021)}))).is_err());
        assert!(checked_metadata(Some(json!({"a": "\"".repeat(1021)}))).is_err());
    }

    #[test]
    fn hidden_characters_are_rejected_in_names_and_texts() {
        assert!(checked_metadata(Some(json!({"a b": ["line\nline", "👩\u{200d}💻"]}))).is_ok());
        for value in [json!({"a\u{0}": 1}), json!({"a": {"b": ["\u{202e}"]}}), json!({"a": [{"\u{200b}": null}]})] {
            let problem = problem(value);
            assert!(problem.starts_with("metadata: must not contain control, invisible"), "{problem}");
        }
    }

    #[test]
    fn metadata_that_a_parser_would_reject_is_rejected() {
        let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"a": inner}));
        let deepest = checked_metadata(Some(nested(32))).unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&deepest.to_string()).unwrap(), *deepest.as_value());
        assert_eq!(problem(nested(33)), "metadata: must have at most 32 levels of objects and lists");
        assert!(checked_metadata(Some(nested(300))).is_err());
    }
}
