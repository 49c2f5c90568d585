//! Measures how long a revocation takes from one node to the others, without faults.

use crate::BoxError;
use crate::client::Client;
use crate::node::{Node, PATH, READ, SALT, limits, session_of};
use crate::options::Options;
use crate::world::now;
use http::Method;
use keyward::admin::{IssuedToken, Lifespan};
use keyward::{Grant, HashKey, Keyward, NewAdminToken, NewOwner, OwnerId, PostgresStore, RoleId};
use keyward_test_support::postgres::Server;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

const ROUNDS: usize = 20;

pub(crate) async fn run(options: &Options) -> Result<bool, BoxError> {
    let server = match &options.database {
        Some(_) => None,
        None => Some(Server::find_or_start()?),
    };
    let url = options.database.as_deref().or(server.as_ref().map(Server::url)).ok_or("no database")?;
    let mut nodes = Vec::new();
    for _ in 0..options.nodes {
        nodes.push(Node::start(url, options.strict, None).await?);
    }
    let names: Vec<_> = nodes.iter().map(|node| format!("http://{}", node.address)).collect();
    println!("{} nodes on one database: {}", nodes.len(), names.join(" "));

    let issuer =
        Keyward::builder(PostgresStore::connect(url).await?).hash_key(HashKey::parse(SALT)?).admin("/admin").build()?;
    let owner = NewOwner::new(format!("cluster-{}@example.test", std::process::id())).roles([RoleId::SUPER_ADMIN]);
    let owner = issuer.owners().create(owner).await?.id;
    let session = issuer.tokens().open_session(session_of(owner)).await?;
    let client = Client::new();
    println!("\nRevoked on the first; after its answer the others still let it in for\n");
    let heads: String = (2..=nodes.len()).map(|n| format!(" node {n} |")).collect();
    println!("| round | answer took |{heads}\n| --: | --: |{}", " --: |".repeat(nodes.len() - 1));
    let mut all = Vec::new();
    for round in 1..=ROUNDS {
        let token = issue(&issuer, owner, round).await?;
        for node in &nodes {
            let answer = client.get(node.address, PATH, token.secret.expose()).await;
            if answer.is_none_or(|answer| answer.status != 200) {
                return Err("a new token does not pass".into());
            }
        }
        let (asked, path) = (now(), format!("/admin/admin-tokens/{}", token.token.id.0));
        let revoked = client.send(Method::DELETE, nodes[0].address, &path, session.secret.expose(), &Value::Null).await;
        if revoked.is_none_or(|revoked| revoked.status != 200) {
            return Err("the token could not be revoked".into());
        }
        let took = now() - asked;
        let others = nodes[1..].iter().map(|node| until_refused(&client, node.address, token.secret.expose()));
        let others = futures_util::future::join_all(others).await;
        let shown: String = others.iter().map(|took| format!(" {} |", ms(*took))).collect();
        println!("| {round} | {} |{shown}", ms(took));
        all.extend(others);
    }
    all.sort_unstable();
    let (middle, most, bound) = (all[all.len() / 2], all[all.len() - 1], limits(options.strict).max_staleness);
    println!("\nmedian {}, at most {}; promised {bound:?}, whatever breaks: see --chaos", ms(middle), ms(most));
    Ok(most <= bound)
}

async fn issue(issuer: &Keyward, owner: OwnerId, round: usize) -> Result<IssuedToken, BoxError> {
    let name = format!("round {round} of {}", owner.0);
    let new = NewAdminToken::new(name, owner).grants([Grant::new(READ)]).lifespan(Lifespan::Unlimited);
    Ok(issuer.tokens().issue_admin(new).await?)
}

/// Returns how long after now a request that still passed began.
async fn until_refused(client: &Client, node: SocketAddr, secret: &str) -> Duration {
    let began = now();
    let mut last = Duration::ZERO;
    loop {
        let begins = now() - began;
        match client.get(node, PATH, secret).await {
            Some(answer) if answer.status == 200 => last = begins,
            Some(answer) if answer.status == 401 => return last,
            _ => {}
        }
    }
}

fn ms(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}
