//! Requests of an attacker, byte by byte, and connections to send them on.

mod attempts;
pub mod cases;
pub mod framing;
pub mod http2;
pub mod wire;

pub use attempts::{Outer, try_all, try_framings};
