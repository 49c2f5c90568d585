//! Keyboard use, from sign-in to deleting a token.

use crate::pages::person::{DOWN, ENTER, ESCAPE, RIGHT};
use crate::pages::scene::{PASSWORD, ROOT, Scene};

#[tokio::test]
async fn token_is_created_and_deleted_by_keyboard() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.open_browser().await;
    root.goes("/admin").await;
    root.sees("E-mail").await;
    assert_eq!(root.focus().await, "E-mail", "the first field has the focus");
    root.strikes(ROOT).await;
    root.tabs_to("Password").await;
    root.strikes(PASSWORD).await;
    root.strikes(ENTER).await;
    root.sees("Admin Tokens").await;

    root.tabs_to("Skip to the content").await;
    root.strikes(ENTER).await;
    root.tabs_to("Create new Admin Token").await;
    root.strikes(ENTER).await;
    root.is_at("/admin/settings/admin-tokens/create").await;
    root.tabs_to("Name").await;
    root.strikes("By keyboard").await;
    root.tabs_to("Token duration").await;
    root.strikes(DOWN).await;
    root.tabs_to("Description").await;
    root.strikes("No mouse").await;
    // Tabs are one stop; arrow keys move between them.
    root.tabs_to("Collection Types0 chosen").await;
    root.strikes(RIGHT).await;
    root.until("the other tab is open", async || Ok(root.focus().await.starts_with("Settings"))).await;
    root.tabs_to("Webhooks: all").await;
    root.strikes(" ").await;
    root.until("it is counted", async || Ok(root.text().await.contains("Settings4"))).await;
    root.tabs_to("Save").await;
    root.strikes(ENTER).await;
    root.sees("Your new token").await;
    let key = root.value("The key").await;
    scene.server.get("/admin/webhooks", &key).assert(200);
    root.tabs_to("Copy").await;
    root.strikes(ENTER).await;
    root.until("it says what became of it", async || {
        let text = root.text().await;
        Ok(text.contains("Copied") || text.contains("Press Ctrl+C"))
    })
    .await;
    let heard =
        root.script("return document.querySelector('main > [role=status], .stack > [role=status]').textContent").await;
    assert!(["Copied", "Press Ctrl+C"].iter().any(|said| heard == *said), "{heard}");

    root.goes("/admin/settings/admin-tokens").await;
    root.tabs_to("By keyboard").await;
    root.strikes(ENTER).await;
    root.sees("Key ends with").await;
    root.tabs_to("Delete").await;
    root.strikes(ENTER).await;
    root.sees("Delete “By keyboard”?").await;
    assert_eq!(root.focus().await, "Cancel", "the harmless button has the focus");
    root.strikes(ESCAPE).await;
    root.until("the focus is back", async || Ok(root.focus().await == "Delete")).await;
    scene.server.get("/admin/webhooks", &key).assert(200);
    root.strikes(ENTER).await;
    root.tabs_to("Delete token").await;
    root.strikes(ENTER).await;
    root.sees("The token is deleted").await;
    scene.server.get("/admin/webhooks", &key).assert(401);
    root.leaves().await;
}

#[tokio::test]
async fn focus_starts_at_the_error() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.open_browser().await;
    root.goes("/admin/auth/login").await;
    root.types("E-mail", ROOT).await;
    root.types("Password", "Wr0ng!!!").await;
    root.presses("Sign in").await;
    root.until("the complaint has the focus", async || {
        Ok(root.script("return document.activeElement.getAttribute('role')").await == "alert")
    })
    .await;
    assert_eq!(root.client.title().await.unwrap(), "Error: Sign in · keyward");
    root.tabs_to("E-mail").await;
    root.leaves().await;
}
