//! Options from the command line and the environment.

use crate::secrets;
use keyward::strapi::{Import, StrapiEncryptionKey};
use keyward::token::{EncryptionKeys, StrapiHashKey};
use std::net::SocketAddr;

pub(crate) const USAGE: &str = "\
A service beside a Strapi 5, which accepts the tokens that Strapi has issued; and an import into keyward.

Usage: beside_strapi --database DATABASE --salt SALT [--encryption-key KEY] [--listen ADDRESS]
       beside_strapi import --database DATABASE --salt SALT --into DATABASE [--encryption-key KEY] [--source NAME] [--dry-run]

  --database DATABASE      the database of Strapi, which is only read: sqlite:FILE or postgres://USER@HOST/DATABASE
  --salt SALT              Strapi's API_TOKEN_SALT, its hash key [$API_TOKEN_SALT]
  --encryption-key KEY     Strapi's ENCRYPTION_KEY [$ENCRYPTION_KEY]. Without it, a wrong salt is not noticed, and owners cannot view
                           their secrets after an import
  --listen ADDRESS         the address to listen on [127.0.0.1:8081]; port 0 takes any free port
  --help                   print this

import copies roles, users and tokens, and prints a report: imported, skipped, and why. Run again, it copies new ones.

  --into DATABASE          the database of keyward, which is created if needed: sqlite:FILE or postgres://USER@HOST/DATABASE
  --source NAME            a name for this Strapi [strapi]: the same for every import from it, and another for another Strapi
  --dry-run                only print the report

KEYWARD_ENCRYPTION_KEY seals the secrets of tokens in keyward's database, as for the example platform. Start the platform with Strapi's
API_TOKEN_SALT as KEYWARD_STRAPI_HASH_KEY.

Other users of a machine can see its command lines: prefer the variables.";

pub(crate) struct Options {
    pub(crate) database: String,
    pub(crate) hash_key: StrapiHashKey,
    pub(crate) mode: Mode,
}

pub(crate) enum Mode {
    /// Listen on an address. With the encryption key, the salt is checked first.
    Serve(SocketAddr, Option<Box<StrapiEncryptionKey>>),
    Import(Box<ImportOptions>),
}

/// The options of an import.
pub(crate) struct ImportOptions {
    pub(crate) into: String,
    pub(crate) encryption: Option<EncryptionKeys>,
    pub(crate) import: Import,
    pub(crate) dry_run: bool,
}

/// The reason why the service does not start.
pub(crate) enum Stop {
    Help,
    Invalid(String),
}

impl Options {
    pub(crate) fn read(
        arguments: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Stop> {
        let mut arguments = arguments.peekable();
        let importing = arguments.next_if(|first| first == "import").is_some();
        let (mut database, mut hash_key, mut listen) = (None, None, "127.0.0.1:8081".to_owned());
        let (mut into, mut key, mut source, mut dry_run) = (None, None, None, false);
        while let Some(argument) = arguments.next() {
            let (flag, inline) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value = || {
                let value = inline.clone().or_else(|| arguments.next());
                value.ok_or_else(|| Stop::Invalid(format!("{flag} needs a value")))
            };
            match flag {
                "--database" => database = Some(value()?),
                "--salt" => hash_key = Some(value()?),
                "--listen" if !importing => listen = value()?,
                "--into" if importing => into = Some(value()?),
                "--encryption-key" => key = Some(value()?),
                "--source" if importing => source = Some(value()?),
                "--dry-run" if importing && inline.is_none() => dry_run = true,
                "--help" | "-h" => return Err(Stop::Help),
                _ => return Err(Stop::Invalid(format!("there is no flag {flag} here: --help lists all flags"))),
            }
        }
        let missing = |problem: &str| Stop::Invalid(format!("{problem}; --help explains it"));
        let database = database.ok_or_else(|| missing("--database is missing: pass the database of Strapi"))?;
        let hash_key = hash_key.or_else(|| variable("API_TOKEN_SALT"));
        let hash_key = hash_key.ok_or_else(|| missing("--salt is missing: pass Strapi's API_TOKEN_SALT"))?;
        let hash_key = StrapiHashKey::new(&hash_key).map_err(|error| Stop::Invalid(format!("--salt: {error}")))?;
        let key = key.or_else(|| variable("ENCRYPTION_KEY")).map(|key| StrapiEncryptionKey::new(&key));
        if !importing {
            let listen = listen.parse().map_err(|_| {
                Stop::Invalid(format!("--listen {listen}: write an address and a port, such as 127.0.0.1:8081"))
            })?;
            return Ok(Self { database, hash_key, mode: Mode::Serve(listen, key.map(Box::new)) });
        }
        let into = into.ok_or_else(|| missing("--into is missing: pass the database of keyward"))?;
        let encryption = secrets::encryption(variable("KEYWARD_ENCRYPTION_KEY"), true);
        let encryption = encryption.map_err(|error| Stop::Invalid(format!("KEYWARD_ENCRYPTION_KEY: {error}")))?;
        let mut import = Import::default();
        if let Some(key) = key {
            import = import.encryption_key(key);
        }
        if let Some(source) = source {
            import = import.source(source);
        }
        if dry_run {
            import = import.dry_run();
        }
        Ok(Self {
            database,
            hash_key,
            mode: Mode::Import(Box::new(ImportOptions { into, encryption, import, dry_run })),
        })
    }
}
