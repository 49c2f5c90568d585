//! The log, on standard error: what `RUST_LOG` asks for, and colours for people only.

use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log. `wanted`: levels, as in `debug` or `keyward=debug,info`; none or an empty text is `info`.
pub(crate) fn start(wanted: Option<String>) -> Result<(), String> {
    let wanted = wanted.filter(|text| !text.trim().is_empty());
    let levels = wanted.map(|text| text.parse::<Targets>()).transpose();
    let levels =
        levels.map_err(|error| format!("RUST_LOG: {error}: write a level, as in debug, or keyward=debug,info"))?;
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(levels).init();
    Ok(())
}
