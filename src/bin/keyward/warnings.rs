//! Warnings of the store on standard error: a file that others may read, a missing right.

use std::io;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Prints the warnings of the store. The rest of the library warns servers.
pub(crate) fn print() {
    let lines =
        tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).without_time().with_target(false);
    let of_store = Targets::new().with_target("keyward::store", Level::WARN);
    _ = tracing_subscriber::registry().with(lines).with(of_store).try_init();
}
