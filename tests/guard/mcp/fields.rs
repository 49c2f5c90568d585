//! Fields in the arguments of tools.

use super::*;

const ALL: [&str; 5] = ["title", "body", "slug", "author", "tags"];

/// A server that lists one tool with all fields, at this place of its schema.
fn server(path: &'static str) -> Results {
    let properties: Value = ALL.iter().map(|&name| (name.to_owned(), json!({"type": "string"}))).collect();
    let fields = json!({"type": "object", "properties": properties, "required": ALL, "additionalProperties": false});
    let schema = match path {
        "" => fields,
        _ => json!({"type": "object", "properties": {"id": {}, "data": fields}, "required": ["id", "data"]}),
    };
    Results::of(move |_| json!({"tools": [{"name": "update", "inputSchema": schema}]}))
}

fn update(path: &str, field: &str) -> Value {
    let arguments = if path.is_empty() { json!({field: "x"}) } else { json!({"id": 1, "data": {field: "x"}}) };
    call("tools/call", json!({"name": "update", "arguments": arguments}))
}

/// Which fields are allowed is computed here from the grants alone, without keyward's decisions.
#[tokio::test]
async fn fields_in_the_schema_are_those_that_a_call_may_name() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20 {
        let path = if round % 2 == 0 { "" } else { "/data" };
        let (world, server) = (world(), server(path));
        let (mut caller, mut expected) = (world.editor(), BTreeSet::new());
        for _ in 0..random.usize(1..3) {
            let mut some: Vec<&str> = ALL.to_vec();
            random.shuffle(&mut some);
            some.truncate(random.usize(1..4));
            expected.extend(some.iter().map(|&name| name.to_owned()));
            caller = caller.with(Permission::new("article.update").on("article").fields(Fields::only(some).unwrap()));
        }
        if round > 15 {
            expected = ALL.iter().map(|&name| name.to_owned()).collect();
            caller = caller.with(Permission::new("article.update").on("article"));
        }
        let requirement = action("article.update").on("article");
        let tools = Tools::new().tool_with_decision("update", requirement).fields_at("update", path, &[]);
        let (app, key) = (server.guard(&world, tools), caller.issue().await);
        let listed = body(post(&app, &key, &call("tools/list", json!({}))).await.assert_ok());
        let schema = &listed["result"]["tools"][0]["inputSchema"];
        let fields = if path.is_empty() { schema } else { &schema["properties"]["data"] };
        let shown: BTreeSet<String> = fields["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(shown, expected);
        let required: BTreeSet<_> = fields["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(required, expected.iter().map(String::as_str).collect());
        assert_eq!(fields["additionalProperties"], false);
        server.seen();
        for name in ALL {
            let answer = post(&app, &key, &update(path, name)).await;
            assert_eq!(server.seen().len(), usize::from(expected.contains(name)), "{name}");
            if !expected.contains(name) {
                let error = &body(&answer)["error"];
                let text = format!("the field {name} is not allowed: leave it out");
                assert_eq!((&error["code"], &error["message"]), (&json!(-32602), &json!(text)));
            }
        }
    }
}

#[test]
#[should_panic(expected = "there is no tool update: add it first")]
fn fields_are_of_a_tool() {
    let _ = Tools::new().fields_at("update", "", &[]);
}
