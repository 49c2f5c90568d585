//! What the command line and the environment say.

use keyward::ReferenceSalt;
use std::net::SocketAddr;

pub(crate) const USAGE: &str = "\
A service beside a Strapi 5, which honours the tokens that it has issued.

Usage: beside_strapi --database DATABASE --salt SALT [--listen ADDRESS]

  --database DATABASE      the database of Strapi, which is only read: sqlite:FILE or postgres://USER@HOST/DATABASE
  --salt SALT              the API_TOKEN_SALT of Strapi [the variable of this name]
  --listen ADDRESS         where to answer [127.0.0.1:8081]; port 0 takes any free one
  --help                   print this

On a command line others can see a salt: rather set the variable.";

pub(crate) struct Options {
    pub(crate) database: String,
    pub(crate) salt: ReferenceSalt,
    pub(crate) listen: SocketAddr,
}

/// Why it does not start.
pub(crate) enum Stop {
    Help,
    Wrong(String),
}

impl Options {
    pub(crate) fn read(
        mut arguments: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Stop> {
        let (mut database, mut salt, mut listen) = (None, None, "127.0.0.1:8081".to_owned());
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
                "--salt" => salt = Some(value()?),
                "--listen" => listen = value()?,
                "--help" | "-h" => return Err(Stop::Help),
                _ => return Err(Stop::Wrong(format!("there is no flag {flag}; --help lists them"))),
            }
        }
        let missing = |what: &str| Stop::Wrong(format!("{what}; --help says more"));
        let database = database.ok_or_else(|| missing("--database is missing: which database is Strapi's?"))?;
        let salt = salt.or_else(|| variable("API_TOKEN_SALT"));
        let salt = salt.ok_or_else(|| missing("--salt is missing: pass the API_TOKEN_SALT of Strapi"))?;
        let salt = ReferenceSalt::new(&salt).map_err(|error| Stop::Wrong(format!("--salt: {error}")))?;
        let listen = listen.parse().map_err(|_| {
            Stop::Wrong(format!("--listen {listen}: write an address and a port, such as 127.0.0.1:8081"))
        })?;
        Ok(Self { database, salt, listen })
    }
}
