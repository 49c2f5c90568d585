//! How long tokens live, as people choose and see it.

use super::form::Sent;
use super::state::Pages;
use super::time::{ConditionClause, Span};
use crate::admin::Lifespan;
use crate::domain::{Timestamp, Token};
use std::time::Duration;

/// An expiry that is nearer than this is marked.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// When a token ends.
pub(super) enum Expiry {
    Never,
    Later(ConditionClause),
    Soon(ConditionClause),
    Over(ConditionClause),
}

impl Expiry {
    pub(super) fn of(token: &Token, now: Timestamp) -> Self {
        match token.expires_at {
            None => Self::Never,
            Some(at) if at <= now => Self::Over(ConditionClause::of(at, now)),
            Some(at) if at.since(now) < SOON => Self::Soon(ConditionClause::of(at, now)),
            Some(at) => Self::Later(ConditionClause::of(at, now)),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over(_))
    }
}

/// Something to choose in a form.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) title: String,
    pub(super) chosen: bool,
}

/// How long a new token can live.
pub(super) fn durations(pages: &Pages, sent: Option<&Sent>) -> Vec<Choice> {
    let offered = pages.policy.durations.offered();
    let value = |span: &Option<Duration>| span.map_or("unlimited".to_owned(), |span| span.as_millis().to_string());
    let chosen = sent.map(|sent| sent.text("lifespan").to_owned());
    // The second shortest is what most people want: not so short that they take unlimited.
    let usual = offered.get(1).or(offered.first()).map(value);
    let one = |span: &Option<Duration>| Choice {
        chosen: chosen.as_ref().or(usual.as_ref()) == Some(&value(span)),
        title: lives(*span),
        value: value(span),
    };
    offered.iter().map(one).collect()
}

/// How long a token lives, as people say it.
pub(super) fn lives(lifespan: Option<Duration>) -> String {
    lifespan.map_or("Unlimited".to_owned(), |span| Span(span).to_string())
}

/// What was chosen of [`durations`].
pub(super) fn lifespan(sent: &Sent) -> Lifespan {
    match sent.text("lifespan") {
        "unlimited" => Lifespan::Unlimited,
        text => Lifespan::Of(Duration::from_millis(text.parse().unwrap_or_default())),
    }
}
