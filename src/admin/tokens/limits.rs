//! Checks of limits that a caller sets.

use crate::admin::ServiceError;
use crate::admin::error::FieldErrors;
use crate::domain::{FieldName, TokenLimits};
use std::time::Duration;

/// The most networks of a token.
pub(crate) const NETWORKS: usize = 64;
/// The shortest idle expiry: a use is noted once a minute.
const SHORTEST_IDLE: Duration = Duration::from_secs(120);
/// The longest idle expiry: ten years.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Reports limits that are out of bounds.
pub(super) fn check_limits(limits: &TokenLimits, errors: &mut FieldErrors) {
    let TokenLimits { enabled: _, networks, rate: _, idle_expiry } = limits;
    if networks.len() > NETWORKS {
        errors.add(FieldName::Networks, format!("must have at most {NETWORKS} entries"));
    }
    for (i, network) in networks.iter().enumerate().take(NETWORKS) {
        if networks[..i].contains(network) {
            errors.add(FieldName::Networks.at(i), "is there twice");
        }
    }
    if idle_expiry.is_some_and(|idle| !(SHORTEST_IDLE..=LONGEST_IDLE).contains(&idle)) {
        let message = format!("must be from {} to {} ms", SHORTEST_IDLE.as_millis(), LONGEST_IDLE.as_millis());
        errors.add(FieldName::IdleExpiry, message);
    }
}

/// Checks the grace period of a replaced secret.
pub(super) fn check_grace(grace: Duration, most: Duration) -> Result<(), ServiceError> {
    match grace > most {
        true => {
            let message = format!("must be at most {} ms", most.as_millis());
            Err(ServiceError::invalid(FieldName::GracePeriod, message))
        }
        false => Ok(()),
    }
}
