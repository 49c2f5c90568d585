//! Nodes on one PostgreSQL database: how long a revocation takes from one to the others, with and without faults.
//!
//! `cargo run -p keyward-chaos` starts a server and three nodes and measures. With `-- --chaos` it breaks the server, the network and the
//! nodes while clients send requests and changes, checks every response against the promised bound, and ends with a table. Exit code 1
//! means that a promise was broken.

mod bug;
mod chaos;
mod client;
mod fault;
mod history;
mod measure;
mod node;
mod options;
mod proxy;
mod thing;
mod world;

use options::{Options, Stop, USAGE};
use std::process::ExitCode;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((word, words)) if word == node::WORD => node::serve(words).await.map(|()| true),
        _ => match Options::read(words.into_iter()) {
            Ok(options) => match &options.chaos {
                Some(chaos) => chaos::run(&options, chaos).await,
                None => measure::run(&options).await,
            },
            Err(Stop::Help) => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Err(Stop::Wrong(why)) => {
                eprintln!("chaos: {why}");
                return ExitCode::from(2);
            }
        },
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(2)
        }
    }
}
