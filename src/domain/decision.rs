//! Decisions: the effective permissions that answer a requirement, as row filter and visible fields.

use super::sql::SqlWriter;
use super::{Attribute, ConditionClause, ConditionExpr, ConditionId, Field, Fields, Predicate, SqlFilter, SqlMap};
use serde_json::{Map, Value as Json};

/// The summary of a decision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Denied.
    Denied,
    /// Allowed for some rows or fields: the handler has to apply the [`Decision`].
    Partial,
    /// Allowed for every row and field.
    Allowed,
}

/// One effective permission of a decision.
#[derive(Clone, PartialEq, Debug)]
pub struct DecisionRule {
    pub(crate) fields: Fields,
    pub(crate) guard: ConditionExpr,
    pub(crate) predicate: Predicate,
}

impl DecisionRule {
    pub(crate) const EVERYTHING: DecisionRule =
        DecisionRule { fields: Fields::All, guard: ConditionExpr::ALWAYS, predicate: Predicate::Always };

    /// Returns the fields it allows, on rows that meet its conditions.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Returns its conditions: every part must hold, and of each part any condition suffices. Empty: every row.
    pub fn conditions(&self) -> impl Iterator<Item = &[ConditionId]> {
        self.guard.parts().iter().map(ConditionClause::as_slice)
    }
}

/// The answer to a requirement: the effective permissions that apply, each with its own rows and fields.
///
/// Visible fields depend on the row, so there is no method that returns them without a row, except for creating one.
#[derive(Clone, PartialEq, Debug, Default)]
#[must_use = "apply it to rows and fields, or require the `whole()`"]
pub struct Decision {
    rules: Vec<DecisionRule>,
}

/// A field that is hidden on some row, and so must not sort, filter or search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not visible on every row: it can neither sort nor filter")]
pub struct HiddenField(pub String);

/// A change that the decision does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The row may not be written.
    #[error("not allowed on this entry")]
    Row,
    /// This field of the row may not be written.
    #[error("{0} is not allowed on this entry")]
    Field(String),
}

impl Decision {
    /// Returns a decision that denies.
    pub fn denied() -> Self {
        Self::default()
    }

    pub(crate) fn of(rules: impl IntoIterator<Item = DecisionRule>) -> Self {
        Self { rules: rules.into_iter().collect() }
    }

    /// Returns a decision that allows everything.
    pub(crate) fn everything() -> Self {
        Self::of([DecisionRule::EVERYTHING])
    }

    /// Returns a decision that allows what either allows.
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.rules.extend(other.rules);
        self
    }

    /// Returns a decision that allows what both allow.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let pairs = self.rules.iter().flat_map(|a| other.rules.iter().map(move |b| (a, b)));
        Self::of(pairs.filter_map(|(a, b)| {
            Some(DecisionRule {
                fields: a.fields.intersect(&b.fields)?,
                guard: a.guard.and(&b.guard),
                predicate: match (&a.predicate, &b.predicate) {
                    (Predicate::Always, p) | (p, Predicate::Always) => p.clone(),
                    (p, q) => Predicate::All(vec![p.clone(), q.clone()]),
                },
            })
        }))
    }

    /// Returns true if it surely allows everything that `other` does. May return false although that is so.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let within = |r: &DecisionRule, s: &DecisionRule| s.fields.covers(&r.fields) && r.guard.implies(&s.guard);
        other.rules.iter().all(|r| self.rules.iter().any(|s| within(r, s)))
    }

    /// Returns the effective permissions; empty if it denies.
    pub fn rules(&self) -> &[DecisionRule] {
        &self.rules
    }

    /// Returns the summary.
    pub fn verdict(&self) -> Verdict {
        let everything = |r: &DecisionRule| r.fields == Fields::All && r.predicate == Predicate::Always;
        match &self.rules {
            rules if rules.is_empty() => Verdict::Denied,
            rules if rules.iter().any(everything) => Verdict::Allowed,
            _ => Verdict::Partial,
        }
    }

    /// Returns the SQL filter for allowed rows, with placeholders numbered from `first`.
    ///
    /// A condition that `map` cannot express denies.
    pub fn filter(&self, map: &SqlMap, first: usize) -> SqlFilter {
        let predicates: Vec<Predicate> = self.rules.iter().map(|r| r.predicate.clone()).collect();
        let predicate = match predicates {
            p if p.contains(&Predicate::Always) => Predicate::Always,
            p => Predicate::Any(p),
        };
        SqlWriter::filter(map, first, &predicate)
    }

    /// Returns true if it allows this row, a JSON object with the attributes as members.
    pub fn admits(&self, row: &Json) -> bool {
        self.rules.iter().any(|r| r.predicate.holds(row))
    }

    /// Returns the visible fields of this row: the union over the permissions that hold for it. `None` if the row is
    /// denied.
    pub fn fields_of(&self, row: &Json) -> Option<Fields> {
        let holding = self.rules.iter().filter(|r| r.predicate.holds(row));
        holding.map(|r| r.fields.clone()).reduce(|a, b| a.union(&b))
    }

    /// Removes hidden members from `row`; `None` if the row is denied.
    ///
    /// Members in `always` (ids, times and other non-fields) are kept. The attributes of the row's creator are kept
    /// only if they are in `always`.
    pub fn project(&self, row: Json, always: &[&str]) -> Option<Map<String, Json>> {
        let fields = self.fields_of(&row)?;
        let Json::Object(mut members) = row else { return None };
        let attribute = |name: &str| CREATOR.iter().any(|a| a.0 == name);
        members.retain(|name, _| always.contains(&name.as_str()) || (fields.contains(name) && !attribute(name)));
        Some(members)
    }

    /// Checks that `field` may sort, filter and search: it must be visible on every row that the decision allows.
    ///
    /// # Errors
    /// Returns [`HiddenField`] if it is hidden on some row: the order or absence of rows would disclose its value.
    pub fn may_query(&self, field: &str) -> Result<(), HiddenField> {
        let shows = |r: &DecisionRule| r.fields.contains(field);
        let covered = |r: &DecisionRule| shows(r) || self.rules.iter().any(|s| shows(s) && r.guard.implies(&s.guard));
        let attribute = CREATOR.iter().any(|a| a.0 == field);
        if !attribute && !self.rules.is_empty() && self.rules.iter().all(covered) {
            Ok(())
        } else {
            Err(HiddenField(field.to_owned()))
        }
    }

    /// Checks that a row may be created as `row`, with the actor as its creator, setting `fields`.
    ///
    /// # Errors
    /// Returns [`Denied`] for the row, or for the first field that is not allowed.
    pub fn permits_create<'a>(&self, row: &Json, fields: impl IntoIterator<Item = &'a str>) -> Result<(), Denied> {
        check_write(self.fields_of(row), fields)
    }

    /// Checks that `fields` may change on a row from `before` to `after`: they must be allowed on both.
    ///
    /// # Errors
    /// Returns [`Denied`] for the row, or for the first field that is not allowed.
    pub fn permits_update<'a>(
        &self,
        before: &Json,
        after: &Json,
        fields: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Denied> {
        let (Some(a), Some(b)) = (self.fields_of(before), self.fields_of(after)) else { return Err(Denied::Row) };
        let mut fields = fields.into_iter();
        match a.intersect(&b) {
            Some(both) => check_write(Some(both), fields),
            None => fields.next().map_or(Ok(()), |f| Err(Denied::Field(f.to_owned()))),
        }
    }

    /// Returns whether a write may set this field on some row at least.
    #[cfg(feature = "mcp")]
    pub(crate) fn may_set(&self, field: &str) -> bool {
        let is_attribute = CREATOR.iter().any(|attribute| attribute.0 == field);
        !is_attribute && self.rules.iter().any(|rule| rule.fields.contains(field))
    }

    /// Returns the fields that a new row may have: an upper bound, for forms. Check the row itself with
    /// [`permits_create`](Self::permits_create).
    pub fn fields_to_create(&self) -> Option<Fields> {
        self.rules.iter().map(|r| r.fields.clone()).reduce(|a, b| a.union(&b))
    }
}

/// Attributes of the row's creator are set by the host, never by a request, and are not fields.
const CREATOR: [Attribute; 2] = [Attribute::CREATOR_ID, Attribute::CREATOR_ROLE_IDS];

fn check_write<'a>(allowed: Option<Fields>, fields: impl IntoIterator<Item = &'a str>) -> Result<(), Denied> {
    let allowed = allowed.ok_or(Denied::Row)?;
    let denied = |f: &&str| !allowed.contains(Field::from(*f).as_str()) || CREATOR.iter().any(|a| a.0 == *f);
    match fields.into_iter().find(denied) {
        None => Ok(()),
        Some(field) => Err(Denied::Field(field.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Value;
    use serde_json::json;

    fn own() -> (ConditionExpr, Predicate) {
        (ConditionExpr::all([ConditionClause::from_list(["own"])]), Predicate::Is(Attribute::CREATOR_ID, Value::Int(7)))
    }

    fn rule(fields: &[&str], (guard, predicate): (ConditionExpr, Predicate)) -> DecisionRule {
        DecisionRule { fields: Fields::only(fields.iter().copied()).unwrap(), guard, predicate }
    }

    fn mixed() -> Decision {
        Decision::of([rule(&["title"], (ConditionExpr::ALWAYS, Predicate::Always)), rule(&["body"], own())])
    }

    #[test]
    fn visible_fields_depend_on_the_row() {
        let mine = json!({"id": 1, "title": "t", "body": "b", "creator_id": 7});
        let other = json!({"id": 2, "title": "t", "body": "b", "creator_id": 8});
        let shown = |row: &Json| Json::Object(mixed().project(row.clone(), &["id"]).unwrap());
        assert_eq!(shown(&mine), json!({"id": 1, "title": "t", "body": "b"}));
        assert_eq!(shown(&other), json!({"id": 2, "title": "t"}));
        assert_eq!(mixed().verdict(), Verdict::Partial);
        let all = Decision::everything().project(mine, &["id"]).unwrap();
        assert_eq!(Json::Object(all), json!({"id": 1, "title": "t", "body": "b"}), "creator attributes are hidden");
    }

    #[test]
    fn only_fields_visible_on_every_row_may_be_queried() {
        assert!(mixed().may_query("title").is_ok());
        assert_eq!(mixed().may_query("body"), Err(HiddenField("body".into())));
        let only_own = Decision::of([rule(&["title", "body"], own()), rule(&["slug"], own())]);
        assert!(only_own.may_query("body").is_ok() && only_own.may_query("slug").is_ok());
        assert!(Decision::denied().may_query("title").is_err());
        assert!(Decision::everything().may_query("anything").is_ok());
        assert!(Decision::everything().may_query("creator_id").is_err());
    }

    #[test]
    fn an_update_is_checked_before_and_after() {
        let d = mixed();
        let (mine, other) = (json!({"creator_id": 7}), json!({"creator_id": 8}));
        assert_eq!(d.permits_create(&mine, ["title", "body"]), Ok(()));
        assert_eq!(d.permits_create(&mine, ["slug"]), Err(Denied::Field("slug".into())));
        assert_eq!(d.permits_update(&other, &other, ["body"]), Err(Denied::Field("body".into())));
        assert_eq!(d.permits_update(&mine, &other, ["body"]), Err(Denied::Field("body".into())));
        assert_eq!(d.permits_update(&mine, &mine, ["body"]), Ok(()));
        assert_eq!(
            Decision::everything().permits_create(&mine, ["creator_id"]),
            Err(Denied::Field("creator_id".into()))
        );
        assert_eq!(Decision::denied().permits_create(&mine, []), Err(Denied::Row));
    }

    /// A long-lived response ends as soon as its decision is not covered any more.
    #[test]
    fn a_decision_covers_fewer_fields_and_stricter_conditions() {
        let always = || (ConditionExpr::ALWAYS, Predicate::Always);
        let of = |fields: &[&str], guard| Decision::of([rule(fields, guard)]);
        let both = of(&["title", "body"], always());
        for less in [of(&["title"], always()), of(&["title", "body"], own()), mixed(), Decision::denied()] {
            assert!(both.covers(&less) && !less.covers(&both), "{less:?}");
        }
        assert!(both.covers(&both) && mixed().covers(&mixed()) && Decision::everything().covers(&both));
        let (fewer_fields, fewer_rows) = (of(&["title"], always()), of(&["title", "body"], own()));
        assert!(!fewer_fields.covers(&fewer_rows) && !fewer_rows.covers(&fewer_fields));
    }

    #[test]
    fn a_form_for_a_new_row_has_the_fields_of_all_rules() {
        assert_eq!(mixed().fields_to_create(), Some(Fields::only(["title", "body"]).unwrap()));
        assert_eq!(Decision::everything().fields_to_create(), Some(Fields::All));
        assert_eq!(Decision::denied().fields_to_create(), None);
    }

    #[test]
    fn an_unconditional_permission_makes_the_filter_true() {
        let map = SqlMap::default().attribute(Attribute::CREATOR_ID, "creator");
        let filter = |d: Decision| d.filter(&map, 3);
        let (sql, binds) = ("TRUE".to_owned(), Vec::new());
        assert_eq!(filter(mixed()), SqlFilter { sql, binds });
        let (sql, binds) = ("(creator IN ($3))".to_owned(), vec![Value::Int(7)]);
        assert_eq!(filter(Decision::of([rule(&["title"], own())])), SqlFilter { sql, binds });
        assert_eq!(filter(Decision::denied()).sql, "FALSE");
    }

    #[test]
    fn and_allows_no_more_than_either() {
        let both = mixed().and(&Decision::of([rule(&["body"], (ConditionExpr::ALWAYS, Predicate::Always))]));
        assert_eq!(both.rules().len(), 1);
        assert_eq!(both.fields_of(&json!({"creator_id": 8})), None);
        assert_eq!(Decision::everything().and(&mixed()), mixed());
    }
}
