//! `keyward check`.

use crate::context::Context;
use crate::database::Database;
use crate::failure::{Failure, one_line};
use crate::key_settings::Keys;
use crate::output::{are, count, table};
use clap::Args;
use keyward::admin::ServiceError;
use keyward::store::KeyKind;
use keyward::time::{Clock, SystemClock};
use keyward::token::OwnerId;
use keyward::{Keyward, PostgresStore, SqliteStore};
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, Row};
use std::net::IpAddr;

/// The difference of two clocks above which the check warns.
const MOST_SKEW_MS: i64 = 1_000;

#[derive(Args)]
pub(crate) struct Check {}

/// The result of all checks.
#[derive(Serialize)]
struct CheckShape {
    ok: bool,
    checks: Vec<Finding>,
}

/// The result of one check.
#[derive(Serialize)]
struct Finding {
    name: &'static str,
    status: Status,
    message: String,
}

#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warning,
    Failed,
}

impl Check {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let database = context.database()?;
        let keys = Keys::read(&context.variables()?, &context.settings, &context.stdin)?;
        let configured = (keys.hash_keys.is_some(), keys.encryption.is_some());
        let source = keys.hash_key_source.clone();
        let keyward = context.build(database.open(false).await?, keys, |builder| builder).await?;
        let mut checks = vec![finding("database", Status::Ok, tables(&database))];
        checks.extend(check_keys(keyward, configured, &source).await?);
        checks.push(check_people(keyward).await?);
        checks.push(check_clock(keyward, &database).await?);
        checks.push(check_encryption(&database, context.settings.pooler).await?);
        let failed = checks.iter().filter(|check| check.status == Status::Failed).count();
        let shape = CheckShape { ok: failed == 0, checks };
        let word = |shape: &CheckShape| {
            let failed = shape.checks.iter().filter(|check| check.status == Status::Failed);
            let lines: Vec<String> = failed.map(|check| format!("{}: {}", check.name, check.message)).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        context.out.print(&shape, lay_out, word)?;
        match failed {
            0 => Ok(()),
            1 => Err(Failure::failed("1 check has failed")),
            n => Err(Failure::failed(format!("{n} checks have failed"))),
        }
    }
}

fn lay_out(shape: &CheckShape) -> String {
    let word = |status| match status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Failed => "FAILED",
    };
    let row = |check: &Finding| [word(check.status).to_owned(), check.name.to_owned(), check.message.clone()];
    let rows: Vec<_> = shape.checks.iter().map(row).collect();
    table(["RESULT", "CHECK", "FINDING"], &rows)
}

fn finding(name: &'static str, status: Status, message: impl Into<String>) -> Finding {
    Finding { name, status, message: message.into() }
}

/// The store opens only if its tables have every migration.
fn tables(database: &Database) -> String {
    let files = match database {
        Database::File(_) => SqliteStore::migration_files(),
        Database::Postgres { .. } => PostgresStore::migration_files(),
    };
    let newest = files.last().map(|file| file.name.trim_end_matches(".sql").to_owned()).unwrap_or_default();
    format!("{database}, tables as of {newest}")
}

/// Compares the configured keys with the data.
async fn check_keys(
    keyward: &Keyward,
    (has_hash_key, has_encryption_key): (bool, bool),
    source: &str,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    if !has_hash_key {
        let message = "KEYWARD_HASH_KEY is not set: this machine can read, and change nothing";
        findings.push(finding("keys", Status::Warning, message));
        return Ok(findings);
    }
    let reports = match keyward.check_keys().await {
        Ok(reports) => reports,
        Err(ServiceError::KeyMismatch(mismatch)) => {
            findings.push(finding("keys", Status::Failed, mismatch.to_string()));
            return Ok(findings);
        }
        Err(error) => return Err(error.into()),
    };
    findings.push(finding("keys", Status::Ok, format!("{source} and the token prefix fit the data")));
    for report in reports {
        let (id, tokens) = (&report.usage.id, report.usage.tokens);
        let (status, message) = match (report.usage.kind, report.is_configured) {
            (KeyKind::Encryption, true) => {
                (Status::Ok, format!("{} sealed with encryption key {id}", are(tokens, "secret")))
            }
            (KeyKind::Encryption, false) if has_encryption_key => (
                Status::Warning,
                format!(
                    "{} sealed with encryption key {id}, which is not configured: they cannot be viewed",
                    are(tokens, "secret")
                ),
            ),
            (KeyKind::Encryption, false) => (
                Status::Warning,
                format!(
                    "{} sealed, and KEYWARD_ENCRYPTION_KEY is not set: secrets that are made here cannot be viewed again",
                    are(tokens, "secret")
                ),
            ),
            (_, true) => (Status::Ok, format!("hash key {id}: {}", count(tokens, "token"))),
            // The servers declare the form of adopted keys, which this tool does not know.
            (_, false) if id.starts_with("legacy:") => (Status::Ok, format!("{id}: {}", count(tokens, "adopted key"))),
            (_, false) => (
                Status::Warning,
                format!(
                    "hash key {id}, which is not configured here: {}, which servers reject if they lack it too",
                    count(tokens, "token")
                ),
            ),
        };
        findings.push(finding("keys", status, message));
    }
    Ok(findings)
}

/// Checks that a super admin can sign in.
async fn check_people(keyward: &Keyward) -> Result<Finding, Failure> {
    let mut view = keyward.store().view().await?;
    // No owner has this id.
    let admins = view.other_super_admins(OwnerId(0)).await?;
    Ok(match admins {
        0 => finding(
            "people",
            Status::Warning,
            "there is no active super admin: `keyward init --admin EMAIL` registers the first one",
        ),
        1 => finding("people", Status::Ok, "1 active super admin"),
        n => finding("people", Status::Ok, format!("{n} active super admins")),
    })
}

/// Compares the clock of this machine with that of the database, by which tokens expire.
async fn check_clock(keyward: &Keyward, database: &Database) -> Result<Finding, Failure> {
    if matches!(database, Database::File(_)) {
        return Ok(finding("clock", Status::Ok, "tokens expire by the clock of this machine"));
    }
    let before = SystemClock.now().0;
    let there = keyward.store().view().await?.now().0;
    let here = before + (SystemClock.now().0 - before) / 2;
    let skew = there - here;
    let message = match skew {
        0.. => format!("the clock of the database is {skew} ms ahead of this machine's"),
        _ => format!("the clock of the database is {} ms behind this machine's", -skew),
    };
    let status = if skew.abs() <= MOST_SKEW_MS { Status::Ok } else { Status::Warning };
    Ok(finding("clock", status, message))
}

/// Checks that the connection is encrypted, if it leaves this machine.
async fn check_encryption(database: &Database, pooler: bool) -> Result<Finding, Failure> {
    const NAME: &str = "tls";
    let Database::Postgres { url, .. } = database else {
        return Ok(finding(NAME, Status::Ok, "a file needs no connection"));
    };
    let failure = |error: sqlx::Error| Failure::Unavailable(one_line(&error));
    let options = url.parse::<PgConnectOptions>().map_err(failure)?;
    let mut connection = database.connect_postgres().await.map_err(failure)?;
    let select = "SELECT ssl, version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = sqlx::query(select).persistent(false).fetch_optional(&mut connection).await.map_err(failure)?;
    _ = connection.close().await;
    let text = |column| row.as_ref().and_then(|row| row.try_get::<Option<String>, _>(column).ok().flatten());
    let is_encrypted = row.as_ref().is_some_and(|row| row.try_get::<bool, _>("ssl").unwrap_or_default());
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    if pooler {
        // The server sees the connection of the pooler only.
        return Ok(finding(NAME, Status::Warning, "the connection to the pooler is not checked"));
    }
    let (status, message) = judge_encryption(is_encrypted, is_verified, is_this_machine(options.get_host()));
    Ok(match (text("version"), text("cipher")) {
        (Some(version), Some(cipher)) => finding(NAME, status, format!("{version}, {cipher}: {message}")),
        _ => finding(NAME, status, message),
    })
}

fn judge_encryption(is_encrypted: bool, is_verified: bool, is_local: bool) -> (Status, &'static str) {
    match (is_encrypted, is_verified, is_local) {
        (true, true, _) => (Status::Ok, "encrypted, and the certificate is verified"),
        (true, false, true) => (Status::Ok, "encrypted, within this machine"),
        (true, false, false) => {
            (Status::Warning, "encrypted, and the certificate is not verified: add sslmode=verify-full to the address")
        }
        (false, _, true) => (Status::Ok, "not encrypted, within this machine"),
        (false, _, false) => {
            (Status::Failed, "not encrypted, and it leaves this machine: add sslmode=verify-full to the address")
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.is_empty()
        || host.starts_with('/')
        || host == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_leave_the_machine_are_encrypted() {
        let status = |encrypted, verified, local| judge_encryption(encrypted, verified, local).0;
        assert_eq!(status(false, false, false), Status::Failed);
        assert_eq!(status(true, false, false), Status::Warning);
        for (encrypted, verified, local) in
            [(true, true, false), (true, true, true), (true, false, true), (false, false, true)]
        {
            assert_eq!(status(encrypted, verified, local), Status::Ok);
        }
        for host in ["", "/run/postgresql", "localhost", "127.0.0.1", "127.8.0.1", "::1", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["db.example.test", "10.0.0.1", "localhost.example.test", "::2"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
