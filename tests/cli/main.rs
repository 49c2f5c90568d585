//! The program `keyward`: its session in the guide, its output, its errors, and its changes beside a running server.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside_a_server;
mod completions;
mod errors;
mod guide;
mod import_csv;
mod life;
mod records;
mod secrets;
mod set_up;
mod tool;
