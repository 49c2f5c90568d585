//! Limits of a token and its previous key, on the token's page.

use super::time::{RelativeTime, Span};
use crate::domain::{Timestamp, Token, TokenLimits};

/// The key before the present one, while it is valid.
pub(super) struct PreviousKey {
    pub(super) hint: String,
    pub(super) ends: RelativeTime,
    pub(super) used: Option<RelativeTime>,
    pub(super) from: Option<String>,
}

impl PreviousKey {
    pub(super) fn of(token: &Token, now: Timestamp) -> Option<Self> {
        token.previous.as_ref().map(|previous| Self {
            hint: previous.hint.clone(),
            ends: RelativeTime::new(previous.ends_at, now),
            used: previous.used.map(|used| RelativeTime::past(used.at, now)),
            from: previous.used.and_then(|used| used.address).map(|address| address.to_string()),
        })
    }
}

/// Describes the limits that are set, each by its name and its value.
pub(super) fn describe_limits(limits: &TokenLimits) -> Vec<(&'static str, String)> {
    let mut described = Vec::new();
    if !limits.networks.is_empty() {
        let networks: Vec<String> = limits.networks.iter().map(ToString::to_string).collect();
        described.push(("Accepted from", networks.join(", ")));
    }
    if let Some(rate) = limits.rate {
        described.push(("Requests", format!("{} per {}, on each server", rate.limit(), Span(rate.window()))));
    }
    if let Some(idle) = limits.idle_expiry {
        described.push(("Ends unless used within", Span(idle).to_string()));
    }
    described
}
