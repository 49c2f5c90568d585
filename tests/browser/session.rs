//! Sessions that a browser does not keep, and one that ends while a form is filled in.

use crate::person::Person;
use crate::scene::{PASSWORD, ROOT, Scene};

#[tokio::test]
async fn what_was_typed_stays_when_the_session_ends() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    root.goes("/admin/settings/roles/create").await;
    root.types("Name", "Written at length").await;
    let session = scene.session(ROOT);
    scene.server.json("DELETE", "/admin/users/me/sessions?keepCurrent=true", &session, "").assert(200);
    root.presses("Create role").await;
    root.sees("Your session has ended. Nothing was saved, and what you typed is still here.").await;
    assert_eq!(root.value("Name").await, "Written at length");

    // As it says: in a new tab, and back.
    let form = root.client.window().await.unwrap();
    let tab = root.client.new_window(true).await.unwrap();
    root.client.switch_to_window(tab.handle).await.unwrap();
    root.signs_in(ROOT, PASSWORD).await;
    root.client.close_window().await.unwrap();
    root.client.switch_to_window(form).await.unwrap();
    assert_eq!(root.value("Name").await, "Written at length");
    root.presses("Create role").await;
    root.sees("Role created.").await;
    root.leaves().await;
}

/// Without the script the server says the same, and leads nowhere.
#[tokio::test]
async fn the_server_says_that_the_session_has_ended_too() {
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

/// Over plain HTTP a browser drops the cookie. The page says so, and does not lead back to the sign-in.
#[tokio::test]
async fn over_plain_http_the_page_says_why_the_cookie_is_lost() {
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
    // Over plain HTTP the browser also complains about the page's own policies.
    let complaints = root.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("Cross-Origin-Opener-Policy")), "{complaints:?}");
    root.client.close().await.unwrap();
}
