//! Starts a PostgreSQL server to try things on, prints its address, and stops it when this program ends.
//!
//! `cargo run -p keyward-test-support --bin keyward-postgres`

use keyward_test_support::postgres::Server;

fn main() -> Result<(), String> {
    let server = Server::start(&[])?;
    println!("{}", server.url());
    loop {
        std::thread::park();
    }
}
