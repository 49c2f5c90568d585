//! MCP clients of other programs, over HTTP, in front of two servers and the example platform.
//!
//! `.ci/run` installs them in `target/mcp-clients`. Tests whose client is missing are skipped with a message; with
//! `KEYWARD_REQUIRE_TOOLS=1` they fail.

mod by_hand;
mod driver;
mod guide;
mod on_platform;
mod scenario;
mod servers;

use driver::Client;
use futures_util::future::join_all;
use guide::{Texts, shorten};
use scenario::observe;
use servers::ServerKind;

/// Compares the texts of a client, with each server and revision, with its column of the guide.
async fn check(client: Client, combinations: &[(ServerKind, &str)]) {
    let observed = join_all(combinations.iter().map(|(kind, revision)| observe(client, revision, *kind))).await;
    let Some(observed) = observed.into_iter().collect::<Option<Vec<_>>>() else { return };
    let mut texts = Texts::default();
    for (case, text) in observed.into_iter().flatten() {
        let (known, text) = (texts.entry(case).or_default(), shorten(&text));
        if !known.contains(&text) {
            known.push(text);
        }
    }
    assert_eq!(texts, guide::column(client));
}

const LEGACY: &str = "2025-11-25";
const STATELESS: &str = "2026-07-28";

/// Version 1, like that of the TypeScript SDK, knows no revision without sessions.
#[tokio::test]
async fn python_1_client_behaves_as_the_guide_says() {
    check(Client::Python1, &[(ServerKind::Rmcp, LEGACY), (ServerKind::ByHand, LEGACY)]).await;
}

#[tokio::test]
async fn python_2_client_behaves_as_the_guide_says() {
    let all = [ServerKind::Rmcp, ServerKind::ByHand].map(|kind| [(kind, LEGACY), (kind, STATELESS)]);
    check(Client::Python2, all.as_flattened()).await;
}

#[tokio::test]
async fn typescript_1_client_behaves_as_the_guide_says() {
    check(Client::TypeScript1, &[(ServerKind::Rmcp, LEGACY), (ServerKind::ByHand, LEGACY)]).await;
}

#[tokio::test]
async fn typescript_2_client_behaves_as_the_guide_says() {
    let all = [ServerKind::Rmcp, ServerKind::ByHand].map(|kind| [(kind, LEGACY), (kind, STATELESS)]);
    check(Client::TypeScript2, all.as_flattened()).await;
}

/// Each command of the inspector is a process, so it gets fewer combinations.
#[tokio::test]
async fn inspector_behaves_as_the_guide_says() {
    check(Client::Inspector, &[(ServerKind::ByHand, LEGACY), (ServerKind::Rmcp, STATELESS)]).await;
}
