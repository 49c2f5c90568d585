//! Which tokens stop working, or work again, with somebody's account.

use super::failure::Failure;
use super::frame::Viewer;
use super::state::Pages;
use crate::domain::{Kind, OwnerId};

/// No dialog names more.
const NAMED: usize = 10;

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
            let counted = pages.owners.clone().by(&viewer.actor).tokens_of(&[owner]).await?;
            let total = counted.first().map_or(0, |(_, count)| *count);
            return Ok(Self { total, names: Vec::new(), more: total });
        }
        let now = pages.now();
        let tokens = pages.tokens.clone().by(&viewer.actor).list_of(owner, Kind::Admin).await?;
        let works = tokens.into_iter().map(|d| d.token).filter(|token| token.expires_at.is_none_or(|at| at > now));
        let mut names: Vec<String> = works.map(|token| token.name).collect();
        let total = names.len();
        names.truncate(NAMED);
        Ok(Self { total: total as u64, more: (total - names.len()) as u64, names })
    }
}
