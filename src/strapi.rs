//! Compatibility with a running Strapi 5: accepting the tokens that it issued, and importing its people and tokens.

pub use crate::admin::import::{Counts, Import, ImportError, Outcome, Report, ReportEntry, check_salt, import};
pub use crate::domain::StrapiEncryptionKey;
pub use crate::store::strapi::{NotUnderstood, StrapiOptions, StrapiStore};
