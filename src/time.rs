//! Clocks and points in time.
//!
//! Expiry is judged by wall-clock time ([`Timestamp`]), freshness by a clock that never goes back ([`MonotonicTime`]).
//! Both come from one [`Clock`], which tests replace.

pub use crate::domain::{Clock, MonotonicTime, SystemClock, Timestamp};
