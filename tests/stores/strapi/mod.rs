//! Beside the reference: its own database as a store, on both engines.

mod import;
mod last_use;
mod opening;
mod rules;
mod setup;
mod verdicts;
