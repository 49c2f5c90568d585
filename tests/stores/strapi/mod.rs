//! Beside the reference: its own database as a store, on both engines.

mod fixtures;
mod house;
mod import;
mod opening;
mod rules;
mod uses;
