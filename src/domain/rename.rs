//! Names of a catalogue that have changed, and what they were before.

use super::{Action, Field, FieldSet, Fields, Resource};

/// An old name of an action, a subject or a field, and its new one.
///
/// [`Catalogue::renamed`](super::Catalogue::renamed) takes it. When the installation is set up, permissions of roles, grants and the lists of
/// custom content tokens that hold the old name get the new one, before what the catalogue lacks is taken away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rename(Kind);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Action { old: Action, new: Action },
    Resource { old: Resource, new: Resource },
    Field { resource: Resource, old: Field, new: Field },
}

impl Rename {
    /// An action, of the admin side or of the content side.
    pub fn action(old: impl Into<Action>, new: impl Into<Action>) -> Self {
        Self(Kind::Action { old: old.into(), new: new.into() })
    }

    /// A subject.
    pub fn resource(old: impl Into<Resource>, new: impl Into<Resource>) -> Self {
        Self(Kind::Resource { old: old.into(), new: new.into() })
    }

    /// A field of this subject, whose name is the one that holds when the rename is applied.
    pub fn field(resource: impl Into<Resource>, old: impl Into<Field>, new: impl Into<Field>) -> Self {
        Self(Kind::Field { resource: resource.into(), old: old.into(), new: new.into() })
    }

    /// Whether the old name is still registered: then both names mean something, and nothing is renamed.
    pub(super) fn is_idle(&self, actions: &[&Action], resources: &[(&Resource, &[Field])]) -> bool {
        match &self.0 {
            Kind::Action { old, .. } => actions.contains(&old),
            Kind::Resource { old, .. } => resources.iter().any(|(resource, _)| *resource == old),
            Kind::Field { resource, old, .. } => {
                resources.iter().any(|(registered, fields)| *registered == resource && fields.contains(old))
            }
        }
    }

    pub(crate) fn apply_to_action(&self, action: &mut Action) {
        if let Kind::Action { old, new } = &self.0
            && action == old
        {
            *action = new.clone();
        }
    }

    pub(crate) fn apply(&self, action: &mut Action, resource: &mut Option<Resource>, fields: &mut Fields) {
        self.apply_to_action(action);
        match (&self.0, resource, fields) {
            (Kind::Resource { old, new }, Some(resource), _) if resource == old => *resource = new.clone(),
            (Kind::Field { resource: of, old, new }, Some(resource), Fields::Only(set)) if resource == of => {
                let renamed = set.as_slice().iter().map(|field| if field == old { new } else { field }.as_str());
                // It had one at least, and has as many or, where both names were there, one less than two.
                if let Ok(renamed) = FieldSet::new(renamed) {
                    *set = renamed;
                }
            }
            _ => {}
        }
    }
}
