//! Bodies that do not end or are too large.

use crate::bodies::site::{FORM, JSON, Site};
use axum::body::{Body, Bytes};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Returns a body that stops after these bytes.
fn endless(begins: &'static str) -> Body {
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(begins.as_bytes()))]);
    Body::from_stream(futures_util::StreamExt::chain(first, futures_util::stream::pending()))
}

#[tokio::test(start_paused = true)]
async fn unfinished_body_is_408_at_the_deadline() {
    let site = Site::with(|builder| builder.body_deadline(Duration::from_secs(7))).await;
    let mut routes: Vec<(&str, String, &str, &str)> = Vec::new();
    routes.extend(Site::open_routes().map(|(path, _)| ("POST", path.to_owned(), "", JSON)));
    routes.extend(Site::OPEN_FORMS.map(|path| ("POST", path.to_owned(), "", FORM)));
    routes.extend(site.api_routes().into_iter().map(|(method, path, _)| (method, path, site.root.as_str(), JSON)));
    routes.extend(site.forms().into_iter().map(|path| ("POST", path, site.root.as_str(), FORM)));
    for (method, path, secret, kind) in routes {
        let (before, began) = (site.seq().await, Instant::now());
        let (status, answer) = site.send(method, &path, secret, kind, endless("{")).await;
        assert_eq!(status, 408, "{method} {path}");
        assert!((7..8).contains(&began.elapsed().as_secs()), "{method} {path}: {:?}", began.elapsed());
        assert!(String::from_utf8(answer).unwrap().contains("did not arrive within 7s"), "{method} {path}");
        assert_eq!(site.seq().await, before, "{method} {path} changed something");
    }
}

#[tokio::test(start_paused = true)]
async fn route_without_a_body_does_not_wait_for_one() {
    let site = Site::new().await;
    let ids = &site.ids;
    let logout = async {
        let day = Duration::from_secs(86_400);
        let session = keyward::admin::NewSession { owner: site.member_id, idle: day, lifespan: day };
        site.keyward.tokens().open_session(session).await.unwrap().secret.expose().to_owned()
    };
    let once = logout.await;
    let began = Instant::now();
    for (method, path, secret, status) in [
        ("DELETE", format!("/admin/api-tokens/{}", ids.content_token), &site.root, 200),
        ("DELETE", format!("/admin/admin-tokens/{}", ids.member_token), &site.member, 200),
        ("DELETE", format!("/admin/roles/{}", ids.role), &site.root, 200),
        ("DELETE", format!("/admin/users/{}", ids.user), &site.root, 200),
        ("POST", "/admin/logout".into(), &once, 200),
        ("GET", "/admin/users/me".into(), &site.root, 200),
    ] {
        let (answered, text) = site.send(method, &path, secret, JSON, endless("{")).await;
        assert_eq!(answered, status, "{method} {path}: {}", String::from_utf8_lossy(&text));
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "no request waited");
}

#[tokio::test]
async fn anonymous_bodies_are_limited_to_16_kib_and_others_to_1_mib() {
    let site = Site::new().await;
    let (most_of_strangers, most) = (16 * 1024, 1024 * 1024);
    let padded = |length: usize| {
        let empty = json!({"x": ""}).to_string().len();
        json!({"x": "x".repeat(length - empty)}).to_string()
    };
    for (path, _) in Site::open_routes() {
        // A credential on a public route makes no difference.
        for secret in ["", &site.root] {
            assert_eq!(site.send("POST", path, secret, JSON, padded(most_of_strangers)).await.0, 400, "{path}");
            let (status, answer) = site.send("POST", path, secret, JSON, padded(most_of_strangers + 1)).await;
            assert_eq!(status, 413, "{path}");
            assert!(String::from_utf8(answer).unwrap().contains("larger than 16384 bytes"), "{path}");
        }
    }
    for path in Site::OPEN_FORMS {
        assert_eq!(site.send("POST", path, "", FORM, "x".repeat(most_of_strangers + 1)).await.0, 413, "{path}");
        assert_ne!(site.send("POST", path, "", FORM, "x".repeat(most_of_strangers)).await.0, 413, "{path}");
    }
    for (method, path, _) in site.api_routes() {
        assert_eq!(site.send(method, &path, &site.root, JSON, padded(most)).await.0, 400, "{method} {path}");
        assert_eq!(site.send(method, &path, &site.root, JSON, padded(most + 1)).await.0, 413, "{method} {path}");
    }
    for path in site.forms() {
        assert_eq!(site.send("POST", &path, &site.root, FORM, "x".repeat(most + 1)).await.0, 413, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn open_anonymous_bodies_leave_room_for_signed_in_people() {
    let site = Site::new().await;
    let mut open = Vec::new();
    let busy = loop {
        let mut sent = Box::pin(site.send("POST", "/admin/login", "", JSON, endless("{")));
        match futures_util::poll!(&mut sent) {
            std::task::Poll::Pending => open.push(sent),
            std::task::Poll::Ready(answer) => break answer,
        }
        assert!(open.len() < 1_000, "so many open bodies take too much memory");
    };
    assert_eq!(busy.0, 503);
    assert_eq!(site.json("PUT", "/admin/users/me", &site.root, &json!({"firstname": "Ada"})).await.0, 200);
    drop(open);
    let wrong = json!({"email": "a@example.test", "password": "x"});
    assert_eq!(site.json("POST", "/admin/login", "", &wrong).await.0, 400);
}
