//! Limits on the size of one change. They are far above practical sizes; without them one request could take seconds.

use super::ServiceError;
use super::error::FieldErrors;
use super::state::ScopeWithConditions;
use crate::domain::{Action, FieldName, Fields, Resource, Scope};
use crate::store::{Filter, one_part_each};
use std::collections::HashMap;

/// The most fields of a permission or grant.
pub(crate) const FIELDS: usize = 256;
/// The most conditions of a permission or grant.
pub(crate) const CONDITIONS: usize = 64;
/// The most permissions of a role.
pub(crate) const PERMISSIONS: usize = 5_000;
/// The most grants of an admin token.
pub(crate) const GRANTS: usize = 1_000;
/// The most permissions of a role, or grants of a token, for one action on one resource. To resolve a token, each of its grants is
/// paired with each such permission of its owner.
pub(crate) const ALIKE: usize = 64;
/// The most actions of a custom content token.
pub(crate) const ACTIONS: usize = 1_000;
/// The most roles of an owner.
pub(crate) const ROLES: usize = 100;

/// Reports a list with more than `most` entries. Returns whether it did.
pub(super) fn is_too_long(list: FieldName, length: usize, most: usize, errors: &mut FieldErrors) -> bool {
    if length > most {
        errors.add(list, format!("must have at most {most} entries"));
    }
    length > most
}

/// Reports permissions or grants with too many fields or conditions, and too many for one action on one resource.
pub(super) fn report_oversized<'a>(
    list: FieldName,
    items: impl Iterator<Item = ScopeWithConditions<'a>>,
    errors: &mut FieldErrors,
) {
    let mut alike: HashMap<(&Action, Option<&Resource>), usize> = HashMap::new();
    for (i, (Scope { action, resource, fields }, conditions)) in items.enumerate() {
        if matches!(fields, Fields::Only(set) if set.as_slice().len() > FIELDS) {
            errors.add(list.at(i).field(FieldName::Fields), format!("must have at most {FIELDS} entries"));
        }
        if conditions.len() > CONDITIONS {
            errors.add(list.at(i).field(FieldName::Conditions), format!("must have at most {CONDITIONS} entries"));
        }
        let alike = alike.entry((action, resource.as_ref())).or_default();
        *alike += 1;
        if *alike > ALIKE {
            errors.add(list.at(i), format!("must be one of at most {ALIKE} for {action} on the same resource"));
        }
        if errors.is_full() {
            return;
        }
    }
}

/// Rejects filters that ask for several parts of one field, because stores apply one part of each field.
pub(super) fn check_filters<F: Copy + PartialEq>(filters: &[Filter<F>]) -> Result<(), ServiceError> {
    match one_part_each(filters) {
        true => Ok(()),
        false => Err(ServiceError::invalid(FieldName::Filters, "must ask for one part of each field at most")),
    }
}
