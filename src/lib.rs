//! keyward
mod domain;
pub use domain::*;
