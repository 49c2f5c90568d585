//! Renames of catalogue entries.

use super::{Action, Field, FieldSet, Fields, Resource};

/// An old and a new name of an action, a resource or a field, for [`Catalogue::renamed`](super::Catalogue::renamed).
///
/// Set-up replaces the old name in permissions of roles, in grants and in custom content tokens. It does so before it
/// removes names that the catalogue lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rename(RenameKind);

#[derive(Clone, PartialEq, Eq, Debug)]
enum RenameKind {
    Action { old: Action, new: Action },
    Resource { old: Resource, new: Resource },
    Field { resource: Resource, old: Field, new: Field },
}

impl Rename {
    /// Renames an action, of admin or content routes.
    pub fn action(old: impl Into<Action>, new: impl Into<Action>) -> Self {
        Self(RenameKind::Action { old: old.into(), new: new.into() })
    }

    /// Renames a resource.
    pub fn resource(old: impl Into<Resource>, new: impl Into<Resource>) -> Self {
        Self(RenameKind::Resource { old: old.into(), new: new.into() })
    }

    /// Renames a field. `resource` is the resource's name at the time when the rename is applied.
    pub fn field(resource: impl Into<Resource>, old: impl Into<Field>, new: impl Into<Field>) -> Self {
        Self(RenameKind::Field { resource: resource.into(), old: old.into(), new: new.into() })
    }

    /// Returns true if the old name is still registered: then both names have a meaning, and nothing is renamed.
    pub(super) fn is_idle(&self, actions: &[&Action], resources: &[(&Resource, &[Field])]) -> bool {
        match &self.0 {
            RenameKind::Action { old, .. } => actions.contains(&old),
            RenameKind::Resource { old, .. } => resources.iter().any(|(resource, _)| *resource == old),
            RenameKind::Field { resource, old, .. } => {
                resources.iter().any(|(registered, fields)| *registered == resource && fields.contains(old))
            }
        }
    }

    pub(crate) fn apply_to_action(&self, action: &mut Action) {
        if let RenameKind::Action { old, new } = &self.0
            && action == old
        {
            *action = new.clone();
        }
    }

    pub(crate) fn apply(&self, action: &mut Action, resource: &mut Option<Resource>, fields: &mut Fields) {
        self.apply_to_action(action);
        match (&self.0, resource, fields) {
            (RenameKind::Resource { old, new }, Some(resource), _) if resource == old => *resource = new.clone(),
            (RenameKind::Field { resource: of, old, new }, Some(resource), Fields::Only(set)) if resource == of => {
                let renamed = set.as_slice().iter().map(|field| if field == old { new } else { field }.as_str());
                // The set stays non-empty: it keeps its size, or loses one of two equal names.
                if let Ok(renamed) = FieldSet::new(renamed) {
                    *set = renamed;
                }
            }
            _ => {}
        }
    }
}
