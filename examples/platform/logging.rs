//! The log on standard error, with the levels of `RUST_LOG`, and colours only on a terminal.

use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. `levels` is as in `debug` or `keyward=debug,info`; none or an empty text is
/// `info,rmcp=warn`.
pub(crate) fn start(levels: Option<String>) -> Result<(), String> {
    let levels = levels.filter(|text| !text.trim().is_empty());
    let levels = levels.map(|text| text.parse::<Targets>()).transpose();
    let levels =
        levels.map_err(|error| format!("RUST_LOG: {error}: write a level, as in debug, or keyward=debug,info"))?;
    // rmcp writes several lines at level INFO for each request.
    let default = || Targets::new().with_default(LevelFilter::INFO).with_target("rmcp", LevelFilter::WARN);
    let levels = levels.unwrap_or_else(default);
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(levels).init();
    Ok(())
}
