//! Imports tokens, with the secrets that clients have and within the permissions of their owners here.

use super::apply::{Importer, RecordKind, TEXT_LENGTH};
use super::keys::Keys;
use super::report::Outcome;
use crate::admin::ServiceError;
use crate::admin::unit_of_work::ImportKey;
use crate::domain::{Ceiling, HashKeyId, OwnerId, TokenAuthority, TokenLimits};
use crate::store::strapi::{StrapiAuthority, StrapiToken};
use crate::store::{NameScope, NewToken, TokenTimes};
use std::collections::HashMap;

impl Importer<'_, '_> {
    pub(super) async fn import_tokens(
        &mut self,
        tokens: Vec<StrapiToken>,
        owners: &HashMap<i64, OwnerId>,
        keys: &Keys,
    ) -> Result<(), ServiceError> {
        let mut ids: Vec<OwnerId> = owners.values().copied().collect();
        ids.sort_unstable();
        let ceilings = self.unit.view().ceilings(&ids).await?;
        let ceilings = ceilings.into_iter().map(|(owner, ceiling)| (owner.id, ceiling)).collect();
        let (mut not_opened, mut not_sealed) = (0, 0);
        for token in tokens {
            if self.is_ambiguous("token", token.id, &token.key) {
                continue;
            }
            if self.tokens_before.contains(&token.key) || self.tokens_before.contains(&token.id.to_string()) {
                match token.authority {
                    StrapiAuthority::Admin { .. } => self.report.before.admin_tokens += 1,
                    StrapiAuthority::Content { .. } => self.report.before.content_tokens += 1,
                }
                continue;
            }
            let (id, is_sealed) = (token.id, token.sealed.is_some());
            if self.import_token(token, owners, &ceilings, keys).await? {
                not_opened += u64::from(is_sealed && keys.not_opened);
                not_sealed += u64::from(keys.secret_of(id).is_some() && self.unit.state.settings.encryption.is_none());
            }
        }
        if not_opened > 0 {
            let why = "no encryption key was given to open them with, and so the salt could not be checked either";
            self.report.add(Outcome::Left, format!("sealed keys of {not_opened} tokens"), why);
        }
        if not_sealed > 0 {
            let why = "this installation has no encryption key to seal them with";
            self.report.add(Outcome::Left, format!("sealed keys of {not_sealed} tokens"), why);
        }
        Ok(())
    }

    /// Imports a token. Returns whether it was imported.
    async fn import_token(
        &mut self,
        token: StrapiToken,
        owners: &HashMap<i64, OwnerId>,
        ceilings: &HashMap<OwnerId, Ceiling>,
        keys: &Keys,
    ) -> Result<bool, ServiceError> {
        let what = format!("token {} {:?}", token.id, token.name);
        if let Some(other) = self.unit.view().record(&token.digest).await?.map(|record| record.token.id) {
            let why = format!("its key opens token {other} here already: it came before");
            self.report.add(Outcome::Left, what, why);
            return Ok(false);
        }
        let owner = match &token.authority {
            StrapiAuthority::Admin { owner, .. } => match owner_here(*owner, owners, ceilings) {
                Ok(owner) => Some(owner),
                Err(why) => {
                    self.report.add(Outcome::Left, what, why);
                    return Ok(false);
                }
            },
            StrapiAuthority::Content { .. } => None,
        };
        self.leave(token.unsupported_rows);
        let name = self.available_name(RecordKind::Token, &what, &token.name).await?;
        let description = self.text(&what, "description", &token.description, TEXT_LENGTH);
        let authority = match (token.authority, owner) {
            (StrapiAuthority::Admin { grants, .. }, Some((owner, ceiling))) => {
                TokenAuthority::Admin { owner, grants: self.covered_grants(&what, grants, ceiling) }
            }
            (StrapiAuthority::Content { access }, _) => {
                TokenAuthority::Content { access: self.registered_access(&what, access) }
            }
            // Unreachable: an admin token without an owner was left above.
            (StrapiAuthority::Admin { .. }, None) => return Ok(false),
        };
        let secret = keys.secret_of(token.id);
        if let Some(why) = keys.useless(token.id) {
            self.report.add(Outcome::Left, format!("sealed key of {what}"), why);
        }
        let new = NewToken {
            name,
            scope: NameScope::Installation,
            description,
            metadata: None,
            digest: token.digest,
            hash_key: HashKeyId::of_strapi(),
            hint: secret.map(|secret| secret.hint().to_owned()).unwrap_or_default(),
            lifespan: token.lifespan,
            authority,
            limits: TokenLimits::none(),
            parent: None,
        };
        let times =
            TokenTimes { created_at: token.created_at, expires_at: token.expires_at, last_used_at: token.last_used_at };
        let counter = match &new.authority {
            TokenAuthority::Admin { .. } => &mut self.report.came.admin_tokens,
            _ => &mut self.report.came.content_tokens,
        };
        *counter += 1;
        let from = ImportKey { source: &self.report.source, key: &token.key };
        let is_sealed = self.unit.import_token(from, new, times, secret).await?;
        self.report.came.keys += u64::from(is_sealed);
        Ok(true)
    }
}

/// Returns the owner of a token here, and the owner's ceiling; or why the token has none.
fn owner_here<'c>(
    owner: Option<i64>,
    owners: &HashMap<i64, OwnerId>,
    ceilings: &'c HashMap<OwnerId, Ceiling>,
) -> Result<(OwnerId, &'c Ceiling), &'static str> {
    let owner = owner.ok_or("its owner is gone, so it opens nothing there either")?;
    let id = *owners.get(&owner).ok_or("its owner did not come")?;
    Ok((id, ceilings.get(&id).ok_or("its owner was deleted here")?))
}
