//! Limits of list lengths in services and bodies, and the order of the permission check.

use crate::bodies::site::{Site, field, resource};
use keyward::admin::ServiceError;
use keyward::authz::{Action, ConditionClause, ConditionId, Fields};
use keyward::token::ContentAccess;
use keyward::{Grant, NewAdminToken, NewContentToken, NewOwner, NewRole, Permission, RoleId};
use serde_json::{Value, json};

fn paths(answer: &Value) -> Vec<String> {
    let part = |p: &Value| p.as_str().unwrap().to_owned();
    let path = |e: &Value| e["path"].as_array().unwrap().iter().map(part).collect::<Vec<_>>().join(".");
    answer["error"]["details"]["errors"].as_array().map(|all| all.iter().map(path).collect()).unwrap_or_default()
}

fn fields(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("f{i}")).collect()
}

#[tokio::test]
async fn list_over_its_limit_is_named() {
    let site = Site::new().await;
    let before = site.seq().await;
    let read = |more: Value| {
        let mut one = json!({"action": "read", "subject": resource(0)});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    let (token, role) = ("/admin/admin-tokens", format!("/admin/roles/{}/permissions", site.ids.role));
    for (list, at) in [
        (json!([read(json!({"properties": {"fields": fields(257)}}))]), "0.properties.fields"),
        (json!([read(json!({"conditions": fields(65)}))]), "0.conditions"),
        (json!([read(json!({"properties": {"fields": [field(0), field(1), field(0)]}}))]), "0.properties.fields.2"),
        (
            json!([read(json!({})), read(json!({"conditions": ["admin::is-creator", "admin::is-creator"]}))]),
            "1.conditions.1",
        ),
        (json!(vec![read(json!({})); 65]), "64"),
    ] {
        let (status, answer) = site
            .json("POST", token, &site.root, &json!({"name": "n", "lifespan": null, "adminPermissions": list}))
            .await;
        assert_eq!((status.as_u16(), paths(&answer)), (400, vec![format!("adminPermissions.{at}")]), "{answer}");
        let (status, answer) = site.json("PUT", &role, &site.root, &json!({"permissions": list})).await;
        assert_eq!((status.as_u16(), paths(&answer)), (400, vec![format!("permissions.{at}")]), "{answer}");
    }
    let many = |n: usize| -> Vec<Value> { (0..n).map(|i| json!({"action": format!("a{i}")})).collect() };
    let (_, answer) = site
        .json("POST", token, &site.root, &json!({"name": "n", "lifespan": null, "adminPermissions": many(1_001)}))
        .await;
    assert_eq!(paths(&answer), ["adminPermissions"]);
    let (_, answer) = site.json("PUT", &role, &site.root, &json!({"permissions": many(5_001)})).await;
    assert_eq!(paths(&answer), ["permissions"]);
    let custom = |list: Vec<String>| json!({"name": "n", "lifespan": null, "type": "custom", "permissions": list});
    for (list, at) in [(fields(1_001), "permissions"), (vec!["content.1".into(), "content.1".into()], "permissions.1")]
    {
        let (_, answer) = site.json("POST", "/admin/api-tokens", &site.root, &custom(list)).await;
        assert_eq!(paths(&answer), [at]);
    }
    let roles: Vec<i64> = (1..102).collect();
    let (_, answer) =
        site.json("POST", "/admin/users", &site.root, &json!({"email": "n@x.test", "roles": roles})).await;
    assert_eq!(paths(&answer), ["roles"]);
    assert_eq!(site.seq().await, before, "nothing was changed");
}

#[tokio::test]
async fn services_apply_the_same_limits() {
    let site = Site::new().await;
    let (tokens, roles) = (site.keyward.tokens(), site.keyward.roles());
    let problems = |error: ServiceError| match error {
        ServiceError::Invalid(problems) => problems.into_iter().map(|p| p.path.to_string()).collect::<Vec<_>>(),
        other => panic!("{other}"),
    };
    let wide = Permission::new("read").on(resource(0)).fields(Fields::only(fields(257)).unwrap());
    let conditional = Permission::new("read")
        .on(resource(0))
        .when(ConditionClause::from_list((0..65).map(|i| ConditionId::new(format!("c{i}")))));
    for (list, at) in [
        (vec![wide], "permissions.0.fields"),
        (vec![conditional], "permissions.0.conditions"),
        (vec![Permission::new("read").on(resource(0)); 65], "permissions.64"),
        ((0..5_001).map(|i| Permission::new(format!("a{i}"))).collect(), "permissions"),
    ] {
        let grants: Vec<Grant> = list.iter().map(|p| Grant { chosen: p.when.clone(), ..Grant::from(p) }).collect();
        let said = problems(roles.create(NewRole::new("new").permissions(list.clone())).await.unwrap_err());
        assert_eq!(said[0], at);
        let role = RoleId(site.ids.role.parse().unwrap());
        assert_eq!(problems(roles.set_permissions(role, list).await.unwrap_err())[0], at);
        let new = NewAdminToken::new("new", site.member_id).grants(grants);
        assert_eq!(problems(tokens.issue_admin(new).await.unwrap_err())[0], at.replace("permissions", "grants"));
    }
    for (actions, at) in
        [((0..1_001).map(|i| format!("a{i}")).collect(), "access"), (vec!["content.1".into(); 2], "access.1")]
    {
        let actions: Vec<String> = actions;
        let access = ContentAccess::Custom(actions.into_iter().map(Action::new).collect());
        assert_eq!(problems(tokens.issue_content(NewContentToken::new("new", access)).await.unwrap_err()), [at]);
    }
    let owner = NewOwner::new("new@example.test").roles((0..101).map(RoleId));
    assert_eq!(problems(site.keyward.owners().create(owner).await.unwrap_err()), ["roles"]);
}

#[tokio::test]
async fn at_most_100_errors_are_reported() {
    let site = Site::new().await;
    let list: Vec<Value> = (0..1_000).map(|i| json!({"action": format!("a{i}")})).collect();
    let (_, answer) = site
        .json(
            "POST",
            "/admin/admin-tokens",
            &site.root,
            &json!({"name": "n", "lifespan": null, "adminPermissions": list}),
        )
        .await;
    assert_eq!((paths(&answer).len(), &answer["error"]["message"]), (100, &json!("100 errors or more occurred")));
    let new = NewAdminToken::new("n", site.member_id).grants((0..1_000).map(|i| Grant::new(format!("a{i}"))));
    match site.keyward.tokens().issue_admin(new).await.unwrap_err() {
        ServiceError::Invalid(problems) => assert_eq!(problems.len(), 100),
        other => panic!("{other}"),
    }
}

/// An actor without permission to issue gets 403, and its body is not validated.
#[tokio::test]
async fn permission_is_checked_before_the_body() {
    let site = Site::new().await;
    for (method, path, mut body) in site.api_routes() {
        let wrong = json!([{"action": "", "properties": {"fields": []}}]);
        match path.as_str() {
            p if p.contains("admin-tokens") => body["adminPermissions"] = wrong,
            p if p.ends_with("/permissions") => body["permissions"] = wrong,
            p if p.contains("api-tokens") => body["permissions"] = json!([""]),
            _ => continue,
        }
        let (status, answer) = site.json(method, &path, &site.token, &body).await;
        assert_eq!((status.as_u16(), &answer["error"]["name"]), (403, &json!("ForbiddenError")), "{method} {path}");
    }
    let token: i64 = site.ids.admin_token.parse().unwrap();
    let by = keyward::admin::Actor::Token(keyward::token::TokenId(token));
    let nonsense = Permission::new("no such action");
    let roles = site.keyward.roles().acting_as(by);
    let role = RoleId(site.ids.role.parse().unwrap());
    let tokens = site.keyward.tokens().acting_as(by);
    for refused in [
        roles.create(NewRole::new("").permissions([nonsense.clone()])).await.err(),
        roles.set_permissions(role, vec![nonsense.clone()]).await.err(),
        tokens.issue_admin(NewAdminToken::new("", site.member_id).grants([Grant::from(&nonsense)])).await.err(),
        tokens.issue_content(NewContentToken::new("", ContentAccess::Custom([].into()))).await.err(),
    ] {
        assert!(matches!(refused, Some(ServiceError::Forbidden(_))), "{refused:?}");
    }
    // A person who issues for another owner gets no errors about the grants.
    let member = site.keyward.tokens().acting_as(keyward::admin::Actor::Person(site.member_id));
    let root = site.root_id;
    let refused = member.issue_admin(NewAdminToken::new("n", root).grants([Grant::from(&nonsense)])).await;
    assert!(matches!(refused, Err(ServiceError::Forbidden(_))), "{refused:?}");
}
