//! A PostgreSQL server for trials: it prints its address, and stops when this program ends.
//!
//! `cargo run --example postgres --all-features`

#[path = "cluster/server.rs"]
#[allow(dead_code, reason = "the cluster example uses more of it")]
mod server;

fn main() -> Result<(), String> {
    let server = server::Server::start(&[])?;
    println!("{}", server.url());
    loop {
        std::thread::park();
    }
}
