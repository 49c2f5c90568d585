//! The requirements of guarded routes in the OpenAPI document of a host.

use axum::Json;
use axum::routing::{any, delete, get};
use keyward::api::RouteSecurity;
use keyward::guard::RejectionFormat;
use keyward::testing::World;
use keyward::{Builder, Group, GuardedRouter, action, all_of, any_of, authenticated};
use serde_json::{Value, json};
use utoipa::{Modify, OpenApi};

#[derive(serde::Serialize, utoipa::ToSchema)]
struct Order {
    id: i64,
}

#[utoipa::path(get, path = "/v1/orders", responses((status = 200, description = "Fine", body = Vec<Order>)))]
async fn list() -> Json<Vec<Order>> {
    Json(vec![Order { id: 1 }])
}

#[utoipa::path(post, path = "/v1/orders", responses((status = 201, description = "Fine", body = Order), (status = 401, description = "Who?")))]
async fn create() {}

#[utoipa::path(delete, path = "/v1/orders/{key}", params(("key" = i64, Path)), responses((status = 204, description = "Fine")))]
async fn remove() {}

#[utoipa::path(get, path = "/v1/reports", responses((status = 200, description = "Fine")))]
async fn reports() {}

#[utoipa::path(get, path = "/v1/me", responses((status = 200, description = "Fine")))]
async fn me() {}

#[utoipa::path(get, path = "/v1/files/{name}", params(("name" = String, Path)), responses((status = 200, description = "Fine")))]
async fn file() {}

#[utoipa::path(get, path = "/v1/closed", responses((status = 200, description = "Fine")))]
async fn closed() {}

#[utoipa::path(get, path = "/site/articles", responses((status = 200, description = "Fine")))]
async fn articles() {}

#[utoipa::path(get, path = "/site/drafts", responses((status = 200, description = "Fine")))]
async fn drafts() {}

#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "Fine")))]
async fn healthz() {}

#[utoipa::path(get, path = "/elsewhere", security(("theirs" = ["x"])), responses((status = 200, description = "Fine")))]
async fn elsewhere() {}

#[derive(OpenApi)]
#[openapi(paths(list, create, remove, reports, me, file, closed, articles, drafts, healthz, elsewhere))]
struct Host;

fn routes() -> GuardedRouter {
    GuardedRouter::new()
        .get("/v1/orders", action("orders.read").whole(), list)
        .post("/v1/orders", all_of([action("orders.read"), action("orders.create")]), create)
        .route("/v1/orders/{id}", action("orders.delete").on("order"), delete(remove))
        .get("/v1/reports", any_of([action("reports.read"), all_of([action("a"), action("b")])]), reports)
        .get("/v1/me", authenticated(), me)
        .nest_service("/v1/files", action("files.read"), any(file))
        .get("/v1/closed", any_of([]), closed)
        .get("/site/articles", action("articles.find"), articles)
        .get("/site/drafts", action("drafts.find"), drafts)
        .public("/healthz", get(healthz))
        .public("/other", get(elsewhere))
}

fn settings(builder: Builder) -> Builder {
    let site = Group::content("/site").public_actions(["articles.find"]).rejection_format(RejectionFormat::Strapi);
    builder.service_keys("/v1").group(site).public("/healthz")
}

fn describe(world: &World, document: &mut utoipa::openapi::OpenApi) -> Value {
    RouteSecurity::new(&world.keyward, &routes()).modify(document);
    serde_json::to_value(document).unwrap()
}

/// Checks the rules of OpenAPI 3.1 that the modifier could break.
fn validate(document: &Value) {
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    let components = &document["components"];
    for (name, scheme) in components["securitySchemes"].as_object().unwrap() {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        assert!(!name.is_empty() && name.chars().all(allowed), "{name}");
        match scheme["type"].as_str().unwrap() {
            "http" => assert_eq!(scheme["scheme"], "bearer"),
            "apiKey" => {
                assert!(["header", "cookie"].contains(&scheme["in"].as_str().unwrap()), "{scheme}");
                assert!(scheme["name"].is_string(), "{scheme}");
            }
            other => panic!("{other}"),
        }
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].is_string(), "{method} {path} {status}");
                for media in response["content"].as_object().into_iter().flat_map(|content| content.values()) {
                    if let Some(reference) = media.pointer("/schema/$ref").and_then(Value::as_str) {
                        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                    }
                }
            }
            if path == "/elsewhere" {
                continue;
            }
            for requirement in operation.get("security").into_iter().flat_map(|security| security.as_array().unwrap()) {
                for (scheme, scopes) in requirement.as_object().unwrap() {
                    assert!(components["securitySchemes"].get(scheme).is_some(), "{scheme}");
                    assert!(scopes.as_array().unwrap().iter().all(Value::is_string), "{scopes}");
                }
            }
        }
    }
}

#[tokio::test]
async fn each_guarded_operation_names_its_scopes() {
    let world = World::bare(settings);
    let document = describe(&world, &mut Host::openapi());
    validate(&document);
    for (path, method, security) in [
        ("/v1/orders", "get", json!([{"bearer": ["orders.read"]}])),
        ("/v1/orders", "post", json!([{"bearer": ["orders.read", "orders.create"]}])),
        ("/v1/orders/{key}", "delete", json!([{"bearer": ["orders.delete"]}])),
        ("/v1/reports", "get", json!([{"bearer": ["reports.read"]}, {"bearer": ["a", "b"]}])),
        ("/v1/me", "get", json!([{"bearer": []}])),
        ("/v1/files/{name}", "get", json!([{"bearer": ["files.read"]}])),
        // An empty list would mean that everybody may.
        ("/v1/closed", "get", json!([{"bearer": []}])),
        ("/site/articles", "get", json!([{"bearer": ["articles.find"]}, {}])),
        ("/site/drafts", "get", json!([{"bearer": ["drafts.find"]}])),
    ] {
        let operation = &document["paths"][path][method];
        assert_eq!(operation["security"], security, "{method} {path}");
        let kind = if path.starts_with("/site/") { "application/json" } else { "application/problem+json" };
        assert!(operation["responses"]["403"]["content"][kind].is_object(), "{method} {path}: {operation}");
    }
    assert_eq!(document["components"]["securitySchemes"].as_object().unwrap().len(), 1);
}

/// A key is no credential where only sessions count. The cookie is the host's to name.
#[tokio::test]
async fn operations_name_the_session_where_it_counts() {
    struct Users;

    #[async_trait::async_trait]
    impl keyward::accounts::Accounts for Users {
        async fn account(
            &self,
            _: &keyward::accounts::AccountKey,
        ) -> Result<Option<keyward::accounts::Account>, keyward::accounts::AccountsError> {
            Ok(None)
        }
    }

    #[utoipa::path(get, path = "/account/me", responses((status = 200, description = "Fine")))]
    async fn account() {}

    #[utoipa::path(get, path = "/account/own", security(("theirs" = [])), responses((status = 200, description = "Fine")))]
    async fn own() {}

    #[utoipa::path(get, path = "/both/orders", responses((status = 200, description = "Fine")))]
    async fn orders() {}

    #[derive(OpenApi)]
    #[openapi(paths(account, own, orders, list))]
    struct Both;

    let world = World::bare(|builder| {
        let builder = builder.accounts(Users).signed_in(|_, _| None).service_keys("/v1");
        builder.group(Group::sessions("/account")).group(Group::admin("/both").or_signed_in())
    });
    let routes = GuardedRouter::<()>::new()
        .get("/account/me", authenticated(), account)
        .get("/account/own", authenticated(), own)
        .get("/both/orders", action("orders.read"), orders)
        .get("/v1/orders", action("orders.read"), list);
    let securities = |security: RouteSecurity| {
        let mut document = Both::openapi();
        security.modify(&mut document);
        let document = serde_json::to_value(&document).unwrap();
        let of = |path: &str| document["paths"][path]["get"]["security"].clone();
        (["/account/me", "/account/own", "/both/orders", "/v1/orders"].map(of), document)
    };
    let security = || RouteSecurity::new(&world.keyward, &routes);
    let key = json!([{"bearer": ["orders.read"]}]);
    let (without, document) = securities(security());
    assert_eq!(without, [Value::Null, json!([{"theirs": []}]), key.clone(), key.clone()]);
    assert!(document["paths"]["/account/me"]["get"]["responses"]["401"].is_object());
    let (with, document) = securities(security().session_cookie("sid"));
    validate(&document);
    let session = json!([{"session": []}]);
    let both = json!([{"bearer": ["orders.read"]}, {"session": ["orders.read"]}]);
    assert_eq!(with, [session.clone(), session, both, key]);
    let scheme = &document["components"]["securitySchemes"]["session"];
    assert_eq!((&scheme["in"], &scheme["name"]), (&json!("cookie"), &json!("sid")));
}

#[tokio::test]
async fn other_operations_and_present_responses_stay() {
    let world = World::bare(settings);
    let before = serde_json::to_value(Host::openapi()).unwrap();
    let document = describe(&world, &mut Host::openapi());
    for path in ["/healthz", "/elsewhere"] {
        assert_eq!(document["paths"][path], before["paths"][path]);
    }
    let create = |document: &Value| document["paths"]["/v1/orders"]["post"]["responses"]["401"].clone();
    assert_eq!(create(&document), create(&before));
    assert!(document["components"]["schemas"]["Order"].is_object());
    // A second time changes nothing.
    let mut twice = Host::openapi();
    describe(&world, &mut twice);
    assert_eq!(describe(&world, &mut twice), document);
}

/// The routes answer as the document says.
#[tokio::test]
async fn rejections_match_the_document() {
    let world = World::bare(settings);
    let document = describe(&world, &mut Host::openapi());
    let app = world.guard(routes());
    let weak = world.content(keyward::token::ContentAccess::only(["none"])).await;
    for (status, answer) in
        [("401", app.get("/v1/orders").await), ("403", app.get("/v1/orders").bearer(&weak.secret).await)]
    {
        answer.assert_status(status.parse().unwrap());
        let content = &document["paths"]["/v1/orders"]["get"]["responses"][status]["content"];
        let kind = answer.headers["content-type"].to_str().unwrap();
        let mut schema = content[kind]["schema"].clone();
        schema["components"] = document["components"].clone();
        jsonschema::validate(&schema, &answer.json()).unwrap();
    }
    let scope = app.get("/v1/orders").bearer(&weak.secret).await.json()["scope"].clone();
    assert_eq!(json!([{"bearer": [scope]}]), document["paths"]["/v1/orders"]["get"]["security"]);
    app.get("/site/articles").await.assert_ok();
    app.get("/site/drafts").await.assert_status(403);
}

#[tokio::test]
async fn schemes_follow_the_credential_headers() {
    let both = World::bare(|builder| settings(builder).credential_headers(["authorization", "x-api-key"]));
    let document = describe(&both, &mut Host::openapi());
    validate(&document);
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!((&schemes["x-api-key"]["type"], &schemes["x-api-key"]["name"]), (&json!("apiKey"), &json!("X-Api-Key")));
    let reports = &document["paths"]["/v1/reports"]["get"]["security"];
    let expected = json!([
        {"bearer": ["reports.read"]}, {"x-api-key": ["reports.read"]}, {"bearer": ["a", "b"]}, {"x-api-key": ["a", "b"]}
    ]);
    assert_eq!(*reports, expected);
    let bare = World::bare(|builder| settings(builder).credential_headers(["x-api-key"]));
    let document = describe(&bare, &mut Host::openapi());
    assert!(document["components"]["securitySchemes"].get("bearer").is_none());
    assert_eq!(document["paths"]["/v1/me"]["get"]["security"], json!([{"x-api-key": []}]));
}

/// A scheme of the host with the same name and another meaning is not replaced.
#[tokio::test]
async fn schemes_of_the_host_stay() {
    use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
    let world = World::bare(settings);
    let with = |scheme: SecurityScheme| {
        let mut document = Host::openapi();
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
        describe(&world, &mut document)
    };
    let described = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("Ours")).build();
    let document = with(SecurityScheme::Http(described));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["description"], "Ours");
    assert_eq!(document["paths"]["/v1/me"]["get"]["security"], json!([{"bearer": []}]));
    let document = with(SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("sid"))));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["in"], "cookie");
    assert_eq!(document["paths"]["/v1/me"]["get"]["security"], json!([{"keyward-bearer": []}]));
    validate(&with(SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build())));
}

#[tokio::test]
#[should_panic(expected = "the requirement of GET /v1/orders is unknown")]
async fn unknown_methods_of_a_documented_path_are_a_mistake() {
    let world = World::bare(settings);
    let routes: GuardedRouter = GuardedRouter::new().route("/v1/orders", action("orders.read"), get(list)).route(
        "/v1/orders",
        action("orders.create"),
        axum::routing::post(create),
    );
    RouteSecurity::new(&world.keyward, &routes).modify(&mut Host::openapi());
}
