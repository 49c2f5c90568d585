//! A PostgreSQL server for trying things out: starts one, prints its address, and stops it when this program ends.
//!
//! `cargo run --example postgres --all-features`

#[path = "cluster/server.rs"]
#[allow(dead_code, reason = "others use more of it")]
mod server;

fn main() -> Result<(), String> {
    let server = server::Server::start(&[])?;
    println!("{}", server.url());
    loop {
        std::thread::park();
    }
}
