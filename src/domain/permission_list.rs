//! The permissions of a principal as data: what a token is told about itself.

use super::{Action, Authority, ConditionClause, ContentAccess, EffectivePermission, Fields};
use serde::Serialize;
#[cfg(feature = "api")]
use std::collections::BTreeSet;

/// The permissions of an authority.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub(crate) struct PermissionList {
    /// `listed` if the list is complete, or what holds in its place: `everything`, `decided-by-application`, `read-only`,
    /// `full-access`.
    extent: &'static str,
    permissions: Vec<ListedPermission>,
}

/// A permission of a token or of a signed-in person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
pub(crate) struct ListedPermission {
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "api", schema(nullable = false))]
    resource: Option<String>,
    /// Only these fields. Left out: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "api", schema(nullable = false))]
    fields: Option<Vec<String>>,
    /// Every part has to hold. A part holds if one of its conditions does. Left out: every row.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "api", schema(nullable = false))]
    conditions: Option<Vec<Vec<String>>>,
}

impl Authority {
    /// Lists the permissions.
    pub(crate) fn permission_list(&self) -> PermissionList {
        let of = |extent, permissions| PermissionList { extent, permissions };
        let actions = |actions: &[Action]| actions.iter().map(ListedPermission::whole).collect();
        match self {
            Self::Admin { rules, .. } | Self::Session { rules: Some(rules), .. } => {
                of("listed", rules.iter().map(ListedPermission::from).collect())
            }
            Self::Session { rules: None, .. } => of("everything", Vec::new()),
            Self::PolicySession { .. } => of("decided-by-application", Vec::new()),
            Self::Content { access: ContentAccess::Custom(allowed) } => of("listed", actions(allowed)),
            Self::Content { access } => of(access.as_str(), Vec::new()),
            Self::Public { actions: allowed } => of("listed", actions(allowed)),
        }
    }

    /// Returns the listed actions that hold as a whole: without a resource, for every row and field. A reader
    /// of this list alone takes none of them for more than it is.
    #[cfg(feature = "api")]
    pub(crate) fn scopes(&self) -> BTreeSet<&str> {
        let is_whole = |rule: &&EffectivePermission| {
            rule.scope.resource.is_none() && rule.scope.fields == Fields::All && rule.guard.is_always()
        };
        match self {
            Self::Admin { rules, .. } | Self::Session { rules: Some(rules), .. } => {
                rules.iter().filter(is_whole).map(|rule| rule.scope.action.as_str()).collect()
            }
            Self::Content { access: ContentAccess::Custom(allowed) } | Self::Public { actions: allowed } => {
                allowed.iter().map(Action::as_str).collect()
            }
            Self::Session { rules: None, .. } | Self::PolicySession { .. } | Self::Content { .. } => BTreeSet::new(),
        }
    }
}

impl ListedPermission {
    fn whole(action: &Action) -> Self {
        Self { action: action.to_string(), resource: None, fields: None, conditions: None }
    }
}

impl From<&EffectivePermission> for ListedPermission {
    fn from(rule: &EffectivePermission) -> Self {
        let part = |part: &ConditionClause| part.as_slice().iter().map(ToString::to_string).collect();
        Self {
            action: rule.scope.action.to_string(),
            resource: rule.scope.resource.as_ref().map(ToString::to_string),
            fields: match &rule.scope.fields {
                Fields::All => None,
                Fields::Only(fields) => Some(fields.as_slice().iter().map(ToString::to_string).collect()),
            },
            conditions: (!rule.guard.is_always()).then(|| rule.guard.parts().iter().map(part).collect()),
        }
    }
}
