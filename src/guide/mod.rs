//! How to work with keyward, page by page.

#[cfg(feature = "postgres")]
#[doc = include_str!("many_nodes.md")]
pub mod many_nodes {}

#[doc = include_str!("known_failures.md")]
pub mod known_failures {}
