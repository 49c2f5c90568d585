//! The explain service: why a request is admitted or rejected.

use super::ServiceError;
use super::actor::{Grantor, ResolvedActor};
use super::context::ServiceContext;
use crate::domain::{
    Actor, AdmittedActor, Ceiling, Explanation, FieldName, Question, QuestionCredential, Requirement, Token, TokenId,
    TokenKind, TokenKinds,
};
use crate::keyward::Keyward;
use http::Method;
use http::uri::PathAndQuery;
use std::net::IpAddr;

/// The explain service: the decision on a request that was not sent, step by step. Returned by
/// [`Keyward::explain`].
///
/// The functions that judge requests also judge the question, by the token as the store has it now. Nothing changes: no use is
/// noted, and nothing is cached. The requirements of a router are known once it was [guarded](crate::guard::Guard::guard). Pass
/// those of other services behind the gate by [`requiring`](Self::requiring).
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::admin::StepName;
/// use keyward::{Grant, GuardedRouter, HashKey, Keyward, MemoryStore, NewAdminToken, NewOwner, action};
/// let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").build()?;
/// let routes = GuardedRouter::new().get("/admin/orders", action("orders.read"), || async { "[]" });
/// let app = keyward.guard(routes);
/// let ada = keyward.owners().create(NewOwner::new("ada@example.test")).await?;
/// let token = keyward.tokens().issue_admin(NewAdminToken::new("deploy", ada.id)).await?.token;
///
/// let why = keyward.explain().token(token.id, &http::Method::GET, "/admin/orders").await?;
/// assert_eq!((why.status, why.reason), (Some(403), Some("forbidden")));
/// let step = why.failed_step().unwrap();
/// assert_eq!((step.name, step.text.as_str()), (StepName::Grant, "The token has no grant for orders.read."));
/// # let _ = app;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "it asks nothing before `token` or `secret` is called"]
pub struct Explain {
    keyward: Keyward,
    context: ServiceContext,
    requirement: Option<Requirement>,
    client: Option<IpAddr>,
}

impl Explain {
    pub(super) fn new(keyward: Keyward, context: ServiceContext) -> Self {
        Self { keyward, context, requirement: None, client: None }
    }

    /// Returns the service for this actor. A person may ask about their own tokens and those of owners whom they manage, a super
    /// admin about all tokens, and a token about itself.
    pub fn acting_as(self, actor: impl Into<AdmittedActor>) -> Self {
        Self { context: self.context.acting_as(actor.into()), ..self }
    }

    /// Adds a requirement to that of the route. For services whose requirements the gate does not know, and for requirements of
    /// handlers.
    pub fn requiring(self, requirement: impl Into<Requirement>) -> Self {
        Self { requirement: Some(requirement.into()), ..self }
    }

    /// Sets the client's address of the request. Without it, the networks of a token are not judged:
    /// their step is unknown.
    pub fn from_client(self, address: IpAddr) -> Self {
        Self { client: Some(address), ..self }
    }

    /// Explains a request with the token of this id. The path is written as a client sends it, with or without a query.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if there is no such token, or the actor may not see it;
    /// - [`Forbidden`](ServiceError::Forbidden) if the actor is not signed in;
    /// - [`Invalid`](ServiceError::Invalid) if no client can send such a path.
    pub async fn token(&self, id: TokenId, method: &Method, path: &str) -> Result<Explanation, ServiceError> {
        let path = parse_path(path)?;
        let token = self.load_visible(id, self.sees_all().await?).await?;
        let credential = QuestionCredential::Token(token.digest, token.kind());
        Ok(self.ask(credential, method, &path).await)
    }

    /// Explains a request with this secret as its credential. The secret is neither logged nor repeated.
    ///
    /// Super admins and the host program also get an explanation of a secret that no token has.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if no token has this secret, or the actor may not see the token;
    /// - [`Forbidden`](ServiceError::Forbidden) if the actor is not signed in;
    /// - [`Invalid`](ServiceError::Invalid) if no client can send such a path.
    pub async fn secret(&self, secret: &str, method: &Method, path: &str) -> Result<Explanation, ServiceError> {
        let path = parse_path(path)?;
        self.check_secret(secret).await?;
        Ok(self.ask(QuestionCredential::Secret(secret), method, &path).await)
    }

    async fn ask(&self, credential: QuestionCredential<'_>, method: &Method, path: &PathAndQuery) -> Explanation {
        let question = Question { credential, requirement: self.requirement.as_ref() };
        self.keyward.explain_request(method, path, self.client, question).await
    }

    /// Returns whether the actor is the host program or a super admin.
    async fn sees_all(&self) -> Result<bool, ServiceError> {
        if self.context.origin.actor == Actor::Service {
            return Ok(true);
        }
        let mut view = self.context.view().await?;
        match self.context.actor(&mut *view).await? {
            ResolvedActor::Program | ResolvedActor::Person(Grantor { ceiling: Ceiling::Unlimited, .. }) => Ok(true),
            ResolvedActor::Person(_) | ResolvedActor::Token(_) => Ok(false),
            ResolvedActor::Visitor => Err(ServiceError::Forbidden("sign in first")),
        }
    }

    /// Checks that the actor may know the token of this secret.
    async fn check_secret(&self, secret: &str) -> Result<(), ServiceError> {
        if self.sees_all().await? {
            return Ok(());
        }
        // A made-up secret is not looked up.
        let verified = self.context.state.format.verify(secret, TokenKinds::of(&TokenKind::ALL));
        let digest = verified.map_err(|_| ServiceError::NotFound("token"))?.digest;
        let record = self.context.view().await?.record(&digest).await?.ok_or(ServiceError::NotFound("token"))?;
        self.load_visible(record.token.id, false).await.map(drop)
    }

    /// Loads a token by the rules of the tokens service, and two more: only actors who see all tokens see a content token, and a
    /// token sees only itself. The reason is that an explanation names permissions of the owner.
    async fn load_visible(&self, id: TokenId, sees_all: bool) -> Result<Token, ServiceError> {
        let actor = self.context.origin.actor;
        let is_other = |token: &Token| matches!(actor, Actor::Token(own) if own != token.id);
        let token = self.keyward.tokens().acting_as(actor).read(id).await?.token;
        let hidden = !sees_all && (token.kind() == TokenKind::Content || is_other(&token));
        if hidden { Err(ServiceError::NotFound("token")) } else { Ok(token) }
    }
}

/// Parses a path in the form in which servers get it.
fn parse_path(path: &str) -> Result<PathAndQuery, ServiceError> {
    let parsed = PathAndQuery::try_from(path).ok().filter(|path| path.as_str().starts_with('/'));
    parsed.ok_or_else(|| ServiceError::invalid(FieldName::Path, "must be a path as a client sends it: begin with `/`"))
}
