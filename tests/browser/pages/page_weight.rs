//! The size of pages, and the time until a list of many tokens is usable.
//!
//! `cargo build --release --all-features --example platform`, then `cargo test --release --all-features --test browser -- --ignored
//! --nocapture` prints figures of an optimised build; the platform has to be built first.

use crate::pages::accessibility::pages;
use crate::pages::person::Person;
use crate::pages::scene::{PASSWORD, ROOT, Scene};
use keyward::admin::{Lifespan, Password};
use keyward::authz::Action;
use keyward::token::{EncryptionKeys, HashKeyRing};
use keyward::{Grant, Keyward, NewAdminToken, NewOwner, RoleId, SqliteStore};
use keyward_test_support::platform::SALT;
use serde_json::json;
use std::path::Path;

const LIST: &str = "/admin/settings/admin-tokens";
const FILES: [&str; 3] = ["/admin/assets/keyward.css", "/admin/assets/keyward.js", "/admin/assets/keyward.svg"];

/// Returns the size of a response, and its size after gzip.
async fn bytes(scene: &Scene, person: &Person, cookie: &str, path: &str) -> (usize, usize) {
    let text = scene.server.send("GET", path, &[&format!("Cookie: {cookie}")], "").assert(200).text;
    let packs = "const done = arguments[1];
        const packed = new Blob([arguments[0]]).stream().pipeThrough(new CompressionStream('gzip'));
        new Response(packed).arrayBuffer().then((all) => done(all.byteLength))";
    let packed = person.client.execute_async(packs, vec![json!(text)]).await.unwrap();
    (text.len(), usize::try_from(packed.as_u64().unwrap()).unwrap())
}

/// Returns the sizes of these pages with all their files, plain and compressed.
async fn weighed(scene: &Scene, person: &Person, paths: &[String]) -> Vec<(String, usize, usize)> {
    let cookie = person.client.get_named_cookie("keyward").await.unwrap();
    let cookie = format!("keyward={}", cookie.value());
    let mut files = (0, 0);
    for path in FILES {
        let (plain, packed) = bytes(scene, person, &cookie, path).await;
        files = (files.0 + plain, files.1 + packed);
    }
    let mut all = Vec::new();
    for path in paths {
        let (plain, packed) = bytes(scene, person, &cookie, path).await;
        all.push((path.clone(), files.0 + plain, files.1 + packed));
    }
    all
}

#[tokio::test]
async fn page_weight_is_bounded() {
    let Some(scene) = Scene::with_demo_data() else { return };
    let root = scene.signed_in(ROOT).await;
    let paths = pages(&root).await;
    for (path, _, packed) in weighed(&scene, &root, &paths).await {
        assert!(packed < 60_000, "{path}: {packed} bytes, packed");
    }
    root.leaves().await;
}

/// Returns a super admin with this many tokens.
fn many(file: &Path, count: usize) {
    let make = async {
        let store = SqliteStore::open(file).await.unwrap();
        let keys = EncryptionKeys::parse(crate::pages::scene::KEYS).unwrap();
        let hash_keys = HashKeyRing::parse(SALT).unwrap();
        let keyward = Keyward::builder(store).hash_key(hash_keys).encryption(keys).admin("/admin").build().unwrap();
        let new = NewOwner::new(ROOT).named("Root", "Admin").roles([RoleId::SUPER_ADMIN]);
        let owner = keyward.owners().create(new).await.unwrap().id;
        keyward.owners().set_password(owner, Password::new(PASSWORD)).await.unwrap();
        for n in 0..count {
            let new = NewAdminToken::new(format!("Pipeline {n:04}"), owner).lifespan(Lifespan::days(90));
            let grants = ["read", "update"].map(|deed| Grant::new(Action::new(format!("admin::webhooks.{deed}"))));
            let new = NewAdminToken { description: format!("Builds and publishes service {n}"), ..new.grants(grants) };
            keyward.tokens().issue_admin(new).await.unwrap();
        }
        keyward.flush().await;
        keyward.store().clone().close().await;
    };
    std::thread::scope(|scope| {
        scope.spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(make));
    });
}

/// Returns the milliseconds until the first byte, the first paint, the end of scripts (usable), and the complete load.
async fn times(person: &Person, path: &str) -> Vec<f64> {
    person.goes(path).await;
    let times = "const n = performance.getEntriesByType('navigation')[0];
        const paint = performance.getEntriesByName('first-contentful-paint')[0];
        return [n.responseStart, paint ? paint.startTime : n.domInteractive, n.domContentLoadedEventEnd, n.loadEventEnd]";
    person.script(times).await.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect()
}

#[tokio::test]
#[ignore = "it measures, and prints"]
async fn list_of_a_thousand_tokens_is_usable_in_time() {
    let Some(scene) = Scene::of(&[], |file| many(file, 1000)) else { return };
    let root = scene.signed_in(ROOT).await;
    println!("1000 tokens; ms to first byte, first paint, usable, loaded (median of 21, least, most)");
    for (path, cached) in [(LIST, true), (LIST, false), ("/admin/settings/admin-tokens?q=0999", true)] {
        root.devtools("Network.enable", json!({})).await;
        root.devtools("Network.setCacheDisabled", json!({"cacheDisabled": !cached})).await;
        times(&root, path).await;
        let mut all = Vec::new();
        for _ in 0..21 {
            all.push(times(&root, path).await);
        }
        let figure = |n: usize| {
            let mut one: Vec<f64> = all.iter().map(|times| times[n]).collect();
            one.sort_by(f64::total_cmp);
            format!("{:.0} ({:.0}-{:.0})", one[10], one[0], one[20])
        };
        let figures: Vec<String> = (0..4).map(figure).collect();
        println!("{path}, cache {}: {}", if cached { "warm" } else { "off" }, figures.join(", "));
    }
    root.devtools("Network.setCacheDisabled", json!({"cacheDisabled": false})).await;
    println!("bytes of a page with its style, script and icon: as they are, packed with gzip");
    let mut paths = pages(&root).await;
    paths.push(format!("{LIST}?q=nothing-like-it"));
    for (path, plain, packed) in weighed(&scene, &root, &paths).await {
        println!("{plain:>8} {packed:>7}  {path}");
    }
    root.leaves().await;
}
