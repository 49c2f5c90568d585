//! Sessions: signing in and out.

use super::account::address;
use super::actor::{Grantor, ResolvedActor};
use super::password::{Password, is_old};
use super::tokens::{IssuedToken, record};
use super::write::{ServiceContext, UnitOfWork};
use super::{ServiceError, for_whom, optimistic};
use crate::domain::{
    Actor, AuditAction, AuditTarget, Issued, Owner, OwnerId, PasswordHash, Role, Tag, Timestamp, Token, TokenAuthority,
    TokenId, TokenKind,
};
use crate::store::{Paging, TokenQuery, TokenSort, View};
use serde_json::json;

pub use super::me::ProfileUpdate;
pub use super::register::{FirstAdmin, Registration};

/// Signs people in and out, and lets them change their own account. Made by [`Keyward::sessions`](crate::Keyward::sessions).
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::admin::{FirstAdmin, Password};
/// use keyward::{HashKey, Keyward, MemoryStore};
/// # let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").build()?;
/// let code = keyward.sessions().setup_code().await?.expect("nobody is here yet");
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

for_whom!(Sessions);
optimistic!(Sessions, "one's own account");

/// Somebody who has just signed in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedIn {
    /// Who.
    pub owner: Owner,
    /// What they are.
    pub roles: Vec<Role>,
    /// Their session, with the secret to hand over.
    pub session: IssuedToken,
}

impl UnitOfWork {
    /// All that is told of whoever signs in: afterwards the store may not be there to be asked.
    pub(super) async fn signed_in(&mut self, owner: Owner, session: IssuedToken) -> Result<SignedIn, ServiceError> {
        let roles = roles_of(&mut *self.tx, &owner).await?;
        Ok(SignedIn { owner, roles, session })
    }

    /// Opens a session. Why it may be opened is remembered by whoever calls this.
    pub(super) async fn open(&mut self, owner: OwnerId, issued: Issued) -> Result<IssuedToken, ServiceError> {
        self.end_oldest_sessions(owner).await?;
        let writer = self.writer.clone();
        let policy = &writer.settings.policy;
        let authority = TokenAuthority::Session { owner, idle: policy.session_idle };
        // Sessions have no names; what is known of the device is their description.
        let device = self.device.to_string();
        let (new, secret) = record(issued, String::new(), device, Some(policy.session_lifespan), authority);
        let digest = new.digest;
        let id = self.tx.insert_token(new).await?;
        let token = self.tx.token(id).await?.ok_or(ServiceError::NotFound("token"))?;
        self.touch(Tag::token(&digest));
        Ok(IssuedToken::alone(token, secret))
    }
}

impl Sessions {
    fn map(self, f: impl FnOnce(ServiceContext) -> ServiceContext) -> Self {
        Self(f(self.0))
    }

    /// The same from a device of this name, for the list of a person's sessions. It is what the client says of itself.
    #[must_use]
    pub fn on_device(self, name: &str) -> Self {
        self.map(|change| change.on_device(name))
    }

    /// Signs somebody in.
    ///
    /// Whether there is such an account, whether it is active, and whether it has this password: nobody learns which of them is
    /// not so, neither by the answer nor by how long it takes.
    ///
    /// An account that has signed in from a network lately (30 days, by this process) has a queue of its own there, and only its failures from there
    /// count: five in five minutes. Guesses from elsewhere lock no owner out of where they work. Elsewhere the account's and the network's failures
    /// count too, fifty each. While many networks guess at once, a first sign-in from a new place may be answered
    /// [`Busy`](ServiceError::Busy).
    ///
    /// With the feature `strapi`, a password that came with an import is verified by its bcrypt hash, which is then replaced by
    /// one of argon2id. A sign-in that fails then takes one hash of each kind, whichever the account has.
    ///
    /// An account has five guesses in five minutes at each network (an IPv4 address, or a /64 of IPv6). Where it did not sign in
    /// within the last 30 days, it also shares 50 guesses with all such networks, and the network 50 with all accounts. Where it
    /// did, guesses by others elsewhere take none of its own, and its password is checked before those of strangers.
    ///
    /// # Errors
    /// [`WrongCredentials`](ServiceError::WrongCredentials); [`TooManyAttempts`](ServiceError::TooManyAttempts), before the password is
    /// even looked at; [`Busy`](ServiceError::Busy).
    pub async fn sign_in(&self, email: &str, password: &Password) -> Result<SignedIn, ServiceError> {
        no_token(self.0.origin.actor)?;
        let people = &self.0.writer.people;
        let mut reserved = people.throttle.reserve(email, self.0.origin.address).map_err(|wait| {
            self.0.note_failure(None);
            ServiceError::TooManyAttempts(wait)
        })?;
        let lane = reserved.lane();
        let checked = async {
            // Before the store is read: a request that is told to come again costs no read.
            let place = people.hasher.place(lane)?;
            let candidate = self.candidate(email).await?;
            let hash = candidate.as_ref().map(|(_, hash)| hash);
            let turn = people.hasher.turn(place).await?;
            reserved.checks();
            let right = people.hasher.verify(turn, password, hash).await?;
            Ok(candidate.filter(|_| right))
        };
        let (id, verified) = match checked.await {
            Ok(Some(candidate)) => candidate,
            Ok(None) => {
                self.0.note_failure(Some(email));
                return Err(ServiceError::WrongCredentials);
            }
            Err(error) => {
                // Nobody has learnt anything of the password.
                reserved.give_back();
                return Err(error);
            }
        };
        reserved.succeeded();
        match self.begin(id, password, verified.clone()).await {
            // Of those who come at the same moment with a hash of another system one replaces it; the others look at the new one.
            Err(ServiceError::WrongCredentials) if is_old(&verified.0) => match self.candidate(email).await? {
                Some((same, hash)) if same == id => {
                    let turn = people.hasher.turn(people.hasher.place(lane)?).await?;
                    match people.hasher.verify(turn, password, Some(&hash)).await? {
                        true => self.begin(id, password, hash).await,
                        false => Err(ServiceError::WrongCredentials),
                    }
                }
                _ => Err(ServiceError::WrongCredentials),
            },
            signed_in => signed_in,
        }
    }

    /// Opens a session for somebody whose password was verified by this hash, if all that still holds.
    async fn begin(&self, id: OwnerId, password: &Password, verified: PasswordHash) -> Result<SignedIn, ServiceError> {
        let renewed = self.renewed(password, &verified).await;
        let issued = self.0.issue(TokenKind::Session)?;
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    // Hashing took its time: what it proved must still hold.
                    let owner = draft.tx.owner(id).await?.filter(|o| o.state.is_active());
                    let owner = owner.ok_or(ServiceError::WrongCredentials)?;
                    if draft.tx.password(id).await?.as_ref() != Some(&verified) {
                        return Err(ServiceError::WrongCredentials);
                    }
                    draft.origin.actor = Actor::Person(id);
                    let session = draft.open(id, issued).await?;
                    let target = AuditTarget::Token(session.token.id, TokenKind::Session);
                    let mut details = json!({"owner": id});
                    if let Some(hash) = &renewed {
                        // The password is the same: that is no event of its own.
                        draft.tx.set_password(id, hash).await?;
                        details["passwordHash"] = json!("renewed");
                    }
                    draft.audit(AuditAction::SignedIn, target, details).await?;
                    draft.signed_in(owner, session).await
                })
            })
            .await
    }

    /// A hash of ours for a password that was just verified by one that came from elsewhere. If it cannot be made now, the next
    /// sign-in does.
    async fn renewed(&self, password: &Password, verified: &PasswordHash) -> Option<PasswordHash> {
        if !is_old(&verified.0) {
            return None;
        }
        let writer = &self.0.writer;
        writer.people.hasher.hash(password, &*writer.entropy).await.ok()
    }

    /// Returns the owner who may sign in with this address, and the password that it takes.
    async fn candidate(&self, email: &str) -> Result<Option<(OwnerId, PasswordHash)>, ServiceError> {
        // Invalid addresses are looked up too, so that timing is equal.
        let email = address("email", email).unwrap_or_default();
        Ok(self.0.store().sign_in_candidate(&email).await?)
    }

    /// Ends the session that somebody has signed in with. It has to be their own.
    ///
    /// # Errors
    /// If there is no such session of theirs, or nobody is signed in.
    pub async fn sign_out(&self, id: TokenId) -> Result<Token, ServiceError> {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let owner = person(draft.actor().await?)?.id;
                    let token = draft.tx.token(id).await?.filter(|t| is_session_of(t, owner));
                    let token = token.ok_or(ServiceError::NotFound("session"))?;
                    draft.tx.delete_token(id).await?;
                    draft.touch(crate::domain::Tag::token(&token.digest));
                    draft
                        .audit(
                            AuditAction::SignedOut,
                            AuditTarget::Token(id, TokenKind::Session),
                            json!({"owner": owner}),
                        )
                        .await?;
                    Ok(token)
                })
            })
            .await
    }

    /// Ends another session of whoever asks.
    ///
    /// # Errors
    /// If there is no such session of theirs, or nobody is signed in.
    pub async fn revoke(&self, id: TokenId) -> Result<Token, ServiceError> {
        self.sign_out(id).await
    }

    /// Ends every session of the person who acts, but for the one to keep, and answers with those that ended.
    ///
    /// # Errors
    /// [`Forbidden`](ServiceError::Forbidden) if no person is signed in.
    pub async fn sign_out_everywhere(&self, keep: Option<TokenId>) -> Result<Vec<Token>, ServiceError> {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let owner = person(draft.actor().await?)?.id;
                    let now = draft.tx.now();
                    let mut sessions = draft.tx.tokens(&unexpired(owner, now)).await?.items;
                    sessions.retain(|session| Some(session.id) != keep && lives(session, now));
                    if sessions.is_empty() {
                        draft.nothing_to_do();
                    }
                    for session in &sessions {
                        draft.tx.delete_token(session.id).await?;
                        draft.touch(crate::domain::Tag::token(&session.digest));
                        let target = AuditTarget::Token(session.id, TokenKind::Session);
                        draft.audit(AuditAction::SignedOut, target, json!({"owner": owner})).await?;
                    }
                    Ok(sessions)
                })
            })
            .await
    }

    /// The sessions of the person who acts that have not ended, the oldest first; a thousand at most.
    ///
    /// # Errors
    /// If nobody is signed in.
    pub async fn list(&self) -> Result<Vec<Token>, ServiceError> {
        let mut view = self.0.view().await?;
        let owner = person(self.0.actor(&mut view).await?)?.id;
        let now = view.now();
        let mut sessions = view.tokens(&unexpired(owner, now)).await?.items;
        sessions.retain(|s| lives(s, now));
        Ok(sessions)
    }
}

/// The sessions of a person that have not expired, the oldest first. A person has fewer than a page holds.
fn unexpired(owner: OwnerId, now: Timestamp) -> TokenQuery {
    TokenQuery {
        paging: Paging { page: 1, page_size: Paging::LARGEST },
        owner: Some(owner),
        unexpired_at: Some(now),
        sort: TokenSort::Id,
        ..TokenQuery::of(TokenKind::Session)
    }
}

/// Who is signed in: a person, and no token of theirs.
pub(super) fn person(actor: ResolvedActor) -> Result<Owner, ServiceError> {
    match actor {
        ResolvedActor::Person(Grantor { owner: Some(owner), .. }) => Ok(owner),
        ResolvedActor::Token(_) => Err(ServiceError::Forbidden("a token is nobody's session")),
        _ => Err(ServiceError::Forbidden("sign in first")),
    }
}

/// Whoever has a token has no business here.
pub(super) fn no_token(actor: Actor) -> Result<(), ServiceError> {
    match actor {
        Actor::Token(_) => Err(ServiceError::Forbidden("a token opens no session")),
        _ => Ok(()),
    }
}

fn is_session_of(token: &Token, owner: OwnerId) -> bool {
    token.kind() == TokenKind::Session && token.owner() == Some(owner)
}

fn lives(session: &Token, now: Timestamp) -> bool {
    let TokenAuthority::Session { idle, .. } = session.authority else { return false };
    let used = session.last_used_at.unwrap_or(session.created_at);
    session.expires_at.is_none_or(|end| now < end) && now < used.plus(idle)
}

/// Whether there is no account yet.
pub(super) async fn nobody(view: &mut dyn View) -> Result<bool, ServiceError> {
    Ok(!view.has_owners().await?)
}

/// The roles that somebody has.
pub(super) async fn roles_of(view: &mut dyn View, owner: &Owner) -> Result<Vec<Role>, ServiceError> {
    let mut roles = Vec::with_capacity(owner.roles.len());
    for id in &owner.roles {
        roles.extend(view.role(*id).await?);
    }
    Ok(roles)
}
