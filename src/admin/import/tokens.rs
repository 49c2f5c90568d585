//! Tokens: with the keys that clients have, for no more than their owners may here.

use super::apply::{Carrier, Named, TEXT_LENGTH};
use super::keys::Keys;
use super::report::Outcome;
use crate::admin::{ServiceError, tokens};
use crate::domain::{AuditAction, AuditTarget, Ceiling, HashKeyId, OwnerId, Tag, TokenAuthority, TokenId, TokenKind};
use crate::store::strapi::{ForeignAuthority, ForeignToken};
use crate::store::{Imported, NewToken, TokenTimes};
use serde_json::json;
use std::collections::HashMap;

impl Carrier<'_> {
    pub(super) async fn tokens(
        &mut self,
        tokens: Vec<ForeignToken>,
        owners: &HashMap<i64, OwnerId>,
        keys: &Keys,
    ) -> Result<(), ServiceError> {
        let mut ids: Vec<OwnerId> = owners.values().copied().collect();
        ids.sort_unstable();
        let ceilings = self.draft.tx.ceilings(&ids).await?;
        let ceilings = ceilings.into_iter().map(|(owner, ceiling)| (owner.id, ceiling)).collect();
        let (mut closed, mut unkept) = (0, 0);
        for token in tokens {
            if self.is_ambiguous("token", token.id, &token.key) {
                continue;
            }
            if self.tokens_before.contains(&token.key) || self.tokens_before.contains(&token.id.to_string()) {
                match token.authority {
                    ForeignAuthority::Admin { .. } => self.report.before.admin_tokens += 1,
                    ForeignAuthority::Content { .. } => self.report.before.content_tokens += 1,
                }
                continue;
            }
            let (there, is_sealed) = (token.id, token.sealed.is_some());
            if self.token(token, owners, &ceilings, keys).await? {
                closed += u64::from(is_sealed && keys.left_closed);
                unkept += u64::from(keys.of(there).is_some() && self.draft.writer.settings.encryption.is_none());
            }
        }
        if closed > 0 {
            let why = "no encryption key was given to open them with, and so the salt could not be checked either";
            self.report.add(Outcome::Left, format!("sealed keys of {closed} tokens"), why);
        }
        if unkept > 0 {
            let why = "this installation has no encryption key to seal them with";
            self.report.add(Outcome::Left, format!("sealed keys of {unkept} tokens"), why);
        }
        Ok(())
    }

    /// Whether it came.
    async fn token(
        &mut self,
        token: ForeignToken,
        owners: &HashMap<i64, OwnerId>,
        ceilings: &HashMap<OwnerId, Ceiling>,
        keys: &Keys,
    ) -> Result<bool, ServiceError> {
        let what = format!("token {} {:?}", token.id, token.name);
        if let Some(other) = self.draft.tx.record(&token.digest).await?.map(|record| record.token.id) {
            let why = format!("its key opens token {other} here already: it came before");
            self.report.add(Outcome::Left, what, why);
            return Ok(false);
        }
        let owned = match &token.authority {
            ForeignAuthority::Admin { owner, .. } => match held_by(*owner, owners, ceilings) {
                Ok(owned) => Some(owned),
                Err(why) => {
                    self.report.add(Outcome::Left, what, why);
                    return Ok(false);
                }
            },
            ForeignAuthority::Content { .. } => None,
        };
        self.leave(token.not_understood);
        let name = self.name(Named::Token, &what, &token.name).await?;
        let description = self.text(&what, "description", &token.description, TEXT_LENGTH);
        let authority = match (token.authority, owned) {
            (ForeignAuthority::Admin { grants, .. }, Some((owner, ceiling))) => {
                TokenAuthority::Admin { owner, grants: self.grants(&what, grants, ceiling) }
            }
            (ForeignAuthority::Content { access }, _) => TokenAuthority::Content { access: self.access(&what, access) },
            // An admin token without an owner was left just now.
            (ForeignAuthority::Admin { .. }, None) => return Ok(false),
        };
        let secret = keys.of(token.id);
        if let Some(why) = keys.useless(token.id) {
            self.report.add(Outcome::Left, format!("sealed key of {what}"), why);
        }
        let new = NewToken {
            name,
            description,
            digest: token.digest,
            hash_key: HashKeyId::of_strapi(),
            hint: secret.map(|secret| secret.hint().to_owned()).unwrap_or_default(),
            lifespan: token.lifespan,
            authority,
        };
        let times =
            TokenTimes { created_at: token.created_at, expires_at: token.expires_at, last_used_at: token.last_used_at };
        let id = self.insert(new, times).await?;
        self.remember(&token.key, Imported::Token(id)).await?;
        if let Some((writer, secret)) = secret.map(|secret| (self.draft.writer.clone(), secret))
            && let Some(sealing) = &writer.settings.encryption
        {
            let sealed = sealing.seal(id, secret, &*writer.entropy)?;
            self.draft.tx.seal_secret(id, &sealed).await?;
            self.report.came.keys += 1;
        }
        Ok(true)
    }

    async fn insert(&mut self, new: NewToken, times: TokenTimes) -> Result<TokenId, ServiceError> {
        let digest = new.digest;
        let mut details = tokens::facts(&new);
        details["expiresAt"] = json!(times.expires_at.map(|at| at.to_string()));
        details["imported"] = json!(self.report.source);
        let kind = match &new.authority {
            TokenAuthority::Admin { .. } => TokenKind::Admin,
            _ => TokenKind::Content,
        };
        let id = self.draft.tx.insert_token(new).await?;
        self.draft.tx.backdate_token(id, times).await?;
        self.draft.touch(Tag::token(&digest));
        self.draft.audit(AuditAction::TokenIssued, AuditTarget::Token(id, kind), details).await?;
        match kind {
            TokenKind::Admin => self.report.came.admin_tokens += 1,
            _ => self.report.came.content_tokens += 1,
        }
        Ok(id)
    }
}

/// Who holds a token here, and what they may grant.
fn held_by<'c>(
    owner: Option<i64>,
    owners: &HashMap<i64, OwnerId>,
    ceilings: &'c HashMap<OwnerId, Ceiling>,
) -> Result<(OwnerId, &'c Ceiling), &'static str> {
    let owner = owner.ok_or("its owner is gone, so it opens nothing there either")?;
    let id = *owners.get(&owner).ok_or("its owner did not come")?;
    Ok((id, ceilings.get(&id).ok_or("its owner was deleted here")?))
}
