//! Taking over what a reference has: its roles, people and tokens, with the keys that clients have already.
//!
//! 1. Read all of it, of one moment. Open its sealed keys, and see by them that encryption key and salt are right.
//! 2. In one transaction: roles, then owners, then tokens. What came before is left alone, whatever became of it here or there.
//! 3. Each grant is held against the ceiling that its owner has *here*. What I1 does not allow does not come, and is named.

mod apply;
mod grants;
mod keys;
mod report;
#[cfg(test)]
mod tests;
mod tokens;

pub use report::{Counts, Outcome, Report, ReportEntry};

use super::ServiceError;
use super::write::UnitOfWork;
use crate::domain::{Secret, StrapiEncryptionKey, StrapiHashKey, TokenKind, TokenKinds, is_hidden};
use crate::keyward::Keyward;
use crate::store::StoreError;
use crate::store::strapi::{Foreign, StrapiStore};
use apply::Carrier;
use futures_util::future::BoxFuture;
use keys::Keys;

/// How to take over.
///
/// ```
/// use keyward::strapi::{Import, StrapiEncryptionKey};
/// let import = Import::default().encryption_key(StrapiEncryptionKey::new("what the reference was configured with")).dry_run();
/// ```
#[derive(Clone, Debug)]
pub struct Import {
    source: String,
    encryption_key: Option<StrapiEncryptionKey>,
    dry_run: bool,
}

impl Default for Import {
    /// All of it, from a source that is called `strapi`, without keys that can be shown again.
    fn default() -> Self {
        Self { source: "strapi".to_owned(), encryption_key: None, dry_run: false }
    }
}

impl Import {
    /// What the source is called here. What came before is known by it: two references need two names, and one always the same.
    #[must_use]
    pub fn source(mut self, name: impl Into<String>) -> Self {
        self.source = name.into();
        self
    }

    /// Opens the keys that the reference has sealed, so that their owners can see them here too, and checks the salt by them.
    #[must_use]
    pub fn encryption_key(mut self, key: StrapiEncryptionKey) -> Self {
        self.encryption_key = Some(key);
        self
    }

    /// Only tells what would come, by all the rules. Nothing is changed or remembered.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    fn name(&self) -> Result<&str, ImportError> {
        let name = self.source.as_str();
        let good = (1..=64).contains(&name.chars().count()) && name.trim() == name;
        if good && !name.chars().any(is_hidden) { Ok(name) } else { Err(ImportError::Source) }
    }
}

/// Nothing was taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The installation would accept none of the tokens that come.
    #[error(
        "no salt of the reference: pass its API_TOKEN_SALT with `.reference_salt(..)`, or no token that comes opens anything"
    )]
    NoReferenceSalt,
    /// The name of the source is none.
    #[error(
        "the name of a source has 1 to 64 characters, without control, invisible or direction-changing characters, and without white space around it"
    )]
    Source,
    /// Of so many sealed keys none opens.
    #[error(
        "none of the {0} sealed keys opens with this encryption key: check that it is the reference's ENCRYPTION_KEY"
    )]
    EncryptionKey(usize),
    /// Of so many keys none is that of its token.
    #[error(
        "{0} sealed keys open, and none has the digest of its token: check that the salt is the reference's API_TOKEN_SALT"
    )]
    HashKey(usize),
    /// The reference's database cannot be read.
    #[error("the reference's database cannot be read")]
    Unread(#[source] StoreError),
    /// The installation did not take it.
    #[error("nothing was taken over")]
    Refused(#[from] ServiceError),
}

/// Takes over the roles, people and tokens of a reference, in one transaction. Their clients keep their keys.
///
/// - **Roles** come with their permissions; the super admin role is the one that is here. A name that is taken gets a suffix.
/// - **Owners** come with their names, state, roles and password (its bcrypt hash is replaced when they next sign in). Who has an
///   account here already, by the e-mail address, is left with all their tokens: they would be given to whoever made it.
/// - **Tokens** come with digest, expiry and last use; with their secret sealed again, if the old
///   [encryption key](Import::encryption_key) is given and the installation has one of its own. A grant that its owner does not
///   hold does not come, and one that is held under conditions comes under them ([`Outcome::TakenAway`], [`Outcome::Narrowed`]).
/// - **Not**: invitations and links to set a password, sessions, and what nobody here understands or has registered.
///
/// Again, it takes what is new there and leaves alone what came before: what was changed, revoked or deleted here stays so. Where
/// nothing is new, nothing is written at all.
///
/// # Errors
/// If the installation has no salt of the reference, the salt or the encryption key is wrong, or a store cannot do it. Then nothing
/// was taken over.
///
/// ```no_run
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// use keyward::strapi::{self, Import, StrapiEncryptionKey, StrapiStore};
/// use keyward::token::{EncryptionKeys, HashKeyRing, StrapiHashKey};
/// use keyward::{Keyward, SqliteStore};
///
/// let keyward = Keyward::builder(SqliteStore::open("keyward.db").await?)
///     .hash_key(HashKeyRing::parse(&std::env::var("KEYWARD_HASH_KEY")?)?)
///     .encryption(EncryptionKeys::parse(&std::env::var("KEYWARD_ENCRYPTION_KEY")?)?)
///     .strapi_hash_key(StrapiHashKey::new(&std::env::var("API_TOKEN_SALT")?)?)
///     .admin("/admin")
///     .content("/api")
///     .build()?;
/// let reference = StrapiStore::open("sqlite:/srv/cms/.tmp/data.db").await?;
/// let import = Import::default().encryption_key(StrapiEncryptionKey::new(&std::env::var("ENCRYPTION_KEY")?));
/// println!("{}", strapi::import(&keyward, &reference, &import.clone().dry_run()).await?);
/// println!("{}", strapi::import(&keyward, &reference, &import).await?);
/// # Ok(()) }
/// ```
pub async fn import(keyward: &Keyward, source: &StrapiStore, import: &Import) -> Result<Report, ImportError> {
    possible(keyward, import)?;
    let foreign = source.everything().await.map_err(ImportError::Unread)?;
    take_over(keyward, foreign, import).await
}

/// Whether this is the salt of a reference, as far as the keys tell that it has sealed: nothing else in its database does.
///
/// # Errors
/// [`EncryptionKey`](ImportError::EncryptionKey), [`HashKey`](ImportError::HashKey), or the database cannot be read. Where nothing is sealed,
/// nothing is known, and that is none.
pub async fn check_salt(
    source: &StrapiStore,
    hash_key: &StrapiHashKey,
    key: &StrapiEncryptionKey,
) -> Result<(), ImportError> {
    let foreign = source.everything().await.map_err(ImportError::Unread)?;
    Keys::open(&foreign.tokens, Some(key), |secret| Some(hash_key.digest(secret.expose().as_bytes()))).map(drop)
}

fn possible(keyward: &Keyward, import: &Import) -> Result<(), ImportError> {
    import.name()?;
    if keyward.change().writer.format.has_strapi() { Ok(()) } else { Err(ImportError::NoReferenceSalt) }
}

async fn take_over(keyward: &Keyward, foreign: Foreign, import: &Import) -> Result<Report, ImportError> {
    possible(keyward, import)?;
    let change = keyward.change().issuing_nothing();
    let format = &change.writer.format;
    let digest = |secret: &Secret| {
        format.verify(secret.expose(), TokenKinds::of(&TokenKind::ALL)).ok().map(|credential| credential.digest)
    };
    let keys = Keys::open(&foreign.tokens, import.encryption_key.as_ref(), digest)?;
    let source = import.source.clone();
    let dry_run = import.dry_run;
    let work: Work = Box::new(move |draft| {
        Box::pin(async move { Carrier::new(draft, source, dry_run).await?.everything(foreign, keys).await })
    });
    let report = if dry_run { change.rehearse(work).await } else { change.make(work).await };
    Ok(report?)
}

type Work = Box<dyn for<'d> FnOnce(&'d mut UnitOfWork) -> BoxFuture<'d, Result<Report, ServiceError>> + Send>;
