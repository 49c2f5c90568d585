//! The effect of a flood of invalid secrets on valid tokens: `cargo bench --bench flood`.
//!
//! It sends 10^7 made-up tokens, 10^5 that only the store can reject and as many of Strapi's format, in ten rounds; each round also sends
//! the same flood to a public route. It prints the limits and fails if one is missed.
//! `-- --made-up 1000000 --absent 10000 --rounds 4` sends less.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod installation;

use installation::{Flood, Installation, Outcome, To};
use keyward_test_support::memory::GrowthWatch;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

const VALID: usize = 1_000;

fn main() -> ExitCode {
    // `cargo test --benches` calls it too, without this word; there is nothing to test.
    if !std::env::args().any(|a| a == "--bench") {
        return ExitCode::SUCCESS;
    }
    let (all, rounds) = (
        Flood { made_up: option("--made-up", 10_000_000), absent: option("--absent", 100_000) },
        option("--rounds", 10),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(all, rounds.max(1)))
}

async fn run(all: Flood, rounds: u64) -> ExitCode {
    let installation = Installation::of(VALID).await;
    let memory = GrowthWatch::start();
    println!("| round | flood of | sent in | valid requests | p50 | p99 | absent: refused | come again |");
    println!("| --- | --- | --: | --: | --: | --: | --: | --: |");
    let (mut ratios, mut overloaded) = (Vec::new(), 0);
    for round in 0..rounds {
        let share = |all: u64| all * (round + 1) / rounds - all * round / rounds;
        let flood = Flood { made_up: share(all.made_up), absent: share(all.absent) };
        let mut p99 = [Duration::ZERO; 2];
        // Alternate the order between rounds.
        let order = if round % 2 == 0 { [To::Protected, To::Public] } else { [To::Public, To::Protected] };
        for to in order {
            let outcome = installation.under(flood, to).await;
            line(round, to, &outcome);
            p99[usize::from(to == To::Public)] = outcome.valid.at(0.99);
            overloaded += outcome.overloaded;
        }
        ratios.push(p99[0].as_secs_f64() / p99[1].as_secs_f64());
    }
    let grown = memory.growth();
    installation.use_all().await;
    ratios.sort_by(f64::total_cmp);
    limits(&installation, all, overloaded, grown, ratios[ratios.len() / 2])
}

fn line(round: u64, to: To, outcome: &Outcome) {
    let Outcome { took, valid, refused, overloaded } = outcome;
    let (what, p50, p99) = (if to == To::Public { "a public route" } else { "tokens" }, valid.at(0.5), valid.at(0.99));
    let valid = valid.count();
    println!("| {round} | {what} | {took:.1?} | {valid} | {p50:.1?} | {p99:.1?} | {refused} | {overloaded} |");
}

/// Prints the limits and returns whether all were kept.
fn limits(installation: &Installation, all: Flood, overloaded: u64, grown: u64, ratio: f64) -> ExitCode {
    let (seen, health) = (installation.seen(), installation.health());
    let count = |counted: &std::sync::atomic::AtomicU64| counted.load(Ordering::SeqCst);
    let reads = count(&seen.absent) + count(&seen.reference);
    let mut held = true;
    println!("\n| | limit | measured | |\n| --- | --: | --: | --- |");
    let mut limit = |what: &str, most: f64, measured: f64, unit: &str| {
        let ok = measured <= most;
        held &= ok;
        println!("| {what} | {most}{unit} | {measured:.2}{unit} | {} |", if ok { "ok" } else { "MISS" });
    };
    let n = |n: u64| n as f64;
    limit("store reads for valid tokens: one each, so none was evicted", n(VALID as u64), n(count(&seen.valid)), "");
    limit("store reads for absent ones, besides those answered 503", n(2 * all.absent - overloaded), n(reads), "");
    limit("look-ups at a time, all of them unknown", 12.0, n(count(&seen.most)), "");
    limit("of Strapi's format", 4.0, n(count(&seen.most_reference)), "");
    limit("absent digests remembered", 4096.0, n(health.absent_entries), "");
    limit("growth of the process", 16.0, n(grown) / f64::from(1 << 20), " MiB");
    limit("valid tokens' p99, times that under the flood of a public route (median)", 2.0, ratio, "");
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns a number from the command line.
fn option(name: &str, default: u64) -> u64 {
    let value = std::env::args().skip_while(|argument| argument != name).nth(1);
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} needs a number")))
}
