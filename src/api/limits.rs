//! The wire form of a token's limits and secrets.

use super::failure::{Failure, Problem, Problems};
use crate::admin::Lifespan;
use crate::domain::{Network, RateLimit, Timestamp, Token, TokenLimits, TokenSecret, date};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// How many requests a token may make, on each node.
#[derive(Serialize, Deserialize, ToSchema, Clone, Copy)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = RateLimit)]
pub(super) struct SentRate {
    /// The number of requests: at once, and then one more each `window / limit`.
    limit: u32,
    /// Milliseconds, from a second to a day.
    window: u64,
}

/// A secret of a token that is admitted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TokenSecret)]
pub(super) struct ShownSecret {
    /// The last four characters.
    hint: String,
    /// The end of its grace period; null for the present secret.
    ends_at: Option<String>,
    last_used_at: Option<String>,
    /// The client's address of the last use.
    last_used_from: Option<String>,
}

impl From<TokenSecret> for ShownSecret {
    fn from(TokenSecret { hint, ends_at, used }: TokenSecret) -> Self {
        Self {
            hint,
            ends_at: ends_at.map(|at| at.to_string()),
            last_used_at: used.map(|used| used.at.to_string()),
            last_used_from: used.and_then(|used| used.address).map(|address| address.to_string()),
        }
    }
}

pub(super) fn show_secrets(token: &Token) -> Vec<ShownSecret> {
    token.secrets().into_iter().map(ShownSecret::from).collect()
}

pub(super) fn show_networks(token: &Token) -> Vec<String> {
    token.limits.networks.iter().map(ToString::to_string).collect()
}

pub(super) fn show_rate(token: &Token) -> Option<SentRate> {
    token.limits.rate.map(|rate| SentRate { limit: rate.limit(), window: millis(rate.window()) })
}

pub(super) fn show_idle(token: &Token) -> Option<u64> {
    token.limits.idle_expiry.map(millis)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Limits as sent. What is left out stays; the inner `None` removes a limit.
pub(super) struct SentLimits<'a> {
    pub(super) enabled: Option<bool>,
    pub(super) networks: Option<&'a [String]>,
    pub(super) rate: Option<Option<SentRate>>,
    pub(super) idle_expiry: Option<Option<u64>>,
}

/// Parsed limits.
pub(super) struct ParsedLimits {
    pub(super) enabled: Option<bool>,
    pub(super) networks: Option<Vec<Network>>,
    pub(super) rate: Option<Option<RateLimit>>,
    pub(super) idle_expiry: Option<Option<Duration>>,
}

impl SentLimits<'_> {
    /// Parses limits, and names all mistakes by their paths.
    pub(super) fn parse(&self) -> Result<ParsedLimits, Failure> {
        let mut problems = Problems::default();
        let networks = self.networks.map(|list| {
            let mut networks = Vec::with_capacity(list.len().min(crate::admin::NETWORKS));
            for (i, text) in list.iter().enumerate().take(crate::admin::NETWORKS + 1) {
                match text.parse() {
                    Ok(network) => networks.push(network),
                    Err(error) => {
                        problems.push(Problem::at(["networks".to_owned(), i.to_string()], format!("{error}")));
                    }
                }
            }
            networks
        });
        let rate = self.rate.map(|rate| {
            rate.and_then(|SentRate { limit, window }| match RateLimit::new(limit, Duration::from_millis(window)) {
                Ok(rate) => Some(rate),
                Err(error) => {
                    let part = if limit == 0 { "limit" } else { "window" };
                    problems.push(Problem::at(["rateLimit", part], error.to_string()));
                    None
                }
            })
        });
        problems.done()?;
        let idle_expiry = self.idle_expiry.map(|idle| idle.map(Duration::from_millis));
        Ok(ParsedLimits { enabled: self.enabled, networks, rate, idle_expiry })
    }
}

impl From<ParsedLimits> for TokenLimits {
    fn from(ParsedLimits { enabled, networks, rate, idle_expiry }: ParsedLimits) -> Self {
        let mut limits = Self::none().enabled(enabled.unwrap_or(true)).networks(networks.unwrap_or_default());
        limits.rate = rate.flatten();
        limits.idle_expiry = idle_expiry.flatten();
        limits
    }
}

/// Returns the lifespan of a new token: until `expires_at` if that is sent, else `lifespan`.
///
/// `lifespan` is the sent one, with `Some(Unlimited)` for null.
pub(super) fn lifespan(lifespan: Option<Lifespan>, expires_at: Option<&str>) -> Result<Option<Lifespan>, Failure> {
    match (lifespan, expires_at) {
        (lifespan, None) => Ok(lifespan),
        (Some(Lifespan::Of(_)), Some(_)) => {
            Err(Problem::at(["expiresAt"], "send either a lifespan or expiresAt").into())
        }
        (_, Some(text)) => parse_time(text).map(|at| Some(Lifespan::Until(at))),
    }
}

fn parse_time(text: &str) -> Result<Timestamp, Failure> {
    let message = "must be a time like 2026-11-30T12:00:00.000Z";
    date::parse(text).ok_or_else(|| Problem::at(["expiresAt"], message).into())
}

/// How a key is replaced.
#[derive(Deserialize, ToSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct Regeneration {
    /// How long the old key stays valid, in milliseconds. Left out: it is revoked at once.
    grace_period: Option<u64>,
}

/// The previous key to end.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct GraceToEnd {
    /// The last four characters of the previous key, as it was shown. If another key is the previous one by now, nothing changes (409). Left
    /// out: the previous key of this moment.
    pub(super) hint: Option<String>,
}

impl Regeneration {
    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_period.unwrap_or_default())
    }
}
