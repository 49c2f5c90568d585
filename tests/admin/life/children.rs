//! Tokens that tokens make.

use super::*;
use keyward::guard::{InvalidCredential, Reason};
use keyward::testing::Key;
use keyward::token::TokenId;
use keyward::{Grant, NewAdminToken, OwnerId};

const CHILDREN: &str = "/admin/admin-tokens/self/children";

impl Site {
    /// Issues a token that may delegate `article.read`, and holds `article.write` for itself.
    async fn parent(&self) -> (Key, OwnerId) {
        let person = self.world.editor().with(read_articles()).with(Permission::new("article.write")).issue().await;
        let owner = person.owner();
        let grants = [Grant::new("article.read").may_delegate(), Grant::new("article.write")];
        let new = NewAdminToken::new("parent", owner).grants(grants);
        let issued = self.world.keyward.tokens().issue_admin(new).await.unwrap();
        (Key { secret: issued.secret, id: issued.token.id, owner: person.owner }, owner)
    }

    async fn child(&self, by: &str, name: &str) -> Made {
        let body = json!({"name": name, "adminPermissions": [{"action": "article.read"}]});
        made(&self.post(by, CHILDREN, body).await)
    }

    async fn may_read(&self, key: &str) -> u16 {
        self.app.get("/admin/articles").bearer(key).await.status.as_u16()
    }
}

#[tokio::test]
async fn a_child_is_narrower_and_dies_with_its_parent() {
    let site = Site::new().await;
    let (parent, owner) = site.parent().await;
    let child = site.child(parent.secret.expose(), "child").await;
    assert_eq!(child.shown["parent"], parent.id.0);
    assert_eq!(child.shown["adminUserOwner"]["id"], owner.0);
    assert_eq!(site.may_read(&child.key).await, 200);
    let listed = site.app.get(CHILDREN).bearer(&parent.secret).await.assert_ok().json();
    assert_eq!(listed["data"][0]["id"], child.id);
    site.world.keyward.tokens().revoke(parent.id).await.unwrap();
    site.try_key(&child.key).await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    let causes = site.causes(AuditAction::TokenRevoked).await;
    assert_eq!(causes, [None, Some(AuditCause::ParentRevoked(parent.id))], "the latest first");
}

#[tokio::test]
async fn a_child_gets_what_its_parent_may_delegate() {
    let site = Site::new().await;
    let (parent, _) = site.parent().await;
    let ask = async |body: Value| site.post(parent.secret.expose(), CHILDREN, body).await;
    let at = &["adminPermissions", "0"][..];
    assert_field(&ask(json!({"name": "a", "adminPermissions": [{"action": "article.write"}]})).await, at);
    assert_field(&ask(json!({"name": "a", "adminPermissions": [{"action": "article.delete"}]})).await, at);
    assert_field(&ask(json!({"name": "a", "lifespan": 172_800_000})).await, &["lifespan"]);
    assert_field(&ask(json!({"name": "a", "lifespan": null})).await, &["lifespan"]);
    assert_field(&ask(json!({"name": "a", "expiresAt": "2100-01-01T00:00:00.000Z"})).await, &["expiresAt"]);
    assert_field(&ask(json!({"name": ""})).await, &["name"]);
    // A child passes on only what was passed on to it for that.
    let child = site.child(parent.secret.expose(), "child").await;
    let grandchild = json!({"name": "grandchild", "adminPermissions": [{"action": "article.read"}]});
    site.post(&child.key, CHILDREN, grandchild.clone()).await.assert_status(403);
    let passing = json!({"name": "passing", "adminPermissions": [{"action": "article.read", "mayDelegate": true}]});
    let passing = made(&ask(passing).await);
    let grandchild = made(&site.post(&passing.key, CHILDREN, grandchild).await);
    assert_eq!(site.may_read(&grandchild.key).await, 200);
    assert_eq!(grandchild.shown["parent"], passing.id);
    for session in [site.session.as_str()] {
        site.post(session, CHILDREN, json!({"name": "x"})).await.assert_status(403);
    }
}

#[tokio::test]
async fn what_the_parent_loses_the_child_loses() {
    let site = Site::new().await;
    let (parent, owner) = site.parent().await;
    let child = site.child(parent.secret.expose(), "child").await;
    assert_eq!(site.may_read(&child.key).await, 200);
    let path = format!("/admin/admin-tokens/{}", parent.id.0);
    let set = async |body: Value| {
        site.app.put(&path).bearer(site.session.as_str()).json(&body).await.assert_ok();
    };
    let delegable = json!([{"action": "article.read", "mayDelegate": true}]);
    // Its owner may set grants; a super admin may too, within the owner's permissions.
    for (body, status) in [
        (json!({"enabled": false}), 401),
        (json!({"enabled": true}), 200),
        (json!({"networks": ["10.0.0.0/8"]}), 403),
        (json!({"networks": []}), 200),
        (json!({"adminPermissions": [{"action": "article.read"}]}), 403),
        (json!({"adminPermissions": delegable}), 200),
        (json!({"adminPermissions": []}), 403),
    ] {
        set(body.clone()).await;
        assert_eq!(site.may_read(&child.key).await, status, "{body}");
    }
    // An explanation names the parent.
    let explain = site.world.keyward.explain();
    let why = explain.secret(&child.key, &http::Method::GET, "/admin/articles").await.unwrap();
    let reason = format!("token {}, which it comes from, does not delegate article.read", parent.id);
    assert!(why.failed_step().unwrap().text.contains(&reason), "{why}");
    set(json!({"adminPermissions": delegable})).await;
    let owners = site.world.keyward.owners();
    let update = keyward::admin::OwnerUpdate { roles: Some(Vec::new()), ..keyward::admin::OwnerUpdate::default() };
    owners.update(owner, update).await.unwrap();
    assert_eq!(site.may_read(&child.key).await, 403);
}

#[tokio::test]
async fn requests_of_children_count_against_the_rate_of_the_parent() {
    let site = Site::new().await;
    let (parent, _) = site.parent().await;
    let path = format!("/admin/admin-tokens/{}", parent.id.0);
    let rate = json!({"rateLimit": {"limit": 4, "window": 60_000}});
    site.app.put(&path).bearer(site.session.as_str()).json(&rate).await.assert_ok();
    let one = site.child(parent.secret.expose(), "one").await;
    let two = site.child(parent.secret.expose(), "two").await;
    site.try_key(&one.key).await.assert_ok();
    site.try_key(&two.key).await.assert_ok();
    site.try_key(&one.key).await.assert_status(429);
    site.try_key(parent.secret.expose()).await.assert_status(429);
}

#[tokio::test]
async fn children_end_with_the_secret_that_made_them() {
    let site = Site::new().await;
    let (parent, _) = site.parent().await;
    let tokens = site.world.keyward.tokens();
    let old = site.child(parent.secret.expose(), "old").await;
    let second = tokens.regenerate_with_grace(parent.id, 10 * MINUTE).await.unwrap().secret;
    let new = site.child(second.expose(), "new").await;
    site.try_key(&old.key).await.assert_ok();
    site.clock().advance(10 * MINUTE);
    site.try_key(&old.key).await.assert_rejected(Reason::Expired);
    site.try_key(&new.key).await.assert_ok();
    tokens.regenerate(parent.id).await.unwrap();
    site.try_key(&new.key).await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    let (parent, _) = (parent.id, ());
    assert!(site.causes(AuditAction::TokenRevoked).await.contains(&Some(AuditCause::ParentRegenerated(parent))));
}

#[tokio::test]
async fn ending_the_grace_period_ends_the_children_of_the_former_secret() {
    let site = Site::new().await;
    let (parent, _) = site.parent().await;
    let tokens = site.world.keyward.tokens();
    let old = site.child(parent.secret.expose(), "old").await;
    site.clock().advance(MINUTE);
    let second = tokens.regenerate_with_grace(parent.id, HOUR).await.unwrap().secret;
    site.clock().advance(MINUTE);
    let new = site.child(second.expose(), "new").await;
    tokens.end_grace(parent.id).await.unwrap();
    site.try_key(&old.key).await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
    site.try_key(&new.key).await.assert_ok();
}

#[tokio::test]
async fn a_token_revokes_its_children_and_changes_nothing_else() {
    let site = Site::new().await;
    let (parent, owner) = site.parent().await;
    let other = NewAdminToken::new("other", owner);
    let other: TokenId = site.world.keyward.tokens().issue_admin(other).await.unwrap().token.id;
    let child = site.child(parent.secret.expose(), "child").await;
    let by_parent = site.world.keyward.tokens().acting_as(keyward::admin::Actor::Token(parent.id));
    by_parent.revoke(other).await.unwrap_err();
    by_parent.regenerate(TokenId(child.id)).await.unwrap_err();
    by_parent.revoke(TokenId(child.id)).await.unwrap();
    site.try_key(&child.key).await.assert_rejected(Reason::Invalid(InvalidCredential::Unknown));
}

#[tokio::test]
async fn children_are_bounded_in_number_and_generations() {
    let strict = |mut policy: Policy| {
        policy.children_per_token = 2;
        policy
    };
    let site = Site::with(strict, |builder| builder).await;
    let (parent, _) = site.parent().await;
    for name in ["one", "two"] {
        site.child(parent.secret.expose(), name).await;
    }
    let third = json!({"name": "three"});
    site.post(parent.secret.expose(), CHILDREN, third.clone()).await.assert_status(400);
    // Those that have expired make room.
    site.clock().advance(HOUR + MINUTE);
    made(&site.post(parent.secret.expose(), CHILDREN, third).await);

    let site = Site::new().await;
    let (parent, _) = site.parent().await;
    let passing =
        |name: &str| json!({"name": name, "adminPermissions": [{"action": "article.read", "mayDelegate": true}]});
    let mut key = parent.secret.expose().to_owned();
    for generation in 0..4 {
        key = made(&site.post(&key, CHILDREN, passing(&format!("g{generation}"))).await).key;
    }
    let too_deep = site.post(&key, CHILDREN, passing("too deep")).await.assert_status(403).json();
    assert_eq!(too_deep["error"]["message"], "The token comes from too many others to make another one");
}
