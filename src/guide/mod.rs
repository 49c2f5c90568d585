//! How to work with keyward, page by page.
//!
//! | page | answers |
//! | --- | --- |
//! | [`concepts`] | What is what? Why is a token never stronger than its owner? |
//! | [`tutorial`] | How do I begin? |
//! | [`configuration`] | What can be set: salts, encryption keys, durations, limits? |
//! | [`guarding`] | How does a route say what it requires? |
//! | [`conditions`] | How do I let somebody see some rows and some fields? |
//! | [`stores`] | Which store, and how do I bring my own? |
//! | [`many_nodes`] | What is promised of several nodes, and what was measured? |
//! | [`migrating`] | How do I come from a Strapi 5, without telling any client? |
//! | [`operating`] | What do I watch, back up, rotate and upgrade? |
//! | [`testing`] | How do I test my service? |
//! | [`known_failures`] | How did comparable systems fail, and why does this not? |

#[doc = include_str!("concepts.md")]
pub mod concepts {}

#[cfg(all(feature = "api", feature = "sqlite", feature = "testing", feature = "ui"))]
#[doc = include_str!("tutorial.md")]
pub mod tutorial {}

#[doc = include_str!("configuration.md")]
pub mod configuration {}

#[cfg(feature = "axum")]
#[doc = include_str!("guarding.md")]
pub mod guarding {}

#[cfg(feature = "axum")]
#[doc = include_str!("conditions.md")]
pub mod conditions {}

#[cfg(feature = "strapi")] // which brings the other two along
#[doc = include_str!("stores.md")]
pub mod stores {}

#[cfg(feature = "postgres")]
#[doc = include_str!("many_nodes.md")]
pub mod many_nodes {}

#[cfg(feature = "strapi")]
#[doc = include_str!("migrating.md")]
pub mod migrating {}

#[cfg(feature = "axum")]
#[doc = include_str!("operating.md")]
pub mod operating {}

#[cfg(feature = "testing")]
#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("known_failures.md")]
pub mod known_failures {}
