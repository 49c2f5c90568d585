//! Selections of tokens: a few statements for each batch of them.

use super::view::{OpenTransaction, Writing};
use super::{Row, corrupt, events, lists, rows, statements};
use crate::domain::{AuditAction, AuditOrigin, OwnerId, Tag, Timestamp, TokenId, TokenKind};
use crate::store::{SelectedToken, StoreError, TokenSelection, View};
use sqlx::query;
use std::collections::HashSet;
use std::net::IpAddr;

/// The tokens that one statement notes or deletes. Bounds the length of its list.
const BATCH: usize = 5_000;

impl<C: Send> OpenTransaction<'_, C> {
    pub(super) async fn select(
        &mut self,
        selection: &TokenSelection,
        limit: u32,
    ) -> Result<Vec<SelectedToken>, StoreError> {
        let statement = match selection.owner {
            None => statements::SELECTED_TOKENS,
            Some(_) => statements::SELECTED_TOKENS_OF_OWNER,
        };
        // The database does not know networks.
        let most = if selection.used_from.is_some() { i64::MAX } else { limit.into() };
        let mut tokens = query(statement)
            .bind(selection.kind.map(TokenKind::as_str))
            .bind(selection.role.map(|role| role.0))
            .bind(selection.created_before.map(|at| at.0))
            .bind(selection.used_from.is_some())
            .bind(most);
        if let Some(owner) = selection.owner {
            tokens = tokens.bind(owner.0);
        }
        let (limit, mut selected) = (limit as usize, Vec::new());
        let take = |row: &Row| {
            let is_used_there = match &selection.used_from {
                Some(network) => network.contains(address(row)?),
                None => true,
            };
            if is_used_there && selected.len() < limit {
                selected.push(token(row)?);
            }
            Ok(())
        };
        self.each_row(tokens, take).await?;
        Ok(selected)
    }
}

impl Writing<'_> {
    pub(super) async fn revoke(
        &mut self,
        ids: &[TokenId],
        origin: &AuditOrigin,
        selection: &str,
    ) -> Result<(), StoreError> {
        let (now, what, mut noted) = (self.now(), AuditAction::TokenRevoked, 0);
        let distinct: HashSet<&TokenId> = ids.iter().collect();
        let lists: Vec<String> = ids.chunks(BATCH).map(lists::tokens).collect();
        for list in &lists {
            let insert = events::bind_event(statements::AUDIT_REVOKED_TOKENS, now, origin, what, None);
            noted += self.execute(insert.bind(list.clone()).bind(selection.to_owned())).await?;
        }
        if noted != ids.len() as u64 || distinct.len() != ids.len() {
            return Err(StoreError::Conflict("there is no such token, or one is named twice".into()));
        }
        for list in lists {
            self.execute(query(statements::DELETE_GRANTS_OF_TOKENS).bind(list.clone())).await?;
            self.execute(query(statements::DELETE_TOKENS).bind(list)).await?;
        }
        Ok(())
    }
}

fn token(row: &Row) -> Result<SelectedToken, StoreError> {
    let kind: String = rows::get(row, "kind")?;
    Ok(SelectedToken {
        id: TokenId(rows::get(row, "token_id")?),
        kind: TokenKind::from_word(&kind).ok_or_else(|| corrupt("kind", "no such kind"))?,
        owner: rows::maybe(row, "owner_id")?.map(OwnerId),
        tag: Tag(rows::get::<i64>(row, "tag")?.cast_unsigned()),
        previous: previous(row)?,
        updated_at: Timestamp(rows::get(row, "updated_at")?),
    })
}

/// Reads the address of a token's last use.
fn address(row: &Row) -> Result<IpAddr, StoreError> {
    let address: String = rows::get(row, "address")?;
    address.parse().map_err(|_| corrupt("address", "no IP address"))
}

/// Reads the tag of the secret before the present one.
fn previous(row: &Row) -> Result<Option<Tag>, StoreError> {
    let digest = rows::maybe::<String>(row, "previous")?;
    digest.map(|digest| rows::parse_digest("previous", &digest).map(|digest| Tag::token(&digest))).transpose()
}
