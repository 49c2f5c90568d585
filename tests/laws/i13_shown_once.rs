//! I13: a commit that was acknowledged is not lost to whoever asked for it: what shows but once is shown, though right after the
//! commit nothing can be read any more.

use crate::shim::{self, Shim};
use axum::routing::get;
use keyward::guard::SessionCookie;
use keyward::testing::{App, Key, TestRequest, World};
use keyward::token::ContentAccess;
use keyward::{GuardedRouter, NewOwner, Permission, api, authenticated, ui};
use serde_json::json;

struct House {
    world: World<Shim>,
    shim: Shim,
    app: App,
    /// May all with tokens, and is no super admin.
    editor: Key,
}

impl House {
    async fn new() -> Self {
        let (world, shim) = shim::world(|builder| builder.api().ui(SessionCookie::default()));
        let mut editor = world.editor();
        for kind in ["admin-tokens", "api-tokens"] {
            for deed in ["access", "create", "read", "update", "regenerate"] {
                editor = editor.holds(Permission::new(format!("admin::{kind}.{deed}")));
            }
        }
        let editor = editor.holds("users.read").sign_in().await;
        let routes = GuardedRouter::new().route("/api/x", authenticated(), get(async || {}));
        let app = world.guard(api::router(&world.keyward).merge(ui::router(&world.keyward)).merge(routes));
        Self { world, shim, app, editor }
    }

    /// The word after this one in the answer to a request that changes something as the last that the store does.
    async fn last_word(&self, request: TestRequest, who: &Key, before: &str) -> String {
        self.shim.fail_after_commit();
        let answer = request.bearer(&who.secret).await;
        self.shim.fail(false);
        let text = String::from_utf8(answer.assert_ok().body.to_vec()).unwrap();
        let after = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
        after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap().to_owned()
    }

    async fn opens(&self, path: &str, secret: &str) {
        let bearer = format!("Bearer {secret}");
        self.app.get(path).header(http::header::AUTHORIZATION, &bearer).await.assert_ok();
    }
}

#[tokio::test]
async fn new_keys() {
    let house = House::new().await;
    let root = house.world.super_admin().sign_in().await;
    for (who, number) in [(&root, 0), (&house.editor, 1)] {
        for (list, what, path) in
            [("admin-tokens", "kw_admin_", "/admin/users/me"), ("api-tokens", "kw_content_", "/api/x")]
        {
            let content = what == "kw_content_";
            let mut body = json!({"name": format!("{list} {number}")});
            if content {
                body["type"] = json!("full-access");
            }
            let made = house.app.post(&format!("/admin/{list}")).json(&body);
            let key = house.last_word(made, who, "\"accessKey\":\"").await;
            house.opens(path, &key).await;

            let pages = format!("/admin/settings/{list}");
            let name = format!("page {list} {number}");
            let form = [("name", &*name), ("description", ""), ("lifespan", "unlimited"), ("type", "full-access")];
            let form = &form[..if content { 4 } else { 3 }];
            let made = house.app.post(&format!("{pages}/create")).form(form);
            let key = what.to_owned() + &house.last_word(made, who, what).await;
            house.opens(path, &key).await;

            let kind = if content { keyward::token::TokenKind::Content } else { keyward::token::TokenKind::Admin };
            let listed = house.world.keyward.tokens().list(&keyward::store::TokenQuery::of(kind)).await.unwrap();
            let token = &listed.items.iter().find(|described| described.token.name == name).unwrap().token;
            let version = token.version().to_string();
            let renewed = house.app.post(&format!("{pages}/{}/regenerate", token.id)).form(&[("version", &version)]);
            let new = what.to_owned() + &house.last_word(renewed, who, what).await;
            assert_ne!(new, key);
            house.opens(path, &new).await;
            let renewed = house.app.post(&format!("/admin/{list}/{}/regenerate", token.id));
            let last = house.last_word(renewed, who, "\"accessKey\":\"").await;
            assert_ne!(last, new);
            house.opens(path, &last).await;
        }
    }
}

#[tokio::test]
async fn invitations() {
    let house = House::new().await;
    let root = house.world.super_admin().sign_in().await;
    let made = house.app.post("/admin/users").json(&json!({"email": "new@example.test", "roles": [1]}));
    let first = house.last_word(made, &root, "\"registrationToken\":\"").await;
    let late = house.world.keyward.owners().invite(NewOwner::new("late@example.test")).await.unwrap().owner.id;
    let again = house.app.post(&format!("/admin/users/{late}/invitation"));
    let second = house.last_word(again, &root, "\"registrationToken\":\"").await;
    let form = [("email", "page@example.test"), ("firstname", "P"), ("lastname", ""), ("role", "1")];
    let made = house.app.post("/admin/settings/users/create").form(&form);
    let third = house.last_word(made, &root, "registrationToken=").await;
    let owners = house.world.keyward.owners();
    let tardy = owners.invite(NewOwner::new("tardy@example.test")).await.unwrap().owner;
    let again = house.app.post(&format!("/admin/settings/users/{}/invitation", tardy.id));
    let again = again.form(&[("version", &tardy.version().to_string())]);
    let fourth = house.last_word(again, &root, "registrationToken=").await;
    for invitation in [first, second, third, fourth] {
        let registration = json!({"registrationToken": invitation, "userInfo": {"password": "Passw0rd!"}});
        let registered = house.app.post("/admin/register").json(&registration);
        let session = house.last_word(registered, &root, "\"token\":\"").await;
        house.opens("/admin/users/me", &session).await;
    }
}

#[tokio::test]
async fn sessions() {
    let (world, shim) = shim::world(|builder| builder.api());
    let app = world.guard(api::router(&world.keyward));
    let editor = world.editor().sign_in().await;
    let house = House { world, shim, app, editor: editor.clone() };
    let login = json!({"email": "first@example.test", "password": "Passw0rd!"});
    house.world.keyward.owners().delete(editor.owner()).await.unwrap();
    let code = house.world.keyward.sessions().setup_code().await.unwrap().unwrap();
    let first =
        json!({"email": "first@example.test", "firstname": "F", "password": "Passw0rd!", "setupCode": code.expose()});
    for (path, body) in [("/admin/register-admin", first), ("/admin/login", login)] {
        let session = house.last_word(house.app.post(path).json(&body), &editor, "\"token\":\"").await;
        house.opens("/admin/users/me", &session).await;
    }
}

/// What is done is told as done, also where nothing would be lost.
#[tokio::test]
async fn what_is_done_is_no_failure() {
    let house = House::new().await;
    let root = house.world.super_admin().sign_in().await;
    let (token, person) = (house.world.super_admin().issue().await.token, house.world.editor().sign_in().await.owner());
    let content = house.world.content(ContentAccess::ReadOnly).await.token;
    let (one, another) = (format!("/admin/admin-tokens/{token}"), format!("/admin/users/{person}"));
    for (request, told) in [
        (house.app.put(&one).json(&json!({"name": "renamed"})), "renamed"),
        (house.app.delete(&one), "renamed"),
        (house.app.put(&another).json(&json!({"firstname": "Renamed"})), "Renamed"),
        (house.app.delete(&another), "Renamed"),
        (house.app.put("/admin/users/me").json(&json!({"firstname": "Myself"})), "Myself"),
        (house.app.delete(&format!("/admin/api-tokens/{content}")), "read-only"),
    ] {
        house.shim.fail_after_commit();
        let answer = request.bearer(&root.secret).await;
        house.shim.fail(false);
        let text = String::from_utf8(answer.assert_ok().body.to_vec()).unwrap();
        assert!(text.contains(&format!("\"{told}\"")) && !text.contains("\"adminUserOwner\":null"), "{text}");
    }
}

#[tokio::test]
async fn what_is_asked_after_it_is_a_503() {
    let house = House::new().await;
    let token = house.world.content(ContentAccess::ReadOnly).await.token;
    let root = house.world.super_admin().sign_in().await;
    house.shim.fail_after_commit();
    house.app.delete(&format!("/admin/api-tokens/{token}")).bearer(&root.secret).await.assert_ok();
    for path in ["/admin/api-tokens", "/admin/settings/api-tokens"] {
        let answer = house.app.get(path).bearer(&root.secret).await;
        assert_eq!(answer.assert_status(503).headers["retry-after"], "1");
    }
    house.shim.fail(false);
    house.app.get(&format!("/admin/api-tokens/{token}")).bearer(&root.secret).await.assert_status(404);
}
