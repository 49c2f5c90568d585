//! The state of an installation, for health checks and metrics.

pub use crate::resolve::{Health, SyncMode};
