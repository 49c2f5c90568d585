//! The keys and other settings of the installation, from arguments, the environment and files.

use crate::arguments::Settings;
use crate::env_file;
use crate::failure::Failure;
use crate::secret_input::StandardInput;
use keyward::token::{EncryptionKeys, HashKeyRing, StrapiHashKey};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The variables of the environment, and those of the file that replace missing ones.
pub(crate) struct Variables {
    file: HashMap<String, String>,
}

/// A secret, and the setting that it came from.
pub(crate) struct Setting {
    pub(crate) source: String,
    pub(crate) value: String,
}

impl Variables {
    /// Reads the file that the settings name. A file that does not exist yet is empty for `init`, which creates it.
    pub(crate) fn read(settings: &Settings, may_be_missing: bool) -> Result<Self, Failure> {
        let file = match &settings.env_file {
            Some(path) if may_be_missing && !path.exists() => HashMap::new(),
            Some(path) => env_file::read(path)?,
            None => HashMap::new(),
        };
        Ok(Self { file })
    }

    /// Returns a variable; one that is not Unicode counts as empty, which is rejected, and not as missing.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let set = std::env::var_os(name).map(|value| value.into_string().unwrap_or_default());
        set.or_else(|| self.file.get(name).cloned())
    }

    /// Reads a secret from one of these variables, or from the file that an argument or a variable ending in `_FILE`
    /// names.
    pub(crate) fn secret(
        &self,
        names: &[&str],
        argument: &'static str,
        file: Option<&Path>,
        stdin: &StandardInput,
    ) -> Result<Option<Setting>, Failure> {
        let mut sources: Vec<(String, Option<PathBuf>)> = Vec::new();
        sources.extend(file.map(|file| (argument.to_owned(), Some(file.to_owned()))));
        for name in names {
            let file_variable = format!("{name}_FILE");
            if let Some(file) = self.get(&file_variable) {
                sources.push((file_variable, Some(file.into())));
            }
            if self.get(name).is_some() {
                sources.push(((*name).to_owned(), None));
            }
        }
        let (source, file) = match &sources[..] {
            [] => return Ok(None),
            [(source, file)] => (source.clone(), file),
            [(one, _), (other, _), ..] => {
                return Err(Failure::usage(format!(
                    "{}: set twice, by {one} and by {other}: keep one of them",
                    names[0]
                )));
            }
        };
        let value = match file {
            None => self.get(&source).unwrap_or_default(),
            Some(file) if source == argument => stdin.secret(argument, file)?,
            Some(file) => match std::fs::read_to_string(file) {
                Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
                Err(error) => {
                    return Err(Failure::usage(format!("{source}: {} cannot be read: {error}", file.display())));
                }
            },
        };
        Ok(Some(Setting { source, value }))
    }
}

/// The keys of the installation.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) hash_keys: Option<HashKeyRing>,
    /// The setting that the hash keys came from.
    pub(crate) hash_key_source: String,
    pub(crate) encryption: Option<EncryptionKeys>,
    pub(crate) strapi: Option<StrapiHashKey>,
}

impl Keys {
    pub(crate) fn read(variables: &Variables, settings: &Settings, stdin: &StandardInput) -> Result<Self, Failure> {
        let hash = settings.hash_key_file.as_deref();
        let hash = variables.secret(&["KEYWARD_HASH_KEY", "KEYWARD_SALT"], "--hash-key-file", hash, stdin)?;
        let sealing = settings.encryption_key_file.as_deref();
        let sealing = variables.secret(&["KEYWARD_ENCRYPTION_KEY"], "--encryption-key-file", sealing, stdin)?;
        let strapi = variables.secret(&["KEYWARD_STRAPI_HASH_KEY"], "", None, stdin)?;
        fn parsed<T, E: ToString>(
            setting: Option<&Setting>,
            parse: impl FnOnce(&str) -> Result<T, E>,
        ) -> Result<Option<T>, Failure> {
            let Some(Setting { source, value }) = setting else { return Ok(None) };
            parse(value).map(Some).map_err(|error| Failure::usage(format!("{source}: {}", error.to_string())))
        }
        Ok(Self {
            hash_keys: parsed(hash.as_ref(), HashKeyRing::parse)?,
            encryption: parsed(sealing.as_ref(), EncryptionKeys::parse)?,
            strapi: parsed(strapi.as_ref(), StrapiHashKey::new)?,
            hash_key_source: hash.map(|setting| setting.source).unwrap_or_default(),
        })
    }
}
