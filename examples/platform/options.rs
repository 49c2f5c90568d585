//! What the command line and the environment say.

use crate::database::Place;
use crate::front::Front;
use crate::secrets;
use keyward::store::PostgresOptions;
use keyward::token::{EncryptionKeys, HashKeyRing, StrapiHashKey};
use std::net::SocketAddr;

pub(crate) const USAGE: &str = "\
A small content platform behind keyward.

Usage: platform [OPTIONS]

  --listen ADDRESS         where to answer [127.0.0.1:8080]; port 0 takes any free one
  --database sqlite:FILE   where everything is kept [sqlite:keyward-platform.db]; or postgres://USER@HOST/DATABASE, which
                           any number of platforms may share
  --schema NAME            the PostgreSQL schema that holds the tables; else where the role's search_path finds them
  --pooler                 the PostgreSQL address is that of a pooler in transaction mode, such as PgBouncer
  --empty                  make no demo data in an empty database
  --demo                   make demo data on any address, and serve it through proxies. Its passwords are public: for trying
                           things out. Without the flag it is made on loopback alone, and requests through proxies get 403
  --trusted-proxy ADDRESS  an address or a network like 10.0.0.0/8, whose X-Forwarded-For and X-Forwarded-Prefix are believed;
                           may be given several times
  --forwarded              proxies say in Forwarded, and not in X-Forwarded-For, for whom they ask
  --base-path PATH         what a proxy puts before all paths, as in /keys
  --secure-cookies         cookies need HTTPS, also on loopback: for a proxy with TLS in front
  --plain-cookies          cookies work over plain HTTP: every machine on the way can read them
  --hash-key-file FILE     where KEYWARD_SALT is read from
  --encryption-key-file FILE  where KEYWARD_ENCRYPTION_KEY is read from
  --reset-password EMAIL   set a new password for this user, print it, and stop
  --backup FILE            copy the SQLite database into a new file, and stop; a platform that runs goes on meanwhile
  --restore FILE           put this backup in the place of the SQLite database, which no platform may use, and stop
  --accept-new-hash-key    start with other salts than the data was written with, and give up the tokens that rest on them
  --accept-new-encryption-key
                           start with other encryption keys, and give up the sealed copies of tokens
  --help                   print this

Environment:
  KEYWARD_SALT             the salt of all secrets, or several, separated by commas: `openssl rand -hex 32`
  KEYWARD_ENCRYPTION_KEY   seals issued keys, so that their owners can see them again: likewise. Without, keys show once
  KEYWARD_REFERENCE_SALT   the salt under which Strapi issued its tokens
  .._FILE                  each of these with _FILE at its end names a file to read it from
  KEYWARD_HASH_KEY         another name of KEYWARD_SALT
  RUST_LOG                 what is logged: a level, or as in keyward=debug,info [info]";

pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    /// No other machine can connect, as far as is known: a proxy that is not spoken of here may be there all the same.
    pub(crate) alone: bool,
    pub(crate) place: Place,
    /// How a store in PostgreSQL is connected.
    pub(crate) postgres: PostgresOptions,
    pub(crate) pooler: bool,
    pub(crate) empty: bool,
    pub(crate) demo: bool,
    pub(crate) front: Front,
    /// Done in the place of serving.
    pub(crate) task: Option<Task>,
    pub(crate) accept_new_hash_key: bool,
    pub(crate) accept_new_encryption_key: bool,
    pub(crate) hash_keys: HashKeyRing,
    pub(crate) encryption: Option<EncryptionKeys>,
    pub(crate) strapi_hash_key: Option<StrapiHashKey>,
}

/// A task that ends, in the place of serving.
pub(crate) enum Task {
    /// Set a new password for the user with this address.
    ResetPassword(String),
    /// Copy the database into this file.
    Backup(String),
    /// Put this backup in the place of the database.
    Restore(String),
}

/// Why the platform does not start.
pub(crate) enum Stop {
    Help,
    Wrong(String),
}

impl Options {
    pub(crate) fn read(
        mut arguments: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Stop> {
        let (mut listen, mut database) = ("127.0.0.1:8080".to_owned(), "sqlite:keyward-platform.db".to_owned());
        let (mut empty, mut demo, mut task) = (false, false, None);
        let (mut accept_new_hash_key, mut accept_new_encryption_key) = (false, false);
        let mut front = Front::default();
        let (mut hash_key_file, mut encryption_key_file) = (None::<String>, None::<String>);
        let (mut postgres, mut pooler) = (PostgresOptions::default(), false);
        while let Some(argument) = arguments.next() {
            let (flag, given) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            match (flag, &given) {
                (
                    "--listen"
                    | "--database"
                    | "--schema"
                    | "--reset-password"
                    | "--backup"
                    | "--restore"
                    | "--trusted-proxy"
                    | "--base-path"
                    | "--hash-key-file"
                    | "--encryption-key-file",
                    _,
                ) => {
                    let value = given.or_else(|| arguments.next());
                    let value = value.ok_or_else(|| Stop::Wrong(format!("{flag} needs a value")))?;
                    match flag {
                        "--listen" => listen = value,
                        "--database" => database = value,
                        "--schema" => postgres = postgres.schema(value),
                        "--trusted-proxy" => front.proxies.push(value),
                        "--base-path" => front.base_path = value,
                        "--hash-key-file" => hash_key_file = Some(value),
                        "--encryption-key-file" => encryption_key_file = Some(value),
                        "--backup" => task = Some(Task::Backup(value)),
                        "--restore" => task = Some(Task::Restore(value)),
                        _ => task = Some(Task::ResetPassword(value)),
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
                    return Err(Stop::Wrong(format!("{flag} takes no value")));
                }
                _ => return Err(Stop::Wrong(format!("there is no flag {flag}; --help lists them"))),
            }
        }
        let listen = address(&listen)?;
        if empty && demo {
            return Err(Stop::Wrong("--empty and --demo contradict each other: leave one out".to_owned()));
        }
        let alone = listen.ip().is_loopback() && !front.is_there();
        let given = |variables: &[&str], file: Option<(&str, &str)>| {
            let found = secrets::given(variables, file, &variable);
            found.map_err(|why| Stop::Wrong(format!("{}: {why}", variables[0])))
        };
        let hash_keys = hash_keys(
            given(
                &["KEYWARD_SALT", "KEYWARD_HASH_KEY"],
                hash_key_file.as_deref().map(|file| ("--hash-key-file", file)),
            )?,
            alone,
            listen,
        )?;
        let strapi_hash_key = given(&["KEYWARD_REFERENCE_SALT"], None)?.map(|text| {
            StrapiHashKey::new(&text).map_err(|error| Stop::Wrong(format!("KEYWARD_REFERENCE_SALT: {error}")))
        });
        let encryption = secrets::encryption(
            given(
                &["KEYWARD_ENCRYPTION_KEY"],
                encryption_key_file.as_deref().map(|file| ("--encryption-key-file", file)),
            )?,
            alone,
        );
        let encryption = encryption.map_err(|error| Stop::Wrong(format!("KEYWARD_ENCRYPTION_KEY: {error}")))?;
        let (place, strapi_hash_key) = (place(&database)?, strapi_hash_key.transpose()?);
        if matches!((&place, &task), (Place::Postgres(_), Some(Task::Backup(_) | Task::Restore(_)))) {
            let why = "--backup and --restore are for SQLite files: use pg_dump and pg_restore";
            return Err(Stop::Wrong(why.to_owned()));
        }
        Ok(Self {
            listen,
            alone,
            place,
            postgres,
            pooler,
            empty,
            demo,
            front,
            task,
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
        .map_err(|_| Stop::Wrong(format!("--listen {text}: write an address and a port, such as 127.0.0.1:8080")))
}

fn place(database: &str) -> Result<Place, Stop> {
    if database.starts_with("postgres://") || database.starts_with("postgresql://") {
        return Ok(Place::Postgres(database.to_owned()));
    }
    match database.strip_prefix("sqlite:") {
        Some(file) if !file.is_empty() && !file.starts_with(':') => Ok(Place::File(file.to_owned())),
        // What was written may hold a password, so it is not said again.
        _ => Err(Stop::Wrong(
            "--database: write sqlite: and a file, such as sqlite:platform.db, or postgres://user@host/database"
                .to_owned(),
        )),
    }
}

/// The salts. Without any, nobody else may be able to connect.
fn hash_keys(given: Option<String>, alone: bool, listen: SocketAddr) -> Result<HashKeyRing, Stop> {
    let hash_keys = secrets::hash_keys(given, alone);
    let hash_keys = hash_keys.map_err(|error| Stop::Wrong(format!("KEYWARD_SALT: {error}")))?;
    hash_keys.ok_or_else(|| {
        Stop::Wrong(format!(
            "KEYWARD_SALT is not set, and {listen} is open to others, itself or through a proxy: set it to what `openssl rand -hex \
             32` prints, or listen on 127.0.0.1 without a proxy"
        ))
    })
}
