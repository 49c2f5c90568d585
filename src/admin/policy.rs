//! The limits that a host sets for its installation.

use super::{Notices, ServiceError, TokenRules};
use crate::domain::{FieldName, OwnerId, Timestamp};
use crate::store::NameScope;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The limits of an installation: lifespans, numbers and rates.
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
    /// The lifespans of admin and content tokens.
    pub durations: Durations,
    /// A session ends when it was not used for this long. Default 2 hours; at least two minutes.
    pub session_idle: Duration,
    /// A session ends after this long in any case. Default 24 hours.
    pub session_lifespan: Duration,
    /// An invitation can be accepted for this long. Default 7 days.
    pub invitation_lifespan: Duration,
    /// Audit events are kept for this long; `None`, the default, keeps them for ever.
    pub keep_events: Option<Duration>,
    /// The notices about tokens that expire or are not used; `None`, the default, makes none.
    pub notices: Option<Notices>,
    /// The most admin tokens of an owner, also for the host program. Default 1 000. Imports are exempt: imported tokens count, and are
    /// kept.
    pub tokens_per_owner: u64,
    /// The tokens among which the name of a token is unique. `None`, the default, is
    /// [`UniquePerOwner`](TokenNames::UniquePerOwner) with [accounts](crate::Builder::accounts) of the host, unless the whole
    /// management API is served; else [`UniquePerInstallation`](TokenNames::UniquePerInstallation), as in Strapi.
    pub token_names: Option<TokenNames>,
    /// The most content tokens. Default 1 000. Imports are exempt.
    pub content_tokens: u64,
    /// The most sessions of an owner. Default 100. One more ends the oldest, which the audit log records.
    pub sessions_per_owner: u64,
    /// The most roles. Default 1 000. Imports are exempt.
    pub roles: u64,
    /// How often one actor, a person or a token, may regenerate one token within an hour. Default 10; at least 1. The host program is not
    /// limited.
    pub regenerations_per_hour: u32,
    /// How often one person may be shown the secret of one token within an hour. Default 60; at least 1.
    pub reveals_per_hour: u32,
    /// How often one person may change one token within an hour: its name, description, metadata, grants, access or limits. Default 120; at
    /// least 1. The host program is not limited, and neither is a change that only disables the token.
    pub token_updates_per_hour: u32,
    /// How many changes of one kind one actor, a person or a token, may make within an hour: issue tokens, change roles, invite people and
    /// the like. Default 10 000; at least 1. Changes that only take rights away are not limited, and neither is the host program.
    pub changes_per_hour: u32,
    /// How many passwords are hashed at the same time, each in 19 MiB of memory, which is reused. Default 2.
    pub password_hashes_at_once: usize,
    /// The longest grace period of a replaced secret. Default 30 days.
    pub longest_grace: Duration,
    /// Whether the use of a secret that was replaced and has ended revokes its token, and with it the thief's or the owner's other
    /// secret. Default false: it is in the audit log.
    pub revoke_on_reuse: bool,
    /// The longest lifespan of a token that a token makes. Default a day.
    pub child_lifespan: Duration,
    /// The most tokens that come from one token that a person made, over all generations. Default 100.
    pub children_per_token: u64,
    /// Rules for tokens.
    pub token_rules: TokenRules,
    /// Further rules for admin tokens of owners with a role of this name. Such a role cannot be renamed.
    pub role_rules: Vec<(String, TokenRules)>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            durations: Durations::default(),
            session_idle: DAY / 12,
            session_lifespan: DAY,
            invitation_lifespan: 7 * DAY,
            keep_events: None,
            notices: None,
            tokens_per_owner: 1_000,
            token_names: None,
            content_tokens: 1_000,
            sessions_per_owner: 100,
            roles: 1_000,
            regenerations_per_hour: 10,
            reveals_per_hour: 60,
            token_updates_per_hour: 120,
            changes_per_hour: 10_000,
            password_hashes_at_once: 2,
            longest_grace: 30 * DAY,
            revoke_on_reuse: false,
            child_lifespan: DAY,
            children_per_token: 100,
            token_rules: TokenRules::none(),
            role_rules: Vec::new(),
        }
    }
}

/// The tokens among which the name of a token is unique. Names are compared by their [comparable](crate::store::comparable()) form.
///
/// Set it alike on all nodes. After a change of this setting tokens keep their names; the next name that is given follows it.
///
/// ```
/// use keyward::admin::{Policy, TokenNames};
/// let mut policy = Policy::default();
/// policy.token_names = Some(TokenNames::UniquePerOwner); // two people may each have a token `ci`
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TokenNames {
    /// All admin and content tokens of the installation. An owner may learn that another one has a token of a name.
    UniquePerInstallation,
    /// The admin tokens of one owner; and the content tokens, which have no owner.
    UniquePerOwner,
}

impl Policy {
    /// Returns the scope in which the names of this owner's tokens are unique.
    pub(super) fn name_scope(&self, owner: Option<OwnerId>) -> NameScope {
        match (self.token_names, owner) {
            (None | Some(TokenNames::UniquePerInstallation), _) => NameScope::Installation,
            (Some(TokenNames::UniquePerOwner), Some(owner)) => NameScope::Owner(owner),
            (Some(TokenNames::UniquePerOwner), None) => NameScope::Ownerless,
        }
    }
}

/// The lifespan of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifespan {
    /// A limited time.
    Of(Duration),
    /// Until this time.
    Until(Timestamp),
    /// No end.
    Unlimited,
}

impl Lifespan {
    /// Returns a lifespan of this many days.
    pub const fn days(days: u32) -> Self {
        Self::Of(Duration::from_secs(days as u64 * 24 * 60 * 60))
    }

    /// Returns the limited time of a lifespan that begins now.
    pub(super) fn from(self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::Of(span) => Some(span),
            Self::Until(at) => Some(at.since(now)),
            Self::Unlimited => None,
        }
    }
}

/// The lifespans that admin and content tokens may have. By default people choose 7, 30 or 90 days or unlimited.
///
/// People take one of the choices, or an exact time that is no later than the longest choice. The host program may take any lifespan within
/// the maximum.
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
    /// Replaces the choices.
    #[must_use]
    pub fn choices(mut self, choices: impl IntoIterator<Item = Duration>) -> Self {
        self.choices = choices.into_iter().collect();
        self
    }

    /// Sets a maximum. Unlimited lifespans are not allowed then.
    #[must_use]
    pub fn at_most(mut self, maximum: Duration) -> Self {
        (self.maximum, self.unlimited) = (Some(maximum), false);
        self
    }

    /// Allows no unlimited lifespans.
    #[must_use]
    pub fn without_unlimited(mut self) -> Self {
        self.unlimited = false;
        self
    }

    /// Returns the choices within the maximum; `None` is unlimited.
    pub fn offered(&self) -> Vec<Option<Duration>> {
        let within = |d: &Duration| self.maximum.is_none_or(|m| *d <= m);
        let choices = self.choices.iter().copied().filter(within).map(Some);
        choices.chain(self.unlimited.then_some(None)).collect()
    }

    /// Returns the lifespan of a token for which a person has not chosen one, 30 days by default: the second choice, as the
    /// shortest one would make people choose "unlimited".
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn preselected(&self) -> Lifespan {
        let offered: Vec<Duration> = self.offered().into_iter().flatten().collect();
        offered.get(1).or(offered.first()).map_or_else(|| self.longest(), |span| Lifespan::Of(*span))
    }

    /// Returns the longest choice; without choices, the maximum.
    pub(super) fn longest(&self) -> Lifespan {
        match self.offered().into_iter().map(|span| span.unwrap_or(Duration::MAX)).max().or(self.maximum) {
            Some(Duration::MAX) | None => Lifespan::Unlimited,
            Some(span) => Lifespan::Of(span),
        }
    }

    /// Checks a lifespan. People must take one of the choices.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`].
    pub(super) fn check(&self, lifespan: Lifespan, by_person: bool, now: Timestamp) -> Result<(), ServiceError> {
        let invalid = |message: String| Err(ServiceError::invalid(FieldName::Lifespan, message));
        let limit = lifespan.from(now);
        if let Lifespan::Until(_) = lifespan {
            let longest =
                if by_person { self.longest() } else { self.maximum.map_or(Lifespan::Unlimited, Lifespan::Of) };
            let longest = longest.from(now).unwrap_or(Duration::MAX);
            let span = limit.unwrap_or_default();
            return match span < Duration::from_secs(1) || span > longest {
                true if span > longest => {
                    let message = format!("must be at most {} ms from now", longest.as_millis());
                    Err(ServiceError::invalid(FieldName::ExpiresAt, message))
                }
                true => Err(ServiceError::invalid(FieldName::ExpiresAt, "must be in the future")),
                false => Ok(()),
            };
        }
        match (limit, self.maximum) {
            (None, _) if !self.unlimited => invalid("must not be unlimited here".to_owned()),
            (Some(span), _) if span < Duration::from_secs(1) => invalid("must be at least a second".to_owned()),
            (Some(span), Some(maximum)) if span > maximum => {
                invalid(format!("must be at most {} ms", maximum.as_millis()))
            }
            (limit, _) if by_person && !self.offered().contains(&limit) => {
                let millis = |d: &Option<Duration>| d.map_or("null".to_owned(), |d| d.as_millis().to_string());
                let offered: Vec<String> = self.offered().iter().map(millis).collect();
                invalid(format!("must be one of {} (milliseconds; null is unlimited)", offered.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(all(test, feature = "api"))]
mod tests {
    use super::*;

    #[test]
    fn a_lifespan_that_was_not_chosen_ends_if_one_of_the_choices_does() {
        let of = |choices: &[u32]| Durations::default().choices(choices.iter().map(|days| *days * DAY)).preselected();
        assert_eq!(of(&[7, 30, 90]), Lifespan::Of(30 * DAY));
        assert_eq!(of(&[7]), Lifespan::Of(7 * DAY));
        assert_eq!(of(&[]), Lifespan::Unlimited);
    }
}
