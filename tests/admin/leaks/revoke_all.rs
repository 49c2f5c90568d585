//! Revoking all tokens of a selection.

use super::{DAY, Service};
use keyward::admin::{AuditAction, AuditTarget, ExpectedTokens, ServiceError};
use keyward::store::TokenSelection;
use keyward::testing::Key;
use keyward::token::{ContentAccess, Secret, TokenKind};
use keyward::{NewAdminToken, OwnerId, Permission};
use serde_json::{Value, json};
use std::net::IpAddr;

async fn send(service: &Service, who: &Secret, body: Value) -> (u16, Value) {
    let answer = service.app.post("/admin/tokens/revoke-all").bearer(who).json(&body).await;
    (answer.status.as_u16(), answer.json())
}

/// Sends a selection as a preview, and returns the body that confirms it, with the ids that it names.
async fn preview(service: &Service, who: &Secret, selection: &Value) -> (Value, Vec<i64>) {
    let mut body = selection.clone();
    body["preview"] = json!(true);
    let (status, answer) = send(service, who, body).await;
    assert_eq!((status, &answer["data"]["revoked"]), (200, &json!(false)), "{answer}");
    let ids = answer["data"]["tokens"].as_array().unwrap().iter().map(|token| token["id"].as_i64().unwrap()).collect();
    let mut confirmed = selection.clone();
    confirmed["confirmation"] = answer["data"]["confirmation"].clone();
    (confirmed, ids)
}

async fn issue(service: &Service, name: &str, owner: OwnerId) -> Key {
    let issued = service.world.keyward.tokens().issue_admin(NewAdminToken::new(name, owner)).await.unwrap();
    Key { secret: issued.secret, id: issued.token.id, owner: Some((owner, keyward::RoleId::SUPER_ADMIN)) }
}

#[tokio::test]
async fn what_was_previewed_is_revoked_and_nothing_else() {
    let service = Service::new(|b| b);
    let world = &service.world;
    let root = world.super_admin().sign_in().await.secret;
    let first = world.editor().issue().await;
    let ada = first.owner();
    let second = issue(&service, "second", ada).await;
    let other = world.editor().issue().await;
    let session = service.session(ada).await;
    for key in [&first, &second, &other] {
        assert_eq!(service.status(key).await, 200);
    }
    let selection = json!({"owner": ada});
    let (confirmed, ids) = preview(&service, &root, &selection).await;
    assert_eq!(ids, [first.id.0, second.id.0, session.token.id.0]);
    assert_eq!(service.status(&first).await, 200, "a preview changes nothing");
    let before = service.events().await.len();

    // A token that is issued, changed or revoked meanwhile is not what was previewed.
    let third = issue(&service, "third", ada).await;
    let (status, answer) = send(&service, &root, confirmed.clone()).await;
    assert_eq!((status, &answer["error"]["name"]), (409, &json!("ConflictError")), "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert_eq!(message, "This selection has changed since it was read: read it again");
    let (confirmed, _) = preview(&service, &root, &selection).await;
    world.clock.advance(DAY / 100);
    world.keyward.tokens().regenerate(third.id).await.unwrap();
    assert_eq!(send(&service, &root, confirmed).await.0, 409);
    let (confirmed, _) = preview(&service, &root, &selection).await;
    world.keyward.tokens().revoke(third.id).await.unwrap();
    assert_eq!(send(&service, &root, confirmed).await.0, 409);
    for key in [&first, &second, &other] {
        assert_eq!(service.status(key).await, 200, "nothing was revoked");
    }

    let (confirmed, ids) = preview(&service, &root, &selection).await;
    let (status, answer) = send(&service, &root, confirmed.clone()).await;
    assert_eq!((status, answer), (200, json!({"data": {"count": 3, "revoked": true}})));
    // next-request (docs/invariants.md).
    for (key, status) in [(&first, 401), (&second, 401), (&other, 200)] {
        assert_eq!(service.status(key).await, status);
    }
    service.app.get("/admin/own").bearer(&session.secret).await.assert_status(401);
    let revoked: Vec<_> = service.events().await[before..]
        .iter()
        .filter(|event| event.details["selection"] == json!(format!("owner {ada}")))
        .map(|event| (event.what, event.target, event.cause))
        .collect();
    let kinds = [TokenKind::Admin, TokenKind::Admin, TokenKind::Session];
    let expected: Vec<_> = ids
        .iter()
        .zip(kinds)
        .map(|(id, kind)| (AuditAction::TokenRevoked, AuditTarget::Token(keyward::token::TokenId(*id), kind), None))
        .collect();
    assert_eq!(revoked, expected, "one event for each token");
    assert_eq!(send(&service, &root, confirmed).await.0, 409, "the same call again revokes nothing more");
    let nothing = json!({"owner": ada, "expectedCount": 0});
    assert_eq!(send(&service, &root, nothing).await.1["data"]["count"], 0);
}

#[tokio::test]
async fn selections_combine() {
    let service = Service::new(|b| b.trusted_proxies(["10.0.0.0/8"], keyward::guard::ProxyHeader::XForwardedFor));
    let world = &service.world;
    let admin = world.super_admin().issue().await;
    let root = service.session(admin.owner()).await.secret;
    let (old, other) = (world.editor().issue().await, world.editor().issue().await);
    let content = world.content(ContentAccess::FullAccess).await;
    world.clock.advance(DAY / 2);
    let cut = world.keyward.store().begin().await.unwrap().now();
    let new = issue(&service, "new", old.owner()).await;
    let used = async |key: &Key, from: &str| {
        let path = if key.owner.is_some() { "/admin/own" } else { "/api/own" };
        let peer = service.app.get(path).bearer(&key.secret).peer(IpAddr::from([10, 0, 0, 1]));
        peer.header("x-forwarded-for".parse().unwrap(), from).await.assert_ok();
    };
    used(&old, "203.0.113.7").await;
    used(&other, "203.0.113.8").await;
    used(&new, "2001:db8::7").await;
    used(&content, "203.0.113.7").await;
    world.keyward.flush().await;
    let time = cut.to_string();
    for (selection, expected) in [
        (json!({"owner": old.owner(), "kind": "admin"}), vec![&old, &new]),
        (json!({"role": old.role()}), vec![&old, &new]),
        (json!({"role": old.role(), "owner": other.owner()}), vec![]),
        (json!({"owner": old.owner(), "createdBefore": time}), vec![&old]),
        (json!({"kind": "admin", "createdBefore": time}), vec![&admin, &old, &other]),
        (json!({"usedFrom": "203.0.113.0/24"}), vec![&old, &other, &content]),
        (json!({"usedFrom": "203.0.113.7", "kind": "admin"}), vec![&old]),
        (json!({"usedFrom": "2001:db8::/32"}), vec![&new]),
        (json!({"usedFrom": "192.0.2.0/24"}), vec![]),
        (json!({"kind": "content-api"}), vec![&content]),
        (json!({"owner": 999_999}), vec![]),
    ] {
        let (_, ids) = preview(&service, &root, &selection).await;
        let expected: Vec<i64> = expected.iter().map(|key| key.id.0).collect();
        assert_eq!(ids, expected, "{selection}");
    }
    let counted = json!({"usedFrom": "203.0.113.0/24", "expectedCount": 3});
    assert_eq!(send(&service, &root, json!({"usedFrom": "203.0.113.0/24", "expectedCount": 2})).await.0, 409);
    assert_eq!(send(&service, &root, counted).await.1["data"]["count"], 3);
    for (key, status) in [(&old, 401), (&other, 401), (&content, 401), (&new, 200)] {
        assert_eq!(service.status(key).await, status);
    }
    // The caller's own session among others: the answer arrives, and the next request is rejected.
    let (confirmed, _) = preview(&service, &root, &json!({"kind": "session"})).await;
    assert_eq!(send(&service, &root, confirmed).await.0, 200);
    assert_eq!(send(&service, &root, json!({"kind": "session", "preview": true})).await.0, 401);
}

#[tokio::test]
async fn people_revoke_their_own_tokens_only() {
    let service = Service::new(|b| b);
    let world = &service.world;
    let delete = || Permission::new("admin::admin-tokens.delete");
    let ada = world.editor().with(delete()).issue().await;
    let session = service.session(ada.owner()).await.secret;
    let (bob, content) = (world.editor().issue().await, world.content(ContentAccess::ReadOnly).await);
    for selection in [
        json!({"owner": bob.owner()}),
        json!({"owner": 999_999}),
        json!({"role": ada.role()}),
        json!({"kind": "content-api"}),
        json!({"usedFrom": "0.0.0.0/0"}),
        json!({"createdBefore": "2030-01-01"}),
    ] {
        for extra in [json!({"preview": true}), json!({"expectedCount": 1})] {
            let mut body = selection.clone();
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let (status, answer) = send(&service, &session, body).await;
            assert_eq!((status, &answer["error"]["name"]), (403, &json!("ForbiddenError")), "{selection}: {answer}");
        }
    }
    // A token changes nothing but itself, whatever it carries.
    let (status, answer) = send(&service, &ada.secret, json!({"owner": ada.owner(), "preview": true})).await;
    assert_eq!(status, 403, "{answer}");
    let eve = world.editor().sign_in().await;
    assert_eq!(
        send(&service, &eve.secret, json!({"owner": eve.owner(), "preview": true})).await.0,
        403,
        "no permission"
    );
    let (confirmed, ids) = preview(&service, &session, &json!({"owner": ada.owner(), "kind": "admin"})).await;
    assert_eq!(ids, [ada.id.0]);
    assert_eq!(send(&service, &session, confirmed).await.0, 200);
    for (key, status) in [(&ada, 401), (&bob, 200), (&content, 200)] {
        assert_eq!(service.status(key).await, status);
    }
}

#[tokio::test]
async fn bad_selections_are_rejected_with_their_fields() {
    let service = Service::new(|b| b);
    let world = &service.world;
    let root = world.super_admin().sign_in().await.secret;
    let key = world.editor().issue().await;
    let zeros = "0".repeat(32);
    for (body, paths) in [
        (json!({"owner": 1}), vec!["confirmation"]),
        (json!({"owner": 1, "preview": false}), vec!["confirmation"]),
        (json!({"owner": 1, "preview": true, "confirmation": zeros}), vec!["preview"]),
        (json!({"owner": 1, "expectedCount": 1, "confirmation": zeros}), vec!["expectedCount"]),
        (json!({"owner": 1, "confirmation": "zz"}), vec!["confirmation"]),
        (json!({"owner": 1, "expectedCount": -1}), vec!["expectedCount"]),
        (json!({"owner": "x", "preview": true}), vec!["owner"]),
        (json!({"kind": "invite", "preview": true}), vec!["kind"]),
        (
            json!({"usedFrom": "10.0.0.0/33", "createdBefore": "soon"}),
            vec!["createdBefore", "usedFrom", "confirmation"],
        ),
        (json!({"usedFrom": "host", "preview": true}), vec!["usedFrom"]),
        (json!({"createdBefore": "2026-02-30", "preview": true}), vec!["createdBefore"]),
        (json!({"owner": 1, "preview": null}), vec!["preview"]),
        (json!({"owner": 1, "expires": 1, "preview": true}), vec!["expires"]),
        (json!({"preview": true}), vec![""]),
        (json!({"expectedCount": 2}), vec![""]),
    ] {
        let (status, answer) = send(&service, &root, body.clone()).await;
        assert_eq!(status, 400, "{body}: {answer}");
        let named = answer["error"]["details"]["errors"].as_array().unwrap().iter();
        let named: Vec<_> =
            named.map(|e| e["path"].as_array().unwrap().first().map_or("", |p| p.as_str().unwrap())).collect();
        assert_eq!(named, paths, "{body}: {answer}");
    }
    assert_eq!(service.status(&key).await, 200);
    let tokens = world.keyward.tokens();
    let everything = tokens.revoke_all(&TokenSelection::default(), ExpectedTokens::Count(2)).await;
    assert!(matches!(everything, Err(ServiceError::Invalid(_))), "{everything:?}");
    let of_kind = tokens.clone().only(TokenKind::Content);
    let preview = of_kind.preview_revoke_all(&TokenSelection::of_owner(key.owner())).await.unwrap();
    assert_eq!((preview.count, preview.tokens.len()), (0, 0), "tokens of other kinds do not exist for it");
    let versioned = tokens.if_version(tokens_version(&service, &key).await);
    let impossible = versioned.revoke_all(&TokenSelection::of_owner(key.owner()), ExpectedTokens::Count(1)).await;
    assert!(matches!(impossible, Err(ServiceError::Impossible(_))), "{impossible:?}");
    assert_eq!(service.status(&key).await, 200);
}

async fn tokens_version(service: &Service, key: &Key) -> keyward::admin::Version {
    service.world.keyward.tokens().read(key.id).await.unwrap().token.version()
}
