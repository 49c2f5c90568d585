//! An installation with the management API, the pages, and a catalogue of realistic size.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use keyward::admin::{NewSession, Owner};
use keyward::authz::{ActionEntry, Catalogue, Fields, ResourceEntry};
use keyward::guard::{GateService, SessionCookie};
use keyward::store::WriteStore;
use keyward::token::ContentAccess;
use keyward::{
    Grant, HashKey, Keyward, MemoryStore, NewAdminToken, NewContentToken, NewOwner, NewRole, Permission, RoleId, api,
    ui,
};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

pub const JSON: &str = "application/json";
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The number of resources in the catalogue, each with [`FIELDS`] fields and four actions.
pub const SUBJECTS: usize = 50;
pub const FIELDS: usize = 30;

const ACTIONS: [&str; 4] = ["read", "create", "update", "delete"];

pub struct Site {
    pub keyward: Keyward,
    service: GateService<axum::Router>,
    /// Sessions of a super admin and of a person whose role has many permissions.
    pub root: String,
    pub member: String,
    pub root_id: keyward::OwnerId,
    pub member_id: keyward::OwnerId,
    /// An admin token that may call every route of the API.
    pub token: String,
    pub ids: Ids,
}

/// The id of one record of each kind.
pub struct Ids {
    pub admin_token: String,
    pub member_token: String,
    pub content_token: String,
    pub user: String,
    pub role: String,
}

pub fn resource(n: usize) -> String {
    format!("api::thing-{n}.thing-{n}")
}

pub fn field(n: usize) -> String {
    format!("field_number_{n}")
}

fn catalogue() -> Catalogue {
    let resources =
        (0..SUBJECTS).map(|n| ResourceEntry::collection(resource(n), resource(n)).fields((0..FIELDS).map(field)));
    let all = resources.fold(Catalogue::default(), Catalogue::resource);
    let all = ACTIONS.into_iter().fold(all, |all, name| {
        all.action(ActionEntry::on_resources(name, name, (0..SUBJECTS).map(resource)).with_fields())
    });
    (0..500).fold(all, |all, n| all.content_action(format!("content.{n}")))
}

/// One permission per field, as many as a role may have.
pub fn many_permissions(n: usize) -> Vec<Permission> {
    let of = |i: usize| {
        let (resource_of, field_of) = (i % SUBJECTS, i / SUBJECTS % FIELDS);
        let action = ACTIONS[i / SUBJECTS / FIELDS % 4];
        Permission::new(action).on(resource(resource_of)).fields(Fields::only([field(field_of)]).unwrap())
    };
    (0..n).map(of).collect()
}

impl Site {
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn with(set: impl FnOnce(keyward::Builder) -> keyward::Builder) -> Self {
        let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let builder = Keyward::builder(MemoryStore::default()).hash_key(hash_key).catalogue(catalogue()).api("/admin");
        let keyward = set(builder.ui("/admin", SessionCookie::default())).build().unwrap();
        let service = keyward.guard(api::router(&keyward).merge(ui::router(&keyward)));
        let root =
            keyward.owners().create(NewOwner::new("root@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
        let own =
            Catalogue::default().actions().iter().map(|entry| Permission::new(entry.id.clone())).collect::<Vec<_>>();
        let all = [own.clone(), many_permissions(4_900)].concat();
        let role = keyward.roles().create(NewRole::new("member").permissions(all)).await.unwrap();
        let member = keyward.owners().create(NewOwner::new("member@example.test").roles([role.id])).await.unwrap();
        let other = keyward.roles().create(NewRole::new("other")).await.unwrap();
        let user = keyward.owners().create(NewOwner::new("user@example.test")).await.unwrap();
        let grants: Vec<Grant> = own.iter().map(Grant::from).collect();
        let tokens = keyward.tokens();
        let admin = tokens.issue_admin(NewAdminToken::new("admin", root.id).grants(grants)).await.unwrap();
        let of_member = tokens.issue_admin(NewAdminToken::new("of member", member.id)).await.unwrap();
        let content = tokens.issue_content(NewContentToken::new("content", ContentAccess::ReadOnly)).await.unwrap();
        let session = async |owner: &Owner| {
            let day = Duration::from_secs(86_400);
            let new = NewSession { owner: owner.id, idle: day, lifespan: day };
            keyward.tokens().open_session(new).await.unwrap().secret.expose().to_owned()
        };
        Self {
            service,
            root: session(&root).await,
            member: session(&member).await,
            root_id: root.id,
            member_id: member.id,
            token: admin.secret.expose().to_owned(),
            ids: Ids {
                admin_token: admin.token.id.to_string(),
                member_token: of_member.token.id.to_string(),
                content_token: content.token.id.to_string(),
                user: user.id.to_string(),
                role: other.id.to_string(),
            },
            keyward,
        }
    }

    /// Sends a request; with an empty `secret` it has no credential.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        secret: &str,
        kind: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
        request = request.header("sec-fetch-site", "same-origin");
        if !secret.is_empty() {
            request = request.header("authorization", format!("Bearer {secret}"));
        }
        let response = self.service.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    pub async fn json(&self, method: &str, path: &str, secret: &str, body: &Value) -> (StatusCode, Value) {
        let (status, answer) = self.send(method, path, secret, JSON, body.to_string()).await;
        (status, serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// Returns the number of the last change.
    pub async fn seq(&self) -> u64 {
        self.keyward.store().begin().await.unwrap().seq()
    }

    /// Every API route that takes a body, with a valid body whose lists can be filled.
    pub fn api_routes(&self) -> Vec<(&'static str, String, Value)> {
        let Ids { admin_token, member_token, content_token, user, role } = &self.ids;
        let token = json!({"name": "n", "description": "d", "lifespan": 604_800_000, "adminPermissions": []});
        let token_update = json!({"name": "n", "description": "d", "adminPermissions": []});
        let content = json!({"name": "n", "description": "d", "lifespan": null, "type": "custom", "permissions": []});
        let content_update = json!({"name": "n", "description": "d", "type": "custom", "permissions": []});
        let new_user = json!({"email": "new@example.test", "firstname": "f", "lastname": "l", "roles": []});
        let user_update = json!({"firstname": "f", "lastname": "l", "username": "u", "roles": []});
        vec![
            ("POST", "/admin/admin-tokens".into(), token),
            ("PUT", format!("/admin/admin-tokens/{admin_token}"), token_update.clone()),
            ("PUT", format!("/admin/admin-tokens/{member_token}"), token_update),
            ("POST", "/admin/api-tokens".into(), content),
            ("PUT", format!("/admin/api-tokens/{content_token}"), content_update),
            ("POST", "/admin/users".into(), new_user),
            ("PUT", format!("/admin/users/{user}"), user_update),
            ("POST", "/admin/roles".into(), json!({"name": "r", "description": "d"})),
            ("PUT", format!("/admin/roles/{role}"), json!({"name": "r", "description": "d"})),
            ("PUT", format!("/admin/roles/{role}/permissions"), json!({"permissions": []})),
            ("PUT", "/admin/users/me".into(), json!({"firstname": "f", "username": "u", "roles": []})),
        ]
    }

    /// Every API route that takes a body without a credential.
    pub fn open_routes() -> [(&'static str, Value); 3] {
        let user = json!({"firstname": "f", "lastname": "l", "password": "Passw0rd!"});
        [
            ("/admin/login", json!({"email": "a@example.test"})),
            ("/admin/register", json!({"registrationToken": "t", "userInfo": user})),
            ("/admin/register-admin", json!({"email": "a@example.test", "firstname": "f", "lastname": "l"})),
        ]
    }

    /// Every page that takes a form.
    pub fn forms(&self) -> Vec<String> {
        let Ids { admin_token, content_token, user, role, .. } = &self.ids;
        let mut paths = vec!["/admin/me".to_owned()];
        for (list, id) in
            [("admin-tokens", admin_token), ("api-tokens", content_token), ("users", user), ("roles", role)]
        {
            paths.push(format!("/admin/settings/{list}/create"));
            paths.push(format!("/admin/settings/{list}/{id}"));
        }
        paths
    }

    /// Every page that takes a form without a credential.
    pub const OPEN_FORMS: [&'static str; 3] =
        ["/admin/auth/login", "/admin/auth/register", "/admin/auth/register-admin"];
}
