//! What an installation lets people choose.

use super::ServiceError;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an installation lets people choose, and how long things last.
///
/// ```
/// use keyward::admin::{Durations, Policy};
/// use std::time::Duration;
/// let mut policy = Policy::default();
/// policy.durations = Durations::default().without_unlimited();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// How long admin and content tokens may live.
    pub durations: Durations,
    /// A session ends when it was not used for this long. Default 2 hours; at least two minutes.
    pub session_idle: Duration,
    /// A session ends after this long in any case. Default 24 hours.
    pub session_lifespan: Duration,
    /// An invitation can be accepted for this long. Default 7 days.
    pub invitation_lifespan: Duration,
    /// Audit events are kept for this long; `None`: for ever, which is the default.
    pub keep_events: Option<Duration>,
    /// How many admin tokens an owner has at most; one more is refused. Default 1 000. It holds for the program too. Imports
    /// are exempt: what they bring counts, and is kept.
    pub tokens_per_owner: u64,
    /// How many content tokens there are at most; one more is refused. Default 1 000. Imports are exempt.
    pub content_tokens: u64,
    /// How many sessions an owner has at most. Default 100. Signing in once more ends the oldest, which the audit log tells.
    pub sessions_per_owner: u64,
    /// How many roles there are at most; one more is refused. Default 1 000. Imports are exempt.
    pub roles: u64,
    /// How often one actor, a person or a token, may regenerate one token within an hour. Default 10; at least 1. The program itself may
    /// always.
    pub regenerations_per_hour: u32,
    /// How often one person may be shown the secret of one token within an hour. Default 60; at least 1.
    pub reveals_per_hour: u32,
    /// How often one person may change the name, description, grants or access of one token within an hour. Default 120; at least 1. The
    /// program itself may always.
    pub token_updates_per_hour: u32,
    /// How many changes of one sort one actor, a person or a token, may make within an hour: issue tokens, change roles, invite people and
    /// the like. Default 10 000; at least 1. Changes that only take rights away are not limited, and neither is the program itself.
    pub changes_per_hour: u32,
    /// How many passwords are hashed at the same time, each in 19 MiB of memory, which is kept. Default 2.
    pub password_hashes_at_once: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            durations: Durations::default(),
            session_idle: DAY / 12,
            session_lifespan: DAY,
            invitation_lifespan: 7 * DAY,
            keep_events: None,
            tokens_per_owner: 1_000,
            content_tokens: 1_000,
            sessions_per_owner: 100,
            roles: 1_000,
            regenerations_per_hour: 10,
            reveals_per_hour: 60,
            token_updates_per_hour: 120,
            changes_per_hour: 10_000,
            password_hashes_at_once: 2,
        }
    }
}

/// How long a token lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifespan {
    /// This long.
    Of(Duration),
    /// For ever.
    Unlimited,
}

impl Lifespan {
    /// This many days.
    pub const fn days(days: u32) -> Self {
        Self::Of(Duration::from_secs(days as u64 * 24 * 60 * 60))
    }

    pub(super) fn limit(self) -> Option<Duration> {
        match self {
            Self::Of(span) => Some(span),
            Self::Unlimited => None,
        }
    }
}

/// How long admin and content tokens may live. By default people choose 7, 30 or 90 days or unlimited.
///
/// People choose among the choices. A program that issues by the Rust services may take any time within the maximum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Durations {
    choices: Vec<Duration>,
    maximum: Option<Duration>,
    unlimited: bool,
}

impl Default for Durations {
    fn default() -> Self {
        Self { choices: [7, 30, 90].map(|days| days * DAY).to_vec(), maximum: None, unlimited: true }
    }
}

impl Durations {
    /// These choices instead.
    #[must_use]
    pub fn choices(mut self, choices: impl IntoIterator<Item = Duration>) -> Self {
        self.choices = choices.into_iter().collect();
        self
    }

    /// Nothing longer than this, and so nothing unlimited.
    #[must_use]
    pub fn at_most(mut self, maximum: Duration) -> Self {
        (self.maximum, self.unlimited) = (Some(maximum), false);
        self
    }

    /// No token lives for ever.
    #[must_use]
    pub fn without_unlimited(mut self) -> Self {
        self.unlimited = false;
        self
    }

    /// What people can choose, `None` being for ever.
    pub fn offered(&self) -> Vec<Option<Duration>> {
        let within = |d: &Duration| self.maximum.is_none_or(|m| *d <= m);
        let choices = self.choices.iter().copied().filter(within).map(Some);
        choices.chain(self.unlimited.then_some(None)).collect()
    }

    /// The longest that is offered; with no choice at all, the maximum.
    pub(super) fn longest(&self) -> Lifespan {
        match self.offered().into_iter().map(|span| span.unwrap_or(Duration::MAX)).max().or(self.maximum) {
            Some(Duration::MAX) | None => Lifespan::Unlimited,
            Some(span) => Lifespan::Of(span),
        }
    }

    /// Whether a token may live this long; people have to take what is offered.
    pub(super) fn check(&self, lifespan: Lifespan, by_person: bool) -> Result<(), ServiceError> {
        let wrong = |message: String| Err(ServiceError::invalid("lifespan", message));
        match (lifespan.limit(), self.maximum) {
            (None, _) if !self.unlimited => wrong("must not be unlimited here".to_owned()),
            (Some(span), _) if span < Duration::from_secs(1) => wrong("must be at least a second".to_owned()),
            (Some(span), Some(maximum)) if span > maximum => {
                wrong(format!("must be at most {} ms", maximum.as_millis()))
            }
            (limit, _) if by_person && !self.offered().contains(&limit) => {
                let say = |d: &Option<Duration>| d.map_or("null".to_owned(), |d| d.as_millis().to_string());
                let offered: Vec<String> = self.offered().iter().map(say).collect();
                wrong(format!("must be one of {} (milliseconds; null is unlimited)", offered.join(", ")))
            }
            _ => Ok(()),
        }
    }
}
