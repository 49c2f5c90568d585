//! Request bodies of our own routes: how large they may be, how long they may take, how much may be in them, and what they cost.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod lists;
mod site;
mod slow;
mod worst;
