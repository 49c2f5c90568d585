//! Lists as JSON parameters, so that one statement takes a whole list, and lists in results.

use super::corrupt;
use crate::domain::{
    Action, ConditionClause, ConditionId, Field, Fields, Grant, OwnerId, Permission, Resource, RoleId, Scope, TokenId,
};
use crate::store::list::{ColumnFilter, merged};
use crate::store::{FilterTest, MetadataFilter, StoreError, Use};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A permission or a grant without its fields.
#[derive(Serialize)]
struct Line<'a> {
    action: &'a Action,
    #[serde(rename = "subject")]
    resource: Option<&'a Resource>,
    all: u8,
    conditions: String,
}

/// A field, and the position of its permission or grant in the list.
#[derive(Serialize)]
struct FieldLine<'a> {
    of: usize,
    field: &'a Field,
}

/// A permission or a grant with its fields, as a statement returns it.
#[derive(Deserialize)]
struct ScopeRow {
    action: Action,
    #[serde(rename = "subject")]
    resource: Option<Resource>,
    all: u8,
    conditions: String,
    fields: Vec<Field>,
}

/// A list to be written: one parameter for its items and one for their fields.
pub(super) struct List {
    pub(super) lines: String,
    pub(super) fields: String,
}

impl List {
    pub(super) fn of_permissions(permissions: &[Permission]) -> Self {
        Self::of(permissions.iter().map(|p| (&p.scope.action, p.scope.resource.as_ref(), &p.scope.fields, &p.when)))
    }

    pub(super) fn of_grants(grants: &[Grant]) -> Self {
        Self::of(grants.iter().map(|g| (&g.scope.action, g.scope.resource.as_ref(), &g.scope.fields, &g.chosen)))
    }

    fn of<'a>(
        items: impl Iterator<Item = (&'a Action, Option<&'a Resource>, &'a Fields, &'a ConditionClause)>,
    ) -> Self {
        let (mut lines, mut fields) = (Vec::new(), Vec::new());
        for (of, (action, resource, which, when)) in items.enumerate() {
            let all = u8::from(matches!(which, Fields::All));
            lines.push(Line { action, resource, all, conditions: json(&when.as_slice()) });
            if let Fields::Only(set) = which {
                fields.extend(set.as_slice().iter().map(|field| FieldLine { of, field }));
            }
        }
        Self { lines: json(&lines), fields: json(&fields) }
    }
}

pub(super) fn roles(roles: &[RoleId]) -> String {
    #[derive(Serialize)]
    struct Line {
        role: RoleId,
    }
    json(&roles.iter().map(|role| Line { role: *role }).collect::<Vec<_>>())
}

pub(super) fn owners(owners: &[OwnerId]) -> String {
    #[derive(Serialize)]
    struct Line {
        owner: OwnerId,
    }
    json(&owners.iter().map(|owner| Line { owner: *owner }).collect::<Vec<_>>())
}

pub(super) fn ids(ids: &[i64]) -> String {
    #[derive(Serialize)]
    struct Line {
        id: i64,
    }
    json(&ids.iter().map(|id| Line { id: *id }).collect::<Vec<_>>())
}

pub(super) fn texts<T: AsRef<str>>(texts: &[T]) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        text: &'a str,
    }
    json(&texts.iter().map(|text| Line { text: text.as_ref() }).collect::<Vec<_>>())
}

/// Returns filters as JSON, one item for each value. A filter without values has one item without text, and lets no row
/// pass.
pub(super) fn filters(filters: impl Iterator<Item = ColumnFilter>, metadata: Option<&MetadataFilter>) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        column: &'static str,
        test: &'static str,
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        member: Option<&'a str>,
    }
    let mut lines = Vec::new();
    for ColumnFilter { column, test, values } in merged(filters) {
        let test = if test == FilterTest::Equals { "equals" } else { "contains" };
        if values.is_empty() {
            lines.push(Line { column, test, text: None, member: None });
        }
        lines.extend(values.into_iter().map(|text| Line { column, test, text: Some(text), member: None }));
    }
    lines.extend(metadata.map(|MetadataFilter { member, text }| Line {
        column: "metadata",
        test: "equals",
        text: Some(text.clone()),
        member: Some(member),
    }));
    json(&lines)
}

pub(super) fn tokens(tokens: &[TokenId]) -> String {
    #[derive(Serialize)]
    struct Line {
        token: TokenId,
    }
    json(&tokens.iter().map(|token| Line { token: *token }).collect::<Vec<_>>())
}

pub(super) fn actions(actions: &[Action]) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        action: &'a Action,
    }
    json(&actions.iter().map(|action| Line { action }).collect::<Vec<_>>())
}

pub(in crate::store) fn uses(uses: &[Use]) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        token: i64,
        at: i64,
        address: Option<IpAddr>,
        tool: Option<&'a str>,
    }
    let lines = uses.iter().map(|u| Line { token: u.token.0, at: u.at.0, address: u.address, tool: u.tool.as_deref() });
    json(&lines.collect::<Vec<_>>())
}

pub(super) fn json<T: Serialize>(value: &T) -> String {
    #[expect(clippy::expect_used, reason = "the types here have string keys and serialise without errors")]
    serde_json::to_string(value).expect("plain data is JSON")
}

pub(super) fn read_permissions(column: &'static str, text: &str) -> Result<Vec<Permission>, StoreError> {
    read(column, text, |action, resource, fields, when| Permission { scope: Scope { action, resource, fields }, when })
}

pub(super) fn read_grants(column: &'static str, text: &str) -> Result<Vec<Grant>, StoreError> {
    read(column, text, |action, resource, fields, chosen| Grant { scope: Scope { action, resource, fields }, chosen })
}

fn read<T>(
    column: &'static str,
    text: &str,
    make: impl Fn(Action, Option<Resource>, Fields, ConditionClause) -> T,
) -> Result<Vec<T>, StoreError> {
    let stored: Vec<ScopeRow> = parse(column, text)?;
    let item = |s: ScopeRow| {
        let fields = match (s.all, s.fields) {
            (1, fields) if fields.is_empty() => Fields::All,
            (0, fields) => Fields::only(fields).map_err(|_| corrupt(column, "neither all fields nor any"))?,
            _ => return Err(corrupt(column, "all fields and some")),
        };
        let conditions: Vec<ConditionId> = parse(column, &s.conditions)?;
        Ok(make(s.action, s.resource, fields, ConditionClause::from_list(conditions)))
    };
    stored.into_iter().map(item).collect()
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(column, error))
}
