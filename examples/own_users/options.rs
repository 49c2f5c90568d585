//! Options from the command line.

use std::net::SocketAddr;

pub(crate) const USAGE: &str = "\
An application with users of its own, on SQLite, whose users get tokens.

Usage: own_users [OPTIONS]

  --listen ADDRESS   the address to listen on [127.0.0.1:8082], on loopback, as the passwords of its users are public;
                     port 0 takes any free port
  --database FILE    the SQLite database, which is created if needed [own_users.db]
  --help             print this

Environment:
  KEYWARD_HASH_KEY   the key that secrets are hashed with: `openssl rand -hex 32`. Without it, a public one is used";

pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) database: String,
}

/// The reason why the application does not start.
pub(crate) enum Stop {
    Help,
    Invalid(String),
}

impl Options {
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, Stop> {
        let (mut listen, mut database) = ("127.0.0.1:8082".to_owned(), "own_users.db".to_owned());
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
                "--listen" => listen = value()?,
                "--database" => database = value()?,
                "--help" | "-h" => return Err(Stop::Help),
                _ => return Err(Stop::Invalid(format!("unknown flag {flag}: --help lists all flags"))),
            }
        }
        let listen: SocketAddr = listen.parse().map_err(|_| {
            Stop::Invalid(format!("--listen {listen}: write an address and a port, such as 127.0.0.1:8082"))
        })?;
        match listen.ip().is_loopback() {
            true => Ok(Self { listen, database }),
            false => Err(Stop::Invalid(format!(
                "--listen {listen}: the passwords of the users are public: choose a loopback address, such as 127.0.0.1"
            ))),
        }
    }
}
