//! What a request carries behind the gate: who calls, and what was required of them.

use super::mark::Mark;
use crate::domain::{Decision, Doer, Kind, OwnerId, Principal, Requirement, RoleId, TokenId, Verdict, all_of};
use crate::resolve::{Entry, Lane, Resolved};
use std::fmt;
use std::sync::Arc;

/// Who calls, in the extensions of every request of a protected group.
///
/// Reading it admits nobody: a route is guarded by a [`Require`](crate::Require) layer or by [`require`](Self::require).
#[derive(Clone)]
pub struct AuthContext {
    entry: Arc<Entry>,
    mark: Arc<Mark>,
    required: Option<Arc<Requirement>>,
}

/// The caller may not do what was required. As an answer it is a 403, which the gate writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller may not do what was required")]
pub struct NotAllowed;

impl AuthContext {
    pub(super) fn new(entry: Arc<Entry>, mark: Arc<Mark>) -> Self {
        Self { entry, mark, required: None }
    }

    /// The caller.
    pub fn principal(&self) -> &Principal {
        &self.entry.principal
    }

    /// The token's id; `None` for the public.
    pub fn token(&self) -> Option<TokenId> {
        self.principal().token()
    }

    /// The token's kind; `None` for the public.
    pub fn kind(&self) -> Option<Kind> {
        self.principal().kind()
    }

    /// The token's owner; content tokens and the public have none.
    pub fn owner(&self) -> Option<OwnerId> {
        self.principal().owner()
    }

    /// For whom a service has to work: a person by their session, else the token itself; `None` for the public.
    ///
    /// ```
    /// # async fn handler(keyward: keyward::Keyward<keyward::MemoryStore>, auth: keyward::AuthContext) -> Option<()> {
    /// let mine = keyward.tokens().by(auth.doer()?).list(keyward::Kind::Admin).await.ok()?;
    /// # Some(()) }
    /// ```
    pub fn doer(&self) -> Option<Doer> {
        match (self.kind()?, self.owner()) {
            (Kind::Session, Some(owner)) => Some(Doer::Person(owner)),
            _ => self.token().map(Doer::Token),
        }
    }

    /// The owner's roles; empty where there is no owner.
    pub fn roles(&self) -> &[RoleId] {
        self.principal().roles()
    }

    /// How a requirement would be answered. Asking guards nothing: see [`require`](Self::require).
    pub fn decide(&self, requirement: &Requirement) -> Decision {
        self.principal().decide(requirement, &self.entry.conditions)
    }

    /// Requires something of the caller, here in the handler, for every row and field. Who may for some only is refused: ask
    /// [`require_decision`](Self::require_decision) where there are rows to choose from.
    ///
    /// # Errors
    /// If the caller may not: return it, the response becomes a 403 whatever else you answer.
    pub fn require(&self, requirement: &Requirement) -> Result<(), NotAllowed> {
        self.require_decision(&requirement.clone().whole()).map(drop)
    }

    /// Requires something of the caller, here in the handler, for some rows or fields at least, and takes the decision.
    ///
    /// # Errors
    /// If the caller may not: return it, the response becomes a 403 whatever else you answer.
    pub fn require_decision(&self, requirement: &Requirement) -> Result<Decision, NotAllowed> {
        let decision = self.decide(requirement);
        if decision.verdict() == Verdict::Refused {
            self.mark.deny(requirement);
            return Err(NotAllowed);
        }
        self.mark.pass_as(requirement);
        Ok(decision)
    }

    /// Takes the decision on what the route requires. Where several layers require something, it is what all of them allow.
    ///
    /// A route whose requirement is met for some rows or fields only must take it, or its response is withheld.
    pub fn decision(&self) -> Decision {
        self.mark.take();
        self.required.as_deref().map_or_else(Decision::refused, |required| self.decide(required))
    }

    /// A layer requires something: whether the request may go on.
    pub(super) fn ask(&mut self, requirement: Arc<Requirement>) -> bool {
        match self.principal().verdict(&requirement) {
            Verdict::Refused => {
                self.mark.deny(&requirement);
                return false;
            }
            Verdict::Allowed => self.mark.pass(),
            Verdict::Where => self.mark.pass_pending(),
        }
        self.required = Some(match self.required.take() {
            None => requirement,
            Some(earlier) => Arc::new(all_of([Requirement::clone(&earlier), Requirement::clone(&requirement)])),
        });
        true
    }

    /// Waits until this caller would no longer be let in: revoked, expired, owner deactivated, the route's requirement no
    /// longer met, or this node no longer able to tell. For responses that live long: streams, server-sent events, sockets.
    ///
    /// ```no_run
    /// # async fn stream(auth: keyward::AuthContext, next: impl Future<Output = ()>) {
    /// tokio::select! {
    ///     () = next => { /* send it */ }
    ///     () = auth.revoked() => { /* end the stream */ }
    /// }
    /// # }
    /// ```
    pub async fn revoked(&self) {
        let mut entry = self.entry.clone();
        let Some(digest) = entry.digest() else { return std::future::pending().await };
        let layers = self.required.as_deref().cloned();
        let required: Vec<Requirement> = layers.into_iter().chain(self.mark.required()).collect();
        let decisions: Vec<Decision> = required.iter().map(|r| self.decide(r)).collect();
        loop {
            let Some(resolver) = entry.resolver.upgrade() else { return };
            let mut changes = resolver.freshness.changes();
            let now = resolver.clock.moment();
            let current = match resolver.known(&digest, now) {
                Some(known) => Ok(known),
                None => resolver.clone().ask(digest, Lane::Known).await,
            };
            let Ok(Resolved::Found(found)) = current else { return };
            let now_it_is = |r: &Requirement| found.principal.decide(r, &found.conditions);
            let still = required.iter().zip(&decisions).all(|(r, then)| now_it_is(r).covers(then));
            if found.judge(now).is_err() || found.principal.kind() != self.kind() || !still {
                return;
            }
            entry = found;
            let left = entry.next_deadline().min(resolver.freshness.lease_until()).since(now);
            drop(resolver);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep(left) => {}
            }
        }
    }
}

/// Sleeps, but looks at the clock again after a minute: tokio's may stand still while the machine sleeps.
async fn sleep(left: std::time::Duration) {
    let least = std::time::Duration::from_millis(1);
    tokio::time::sleep(left.clamp(least, std::time::Duration::from_secs(60))).await;
}

impl fmt::Debug for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthContext")
            .field("token", &self.token())
            .field("kind", &self.kind())
            .field("owner", &self.owner())
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}
