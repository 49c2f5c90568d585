//! Decisions as SQL filters with bind parameters, over expressions that the host lists.

use super::{Attribute, ConditionContext, Predicate, Value};
use std::collections::BTreeMap;

/// The SQL expressions of a host's fields and attributes.
///
/// A field that is not listed cannot be queried; a condition on an attribute that is not listed denies. Expressions are
/// `&'static str`, so that no text from a request can become one.
///
/// ```
/// use keyward::authz::{Attribute, SqlMap};
/// const ARTICLES: fn() -> SqlMap = || {
///     SqlMap::default()
///         .field("title", "a.title")
///         .attribute(Attribute::CREATOR_ID, "a.creator_id")
///         .roles("SELECT role_id FROM keyward_owner_role WHERE owner_id =", "a.creator_id")
/// };
/// assert_eq!(ARTICLES().column("title").unwrap(), "a.title");
/// ```
#[derive(Clone, Debug, Default)]
pub struct SqlMap {
    fields: BTreeMap<&'static str, &'static str>,
    attributes: BTreeMap<Attribute, &'static str>,
    roles: Option<(&'static str, &'static str)>,
}

/// A field that is not in the [`SqlMap`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no field {0}")]
pub struct UnknownColumn(pub String);

impl SqlMap {
    /// Sets the expression of a field.
    #[must_use]
    pub fn field(mut self, field: &'static str, expression: &'static str) -> Self {
        self.fields.insert(field, expression);
        self
    }

    /// Sets the expression of an attribute.
    #[must_use]
    pub fn attribute(mut self, attribute: Attribute, expression: &'static str) -> Self {
        self.attributes.insert(attribute, expression);
        self
    }

    /// Sets the query for an account's roles, which lacks only the owner's id at its end, and the expression for the id
    /// of the row's creator.
    ///
    /// The query reads both the creator's and the actor's present roles.
    #[must_use]
    pub fn roles(mut self, roles_of: &'static str, creator: &'static str) -> Self {
        self.roles = Some((roles_of, creator));
        self
    }

    /// Returns the expression of a field.
    ///
    /// # Errors
    /// Returns [`UnknownColumn`] if the field is not listed.
    pub fn column(&self, field: &str) -> Result<&'static str, UnknownColumn> {
        self.fields.get(field).copied().ok_or_else(|| UnknownColumn(field.to_owned()))
    }
}

/// A condition for a `WHERE` clause, in parentheses, with `$n` placeholders (SQLite and PostgreSQL accept them).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqlFilter {
    /// The SQL text. It contains no text from a request.
    pub sql: String,
    /// The bind parameters, from the first placeholder on.
    pub binds: Vec<Value>,
}

pub(super) struct SqlWriter<'a> {
    map: &'a SqlMap,
    first: usize,
    out: SqlFilter,
}

impl<'a> SqlWriter<'a> {
    /// Writes `predicate`, numbering placeholders from `first`.
    pub(super) fn filter(map: &'a SqlMap, first: usize, predicate: &Predicate) -> SqlFilter {
        let mut writer = Self { map, first, out: SqlFilter { sql: String::new(), binds: Vec::new() } };
        writer.write(predicate);
        writer.out
    }

    fn write(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::Always => self.out.sql.push_str("TRUE"),
            Predicate::Never => self.out.sql.push_str("FALSE"),
            Predicate::Is(attribute, value) => self.compare(attribute, std::slice::from_ref(value)),
            Predicate::IsOneOf(attribute, values) => self.compare(attribute, values),
            Predicate::SharesRole(attribute, actor) => self.shares_role(attribute, actor),
            Predicate::All(parts) => self.join(parts, " AND ", "TRUE"),
            Predicate::Any(parts) => self.join(parts, " OR ", "FALSE"),
        }
    }

    fn compare(&mut self, attribute: &Attribute, values: &[Value]) {
        let Some(expression) = self.map.attributes.get(attribute).filter(|_| !values.is_empty()) else {
            return self.out.sql.push_str("FALSE");
        };
        self.out.sql.push_str(expression);
        self.out.sql.push_str(" IN (");
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.out.sql.push_str(", ");
            }
            self.bind(value.clone());
        }
        self.out.sql.push(')');
    }

    fn shares_role(&mut self, attribute: &Attribute, actor: &ConditionContext) {
        let (Attribute::CREATOR_ROLE_IDS, Some((roles_of, creator))) = (*attribute, self.map.roles) else {
            return self.out.sql.push_str("FALSE");
        };
        let out = &mut self.out.sql;
        for part in ["EXISTS (", roles_of, " ", creator, " INTERSECT ", roles_of, " "] {
            out.push_str(part);
        }
        self.bind(Value::Int(actor.owner.0));
        self.out.sql.push(')');
    }

    fn join(&mut self, parts: &[Predicate], between: &str, none: &str) {
        if parts.is_empty() {
            return self.out.sql.push_str(none);
        }
        self.out.sql.push('(');
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                self.out.sql.push_str(between);
            }
            self.write(part);
        }
        self.out.sql.push(')');
    }

    fn bind(&mut self, value: Value) {
        self.out.sql.push_str(&format!("${}", self.first + self.out.binds.len()));
        self.out.binds.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OwnerId;

    fn written(predicate: &Predicate) -> (String, Vec<Value>) {
        const COLOUR: Attribute = Attribute("colour");
        let map = SqlMap::default().attribute(COLOUR, "t.colour").roles("SELECT role FROM roles WHERE owner =", "t.by");
        let SqlFilter { sql, binds } = SqlWriter::filter(&map, 3, predicate);
        (sql, binds)
    }

    #[test]
    fn a_predicate_is_written_with_binds_in_order() {
        let is = |value: i64| Predicate::Is(Attribute("colour"), Value::Int(value));
        let values = vec![Value::Text("red".into()), Value::Bool(true), Value::Int(7)];
        let one_of = Predicate::IsOneOf(Attribute("colour"), values);
        let actor = ConditionContext { owner: OwnerId(9), account: None, roles: [].into() };
        let shares = Predicate::SharesRole(Attribute::CREATOR_ROLE_IDS, actor);
        let all = Predicate::All(vec![is(1), is(2), one_of]);
        let (sql, binds) = written(&Predicate::Any(vec![all, shares, Predicate::Never]));
        assert_eq!(
            sql,
            "((t.colour IN ($3) AND t.colour IN ($4) AND t.colour IN ($5, $6, $7)) \
             OR EXISTS (SELECT role FROM roles WHERE owner = t.by INTERSECT SELECT role FROM roles WHERE owner = $8) \
             OR FALSE)"
        );
        let (int, text) = (Value::Int, Value::Text("red".into()));
        assert_eq!(binds, [int(1), int(2), text, Value::Bool(true), int(7), int(9)]);
    }

    #[test]
    fn inexpressible_predicates_deny_and_an_empty_all_allows() {
        let actor = ConditionContext { owner: OwnerId(9), account: None, roles: [].into() };
        for (predicate, sql) in [
            (Predicate::Is(Attribute("size"), Value::Int(1)), "FALSE"),
            (Predicate::IsOneOf(Attribute("colour"), vec![]), "FALSE"),
            (Predicate::SharesRole(Attribute("colour"), actor), "FALSE"),
            (Predicate::Any(vec![]), "FALSE"),
            (Predicate::All(vec![]), "TRUE"),
            (Predicate::Always, "TRUE"),
            (Predicate::Never, "FALSE"),
        ] {
            assert_eq!(written(&predicate), (sql.to_owned(), vec![]), "{predicate:?}");
        }
    }
}
