//! Revokes all tokens of a selection, as it was previewed.

use super::Tokens;
use super::read::{DescribedToken, describe};
use crate::admin::ServiceError;
use crate::admin::actor::ResolvedActor;
use crate::admin::unit_of_work::{UnitOfWork, Work};
use crate::domain::{FieldName, Token, TokenId, TokenKind, TokenKinds};
use crate::resolve::HostAccounts;
use crate::store::{Filter, Paging, SelectedToken, TokenField, TokenQuery, TokenSelection, TokenSort, View};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// The most tokens that one call revokes. Other changes wait meanwhile.
const MOST: u32 = 200_000;
/// The tokens that a preview describes.
const DESCRIBED: usize = 100;

/// What [`Tokens::revoke_all`] would revoke.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RevocationPreview {
    /// The number of tokens.
    pub count: u64,
    /// The first hundred of them, by id.
    pub tokens: Vec<DescribedToken>,
    /// Stands for exactly these tokens: pass it to [`Tokens::revoke_all`].
    pub confirmation: Confirmation,
}

/// A fingerprint of the tokens of a selection, and of the time of each one's last change. It includes no secret and no digest.
///
/// It is written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Confirmation([u8; 16]);

/// A text that is no [`Confirmation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid confirmation: expected 32 hex digits, as a preview returns them")]
pub struct MalformedConfirmation;

/// What the caller of [`Tokens::revoke_all`] expects to revoke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ExpectedTokens {
    /// The tokens of a preview, none changed since.
    Previewed(Confirmation),
    /// This many tokens.
    Count(u64),
}

impl From<Confirmation> for ExpectedTokens {
    fn from(confirmation: Confirmation) -> Self {
        Self::Previewed(confirmation)
    }
}

impl From<&RevocationPreview> for ExpectedTokens {
    fn from(preview: &RevocationPreview) -> Self {
        Self::Previewed(preview.confirmation)
    }
}

impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Confirmation {
    type Err = MalformedConfirmation;

    fn from_str(text: &str) -> Result<Self, MalformedConfirmation> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| MalformedConfirmation)?;
        Ok(Self(bytes))
    }
}

impl Confirmation {
    /// Returns the fingerprint of tokens that are sorted by id.
    fn of(tokens: &[SelectedToken]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"keyward: tokens to revoke");
        for token in tokens {
            hash.update(token.id.0.to_be_bytes());
            hash.update(token.updated_at.0.to_be_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Self(bytes)
    }
}

impl Tokens {
    /// Returns what [`revoke_all`](Self::revoke_all) would revoke now, with the tokens that come from those of the selection. It changes
    /// nothing.
    ///
    /// # Errors
    /// Those of [`revoke_all`](Self::revoke_all), except [`Changed`](ServiceError::Changed); also
    /// [`TooManyAttempts`](ServiceError::TooManyAttempts) if another preview of the same person takes long.
    pub async fn preview_revoke_all(&self, selection: &TokenSelection) -> Result<RevocationPreview, ServiceError> {
        let _turn = self.context.state.previews.turn(self.context.origin.actor).await?;
        let mut view = self.context.view().await?;
        let actor = self.context.actor(&mut *view).await?;
        let accounts = self.context.state.resolver.accounts();
        let selected = select(&mut *view, accounts, actor, self.kinds, selection).await?;
        let first = load(&mut *view, &selected[..selected.len().min(DESCRIBED)]).await?;
        Ok(RevocationPreview {
            count: selected.len() as u64,
            tokens: describe(&mut *view, accounts, first).await?,
            confirmation: Confirmation::of(&selected),
        })
    }

    /// Revokes all tokens of a selection, and returns how many there were. The next request with any of them is rejected.
    ///
    /// It is one change: it revokes all of them or none, with an audit event for each. It revokes what the caller expects, and otherwise
    /// nothing: the tokens of a [preview](Self::preview_revoke_all), or a number of tokens.
    ///
    /// Super admins and the host program revoke the tokens of every owner, sessions included. Other people revoke their own with
    /// [`TokenSelection::owner`], and the admin tokens of an owner that they manage.
    ///
    /// ```
    /// # async fn demo(keyward: keyward::Keyward, owner: keyward::OwnerId) -> Result<(), Box<dyn std::error::Error>> {
    /// use keyward::store::TokenSelection;
    /// let selection = TokenSelection { used_from: Some("203.0.113.0/24".parse()?), ..TokenSelection::of_owner(owner) };
    /// let preview = keyward.tokens().preview_revoke_all(&selection).await?;
    /// println!("{} tokens, among them {:?}", preview.count, preview.tokens.first().map(|first| &first.token.name));
    /// keyward.tokens().revoke_all(&selection, &preview).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Changed`](ServiceError::Changed) if the selection has other tokens than expected: preview it again;
    /// - [`Forbidden`](ServiceError::Forbidden) if the selection is not limited to tokens that the actor may revoke;
    /// - [`Invalid`](ServiceError::Invalid) if the selection names nothing, or has more than 200 000 tokens.
    pub async fn revoke_all(
        &self,
        selection: &TokenSelection,
        expected: impl Into<ExpectedTokens>,
    ) -> Result<u64, ServiceError> {
        self.context.transact(self.revoke_all_work(selection.clone(), expected.into())).await
    }

    fn revoke_all_work(&self, selection: TokenSelection, expected: ExpectedTokens) -> Work<u64> {
        let kinds = self.kinds;
        Box::new(move |unit| Box::pin(async move { revoke_all(unit, kinds, &selection, expected).await }))
    }
}

async fn revoke_all(
    unit: &mut UnitOfWork<'_>,
    kinds: TokenKinds,
    selection: &TokenSelection,
    expected: ExpectedTokens,
) -> Result<u64, ServiceError> {
    let (actor, state) = (unit.actor().await?, unit.state.clone());
    let selected = select(unit.view(), state.resolver.accounts(), actor, kinds, selection).await?;
    let is_expected = match expected {
        ExpectedTokens::Previewed(confirmation) => Confirmation::of(&selected) == confirmation,
        ExpectedTokens::Count(count) => selected.len() as u64 == count,
    };
    if !is_expected {
        return Err(ServiceError::Changed("selection"));
    }
    match selected.is_empty() {
        true => unit.skip_commit(),
        false => unit.revoke_selected(&selected, &selection.to_string()).await?,
    }
    Ok(selected.len() as u64)
}

/// Returns the tokens of a selection, by id, if the actor may revoke all of them.
async fn select(
    view: &mut dyn View,
    accounts: &HostAccounts,
    actor: ResolvedActor,
    kinds: TokenKinds,
    selection: &TokenSelection,
) -> Result<Vec<SelectedToken>, ServiceError> {
    if selection.is_everything() {
        let message = "must name something: a kind, an owner, a role, a time or a network";
        return Err(ServiceError::invalid(FieldName::Selection, message));
    }
    let kinds = kinds_to_revoke(view, accounts, actor, selection).await?.intersection(kinds);
    let mut selected = view.selected_tokens(selection, MOST + 1).await?;
    if selected.len() > MOST as usize {
        let message = format!("has more than {MOST} tokens: select fewer, for example by the time of their creation");
        return Err(ServiceError::invalid(FieldName::Selection, message));
    }
    selected.retain(|token| kinds.contains(token.kind));
    // Those that come from them end with them.
    let ids: Vec<TokenId> = selected.iter().map(|token| token.id).collect();
    let known: HashSet<TokenId> = ids.iter().copied().collect();
    let line = view.descendants(&ids).await?.into_iter().filter(|token| !known.contains(&token.id));
    selected.extend(line.map(|token| SelectedToken::from(&token)));
    selected.sort_unstable_by_key(|token| token.id);
    Ok(selected)
}

/// Returns the kinds of tokens that the actor may revoke in a selection.
async fn kinds_to_revoke(
    view: &mut dyn View,
    accounts: &HostAccounts,
    actor: ResolvedActor,
    selection: &TokenSelection,
) -> Result<TokenKinds, ServiceError> {
    let grantor = actor.grantor()?;
    if grantor.is_program() || grantor.is_super_admin() {
        return Ok(TokenKinds::of(&TokenKind::ALL));
    }
    match selection.owner {
        Some(owner) if grantor.is(owner) => Ok(TokenKinds::ADMIN),
        Some(owner) if grantor.manages(view, accounts, owner).await? => Ok(TokenKinds::of(&[TokenKind::Admin])),
        _ => Err(ServiceError::Forbidden("only super admins revoke the tokens of others: name yourself as the owner")),
    }
}

/// Loads these tokens, in this order.
async fn load(view: &mut dyn View, selected: &[SelectedToken]) -> Result<Vec<Token>, ServiceError> {
    let mut tokens = Vec::with_capacity(selected.len());
    for kind in TokenKind::ALL {
        let ids: Vec<String> = selected.iter().filter(|t| t.kind == kind).map(|t| t.id.to_string()).collect();
        if ids.is_empty() {
            continue;
        }
        let paging = Paging { page: 1, page_size: Paging::LARGEST };
        let filters = vec![Filter::equals(TokenField::Id, ids)];
        let query = TokenQuery { paging, filters, sort: TokenSort::Id, ..TokenQuery::of(kind) };
        tokens.extend(view.tokens(&query).await?.items);
    }
    tokens.sort_unstable_by_key(|token| token.id);
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Tag, Timestamp};

    #[test]
    fn a_confirmation_stands_for_tokens_and_their_last_change() {
        let token = |id, at| SelectedToken {
            id: TokenId(id),
            kind: TokenKind::Admin,
            owner: None,
            tag: Tag(1),
            previous: None,
            updated_at: Timestamp(at),
        };
        let of = |tokens: &[(i64, i64)]| {
            Confirmation::of(&tokens.iter().map(|(id, at)| token(*id, *at)).collect::<Vec<_>>())
        };
        let all = [&[][..], &[(1, 5)], &[(1, 6)], &[(2, 5)], &[(1, 5), (2, 5)], &[(1, 5), (2, 6)], &[(5, 1)]].map(of);
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one), "{i}");
            assert_eq!(one.to_string().parse(), Ok(*one));
        }
        for bad in ["", "00", "zz", &"0".repeat(31), &"0".repeat(34)] {
            assert_eq!(bad.parse::<Confirmation>(), Err(MalformedConfirmation), "{bad}");
        }
    }
}
