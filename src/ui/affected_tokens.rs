//! Which tokens stop working, or work again, with somebody's account.

use super::failure::Failure;
use super::frame::Viewer;
use super::state::Pages;
use crate::domain::{OwnerId, TokenKind};
use crate::store::{Page, Paging, TokenQuery};

/// No dialog names more.
const NAMED: u32 = 10;

/// The admin tokens of somebody that have not expired.
#[derive(Default)]
pub(super) struct Affected {
    pub(super) total: u64,
    /// Some of their names; none where the viewer may not see them.
    pub(super) names: Vec<String>,
    /// How many have no name here.
    pub(super) more: u64,
}

impl Affected {
    pub(super) async fn of(pages: &Pages, viewer: &Viewer, owner: OwnerId) -> Result<Self, Failure> {
        if !viewer.is_super_admin() && viewer.id != owner {
            // Of others' tokens people learn how many there are.
            let counted = pages.owners.clone().acting_as(&viewer.actor).tokens_of(&[owner]).await?;
            let total = counted.first().map_or(0, |(_, count)| *count);
            return Ok(Self { total, names: Vec::new(), more: total });
        }
        let query = TokenQuery {
            paging: Paging { page: 1, page_size: NAMED },
            owner: Some(owner),
            unexpired_at: Some(pages.now()),
            ..TokenQuery::of(TokenKind::Admin)
        };
        let Page { items, total } = pages.tokens.clone().acting_as(&viewer.actor).list(&query).await?;
        let names: Vec<String> = items.into_iter().map(|described| described.token.name).collect();
        Ok(Self { total, more: total.saturating_sub(names.len() as u64), names })
    }
}
