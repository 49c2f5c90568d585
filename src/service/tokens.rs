//! Tokens: issued for a subset of what their owner may do, and revoked.

use super::ServiceError;
use super::error::named;
use super::write::{Change, Draft};
use crate::domain::{
    ContentAccess, Grant, Issued, Kind, OwnerId, Secret, Tag, Target, Token, TokenAuthority, TokenId, What, When,
};
use crate::store::NewToken;
use serde_json::json;
use std::time::Duration;

/// Issues and revokes tokens. Made by [`Keyward::tokens`](crate::Keyward::tokens).
#[derive(Clone, Debug)]
pub struct Tokens(pub(super) Change);

/// How long a token lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifespan {
    /// This long.
    Of(Duration),
    /// For ever.
    Unlimited,
}

impl Lifespan {
    /// This many days.
    pub const fn days(days: u32) -> Self {
        Self::Of(Duration::from_secs(days as u64 * 24 * 60 * 60))
    }

    fn limit(self) -> Option<Duration> {
        match self {
            Self::Of(span) => Some(span),
            Self::Unlimited => None,
        }
    }
}

/// An admin token to be.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// Unique among admin and content tokens.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Whom it belongs to, for ever.
    pub owner: OwnerId,
    /// What it carries: a subset of what the owner may do.
    pub grants: Vec<Grant>,
    /// How long it lives.
    pub lifespan: Lifespan,
}

/// A content token to be.
#[derive(Clone, Debug)]
pub struct ContentToken {
    /// Unique among admin and content tokens.
    pub name: String,
    /// Free text.
    pub description: String,
    /// What it may do.
    pub access: ContentAccess,
    /// How long it lives.
    pub lifespan: Lifespan,
}

/// A session to be.
#[derive(Clone, Debug)]
pub struct SessionToken {
    /// Who signed in.
    pub owner: OwnerId,
    /// It ends when it was not used for this long, to the minute: use is noted once a minute. At least two minutes.
    pub idle: Duration,
    /// It ends after this long in any case.
    pub lifespan: Duration,
}

/// A token that was issued just now, with its secret: the only time that anybody sees it.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The record.
    pub token: Token,
    /// What to hand over.
    pub secret: Secret,
}

impl Tokens {
    /// Issues an admin token.
    ///
    /// # Errors
    /// If the name is empty or taken, the lifespan is under a second, the owner does not exist or is not active, a grant lies beyond
    /// what they may do, or conditions were chosen that are not registered or for an owner who is no super admin.
    pub async fn issue_admin(&self, new: AdminToken) -> Result<IssuedToken, ServiceError> {
        let name = named("name", &new.name)?;
        lives(new.lifespan)?;
        new.grants.iter().enumerate().try_for_each(|(i, g)| self.0.known(&format!("grants.{i}"), &g.chosen))?;
        let issued = self.0.issue(Kind::Admin)?;
        self.insert(issued, move |draft, digest_of| {
            Box::pin(async move {
                free(draft, &name).await?;
                active(draft, new.owner).await?;
                within(draft, new.owner, &new.grants).await?;
                let authority = TokenAuthority::Admin { owner: new.owner, grants: new.grants };
                Ok(record(digest_of, name, new.description, new.lifespan.limit(), authority))
            })
        })
        .await
    }

    /// Issues a content token.
    ///
    /// # Errors
    /// If the name is empty or taken, or the custom list is empty.
    pub async fn issue_content(&self, new: ContentToken) -> Result<IssuedToken, ServiceError> {
        let name = named("name", &new.name)?;
        lives(new.lifespan)?;
        if matches!(&new.access, ContentAccess::Custom(actions) if actions.is_empty()) {
            return Err(ServiceError::invalid("access", "a custom token names at least one action"));
        }
        let issued = self.0.issue(Kind::Content)?;
        self.insert(issued, move |draft, digest_of| {
            Box::pin(async move {
                free(draft, &name).await?;
                let authority = TokenAuthority::Content { access: new.access };
                Ok(record(digest_of, name, new.description, new.lifespan.limit(), authority))
            })
        })
        .await
    }

    /// Opens a session for an owner. Whoever calls this has made sure that it is them.
    ///
    /// # Errors
    /// If the owner does not exist or is not active, or the idle time is under two minutes.
    pub async fn open_session(&self, new: SessionToken) -> Result<IssuedToken, ServiceError> {
        if new.idle < Duration::from_secs(120) {
            return Err(ServiceError::invalid("idle", "must be at least two minutes"));
        }
        let issued = self.0.issue(Kind::Session)?;
        self.insert(issued, move |draft, digest_of| {
            Box::pin(async move {
                active(draft, new.owner).await?;
                let authority = TokenAuthority::Session { owner: new.owner, idle: new.idle };
                Ok(record(digest_of, String::new(), String::new(), Some(new.lifespan), authority))
            })
        })
        .await
    }

    /// Revokes a token. The next request with it is refused.
    ///
    /// # Errors
    /// If there is no such token.
    pub async fn revoke(&self, id: TokenId) -> Result<Token, ServiceError> {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let token = draft.tx.token(id).await?.ok_or(ServiceError::NotFound("token"))?;
                    draft.tx.delete_token(id).await?;
                    draft.touch(Tag::token(&token.digest));
                    let details = json!({"name": token.name, "owner": token.owner()});
                    draft.audit(What::TokenRevoked, Target::Token(id, token.kind()), details).await?;
                    Ok(token)
                })
            })
            .await
    }

    async fn insert<F>(&self, issued: Issued, check: F) -> Result<IssuedToken, ServiceError>
    where
        F: for<'d> FnOnce(&'d mut Draft, Issued) -> Checked<'d> + Send + 'static,
    {
        self.0
            .make(move |draft| {
                Box::pin(async move {
                    let (new, secret) = check(draft, issued).await?;
                    let details = json!({"name": new.name, "grants": new.grants().len()});
                    let digest = new.digest;
                    let id = draft.tx.insert_token(new).await?;
                    let token = draft.tx.token(id).await?.ok_or(ServiceError::NotFound("token"))?;
                    draft.touch(Tag::token(&digest));
                    draft.audit(What::TokenIssued, Target::Token(id, token.kind()), details).await?;
                    Ok(IssuedToken { token, secret })
                })
            })
            .await
    }
}

type Checked<'d> = futures_util::future::BoxFuture<'d, Result<(NewToken, Secret), ServiceError>>;

fn record(
    issued: Issued,
    name: String,
    description: String,
    lifespan: Option<Duration>,
    authority: TokenAuthority,
) -> (NewToken, Secret) {
    let Issued { secret, digest, salt } = issued;
    let hint = secret.hint().to_owned();
    (NewToken { name, description, digest, salt, hint, lifespan, authority }, secret)
}

fn lives(lifespan: Lifespan) -> Result<(), ServiceError> {
    match lifespan {
        Lifespan::Of(span) if span < Duration::from_secs(1) => {
            Err(ServiceError::invalid("lifespan", "must be at least a second"))
        }
        _ => Ok(()),
    }
}

async fn free(draft: &mut Draft, name: &str) -> Result<(), ServiceError> {
    match draft.tx.token_name_taken(name).await? {
        true => Err(ServiceError::invalid("name", "Name already taken")),
        false => Ok(()),
    }
}

async fn active(draft: &mut Draft, owner: OwnerId) -> Result<(), ServiceError> {
    let owner = draft.tx.owner(owner).await?.ok_or(ServiceError::NotFound("owner"))?;
    if owner.state.is_active() { Ok(()) } else { Err(ServiceError::OwnerInactive) }
}

async fn within(draft: &mut Draft, owner: OwnerId, grants: &[Grant]) -> Result<(), ServiceError> {
    let ceiling = draft.tx.ceiling(owner).await?;
    for (i, grant) in grants.iter().enumerate() {
        let path = || format!("grants.{i}");
        ceiling.check(grant).map_err(|beyond| ServiceError::invalid(path(), beyond.to_string()))?;
        if grant.chosen != When::Always && ceiling != crate::domain::Ceiling::Unlimited {
            return Err(ServiceError::invalid(path(), "conditions are inherited from the owner's roles, not chosen"));
        }
    }
    Ok(())
}
