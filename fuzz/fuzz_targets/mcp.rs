//! Sends arbitrary requests to MCP servers behind the layer: lenient servers run nothing that an oracle does not allow.
//!
//! The first byte selects a table and a caller. Five lines follow, each the value of a header that is left out if it is
//! empty. The rest is the body.

#![no_main]

#[path = "../../tests/guard/mcp_messages/installation.rs"]
mod installation;
#[path = "../../tests/guard/mcp_messages/json.rs"]
mod json;
#[path = "../../tests/guard/mcp_messages/oracle.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod oracle;
#[path = "../../tests/guard/mcp_messages/readers.rs"]
mod readers;
#[path = "../../tests/guard/mcp_messages/table.rs"]
#[allow(dead_code, reason = "tests use the rest")]
mod table;

use fastrand::Rng;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use installation::Installation;
use libfuzzer_sys::{Corpus, fuzz_target};
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

const NAMES: [HeaderName; 5] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];
const TABLES: u64 = 8;
const CALLERS: usize = 4;

static ALL: LazyLock<(Runtime, Vec<Installation>)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let build = |seed| runtime.block_on(Installation::random(&mut Rng::with_seed(seed), CALLERS));
    let all = (0..TABLES).map(build).collect();
    (runtime, all)
});

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&selected, mut body)) = data.split_first() else { return Corpus::Reject };
    let mut headers = HeaderMap::new();
    for name in NAMES {
        let Some(end) = body.iter().position(|b| *b == b'\n') else { return Corpus::Reject };
        let (value, rest) = (&body[..end], &body[end + 1..]);
        body = rest;
        if !value.is_empty() {
            let Ok(value) = HeaderValue::from_bytes(value) else { return Corpus::Reject };
            headers.insert(name, value);
        }
    }
    let (runtime, all) = &*ALL;
    let (table, caller) = (usize::from(selected) / CALLERS % all.len(), usize::from(selected) % CALLERS);
    if let Err(error) = runtime.block_on(all[table].check(caller, &headers, body)) {
        panic!("{error}");
    }
    Corpus::Keep
});
