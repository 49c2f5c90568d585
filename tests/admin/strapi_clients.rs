//! The requests of Strapi's panel and of its API tests: accepted where Strapi documents them, otherwise rejected with the field name.

use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Method, StatusCode};
use keyward::admin::{NewSession, Password};
use keyward::testing::{Answer, App, World};
use keyward::{NewOwner, NewRole, Permission, RoleId, api};
use serde_json::{Value, json};
use std::time::Duration;

const EMAIL: &str = "ada@example.test";
const PASSWORD: &str = "Passw0rd!";

struct Panel {
    world: World,
    app: App,
}

impl Panel {
    /// Returns a platform with one super admin.
    async fn new() -> Self {
        let world = World::with(|builder| builder.api("/admin"));
        let owners = world.keyward.owners();
        let ada = owners.create(NewOwner::new(EMAIL).named("Ada", "").roles([RoleId::SUPER_ADMIN])).await.unwrap();
        owners.set_password(ada.id, Password::new(PASSWORD)).await.unwrap();
        let app = world.guard(api::router(&world.keyward));
        Self { world, app }
    }

    async fn login(&self, device: &str) -> String {
        let body = json!({"email": EMAIL, "password": PASSWORD, "rememberMe": false, "deviceId": "1111-2222"});
        let answer = self.app.post("/admin/login").header(USER_AGENT, device).json(&body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", text(&answer));
        json_of(&answer)["data"]["token"].as_str().unwrap().to_owned()
    }

    async fn send(&self, method: Method, path: &str, session: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self.app.request(method, path).header(AUTHORIZATION, &format!("Bearer {session}"));
        let answer = match body {
            Some(body) => request.json(&body).await,
            None => request.await,
        };
        (answer.status, json_of(&answer))
    }

    async fn get(&self, path: &str, session: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, session, None).await
    }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap_or_default()
}

fn paths(answer: &Value) -> Vec<String> {
    let path =
        |e: &Value| e["path"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect::<Vec<_>>().join(".");
    answer["error"]["details"]["errors"].as_array().map(|all| all.iter().map(path).collect()).unwrap_or_default()
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";

#[tokio::test]
async fn strapi_panel_signs_in() {
    let panel = Panel::new().await;
    panel.login(FIREFOX).await;
    let unknown = json!({"email": EMAIL, "password": PASSWORD, "remember": true});
    let answer = panel.app.post("/admin/login").json(&unknown).await;
    assert_eq!((answer.status, paths(&json_of(&answer))), (StatusCode::BAD_REQUEST, vec!["remember".to_owned()]));
}

#[tokio::test]
async fn sessions_report_device_and_last_use() {
    let panel = Panel::new().await;
    let session = panel.login(FIREFOX).await;
    panel.login("curl/8.5.0").await;
    let (status, listed) = panel.get("/admin/users/me/sessions", &session).await;
    assert_eq!(status, StatusCode::OK);
    let mut devices: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|s| s["deviceName"].as_str().unwrap()).collect();
    devices.sort_unstable();
    assert_eq!(devices, ["Firefox on Linux", "curl/8.5.0"]);
    for session in listed["data"].as_array().unwrap() {
        assert!(session["loginAt"].is_string() && session["lastActiveAt"].is_string(), "{session}");
    }
}

#[tokio::test]
async fn all_other_sessions_end_at_once() {
    let panel = Panel::new().await;
    let (one, two, three) = (panel.login(FIREFOX).await, panel.login("a").await, panel.login("b").await);
    let path = "/admin/users/me/sessions";
    let (status, ended) = panel.send(Method::DELETE, &format!("{path}?keepCurrent=true"), &one, None).await;
    assert_eq!((status, ended["data"].as_array().unwrap().len()), (StatusCode::OK, 2));
    for dead in [&two, &three] {
        assert_eq!(panel.get("/admin/users/me", dead).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(panel.get("/admin/users/me", &one).await.0, StatusCode::OK);
    let (_, log) = panel.get("/admin/audit-logs?pageSize=100", &one).await;
    let signed_out = |e: &&Value| e.to_string().contains("signed-out");
    assert_eq!(
        log["data"]["results"].as_array().or(log["results"].as_array()).unwrap().iter().filter(signed_out).count(),
        2
    );

    let before = seq(&panel).await;
    let (status, ended) = panel.send(Method::DELETE, &format!("{path}?keepCurrent=true"), &one, None).await;
    assert_eq!((status, ended["data"].as_array().unwrap().len()), (StatusCode::OK, 0));
    assert_eq!(seq(&panel).await, before, "there was no session to end");
    let (status, answer) = panel.send(Method::DELETE, &format!("{path}?keepCurrent=maybe"), &one, None).await;
    assert_eq!((status, paths(&answer)), (StatusCode::BAD_REQUEST, vec!["keepCurrent".to_owned()]));
    let (status, _) = panel.send(Method::DELETE, path, &one, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(panel.get("/admin/users/me", &one).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn missing_registration_fields_are_reported_at_once() {
    let panel = Panel::new().await;
    for (path, body, expected) in [
        ("/admin/register", json!({}), &["registrationToken", "userInfo"][..]),
        ("/admin/register", json!({"userInfo": {}}), &["registrationToken", "userInfo.password"]),
        ("/admin/register-admin", json!({}), &["email", "password"]),
        ("/admin/login", json!({}), &["email", "password"]),
    ] {
        let answer = panel.app.post(path).json(&body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}");
        let mut named = paths(&json_of(&answer));
        named.sort_unstable();
        assert_eq!(named, expected, "{path} {body}");
    }
}

async fn seq(panel: &Panel) -> u64 {
    use keyward::store::WriteStore;
    panel.world.keyward.store().begin().await.unwrap().seq()
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let panel = Panel::new().await;
    let session = panel.login(FIREFOX).await;
    let ada = panel.get("/admin/users/me", &session).await.1["data"]["id"].clone();
    let role = panel.world.keyward.roles().create(NewRole::new("Editor")).await.unwrap().id;
    panel.world.keyward.owners().create(NewOwner::new("Bob@Example.test").roles([role])).await.unwrap();

    let (status, taken) = panel
        .send(Method::POST, "/admin/users", &session, Some(json!({"email": "bob@example.TEST", "roles": []})))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(taken["error"]["details"]["code"], "EMAIL_ALREADY_TAKEN", "{taken}");
    for path in [format!("/admin/users/{ada}"), format!("/admin/roles/{role}"), "/admin/roles/1".to_owned()] {
        let (status, answer) = panel.send(Method::DELETE, &path, &session, None).await;
        assert_eq!((status, &answer["error"]["name"]), (StatusCode::BAD_REQUEST, &json!("ValidationError")), "{path}");
        assert_eq!(paths(&answer), ["id"], "{path}: {answer}");
    }
}

#[tokio::test]
async fn addresses_are_stored_in_lower_case() {
    let panel = Panel::new().await;
    let session = panel.login(FIREFOX).await;
    let body = json!({"email": "uSer-tEsTs@Example.test", "firstname": "U", "roles": []});
    let (status, answer) = panel.send(Method::POST, "/admin/users", &session, Some(body)).await;
    assert_eq!((status, &answer["data"]["email"]), (StatusCode::CREATED, &json!("user-tests@example.test")));
    let events = panel.get("/admin/audit-logs", &session).await.1["pagination"]["total"].clone();
    let own = Some(json!({"email": EMAIL.to_uppercase()}));
    let (status, answer) = panel.send(Method::PUT, "/admin/users/me", &session, own).await;
    assert_eq!((status, &answer["data"]["email"]), (StatusCode::OK, &json!(EMAIL)), "{answer}");
    assert_eq!(panel.get("/admin/audit-logs", &session).await.1["pagination"]["total"], events, "no change, no event");
}

#[tokio::test]
async fn grants_over_the_ceiling_are_named_and_nothing_is_written() {
    let panel = Panel::new().await;
    let manage = ["admin::users.create", "admin::users.update", "admin::roles.update", "admin::roles.read", "read"];
    let roles = panel.world.keyward.roles();
    let role = async |name: &str, actions: &[&str]| {
        let permissions: Vec<Permission> = actions.iter().map(|action| Permission::new(*action)).collect();
        roles.create(NewRole::new(name).permissions(permissions)).await.unwrap().id
    };
    let (manager, weak, strong) =
        (role("Manager", &manage).await, role("Weak", &["read"]).await, role("Strong", &["write", "erase"]).await);
    let owners = panel.world.keyward.owners();
    let bob = owners.create(NewOwner::new("bob@example.test").roles([manager])).await.unwrap().id;
    let new = NewSession { owner: bob, idle: Duration::from_secs(3600), lifespan: Duration::from_secs(3600) };
    let session = panel.world.keyward.tokens().open_session(new).await.unwrap().secret.expose().to_owned();

    let body = json!({"permissions": [{"action": "read"}, {"action": "write"}, {"action": "erase"}]});
    let path = format!("/admin/roles/{weak}/permissions");
    let (status, answer) = panel.send(Method::PUT, &path, &session, Some(body)).await;
    assert_eq!((status, &answer["error"]["name"]), (StatusCode::FORBIDDEN, &json!("ForbiddenError")));
    assert_eq!(paths(&answer), ["permissions.1", "permissions.2"], "{answer}");
    assert_eq!(roles.read(weak).await.unwrap().permissions.len(), 1, "nothing was written");
    let back = json!({"permissions": [{"action": "read"}]});
    assert_eq!(panel.send(Method::PUT, &path, &session, Some(back)).await.0, StatusCode::OK);

    let invited = json!({"email": "eve@example.test", "roles": [weak.0, strong.0, 1]});
    let (status, answer) = panel.send(Method::POST, "/admin/users", &session, Some(invited)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(paths(&answer), ["roles.1", "roles.1", "roles.2"], "{answer}");
}
