//! Database addresses, parsed without disclosing any part of a password.

use super::error::OpenError;
use super::{NAME, PostgresOptions, parameters};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgPool};

/// A parsed database address.
pub(super) struct Address {
    pub(super) options: PgConnectOptions,
    /// User, host, port and database, for errors.
    pub(super) place: String,
}

/// Parses an address.
pub(super) fn read(url: &str, options: &PostgresOptions) -> Result<Address, OpenError> {
    let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) else {
        return Err(OpenError::Scheme);
    };
    if has_unencoded_password(rest) {
        return Err(OpenError::Url);
    }
    parameters::check(url)?;
    let mut read: PgConnectOptions = url.parse().map_err(|_| OpenError::Url)?;
    if read.get_host().contains(',') {
        return Err(OpenError::Hosts);
    }
    // Poolers reject the parameter for floating-point numbers, of which there are none here.
    read = read.application_name(NAME).disable_statement_logging().extra_float_digits(None);
    if options.pooler {
        read = read.statement_cache_capacity(0);
    }
    let place = place(&read, rest);
    Ok(Address { options: read, place })
}

/// Returns the address of a pool's connections.
pub(super) fn of_pool(pool: &PgPool, options: &PostgresOptions) -> Address {
    let options = options_of(pool, options.pooler);
    let place = place(&options, "");
    Address { options, place }
}

/// Returns the present options of a pool, for connections of keyward's own.
pub(super) fn options_of(pool: &PgPool, pooler: bool) -> PgConnectOptions {
    let options = (*pool.connect_options()).clone().application_name(NAME).disable_statement_logging();
    if pooler { options.statement_cache_capacity(0) } else { options }
}

/// Returns true if an `@` follows the host: then the presumed host is a part of a password that contains `/` or `#`. (A
/// password with `?` looks like an unknown parameter.)
fn has_unencoded_password(rest: &str) -> bool {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (before_parameters, parameters) = rest[end..].split_once('?').unwrap_or((&rest[end..], ""));
    before_parameters.contains('@') || parameters.split_once('#').is_some_and(|(_, fragment)| fragment.contains('@'))
}

/// Returns user, host, port and database, without the parts that an `@` among the parameters makes doubtful.
fn place(options: &PgConnectOptions, rest: &str) -> String {
    if rest.split_once('?').is_some_and(|(_, parameters)| parameters.contains('@')) {
        return "the address (write %40 for @ in its parameters to see it here)".to_owned();
    }
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    let place = format!("{}@{host}:{}/{database}", options.get_username(), options.get_port());
    place.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(url: &str) -> Result<String, String> {
        let read = read(url, &PostgresOptions::default());
        read.map(|address| address.place).map_err(|error| format!("{error} {error:?}"))
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, place) in [
            ("postgres://ada:hunter2@db.example.test:6432/auth", "ada@db.example.test:6432/auth"),
            ("postgresql://ada:hunter2@db/auth?sslmode=require", "ada@db:5432/auth"),
            ("postgres://ada:hun%40ter%2F2%3A%23%25%3F@[::1]/auth", "ada@[::1]:5432/auth"),
            ("postgres://ada:hunter2:x@y@db/auth", "ada@db:5432/auth"),
            ("postgres://db/auth?user=ada&password=hunter2", "ada@db:5432/auth"),
            ("postgres://ada@db", "ada@db:5432/ada"),
            ("postgres://ada@%2Fvar%2Frun/auth", "ada@/var/run:5432/auth"),
        ] {
            assert_eq!(place_of(url).as_deref(), Ok(place), "{url}");
        }
    }

    #[test]
    fn no_error_contains_a_part_of_a_password() {
        for piece in
            ["/", "#", "?", ":", "@", "%", "%zz", "%ff", "/12", "?user=", "?sslmode=", "?port=", "#@", "[", " ", "\\"]
        {
            for (head, tail) in [("hunter2", "swordfish"), ("12", "swordfish"), ("", "swordfish")] {
                let url = format!("postgres://ada:{head}{piece}{tail}@db.example.test:5432/auth");
                let shown = place_of(&url).unwrap_or_else(|error| error);
                assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{url}: {shown}");
                assert!(!shown.contains("ada:12"), "{url}: {shown}");
            }
        }
    }
}
