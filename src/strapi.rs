//! Beside a Strapi 5 that is running: honouring the tokens that it has issued, and taking them over.

pub use crate::store::strapi::{NotUnderstood, StrapiOptions, StrapiStore};
