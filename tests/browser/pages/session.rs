//! A session that ends while a form is filled in, and a cookie that the browser does not keep.

use crate::pages::person::Person;
use crate::pages::scene::{PASSWORD, ROOT, Scene};

#[tokio::test]
async fn typed_text_survives_the_end_of_the_session() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    root.goes("/admin/settings/roles/create").await;
    root.types("Name", "Written at length").await;
    let session = scene.session(ROOT);
    scene.server.json("DELETE", "/admin/users/me/sessions?keepCurrent=true", &session, "").assert(200);
    root.presses("Create role").await;
    root.sees("Your session has ended. Nothing was saved, and what you typed is still here.").await;
    assert_eq!(root.value("Name").await, "Written at length");

    // As the page explains: sign in in a new tab, then come back.
    let form = root.client.window().await.unwrap();
    let tab = root.client.new_window(true).await.unwrap();
    root.client.switch_to_window(tab.handle).await.unwrap();
    root.signs_in(ROOT, PASSWORD).await;
    root.client.close_window().await.unwrap();
    root.client.switch_to_window(form).await.unwrap();
    assert_eq!(root.value("Name").await, "Written at length");
    root.presses("Create role").await;
    root.sees("The role is there.").await;
    root.leaves().await;
}

/// Without the script the server explains the same, without a redirect.
#[tokio::test]
async fn server_reports_an_ended_session() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    root.goes("/admin/settings/roles/create").await;
    root.types("Name", "Written at length").await;
    let session = scene.session(ROOT);
    scene.server.json("DELETE", "/admin/users/me/sessions?keepCurrent=true", &session, "").assert(200);
    root.script("document.getElementById('role-form').submit()").await;
    root.sees("Your session has ended").await;
    assert_eq!((root.status().await, root.has_button("Sign in in a new tab").await), (401, true));
    root.leaves().await;
}

/// Over plain HTTP a browser drops the cookie. The page says so and does not redirect to sign-in.
#[tokio::test]
async fn page_over_plain_http_explains_the_lost_cookie() {
    let Some(scene) = Scene::of(&["--demo", "--secure-cookies"], |_| {}) else { return };
    let url = format!("http://keys.lan:{}", scene.server.address().port());
    let root = Person::at(&scene.driver, &url).await;
    root.goes("/admin/settings/users").await;
    root.types("E-mail", ROOT).await;
    root.types("Password", PASSWORD).await;
    root.presses("Sign in").await;
    root.sees("Not signed in yet").await;
    root.sees("the cookie needs HTTPS").await;
    root.presses("Sign in again").await;
    root.sees("Password").await;
    // Over plain HTTP the browser also reports the page's own policies.
    let complaints = root.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("Cross-Origin-Opener-Policy")), "{complaints:?}");
    root.client.close().await.unwrap();
}
