//! What signing in needs besides the store: all of it in memory, one for each process.

use super::failures::Failures;
use super::password::Hasher;
use super::preview::PreviewTurns;
use super::throttle::Throttle;
use super::{Policy, ServiceError};
use crate::domain::{Clock, Entropy, Secret, SecretFormat};
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// What signing in, and previewing, need besides the store.
pub(crate) struct People {
    pub(super) hasher: Hasher,
    pub(super) throttle: Throttle,
    pub(super) failures: Failures,
    pub(super) previews: PreviewTurns,
    setup_code: Mutex<Option<Secret>>,
}

impl People {
    pub(super) fn new(policy: &Policy, clock: Arc<dyn Clock>) -> Self {
        Self {
            hasher: Hasher::new(policy.password_hashes_at_once),
            throttle: Throttle::new(clock),
            failures: Failures::default(),
            previews: PreviewTurns::default(),
            setup_code: Mutex::default(),
        }
    }

    /// The code that proves that somebody reads what this process prints. It is made when it is first asked for, with the
    /// randomness and the check of an invitation, and opens nothing else.
    pub(super) fn setup_code(&self, format: &SecretFormat, entropy: &dyn Entropy) -> Result<Secret, ServiceError> {
        // Nothing in here panics half-way through a change.
        let mut kept = self.setup_code.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = &*kept {
            return Ok(code.clone());
        }
        let code = format.issue_invitation(entropy)?.secret;
        *kept = Some(code.clone());
        Ok(code)
    }

    /// Whether this is the code. Before anybody asked for it there is none.
    pub(super) fn is_setup_code(&self, presented: &str) -> bool {
        let kept = self.setup_code.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().is_some_and(|code| bool::from(code.expose().as_bytes().ct_eq(presented.as_bytes())))
    }

    /// It has served.
    pub(super) fn forget_setup_code(&self) {
        *self.setup_code.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
