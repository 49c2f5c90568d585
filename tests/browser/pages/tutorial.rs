//! The steps of a tutorial, by clicks: from an empty database to a revoked token.

use crate::pages::person::Person;
use crate::pages::scene::{PASSWORD, Scene};
use serde_json::json;

const ADA: &str = "ada@example.test";
const EDDA: &str = "edda@example.test";
const CM: &str = "/admin/content-manager/collection-types/api::article.article";

/// Returns the first visitor of an empty platform.
async fn first_admin(scene: &Scene) -> Person {
    let ada = scene.open_browser().await;
    ada.goes("/admin").await;
    ada.sees("Welcome").await;
    ada.types("E-mail", ADA).await;
    ada.types("First name", "Ada").await;
    ada.types("Last name", "Admin").await;
    ada.types("Password", PASSWORD).await;
    ada.presses("Create account").await;
    ada.sees("No admin tokens yet").await;
    ada
}

/// Creates a role that reads titles, creates articles, and manages own tokens.
async fn makes_a_role(ada: &Person) {
    ada.presses("Roles").await;
    ada.presses("Create new role").await;
    ada.types("Name", "Editor").await;
    ada.types("Description", "Writes, and reads titles").await;
    ada.ticks("Article: Create").await;
    ada.presses("Fields of Article").await;
    ada.ticks("Article: Read title").await;
    ada.ticks("Article: Read slug").await;
    ada.sees("Collection Types2 selected").await;
    ada.presses("Settings0 selected").await;
    ada.ticks("Admin Tokens: all").await;
    ada.presses("Create role").await;
    ada.sees("Role created").await;
}

/// Invites a person and returns the link.
async fn invites(ada: &Person) -> String {
    ada.presses("Users").await;
    ada.presses("Invite new user").await;
    ada.types("First name", "Edda").await;
    ada.types("Last name", "Editor").await;
    ada.types("E-mail", EDDA).await;
    ada.ticks("EditorWrites, and reads titles").await;
    ada.presses("Invite").await;
    ada.sees("Invitation for").await;
    ada.value("The link").await
}

/// Accepts the invitation in another browser.
async fn accepts(scene: &Scene, link: &str) -> Person {
    let edda = scene.open_browser().await;
    edda.goes(link.strip_prefix(&edda.origin).unwrap()).await;
    edda.sees("You are invited").await;
    edda.types("Password", PASSWORD).await;
    edda.presses("Join").await;
    edda.sees("No admin tokens yet").await;
    edda
}

/// Creates a token and returns its secret.
async fn makes_a_token(edda: &Person) -> String {
    edda.presses("Create new Admin Token").await;
    edda.types("Name", "Publisher").await;
    edda.types("Description", "Publishes from the pipeline").await;
    assert!(!edda.can_tick("Article: Publish").await && !edda.can_tick("Article: Delete").await);
    edda.presses("Fields of Article").await;
    assert!(edda.can_tick("Article: Read title").await);
    assert!(!edda.can_tick("Article: Read body").await, "the person does not have this permission");
    edda.ticks("Article: Read title").await;
    edda.ticks("Article: Create").await;
    edda.presses("Save").await;
    edda.sees("Your new token").await;
    edda.value("The key").await
}

/// Asserts that neither a reload nor the back button shows the secret, and that the browser has not stored it.
async fn is_shown_once(edda: &Person, key: &str) {
    assert!(key.starts_with("kw_admin_"), "the page shows a secret");
    let hidden = async |when: &str| {
        edda.until(&format!("a page is there after {when}"), async || Ok(!edda.text().await.is_empty())).await;
        assert!(!edda.client.source().await.unwrap().contains(key), "the page shows the secret after {when}");
        let fields = "return [...document.querySelectorAll('input, textarea')].map((field) => field.value).join(' ')";
        assert!(!edda.script(fields).await.as_str().unwrap().contains(key), "a field has the secret after {when}");
    };
    let kept = "const done = arguments[0];
        Promise.all([indexedDB.databases(), caches.keys()]).then((both) =>
            done(JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, name, location.href, history.state, both])))";
    let kept = edda.client.execute_async(kept, Vec::new()).await.unwrap();
    assert!(!kept.as_str().unwrap().contains(key), "{kept}");
    edda.client.refresh().await.unwrap();
    edda.sees("Key ends with").await;
    hidden("loading again").await;
    edda.client.back().await.unwrap();
    hidden("going back").await;
    edda.client.forward().await.unwrap();
    hidden("going forward").await;
    let history = edda
        .client
        .issue_cmd(crate::pages::driver::Own::devtools("Page.getNavigationHistory", json!({})))
        .await
        .unwrap();
    assert!(!history.to_string().contains(key), "{history}");
}

/// Removes permissions from the role; the page lists the loss before.
async fn shrinks_the_role(scene: &Scene, ada: &Person, key: &str) {
    let article = r#"{"title":"From the pipeline"}"#;
    ada.presses("Roles").await;
    ada.presses("Editor").await;
    ada.ticks("Article: Create").await;
    ada.presses("Save").await;
    ada.sees("1 token loses permissions").await;
    ada.sees("removes 1 permission from 1 token").await;
    ada.sees("Nothing is saved yet").await;
    scene.server.json("POST", CM, key, article).assert(201);
    ada.presses("Save and remove permission").await;
    ada.sees("Saved").await;
    scene.server.json("POST", CM, key, article).assert(403);
    scene.server.get(CM, key).assert(200);
}

/// Deactivates and reactivates the account; the page names the affected tokens.
async fn deactivates_and_activates(scene: &Scene, ada: &Person, edda: &Person, key: &str) {
    ada.presses("Users").await;
    ada.presses("Edda Editor").await;
    ada.presses("Deactivate").await;
    ada.sees("Publisher").await;
    ada.sees("Requests with 1 admin token get 401").await;
    ada.presses("Deactivate").await;
    ada.sees("Deactivated:").await;
    assert_eq!(scene.ask(key).assert(401).at("/error/message"), "Token owner is deactivated");
    edda.goes("/admin/settings/admin-tokens").await;
    edda.sees("E-mail").await;
    ada.presses("Admin Tokens").await;
    ada.presses("Publisher").await;
    ada.sees("its owner is deactivated").await;
    ada.presses("Users").await;
    ada.presses("Edda Editor").await;
    ada.presses("Activate").await;
    ada.presses("Activate").await;
    ada.sees("Activated.").await;
    scene.ask(key).assert(200);
    // Tokens are valid again; sessions are not.
    edda.goes("/admin/settings/admin-tokens").await;
    edda.sees("E-mail").await;
}

async fn regenerates(scene: &Scene, edda: &Person, old: &str) -> String {
    edda.presses("Publisher").await;
    edda.presses("Regenerate").await;
    edda.sees("The current key stops working immediately").await;
    edda.presses("Regenerate").await;
    edda.sees("The new key").await;
    let new = edda.value("The key").await;
    scene.ask(old).assert(401);
    scene.ask(&new).assert(200);
    edda.client.refresh().await.unwrap();
    edda.sees("Key ends with").await;
    // Secrets are stored sealed here, so their owner can reveal them.
    edda.presses("View token").await;
    edda.sees("The key of this token").await;
    assert_eq!(edda.value("The key").await, new);
    new
}

/// A super admin sees the owner of another person's token and the permissions of that owner, and never the secret.
async fn looks_at_the_token_of_another_person(ada: &Person, key: &str) {
    ada.presses("Admin Tokens").await;
    ada.presses("Publisher").await;
    ada.sees("It belongs to Edda Editor").await;
    assert_eq!(ada.value("Owner").await, "Edda Editor");
    assert!(ada.field("Owner").await.attr("readonly").await.unwrap().is_some());
    for button in ["Regenerate", "View token"] {
        assert!(!ada.has_button(button).await, "{button}");
    }
    assert!(!ada.can_tick("Article: Delete").await, "the owner does not have this permission");
    assert!(ada.is_ticked("Article: Read title").await && !ada.is_ticked("Article: Create").await);
    assert!(!ada.client.source().await.unwrap().contains(key));
}

#[tokio::test]
async fn tutorial_from_an_empty_database_to_a_revoked_token() {
    let Some(scene) = Scene::empty() else { return };
    let ada = first_admin(&scene).await;
    makes_a_role(&ada).await;
    let link = invites(&ada).await;
    ada.client.refresh().await.unwrap();
    ada.sees("Not registered yet").await;
    assert!(!ada.client.source().await.unwrap().contains(&link), "an invitation shows once");

    let edda = accepts(&scene, &link).await;
    let key = makes_a_token(&edda).await;
    scene.server.get(CM, &key).assert(200);
    scene.server.get("/admin/webhooks", &key).assert(403);
    is_shown_once(&edda, &key).await;

    shrinks_the_role(&scene, &ada, &key).await;
    edda.goes("/admin/settings/admin-tokens").await;
    edda.presses("Publisher").await;
    edda.sees("Removed from this token").await;
    edda.sees("Article: Create: ").await;
    edda.sees("when the role “Editor” was changed").await;
    edda.find("when that was", "//li//time").await;

    deactivates_and_activates(&scene, &ada, &edda, &key).await;
    edda.signs_in(EDDA, PASSWORD).await;
    let new = regenerates(&scene, &edda, &key).await;
    looks_at_the_token_of_another_person(&ada, &new).await;

    ada.presses("Delete").await;
    ada.sees("Delete “Publisher”?").await;
    ada.presses("Delete token").await;
    ada.sees("The token is deleted").await;
    scene.ask(&new).assert(401);
    edda.client.refresh().await.unwrap();
    edda.goes("/admin/settings/admin-tokens").await;
    edda.sees("No admin tokens yet").await;
    edda.presses("Sign out").await;
    edda.sees("E-mail").await;

    ada.leaves().await;
    assert_eq!(edda.complaints().await, Vec::<String>::new());
    edda.leaves_without(&[&key, &new]).await;
}
