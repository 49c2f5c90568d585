//! own-failure-is-503 (`docs/invariants.md`): an acknowledged commit is not lost. Its client gets the new secret even if the store
//! fails right after the commit.

use crate::invariants::shim::{self, Shim};
use axum::routing::get;
use keyward::guard::SessionCookie;
use keyward::testing::{App, Key, TestRequest, World};
use keyward::token::ContentAccess;
use keyward::{GuardedRouter, NewOwner, Permission, api, authenticated, ui};
use serde_json::json;

struct Setup {
    world: World<Shim>,
    shim: Shim,
    app: App,
    /// A person who may do everything with tokens and is not a super admin.
    editor: Key,
}

impl Setup {
    async fn new() -> Self {
        let (world, shim) = shim::world(|builder| builder.api("/admin").ui("/admin", SessionCookie::default()));
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

    /// Sends a change, lets the store fail after its commit, and returns the text in the response that follows `before`.
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
async fn new_secret_is_shown_when_the_store_fails_after_commit() {
    let setup = Setup::new().await;
    let root = setup.world.super_admin().sign_in().await;
    for (who, number) in [(&root, 0), (&setup.editor, 1)] {
        for (list, what, path) in
            [("admin-tokens", "kw_admin_", "/admin/users/me"), ("api-tokens", "kw_content_", "/api/x")]
        {
            let content = what == "kw_content_";
            let mut body = json!({"name": format!("{list} {number}")});
            if content {
                body["type"] = json!("full-access");
            }
            let made = setup.app.post(&format!("/admin/{list}")).json(&body);
            let key = setup.last_word(made, who, "\"accessKey\":\"").await;
            setup.opens(path, &key).await;

            let pages = format!("/admin/settings/{list}");
            let name = format!("page {list} {number}");
            let form = [("name", &*name), ("description", ""), ("lifespan", "unlimited"), ("type", "full-access")];
            let form = &form[..if content { 4 } else { 3 }];
            let made = setup.app.post(&format!("{pages}/create")).form(form);
            let key = what.to_owned() + &setup.last_word(made, who, what).await;
            setup.opens(path, &key).await;

            let kind = if content { keyward::token::TokenKind::Content } else { keyward::token::TokenKind::Admin };
            let listed = setup.world.keyward.tokens().list(&keyward::store::TokenQuery::of(kind)).await.unwrap();
            let token = &listed.items.iter().find(|described| described.token.name == name).unwrap().token;
            let version = token.version().to_string();
            let renewed = setup.app.post(&format!("{pages}/{}/regenerate", token.id)).form(&[("version", &version)]);
            let new = what.to_owned() + &setup.last_word(renewed, who, what).await;
            assert_ne!(new, key);
            setup.opens(path, &new).await;
            let renewed = setup.app.post(&format!("/admin/{list}/{}/regenerate", token.id));
            let last = setup.last_word(renewed, who, "\"accessKey\":\"").await;
            assert_ne!(last, new);
            setup.opens(path, &last).await;
        }
    }
}

#[tokio::test]
async fn invitation_is_shown_when_the_store_fails_after_commit() {
    let setup = Setup::new().await;
    let root = setup.world.super_admin().sign_in().await;
    let made = setup.app.post("/admin/users").json(&json!({"email": "new@example.test", "roles": [1]}));
    let first = setup.last_word(made, &root, "\"registrationToken\":\"").await;
    let late = setup.world.keyward.owners().invite(NewOwner::new("late@example.test")).await.unwrap().owner.id;
    let again = setup.app.post(&format!("/admin/users/{late}/invitation"));
    let second = setup.last_word(again, &root, "\"registrationToken\":\"").await;
    let form = [("email", "page@example.test"), ("firstname", "P"), ("lastname", ""), ("role", "1")];
    let made = setup.app.post("/admin/settings/users/create").form(&form);
    let third = setup.last_word(made, &root, "registrationToken=").await;
    let owners = setup.world.keyward.owners();
    let tardy = owners.invite(NewOwner::new("tardy@example.test")).await.unwrap().owner;
    let again = setup.app.post(&format!("/admin/settings/users/{}/invitation", tardy.id));
    let again = again.form(&[("version", &tardy.version().to_string())]);
    let fourth = setup.last_word(again, &root, "registrationToken=").await;
    for invitation in [first, second, third, fourth] {
        let registration = json!({"registrationToken": invitation, "userInfo": {"password": "Passw0rd!"}});
        let registered = setup.app.post("/admin/register").json(&registration);
        let session = setup.last_word(registered, &root, "\"token\":\"").await;
        setup.opens("/admin/users/me", &session).await;
    }
}

#[tokio::test]
async fn session_is_shown_when_the_store_fails_after_commit() {
    let (world, shim) = shim::world(|builder| builder.api("/admin"));
    let app = world.guard(api::router(&world.keyward));
    let editor = world.editor().sign_in().await;
    let setup = Setup { world, shim, app, editor: editor.clone() };
    let login = json!({"email": "first@example.test", "password": "Passw0rd!"});
    setup.world.keyward.owners().delete(editor.owner()).await.unwrap();
    let code = setup.world.keyward.sessions().setup_code().await.unwrap().unwrap();
    let first =
        json!({"email": "first@example.test", "firstname": "F", "password": "Passw0rd!", "setupCode": code.expose()});
    for (path, body) in [("/admin/register-admin", first), ("/admin/login", login)] {
        let session = setup.last_word(setup.app.post(path).json(&body), &editor, "\"token\":\"").await;
        setup.opens("/admin/users/me", &session).await;
    }
}

/// A committed change is reported as success, also if its response holds no secret.
#[tokio::test]
async fn committed_change_succeeds_when_the_store_fails_after_commit() {
    let setup = Setup::new().await;
    let root = setup.world.super_admin().sign_in().await;
    let (token, person) = (setup.world.super_admin().issue().await.id, setup.world.editor().sign_in().await.owner());
    let content = setup.world.content(ContentAccess::ReadOnly).await.id;
    let (one, another) = (format!("/admin/admin-tokens/{token}"), format!("/admin/users/{person}"));
    for (request, told) in [
        (setup.app.put(&one).json(&json!({"name": "renamed"})), "renamed"),
        (setup.app.delete(&one), "renamed"),
        (setup.app.put(&another).json(&json!({"firstname": "Renamed"})), "Renamed"),
        (setup.app.delete(&another), "Renamed"),
        (setup.app.put("/admin/users/me").json(&json!({"firstname": "Myself"})), "Myself"),
        (setup.app.delete(&format!("/admin/api-tokens/{content}")), "read-only"),
    ] {
        setup.shim.fail_after_commit();
        let answer = request.bearer(&root.secret).await;
        setup.shim.fail(false);
        let text = String::from_utf8(answer.assert_ok().body.to_vec()).unwrap();
        assert!(text.contains(&format!("\"{told}\"")) && !text.contains("\"adminUserOwner\":null"), "{text}");
    }
}

#[tokio::test]
async fn next_request_is_503_while_the_store_fails() {
    let setup = Setup::new().await;
    let token = setup.world.content(ContentAccess::ReadOnly).await.id;
    let root = setup.world.super_admin().sign_in().await;
    setup.shim.fail_after_commit();
    setup.app.delete(&format!("/admin/api-tokens/{token}")).bearer(&root.secret).await.assert_ok();
    for path in ["/admin/api-tokens", "/admin/settings/api-tokens"] {
        let answer = setup.app.get(path).bearer(&root.secret).await;
        assert_eq!(answer.assert_status(503).headers["retry-after"], "1");
    }
    setup.shim.fail(false);
    setup.app.get(&format!("/admin/api-tokens/{token}")).bearer(&root.secret).await.assert_status(404);
}
