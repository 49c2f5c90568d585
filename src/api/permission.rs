//! The wire form of permissions and grants.

use super::failure::{Failure, Problem, Problems, wire_name};
use super::json::non_null;
use super::unchanged::Unchanged;
use crate::admin::{CONDITIONS, FIELDS};
use crate::domain::{
    self, ConditionClause, ConditionId, Conditions, EmptySet, FieldName, FieldPath, FieldSet, Grant, PathSegment,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use utoipa::ToSchema;

/// The most characters of a name.
const NAME_LENGTH: usize = 255;

/// A permission, as it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Permission {
    /// Its place in the list, from 1.
    id: usize,
    /// The action.
    action: String,
    /// The resource of the action.
    #[serde(rename = "subject")]
    resource: Option<String>,
    properties: Properties,
    /// The conditions, of which one has to hold. Empty: the permission always applies.
    conditions: Vec<String>,
    /// Whether the token may pass it on to tokens that it makes itself. Only of tokens.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    may_delegate: bool,
    action_parameters: Nothing,
}

/// The limits of a permission.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Properties {
    /// Only these fields. Left out: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fields: Option<Vec<String>>,
}

/// An object without members.
#[derive(Serialize, Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Nothing {}

/// A permission, as it is sent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct SentPermission {
    /// The action.
    action: String,
    /// The resource of the action.
    #[serde(rename = "subject")]
    resource: Option<String>,
    properties: Option<SentProperties>,
    /// The conditions. A token gets those of its owner instead, unless the owner is a super admin.
    conditions: Option<Vec<String>>,
    /// Whether the token may pass it on to tokens that it makes itself. Only of tokens.
    #[serde(default)]
    may_delegate: bool,
    #[serde(default)]
    #[expect(dead_code, reason = "places are counted anew")]
    id: Unchanged,
    #[expect(dead_code, reason = "there are none")]
    action_parameters: Option<Nothing>,
}

/// The requested limits of a permission.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct SentProperties {
    /// Only these fields: one at least. Left out: all. `null` is rejected.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(nullable = false)]
    fields: Option<Vec<String>>,
}

/// Converts grants, each with its conditions.
pub(super) fn show_grants(grants: &[Grant], conditions: &[Vec<ConditionId>]) -> Vec<Permission> {
    let of = |i: usize| conditions.get(i).map(Vec::as_slice).unwrap_or_default();
    let shown = |(i, g): (usize, &Grant)| Permission {
        may_delegate: g.may_delegate,
        ..show(i, &g.scope.action, g.scope.resource.as_ref(), &g.scope.fields, of(i))
    };
    grants.iter().enumerate().map(shown).collect()
}

pub(super) fn show_permissions(permissions: &[domain::Permission]) -> Vec<Permission> {
    let shown = |(i, p): (usize, &domain::Permission)| {
        show(i, &p.scope.action, p.scope.resource.as_ref(), &p.scope.fields, p.when.as_slice())
    };
    permissions.iter().enumerate().map(shown).collect()
}

fn show(
    place: usize,
    action: &domain::Action,
    resource: Option<&domain::Resource>,
    fields: &domain::Fields,
    conditions: &[ConditionId],
) -> Permission {
    let fields = match fields {
        domain::Fields::All => None,
        domain::Fields::Only(set) => Some(set.as_slice().iter().map(ToString::to_string).collect()),
    };
    Permission {
        id: place + 1,
        action: action.to_string(),
        resource: resource.map(ToString::to_string),
        properties: Properties { fields },
        conditions: conditions.iter().map(ToString::to_string).collect(),
        may_delegate: false,
        action_parameters: Nothing {},
    }
}

/// A list of permissions that a client sent.
pub(super) struct SentPermissions<'a> {
    /// The name of the list in the body.
    pub(super) under: &'static str,
    pub(super) list: &'a [SentPermission],
    /// The most entries of the list.
    pub(super) most: usize,
}

impl SentPermissions<'_> {
    /// Parses the permissions of a role.
    pub(super) fn of_role(&self) -> Result<Vec<domain::Permission>, Failure> {
        if let Some(i) = self.list.iter().position(|sent| sent.may_delegate) {
            let path = [self.under, &i.to_string(), "mayDelegate"];
            return Err(Problem::at(path, "only a token's permission may be delegated").into());
        }
        self.read()
    }

    /// Parses the permissions. The service checks that the names exist.
    fn read(&self) -> Result<Vec<domain::Permission>, Failure> {
        if self.list.len() > self.most {
            return Err(Problem::at([self.under], format!("must have at most {} entries", self.most)).into());
        }
        let (mut permissions, mut problems) = (Vec::with_capacity(self.list.len()), Problems::default());
        for (i, sent) in self.list.iter().enumerate() {
            if problems.is_full() {
                break;
            }
            let place = i.to_string();
            let at =
                |path: &[&str], message: String| Problem::at([&[self.under, place.as_str()], path].concat(), message);
            let names = [(Some(&sent.action), "action"), (sent.resource.as_ref(), "subject")];
            for (text, part) in names {
                if let Some(message) = text.and_then(|text| name_error(text)) {
                    problems.push(at(&[part], message));
                }
            }
            let fields = sent.properties.as_ref().and_then(|p| p.fields.as_deref());
            let conditions = sent.conditions.as_deref().unwrap_or_default();
            check_names(fields.unwrap_or_default(), FIELDS, &["properties", "fields"], &at, &mut problems);
            check_names(conditions, CONDITIONS, &["conditions"], &at, &mut problems);
            let fields = match fields.map(|fields| FieldSet::new(fields.iter().map(String::as_str))) {
                None => domain::Fields::All,
                Some(Ok(set)) => domain::Fields::Only(set),
                Some(Err(EmptySet)) => {
                    problems.push(at(&["properties", "fields"], EmptySet.to_string()));
                    continue;
                }
            };
            permissions.push(domain::Permission {
                scope: domain::Scope {
                    action: sent.action.as_str().into(),
                    resource: sent.resource.as_deref().map(Into::into),
                    fields,
                },
                when: ConditionClause::from_list(conditions.iter().map(String::as_str)),
            });
        }
        problems.done()?;
        Ok(permissions)
    }

    /// Parses the permissions as grants of an owner. Only a super admin's grants have the sent conditions; those of other owners inherit
    /// conditions from the owner's roles. Every sent condition must exist.
    pub(super) fn grants(&self, super_admin: bool, known: &Conditions) -> Result<Vec<Grant>, Failure> {
        let permissions = self.read()?;
        let mut problems = Problems::default();
        for (i, sent) in self.list.iter().enumerate() {
            for (j, condition) in sent.conditions.iter().flatten().enumerate().filter(|(_, c)| !known.contains(c)) {
                let path = [self.under, &i.to_string(), "conditions", &j.to_string()].map(str::to_owned);
                let message = format!("there is no condition {condition}");
                problems.push(Problem::at(path, message).got(condition.as_str()));
            }
        }
        problems.done()?;
        let grant = |(p, sent): (domain::Permission, &SentPermission)| {
            let chosen = if super_admin { p.when } else { ConditionClause::Always };
            Grant { scope: p.scope, chosen, may_delegate: sent.may_delegate }
        };
        Ok(permissions.into_iter().zip(self.list).map(grant).collect())
    }

    /// Returns the path by which the client sent a field of these permissions.
    pub(super) fn path(&self, path: &FieldPath) -> Vec<String> {
        let mut parts = Vec::with_capacity(path.segments().len() + 1);
        let mut permission: Option<&SentPermission> = None;
        // The sent list, where the next index is that of a member of its sorted set.
        let mut set: Option<&[String]> = None;
        for segment in path.segments() {
            match segment {
                PathSegment::Field(FieldName::Grants | FieldName::Permissions) => parts.push(self.under.to_owned()),
                PathSegment::Field(FieldName::Fields) => {
                    parts.extend(["properties".to_owned(), "fields".to_owned()]);
                    set = permission.and_then(|p| p.properties.as_ref()?.fields.as_deref());
                }
                PathSegment::Field(FieldName::Conditions) => {
                    parts.push("conditions".to_owned());
                    set = permission.and_then(|p| p.conditions.as_deref());
                }
                PathSegment::Field(field) => parts.push(wire_name(*field).to_owned()),
                PathSegment::Index(index) => {
                    permission = self.list.get(*index);
                    parts.push(set.take().map_or(*index, |set| sent_index(set, *index)).to_string());
                }
            }
        }
        parts
    }
}

/// Returns the index in the sent list of the member with this index in the sorted set. The list has no duplicates.
fn sent_index(list: &[String], member: usize) -> usize {
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_unstable_by_key(|index| &list[*index]);
    order.get(member).copied().unwrap_or(member)
}

/// Reports the entries of a list that are invalid names or duplicates; or only that the list is too long.
fn check_names(
    list: &[String],
    most: usize,
    path: &[&str],
    at: &dyn Fn(&[&str], String) -> Problem,
    problems: &mut Problems,
) {
    if list.len() > most {
        return problems.push(at(path, format!("must have at most {most} entries")));
    }
    let mut there = HashSet::new();
    for (j, text) in list.iter().enumerate() {
        let twice = (!there.insert(text)).then(|| "is there twice".to_owned());
        if let Some(message) = name_error(text).or(twice) {
            problems.push(at(&[path, &[j.to_string().as_str()]].concat(), message));
        }
    }
}

fn name_error(text: &str) -> Option<String> {
    match text.chars().count() {
        0 => Some("must not be empty".to_owned()),
        n if n > NAME_LENGTH => Some(format!("must have at most {NAME_LENGTH} characters")),
        _ => None,
    }
}
