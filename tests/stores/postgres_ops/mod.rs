//! PostgreSQL as it is run: encrypted, behind a pooler, with a replica that takes over, and with less room than is asked for.
//!
//! Each test starts servers of its own; which of them are not on this machine is said, and their tests are skipped, unless
//! `KEYWARD_REQUIRE_POSTGRES=1`.

mod capacity;
mod connection_errors;
mod failover;
mod pooler;
mod privileges;
mod proxy;
mod schemas;
mod tls;
