//! Sends arbitrary targets through every nesting of routers: the gate's route group and axum's route agree.
//!
//! The first byte selects the method, the second the credential. The rest is the target.

#![no_main]

#[path = "../../tests/guard/paths/nestings.rs"]
#[allow(dead_code, reason = "tests use the rest")]
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
    let &[method, credential, ref target @ ..] = data else { return Corpus::Reject };
    let Ok(uri) = Uri::try_from(target) else { return Corpus::Reject };
    let method = &METHODS[usize::from(method) % METHODS.len()];
    let credential = Credential::ALL[usize::from(credential) % Credential::ALL.len()];
    let (runtime, nestings) = &*ALL;
    for nesting in nestings {
        let (status, runs) = runtime.block_on(nesting.send(method, &uri, credential));
        if let Err(error) = readings::judge(nesting, method, uri.path(), credential, status, &runs) {
            panic!("{error}");
        }
    }
    Corpus::Keep
});
