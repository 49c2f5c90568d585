//! How to work with keyward, page by page.

#[cfg(feature = "postgres")]
#[doc = include_str!("many_nodes.md")]
pub mod many_nodes {}

#[cfg(feature = "strapi")]
#[doc = include_str!("migrating.md")]
pub mod migrating {}
