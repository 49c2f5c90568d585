//! The selection in a matrix, parsed from a form or made from grants.

use super::failure::Failure;
use super::form::FormFields;
use super::registry::Registry;
use crate::domain::{Action, ConditionClause, ConditionId, Field, Fields, Grant, Resource, Scope};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// An action on a resource, or without one.
pub(super) type ActionKey = (Action, Option<Resource>);

/// The selected boxes of a matrix, by action and resource.
#[derive(Default)]
pub(super) struct Selection(pub(super) BTreeMap<ActionKey, ActionSelection>);

/// The selected fields and conditions of one action on one resource.
pub(super) struct ActionSelection {
    pub(super) fields: Fields,
    pub(super) clause: ConditionClause,
    /// For a role: the fields that have conditions of their own.
    pub(super) field_clauses: BTreeMap<Field, ConditionClause>,
}

/// Collects a [`Selection`]. Each box is a constant amount of work, because a form may send as many as fit into a body.
#[derive(Default)]
pub(super) struct SelectionBuilder(pub(super) BTreeMap<ActionKey, ActionBuilder>);

#[derive(Default)]
pub(super) struct ActionBuilder {
    has_all_fields: bool,
    fields: BTreeSet<Field>,
    clause: ClauseBuilder,
    pub(super) field_clauses: BTreeMap<Field, ClauseBuilder>,
}

/// Collects conditions of which any suffices.
#[derive(Default)]
pub(super) struct ClauseBuilder {
    is_always: bool,
    ids: BTreeSet<ConditionId>,
}

impl Selection {
    /// Parses the form of a token.
    pub(super) fn parse(fields: &FormFields) -> Result<Self, Failure> {
        Ok(SelectionBuilder::parse(fields)?.build())
    }

    pub(super) fn from_grants(grants: &[Grant]) -> Self {
        let mut builder = SelectionBuilder::default();
        for grant in grants {
            let action = builder.entry(grant.scope.action.clone(), grant.scope.resource.clone());
            action.add_fields(&grant.scope.fields);
            action.clause.add(&grant.chosen);
        }
        builder.build()
    }

    pub(super) fn get(&self, action: &Action, resource: Option<&Resource>) -> Option<&ActionSelection> {
        self.0.get(&(action.clone(), resource.cloned()))
    }

    /// Returns the selected fields; `None` if the action is not selected.
    pub(super) fn fields(&self, action: &Action, resource: Option<&Resource>) -> Option<&Fields> {
        self.get(action, resource).map(|selection| &selection.fields)
    }

    pub(super) fn clause(&self, action: &Action, resource: Option<&Resource>) -> ConditionClause {
        self.get(action, resource).map_or(ConditionClause::Always, |selection| selection.clause.clone())
    }

    /// Returns the grants of a new token.
    pub(super) fn into_grants(self) -> Vec<Grant> {
        let grant = |((action, resource), ActionSelection { fields, clause, .. })| Grant {
            scope: Scope { action, resource, fields },
            chosen: clause,
            may_delegate: false,
        };
        self.0.into_iter().map(grant).collect()
    }

    /// Returns the new grants of a token; `None` if they do not change. Grants that the form does not show stay, and so
    /// do conditions that a super admin chose.
    pub(super) fn update_grants(self, before: &[Grant], registry: &Registry) -> Option<Vec<Grant>> {
        let mut after = Vec::new();
        let mut old: BTreeMap<ActionKey, Vec<&Grant>> = BTreeMap::new();
        for grant in before {
            let key = (grant.scope.action.clone(), grant.scope.resource.clone());
            let (shown, hidden) = registry.split_grant(grant);
            // `All` stays `All`: a list would not include fields that are added later.
            let kept = shown.zip(self.0.get(&key)).and_then(|(shown, selected)| shown.intersect(&selected.fields));
            let fields = match (kept, hidden) {
                (Some(kept), Some(hidden)) => Some(kept.union(&hidden)),
                (kept, hidden) => kept.or(hidden),
            };
            after.extend(fields.map(|fields| grant.clone().fields(fields)));
            old.entry(key).or_default().push(grant);
        }
        for ((action, resource), ActionSelection { fields, .. }) in self.0 {
            let key = (action, resource);
            let old = old.remove(&key).unwrap_or_default();
            if let Some(fields) = subtract_granted(fields, &old) {
                let (action, resource) = key;
                let scope = Scope { action, resource, fields };
                after.push(Grant { scope, chosen: strictest_clause(&old), may_delegate: false });
            }
        }
        let is_same = before.iter().collect::<HashSet<_>>() == after.iter().collect();
        (!is_same).then_some(after)
    }
}

impl SelectionBuilder {
    pub(super) fn parse(fields: &FormFields) -> Result<Self, Failure> {
        let mut builder = Self::default();
        for list in fields.lists("grant") {
            let mut parts = list?.into_iter();
            let (Some(Some(action)), resource, field, None) = (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(Failure::incomplete_form());
            };
            let (resource, field) = match (resource, field) {
                (None, None) => (None, None),
                (Some(Some(resource)), None) => (Some(resource), None),
                (Some(Some(resource)), Some(Some(field))) => (Some(resource), Some(field)),
                _ => return Err(Failure::incomplete_form()),
            };
            let selected = builder.entry(action.into(), resource.map(Into::into));
            match field {
                Some(field) => drop(selected.fields.insert(field.into())),
                None => selected.has_all_fields = true,
            }
        }
        for list in fields.lists("condition") {
            let Ok([Some(action), resource, Some(id)]) = <[_; 3]>::try_from(list?) else {
                return Err(Failure::incomplete_form());
            };
            // Conditions of an action that is not selected are ignored.
            if let Some(selected) = builder.0.get_mut(&(action.into(), resource.map(Into::into))) {
                selected.clause.ids.insert(id.into());
            }
        }
        Ok(builder)
    }

    fn entry(&mut self, action: Action, resource: Option<Resource>) -> &mut ActionBuilder {
        self.0.entry((action, resource)).or_default()
    }

    pub(super) fn build(self) -> Selection {
        let build = |(key, action): (ActionKey, ActionBuilder)| {
            let fields = if action.has_all_fields { Fields::All } else { Fields::only(action.fields).ok()? };
            let field_clauses =
                action.field_clauses.into_iter().map(|(field, clause)| (field, clause.build())).collect();
            Some((key, ActionSelection { fields, clause: action.clause.build(), field_clauses }))
        };
        Selection(self.0.into_iter().filter_map(build).collect())
    }
}

impl ActionBuilder {
    fn add_fields(&mut self, fields: &Fields) {
        match fields {
            Fields::All => self.has_all_fields = true,
            Fields::Only(set) => self.fields.extend(set.as_slice().iter().cloned()),
        }
    }

    pub(super) fn has(&self, field: &Field) -> bool {
        self.has_all_fields || self.fields.contains(field)
    }
}

impl ClauseBuilder {
    /// Adds alternatives. With [`ConditionClause::Always`] the result is unconditional.
    pub(super) fn add(&mut self, clause: &ConditionClause) {
        match clause {
            ConditionClause::Always => self.is_always = true,
            ConditionClause::AnyOf(set) => self.ids.extend(set.as_slice().iter().cloned()),
        }
    }

    pub(super) fn build(self) -> ConditionClause {
        if self.is_always { ConditionClause::Always } else { ConditionClause::from_list(self.ids) }
    }
}

/// Returns the fields that no old grant has; `None` if there are none.
fn subtract_granted(fields: Fields, old: &[&Grant]) -> Option<Fields> {
    let mut had: HashSet<&Field> = HashSet::new();
    for grant in old {
        match &grant.scope.fields {
            Fields::All => return None,
            Fields::Only(set) => had.extend(set.as_slice()),
        }
    }
    match fields {
        Fields::All => Some(Fields::All),
        Fields::Only(set) => Fields::only(set.as_slice().iter().filter(|field| !had.contains(field)).cloned()).ok(),
    }
}

/// Returns the conditions of a new grant: the strictest of the old ones, so that a new field allows no more than the
/// others.
fn strictest_clause(old: &[&Grant]) -> ConditionClause {
    let chosen = old.iter().map(|grant| &grant.chosen).filter(|chosen| **chosen != ConditionClause::Always);
    chosen.min_by_key(|chosen| chosen.as_slice().len()).cloned().unwrap_or(ConditionClause::Always)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ActionEntry, Catalogue, Conditions, ResourceEntry};

    fn registry() -> Registry {
        let article = ResourceEntry::collection("article", "Article").fields(["title", "body", "slug"]);
        let read = ActionEntry::on_resources("read", "Read", ["article"]).with_fields();
        Registry::new(Catalogue::default().resource(article).action(read), &Conditions::default())
    }

    fn read(fields: &[&str], chosen: &[&str]) -> Grant {
        let fields = Fields::only(fields.to_vec()).unwrap_or(Fields::All);
        Grant::new("read").on("article").fields(fields).chosen(ConditionClause::from_list(chosen.to_vec()))
    }

    fn select(fields: &[&str]) -> Selection {
        Selection::from_grants(&[read(fields, &[])])
    }

    fn boxes(n: usize, value: impl Fn(usize) -> String) -> Vec<(&'static str, String)> {
        (0..n).map(|i| ("grant", value(i))).collect()
    }

    /// Returns forms of `n` boxes, each the most expensive of its kind.
    fn forms(n: usize) -> [Vec<(&'static str, String)>; 4] {
        let fields = || boxes(n, |i| format!(r#"["read","article","f{i:06}"]"#));
        let with = |name: &'static str, value: &dyn Fn(usize) -> String| {
            fields().into_iter().chain((0..n).map(|i| (name, value(i)))).collect()
        };
        [
            fields(),
            boxes(n, |i| format!(r#"["read","s{i:06}"]"#)),
            with("condition", &|i| format!(r#"["read","article","c{i:06}"]"#)),
            with("apart", &|i| format!(r#"["read","article","f{i:06}","c{i:06}"]"#)),
        ]
    }

    #[test]
    fn memory_for_a_form_is_linear_in_its_boxes() {
        let bytes = |form: Vec<(&'static str, String)>| {
            let (form, registry) = (FormFields::from_pairs(form), registry());
            let allocated = allocation_counter::measure(|| {
                drop(Selection::parse_role(&form).unwrap().permissions());
                drop(Selection::parse(&form).unwrap().update_grants(&[read(&["title"], &[])], &registry));
            });
            allocated.bytes_total
        };
        for (i, (few, many)) in forms(500).into_iter().zip(forms(4_000)).enumerate() {
            let (few, many) = (bytes(few), bytes(many));
            assert!(many < 12 * few, "form {i}: {few} bytes for 500 boxes, {many} for 4000");
        }
    }

    #[test]
    fn malformed_boxes_are_rejected() {
        let valid = [r#"["read"]"#, r#"["read","article"]"#, r#"["read","article","title"]"#];
        for value in valid {
            assert!(Selection::parse(&FormFields::from_pairs([("grant", value.to_owned())])).is_ok(), "{value}");
        }
        let malformed = [
            ("grant", "read"),
            ("grant", "[]"),
            ("grant", "[null]"),
            ("grant", r#"["read",null,"title"]"#),
            ("grant", r#"["read","article","title","more"]"#),
            ("grant", r#"["read\u0000"]"#),
            ("grant", r#"{"read":1}"#),
            ("condition", r#"["read","own"]"#),
            ("condition", r#"["read","article",null]"#),
            ("condition", r#"["read","article","own","more"]"#),
            ("condition", r#"["read","article","own\u0000"]"#),
            ("apart", r#"["read","article","own"]"#),
            ("apart", r#"["read","article",null,"own"]"#),
        ];
        for (name, value) in malformed {
            let form = FormFields::from_pairs([("grant", valid[1].to_owned()), (name, value.to_owned())]);
            assert!(Selection::parse_role(&form).is_err(), "{name} {value}");
            assert_eq!(Selection::parse(&form).is_err(), name != "apart", "{name} {value}");
        }
    }

    #[test]
    fn unconditional_grant_makes_the_selection_unconditional() {
        let clause = |grants: &[Grant]| Selection::from_grants(grants).clause(&"read".into(), Some(&"article".into()));
        let (free, own) = (read(&["title"], &[]), read(&["body"], &["own"]));
        assert_eq!(clause(&[free.clone(), own.clone()]), ConditionClause::Always);
        assert_eq!(clause(&[own.clone(), free]), ConditionClause::Always);
        assert_eq!(clause(&[own, read(&["slug"], &["shared"])]), ConditionClause::from_list(["own", "shared"]));
    }

    #[test]
    fn added_fields_get_the_strictest_conditions() {
        let update = |before: &[Grant]| select(&["title", "body", "slug"]).update_grants(before, &registry());
        let (free, own, either) =
            (read(&["title"], &[]), read(&["body"], &["own"]), read(&["body"], &["own", "shared"]));
        for before in [[free.clone(), own.clone()], [own.clone(), free.clone()]] {
            let after = update(&before).unwrap();
            assert_eq!(after[..2], before);
            assert_eq!(after[2..], [read(&["slug"], &["own"])]);
        }
        assert_eq!(update(std::slice::from_ref(&either)).unwrap()[1], read(&["slug", "title"], &["own", "shared"]));
        assert_eq!(update(&[read(&["title"], &["own"]), either]).unwrap()[2], read(&["slug"], &["own"]));
        assert_eq!(update(&[free]).unwrap()[1], read(&["body", "slug"], &[]));
        assert_eq!(update(&[]).unwrap(), [read(&["body", "slug", "title"], &[])]);
    }

    #[test]
    fn hidden_fields_stay() {
        let registry = registry();
        let before = [read(&["title", "gone"], &["own"]), read(&["left"], &[]), Grant::new("unknown")];
        let (shown, hidden) = registry.split_grants(&before);
        assert_eq!(shown, [read(&["title"], &["own"])]);
        assert_eq!(hidden, [read(&["gone"], &["own"]), read(&["left"], &[]), Grant::new("unknown")]);
        assert_eq!(Selection::from_grants(&shown).update_grants(&before, &registry), None);
        let [_, left, unknown] = before.clone();
        let gone = read(&["gone"], &["own"]);
        let rest = || vec![gone.clone(), left.clone(), unknown.clone()];
        assert_eq!(Selection::default().update_grants(&before, &registry), Some(rest()));
        let body = [&rest()[..], &[read(&["body"], &["own"])]].concat();
        assert_eq!(select(&["body"]).update_grants(&before, &registry), Some(body));
    }

    #[test]
    fn order_of_grants_is_not_a_change() {
        let before = [read(&["title"], &["own"]), Grant::new("unknown"), read(&["body", "title"], &[])];
        assert_eq!(select(&["title", "body"]).update_grants(&before, &registry()), None);
        assert!(select(&[]).update_grants(&[read(&["title"], &[])], &registry()).is_some());
        assert_eq!(select(&[]).update_grants(&[read(&[], &["own"])], &registry()), None);
    }
}
