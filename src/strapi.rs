//! Compatibility with a running Strapi 5: accepting the tokens that it issued, and importing its people and tokens.

pub use crate::admin::import::{Counts, Import, ImportError, Outcome, Report, ReportEntry, check_hash_key, import};
pub use crate::domain::StrapiEncryptionKey;
pub use crate::store::strapi::{StrapiOptions, StrapiStore, UnsupportedRow};
