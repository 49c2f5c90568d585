//! Accounts of the host as owners of tokens: the application keeps its users, and keyward asks it about them.
//!
//! The application implements [`Accounts`] and passes it to [`Builder::accounts`](crate::Builder::accounts). A token then
//! belongs to an [`AccountKey`]. At each look-up keyward asks for the [`Account`]: its state and its ceiling. A token is never
//! stronger than its account, and dead while the account is suspended or missing. [`AccountReports`] makes changes
//! take effect at once. The [guide](crate::guide::your_users) has the whole picture.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use crate::admin::AccountReportsWithin;
pub use crate::admin::{AccountReports, Sweep, SweepProgress, TokenOwner};
pub use crate::domain::{Account, AccountKey, AccountKind, CeilingPolicy, InvalidAccountKey};
pub use crate::resolve::{Accounts, AccountsError};
