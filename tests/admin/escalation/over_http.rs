//! Two of the sequences over HTTP: the error texts name the remedy, and nothing changes.

#![cfg(feature = "full")]

use keyward::authz::{ConditionClause, Fields, HAS_SAME_ROLE_AS_CREATOR};
use keyward::testing::{App, Key, World};
use keyward::{NewRole, Permission, api};
use serde_json::{Value, json};

const ADMIN: [&str; 4] = ["admin::users.read", "admin::users.update", "admin::roles.read", "admin::roles.update"];

fn shared() -> Permission {
    Permission::new("read")
        .on("article")
        .fields(Fields::All)
        .when(ConditionClause::from_list([HAS_SAME_ROLE_AS_CREATOR]))
}

fn open() -> (World, App) {
    let world = World::with(|builder| builder.api("/admin"));
    let app = world.guard(api::router(&world.keyward));
    (world, app)
}

/// Returns a delegated admin who also reads rows of people with the same role.
async fn admin(world: &World) -> Key {
    let cast = ADMIN.into_iter().fold(world.editor(), |cast, action| cast.holds(action));
    cast.holds(shared()).sign_in().await
}

async fn user(app: &App, by: &Key, path: &str) -> Value {
    app.get(path).bearer(&by.secret).await.assert_ok().json()["data"].clone()
}

#[tokio::test]
async fn account_that_lost_its_roles_is_not_taken_over() {
    let (world, app) = open();
    let eve = admin(&world).await;
    let vera = world.editor().holds("admin::users.read").sign_in().await;
    let path = format!("/admin/users/{}", vera.owner());
    let put = async |body: Value| app.put(&path).bearer(&eve.secret).json(&body).await;
    put(json!({"roles": []})).await.assert_status(200);
    let before = user(&app, &eve, &path).await;
    for body in [json!({"password": "Taken0ver"}), json!({"email": "mine@example.test"})] {
        let answer = put(body).await;
        let error = answer.assert_status(403).json()["error"]["message"].to_string();
        assert!(error.contains("only a super admin or the account itself"), "{error}");
    }
    assert_eq!(user(&app, &eve, &path).await, before);
    put(json!({"roles": [vera.role().0], "email": before["email"], "firstname": "Vera"})).await.assert_status(200);
}

#[tokio::test]
async fn role_change_does_not_open_rows_of_a_colleague() {
    let (world, app) = open();
    let eve = admin(&world).await;
    let vic = world.editor().sign_in().await;
    let path = format!("/admin/users/{}", vic.owner());
    let body = json!({"roles": [eve.role().0]});
    let answer = app.put(&path).bearer(&eve.secret).json(&body).await;
    let error = answer.assert_status(403).json()["error"]["message"].to_string();
    assert!(error.contains("only a super admin can assign it"), "{error}");
    assert_eq!(user(&app, &eve, &path).await["roles"][0]["id"], vic.role().0);
}

#[tokio::test]
async fn role_with_members_gets_no_new_condition() {
    let (world, app) = open();
    let eve = admin(&world).await;
    let vic = world.editor().sign_in().await;
    let empty = world.keyward.roles().create(NewRole::new("empty")).await.unwrap().id;
    let article =
        json!({"action": "read", "subject": "article", "conditions": [HAS_SAME_ROLE_AS_CREATOR], "properties": {}});
    let body = json!({ "permissions": [article] });
    let answer = app.put(&format!("/admin/roles/{}/permissions", vic.role())).bearer(&eve.secret).json(&body).await;
    let error = answer.assert_status(403).json()["error"].clone();
    assert!(error.to_string().contains("this role has members"), "{error}");
    assert_eq!(error["details"]["errors"][0]["path"], json!(["permissions", "0"]), "{error}");
    app.put(&format!("/admin/roles/{empty}/permissions")).bearer(&eve.secret).json(&body).await.assert_status(200);
}
