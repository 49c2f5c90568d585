//! Permissions and grants, as written in one word of a shell: `ACTION`, `ACTION@RESOURCE`, `ACTION@RESOURCE#FIELD,FIELD`.

use crate::shapes::SentPermission;
use keyward::authz::{self, ConditionClause, ConditionId, Fields, Grant, Permission, Requirement, Scope};
use std::fmt;
use std::str::FromStr;

/// The form, for the help of arguments.
pub(crate) const FORM: &str = "ACTION[@RESOURCE][#FIELD,..]";

/// The scope of a permission or a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScopeText(pub(crate) Scope);

impl FromStr for ScopeText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, fields) = match text.split_once('#') {
            Some((name, fields)) => (name, Some(fields)),
            None => (text, None),
        };
        let (action, resource) = match name.split_once('@') {
            Some((action, resource)) => (action, Some(resource)),
            None => (name, None),
        };
        if action.is_empty() || resource.is_some_and(str::is_empty) || text.contains(char::is_whitespace) {
            return Err(format!("write {FORM}"));
        }
        let fields = match fields {
            None => Fields::All,
            Some(fields) => {
                let names: Vec<&str> = fields.split(',').collect();
                if names.contains(&"") {
                    return Err(format!("a field without a name: write {FORM}"));
                }
                Fields::only(names).map_err(|error| error.to_string())?
            }
        };
        Ok(Self(Scope { action: action.into(), resource: resource.map(Into::into), fields }))
    }
}

impl fmt::Display for ScopeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scope { action, resource, fields } = &self.0;
        write!(f, "{action}")?;
        if let Some(resource) = resource {
            write!(f, "@{resource}")?;
        }
        if let Fields::Only(set) = fields {
            let names: Vec<String> = set.as_slice().iter().map(ToString::to_string).collect();
            write!(f, "#{}", names.join(","))?;
        }
        Ok(())
    }
}

/// Adds the conditions, of which one has to hold.
pub(crate) fn with_conditions(scope: String, conditions: &[ConditionId]) -> String {
    if conditions.is_empty() {
        return scope;
    }
    let names: Vec<&str> = conditions.iter().map(ConditionId::as_str).collect();
    format!("{scope} if {}", names.join(" or "))
}

impl ScopeText {
    /// Returns whether it is an action alone.
    pub(crate) fn is_action(&self) -> bool {
        self.0.resource.is_none() && self.has_all_fields()
    }

    pub(crate) fn has_all_fields(&self) -> bool {
        self.0.fields == Fields::All
    }

    /// Returns the requirement of a route.
    pub(crate) fn requirement(self) -> Requirement {
        let Scope { action, resource, .. } = self.0;
        match resource {
            Some(resource) => authz::action(action).on(resource),
            None => authz::action(action),
        }
    }

    pub(crate) fn permission(self) -> Permission {
        Permission { scope: self.0, when: ConditionClause::Always }
    }

    pub(crate) fn grant(self, may_delegate: bool) -> Grant {
        Grant { scope: self.0, chosen: ConditionClause::Always, may_delegate }
    }
}

/// Parses a JSON list of permissions in the form of the management API.
pub(crate) fn parse_permissions(json: &str) -> Result<Vec<Permission>, String> {
    let sent: Vec<SentPermission> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let permission = |(i, sent): (usize, SentPermission)| {
        sent.permission().map_err(|problem| format!("permission {}: {problem}", i + 1))
    };
    sent.into_iter().enumerate().map(permission).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_scopes_parse_and_print_alike() {
        for text in ["orders.read", "explorer.read@api::article.article", "read@article#body,title", "a#b"] {
            let scope: ScopeText = text.parse().unwrap();
            assert_eq!(scope.to_string(), text);
        }
        let scope: ScopeText = "explorer.read@api::article.article#title".parse().unwrap();
        assert_eq!(
            scope.permission(),
            Permission::new("explorer.read").on("api::article.article").fields(Fields::only(["title"]).unwrap())
        );
        for wrong in ["", "@x", "a@", "a#", "a#b,", "a b", "a@ b"] {
            assert!(wrong.parse::<ScopeText>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn json_permissions_parse() {
        let json = r#"[{"action":"a"},{"id":2,"action":"b","subject":"r","properties":{"fields":["x"]},"conditions":["c"],"actionParameters":{}}]"#;
        let expected = [
            Permission::new("a"),
            Permission::new("b").on("r").fields(Fields::only(["x"]).unwrap()).when(ConditionClause::from_list(["c"])),
        ];
        assert_eq!(parse_permissions(json).unwrap(), expected);
        for wrong in [
            r#"{}"#,
            r#"[{"subject":"r"}]"#,
            r#"[{"action":"a","nope":1}]"#,
            r#"[{"action":"a","properties":{"fields":[]}}]"#,
        ] {
            assert!(parse_permissions(wrong).is_err(), "{wrong}");
        }
    }
}
