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

/// Lists the narrowed schema of one tool, whose arguments are fields.
async fn narrowed(schema: Value) -> Value {
    let world = world();
    let title = Permission::new("article.update").on("article").fields(Fields::only(["title"]).unwrap());
    let key = world.editor().with(title).issue().await;
    let server = Results::of(move |_| json!({"tools": [{"name": "update", "inputSchema": schema}]}));
    let tools = Tools::new().tool_with_decision("update", action("article.update").on("article"));
    let app = server.guard(&world, tools.fields_at("update", "", &[]));
    let listed = body(post(&app, &key, &call("tools/list", json!({}))).await.assert_ok());
    listed["result"]["tools"][0]["inputSchema"].clone()
}

#[tokio::test]
async fn a_schema_does_not_grow_by_its_references() {
    let next = |n: usize| json!({"allOf": [{"$ref": format!("#/$defs/{n}")}, {"$ref": format!("#/$defs/{n}")}]});
    let definitions: serde_json::Map<_, _> = (0..16).map(|n| (n.to_string(), next(n + 1))).collect();
    let schema = json!({"$ref": "#/$defs/0", "$defs": definitions});
    assert!(narrowed(schema).await.to_string().len() < 1_000_000);
}

#[tokio::test]
async fn no_part_of_a_schema_shows_another_field() {
    let fields = || json!({"title": {"type": "string"}, "body": {"type": "string"}});
    let object = || json!({"properties": fields()});
    let values = || json!({"title": "t", "body": "b"});
    let schema = json!({
        "properties": fields(),
        "default": values(),
        "examples": [values()],
        "enum": [values()],
        "const": values(),
        "if": object(),
        "then": {"required": ["body"]},
        "else": object(),
        "not": object(),
        "prefixItems": [object()],
        "items": [object()],
        "dependentRequired": {"body": ["title"], "title": ["body"]},
        "dependentSchemas": {"title": object(), "body": object()},
        "propertyNames": {"enum": ["title", "body"]},
        "$defs": {"A": {"properties": {"body": {"$ref": "#/$defs/B"}}}, "B": {"items": {"$ref": "#/$defs/A"}}},
    });
    let narrowed = narrowed(schema).await;
    assert!(!narrowed.to_string().contains("body"), "{narrowed}");
    assert_eq!(narrowed["examples"], json!([{"title": "t"}]));
}

#[tokio::test]
async fn the_place_of_fields_is_not_inherited() {
    let (world, server) = (world(), server("/data"));
    let title = Permission::new("article.update").on("article").fields(Fields::only(["title"]).unwrap());
    let key = world.editor().with(title).issue().await;
    let tools = Tools::new().tool_with_decision("update", action("article.update").on("article"));
    let app = server.guard(&world, tools.fields_at("update", "/data", &[]));
    for name in ["__proto__", "data\0", "Data\0x"] {
        let arguments = json!({name: {"data": {"body": "b"}, "body": "b"}});
        let call = call("tools/call", json!({"name": "update", "arguments": arguments}));
        let answer = post(&app, &key, &call).await;
        assert_eq!(body(&answer)["error"]["code"], -32602, "{name}");
        assert_eq!(server.seen(), [] as [Value; 0]);
    }
}
