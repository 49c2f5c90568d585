//! The permissions of a role, as a form shows and sends them.
//!
//! A role can have several permissions for one action on one subject: titles of all entries, bodies of one's own. A form has one box for
//! each field, so what is shown is for each field under which conditions it is held, and for all fields, if they are; that says the same.

use super::failure::Failure;
use super::form::Sent;
use super::grants::{Choice, Chosen, Gathered, Place, Ways};
use super::matrix::Words;
use crate::domain::{Action, ConditionClause, Field, Fields, Permission, Resource, Scope};
use std::collections::{BTreeMap, HashMap, HashSet};

/// All that is held for one action on one subject.
#[derive(Default)]
struct Held {
    /// Under which conditions all fields are, if they are.
    whole: Option<Ways>,
    fields: BTreeMap<Field, Ways>,
}

impl Chosen {
    /// What a role's form sent.
    pub(super) fn sent_for_role(sent: &Sent) -> Result<Self, Failure> {
        let mut gathered = Gathered::sent(sent)?;
        // For a field with conditions of its own: the condition, or none for every entry.
        for list in sent.lists("apart") {
            let Ok([Some(action), resource, Some(field), id]) = <[_; 4]>::try_from(list?) else {
                return Err(Failure::not_whole());
            };
            let field = field.into();
            let parts = gathered.0.get_mut(&(action.into(), resource.map(Into::into)));
            if let Some(parts) = parts.filter(|parts| parts.has(&field)) {
                parts.apart.entry(field).or_default().add(&ConditionClause::from_list(id));
            }
        }
        Ok(gathered.chosen())
    }

    pub(super) fn of_permissions(permissions: &[Permission]) -> Self {
        let mut all: BTreeMap<Place, Held> = BTreeMap::new();
        for Permission { scope: Scope { action, resource, fields }, when } in permissions {
            let held = all.entry((action.clone(), resource.clone())).or_default();
            match fields {
                Fields::All => held.whole.get_or_insert_default().add(when),
                Fields::Only(set) => {
                    set.as_slice().iter().for_each(|field| held.fields.entry(field.clone()).or_default().add(when));
                }
            }
        }
        Self(all.into_iter().filter_map(|(place, held)| Some((place, held.choice()?))).collect())
    }

    /// The conditions of a field, where it has its own.
    pub(super) fn when_apart(
        &self,
        action: &Action,
        resource: Option<&Resource>,
        field: &str,
    ) -> Option<&ConditionClause> {
        self.at(action, resource)?.apart.get(&Field::from(field))
    }

    /// The permissions that say this: for each action and subject one for all fields, then one for each list of conditions.
    pub(super) fn permissions(&self) -> Vec<Permission> {
        let mut all = Vec::new();
        for ((action, resource), Choice { fields, when, apart }) in &self.0 {
            let one = |fields: Fields, when: &ConditionClause| Permission {
                scope: Scope { action: action.clone(), resource: resource.clone(), fields },
                when: when.clone(),
            };
            let groups = match fields {
                Fields::All => {
                    all.push(one(Fields::All, when));
                    grouped(apart.iter().filter(|(_, of)| !within(of, when)))
                }
                Fields::Only(set) => {
                    grouped(set.as_slice().iter().map(|field| (field, apart.get(field).unwrap_or(when))))
                }
            };
            all.extend(groups.into_iter().filter_map(|(when, fields)| Some(one(Fields::only(fields).ok()?, when))));
        }
        all
    }

    /// The permissions of a role that had these, if they are others now: what the form shows is as it was sent, the rest stays.
    pub(super) fn permissions_onto(&self, before: &[Permission], words: &Words) -> Option<Vec<Permission>> {
        let (shown, hidden) = words.split_permissions(before);
        let (was, mut now) = (Self::of_permissions(&shown).permissions(), self.permissions());
        let same = was.iter().collect::<HashSet<_>>() == now.iter().collect();
        now.extend(hidden);
        (!same).then_some(now)
    }
}

/// Fields by their conditions, in the order in which each comes first.
fn grouped<'a>(
    fields: impl Iterator<Item = (&'a Field, &'a ConditionClause)>,
) -> Vec<(&'a ConditionClause, Vec<Field>)> {
    let mut groups: Vec<(&ConditionClause, Vec<Field>)> = Vec::new();
    let mut at: HashMap<&ConditionClause, usize> = HashMap::new();
    for (field, when) in fields {
        let i = *at.entry(when).or_insert_with(|| {
            groups.push((when, Vec::new()));
            groups.len() - 1
        });
        groups[i].1.push(field.clone());
    }
    groups
}

impl Held {
    fn choice(self) -> Option<Choice> {
        let mut apart: BTreeMap<Field, ConditionClause> =
            self.fields.into_iter().map(|(f, ways)| (f, ways.when())).collect();
        if let Some(whole) = self.whole {
            let when = whole.when();
            apart.retain(|_, of| !within(of, &when));
            return Some(Choice { fields: Fields::All, when, apart });
        }
        let fields = Fields::only(apart.keys().cloned()).ok()?;
        let when = usual(&apart);
        apart.retain(|_, of| *of != when);
        Some(Choice { fields, when, apart })
    }
}

/// The conditions of most fields; of as many, those that are there: a field that is added should not have more than it was meant to.
fn usual(fields: &BTreeMap<Field, ConditionClause>) -> ConditionClause {
    let mut many: HashMap<&ConditionClause, usize> = HashMap::new();
    fields.values().for_each(|when| *many.entry(when).or_default() += 1);
    let most = fields.values().max_by_key(|when| (many.get(when).copied(), **when != ConditionClause::Always));
    most.cloned().unwrap_or(ConditionClause::Always)
}

/// Whether whatever holds under `when` holds under `all` too.
fn within(when: &ConditionClause, all: &ConditionClause) -> bool {
    match (when, all) {
        (_, ConditionClause::Always) => true,
        (ConditionClause::Always, ConditionClause::AnyOf(_)) => false,
        (ConditionClause::AnyOf(when), ConditionClause::AnyOf(all)) => when.is_subset(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ActionEntry, Catalogue, ConditionExpr, Conditions, EffectivePermission, ResourceEntry};
    use proptest::prelude::*;

    const FIELDS: [&str; 3] = ["title", "body", "slug"];
    const CONDITIONS: [&str; 2] = ["own", "shared"];

    fn when() -> impl Strategy<Value = ConditionClause> {
        proptest::sample::subsequence(CONDITIONS.to_vec(), 0..=2).prop_map(ConditionClause::from_list)
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
        permissions.iter().map(EffectivePermission::from).any(|rule| {
            let guard = |part: &ConditionClause| part.as_slice().iter().any(|id| holds.contains(&id.as_str()));
            rule.scope.action.as_str() == action
                && rule.scope.fields.contains(field)
                && ConditionExpr::parts(&rule.guard).iter().all(guard)
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
        let own = ConditionClause::from_list(["own"]);
        let read =
            |fields: &[&str]| Permission::new("read").on("article").fields(Fields::only(fields.to_vec()).unwrap());
        let before = [read(&["title"]), read(&["title", "body"]).when(own.clone())];
        let words_of = |entry: ActionEntry| {
            let catalogue =
                Catalogue::default().resource(ResourceEntry::collection("article", "Article").fields(FIELDS));
            Words::new(catalogue.action(entry), &Conditions::default())
        };
        let known = words_of(ActionEntry::on_resources("read", "Read", ["article"]).with_fields());
        assert_eq!(Chosen::of_permissions(&before).permissions_onto(&before, &known), None);
        // What no form shows stays as it is.
        assert_eq!(Chosen::default().permissions_onto(&before, &words), None);
        assert_eq!(Chosen::default().permissions_onto(&before, &known), Some(Vec::new()));
        // Nor do fields that left the catalogue make another role of it.
        let gone = [read(&["title", "gone"]), read(&["title", "body"]).when(own.clone())];
        let (shown, hidden) = known.split_permissions(&gone);
        assert_eq!(Chosen::of_permissions(&shown).permissions_onto(&gone, &known), None);
        assert_eq!(hidden, [read(&["gone"])]);
        assert_eq!(Chosen::default().permissions_onto(&gone, &known), Some(hidden));
        let fewer = Chosen::of_permissions(&[read(&["title"])]);
        assert_eq!(fewer.permissions_onto(&before, &known), Some(vec![read(&["title"])]));
    }
}
