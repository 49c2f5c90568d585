//! PostgreSQL as it is run: encrypted, behind a pooler, with a replica that takes over, and with less room than is asked for.
//!
//! Each test starts servers of its own; which of them are not on this machine is said, and their tests are skipped, unless
//! `KEYWARD_REQUIRE_POSTGRES=1`.

mod failover;
mod pooler;
mod proxy;
mod rights;
mod room;
mod schemas;
mod start;
mod tls;
