//! Imports the roles, people and tokens of Strapi. Clients keep their secrets.
//!
//! 1. Everything is read from one snapshot. The sealed keys are opened, which checks the encryption key and the hash key.
//! 2. One transaction imports roles, then owners, then tokens. Records of an earlier import are left alone, whatever became of them.
//! 3. Each grant is checked against the ceiling that its owner has *here*. One that it does not cover (never-more-than-owner) is not
//!    imported, and is reported.

mod apply;
mod grants;
mod keys;
mod report;
#[cfg(test)]
mod tests;
mod tokens;

pub use report::{Counts, Outcome, Report, ReportEntry};

use super::ServiceError;
use super::unit_of_work::UnitOfWork;
use crate::domain::{Secret, StrapiEncryptionKey, StrapiHashKey, TokenKind, TokenKinds, is_hidden};
use crate::keyward::Keyward;
use crate::store::StoreError;
use crate::store::strapi::{StrapiData, StrapiStore};
use apply::Importer;
use futures_util::future::BoxFuture;
use keys::Keys;

/// The options of an import.
///
/// ```
/// use keyward::strapi::{Import, StrapiEncryptionKey};
/// let import = Import::default().encryption_key(StrapiEncryptionKey::new("the encryption key of Strapi")).dry_run();
/// ```
#[derive(Clone, Debug)]
pub struct Import {
    source: String,
    encryption_key: Option<StrapiEncryptionKey>,
    dry_run: bool,
}

impl Default for Import {
    /// Imports everything from a source with the name `strapi`, without secrets that can be viewed again.
    fn default() -> Self {
        Self { source: "strapi".to_owned(), encryption_key: None, dry_run: false }
    }
}

impl Import {
    /// Sets the name of the source. Records of earlier imports are recognised by it: each Strapi needs a name of its own, always the same.
    #[must_use]
    pub fn source(mut self, name: impl Into<String>) -> Self {
        self.source = name.into();
        self
    }

    /// Opens the keys that Strapi has sealed, so that their owners can view them here too, and checks the hash key by them.
    #[must_use]
    pub fn encryption_key(mut self, key: StrapiEncryptionKey) -> Self {
        self.encryption_key = Some(key);
        self
    }

    /// Makes the import a dry run: it applies all rules and reports the result, but changes nothing.
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

/// An import that failed. Nothing was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The installation has no hash key of Strapi, and would accept none of the imported tokens.
    #[error(
        "no salt of Strapi: pass its API_TOKEN_SALT with `.strapi_hash_key(..)`, or every imported token is rejected"
    )]
    NoStrapiHashKey,
    /// The name of the source is invalid.
    #[error(
        "the name of a source has 1 to 64 characters, without control, invisible or direction-changing characters, and without white space around it"
    )]
    Source,
    /// None of this many sealed keys opens.
    #[error("none of the {0} sealed keys opens with this encryption key: check that it is Strapi's ENCRYPTION_KEY")]
    EncryptionKey(usize),
    /// None of this many keys has the digest of its token.
    #[error(
        "{0} sealed keys open, and none has the digest of its token: check that the salt is Strapi's API_TOKEN_SALT"
    )]
    HashKey(usize),
    /// Strapi's database cannot be read.
    #[error("Strapi's database cannot be read")]
    Unread(#[source] StoreError),
    /// The installation rejected the import.
    #[error("nothing was imported")]
    Refused(#[from] ServiceError),
}

/// Imports the roles, people and tokens of Strapi, in one transaction. Their clients keep their secrets.
///
/// - **Roles** come with their permissions; the super admin role is the one that exists here. A taken name gets a suffix.
/// - **Owners** come with their names, state, roles and password (the next sign-in replaces its bcrypt hash). An owner whose e-mail address
///   has an account here is left out with all tokens: they would go to the person who made that account.
/// - **Tokens** come with digest, expiry and last use; with their secret sealed again, if the old
///   [encryption key](Import::encryption_key) is given and the installation has one of its own. A grant that its owner does not hold is
///   left out, and one that the owner holds under conditions comes under them ([`Outcome::TakenAway`], [`Outcome::Narrowed`]).
/// - **Left out** are invitations and links to set a password, sessions, and anything that is not understood or not registered here.
///
/// A second import brings new records and leaves those of the first alone: a record that was changed, revoked or deleted here stays so
/// (clamped-stays-clamped). If nothing is new, nothing is written.
///
/// # Errors
/// [`ImportError`]; then nothing was imported.
///
/// ```no_run
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// use keyward::strapi::{self, Import, StrapiEncryptionKey, StrapiStore};
/// use keyward::token::{EncryptionKeys, HashKeyRing, StrapiHashKey};
/// use keyward::{Keyward, SqliteStore};
///
/// let keyward = Keyward::builder(SqliteStore::open("keyward.db").await?)
///     .hash_key(HashKeyRing::parse(&std::env::var("KEYWARD_HASH_KEY")?)?)
///     .encryption(EncryptionKeys::from_env("KEYWARD_ENCRYPTION_KEY")?)
///     .strapi_hash_key(StrapiHashKey::new(&std::env::var("API_TOKEN_SALT")?)?)
///     .admin("/admin")
///     .content("/api")
///     .build()?;
/// let source = StrapiStore::open("sqlite:/srv/cms/.tmp/data.db").await?;
/// let import = Import::default().encryption_key(StrapiEncryptionKey::new(&std::env::var("ENCRYPTION_KEY")?));
/// println!("{}", strapi::import(&keyward, &source, &import.clone().dry_run()).await?);
/// println!("{}", strapi::import(&keyward, &source, &import).await?);
/// # Ok(()) }
/// ```
pub async fn import(keyward: &Keyward, source: &StrapiStore, import: &Import) -> Result<Report, ImportError> {
    check(keyward, import)?;
    let data = source.read_all().await.map_err(ImportError::Unread)?;
    import_data(keyward, data, import).await
}

/// Checks Strapi's hash key by the keys that Strapi has sealed. If none is sealed, nothing is checked.
///
/// # Errors
/// [`EncryptionKey`](ImportError::EncryptionKey), [`HashKey`](ImportError::HashKey), or [`Unread`](ImportError::Unread).
pub async fn check_hash_key(
    source: &StrapiStore,
    hash_key: &StrapiHashKey,
    key: &StrapiEncryptionKey,
) -> Result<(), ImportError> {
    let data = source.read_all().await.map_err(ImportError::Unread)?;
    Keys::open(&data.tokens, Some(key), |secret| Some(hash_key.digest(secret.expose().as_bytes()))).map(drop)
}

fn check(keyward: &Keyward, import: &Import) -> Result<(), ImportError> {
    import.name()?;
    if keyward.context().state.format.has_strapi() { Ok(()) } else { Err(ImportError::NoStrapiHashKey) }
}

async fn import_data(keyward: &Keyward, data: StrapiData, import: &Import) -> Result<Report, ImportError> {
    check(keyward, import)?;
    let context = keyward.context().without_issuing();
    let format = &context.state.format;
    let digest = |secret: &Secret| {
        format.verify(secret.expose(), TokenKinds::of(&TokenKind::ALL)).ok().map(|credential| credential.digest)
    };
    let keys = Keys::open(&data.tokens, import.encryption_key.as_ref(), digest)?;
    let source = import.source.clone();
    let dry_run = import.dry_run;
    let work: Work = Box::new(move |unit| {
        Box::pin(async move { Importer::new(unit, source, dry_run).await?.import_all(data, keys).await })
    });
    let report = if dry_run { context.dry_run(work).await } else { context.transact(work).await };
    Ok(report?)
}

type Work = Box<dyn for<'u> FnOnce(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<Report, ServiceError>> + Send>;
