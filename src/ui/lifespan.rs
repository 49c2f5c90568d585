//! Lifespans and expiry of tokens, in forms and lists.

use super::form::FormFields;
use super::state::Pages;
use super::time::{RelativeTime, Span};
use crate::admin::Lifespan;
use crate::domain::{Timestamp, Token};
use std::time::Duration;

/// Tokens that expire within this time are highlighted.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The expiry of a token.
pub(super) enum Expiry {
    Never,
    Later(RelativeTime),
    Soon(RelativeTime),
    Expired(RelativeTime),
}

impl Expiry {
    pub(super) fn new(token: &Token, now: Timestamp) -> Self {
        match token.expires_at {
            None => Self::Never,
            Some(at) if at <= now => Self::Expired(RelativeTime::new(at, now)),
            Some(at) if at.since(now) < SOON => Self::Soon(RelativeTime::new(at, now)),
            Some(at) => Self::Later(RelativeTime::new(at, now)),
        }
    }

    pub(super) fn is_expired(&self) -> bool {
        matches!(self, Self::Expired(_))
    }
}

/// An option of a select field.
pub(super) struct SelectOption {
    pub(super) value: String,
    pub(super) title: String,
    pub(super) selected: bool,
}

/// Returns the lifespans that the policy offers for a new token.
pub(super) fn lifespan_options(pages: &Pages, form: Option<&FormFields>) -> Vec<SelectOption> {
    let offered = pages.keyward.settings().policy.durations.offered();
    let value = |span: &Option<Duration>| span.map_or("unlimited".to_owned(), |span| span.as_millis().to_string());
    let sent = form.map(|form| form.text("lifespan").to_owned());
    let default = match pages.keyward.settings().policy.durations.preselected() {
        Lifespan::Of(span) => value(&Some(span)),
        // It is one of the offered spans.
        Lifespan::Unlimited | Lifespan::Until(_) => value(&None),
    };
    let option = |span: &Option<Duration>| SelectOption {
        selected: *sent.as_ref().unwrap_or(&default) == value(span),
        title: format_lifespan(*span),
        value: value(span),
    };
    offered.iter().map(option).collect()
}

pub(super) fn format_lifespan(lifespan: Option<Duration>) -> String {
    lifespan.map_or("Unlimited".to_owned(), |span| Span(span).to_string())
}

/// Parses the selected option of [`lifespan_options`].
pub(super) fn parse_lifespan(form: &FormFields) -> Lifespan {
    match form.text("lifespan") {
        "unlimited" => Lifespan::Unlimited,
        text => Lifespan::Of(Duration::from_millis(text.parse().unwrap_or_default())),
    }
}
