//! `keyward import`: tokens of other systems.

mod csv;
mod strapi;

use crate::context::Context;
use crate::failure::Failure;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum ImportCommand {
    /// Import the roles, people and tokens of a Strapi 5. Clients keep their secrets, people their passwords.
    ///
    /// It copies what is new in Strapi, and prints a report: imported, skipped, and why. Run again, it copies what was added since.
    ///
    /// It takes API_TOKEN_SALT from the environment of Strapi (or KEYWARD_STRAPI_HASH_KEY). With ENCRYPTION_KEY, also of Strapi, a wrong salt is
    /// noticed; and with KEYWARD_ENCRYPTION_KEY owners can then view their secrets here, too.
    Strapi(strapi::Strapi),
    /// Adopt the keys of another system by their SHA-256 digests, all or none.
    ///
    /// From then on each key is the secret of a token, on servers that declare the form of these keys (Builder::legacy_keys).
    ///
    /// The file has a heading and a row for each key, with the columns name, owner (an e-mail address, or the name of a service; empty for
    /// content tokens), kind (admin or content), actions (separated by spaces, as ACTION[@RESOURCE][#FIELD,..]; for content also read-only or
    /// full-access), expiry (a date or time in UTC; empty for none) and sha256 (the digest of the whole key, in hex).
    Csv(csv::Csv),
}

impl ImportCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Strapi(strapi) => strapi.run(context).await,
            Self::Csv(csv) => csv.run(context).await,
        }
    }
}
