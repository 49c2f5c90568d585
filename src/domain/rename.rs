//! Names of a catalogue that have changed, and what they were before.

use super::{Action, Field, FieldSet, Fields, Subject};

/// An old name of an action, a subject or a field, and its new one.
///
/// [`Catalogue::renamed`](super::Catalogue::renamed) takes it. When the installation is set up, permissions of roles, grants and the lists of
/// custom content tokens that hold the old name get the new one, before what the catalogue lacks is taken away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rename(Kind);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Action { old: Action, new: Action },
    Subject { old: Subject, new: Subject },
    Field { subject: Subject, old: Field, new: Field },
}

impl Rename {
    /// An action, of the admin side or of the content side.
    pub fn action(old: impl Into<Action>, new: impl Into<Action>) -> Self {
        Self(Kind::Action { old: old.into(), new: new.into() })
    }

    /// A subject.
    pub fn subject(old: impl Into<Subject>, new: impl Into<Subject>) -> Self {
        Self(Kind::Subject { old: old.into(), new: new.into() })
    }

    /// A field of this subject, whose name is the one that holds when the rename is applied.
    pub fn field(subject: impl Into<Subject>, old: impl Into<Field>, new: impl Into<Field>) -> Self {
        Self(Kind::Field { subject: subject.into(), old: old.into(), new: new.into() })
    }

    /// Whether the old name is still registered: then both names mean something, and nothing is renamed.
    pub(super) fn is_idle(&self, actions: &[&Action], subjects: &[(&Subject, &[Field])]) -> bool {
        match &self.0 {
            Kind::Action { old, .. } => actions.contains(&old),
            Kind::Subject { old, .. } => subjects.iter().any(|(subject, _)| *subject == old),
            Kind::Field { subject, old, .. } => {
                subjects.iter().any(|(registered, fields)| *registered == subject && fields.contains(old))
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

    pub(crate) fn apply(&self, action: &mut Action, subject: &mut Option<Subject>, fields: &mut Fields) {
        self.apply_to_action(action);
        match (&self.0, subject, fields) {
            (Kind::Subject { old, new }, Some(subject), _) if subject == old => *subject = new.clone(),
            (Kind::Field { subject: of, old, new }, Some(subject), Fields::Only(set)) if subject == of => {
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
