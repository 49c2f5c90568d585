//! The path classifier against axum: for any target and any nesting of routers, the group that the gate chooses fits the route that
//! axum takes. The tests judge by which handlers ran, and for which caller.
//!
//! `KEYWARD_PATH_CASES=1000000 cargo test --release --features testing --test guard paths` tries more targets than CI does.

mod nestings;
mod readings;
mod targets;

use http::{Method, Uri};
use nestings::{Credential, Nesting};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// The number of targets, unless `KEYWARD_PATH_CASES` is set.
const FEW: u32 = 2_000;

fn cases() -> u32 {
    std::env::var("KEYWARD_PATH_CASES").map_or(FEW, |number| number.parse().unwrap())
}

#[test]
fn random_targets_do_not_bypass_the_gate() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let nestings = runtime.block_on(nestings::all());
    let (requests, targets) = (Cell::new(0_u64), Cell::new(0_u64));
    let ran: RefCell<BTreeMap<(&str, &str), u64>> = RefCell::default();
    let config = Config { cases: cases(), failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let strategy = (targets::method(), targets::target(), select(&Credential::ALL[..]));
    let outcome = TestRunner::new(config).run(&strategy, |(method, target, credential)| {
        // Targets that hyper cannot parse never reach the gate.
        let Ok(uri) = Uri::try_from(target) else { return Ok(()) };
        targets.set(targets.get() + 1);
        for nesting in &nestings {
            requests.set(requests.get() + 1);
            let (status, runs) = runtime.block_on(nesting.send(&method, &uri, credential));
            readings::judge(nesting, &method, uri.path(), credential, status, &runs).map_err(TestCaseError::fail)?;
            let mut ran = ran.borrow_mut();
            for run in &runs {
                *ran.entry((nesting.name, run.route)).or_default() += 1;
            }
        }
        Ok(())
    });
    println!(
        "{} requests of {} targets; {} of them reached a handler, by {} routes",
        requests.get(),
        targets.get(),
        ran.borrow().values().sum::<u64>(),
        ran.borrow().len()
    );
    if let Err(TestError::Fail(why, (method, target, credential))) = outcome {
        panic!("{why}\nminimal: {method} {:?} as {credential:?}", String::from_utf8_lossy(&target));
    }
    outcome.unwrap();
    for nesting in &nestings {
        let reached = ran.borrow().iter().filter(|((name, _), _)| *name == nesting.name).count();
        assert!(reached > 0, "no request came to a handler in {:?}, so it shows nothing", nesting.name);
    }
}

/// Known tricks, each in every nesting and with every credential.
#[tokio::test]
async fn known_path_tricks_do_not_bypass_the_gate() {
    let nestings = nestings::all().await;
    for target in [
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "/public/..%2fadmin/x",
        "/public/..%5cadmin%5cx",
        "/public//admin/x",
        "//admin/x",
        "/./admin/x",
        "/admin;x/x",
        "/admin/..;/public/x",
        "/%61dmin/x",
        "/ADMIN/x",
        "/admin/x/",
        "/admin/x%00",
        "/admin/%252e%252e/public/x",
        "http://public/admin/x",
        "http://h/public/../admin/x",
        "*",
        "/admin%2fx",
        "/admin/x?/../public",
        "/api/keys",
        "/public/admin/x",
        "/admin/login/",
        "/admin/login",
        "/open/private/x",
        "/open/private%2fx",
        "/files/a%2f..%2fb",
        "/files/a%2fb",
    ] {
        let uri: Uri = target.parse().unwrap();
        for (nesting, credential) in both(&nestings) {
            for method in [Method::GET, Method::POST, Method::HEAD] {
                let (status, runs) = nesting.send(&method, &uri, credential).await;
                readings::judge(nesting, &method, uri.path(), credential, status, &runs).unwrap();
            }
        }
    }
}

fn both(nestings: &[Nesting]) -> impl Iterator<Item = (&Nesting, Credential)> {
    nestings.iter().flat_map(|nesting| Credential::ALL.map(|credential| (nesting, credential)))
}
