//! Strapi's own database as a store, on both engines, and the import from it.

mod contract;
mod import;
mod last_use;
mod opening;
mod rules;
mod setup;
mod verdicts;
