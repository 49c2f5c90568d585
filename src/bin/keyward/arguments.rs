//! The arguments of the command line.

use crate::audit::AuditCommand;
use crate::backup::{Backup, Restore};
use crate::check::Check;
use crate::completions::Completions;
use crate::import::ImportCommand;
use crate::init::Init;
use crate::owner::OwnerCommand;
use crate::reset_password::ResetPassword;
use crate::role::RoleCommand;
use crate::token::TokenCommand;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Environment:
  KEYWARD_DATABASE        the database, if --database is missing
  KEYWARD_HASH_KEY        the hash keys of the installation, as its servers have them
  KEYWARD_ENCRYPTION_KEY  the encryption keys, if the installation has some
  KEYWARD_STRAPI_HASH_KEY the salt of Strapi, if its tokens were imported
  .._FILE                 each of these with _FILE appended names a file to read it from

Exit codes:
  0  done
  1  rejected or failed: the message says why
  2  wrong usage
  3  a token, an owner or a role does not exist
  4  the database is unavailable

Secrets are never arguments, which other users of the machine could see. They come from the environment, from a file, or, with - for
the file, from standard input; on a terminal the tool asks for them.";

/// Manages the tokens, owners and roles of a keyward installation.
///
/// It works on the database, also while servers run on it: they follow its changes within 2 seconds.
#[derive(Parser)]
#[command(name = "keyward", version, after_help = AFTER_HELP, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The settings that all commands share.
#[derive(Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// The database: sqlite:FILE, or postgres://USER@HOST/DATABASE.
    #[arg(long, global = true, value_name = "DATABASE")]
    pub(crate) database: Option<String>,
    /// The PostgreSQL schema of the tables; by default the search_path of the role finds it.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) schema: Option<String>,
    /// The PostgreSQL address is a pooler in transaction mode, such as PgBouncer.
    #[arg(long, global = true)]
    pub(crate) pooler: bool,
    /// The word that secrets begin with [default: that of the database, else kw]; with labels acme_ADMIN|CONTENT|SESSION.
    #[arg(long, global = true, value_name = "WORD")]
    pub(crate) prefix: Option<String>,
    /// Read the hash keys from this file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) hash_key_file: Option<PathBuf>,
    /// Read the encryption keys from this file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) encryption_key_file: Option<PathBuf>,
    /// Read KEYWARD_ variables that are not set from this file of NAME=VALUE lines.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Print JSON, with the members of the management API: an object for a record, an array for a list.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only what a script needs: the secret that was made, or ids.
    #[arg(long, short, global = true, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create or migrate the database, make its keys, and register the first super admin.
    ///
    /// Without KEYWARD_HASH_KEY it makes a hash key, and writes it to a new file that only its owner may read: --env-file, or keyward.env.
    Init(Init),
    /// Issue, list, show, rotate and revoke tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create, list, suspend and delete the people and services that own tokens.
    #[command(subcommand)]
    Owner(OwnerCommand),
    /// List, create and change roles, which bound what owners and their tokens may do.
    #[command(subcommand)]
    Role(RoleCommand),
    /// Follow or export the audit log as JSON lines.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Import tokens from Strapi, or the digests of keys that another system has issued.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Check the settings, the keys, the tables, the clock and the connection.
    ///
    /// It changes nothing. The exit code is 1 if a check has failed; warnings do not count.
    Check(Check),
    /// Set a new password for a person. Their sessions end.
    ResetPassword(ResetPassword),
    /// Copy the SQLite database to a new file; running servers are not interrupted.
    Backup(Backup),
    /// Replace the SQLite database by a backup; no server may be using it.
    Restore(Restore),
    /// Print completions for a shell.
    Completions(Completions),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
