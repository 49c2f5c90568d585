//! The caller of an admitted request, for handlers and layers behind the gate.

use super::mark::Mark;
use super::revalidate::{NoLongerValid, is_still_valid, judge_again, wait_until_revoked};
use super::route_requirement::Prepared;
use crate::domain::{
    AccountKey, Actor, Admission, AdmittedActor, Decision, LogLimit, OwnerId, Principal, Requirement, RoleId, TokenId,
    TokenKind, Verdict,
};
use crate::resolve::Entry;
use crate::sync::StrongArc;
use http::Extensions;
use std::fmt;
use std::sync::Arc;

/// The caller, in the extensions of every request of a protected group.
///
/// Extracting it does not authorize the request: a [`Require`](crate::Require) layer or [`require`](Self::require)
/// does.
#[derive(Clone)]
pub struct AuthContext {
    mark: StrongArc<Mark>,
    /// The caller with its permissions of a later moment, if they have changed.
    current: Option<Arc<Entry>>,
    required: Option<Prepared>,
}

/// The error for a caller who does not meet a requirement. As a response it is a 403, which the gate writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller does not meet the requirement")]
pub struct Forbidden;

impl AuthContext {
    /// Puts the caller of a request into its extensions, for the handlers behind the gate.
    pub(super) fn insert(mark: StrongArc<Mark>, extensions: &mut Extensions) {
        extensions.insert(Self { mark, current: None, required: None });
    }

    #[inline]
    fn entry(&self) -> &Arc<Entry> {
        self.current.as_ref().unwrap_or_else(|| self.mark.entry())
    }

    /// Returns the caller.
    pub fn principal(&self) -> &Principal {
        &self.entry().principal
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

    /// Returns the name of the token, if [names are kept](crate::Builder::caller_names); `None` for sessions and
    /// the public.
    pub fn token_name(&self) -> Option<&str> {
        self.principal().token_name()
    }

    /// Returns the display name of the token's owner, if [names are kept](crate::Builder::caller_names).
    pub fn owner_name(&self) -> Option<&str> {
        self.principal().owner_name()
    }

    /// Returns the token's [metadata](crate::NewAdminToken::metadata), an object; `None` if it has none. A change
    /// of it arrives as soon as a change of the token's grants.
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
        let admission =
            Admission { digest: self.entry().digest()?, client: self.mark.client(), required: self.decisions() };
        Some(AdmittedActor::new(actor, admission, self.tool()))
    }

    /// Returns the digest of the secret that was presented; `None` for the public.
    #[cfg(feature = "api")]
    pub(crate) fn presented(&self) -> Option<crate::domain::Digest> {
        self.entry().digest()
    }

    /// Returns the owner's roles; empty without an owner.
    pub fn roles(&self) -> &[RoleId] {
        self.principal().roles()
    }

    /// Returns the decision on a requirement, without requiring it: see [`require`](Self::require).
    pub fn decide(&self, requirement: &Requirement) -> Decision {
        self.principal().decide(requirement, self.entry().conditions())
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
            self.deny(requirement);
            return Err(Forbidden);
        }
        self.mark.add(Arc::new(requirement.clone()));
        self.mark.pass();
        Ok(decision)
    }

    /// Admits the caller to a part of the request, such as one step of a long response, for every row and field. A failure
    /// does not change the response: tell the client in the form of your protocol.
    ///
    /// From then on [`revoked`](Self::revoked) and [`revalidate`](Self::revalidate) judge the requirement too, on this
    /// context and on its clones. If the caller no longer meets it, the gate ends the event stream of the response, and
    /// the layer of an MCP server ends the running call.
    ///
    /// # Errors
    /// [`Forbidden`] if the caller did not meet the requirement when the request began, or does not meet it now.
    ///
    /// ```
    /// # use keyward::{AuthContext, action, guard::Forbidden};
    /// async fn publish(auth: &AuthContext, work: impl Future<Output = ()>) -> Result<(), Forbidden> {
    ///     auth.admit(&action("article.publish")).await?;
    ///     tokio::select! {
    ///         () = work => Ok(()),
    ///         () = auth.revoked() => Err(Forbidden),
    ///     }
    /// }
    /// ```
    pub async fn admit(&self, requirement: &Requirement) -> Result<(), Forbidden> {
        self.admit_decision(&requirement.clone().whole()).await.map(drop)
    }

    /// Admits the caller as [`admit`](Self::admit) does, for some rows or fields at least, and takes the decision.
    ///
    /// # Errors
    /// [`Forbidden`] if the caller does not meet the requirement at all.
    pub async fn admit_decision(&self, requirement: &Requirement) -> Result<Decision, Forbidden> {
        let decision = self.decide(requirement);
        if decision.verdict() == Verdict::Denied {
            return Err(Forbidden);
        }
        // The request may have begun long ago.
        if !self.entry().is_public && !is_still_valid(self.entry()) {
            judge_again(self.entry(), &self.mark, std::slice::from_ref(requirement)).await.map_err(|_| Forbidden)?;
        }
        self.mark.add(Arc::new(requirement.clone()));
        Ok(decision)
    }

    /// Records that a requirement is not met. After the head of the response it has no effect, so it logs a warning.
    fn deny(&self, requirement: &Requirement) {
        static LINES: LogLimit = LogLimit::new();
        if self.mark.is_answered()
            && let Some(count) = LINES.count_now()
        {
            tracing::warn!(
                count,
                token = self.token().map(|token| token.0),
                %requirement,
                "a requirement is not met after the response has begun: its status has left. Use `admit` there"
            );
        }
        self.mark.deny(requirement);
    }

    /// Takes the decision on the requirement of the route. With several layers, it is what all of them allow.
    ///
    /// A route whose requirement is met for some rows or fields only must take it, or its response is withheld.
    pub fn decision(&self) -> Decision {
        self.mark.take_decision();
        self.required.as_deref().map_or_else(Decision::denied, |required| self.decide(required))
    }

    /// Judges the floor of a group, and returns whether the request may go on. A later judgement includes the floor. It
    /// does not count as a requirement of the route.
    pub(super) fn meets_floor(&self, floor: &Prepared) -> bool {
        let met = self.entry().verdict_on(floor) != Verdict::Denied;
        match met {
            true => self.keep(floor),
            false => self.mark.deny(floor),
        }
        met
    }

    /// Keeps a requirement of a layer for later judgements.
    fn keep(&self, requirement: &Prepared) {
        match requirement {
            Prepared::Numbered(kept) => self.mark.add_numbered(kept.number),
            Prepared::Shared(requirement) => self.mark.add(requirement.clone()),
        }
    }

    /// Applies the requirement of a layer, and returns whether the request may go on.
    #[inline]
    pub(super) fn check(&mut self, requirement: &Prepared) -> bool {
        match self.entry().verdict_on(requirement) {
            Verdict::Denied => {
                self.mark.deny(requirement);
                return false;
            }
            Verdict::Allowed => self.mark.pass(),
            Verdict::Partial => self.mark.pass_pending(),
        }
        match (requirement, &self.required) {
            // The most common case, without a call.
            (Prepared::Numbered(kept), None) => {
                self.mark.add_numbered(kept.number);
                self.required = Some(requirement.clone());
            }
            _ => self.add(requirement.clone()),
        }
        true
    }

    /// Adds a requirement to the decision of the route, and keeps it for later judgements.
    #[inline(never)]
    fn add(&mut self, requirement: Prepared) {
        self.keep(&requirement);
        self.required = Some(match self.required.take() {
            None => requirement,
            Some(earlier) => earlier.and(&requirement),
        });
    }

    /// Returns whether the caller meets this requirement for some rows or fields at least. It requires nothing.
    #[cfg(feature = "mcp")]
    pub(crate) fn meets(&self, requirement: &Requirement) -> bool {
        self.principal().verdict(requirement) != Verdict::Denied
    }

    /// Applies the requirement of a call in the body, and returns whether the request may go on. A partial decision does
    /// not have to be taken: the head of the response may leave before the route takes it. Decisions of layers stay as
    /// they are.
    #[cfg(feature = "mcp")]
    pub(crate) fn require_call(&mut self, requirement: Arc<Requirement>) -> bool {
        let met = self.meets(&requirement);
        match met {
            true => {
                self.mark.pass();
                self.add(Prepared::Shared(requirement));
            }
            false => self.mark.deny(&requirement),
        }
        met
    }

    /// Records the tool that this request calls, for the last use of its token and the audit events of its actor.
    #[cfg(feature = "mcp")]
    pub(crate) fn set_tool(&self, tool: Arc<str>) {
        if let (Some(token), Some(resolver)) = (self.token(), self.entry().resolver()) {
            resolver.usage.note_tool(token, &tool);
        }
        self.mark.set_tool(tool);
    }

    /// Returns the tool of an MCP server that this request calls.
    #[cfg(feature = "mcp")]
    fn tool(&self) -> Option<Arc<str>> {
        self.mark.tool()
    }

    #[cfg(not(feature = "mcp"))]
    fn tool(&self) -> Option<Arc<str>> {
        None
    }

    /// Returns this caller with its current permissions, to judge requirements that were not judged before. It costs a
    /// look-up in memory unless something has changed.
    ///
    /// # Errors
    /// [`NoLongerValid`] if the caller would no longer be admitted, or no longer meets the requirements so far.
    #[cfg(feature = "mcp")]
    pub(crate) async fn current(&self) -> Result<Self, NoLongerValid> {
        if self.entry().is_public || is_still_valid(self.entry()) {
            return Ok(self.clone());
        }
        let entry = judge_again(self.entry(), &self.mark, &self.mark.requirements())
            .await
            .map_err(|loss| loss.record(&self.mark))?;
        Ok(Self { current: Some(entry), ..self.clone() })
    }

    /// Returns the time until the token expires, or until the grace period of its secret ends; `None` if neither does.
    #[cfg(feature = "mcp")]
    pub(crate) fn expires_in(&self) -> Option<std::time::Duration> {
        let resolver = self.entry().resolver()?;
        self.entry().expires_in(resolver.clock.moment())
    }

    /// Sets the id, as JSON, of the JSON-RPC request that a rejection answers.
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
        self.mark.requirements().into_iter().map(decide).collect()
    }

    /// Checks again whether this caller would be admitted and meets the requirements so far. Call it before work that
    /// takes long or cannot be undone. It costs a look-up in memory unless something has changed.
    ///
    /// The gate checks the same for each frame of a request body, and at its end.
    ///
    /// # Errors
    /// [`NoLongerValid`] if the token was revoked or regenerated, has expired, its owner was deactivated, the client
    /// is in none of its networks any more, or the permission was taken away. The client gets 401, 403, or 503 if the store does not answer, whatever the handler
    /// returns.
    pub async fn revalidate(&self) -> Result<(), NoLongerValid> {
        if self.entry().is_public || is_still_valid(self.entry()) {
            return Ok(());
        }
        let judged = judge_again(self.entry(), &self.mark, &self.mark.requirements()).await.map(drop);
        judged.map_err(|loss| loss.record(&self.mark))
    }

    /// Waits until this caller would no longer be admitted. For long responses: streams and sockets.
    ///
    /// It returns when the token is revoked or expires, or its owner is deactivated. It also returns when a requirement of
    /// the route, of the handler or of [`admit`](Self::admit) is no longer met, or when this node can no longer check.
    ///
    /// The gate itself ends [server-sent events](crate::Group::end_streams).
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
        wait_until_revoked(self.entry(), &self.mark).await;
    }
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
