//! What a request carries behind the gate: who calls, and what was required of them.

use super::body::NoLongerValid;
use super::mark::Mark;
use crate::domain::{
    Actor, Admission, AdmittedActor, Decision, InvalidCredential, OwnerId, Principal, Reason, Requirement, RoleId,
    TokenId, TokenKind, Unavailable, Verdict, all_of,
};
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
pub struct Forbidden;

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
    pub fn kind(&self) -> Option<TokenKind> {
        self.principal().kind()
    }

    /// The token's owner; content tokens and the public have none.
    pub fn owner(&self) -> Option<OwnerId> {
        self.principal().owner()
    }

    /// The actor that a service has to work for: a person by their session, else the token itself; `None` for the public.
    ///
    /// It carries the credential and what was required so far: each change judges both again in its transaction, see [`AdmittedActor`].
    ///
    /// ```
    /// # async fn handler(keyward: keyward::Keyward, auth: keyward::AuthContext) -> Option<()> {
    /// let query = keyward::store::TokenQuery::of(keyward::token::TokenKind::Admin);
    /// let mine = keyward.tokens().acting_as(auth.actor()?).list(&query).await.ok()?;
    /// # Some(()) }
    /// ```
    pub fn actor(&self) -> Option<AdmittedActor> {
        let actor = match (self.kind()?, self.owner()) {
            (TokenKind::Session, Some(owner)) => Actor::Person(owner),
            _ => Actor::Token(self.token()?),
        };
        Some(AdmittedActor::new(actor, Admission { digest: self.entry.digest()?, required: self.answered() }))
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
    pub fn require(&self, requirement: &Requirement) -> Result<(), Forbidden> {
        self.require_decision(&requirement.clone().whole()).map(drop)
    }

    /// Requires something of the caller, here in the handler, for some rows or fields at least, and takes the decision.
    ///
    /// # Errors
    /// If the caller may not: return it, the response becomes a 403 whatever else you answer.
    pub fn require_decision(&self, requirement: &Requirement) -> Result<Decision, Forbidden> {
        let decision = self.decide(requirement);
        if decision.verdict() == Verdict::Refused {
            self.mark.deny(requirement);
            return Err(Forbidden);
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
            Verdict::Partial => self.mark.pass_pending(),
        }
        self.mark.layer_requires(&requirement);
        self.required = Some(match self.required.take() {
            None => requirement,
            Some(earlier) => Arc::new(all_of([Requirement::clone(&earlier), Requirement::clone(&requirement)])),
        });
        true
    }

    /// The same, with how each was answered.
    fn answered(&self) -> Vec<(Requirement, Decision)> {
        let answered = |requirement: Requirement| {
            let decision = self.decide(&requirement);
            (requirement, decision)
        };
        self.requirements().into_iter().map(answered).collect()
    }

    /// All that layers and the handler have required so far.
    fn requirements(&self) -> Vec<Requirement> {
        self.required.as_deref().cloned().into_iter().chain(self.mark.required()).collect()
    }

    /// Asks again whether this caller would be admitted now and may do what was required so far: before work that takes long, or that
    /// cannot be undone. It costs a look-up in memory unless something has changed.
    ///
    /// The body of a request is judged like this at its end without being asked.
    ///
    /// # Errors
    /// [`NoLongerValid`] if the token was revoked or regenerated, has expired, its owner was deactivated, or the permission was taken away.
    /// Return it: the client gets 401, 403, or 503 where the store cannot tell, whatever else you answer.
    pub async fn revalidate(&self) -> Result<(), NoLongerValid> {
        if self.entry.digest().is_none() || still_valid(&self.entry) {
            return Ok(());
        }
        judge_again(&self.entry, &self.requirements()).await.map(drop).map_err(|reason| {
            self.mark.lose(reason);
            NoLongerValid(reason)
        })
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
        if self.entry.digest().is_none() {
            return std::future::pending().await;
        }
        let required = self.requirements();
        let mut entry = self.entry.clone();
        loop {
            let Some(resolver) = entry.resolver.upgrade() else { return };
            let mut changes = resolver.freshness.changes();
            let now = resolver.clock.moment();
            // What was allowed at first has to stay allowed, so it is the first entry that is compared with.
            let Ok(current) = judge_again(&self.entry, &required).await else { return };
            entry = current;
            let left = entry.next_deadline().min(resolver.freshness.lease_until()).since(now);
            drop(resolver);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep(left) => {}
            }
        }
    }
}

/// Whether an entry that admitted a request would admit it now, as far as that is known without asking the store.
pub(super) fn still_valid(entry: &Arc<Entry>) -> bool {
    let Some((resolver, digest)) = entry.resolver.upgrade().zip(entry.digest()) else { return false };
    let now = resolver.clock.moment();
    match resolver.known(&digest, now) {
        Some(Resolved::Found(known)) => Arc::ptr_eq(&known, entry) && known.judge(now).is_ok(),
        _ => false,
    }
}

/// Judges the credential of an entry as the gate would judge it now: it has to be valid, and all that `required` allowed then has to be
/// allowed still. Answers with what is known of it now.
pub(super) async fn judge_again(entry: &Arc<Entry>, required: &[Requirement]) -> Result<Arc<Entry>, Reason> {
    let gone = Reason::Invalid(InvalidCredential::Unknown);
    let digest = entry.digest().ok_or(gone)?;
    let resolver = entry.resolver.upgrade().ok_or(Reason::Unavailable(Unavailable::Stale))?;
    let now = resolver.clock.moment();
    let resolved = match resolver.known(&digest, now) {
        Some(known) => known,
        None => resolver.clone().ask(digest, Lane::Known).await.map_err(Reason::Unavailable)?,
    };
    let Resolved::Found(current) = resolved else { return Err(gone) };
    current.judge(resolver.clock.moment())?;
    if current.principal.kind() != entry.principal.kind() {
        return Err(gone);
    }
    let allows = |entry: &Entry, r: &Requirement| entry.principal.decide(r, &entry.conditions);
    match required.iter().all(|r| allows(&current, r).covers(&allows(entry, r))) {
        true => Ok(current),
        false => Err(Reason::Forbidden),
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
