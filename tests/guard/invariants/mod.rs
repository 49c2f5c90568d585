//! The invariants that the gate keeps, one module each; `docs/invariants.md` lists all of them by name.

mod bounded_staleness;
mod expiry;
mod explanations;
mod known_secrets;
mod made_up_tokens;
mod never_more_than_owner;
mod no_secret_leaks;
mod nothing_unguarded;
mod overload;
mod own_failure;
mod rejected_alike;
mod revocation;
pub mod shim;
#[cfg(feature = "full")]
mod shown_once;
mod single_flight;
mod streams;
mod token_kinds;
mod uncertain_commit;
#[cfg(feature = "full")]
mod valid_at_commit;
mod warm_up;
