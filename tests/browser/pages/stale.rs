//! Two tabs with the same record: a change in one is not overwritten by the other.

use crate::pages::scene::{ROOT, Scene};
use fantoccini::Client;

async fn tab(client: &Client) {
    let new = client.new_window(true).await.unwrap();
    client.switch_to_window(new.handle).await.unwrap();
}

#[tokio::test]
async fn stale_tab_overwrites_nothing_and_is_told() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    let session = scene.session(ROOT);
    root.presses("Root's token").await;
    root.sees("Key ends with").await;
    let (first, path) = (root.client.window().await.unwrap(), root.place().await);
    tab(&root.client).await;
    root.goes(&path).await;
    root.types("Name", "Nightly build").await;
    root.presses("Save").await;
    root.sees("Saved.").await;
    let second = root.client.window().await.unwrap();

    // The form of this tab is stale.
    root.client.switch_to_window(first.clone()).await.unwrap();
    root.types("Description", "Written on an old page").await;
    root.presses("Save").await;
    root.sees("has changed this in the meantime").await;
    let token = scene.token(&session, "Nightly build").unwrap();
    assert_eq!(token["description"], "", "{token}");
    // So is its regenerate button.
    root.client.back().await.unwrap();
    root.sees("Key ends with").await;
    root.client.switch_to_window(second).await.unwrap();
    let key = scene.server.secret("ROOT");
    scene.ask(key).assert(200);
    root.goes(&path).await;
    root.presses("Delete").await;
    root.presses("Delete token").await;
    root.sees("The token is deleted").await;
    scene.ask(key).assert(401);
    root.client.switch_to_window(first).await.unwrap();
    root.goes(&path).await;
    root.sees("Not found").await;
    root.leaves().await;
}

#[tokio::test]
async fn stale_page_does_not_regenerate_a_secret() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    root.presses("Root's token").await;
    root.sees("Key ends with").await;
    let session = scene.session(ROOT);
    let id = scene.token(&session, "Root's token").unwrap()["id"].clone();
    let change = r#"{"description":"Changed elsewhere"}"#;
    scene.server.json("PUT", &format!("/admin/admin-tokens/{id}"), &session, change).assert(200);
    root.presses("Regenerate").await;
    root.presses("Regenerate").await;
    root.sees("has changed this in the meantime").await;
    scene.ask(scene.server.secret("ROOT")).assert(200);
    root.leaves().await;
}

#[tokio::test]
async fn stale_list_does_not_delete_a_token() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    let session = scene.session(ROOT);
    root.sees("Root's token").await;
    let id = scene.token(&session, "Root's token").unwrap()["id"].clone();
    let change = r#"{"name":"Production"}"#;
    scene.server.json("PUT", &format!("/admin/admin-tokens/{id}"), &session, change).assert(200);
    root.presses("Delete Root's token").await;
    root.presses("Delete token").await;
    root.sees("has changed this in the meantime").await;
    scene.ask(scene.server.secret("ROOT")).assert(200);
    root.goes("/admin/settings/admin-tokens").await;
    root.presses("Delete Production").await;
    root.sees("Delete “Production”?").await;
    root.presses("Delete token").await;
    root.sees("The token is deleted").await;
    scene.ask(scene.server.secret("ROOT")).assert(401);
    root.leaves().await;
}
