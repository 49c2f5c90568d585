//! The tokens that were used last, page by page.

use super::Record;
use crate::domain::{Timestamp, TokenId};

/// A page of the tokens that were used last, from one snapshot.
#[derive(Debug, Default)]
pub struct RecentTokens {
    /// The sequence of the last change in this snapshot.
    pub seq: u64,
    /// The id of that change; `None` if there was no change yet, or the store has no change log.
    pub op_id: Option<String>,
    /// The tokens with their owners and ceilings, in the order of their ids.
    pub records: Vec<Record>,
    /// The position of the next page; `None` after the last page.
    pub next: Option<RecentPosition>,
}

/// The position of a page among the tokens that were used last.
///
/// Pages follow one another by id, as uses are stored all the time: a token that is used meanwhile keeps its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecentPosition {
    /// The time since which a token must have been used.
    pub since: Timestamp,
    /// The last token of the page before.
    pub after: TokenId,
}
