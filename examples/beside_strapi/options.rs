//! What the command line and the environment say.

use crate::secrets;
use keyward::strapi::{Import, StrapiEncryptionKey};
use keyward::token::{EncryptionKeys, StrapiHashKey};
use std::net::SocketAddr;

pub(crate) const USAGE: &str = "\
A service beside a Strapi 5, which honours the tokens that it has issued; and the way over.

Usage: beside_strapi --database DATABASE --salt SALT [--encryption-key KEY] [--listen ADDRESS]
       beside_strapi import --database DATABASE --salt SALT --into DATABASE [--encryption-key KEY] [--source NAME] [--dry-run]

  --database DATABASE      the database of Strapi, which is only read: sqlite:FILE or postgres://USER@HOST/DATABASE
  --salt SALT              the API_TOKEN_SALT of Strapi [the variable of this name]
  --encryption-key KEY     the ENCRYPTION_KEY of Strapi [the variable of this name]. Without, a wrong salt cannot be told from the right
                           one, and owners cannot see their keys after an import
  --listen ADDRESS         where to answer [127.0.0.1:8081]; port 0 takes any free one
  --help                   print this

import takes over roles, people and tokens, and prints what came, what did not, and why. Again, it takes what is new.

  --into DATABASE          the database of keyward, which is made if it is not there: sqlite:FILE or postgres://USER@HOST/DATABASE
  --source NAME            what this Strapi is called here [strapi]; always the same for one, another for another
  --dry-run                print only what would come

KEYWARD_ENCRYPTION_KEY is the key under which the keys of tokens are sealed here, as for the example platform. Start that with the
API_TOKEN_SALT of Strapi as KEYWARD_REFERENCE_SALT.

On a command line others can see a salt and a key: rather set the variables.";

pub(crate) struct Options {
    pub(crate) database: String,
    pub(crate) hash_key: StrapiHashKey,
    pub(crate) mode: Mode,
}

pub(crate) enum Mode {
    /// Answer here; with the encryption key the salt is checked first.
    Serve(SocketAddr, Option<Box<StrapiEncryptionKey>>),
    Import(Box<Over>),
}

/// How to take over.
pub(crate) struct Over {
    pub(crate) into: String,
    pub(crate) encryption: Option<EncryptionKeys>,
    pub(crate) import: Import,
    pub(crate) dry_run: bool,
}

/// Why it does not start.
pub(crate) enum Stop {
    Help,
    Wrong(String),
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
            let (flag, given) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value = || {
                let value = given.clone().or_else(|| arguments.next());
                value.ok_or_else(|| Stop::Wrong(format!("{flag} needs a value")))
            };
            match flag {
                "--database" => database = Some(value()?),
                "--salt" => hash_key = Some(value()?),
                "--listen" if !importing => listen = value()?,
                "--into" if importing => into = Some(value()?),
                "--encryption-key" => key = Some(value()?),
                "--source" if importing => source = Some(value()?),
                "--dry-run" if importing && given.is_none() => dry_run = true,
                "--help" | "-h" => return Err(Stop::Help),
                _ => return Err(Stop::Wrong(format!("there is no flag {flag} here; --help lists them"))),
            }
        }
        let missing = |what: &str| Stop::Wrong(format!("{what}; --help says more"));
        let database = database.ok_or_else(|| missing("--database is missing: which database is Strapi's?"))?;
        let hash_key = hash_key.or_else(|| variable("API_TOKEN_SALT"));
        let hash_key = hash_key.ok_or_else(|| missing("--salt is missing: pass the API_TOKEN_SALT of Strapi"))?;
        let hash_key = StrapiHashKey::new(&hash_key).map_err(|error| Stop::Wrong(format!("--salt: {error}")))?;
        let key = key.or_else(|| variable("ENCRYPTION_KEY")).map(|key| StrapiEncryptionKey::new(&key));
        if !importing {
            let listen = listen.parse().map_err(|_| {
                Stop::Wrong(format!("--listen {listen}: write an address and a port, such as 127.0.0.1:8081"))
            })?;
            return Ok(Self { database, hash_key, mode: Mode::Serve(listen, key.map(Box::new)) });
        }
        let into = into.ok_or_else(|| missing("--into is missing: which database is keyward's?"))?;
        let encryption = secrets::encryption(variable("KEYWARD_ENCRYPTION_KEY"), true);
        let encryption = encryption.map_err(|error| Stop::Wrong(format!("KEYWARD_ENCRYPTION_KEY: {error}")))?;
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
        Ok(Self { database, hash_key, mode: Mode::Import(Box::new(Over { into, encryption, import, dry_run })) })
    }
}
