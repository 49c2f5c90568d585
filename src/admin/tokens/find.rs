//! Finding a token by a secret that was found, for example in a log.

use super::Tokens;
use super::load::{READ_CONTENT, manages_token};
use super::read::{DescribedToken, describe_one};
use crate::admin::ServiceError;
use crate::admin::actor::{Grantor, ResolvedActor};
use crate::domain::{Digest, FieldName, Token, TokenKind, TokenKinds};
use crate::store::{StoreError, View};

/// The longest text in which a secret is looked for, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;
/// The most parts of a text that are looked up. Made-up secrets of keyward's own format are sorted out before, so this bounds the reads for
/// parts that look like keys of other systems.
const MOST_LOOKUPS: usize = 32;

impl Tokens {
    /// Finds the token of a secret that was found in a log, a repository or a chat.
    ///
    /// The text is the secret, or contains it. If it contains several secrets of this installation, the first one counts whose token the
    /// actor may see. Secrets of Strapi and [adopted keys](Self::adopt) are found too, and so are expired tokens. The call reads the
    /// store, not a cache. It does not count as a use of the token, and the text is neither kept nor logged.
    ///
    /// Super admins and the host program find every token and session, and other people their own and those that they manage. A content
    /// token is found by people with the action `admin::api-tokens.read`. A token finds only itself.
    ///
    /// ```
    /// # async fn demo(keyward: keyward::Keyward) -> Result<(), keyward::admin::ServiceError> {
    /// let line = r#"DEPLOY_KEY="kw_admin_4bX0qPz81hVnR7sYw2Lm5Kc9Tj3Ga6FdZp0Qx81vHn7RsYw2Lm""#;
    /// match keyward.tokens().find(line).await {
    ///     Ok(found) => println!("{} of {:?}", found.token.name, found.owner.map(|owner| owner.email)),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`NotFound`](ServiceError::NotFound) if the text has no secret of a token, or the actor may not see the token;
    /// - [`Forbidden`](ServiceError::Forbidden) if the actor is not signed in;
    /// - [`Invalid`](ServiceError::Invalid) if the text is longer than 64 KiB;
    /// - [`Store`](ServiceError::Store) if the store fails, or the configured keys are not those of the data.
    pub async fn find(&self, text: &str) -> Result<DescribedToken, ServiceError> {
        if text.len() > LONGEST_TEXT {
            return Err(ServiceError::invalid(
                FieldName::Secret,
                "must have at most 65536 bytes: send the part with the secret",
            ));
        }
        let digests = self.digests_in(text);
        self.ensure_keys_fit().await?;
        let mut view = self.context.view().await?;
        let actor = self.context.actor(&mut *view).await?;
        if matches!(actor, ResolvedActor::Visitor) {
            return Err(ServiceError::Forbidden("sign in first"));
        }
        for digest in digests {
            let Some(record) = view.record(&digest).await? else { continue };
            let token = record.token;
            // The store also finds a token by a replaced secret that has ended. That one does not count.
            if !token.digests().any(|admitted| admitted == digest) {
                continue;
            }
            if self.kinds.contains(token.kind()) && self.may_find(&mut *view, &actor, &token).await? {
                return describe_one(&mut *view, self.context.state.resolver.accounts(), token).await;
            }
        }
        Err(ServiceError::NotFound("token"))
    }

    /// Returns the digests of the parts of a text that may be secrets, without a read of the store.
    fn digests_in(&self, text: &str) -> Vec<Digest> {
        let (format, kinds) = (&self.context.state.format, TokenKinds::of(&TokenKind::ALL));
        let candidates = format.candidates(text.as_bytes()).into_iter();
        let mut digests: Vec<Digest> = Vec::new();
        for verified in candidates.filter_map(|part| format.verify_bytes(part, kinds).ok()) {
            if !digests.contains(&verified.digest) {
                digests.push(verified.digest);
            }
            if digests.len() >= MOST_LOOKUPS {
                break;
            }
        }
        digests
    }

    /// Checks that the configured keys are those of the data: with another key, no secret would be found.
    pub(in crate::admin) async fn ensure_keys_fit(&self) -> Result<(), ServiceError> {
        let fitting = self.context.state.resolver.fitting_keys().await;
        fitting.map_err(|_| StoreError::Unavailable("the configured keys do not match the data".into()).into())
    }

    async fn may_find(&self, view: &mut dyn View, actor: &ResolvedActor, token: &Token) -> Result<bool, ServiceError> {
        let sees = |grantor: &Grantor| match token.owner() {
            Some(owner) => grantor.is_super_admin() || grantor.is(owner),
            None => grantor.holds(READ_CONTENT),
        };
        match actor {
            ResolvedActor::Program => Ok(true),
            ResolvedActor::Visitor => Ok(false),
            ResolvedActor::Token(itself) => Ok(itself.id == token.id),
            ResolvedActor::Person(grantor) if sees(grantor) => Ok(true),
            ResolvedActor::Person(_) => manages_token(view, self.context.state.resolver.accounts(), actor, token).await,
        }
    }
}
