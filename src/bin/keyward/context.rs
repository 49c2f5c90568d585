//! The context of a command: settings, standard input and output, and the installation that it opened.

use crate::arguments::Settings;
use crate::database::Database;
use crate::failure::Failure;
use crate::key_settings::{Keys, Variables};
use crate::output::Output;
use crate::secret_input::StandardInput;
use keyward::store::{KeyKind, WriteStore};
use keyward::token::{InvalidTokenPrefix, TokenKind, TokenPrefix};
use keyward::{Builder, HashKey, Keyward};
use std::sync::{Arc, OnceLock};

/// The context of a command.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) out: Output,
    pub(crate) stdin: StandardInput,
    opened: OnceLock<Keyward>,
}

/// What a command does with the installation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// It reads. No key is needed.
    Read,
    /// It changes something, which takes the hash key of the installation.
    Change,
}

impl Context {
    pub(crate) fn new(settings: Settings) -> Self {
        let out = match (settings.json, settings.quiet) {
            (true, _) => Output::Json,
            (_, true) => Output::Quiet,
            _ => Output::Text,
        };
        Self { settings, out, stdin: StandardInput::default(), opened: OnceLock::new() }
    }

    /// Returns the variables of the environment and of `--env-file`.
    pub(crate) fn variables(&self) -> Result<Variables, Failure> {
        Variables::read(&self.settings, false)
    }

    /// Returns the database that the settings name.
    pub(crate) fn database(&self) -> Result<Database, Failure> {
        Database::of(&self.settings, &self.variables()?)
    }

    /// Returns whether encryption keys are configured.
    pub(crate) fn has_encryption_key(&self) -> Result<bool, Failure> {
        let variables = self.variables()?;
        let names = ["KEYWARD_ENCRYPTION_KEY", "KEYWARD_ENCRYPTION_KEY_FILE"];
        Ok(self.settings.encryption_key_file.is_some() || names.iter().any(|name| variables.get(name).is_some()))
    }

    /// Opens the installation.
    pub(crate) async fn open(&self, access: Access) -> Result<&Keyward, Failure> {
        self.open_with(access, |builder| builder).await
    }

    /// Opens the installation with more settings.
    pub(crate) async fn open_with(
        &self,
        access: Access,
        more: impl FnOnce(Builder) -> Builder,
    ) -> Result<&Keyward, Failure> {
        let variables = self.variables()?;
        let database = Database::of(&self.settings, &variables)?;
        let keys = Keys::read(&variables, &self.settings, &self.stdin)?;
        if access == Access::Change && keys.hash_keys.is_none() {
            return Err(Failure::usage(
                "KEYWARD_HASH_KEY or --hash-key-file is missing: a change takes the hash key that the servers have",
            ));
        }
        let store = database.open(false).await?;
        self.build(store, keys, more).await
    }

    /// Builds the installation on an open store.
    pub(crate) async fn build(
        &self,
        store: Arc<dyn WriteStore>,
        keys: Keys,
        more: impl FnOnce(Builder) -> Builder,
    ) -> Result<&Keyward, Failure> {
        let prefix = self.token_prefix(&*store).await?;
        let Keys { hash_keys, encryption, strapi, .. } = keys;
        let hash_keys = match hash_keys {
            Some(keys) => keys,
            // Required, but unused: without a key of the installation it is only read.
            None => HashKey::generate().map_err(|error| Failure::failed(error.to_string()))?.0.into(),
        };
        // A group is required, but serves nothing here.
        let mut builder = Keyward::builder(store).hash_key(hash_keys).token_prefix(prefix).admin("/admin");
        if let Some(keys) = encryption {
            builder = builder.encryption(keys);
        }
        if let Some(key) = strapi {
            builder = builder.strapi_hash_key(key);
        }
        let keyward = more(builder).build()?;
        Ok(self.opened.get_or_init(|| keyward))
    }

    /// Returns the token prefix of the settings, else that of the database, else the default.
    async fn token_prefix(&self, store: &dyn WriteStore) -> Result<TokenPrefix, Failure> {
        if let Some(text) = &self.settings.prefix {
            return parse_prefix(text).map_err(|error| Failure::usage(format!("--prefix: {error}")));
        }
        let known = store.key_checks().await?.unwrap_or_default();
        let stored = known.iter().find(|check| check.kind == KeyKind::Prefix);
        Ok(stored.and_then(|check| parse_prefix(&check.value).ok()).unwrap_or_default())
    }

    /// Closes the installation, if a command opened one.
    pub(crate) async fn close(&self) {
        if let Some(keyward) = self.opened.get() {
            keyward.shutdown().await;
        }
    }
}

/// Parses a token prefix as the database stores it: `acme`, or with the labels of the kinds `acme_pat|key|web`.
fn parse_prefix(text: &str) -> Result<TokenPrefix, InvalidTokenPrefix> {
    let Some((word, labels)) = text.split_once('_') else { return TokenPrefix::new(text) };
    let labels: Vec<&str> = labels.split('|').collect();
    match labels[..] {
        [admin, content, session] => TokenPrefix::new(word)?.labels([
            (TokenKind::Admin, admin),
            (TokenKind::Content, content),
            (TokenKind::Session, session),
        ]),
        _ => Err(InvalidTokenPrefix::Characters),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_prefixes_parse() {
        assert_eq!(parse_prefix("acme").unwrap().as_str(), "acme");
        let labelled = parse_prefix("acme_pat|key|session").unwrap();
        assert_eq!(labelled.label(TokenKind::Admin), "pat");
        assert_eq!(labelled.label(TokenKind::Content), "key");
        assert_eq!(labelled.label(TokenKind::Session), "session");
        for wrong in ["", "Acme", "acme_", "acme_a|b", "acme_a|b|c|d"] {
            assert!(parse_prefix(wrong).is_err(), "{wrong}");
        }
    }
}
