//! Options from the command line and the environment.

use crate::database::Place;
use crate::front::Front;
use crate::secrets;
use keyward::store::PostgresOptions;
use keyward::token::{EncryptionKeys, HashKeyRing, StrapiHashKey};
use std::net::SocketAddr;

pub(crate) const USAGE: &str = "\
A small content platform behind keyward.

Usage: platform [OPTIONS]

  --listen ADDRESS         the address to listen on [127.0.0.1:8080]; port 0 takes any free port
  --database DATABASE      sqlite:FILE [sqlite:keyward-platform.db], or postgres://USER@HOST/DATABASE, which any number of
                           platforms may share
  --schema NAME            the PostgreSQL schema of the tables; by default the search_path of the role finds it
  --pooler                 the PostgreSQL address is a pooler in transaction mode, such as PgBouncer
  --empty                  create no demo data in an empty database
  --demo                   create demo data on any address, and serve it through proxies. Its passwords are public: for trials
                           only. Without the flag it is created on loopback only, and requests through proxies get 403
  --trusted-proxy ADDRESS  trust X-Forwarded-For and X-Forwarded-Prefix of this address, or of a network like 10.0.0.0/8;
                           may be repeated
  --connections-of-one N   how many connections one address may open [128]: behind a proxy, as many as it opens
  --forwarded              trusted proxies name their client in Forwarded, not in X-Forwarded-For
  --base-path PATH         the prefix that a proxy puts before all paths, as in /keys
  --secure-cookies         cookies need HTTPS, also on loopback: for a proxy with TLS
  --plain-cookies          cookies work over plain HTTP: every machine on the network path can read them
  --hash-key-file FILE     read KEYWARD_HASH_KEY from this file
  --encryption-key-file FILE  read KEYWARD_ENCRYPTION_KEY from this file
  --accept-new-hash-key    start with other hash keys than the data was written with, and give up the tokens that need them
  --accept-new-encryption-key
                           start with other encryption keys, and give up the sealed copies of tokens
  --help                   print this

Environment:
  KEYWARD_HASH_KEY         the key that secrets are hashed with, or several, separated by commas: `openssl rand -hex 32`.
                           KEYWARD_SALT is accepted too
  KEYWARD_ENCRYPTION_KEY   seals issued secrets, so that their owners can view them again: likewise. Without it, secrets are
                           shown once
  KEYWARD_STRAPI_HASH_KEY  the hash key of Strapi (apiToken.salt, API_TOKEN_SALT), which its tokens need
  .._FILE                  each of these with _FILE appended names a file to read it from
  RUST_LOG                 the log levels: one level, or as in keyward=debug,info [info,rmcp=warn]

The program keyward (`cargo run --all-features --bin keyward -- --help`) makes tokens, resets passwords, and copies the database.";

pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    /// Whether, by the options, no other machine can connect. There may be a proxy that the options do not name.
    pub(crate) alone: bool,
    pub(crate) place: Place,
    /// The connection of a store in PostgreSQL.
    pub(crate) postgres: PostgresOptions,
    pub(crate) pooler: bool,
    pub(crate) empty: bool,
    pub(crate) demo: bool,
    pub(crate) front: Front,
    /// The number of connections of one network.
    pub(crate) connections_of_one: usize,
    pub(crate) accept_new_hash_key: bool,
    pub(crate) accept_new_encryption_key: bool,
    pub(crate) hash_keys: HashKeyRing,
    pub(crate) encryption: Option<EncryptionKeys>,
    pub(crate) strapi_hash_key: Option<StrapiHashKey>,
}

/// The reason why the platform does not start.
pub(crate) enum Stop {
    Help,
    Invalid(String),
}

impl Options {
    pub(crate) fn read(
        mut arguments: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Stop> {
        let (mut listen, mut database) = ("127.0.0.1:8080".to_owned(), "sqlite:keyward-platform.db".to_owned());
        let (mut empty, mut demo) = (false, false);
        let (mut accept_new_hash_key, mut accept_new_encryption_key) = (false, false);
        let (mut front, mut connections_of_one) = (Front::default(), 128);
        let (mut hash_key_file, mut encryption_key_file) = (None::<String>, None::<String>);
        let (mut postgres, mut pooler) = (PostgresOptions::default(), false);
        while let Some(argument) = arguments.next() {
            let (flag, inline) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            match (flag, &inline) {
                (
                    "--listen"
                    | "--database"
                    | "--schema"
                    | "--trusted-proxy"
                    | "--base-path"
                    | "--connections-of-one"
                    | "--hash-key-file"
                    | "--encryption-key-file",
                    _,
                ) => {
                    let value = inline.or_else(|| arguments.next());
                    let value = value.ok_or_else(|| Stop::Invalid(format!("{flag} needs a value")))?;
                    match flag {
                        "--listen" => listen = value,
                        "--database" => database = value,
                        "--schema" => postgres = postgres.schema(value),
                        "--trusted-proxy" => front.proxies.push(value),
                        "--base-path" => front.base_path = value,
                        "--connections-of-one" => {
                            let why = || Stop::Invalid(format!("{flag} {value}: write a number"));
                            connections_of_one = value.parse().map_err(|_| why())?;
                        }
                        "--hash-key-file" => hash_key_file = Some(value),
                        _ => encryption_key_file = Some(value),
                    }
                }
                ("--empty", None) => empty = true,
                ("--pooler", None) => (postgres, pooler) = (postgres.transaction_pooler(), true),
                ("--demo", None) => demo = true,
                ("--forwarded", None) => front.forwarded = true,
                ("--secure-cookies", None) => front.secure_cookies = Some(true),
                ("--plain-cookies", None) => front.secure_cookies = Some(false),
                ("--accept-new-hash-key", None) => accept_new_hash_key = true,
                ("--accept-new-encryption-key", None) => accept_new_encryption_key = true,
                ("--help" | "-h", None) => return Err(Stop::Help),
                (
                    "--empty"
                    | "--pooler"
                    | "--demo"
                    | "--forwarded"
                    | "--secure-cookies"
                    | "--plain-cookies"
                    | "--accept-new-hash-key"
                    | "--accept-new-encryption-key"
                    | "--help",
                    Some(_),
                ) => {
                    return Err(Stop::Invalid(format!("{flag} takes no value")));
                }
                _ => return Err(Stop::Invalid(format!("unknown flag {flag}: --help lists all flags"))),
            }
        }
        let listen = address(&listen)?;
        if empty && demo {
            return Err(Stop::Invalid("--empty and --demo contradict each other: leave one out".to_owned()));
        }
        let alone = listen.ip().is_loopback() && !front.is_set();
        let secret = |variables: &[&str], file: Option<(&str, &str)>| {
            let secret = secrets::read(variables, file, &variable);
            secret.map_err(|why| Stop::Invalid(format!("{}: {why}", variables[0])))
        };
        let hash_keys = hash_keys(
            secret(
                &["KEYWARD_HASH_KEY", "KEYWARD_SALT"],
                hash_key_file.as_deref().map(|file| ("--hash-key-file", file)),
            )?,
            alone,
            listen,
        )?;
        let strapi_hash_key = secret(&["KEYWARD_STRAPI_HASH_KEY"], None)?.map(|text| {
            StrapiHashKey::new(&text).map_err(|error| Stop::Invalid(format!("KEYWARD_STRAPI_HASH_KEY: {error}")))
        });
        let encryption = secrets::encryption(
            secret(
                &["KEYWARD_ENCRYPTION_KEY"],
                encryption_key_file.as_deref().map(|file| ("--encryption-key-file", file)),
            )?,
            alone,
        );
        let encryption = encryption.map_err(|error| Stop::Invalid(format!("KEYWARD_ENCRYPTION_KEY: {error}")))?;
        let (place, strapi_hash_key) = (place(&database)?, strapi_hash_key.transpose()?);
        Ok(Self {
            listen,
            alone,
            place,
            postgres,
            pooler,
            empty,
            demo,
            front,
            connections_of_one,
            accept_new_hash_key,
            accept_new_encryption_key,
            hash_keys,
            encryption,
            strapi_hash_key,
        })
    }
}

fn address(text: &str) -> Result<SocketAddr, Stop> {
    text.parse()
        .map_err(|_| Stop::Invalid(format!("--listen {text}: write an address and a port, such as 127.0.0.1:8080")))
}

fn place(database: &str) -> Result<Place, Stop> {
    if database.starts_with("postgres://") || database.starts_with("postgresql://") {
        return Ok(Place::Postgres(database.to_owned()));
    }
    match database.strip_prefix("sqlite:") {
        Some(file) if !file.is_empty() && !file.starts_with(':') => Ok(Place::File(file.to_owned())),
        // The text may contain a password, so it is not repeated.
        _ => Err(Stop::Invalid(
            "--database: write sqlite: and a file, such as sqlite:platform.db, or postgres://user@host/database"
                .to_owned(),
        )),
    }
}

/// Parses the hash keys. They are required if other machines can connect.
fn hash_keys(text: Option<String>, alone: bool, listen: SocketAddr) -> Result<HashKeyRing, Stop> {
    let hash_keys = secrets::hash_keys(text, alone);
    let hash_keys = hash_keys.map_err(|error| Stop::Invalid(format!("KEYWARD_HASH_KEY: {error}")))?;
    hash_keys.ok_or_else(|| {
        Stop::Invalid(format!(
            "KEYWARD_HASH_KEY is not set, and other machines can connect to {listen}, directly or through a proxy: set it to the \
             output of `openssl rand -hex 32`, or listen on 127.0.0.1 without a proxy"
        ))
    })
}
