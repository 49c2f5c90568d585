//! Arguments for the limits of tokens.

use clap::Args;
use humantime::{format_duration, parse_duration};
use keyward::admin::FieldName;
use keyward::token::{Network, RateLimit, TokenLimits};
use std::time::Duration;

/// The arguments that the limits of a token come from.
pub(crate) const LIMIT_ARGUMENTS: [(FieldName, &str); 3] =
    [(FieldName::Networks, "--network"), (FieldName::RateLimit, "--rate"), (FieldName::IdleExpiry, "--idle-expiry")];

/// Limits of a token.
#[derive(Args)]
pub(crate) struct LimitArguments {
    /// Admit the token only from this network, such as 10.0.0.0/8, or this address; may be repeated.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Vec<Network>,
    /// Admit so many requests in this time, on each server: 100/1m.
    #[arg(long, value_name = "N/SPAN", value_parser = parse_rate)]
    pub(crate) rate: Option<RateLimit>,
    /// End the token after this long without use: 30d.
    #[arg(long, value_name = "SPAN", value_parser = parse_duration)]
    pub(crate) idle_expiry: Option<Duration>,
}

impl LimitArguments {
    pub(crate) fn limits(self) -> TokenLimits {
        let mut limits = TokenLimits::none().networks(self.network);
        limits.rate = self.rate;
        limits.idle_expiry = self.idle_expiry;
        limits
    }
}

fn parse_rate(text: &str) -> Result<RateLimit, String> {
    let (limit, window) = text.split_once('/').ok_or("write for example 100/1m")?;
    let limit = limit.parse().map_err(|_| "write a number of requests before the /, for example 100/1m")?;
    let window = parse_duration(window).map_err(|error| format!("{error}: write for example 100/1m"))?;
    RateLimit::new(limit, window).map_err(|error| error.to_string())
}

/// Describes the limits that are set, each by its name and its value.
pub(crate) fn describe_limits(limits: &TokenLimits) -> Vec<(&'static str, String)> {
    let mut described = Vec::new();
    if !limits.enabled {
        described.push(("enabled", "no".to_owned()));
    }
    described.extend(limits.networks.iter().map(|network| ("network", network.to_string())));
    if let Some(rate) = limits.rate {
        described.push(("rate", format!("{}/{}", rate.limit(), format_duration(rate.window()))));
    }
    if let Some(idle) = limits.idle_expiry {
        described.push(("idle expiry", format_duration(idle).to_string()));
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_parse() {
        assert_eq!(parse_rate("100/1m"), Ok(RateLimit::new(100, Duration::from_secs(60)).unwrap()));
        for wrong in ["", "100", "/1m", "x/1m", "0/1m", "1/", "1/0s", "1/2d", "-1/1m"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
