//! Memory that must not grow. A test binary of its own, because it measures the memory of the process.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use http::header::AUTHORIZATION;
use keyward::testing::World;
use keyward_test_support::memory::resident_bytes;

/// made-up-costs-nothing (`docs/invariants.md`): a million distinct made-up tokens of keyward's format use no memory.
#[tokio::test]
async fn million_made_up_tokens_use_no_memory() {
    use tower::{Service, ServiceExt};
    let world = World::new();
    let inner = tower::service_fn(|_: http::Request<()>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(bytes::Bytes::new()))
    });
    let mut gated = world.keyward.wrap(inner);
    let mut seen = Vec::new();
    let mut text = format!("kw_admin_{}", "0".repeat(50)).into_bytes();
    for i in 0..1_000_000u32 {
        // Another random part each time; the check is invalid.
        text[9..17].copy_from_slice(format!("{i:08}").as_bytes());
        let value = [b"Bearer ", text.as_slice()].concat();
        let request = http::Request::get("/admin/x").header(AUTHORIZATION, value).body(()).unwrap();
        let response = gated.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), 401);
        if i % 250_000 == 10_000 {
            seen.push(resident_bytes());
        }
    }
    let grown = seen.last().unwrap().saturating_sub(seen[0]);
    assert!(grown < 4 << 20, "grew by {grown} bytes");
}
