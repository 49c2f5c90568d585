//! Injects one fault after another while clients send requests and changes, and reports the results.

use crate::BoxError;
use crate::fault::{Fault, Site};
use crate::history::Findings;
use crate::node::{Node, limits};
use crate::options::{Chaos, Options};
use crate::proxy::Proxy;
use crate::world::{World, now};
use keyward_test_support::postgres::Server;
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The number of clients per node.
const PROBES: usize = 3;
/// The longest recovery after a fault.
const PATIENCE: Duration = Duration::from_secs(30);
/// The size of the server's disk in megabytes.
const DISK: u32 = 512;

/// Runs all faults and returns whether every promise was kept.
pub(crate) async fn run(options: &Options, chaos: &Chaos) -> Result<bool, BoxError> {
    let faults: Vec<Fault> = match &chaos.only {
        None => Fault::ALL.to_vec(),
        Some(start) => Fault::ALL.into_iter().filter(|fault| fault.name().starts_with(&**start)).collect(),
    };
    if faults.is_empty() {
        let names: Vec<_> = Fault::ALL.iter().map(|fault| format!("  {}", fault.name())).collect();
        return Err(format!("--only: no fault begins so. There are\n{}", names.join("\n")).into());
    }
    let bound = limits(options.strict).max_staleness;
    println!(
        "{} nodes, {} clients each, a bound of {bound:?}; each fault lasts {:?}; --seed {}\n",
        options.nodes, PROBES, chaos.lasting, chaos.seed
    );
    let mut site = build(options, chaos).await?;
    println!(
        "| while this lasts | requests | changes + in doubt | stale p50 | p99 | most | wrong 401/403 | stale passes | 503 | lost | back after |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    );
    let mut wrong = Vec::new();
    let (mut lost, mut odd, mut skipped) = (0, 0, false);
    for fault in faults {
        if let (Fault::DiskFull, Err(why)) = (fault, &site.disk) {
            println!("| {} | SKIPPED: {} |", fault.name(), why.lines().next().unwrap_or_default());
            skipped |= std::env::var("KEYWARD_REQUIRE_POSTGRES").is_ok_and(|v| v == "1");
            continue;
        }
        let part = one(&mut site, fault, chaos.lasting, bound).await?;
        println!("{}", part.row(fault));
        lost += part.lost;
        wrong.extend(part.findings.wrong.iter().map(|wrong| (fault, wrong.clone())));
        part.odd.iter().for_each(|odd| println!("ODD: {odd}"));
        odd += part.odd.len();
    }
    println!();
    let mut reported = HashSet::new();
    for (fault, wrong) in
        wrong.iter().filter(|(_, wrong)| reported.insert((wrong.decision.token, wrong.decision.node))).take(20)
    {
        println!("WRONG while {}: {wrong}", fault.name());
    }
    let kept = wrong.is_empty() && lost == 0 && odd == 0 && !skipped;
    println!("{}", if kept { "as promised" } else { "NOT AS PROMISED" });
    Ok(kept)
}

async fn build(options: &Options, chaos: &Chaos) -> Result<Site, BoxError> {
    let settings = ["max_wal_size=128MB", "min_wal_size=32MB", "max_connections=60"];
    let (server, disk) = match Server::start_on_small_disk(DISK, &settings) {
        Ok(server) => (server, Ok(())),
        Err(why) => (Server::start(&settings)?, Err(why)),
    };
    let mut random = fastrand::Rng::with_seed(chaos.seed);
    let url = server.url().to_owned();
    let port = url.rsplit(':').next().and_then(|tail| tail.split('/').next()).ok_or("the server has no port")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let (mut proxies, mut nodes) = (Vec::new(), Vec::new());
    for _ in 0..options.nodes {
        let proxy = Proxy::start(address, random.u64(..)).await?;
        let through = url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port));
        nodes.push(Node::start(&through, options.strict, chaos.bug).await?);
        proxies.push(proxy);
    }
    let addresses = nodes.iter().map(|node| node.address).collect();
    let world = Arc::new(World::make(&url, addresses, options.strict).await?);
    Ok(Site { server, disk, url, proxies, nodes, world, random })
}

/// The result of one fault.
struct Part {
    findings: Findings,
    odd: Vec<String>,
    lost: usize,
    back_after: Option<Duration>,
}

async fn one(site: &mut Site, fault: Fault, lasting: Duration, bound: Duration) -> Result<Part, BoxError> {
    let world = site.world.clone();
    world.add(4, 2, 4).await?;
    world.stopped.store(false, Ordering::Relaxed);
    let (mut probes, mut changes) = (Vec::new(), Vec::new());
    for node in 0..site.nodes.len() {
        changes.push(tokio::spawn(world.clone().change(node, site.random.u64(..))));
        probes.extend((0..PROBES).map(|_| tokio::spawn(world.clone().probe(node, site.random.u64(..)))));
    }
    changes.push(tokio::spawn(world.clone().change_by_hand(site.random.u64(..))));
    tokio::time::sleep(Duration::from_millis(500)).await;
    site.strike(fault, lasting).await?;

    let mended = now();
    let mut back_after = None;
    while now() - mended < PATIENCE {
        if world.all_back().await {
            back_after = Some(now() - mended);
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Changes under way end first; unknown outcomes are then looked up.
    let quiet = world.quiet.write().await;
    world.settle().await?;
    drop(quiet);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let quiet = world.quiet.write().await;
    world.settle().await?;
    tokio::time::sleep(bound + Duration::from_millis(200)).await;
    world.stopped.store(true, Ordering::Relaxed);
    drop(quiet);
    for task in probes.into_iter().chain(changes) {
        task.await?;
    }
    world.settle().await?;
    let lost = world.lost().await;
    let (findings, odd) = world.findings();
    Ok(Part { findings, odd, lost, back_after })
}

impl Part {
    fn row(&self, fault: Fault) -> String {
        let Findings { passed, refused, unavailable, silence, acknowledged, doubtful, staleness, wrong } =
            &self.findings;
        let answered = passed + refused + unavailable;
        let mut sorted = staleness.clone();
        sorted.sort_unstable();
        let at = |part: f64| match sorted.len() {
            0 => "-".to_owned(),
            many => format!("{} ms", sorted[((many - 1) as f64 * part) as usize].as_millis()),
        };
        let stale = wrong.iter().filter(|wrong| wrong.decision.verdict == crate::history::Verdict::Passed).count();
        let share = if answered == 0 { 0.0 } else { *unavailable as f64 * 100.0 / answered as f64 };
        let back = self.back_after.map_or("never".to_owned(), |after| format!("{} ms", after.as_millis()));
        format!(
            "| {} | {} | {acknowledged} + {doubtful} | {} | {} | {} | {} | {stale} | {share:.1} % | {} | {back} |",
            fault.name(),
            answered + silence,
            at(0.5),
            at(0.99),
            at(1.0),
            wrong.len() - stale,
            self.lost,
        )
    }
}
