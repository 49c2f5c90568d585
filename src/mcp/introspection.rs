//! Tools that describe the caller: its token and its permissions. The layer answers the calls, and they change nothing.

use crate::domain::{Authority, ContentAccess, EffectivePermission, Fields};
use crate::guard::AuthContext;
use serde_json::{Map, Value, json};

pub(super) const WHOAMI: &str = "whoami";
pub(super) const PERMISSIONS: &str = "list_my_permissions";

/// Returns the tools as `tools/list` shows them.
pub(super) fn definitions() -> [Value; 2] {
    let tool = |name: &str, description: &str| {
        json!({
            "name": name,
            "description": description,
            "inputSchema": {"type": "object", "properties": {}, "additionalProperties": false},
            "annotations": {"readOnlyHint": true, "openWorldHint": false},
        })
    };
    [
        tool(WHOAMI, "Returns the name and kind of the token in use, its owner, and when it expires"),
        tool(PERMISSIONS, "Lists what the token in use may do: actions, resources, fields and conditions"),
    ]
}

/// Returns the result of a call of one of these tools.
pub(super) fn answer_call(tool: &str, auth: &AuthContext, stateless: bool) -> Value {
    let data = if tool == WHOAMI { describe_caller(auth) } else { list_permissions(auth.principal().authority()) };
    let mut result = json!({"content": [{"type": "text", "text": data.to_string()}], "structuredContent": data});
    if stateless {
        result["resultType"] = "complete".into();
    }
    result
}

fn describe_caller(auth: &AuthContext) -> Value {
    let known = [
        ("kind", Some(auth.kind().map_or("public", |kind| kind.as_str()).into())),
        ("token_name", auth.token_name().map(Value::from)),
        ("owner_name", auth.owner_name().map(Value::from)),
        ("expires_in_seconds", auth.expires_in().map(|left| left.as_secs().into())),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

/// Lists the permissions of an authority. `extent` says whether the list is complete, or what holds in its place.
fn list_permissions(authority: &Authority) -> Value {
    let of = |extent: &str, permissions: Vec<Value>| json!({"extent": extent, "permissions": permissions});
    let actions = |actions: &[crate::domain::Action]| -> Vec<Value> {
        actions.iter().map(|action| json!({"action": action.as_str()})).collect()
    };
    match authority {
        Authority::Admin { rules, .. } | Authority::Session { rules: Some(rules), .. } => {
            of("listed", rules.iter().map(describe_permission).collect())
        }
        Authority::Session { rules: None, .. } => of("everything", Vec::new()),
        Authority::PolicySession { .. } => of("decided-by-application", Vec::new()),
        Authority::Content { access: ContentAccess::Custom(allowed) } => of("listed", actions(allowed)),
        Authority::Content { access } => of(access.as_str(), Vec::new()),
        Authority::Public { actions: allowed } => of("listed", actions(allowed)),
    }
}

fn describe_permission(rule: &EffectivePermission) -> Value {
    let mut permission = json!({"action": rule.scope.action.as_str()});
    if let Some(resource) = &rule.scope.resource {
        permission["resource"] = resource.as_str().into();
    }
    if let Fields::Only(fields) = &rule.scope.fields {
        permission["fields"] = fields.as_slice().iter().map(|field| field.as_str()).collect();
    }
    if !rule.guard.is_always() {
        // Every part has to hold. A part holds if one of its conditions does.
        let part = |part: &crate::domain::ConditionClause| -> Value {
            part.as_slice().iter().map(|condition| condition.as_str()).collect()
        };
        permission["conditions"] = rule.guard.parts().iter().map(part).collect();
    }
    permission
}
