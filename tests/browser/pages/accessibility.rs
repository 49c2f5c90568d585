//! Accessibility of every page: axe-core reports nothing serious, and no page scrolls sideways on a telephone.

use crate::pages::driver::missing;
use crate::pages::person::Person;
use crate::pages::scene::{EDDA, PASSWORD, ROOT, Scene};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Returns the script of axe-core, if it is installed.
fn axe() -> Option<String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("axe-core-4.14.1/package/axe.min.js");
    let found = std::fs::read_to_string(&place).ok();
    if found.is_none() {
        missing(&format!("{}, which .ci/run fetches,", place.display()));
    }
    found
}

/// Colour schemes and widths to check.
const LOOKS: [(u32, &str); 4] = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")];

/// Checks the visible page in every colour scheme and width.
async fn check(person: &Person, axe: &str, what: &str, found: &mut Vec<String>) {
    for (width, scheme) in LOOKS {
        person.is_as_wide_as(width).await;
        person.prefers(scheme).await;
        let place = format!("{} {what} ({scheme}, {width} px)", person.place().await);
        let run = format!(
            "const done = arguments[0]; if (!window.axe) {{ {axe} }};
             axe.run(document, {{resultTypes: ['violations']}}).then(
                 (all) => done(all.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 160) + ' ' + n.failureSummary).slice(0, 3)])),
                 (error) => done([['critical', String(error), []]]))"
        );
        let violations = person.client.execute_async(&run, Vec::new()).await.unwrap();
        for violation in violations.as_array().unwrap() {
            if matches!(violation[0].as_str(), Some("serious" | "critical")) {
                found.push(format!("{place}: {violation}"));
            }
        }
        let wide = person.script(
            "const page = document.documentElement;
             if (page.scrollWidth <= page.clientWidth) return null;
             return [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > page.clientWidth)
                 .map((e) => e.outerHTML.slice(0, 120)).slice(0, 3)",
        );
        let wide = wide.await;
        if !wide.is_null() {
            found.push(format!("{place} is wider than the window: {wide}"));
        }
        let elsewhere = person.script(
            "return performance.getEntriesByType('resource').map((e) => e.name).filter((n) => !n.startsWith(location.origin))",
        );
        assert_eq!(elsewhere.await, json!([]), "loaded from another origin");
    }
    person.is_as_wide_as(1280).await;
}

/// Checks a page with each of its tabs and dialogs.
async fn check_all(person: &Person, axe: &str, found: &mut Vec<String>) {
    check(person, axe, "", found).await;
    let count = async |selector: &str| {
        let many = person.script(&format!("return document.querySelectorAll(`{selector}`).length")).await;
        many.as_u64().unwrap()
    };
    for n in 1..count("[role=tab]").await {
        person.script(&format!("document.querySelectorAll('[role=tab]')[{n}].click()")).await;
        check(person, axe, &format!("tab {n}"), found).await;
    }
    if count("[data-unfold]").await > 0 {
        person.script("document.querySelector('[role=tab]')?.click(); document.querySelectorAll('[data-unfold][aria-expanded=false]').forEach((b) => b.click()); document.querySelectorAll('details').forEach((d) => { d.open = true; })").await;
        check(person, axe, "unfolded", found).await;
    }
    for n in 0..count("dialog").await {
        let opens = format!(
            "const d = document.querySelectorAll('dialog')[{n}]; const b = document.querySelector(`[data-open=\"${{d.id}}\"]`); if (b) b.click(); return d.open"
        );
        if person.script(&opens).await == true {
            check(person, axe, &format!("dialog {n}"), found).await;
            person.script("document.querySelector('dialog[open]').close()").await;
        }
    }
}

/// Returns the addresses that links lead to, one per kind.
pub(crate) async fn pages(person: &Person) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let mut next = vec!["/admin/settings/admin-tokens".to_owned(), "/admin/me".to_owned()];
    while let Some(path) = next.pop() {
        let (place, query) = path.split_once('?').unwrap_or((&path, ""));
        let names: Vec<&str> = query.split('&').map(|one| one.split('=').next().unwrap_or_default()).collect();
        let kind: Vec<&str> =
            place.split('/').map(|part| if part.parse::<u64>().is_ok() { "{id}" } else { part }).collect();
        if seen.contains_key(&(kind.join("/"), names.join("&"))) || seen.len() > 60 {
            continue;
        }
        person.goes(&path).await;
        assert_eq!(person.status().await, 200, "a link leads to {path}");
        // The page after redirects.
        seen.insert((kind.join("/"), names.join("&")), person.place().await);
        let links = person.script("return [...document.links].filter((a) => a.origin === location.origin).map((a) => a.pathname + a.search)").await;
        next.extend(links.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned));
    }
    let pages: BTreeSet<String> = seen.into_values().collect();
    assert!(pages.len() > 14, "{pages:?}");
    pages.into_iter().collect()
}

/// Creates records to show: a deactivated owner, a clamped grant, a near expiry, a role with conditions.
fn furnish(scene: &Scene) {
    let session = scene.session(ROOT);
    let put = |path: &str, body: Value| {
        scene.server.json("PUT", path, &session, &body.to_string()).assert(200);
    };
    let edda = scene.server.get("/admin/users?_q=edda", &session).at("/data/results/0/id");
    let role = scene.server.get(&format!("/admin/users/{edda}"), &session).at("/data/roles/0/id");
    let held = scene.server.get(&format!("/admin/roles/{role}/permissions"), &session).at("/data");
    let kept: Vec<Value> = held.as_array().unwrap()[1..]
        .iter()
        .map(|p| json!({"action": p["action"], "subject": p["subject"], "properties": p["properties"], "conditions": p["conditions"]}))
        .collect();
    put(&format!("/admin/roles/{role}/permissions"), json!({ "permissions": kept }));
    put(&format!("/admin/users/{edda}"), json!({"isActive": false}));
    let soon = json!({"name": "Ends soon", "description": "What uses it, and where", "lifespan": 604_800_000, "adminPermissions": []});
    scene.server.json("POST", "/admin/admin-tokens", &session, &soon.to_string()).assert(201);
}

#[tokio::test]
async fn axe_reports_no_serious_violation_on_any_page() {
    let (Some(scene), Some(axe)) = (Scene::with_demo_data(), axe()) else { return };
    let mut found = Vec::new();
    let root = scene.open_browser().await;
    let invitation = scene.invitation(&scene.session(ROOT));
    for path in ["/admin/auth/login", &invitation, "/admin/auth/register?registrationToken=x"] {
        root.goes(path).await;
        check(&root, &axe, "", &mut found).await;
    }
    root.goes("/admin/auth/login").await;
    root.types("E-mail", EDDA).await;
    root.types("Password", "wrong").await;
    root.presses("Sign in").await;
    root.sees("Invalid").await;
    check(&root, &axe, "refused", &mut found).await;
    furnish(&scene);
    root.signs_in(ROOT, PASSWORD).await;
    for path in pages(&root).await {
        root.goes(&path).await;
        check_all(&root, &axe, &mut found).await;
    }
    let session = scene.session(ROOT);
    let lost = scene.token(&session, "Edda's token").unwrap()["id"].clone();
    for path in [
        format!("/admin/settings/admin-tokens/{lost}"),
        "/admin/settings/admin-tokens?q=zzz".into(),
        "/admin/settings/admin-tokens/999".into(),
    ] {
        root.goes(&path).await;
        check_all(&root, &axe, &mut found).await;
    }
    // A rejected form, and the page with the secret.
    root.goes("/admin/settings/admin-tokens/create").await;
    root.types("Name", "Ends soon").await;
    root.presses("Save").await;
    root.sees("Nothing was saved").await;
    check(&root, &axe, "refused", &mut found).await;
    root.types("Name", "Another").await;
    root.presses("Save").await;
    root.sees("Your new token").await;
    check(&root, &axe, "key", &mut found).await;
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
    root.leaves().await;
}

#[tokio::test]
async fn axe_reports_no_serious_violation_during_setup() {
    let (Some(scene), Some(axe)) = (Scene::empty(), axe()) else { return };
    let mut found = Vec::new();
    let first = scene.open_browser().await;
    first.goes("/admin").await;
    first.sees("Welcome").await;
    check(&first, &axe, "", &mut found).await;
    first.types("E-mail", "first@example.test").await;
    first.types("Password", "weak").await;
    first.presses("Start").await;
    first.sees("Nothing was saved").await;
    check(&first, &axe, "refused", &mut found).await;
    first.types("Password", PASSWORD).await;
    first.presses("Start").await;
    first.sees("No admin tokens yet").await;
    check_all(&first, &axe, &mut found).await;
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
    first.leaves().await;
}
