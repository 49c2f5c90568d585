//! The actor of a change, with the credential that admitted its request.

use super::{Actor, Decision, Digest, Requirement};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The actor that a service works for, with the credential and the requirements that admitted its request.
///
/// [`AuthContext::actor`](crate::AuthContext::actor) returns one. Every change made for it checks the credential and
/// the requirements again inside the transaction, and commits only if both still hold (invariant valid-at-commit). So a
/// request that was admitted before a revocation changes nothing after it.
///
/// A host that signs people in by its own means converts an [`Actor`]: there is no credential, and only the state of
/// the account is checked again.
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
    /// The tool of an MCP server that acts.
    tool: Option<Arc<str>>,
}

/// The credential and requirements that admitted a request, to be checked again when a change commits.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) digest: Digest,
    /// The client's address, by which networks are judged, if the token had limits then.
    pub(crate) client: Option<IpAddr>,
    /// The requirements, with the decisions of that time.
    pub(crate) required: Vec<(Requirement, Decision)>,
}

impl AdmittedActor {
    pub(crate) fn new(actor: Actor, admission: Admission, tool: Option<Arc<str>>) -> Self {
        Self { actor, admission: Some(Arc::new(admission)), tool }
    }

    /// Returns the actor that the audit log records.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    pub(crate) fn tool(&self) -> Option<&Arc<str>> {
        self.tool.as_ref()
    }

    pub(crate) fn admission(&self) -> Option<&Arc<Admission>> {
        self.admission.as_ref()
    }
}

impl From<Actor> for AdmittedActor {
    fn from(actor: Actor) -> Self {
        Self { actor, admission: None, tool: None }
    }
}

/// Without an actor, as of [`AuthContext::actor`](crate::AuthContext::actor) for the public, it is a visitor, who may do nothing.
impl From<Option<AdmittedActor>> for AdmittedActor {
    fn from(actor: Option<AdmittedActor>) -> Self {
        actor.unwrap_or_else(|| Actor::Visitor.into())
    }
}

impl From<&AdmittedActor> for AdmittedActor {
    fn from(actor: &AdmittedActor) -> Self {
        actor.clone()
    }
}

/// Shows the actor and the requirements, never the credential.
impl fmt::Debug for AdmittedActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required =
            self.admission.as_ref().map(|admission| admission.required.iter().map(|(r, _)| r).collect::<Vec<_>>());
        f.debug_struct("AdmittedActor").field("actor", &self.actor).field("required", &required).finish_non_exhaustive()
    }
}
