//! Beside a Strapi 5 that is running: honouring the tokens that it has issued, and taking them over.

pub use crate::admin::import::{Counts, Import, ImportError, Outcome, Report, ReportEntry, check_salt, import};
pub use crate::domain::StrapiEncryptionKey;
pub use crate::store::strapi::{NotUnderstood, StrapiOptions, StrapiStore};
