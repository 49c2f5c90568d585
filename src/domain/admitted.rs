//! On whose behalf a service works, and by which credential.

use super::{Actor, Decision, Digest, Requirement};
use std::fmt;
use std::sync::Arc;

/// The actor that a service works for, with the credential and the requirements that admitted its request.
///
/// [`AuthContext::actor`](crate::AuthContext::actor) makes one. Every change made for it judges the credential and the requirements
/// again inside its transaction, and commits only if both still hold: a request that was admitted before a revocation changes nothing
/// after it.
///
/// A host that signs people in by its own means makes one from a [`Actor`]: it has no credential, and only the state of the account
/// is judged again.
///
/// ```
/// use keyward::admin::{Actor, AdmittedActor};
/// use keyward::OwnerId;
/// let ada = AdmittedActor::from(Actor::Person(OwnerId(1)));
/// assert_eq!(ada.actor(), Actor::Person(OwnerId(1)));
/// ```
#[derive(Clone)]
pub struct AdmittedActor {
    actor: Actor,
    admission: Option<Arc<Admission>>,
}

/// What admitted a request: it has to hold again when a change commits.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) digest: Digest,
    /// What was required, and how it was answered then.
    pub(crate) required: Vec<(Requirement, Decision)>,
}

impl AdmittedActor {
    pub(crate) fn new(actor: Actor, admission: Admission) -> Self {
        Self { actor, admission: Some(Arc::new(admission)) }
    }

    /// Whom the audit log names.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    pub(crate) fn admission(&self) -> Option<&Arc<Admission>> {
        self.admission.as_ref()
    }
}

impl From<Actor> for AdmittedActor {
    fn from(actor: Actor) -> Self {
        Self { actor, admission: None }
    }
}

impl From<&AdmittedActor> for AdmittedActor {
    fn from(actor: &AdmittedActor) -> Self {
        actor.clone()
    }
}

/// Shows the actor and what was required, never the credential.
impl fmt::Debug for AdmittedActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required =
            self.admission.as_ref().map(|admission| admission.required.iter().map(|(r, _)| r).collect::<Vec<_>>());
        f.debug_struct("AdmittedActor").field("actor", &self.actor).field("required", &required).finish_non_exhaustive()
    }
}
