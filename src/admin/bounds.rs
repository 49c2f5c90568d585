//! How much may be in one change. What an installation needs stays far below; without a bound one request could take seconds.

use super::ServiceError;
use super::error::FieldErrors;
use crate::domain::{Action, Fields, Resource, Scope};
use crate::store::Filter;
use crate::store::one_part_each;
use std::collections::HashMap;

/// Fields that one permission or grant may name.
pub(crate) const FIELDS: usize = 256;
/// Conditions that one permission or grant may name.
pub(crate) const CONDITIONS: usize = 64;
/// Permissions of a role.
pub(crate) const PERMISSIONS: usize = 5_000;
/// Grants of an admin token.
pub(crate) const GRANTS: usize = 1_000;
/// Permissions of a role, or grants of a token, for one action on one subject. Resolving a token pairs those of the token with
/// those of its owner.
pub(crate) const ALIKE: usize = 64;
/// Actions that a custom content token may list.
pub(crate) const ACTIONS: usize = 1_000;
/// Roles of a user.
pub(crate) const ROLES: usize = 100;

/// Says that a list is longer than it may be; answers whether it is.
pub(super) fn too_long(path: &str, length: usize, most: usize, wrong: &mut FieldErrors) -> bool {
    if length > most {
        wrong.say(path, format!("must have at most {most} entries"));
    }
    length > most
}

/// Says which of these permissions or grants names too much, or comes too often for one action on one subject.
pub(super) fn too_many<'a>(path: &str, items: impl Iterator<Item = super::write::Item<'a>>, wrong: &mut FieldErrors) {
    let mut alike: HashMap<(&Action, Option<&Resource>), usize> = HashMap::new();
    for (i, (Scope { action, resource, fields }, conditions)) in items.enumerate() {
        if matches!(fields, Fields::Only(set) if set.as_slice().len() > FIELDS) {
            wrong.say(format!("{path}.{i}.fields"), format!("must have at most {FIELDS} entries"));
        }
        if conditions.len() > CONDITIONS {
            wrong.say(format!("{path}.{i}.conditions"), format!("must have at most {CONDITIONS} entries"));
        }
        let alike = alike.entry((action, resource.as_ref())).or_default();
        *alike += 1;
        if *alike > ALIKE {
            wrong
                .say(format!("{path}.{i}"), format!("must be one of at most {ALIKE} for {action} on the same subject"));
        }
        if wrong.is_full() {
            return;
        }
    }
}

/// Refuses filters that stores do not apply: more than one part of a field.
pub(super) fn checked_filters<F: Copy + PartialEq>(filters: &[Filter<F>]) -> Result<(), ServiceError> {
    match one_part_each(filters) {
        true => Ok(()),
        false => Err(ServiceError::invalid("filters", "must ask for one part of each field at most")),
    }
}
