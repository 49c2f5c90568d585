//! One module for each law of the design that holds of the gate. Each fails when its law is broken.

mod i01_never_more_than_the_owner;
mod i02_kinds;
mod i03_next_request;
mod i04_within_the_bound;
mod i08_nothing_secret_shows;
mod i09_alike;
mod i10_nobody_unguarded;
mod i11_made_up_tokens;
mod i12_one_read;
mod i13_our_own_failure;
#[cfg(feature = "full")]
mod i13_shown_once;
mod i17_expiry;
#[cfg(feature = "full")]
mod i20_valid_at_commit;
mod overload;
mod shim;
mod unsure;
