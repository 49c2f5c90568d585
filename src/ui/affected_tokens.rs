//! The admin tokens that a change of an account affects.

use super::failure::Failure;
use super::viewer::Viewer;
use crate::domain::{OwnerId, Timestamp, TokenKind};
use crate::store::{Page, Paging, TokenQuery};

/// The largest number of names in a dialog.
const MOST_NAMES: u32 = 10;

/// The admin tokens of an account that have not expired.
#[derive(Default)]
pub(super) struct AffectedTokens {
    pub(super) total: u64,
    /// The first names; empty if the viewer may not see them.
    pub(super) names: Vec<String>,
    /// The number of tokens without a name here.
    pub(super) more: u64,
}

impl AffectedTokens {
    pub(super) async fn load(viewer: &Viewer, owner: OwnerId, now: Timestamp) -> Result<Self, Failure> {
        if !viewer.is_super_admin() && viewer.id != owner {
            // Only super admins and the owner see more than the number.
            let counts = viewer.owners().tokens_of(&[owner]).await?;
            let total = counts.first().map_or(0, |(_, count)| *count);
            return Ok(Self { total, names: Vec::new(), more: total });
        }
        let query = TokenQuery {
            paging: Paging { page: 1, page_size: MOST_NAMES },
            owner: Some(owner),
            unexpired_at: Some(now),
            ..TokenQuery::of(TokenKind::Admin)
        };
        let Page { items, total } = viewer.tokens(TokenKind::Admin).list(&query).await?;
        let names: Vec<String> = items.into_iter().map(|described| described.token.name).collect();
        Ok(Self { total, more: total.saturating_sub(names.len() as u64), names })
    }
}
