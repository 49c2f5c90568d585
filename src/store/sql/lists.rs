//! Lists as JSON parameters, so that one statement takes a whole list, and lists in results.

use super::corrupt;
use crate::domain::{
    Action, Ancestor, ConditionClause, ConditionId, Digest, Field, Fields, Grant, LastUse, OwnerId, Permission,
    PreviousSecret, RateLimit, Resource, RoleId, Scope, Timestamp, TokenId, TokenLimits,
};
use crate::store::list::{ColumnFilter, merged};
use crate::store::{FilterTest, MetadataFilter, StoreError, Use};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// A permission or a grant without its fields.
#[derive(Serialize)]
struct Line<'a> {
    action: &'a Action,
    #[serde(rename = "subject")]
    resource: Option<&'a Resource>,
    all: u8,
    conditions: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegate: Option<u8>,
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
    #[serde(default)]
    delegate: u8,
    fields: Vec<Field>,
}

/// A list to be written: one parameter for its items and one for their fields.
pub(super) struct List {
    pub(super) lines: String,
    pub(super) fields: String,
}

impl List {
    pub(super) fn of_permissions(permissions: &[Permission]) -> Self {
        Self::of(permissions.iter().map(|p| (&p.scope, &p.when, None)))
    }

    pub(super) fn of_grants(grants: &[Grant]) -> Self {
        Self::of(grants.iter().map(|g| (&g.scope, &g.chosen, Some(u8::from(g.may_delegate)))))
    }

    /// Makes a list of scopes, each with its conditions, and for a grant whether it may be passed on.
    fn of<'a>(items: impl Iterator<Item = (&'a Scope, &'a ConditionClause, Option<u8>)>) -> Self {
        let (mut lines, mut fields) = (Vec::new(), Vec::new());
        for (of, (scope, when, delegate)) in items.enumerate() {
            let all = u8::from(matches!(scope.fields, Fields::All));
            let (action, resource) = (&scope.action, scope.resource.as_ref());
            lines.push(Line { action, resource, all, conditions: json(&when.as_slice()), delegate });
            if let Fields::Only(set) = &scope.fields {
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

/// Grants, each by its token and its place in the token's list.
pub(super) fn places(places: &[(TokenId, usize)]) -> String {
    #[derive(Serialize)]
    struct Line {
        token: TokenId,
        place: usize,
    }
    json(&places.iter().map(|(token, place)| Line { token: *token, place: *place }).collect::<Vec<_>>())
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
        digest: String,
        at: i64,
        address: Option<IpAddr>,
        tool: Option<&'a str>,
    }
    let lines = uses.iter().map(|u| Line {
        token: u.token.0,
        digest: u.digest.to_hex(),
        at: u.at.0,
        address: u.address,
        tool: u.tool.as_deref(),
    });
    json(&lines.collect::<Vec<_>>())
}

pub(super) fn json<T: Serialize>(value: &T) -> String {
    #[expect(clippy::expect_used, reason = "the types here have string keys and serialise without errors")]
    serde_json::to_string(value).expect("plain data is JSON")
}

pub(super) fn read_permissions(column: &'static str, text: &str) -> Result<Vec<Permission>, StoreError> {
    read(column, parse(column, text)?, |scope, when, _| Permission { scope, when })
}

pub(super) fn read_grants(column: &'static str, text: &str) -> Result<Vec<Grant>, StoreError> {
    grants(column, parse(column, text)?)
}

fn grants(column: &'static str, stored: Vec<ScopeRow>) -> Result<Vec<Grant>, StoreError> {
    read(column, stored, |scope, chosen, may_delegate| Grant { scope, chosen, may_delegate })
}

/// Reads the secret before the present one.
pub(super) fn read_previous(column: &'static str, text: &str) -> Result<PreviousSecret, StoreError> {
    #[derive(Deserialize)]
    struct Stored {
        digest: String,
        hint: String,
        replaced_at: i64,
        ends_at: i64,
        used_at: Option<i64>,
        address: Option<String>,
    }
    let Stored { digest, hint, replaced_at, ends_at, used_at, address } = parse(column, text)?;
    let digest = Digest::from_hex(&digest).map_err(|error| corrupt(column, error))?;
    let address = address.map(|text| text.parse().map_err(|error| corrupt(column, error))).transpose()?;
    let used = used_at.map(|at| LastUse { at: Timestamp(at), address });
    Ok(PreviousSecret { digest, hint, replaced_at: Timestamp(replaced_at), ends_at: Timestamp(ends_at), used })
}

/// Reads the tokens that a token comes from.
pub(super) fn read_ancestors(column: &'static str, text: &str) -> Result<Vec<Ancestor>, StoreError> {
    #[derive(Deserialize)]
    struct Stored {
        id: i64,
        enabled: u8,
        networks: Option<String>,
        rate_limit: Option<i64>,
        rate_window_ms: Option<i64>,
        idle_expiry_ms: Option<i64>,
        expires_at: Option<i64>,
        created_at: i64,
        last_used_at: Option<i64>,
        grants: Vec<ScopeRow>,
    }
    let stored: Vec<Stored> = parse(column, text)?;
    let ancestor = |s: Stored| {
        Ok(Ancestor {
            id: TokenId(s.id),
            grants: grants(column, s.grants)?,
            limits: read_limits(s.enabled == 1, s.networks, s.rate_limit.zip(s.rate_window_ms), s.idle_expiry_ms)?,
            expires_at: s.expires_at.map(Timestamp),
            created_at: Timestamp(s.created_at),
            last_used_at: s.last_used_at.map(Timestamp),
        })
    };
    stored.into_iter().map(ancestor).collect()
}

/// Reads limits: the networks as JSON, the rate as requests and milliseconds, and milliseconds.
pub(super) fn read_limits(
    enabled: bool,
    networks: Option<String>,
    rate: Option<(i64, i64)>,
    idle_expiry: Option<i64>,
) -> Result<TokenLimits, StoreError> {
    let span = |column, ms: i64| u64::try_from(ms).map(Duration::from_millis).map_err(|error| corrupt(column, error));
    let read_rate = |(limit, window)| {
        let limit = u32::try_from(limit).map_err(|error| corrupt("rate_limit", error))?;
        RateLimit::new(limit, span("rate_window_ms", window)?).map_err(|error| corrupt("rate_limit", error))
    };
    let mut limits = TokenLimits::none().enabled(enabled);
    limits.networks = networks.map(|text| parse("networks", &text)).transpose()?.unwrap_or_default();
    limits.rate = rate.map(read_rate).transpose()?;
    limits.idle_expiry = idle_expiry.map(|ms| span("idle_expiry_ms", ms)).transpose()?;
    Ok(limits)
}

fn read<T>(
    column: &'static str,
    stored: Vec<ScopeRow>,
    make: impl Fn(Scope, ConditionClause, bool) -> T,
) -> Result<Vec<T>, StoreError> {
    let item = |s: ScopeRow| {
        let fields = match (s.all, s.fields) {
            (1, fields) if fields.is_empty() => Fields::All,
            (0, fields) => Fields::only(fields).map_err(|_| corrupt(column, "neither all fields nor any"))?,
            _ => return Err(corrupt(column, "all fields and some")),
        };
        let conditions: Vec<ConditionId> = parse(column, &s.conditions)?;
        let scope = Scope { action: s.action, resource: s.resource, fields };
        Ok(make(scope, ConditionClause::from_list(conditions), s.delegate == 1))
    };
    stored.into_iter().map(item).collect()
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(column, error))
}
