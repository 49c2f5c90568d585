//! Tools that describe the caller: its token and its permissions. The layer answers the calls, and they change nothing.

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
    let data = if tool == WHOAMI {
        describe_caller(auth)
    } else {
        // Serializing cannot fail: the list consists of texts.
        serde_json::to_value(auth.principal().authority().permission_list()).unwrap_or_default()
    };
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
