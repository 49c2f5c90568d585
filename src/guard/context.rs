//! The caller of an admitted request, for handlers and layers behind the gate.

use super::mark::Mark;
use super::revalidate::{NoLongerValid, judge_again, still_valid};
use super::route_requirement::Prepared;
use crate::domain::{
    AccountKey, Actor, Admission, AdmittedActor, Decision, OwnerId, Principal, Requirement, RoleId, TokenId, TokenKind,
    Verdict,
};
use crate::resolve::Entry;
use http::Extensions;
use std::fmt;
use std::sync::Arc;

/// The caller, in the extensions of every request of a protected group.
///
/// Extracting it does not authorize the request: a [`Require`](crate::Require) layer or [`require`](Self::require)
/// does.
#[derive(Clone)]
pub struct AuthContext {
    entry: Arc<Entry>,
    mark: Arc<Mark>,
    required: Option<Prepared>,
}

/// The caller does not meet a requirement. As a response it is a 403, which the gate writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller does not meet the requirement")]
pub struct Forbidden;

impl AuthContext {
    /// Gives the handlers behind the gate the caller of a request.
    pub(super) fn insert(entry: Arc<Entry>, mark: Arc<Mark>, extensions: &mut Extensions) {
        extensions.insert(Self { entry, mark, required: None });
    }

    /// Returns the caller.
    pub fn principal(&self) -> &Principal {
        &self.entry.principal
    }

    /// Returns the token's id; `None` for the public.
    pub fn token(&self) -> Option<TokenId> {
        self.principal().token()
    }

    /// Returns the token's kind; `None` for the public.
    pub fn kind(&self) -> Option<TokenKind> {
        self.principal().kind()
    }

    /// Returns the token's owner; content tokens and the public have none.
    pub fn owner(&self) -> Option<OwnerId> {
        self.principal().owner()
    }

    /// Returns the host's key of the owner, if it is an [account of the host](crate::accounts).
    pub fn account(&self) -> Option<&AccountKey> {
        self.principal().account()
    }

    /// Returns the name of the token, if [names are kept](crate::Builder::caller_names); none for sessions and the public.
    pub fn token_name(&self) -> Option<&str> {
        self.principal().token_name()
    }

    /// Returns the display name of the token's owner, if [names are kept](crate::Builder::caller_names).
    pub fn owner_name(&self) -> Option<&str> {
        self.principal().owner_name()
    }

    /// Returns the token's [metadata](crate::NewAdminToken::metadata), an object; `None` if it has none. It is the
    /// token's cached copy, which a change replaces as soon as one of its grants.
    ///
    /// ```
    /// # fn handler(auth: keyward::AuthContext) {
    /// let team = auth.metadata().and_then(|metadata| metadata["team"].as_str());
    /// # }
    /// ```
    pub fn metadata(&self) -> Option<&serde_json::Value> {
        self.principal().metadata()
    }

    /// Returns the actor for the services: the person of a session, or the token itself; `None` for the public.
    ///
    /// It carries the credential and the requirements so far. Each change judges both again in its transaction, see
    /// [`AdmittedActor`].
    ///
    /// ```
    /// # async fn handler(keyward: keyward::Keyward, auth: keyward::AuthContext) -> Result<(), keyward::admin::ServiceError> {
    /// use keyward::store::TokenQuery;
    /// use keyward::token::TokenKind;
    /// // A super admin sees the tokens of all owners, unless the query names one.
    /// let query = TokenQuery { owner: auth.owner(), ..TokenQuery::of(TokenKind::Admin) };
    /// let mine = keyward.tokens().acting_as(auth.actor()).list(&query).await?;
    /// # Ok(()) }
    /// ```
    pub fn actor(&self) -> Option<AdmittedActor> {
        let actor = match (self.kind()?, self.owner()) {
            (TokenKind::Session, Some(owner)) => Actor::Person(owner),
            _ => Actor::Token(self.token()?),
        };
        Some(AdmittedActor::new(actor, Admission { digest: self.entry.digest()?, required: self.decisions() }))
    }

    /// Returns the owner's roles; empty without an owner.
    pub fn roles(&self) -> &[RoleId] {
        self.principal().roles()
    }

    /// Returns the decision on a requirement, without requiring it: see [`require`](Self::require).
    pub fn decide(&self, requirement: &Requirement) -> Decision {
        self.principal().decide(requirement, self.entry.conditions())
    }

    /// Returns true if the caller meets this requirement for every row and field. It requires nothing: see
    /// [`require`](Self::require).
    ///
    /// ```
    /// # fn handler(auth: keyward::AuthContext) {
    /// let with_drafts = auth.may("drafts.read");
    /// let editable = auth.may(keyward::action("article.update").on("article"));
    /// # }
    /// ```
    pub fn may(&self, requirement: impl Into<Requirement>) -> bool {
        self.principal().verdict(&requirement.into()) == Verdict::Allowed
    }

    /// Requires something of the caller in the handler, for every row and field. A caller who may for some only is
    /// rejected: use [`require_decision`](Self::require_decision) where rows can be filtered.
    ///
    /// # Errors
    /// [`Forbidden`] if the caller does not meet the requirement. The response becomes a 403, whatever the handler
    /// returns.
    pub fn require(&self, requirement: &Requirement) -> Result<(), Forbidden> {
        self.require_decision(&requirement.clone().whole()).map(drop)
    }

    /// Requires something of the caller in the handler, for some rows or fields at least, and takes the decision.
    ///
    /// # Errors
    /// [`Forbidden`] if the caller does not meet the requirement at all. The response becomes a 403, whatever the
    /// handler returns.
    pub fn require_decision(&self, requirement: &Requirement) -> Result<Decision, Forbidden> {
        let decision = self.decide(requirement);
        if decision.verdict() == Verdict::Denied {
            self.mark.deny(requirement);
            return Err(Forbidden);
        }
        self.mark.pass_requirement(requirement);
        Ok(decision)
    }

    /// Takes the decision on the requirement of the route. With several layers, it is what all of them allow.
    ///
    /// A route whose requirement is met for some rows or fields only must take it, or its response is withheld.
    pub fn decision(&self) -> Decision {
        self.mark.take_decision();
        self.required.as_deref().map_or_else(Decision::denied, |required| self.decide(required))
    }

    /// Judges the floor of a group, and returns whether the request may go on. It is judged again with the requirements
    /// of the route, and is none of them.
    pub(super) fn meets_floor(&self, floor: &Prepared) -> bool {
        let met = self.entry.verdict_on(floor) != Verdict::Denied;
        match met {
            true => self.mark.add_requirement(floor),
            false => self.mark.deny(floor),
        }
        met
    }

    /// Applies the requirement of a layer, and returns whether the request may go on.
    #[inline]
    pub(super) fn check(&mut self, requirement: Prepared) -> bool {
        match self.entry.verdict_on(&requirement) {
            Verdict::Denied => {
                self.mark.deny(&requirement);
                return false;
            }
            Verdict::Allowed => self.mark.pass(),
            Verdict::Partial => self.mark.pass_pending(),
        }
        self.mark.add_layer_requirement(&requirement);
        self.required = Some(match self.required.take() {
            None => requirement,
            Some(earlier) => earlier.and(&requirement),
        });
        true
    }

    /// Returns whether the caller meets this requirement for some rows or fields at least. It requires nothing.
    #[cfg(feature = "mcp")]
    pub(crate) fn meets(&self, requirement: &Requirement) -> bool {
        self.principal().verdict(requirement) != Verdict::Denied
    }

    /// Applies the requirement of a call in the body, and returns whether the request may go on. The route takes the
    /// decision if it is partial: the head of its response may leave before.
    #[cfg(feature = "mcp")]
    pub(crate) fn require_call(&mut self, requirement: Arc<Requirement>) -> bool {
        let met = self.check(Prepared::Shared(requirement));
        if met {
            self.mark.take_decision();
        }
        met
    }

    /// Makes a rejection of this request an answer of JSON-RPC to the request with this id, which is JSON.
    #[cfg(feature = "mcp")]
    pub(crate) fn answer_to(&self, id: String) {
        self.mark.answer_to(id.into());
    }

    /// Returns the requirements so far, each with its decision.
    fn decisions(&self) -> Vec<(Requirement, Decision)> {
        let decide = |requirement: Requirement| {
            let decision = self.decide(&requirement);
            (requirement, decision)
        };
        self.requirements().into_iter().map(decide).collect()
    }

    /// Returns the requirements of layers and of the handler so far.
    fn requirements(&self) -> Vec<Requirement> {
        self.required.as_deref().cloned().into_iter().chain(self.mark.required()).collect()
    }

    /// Checks again whether this caller would be admitted and meets the requirements so far: before work that takes
    /// long, or that cannot be undone. It costs a look-up in memory unless something has changed.
    ///
    /// The body of a request is checked like this at its end, without a call.
    ///
    /// # Errors
    /// [`NoLongerValid`] if the token was revoked or regenerated, has expired, its owner was deactivated, or the
    /// permission was taken away. The client gets 401, 403, or 503 if the store does not answer, whatever the handler
    /// returns.
    pub async fn revalidate(&self) -> Result<(), NoLongerValid> {
        if self.entry.digest().is_none() || still_valid(&self.entry) {
            return Ok(());
        }
        judge_again(&self.entry, &self.requirements()).await.map(drop).map_err(|reason| {
            self.mark.invalidate(reason);
            NoLongerValid(reason)
        })
    }

    /// Waits until this caller would no longer be admitted: revoked, expired, owner deactivated, the requirement of the
    /// route no longer met, or this node unable to check. For long responses: streams, server-sent events, sockets.
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
            let Some(resolver) = entry.resolver() else { return };
            let mut changes = resolver.freshness.changes();
            let now = resolver.clock.moment();
            // The first entry is the one to compare with: all that it allowed has to stay allowed.
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

/// Sleeps at most a minute, so that the caller reads the clock again: tokio's clock may stop while the machine is
/// suspended.
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

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Forbidden {
    /// Returns an empty 403, which the gate replaces by the rejection.
    fn into_response(self) -> axum::response::Response {
        http::StatusCode::FORBIDDEN.into_response()
    }
}
