//! Notices about tokens over the management API and on the page of the audit log.

use keyward::admin::{Lifespan, Notices, Policy};
use keyward::testing::{App, Key, World};
use keyward::{NewAdminToken, api, ui};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Site {
    world: World,
    api: App,
    pages: App,
}

impl Site {
    fn new() -> Self {
        let mut policy = Policy::default();
        policy.notices = Some(Notices::default().on_demand());
        let world = World::with(|builder| {
            builder.policy(policy).api("/admin").ui("/admin", keyward::guard::SessionCookie::default())
        });
        let (api, pages) = (world.guard(api::router(&world.keyward)), world.guard(ui::router(&world.keyward)));
        Self { world, api, pages }
    }

    async fn events(&self, who: &Key, query: &str) -> Vec<Value> {
        let answer = self.api.get(&format!("/admin/audit-logs?{query}")).bearer(&who.secret).await;
        let body: Value = serde_json::from_slice(&answer.assert_ok().body).unwrap();
        body["results"].as_array().unwrap().clone()
    }

    async fn page(&self, who: &Key) -> String {
        let answer = self.pages.get("/admin/settings/audit-logs").bearer(&who.secret).peer([192, 0, 2, 7]).await;
        String::from_utf8(answer.assert_ok().body.to_vec()).unwrap()
    }
}

#[tokio::test]
async fn notices_are_in_the_api_and_on_the_page_for_those_who_see_the_token() {
    let site = Site::new();
    let tokens = site.world.keyward.tokens();
    let ada = site.world.editor().with("admin::audit-logs.read").sign_in().await;
    let new = NewAdminToken::new("deploy", ada.owner()).lifespan(Lifespan::days(90));
    let id = tokens.issue_admin(new).await.unwrap().token.id;
    site.world.clock.advance(87 * DAY);
    assert_eq!(site.world.keyward.audit().write_notices().await.unwrap(), 2);
    // The sessions of before have expired.
    let root = site.world.super_admin().sign_in().await;
    let bob = site.world.editor().with("admin::audit-logs.read").sign_in().await;
    let session = keyward::admin::NewSession { owner: ada.owner(), idle: DAY, lifespan: DAY };
    let ada = Key { secret: tokens.open_session(session).await.unwrap().secret, ..ada };

    for who in [&root, &ada] {
        let expiring = site.events(who, "action=token-expiring").await;
        let [event] = &expiring[..] else { panic!("{expiring:?}") };
        assert_eq!(
            (&event["action"], &event["user"], &event["origin"]),
            (&json!("token-expiring"), &Value::Null, &Value::Null)
        );
        assert_eq!(event["target"], json!({"kind": "admin-token", "id": id}));
        let payload = json!({
            "name": "deploy", "owner": ada.owner(), "expiresAt": "2026-04-01T00:00:00.000Z", "leadTime": 259_200_000,
        });
        assert_eq!(event["payload"], payload);
        let unused = site.events(who, "_q=unused").await;
        assert_eq!(unused[0]["payload"]["createdAt"], "2026-01-01T00:00:00.000Z");
        let page = site.page(who).await;
        for text in
            ["Token expires soon", "Token never used", "Notice before expiry", "3 days", "2026-04-01T00:00:00.000Z"]
        {
            assert!(page.contains(text), "{text}: {page}");
        }
    }
    // Others learn the action alone.
    let [event] = &site.events(&bob, "action=token-expiring").await[..] else { panic!("one event") };
    assert_eq!(
        (&event["withheld"], &event["payload"], &event["target"]["id"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    assert!(!site.page(&bob).await.contains("deploy"));
}
