//! The confirmation of a change that takes grants from tokens.

use super::form::FormFields;
use crate::store::Clamped;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The loss that a change causes. The change is made once the person who makes it has confirmed this loss.
pub(super) struct Confirmation {
    pub(super) tokens: u64,
    pub(super) grants: u64,
    /// The value that the form sends to confirm.
    pub(super) value: String,
}

impl Confirmation {
    /// Returns what is to be confirmed; `None` if nothing is lost, or the form confirms it. A form that confirmed
    /// another change, or a smaller loss, has to confirm again.
    pub(super) fn required(clamped: Clamped, change: &Value, form: &FormFields) -> Option<Self> {
        let Clamped { tokens, grants, .. } = clamped;
        let digest = Sha256::digest(json!([tokens, grants, change]).to_string());
        let value = hex::encode(&digest[..16]);
        (grants > 0 && form.text("confirmed") != value).then_some(Self { tokens, grants, value })
    }
}

/// Returns the target of "Cancel": the unchanged object while a confirmation is shown, else the list.
pub(super) fn cancel_path<T: std::fmt::Display>(
    list: &str,
    confirmation: Option<&Confirmation>,
    existing: Option<T>,
) -> String {
    match (confirmation, existing) {
        (Some(_), Some(id)) => format!("{list}/{id}"),
        _ => list.to_owned(),
    }
}
