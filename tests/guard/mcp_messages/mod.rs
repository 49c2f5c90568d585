//! Random requests to an MCP server behind the layer. It runs only uses that an oracle allows, however leniently it reads.
//!
//! `KEYWARD_CASES=1000000 cargo test --release --features mcp,testing --test guard mcp_messages` tries more than CI does.

mod installation;
mod json;
mod lists;
mod oracle;
mod readers;
mod requests;
mod table;

use fastrand::Rng;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use installation::{Installation, Outcome};
use std::collections::BTreeMap;

/// The number of requests to one table.
const REQUESTS_PER_TABLE: usize = 500;

/// Returns the number of requests.
fn read_cases() -> usize {
    std::env::var("KEYWARD_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(5_000)
}

/// Sends known tricks, each to several tables by several callers.
#[tokio::test]
async fn known_tricks_run_only_what_the_table_allows() {
    let call = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    let read =
        |uri: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"{uri}"}}}}"#);
    let tricks = [
        call(r#"{"name":"search","name":"publish"}"#),
        call(r#"{"name":"search","n\u0061me":"publish"}"#),
        call(r#"{"Name":"publish","name":"search"}"#),
        call(r#"{"name\u0000":"publish","name":"search"}"#),
        call(r#"{"__proto__":{"name":"publish"},"name":"search"}"#),
        r#"{"jsonrpc":"2.0","id":1,"result":{},"__proto__":{"method":"tools/call","params":{"name":"publish"}}}"#
            .to_owned(),
        call(r#"{"name":"search"}"#) + &call(r#"{"name":"publish"}"#),
        format!("[{},{}]", call(r#"{"name":"search"}"#), call(r#"{"name":"publish"}"#)),
        read("file:///public/../a.b"),
        read("file:///public%3f"),
        read("file:///..%3f"),
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"file:///public%7bid}."}}}"#
            .to_owned(),
        read("file:///public%23"),
        read("file:///%61.b"),
        read("file:///a%2eb"),
        read("file:///%2561.b"),
        read("file:///team%40home"),
        read("file:///team%2540home"),
        read("file:///caf%C3%A9"),
        read("x:a%3Ab"),
        read("config:%2f%2fapp"),
        read("file:///a.b%2500%3Ab"),
    ];
    let json = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let mut compressed = json.clone();
    compressed.insert(CONTENT_ENCODING, HeaderValue::from_static("deflate"));
    for seed in 0..20 {
        let installation = Installation::random(&mut Rng::with_seed(seed), 4).await;
        for caller in 0..installation.callers.len() {
            for trick in &tricks {
                installation
                    .check(caller, &json, trick.as_bytes())
                    .await
                    .unwrap_or_else(|why| panic!("{why}\n{trick}"));
            }
            let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
            assert_eq!(installation.check(caller, &json, ping).await, Ok(Outcome::Ran(0)));
            assert_eq!(installation.check(caller, &compressed, ping).await, Ok(Outcome::Refused));
        }
    }
}

#[tokio::test]
async fn random_messages_run_what_the_table_allows() {
    let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
    for seed in 0..read_cases().div_ceil(REQUESTS_PER_TABLE) as u64 {
        let mut random = Rng::with_seed(seed);
        let installation = Installation::random(&mut random, 4).await;
        for _ in 0..REQUESTS_PER_TABLE {
            let caller = random.usize(..installation.callers.len());
            let (headers, body) = requests::request(&mut random);
            match installation.check(caller, &headers, &body).await {
                Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
                Err(why) => panic!(
                    "{why}\nseed {seed}, levels {:?}\n{headers:?}\n{}\n{:#?}",
                    installation.callers[caller].0,
                    body.escape_ascii(),
                    installation.table
                ),
            }
        }
    }
    println!("{outcomes:?}");
    let all: usize = outcomes.values().sum();
    let ran: usize = outcomes.iter().filter(|(outcome, _)| matches!(outcome, Outcome::Ran(1..))).map(|(_, n)| n).sum();
    assert!(ran > all / 10, "{ran} of {all} ran something: too few to compare");
}
