//! Any target, through every nesting: the group that the gate decides and the route that axum takes agree.
//!
//! The first byte says the method, the second who sends it; the rest is the target.

#![no_main]

#[path = "../../tests/guard/paths/nestings.rs"]
#[allow(dead_code, reason = "for the test that counts")]
mod nestings;
#[path = "../../tests/guard/paths/readings.rs"]
mod readings;

use http::{Method, Uri};
use libfuzzer_sys::{Corpus, fuzz_target};
use nestings::{Credential, Nesting};
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

static ALL: LazyLock<(Runtime, Vec<Nesting>)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let nestings = runtime.block_on(nestings::all());
    (runtime, nestings)
});

const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::DELETE, Method::CONNECT];

fuzz_target!(|data: &[u8]| -> Corpus {
    let &[method, who, ref target @ ..] = data else { return Corpus::Reject };
    let Ok(uri) = Uri::try_from(target) else { return Corpus::Reject };
    let method = &METHODS[usize::from(method) % METHODS.len()];
    let credential = Credential::ALL[usize::from(who) % Credential::ALL.len()];
    let (runtime, nestings) = &*ALL;
    for nesting in nestings {
        let (status, runs) = runtime.block_on(nesting.send(method, &uri, credential));
        if let Err(why) = readings::judge(nesting, method, uri.path(), credential, status, &runs) {
            panic!("{why}");
        }
    }
    Corpus::Keep
});
