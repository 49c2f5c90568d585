//! The command line tool of keyward: it makes and changes tokens, owners and roles in the database of an installation.
//!
//! It works on the database, beside running servers: they read its changes from the log of changes.

#![forbid(unsafe_code)]

mod arguments;
mod audit;
mod backup;
mod check;
mod completions;
mod context;
mod database;
mod env_file;
mod failure;
mod import;
mod init;
mod key_settings;
mod lifespan;
mod limit_arguments;
mod output;
mod owner;
mod reference;
mod reset_password;
mod role;
mod scope_text;
mod secret_input;
mod shapes;
mod token;
mod warnings;

use arguments::{Arguments, Command};
use clap::Parser;
use context::Context;
use failure::Failure;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { settings, command } = Arguments::parse();
    warnings::print();
    let context = Context::new(settings);
    let done = run(command, &context).await;
    context.close().await;
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Init(init) => init.run(context).await,
        Command::Token(token) => token.run(context).await,
        Command::Owner(owner) => owner.run(context).await,
        Command::Role(role) => role.run(context).await,
        Command::Audit(audit) => audit.run(context).await,
        Command::Import(import) => import.run(context).await,
        Command::Check(check) => check.run(context).await,
        Command::ResetPassword(reset) => reset.run(context).await,
        Command::Backup(backup) => backup.run(context).await,
        Command::Restore(restore) => restore.run(context).await,
        Command::Completions(completions) => completions.run(),
    }
}
