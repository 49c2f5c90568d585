//! PostgreSQL in operation: TLS, poolers, failover, privileges, schemas, and exhausted connections.
//!
//! Tests whose programs are missing are skipped with a message, unless `KEYWARD_REQUIRE_POSTGRES=1`.

mod account_reports;
mod capacity;
mod connection_errors;
mod failover;
mod host_pool;
mod migrations;
mod pooler;
mod privileges;
mod proxy;
mod round_trips;
mod schemas;
mod tls;
