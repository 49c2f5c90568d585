//! Options from the command line and the environment.

use keyward::strapi::StrapiEncryptionKey;
use keyward::token::StrapiHashKey;
use std::net::SocketAddr;

pub(crate) const USAGE: &str = "\
A service beside a Strapi 5, which accepts the tokens that Strapi has issued.

Usage: beside_strapi --database DATABASE [--listen ADDRESS]

  --database DATABASE      the database of Strapi, which is only read: sqlite:FILE or postgres://USER@HOST/DATABASE
  --listen ADDRESS         the address to listen on [127.0.0.1:8081]; port 0 takes any free port
  --help                   print this

Environment:
  API_TOKEN_SALT           Strapi's salt of API tokens, its hash key
  ENCRYPTION_KEY           Strapi's encryption key. Without it, a wrong salt is not noticed

`keyward import strapi` copies roles, users and tokens into a database of keyward.";

pub(crate) struct Options {
    pub(crate) database: String,
    pub(crate) hash_key: StrapiHashKey,
    /// With it, the hash key is checked first.
    pub(crate) key: Option<StrapiEncryptionKey>,
    pub(crate) listen: SocketAddr,
}

/// The reason why the service does not start.
pub(crate) enum Stop {
    Help,
    Invalid(String),
}

impl Options {
    pub(crate) fn read(
        mut arguments: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Stop> {
        let (mut database, mut listen) = (None, "127.0.0.1:8081".to_owned());
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
                "--listen" => listen = value()?,
                "--help" | "-h" => return Err(Stop::Help),
                _ => return Err(Stop::Invalid(format!("there is no flag {flag} here: --help lists all flags"))),
            }
        }
        let missing = |problem: &str| Stop::Invalid(format!("{problem}; --help explains it"));
        let database = database.ok_or_else(|| missing("--database is missing: pass the database of Strapi"))?;
        let hash_key = variable("API_TOKEN_SALT");
        let hash_key = hash_key.ok_or_else(|| missing("API_TOKEN_SALT is missing: set it to Strapi's salt"))?;
        let hash_key = StrapiHashKey::new(&hash_key);
        let hash_key = hash_key.map_err(|error| Stop::Invalid(format!("API_TOKEN_SALT: {error}")))?;
        let key = variable("ENCRYPTION_KEY").map(|key| StrapiEncryptionKey::new(&key));
        let listen = listen.parse().map_err(|_| {
            Stop::Invalid(format!("--listen {listen}: write an address and a port, such as 127.0.0.1:8081"))
        })?;
        Ok(Self { database, hash_key, key, listen })
    }
}
