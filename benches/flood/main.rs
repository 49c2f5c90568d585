//! The effect of a flood of invalid secrets on valid tokens: `cargo bench --bench flood`.
//!
//! It sends 10^7 made-up tokens, 10^5 that only the store can reject and as many of Strapi's format, in ten rounds;
//! each round also sends the same flood to a public route. It prints the limits and fails if one is missed. `--
//! --made-up 1000000 --absent 10000 --rounds 4` sends less.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod installation;

use installation::{Flood, Installation, Outcome, Target};
use keyward_test_support::memory::GrowthWatch;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

const VALID: usize = 1_000;

fn main() -> ExitCode {
    // `cargo test --benches` also runs this program, without `--bench`. There is nothing to test.
    if !std::env::args().any(|a| a == "--bench") {
        return ExitCode::SUCCESS;
    }
    let (all, rounds) = (
        Flood { made_up: read_option("--made-up", 10_000_000), absent: read_option("--absent", 100_000) },
        read_option("--rounds", 10),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(all, rounds.max(1)))
}

async fn run(all: Flood, rounds: u64) -> ExitCode {
    let installation = Installation::new(VALID).await;
    let memory = GrowthWatch::start();
    println!("| round | flood of | duration | valid requests | p50 | p99 | absent: 401 | 503 |");
    println!("| --- | --- | --: | --: | --: | --: | --: | --: |");
    let (mut ratios, mut overloaded) = (Vec::new(), 0);
    for round in 0..rounds {
        let share = |all: u64| all * (round + 1) / rounds - all * round / rounds;
        let flood = Flood { made_up: share(all.made_up), absent: share(all.absent) };
        let mut p99 = [Duration::ZERO; 2];
        // Alternate the order between rounds.
        let order =
            if round % 2 == 0 { [Target::Protected, Target::Public] } else { [Target::Public, Target::Protected] };
        for target in order {
            let outcome = installation.run(flood, target).await;
            print_round(round, target, &outcome);
            p99[usize::from(target == Target::Public)] = outcome.valid.quantile(0.99);
            overloaded += outcome.overloaded;
        }
        ratios.push(p99[0].as_secs_f64() / p99[1].as_secs_f64());
    }
    let grown = memory.growth();
    installation.use_all().await;
    ratios.sort_by(f64::total_cmp);
    print_limits(&installation, all, overloaded, grown, ratios[ratios.len() / 2])
}

fn print_round(round: u64, target: Target, outcome: &Outcome) {
    let Outcome { took, valid, rejected, overloaded } = outcome;
    let (requests, p50, p99) =
        (if target == Target::Public { "a public route" } else { "tokens" }, valid.quantile(0.5), valid.quantile(0.99));
    let valid = valid.count();
    println!("| {round} | {requests} | {took:.1?} | {valid} | {p50:.1?} | {p99:.1?} | {rejected} | {overloaded} |");
}

/// Prints the limits, and returns failure if one was missed.
fn print_limits(installation: &Installation, all: Flood, overloaded: u64, grown: u64, ratio: f64) -> ExitCode {
    let (counts, health) = (installation.counts(), installation.health());
    let count = |counted: &std::sync::atomic::AtomicU64| counted.load(Ordering::SeqCst);
    let reads = count(&counts.absent) + count(&counts.strapi);
    let mut met = true;
    println!("\n| | limit | measured | |\n| --- | --: | --: | --- |");
    let mut limit = |name: &str, most: f64, measured: f64, unit: &str| {
        let ok = measured <= most;
        met &= ok;
        println!("| {name} | {most}{unit} | {measured:.2}{unit} | {} |", if ok { "ok" } else { "MISS" });
    };
    let n = |n: u64| n as f64;
    limit("store reads for valid tokens: one each, so none was evicted", n(VALID as u64), n(count(&counts.valid)), "");
    limit("store reads for absent tokens, without those answered 503", n(2 * all.absent - overloaded), n(reads), "");
    limit("look-ups at a time", 12.0, n(count(&counts.most)), "");
    limit("of Strapi's format", 4.0, n(count(&counts.most_strapi)), "");
    limit("absent digests remembered", 4096.0, n(health.absent_entries), "");
    limit("growth of the process (resident)", 16.0, n(grown) / f64::from(1 << 20), " MiB");
    limit("p99 of valid tokens, relative to a flood of a public route (median)", 2.0, ratio, "");
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns a number from the command line.
fn read_option(name: &str, default: u64) -> u64 {
    let value = std::env::args().skip_while(|argument| argument != name).nth(1);
    value
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("invalid value of {name}: expected a number")))
}
