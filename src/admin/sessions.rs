//! The sessions service: signing in and out.

use super::ServiceError;
use super::actor::{Grantor, ResolvedActor};
use super::context::{ServiceContext, actor_methods, version_methods};
use super::password::{Password, is_bcrypt};
use super::profile::{checked_email, load_roles_of};
use super::tokens::IssuedToken;
use super::unit_of_work::UnitOfWork;
use crate::domain::{
    Actor, NewSecret, Owner, OwnerId, PasswordHash, Role, Timestamp, Token, TokenAuthority, TokenId, TokenKind,
};
use crate::store::{Paging, TokenQuery, TokenSort};

pub use super::own_account::ProfileUpdate;
pub use super::registration::{FirstAdmin, Registration};

/// The sessions service: signs people in and out, and changes their own accounts. Returned by
/// [`Keyward::sessions`](crate::Keyward::sessions).
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::admin::{FirstAdmin, Password};
/// use keyward::{HashKey, Keyward, MemoryStore};
/// # let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").build()?;
/// let code = keyward.sessions().setup_code().await?.expect("there is no account yet");
/// println!("register with {}", code.expose());
///
/// let ada = FirstAdmin {
///     email: "ada@example.test".into(),
///     firstname: "Ada".into(),
///     lastname: String::new(),
///     username: None,
///     password: Password::new("Passw0rd!"),
/// };
/// keyward.sessions().register_first(ada, Some(code.expose())).await?;
/// let signed_in = keyward.sessions().sign_in("ada@example.test", &Password::new("Passw0rd!")).await?;
/// assert_eq!(signed_in.owner.firstname, "Ada");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Sessions(pub(super) ServiceContext);

actor_methods!(Sessions);
version_methods!(Sessions, "one's own account");

/// A person who has just signed in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedIn {
    /// The person's account.
    pub owner: Owner,
    /// The roles of the account.
    pub roles: Vec<Role>,
    /// The session, with the secret to hand over.
    pub session: IssuedToken,
}

impl SignedIn {
    /// Loads the roles in the transaction that opened the session: afterwards the store may be unavailable.
    pub(super) async fn load(
        unit: &mut UnitOfWork<'_>,
        owner: Owner,
        session: IssuedToken,
    ) -> Result<Self, ServiceError> {
        let roles = load_roles_of(unit.view(), &owner).await?;
        Ok(Self { owner, roles, session })
    }
}

impl Sessions {
    fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self(f(self.0))
    }

    /// Returns the service for a device of this name, which the list of a person's sessions shows. It is the client's own claim.
    #[must_use]
    pub fn on_device(self, name: &str) -> Self {
        self.map(|context| context.on_device(name))
    }

    /// Signs a person in.
    ///
    /// An unknown account, an inactive account and a wrong password are answered alike, and take the same time.
    ///
    /// An account has five guesses in five minutes at each network (an IPv4 address, or a /64 of IPv6). Where it did not sign in
    /// within the last 30 days, it also shares 50 guesses with all such networks, and the network 50 with all accounts. Where it did,
    /// guesses from elsewhere do not count, and its password is checked in a queue of its own. While many networks guess at once, a
    /// first sign-in from a new network may be answered [`Busy`](ServiceError::Busy).
    ///
    /// With the feature `strapi`, an imported password is verified by its bcrypt hash, which is then replaced by one of argon2id. A
    /// sign-in that fails then takes one hash of each kind, whichever the account has.
    ///
    /// # Errors
    /// - [`WrongCredentials`](ServiceError::WrongCredentials);
    /// - [`TooManyAttempts`](ServiceError::TooManyAttempts), before the password is checked;
    /// - [`Busy`](ServiceError::Busy).
    pub async fn sign_in(&self, email: &str, password: &Password) -> Result<SignedIn, ServiceError> {
        reject_tokens(self.0.origin.actor)?;
        let sign_in = &self.0.state.sign_in;
        let mut guess = sign_in.throttle.reserve(email, self.0.origin.address).map_err(|wait| {
            self.0.note_failed_sign_in(None);
            ServiceError::TooManyAttempts(wait)
        })?;
        let lane = guess.lane();
        let checked = async {
            // Before the store is read: a request that is answered `Busy` costs no read.
            let place = sign_in.hasher.place(lane)?;
            let candidate = self.load_candidate(email).await?;
            let hash = candidate.as_ref().map(|(_, hash)| hash);
            let turn = sign_in.hasher.turn(place).await?;
            guess.begin_check();
            let is_right = sign_in.hasher.verify(turn, password, hash).await?;
            Ok(candidate.filter(|_| is_right))
        };
        let (id, verified) = match checked.await {
            Ok(Some(candidate)) => candidate,
            Ok(None) => {
                self.0.note_failed_sign_in(Some(email));
                return Err(ServiceError::WrongCredentials);
            }
            Err(error) => {
                // The client has learnt nothing about the password.
                guess.refund();
                return Err(error);
            }
        };
        guess.succeed();
        match self.open_session(id, password, verified.clone()).await {
            // One of several simultaneous sign-ins has replaced the bcrypt hash: the others verify the new one.
            Err(ServiceError::WrongCredentials) if is_bcrypt(&verified.0) => match self.load_candidate(email).await? {
                Some((same, hash)) if same == id => {
                    let turn = sign_in.hasher.turn(sign_in.hasher.place(lane)?).await?;
                    match sign_in.hasher.verify(turn, password, Some(&hash)).await? {
                        true => self.open_session(id, password, hash).await,
                        false => Err(ServiceError::WrongCredentials),
                    }
                }
                _ => Err(ServiceError::WrongCredentials),
            },
            signed_in => signed_in,
        }
    }

    /// Opens a session for an owner whose password was verified by this hash, if both still hold.
    async fn open_session(
        &self,
        id: OwnerId,
        password: &Password,
        verified: PasswordHash,
    ) -> Result<SignedIn, ServiceError> {
        let rehashed = self.rehash(password, &verified).await;
        let issued = self.0.issue(TokenKind::Session)?;
        self.0.transact(move |unit| Box::pin(sign_in(unit, id, verified, rehashed, issued))).await
    }

    /// Hashes a password with argon2id that was just verified by a bcrypt hash. On failure the next sign-in tries again.
    async fn rehash(&self, password: &Password, verified: &PasswordHash) -> Option<PasswordHash> {
        if !is_bcrypt(&verified.0) {
            return None;
        }
        let state = &self.0.state;
        state.sign_in.hasher.hash(password, &*state.entropy).await.ok()
    }

    /// Loads the owner who may sign in with this address, and the password hash.
    async fn load_candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, ServiceError> {
        // Invalid addresses are looked up too, so that the timing is equal.
        let email = checked_email(email).unwrap_or_default();
        Ok(self.0.store().sign_in_candidate(&email).await?)
    }

    /// Ends a session of the person who acts.
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if the person has no such session;
    /// - [`Forbidden`](ServiceError::Forbidden) if no person is signed in.
    pub async fn sign_out(&self, id: TokenId) -> Result<Token, ServiceError> {
        self.0.transact(move |unit| Box::pin(sign_out(unit, id))).await
    }

    /// Ends another session of the person who acts.
    ///
    /// # Errors
    /// As for [`sign_out`](Self::sign_out).
    pub async fn revoke(&self, id: TokenId) -> Result<Token, ServiceError> {
        self.sign_out(id).await
    }

    /// Ends every session of the person who acts, except the one to keep. Returns those that ended.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) if no person is signed in.
    pub async fn sign_out_everywhere(&self, keep: Option<TokenId>) -> Result<Vec<Token>, ServiceError> {
        self.0.transact(move |unit| Box::pin(sign_out_everywhere(unit, keep))).await
    }

    /// Lists the live sessions of the person who acts, the oldest first; a thousand at most.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) if no person is signed in.
    pub async fn list(&self) -> Result<Vec<Token>, ServiceError> {
        let mut view = self.0.view().await?;
        let owner = person(self.0.actor(&mut *view).await?)?.id;
        let now = view.now();
        let mut sessions = view.tokens(&unexpired_sessions(owner, now)).await?.items;
        sessions.retain(|session| is_live(session, now));
        Ok(sessions)
    }
}

async fn sign_in(
    unit: &mut UnitOfWork<'_>,
    id: OwnerId,
    verified: PasswordHash,
    rehashed: Option<PasswordHash>,
    issued: NewSecret,
) -> Result<SignedIn, ServiceError> {
    // The account may have changed while the password was hashed.
    let owner = unit.view().owner(id).await?.filter(|o| o.state.is_active());
    let owner = owner.ok_or(ServiceError::WrongCredentials)?;
    if unit.view().password(id).await?.as_ref() != Some(&verified) {
        return Err(ServiceError::WrongCredentials);
    }
    let session = unit.sign_in(id, issued, rehashed.as_ref()).await?;
    SignedIn::load(unit, owner, session).await
}

async fn sign_out(unit: &mut UnitOfWork<'_>, id: TokenId) -> Result<Token, ServiceError> {
    let owner = person(unit.actor().await?)?.id;
    let session = unit.view().token(id).await?.filter(|t| is_session_of(t, owner));
    let session = session.ok_or(ServiceError::NotFound("session"))?;
    unit.sign_out(&session, owner).await?;
    Ok(session)
}

async fn sign_out_everywhere(unit: &mut UnitOfWork<'_>, keep: Option<TokenId>) -> Result<Vec<Token>, ServiceError> {
    let owner = person(unit.actor().await?)?.id;
    let now = unit.now();
    let mut sessions = unit.view().tokens(&unexpired_sessions(owner, now)).await?.items;
    sessions.retain(|session| Some(session.id) != keep && is_live(session, now));
    if sessions.is_empty() {
        unit.skip_commit();
    }
    for session in &sessions {
        unit.sign_out(session, owner).await?;
    }
    Ok(sessions)
}

/// Asks for a person's sessions that have not expired, the oldest first. A person has fewer than a page holds.
fn unexpired_sessions(owner: OwnerId, now: Timestamp) -> TokenQuery {
    TokenQuery {
        paging: Paging { page: 1, page_size: Paging::LARGEST },
        owner: Some(owner),
        unexpired_at: Some(now),
        sort: TokenSort::Id,
        ..TokenQuery::of(TokenKind::Session)
    }
}

/// Returns the signed-in person.
///
/// # Errors
/// [`ServiceError::Forbidden`] if the actor is not a person.
pub(super) fn person(actor: ResolvedActor) -> Result<Owner, ServiceError> {
    match actor {
        ResolvedActor::Person(Grantor { owner: Some(owner), .. }) => Ok(owner),
        ResolvedActor::Token(_) => Err(ServiceError::Forbidden("a token is not a session: sign in")),
        _ => Err(ServiceError::Forbidden("sign in first")),
    }
}

/// Rejects tokens as actors: they neither sign in nor register.
pub(super) fn reject_tokens(actor: Actor) -> Result<(), ServiceError> {
    match actor {
        Actor::Token(_) => Err(ServiceError::Forbidden("a token opens no session")),
        _ => Ok(()),
    }
}

fn is_session_of(token: &Token, owner: OwnerId) -> bool {
    token.kind() == TokenKind::Session && token.owner() == Some(owner)
}

fn is_live(session: &Token, now: Timestamp) -> bool {
    let TokenAuthority::Session { idle, .. } = session.authority else { return false };
    let used = session.last_used_at.unwrap_or(session.created_at);
    session.expires_at.is_none_or(|end| now < end) && now < used.plus(idle)
}
