//! The revocation of many tokens in one change.

use super::UnitOfWork;
use crate::admin::ServiceError;
use crate::domain::{OwnerId, Tag, TokenId};
use crate::store::SelectedToken;
use std::collections::BTreeSet;

/// The most tags of a change. Every node reads them from the log, and with some more nearly all slots of its clock rise anyway.
const MOST_TAGS: usize = 10_000;

impl UnitOfWork<'_> {
    /// Revokes these tokens. The store adds an event for each, which has the selection in words.
    ///
    /// Everything else of their owners is loaded again too: whatever a token brought to a cache goes with it.
    pub(in crate::admin) async fn revoke_selected(
        &mut self,
        selected: &[SelectedToken],
        selection: &str,
    ) -> Result<(), ServiceError> {
        let (ids, origin): (Vec<TokenId>, _) = (selected.iter().map(|token| token.id).collect(), self.origin.clone());
        self.tx.revoke_tokens(&ids, &origin, selection).await?;
        let owners: BTreeSet<OwnerId> = selected.iter().filter_map(|token| token.owner).collect();
        match selected.len() + owners.len() > MOST_TAGS {
            true => self.invalidate(Tag::ALL),
            false => {
                let tags = selected
                    .iter()
                    .flat_map(|token| [Some(token.tag), token.previous])
                    .flatten()
                    .chain(owners.into_iter().map(Tag::owner));
                tags.for_each(|tag| self.invalidate(tag));
            }
        }
        Ok(())
    }
}
