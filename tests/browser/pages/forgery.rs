//! Another site makes people's browsers send forms to keyward (CSRF).

use crate::pages::scene::{ROOT, Scene};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;

/// Starts the server of another site, which answers every request with this page. It ends with the test program.
fn site(page: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            _ = stream.read(&mut request);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}", page.len());
            _ = stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{page}").as_bytes());
        }
    });
    port
}

/// Returns a page with a form for each of these paths and fields.
fn lures(origin: &str, forms: &[(&str, &[(&str, &str)])]) -> String {
    let mut page = "<!doctype html><title>Kittens</title>".to_owned();
    for (n, (path, fields)) in forms.iter().enumerate() {
        page += &format!("<form method='post' action='{origin}{path}'>");
        for (name, value) in *fields {
            page += &format!("<input type='hidden' name='{name}' value='{value}'>");
        }
        page += &format!("<button>Lure {n}</button></form>");
    }
    page + &format!("<a href='{origin}/admin/settings/admin-tokens'>Go on</a>")
}

#[tokio::test]
async fn cross_origin_form_changes_nothing() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    let session = scene.session(ROOT);
    let token = scene.token(&session, "Root's token").unwrap();
    let one = format!("/admin/settings/admin-tokens/{}", token["id"]);
    let (regenerate, delete) = (format!("{one}/regenerate"), format!("{one}/delete"));
    let forms: [(&str, &[(&str, &str)]); 6] = [
        ("/admin/settings/admin-tokens/create", &[("name", "forged"), ("lifespan", "unlimited")]),
        (&one, &[("name", "forged"), ("version", "1")]),
        (&regenerate, &[("version", "1")]),
        (&delete, &[("version", "1")]),
        ("/admin/auth/logout", &[]),
        // A victim who is signed in unknowingly as the attacker reveals its actions to the attacker.
        ("/admin/auth/login", &[("email", "edda@example.test"), ("password", "Passw0rd!")]),
    ];
    let port = site(lures(&root.origin, &forms));
    // Another port is the same site, so the browser sends the cookie despite SameSite; another host name is another site.
    for site in ["127.0.0.1", "localhost"] {
        for (n, (path, _)) in forms.iter().enumerate() {
            root.client.goto(&format!("http://{site}:{port}/")).await.unwrap();
            root.presses(&format!("Lure {n}")).await;
            root.until("the form is sent", async || Ok(root.client.current_url().await?.path() == *path)).await;
            assert_eq!(root.status().await, 403, "{site} {path}");
        }
    }
    let after = scene.token(&session, "Root's token").unwrap();
    assert_eq!((after["updatedAt"].clone(), after["id"].clone()), (token["updatedAt"].clone(), token["id"].clone()));
    assert!(scene.token(&session, "forged").is_none());
    scene.ask(scene.server.secret("ROOT")).assert(200);
    // The person is still signed in.
    root.goes("/admin/settings/admin-tokens").await;
    root.sees(ROOT).await;
    // A link from another site comes without the cookie. The page repeats the request itself and reaches its target.
    root.client.goto(&format!("http://localhost:{port}/")).await.unwrap();
    root.presses("Go on").await;
    root.is_at("/admin/settings/admin-tokens").await;
    root.sees("Root's token").await;
    root.leaves().await;
}

#[tokio::test]
async fn other_origins_cannot_frame_or_read_pages() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    let page = format!("<!doctype html><iframe src='{}/admin/settings/admin-tokens'></iframe>", root.origin);
    let port = site(page);
    root.client.goto(&format!("http://127.0.0.1:{port}/")).await.unwrap();
    let reads = "const done = arguments[1];
        fetch(arguments[0] + '/admin/settings/admin-tokens', {credentials: 'include'}).then(() => done('read'), () => done('not read'))";
    let read = root.client.execute_async(reads, vec![json!(root.origin)]).await.unwrap();
    assert_eq!(read, "not read");
    let complaints = root.complaints().await;
    assert!(complaints.iter().any(|c| c.contains("frame-ancestors")), "{complaints:?}");
    root.client.clone().close().await.unwrap();
}

#[tokio::test]
async fn session_cookie_stays_on_its_origin() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    let cookies = root.client.get_all_cookies().await.unwrap();
    let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
    assert_eq!((cookie.name(), cookie.path(), cookie.domain()), ("keyward", Some("/"), Some("127.0.0.1")));
    assert!(cookie.http_only() == Some(true) && cookie.same_site().is_some_and(|s| s.is_strict()), "{cookie:?}");
    assert!(cookie.expires().is_none(), "the cookie ends with the browser");
    assert_eq!(root.script("return document.cookie").await, "");
    let secret = cookie.value().to_owned();

    // Signing in replaces an existing session, and signing out ends the session on the server.
    root.presses("Sign out").await;
    root.sees("E-mail").await;
    assert!(root.client.get_all_cookies().await.unwrap().is_empty());
    root.devtools("Network.setCookie", json!({"name": "keyward", "value": secret, "url": root.origin})).await;
    root.goes("/admin/settings/admin-tokens").await;
    root.sees("E-mail").await;
    root.signs_in(ROOT, crate::pages::scene::PASSWORD).await;
    assert_ne!(root.client.get_named_cookie("keyward").await.unwrap().value(), secret);
    root.leaves().await;
}
