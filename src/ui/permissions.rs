//! The permissions of a role, as a form shows and sends them.
//!
//! A role can have several permissions for one action on one subject: titles of all entries, bodies of one's own. A form has one box for
//! each field, so what is shown is for each field under which conditions it is held, and for all fields, if they are; that says the same.

use super::form::Sent;
use super::grants::Chosen;
use super::matrix::Words;
use crate::domain::{Action, ConditionId, Field, Fields, Permission, Subject, When};

/// A field under conditions of its own, whatever holds for the rest.
pub(super) struct Apart {
    action: Action,
    subject: Option<Subject>,
    field: Field,
    when: When,
}

/// What a form sends for a field with conditions of its own: the condition, or none for every entry.
type SentApart = (Action, Option<Subject>, Field, Option<ConditionId>);

/// All that is held for one action on one subject.
#[derive(Default)]
struct Held {
    /// Under which conditions all fields are, if they are.
    whole: Option<When>,
    fields: Vec<(Field, When)>,
}

impl Chosen {
    /// What a role's form sent.
    pub(super) fn sent_for_role(sent: &Sent) -> Self {
        let mut chosen = Self::sent(sent);
        for value in sent.all("apart") {
            let Ok((action, subject, field, id)) = serde_json::from_str::<SentApart>(value) else { continue };
            if chosen.fields(&action, subject.as_ref()).is_some_and(|fields| fields.contains(field.as_str())) {
                let when = id.map_or(When::Always, |id| When::from_list([id]));
                chosen.set_apart(action, subject, field, when);
            }
        }
        chosen
    }

    pub(super) fn of_permissions(permissions: &[Permission]) -> Self {
        let mut chosen = Self::default();
        for (i, permission) in permissions.iter().enumerate() {
            let Permission { action, subject, .. } = permission;
            let same = |p: &&Permission| p.action == *action && p.subject == *subject;
            if !permissions[..i].iter().any(|p| same(&p)) {
                chosen.add_held(action, subject.as_ref(), Held::of(permissions.iter().filter(same)));
            }
        }
        chosen
    }

    fn add_held(&mut self, action: &Action, subject: Option<&Subject>, held: Held) {
        let (fields, usual) = match &held.whole {
            Some(whole) => (Fields::All, whole.clone()),
            None => {
                let Ok(fields) = Fields::only(held.fields.iter().map(|(field, _)| field.clone())) else { return };
                (fields, held.usual())
            }
        };
        self.add(action.clone(), subject.cloned(), fields);
        for (field, when) in held.fields {
            let said = if held.whole.is_some() { within(&when, &usual) } else { when == usual };
            if !said {
                self.set_apart(action.clone(), subject.cloned(), field, when);
            }
        }
        self.set_when(action, subject, usual);
    }

    fn set_apart(&mut self, action: Action, subject: Option<Subject>, field: Field, when: When) {
        let found = self.apart.iter_mut().find(|a| a.action == action && a.subject == subject && a.field == field);
        match found {
            Some(apart) => apart.when = either(&apart.when, &when),
            None => self.apart.push(Apart { action, subject, field, when }),
        }
    }

    /// The conditions of a field, where it has its own.
    pub(super) fn when_apart(&self, action: &Action, subject: Option<&Subject>, field: &str) -> Option<&When> {
        let of = |a: &&Apart| a.action == *action && a.subject.as_ref() == subject && a.field.as_str() == field;
        self.apart.iter().find(of).map(|apart| &apart.when)
    }

    /// The permissions that say this: for each action and subject one for all fields, then one for each list of conditions.
    pub(super) fn permissions(&self) -> Vec<Permission> {
        let mut all = Vec::new();
        for grant in self.grants() {
            let (action, subject) = (&grant.action, grant.subject.as_ref());
            let one = |fields: Fields, when: When| Permission {
                action: action.clone(),
                subject: subject.cloned(),
                fields,
                when,
            };
            let mut groups: Vec<(When, Vec<Field>)> = Vec::new();
            let mut group = |when: &When, field: &Field| match groups.iter_mut().find(|(of, _)| of == when) {
                Some((_, fields)) => fields.push(field.clone()),
                None => groups.push((when.clone(), vec![field.clone()])),
            };
            match &grant.fields {
                Fields::All => {
                    all.push(one(Fields::All, grant.chosen.clone()));
                    let mine = self.apart.iter().filter(|a| a.action == *action && a.subject.as_ref() == subject);
                    mine.filter(|a| !within(&a.when, &grant.chosen)).for_each(|a| group(&a.when, &a.field));
                }
                Fields::Only(set) => set.as_slice().iter().for_each(|field| {
                    group(self.when_apart(action, subject, field.as_str()).unwrap_or(&grant.chosen), field);
                }),
            }
            all.extend(groups.into_iter().filter_map(|(when, fields)| Some(one(Fields::only(fields).ok()?, when))));
        }
        all
    }

    /// The permissions of a role that had these, if they are others now: what the form shows is as it was sent, the rest stays.
    pub(super) fn permissions_onto(&self, before: &[Permission], words: &Words) -> Option<Vec<Permission>> {
        let (shown, hidden): (Vec<_>, Vec<_>) = before.iter().cloned().partition(|p| words.shows_permission(p));
        let (was, mut now) = (Self::of_permissions(&shown).permissions(), self.permissions());
        let same = was.len() == now.len() && was.iter().all(|permission| now.contains(permission));
        now.extend(hidden);
        (!same).then_some(now)
    }
}

impl Held {
    fn of<'a>(permissions: impl Iterator<Item = &'a Permission>) -> Self {
        let mut held = Self::default();
        for Permission { fields, when, .. } in permissions {
            match fields {
                Fields::All => held.whole = Some(held.whole.as_ref().map_or(when.clone(), |w| either(w, when))),
                Fields::Only(set) => set.as_slice().iter().for_each(|field| held.add(field, when)),
            }
        }
        held
    }

    fn add(&mut self, field: &Field, when: &When) {
        match self.fields.iter_mut().find(|(of, _)| of == field) {
            Some((_, already)) => *already = either(already, when),
            None => self.fields.push((field.clone(), when.clone())),
        }
    }

    /// The conditions of most fields; of as many, those that are there: a field that is added should not have more than it was meant to.
    fn usual(&self) -> When {
        let many = |when: &When| self.fields.iter().filter(|(_, of)| of == when).count();
        let all = self.fields.iter().map(|(_, when)| when);
        all.max_by_key(|when| (many(when), **when != When::Always)).cloned().unwrap_or(When::Always)
    }
}

/// Under one or the other.
fn either(one: &When, other: &When) -> When {
    match (one, other) {
        (When::AnyOf(one), When::AnyOf(other)) => {
            When::from_list(one.as_slice().iter().chain(other.as_slice()).cloned())
        }
        _ => When::Always,
    }
}

/// Whether whatever holds under `when` holds under `all` too.
fn within(when: &When, all: &When) -> bool {
    match (when, all) {
        (_, When::Always) => true,
        (When::Always, When::AnyOf(_)) => false,
        (When::AnyOf(when), When::AnyOf(all)) => when.as_slice().iter().all(|id| all.contains(id.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ActionEntry, Catalogue, Conditions, Guard, Rule, SubjectEntry};
    use proptest::prelude::*;

    const FIELDS: [&str; 3] = ["title", "body", "slug"];
    const CONDITIONS: [&str; 2] = ["own", "shared"];

    fn when() -> impl Strategy<Value = When> {
        proptest::sample::subsequence(CONDITIONS.to_vec(), 0..=2).prop_map(When::from_list)
    }

    fn permissions() -> impl Strategy<Value = Vec<Permission>> {
        let fields = proptest::sample::subsequence(FIELDS.to_vec(), 0..=3);
        let fields = fields.prop_map(|fields| Fields::only(fields).unwrap_or(Fields::All));
        let one = (proptest::sample::select(vec!["read", "write"]), fields, when());
        let one =
            one.prop_map(|(action, fields, when)| Permission::new(action).on("article").fields(fields).when(when));
        proptest::collection::vec(one, 0..6)
    }

    /// Whether a field is held on an entry of which these conditions are true. `other` is a field that comes later.
    fn may(permissions: &[Permission], action: &str, field: &str, holds: &[&str]) -> bool {
        permissions.iter().map(Rule::from).any(|rule| {
            let guard = |part: &When| part.as_slice().iter().any(|id| holds.contains(&id.as_str()));
            rule.action.as_str() == action && rule.fields.contains(field) && Guard::parts(&rule.guard).iter().all(guard)
        })
    }

    proptest! {
        #[test]
        fn a_form_says_what_the_role_allows_and_nothing_else(permissions in permissions()) {
            let said = Chosen::of_permissions(&permissions).permissions();
            for action in ["read", "write"] {
                for field in FIELDS.into_iter().chain(["other"]) {
                    for holds in [&[][..], &["own"], &["shared"], &["own", "shared"]] {
                        prop_assert_eq!(may(&permissions, action, field, holds), may(&said, action, field, holds));
                    }
                }
            }
            prop_assert_eq!(Chosen::of_permissions(&said).permissions(), said);
        }
    }

    #[test]
    fn saving_without_a_change_changes_nothing() {
        let words = Words::new(Catalogue::default(), &Conditions::default());
        let own = When::from_list(["own"]);
        let read =
            |fields: &[&str]| Permission::new("read").on("article").fields(Fields::only(fields.to_vec()).unwrap());
        let before = [read(&["title"]), read(&["title", "body"]).when(own.clone())];
        let words_of = |entry: ActionEntry| {
            let catalogue = Catalogue::default().subject(SubjectEntry::collection("article", "Article").fields(FIELDS));
            Words::new(catalogue.action(entry), &Conditions::default())
        };
        let known = words_of(ActionEntry::on_subjects("read", "Read", ["article"]).with_fields());
        assert_eq!(Chosen::of_permissions(&before).permissions_onto(&before, &known), None);
        // What no form shows stays as it is.
        assert_eq!(Chosen::default().permissions_onto(&before, &words), None);
        assert_eq!(Chosen::default().permissions_onto(&before, &known), Some(Vec::new()));
        let fewer = Chosen::of_permissions(&[read(&["title"])]);
        assert_eq!(fewer.permissions_onto(&before, &known), Some(vec![read(&["title"])]));
    }
}
