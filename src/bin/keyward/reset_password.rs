//! `keyward reset-password`.

use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_owner;
use clap::Args;
use keyward::admin::{FieldName, Password};
use keyward::token::{Entropy, OsEntropy};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct ResetPassword {
    /// The e-mail address of the person.
    email: String,
    /// Read the password from this file, or - for standard input. Without it, a password is made and printed once.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct ResetShape {
    id: i64,
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl ResetPassword {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (password, made) = read_or_make(context, self.password_file.as_deref())?;
        let keyward = context.open(Access::Change).await?;
        let owner = find_owner(keyward, &self.email).await?;
        let set = keyward.owners().set_password(owner.id, password).await;
        set.map_err(|error| Failure::of_service(error, &[(FieldName::Password, "--password-file")]))?;
        let lines = |shape: &ResetShape| match &shape.password {
            Some(password) => password.clone(),
            None => format!("set the password of {}", shape.email),
        };
        let shape = ResetShape { id: owner.id.0, email: owner.email, password: made };
        context.out.print(&shape, lines, |shape| shape.password.clone())?;
        context.out.note("All of their sessions have ended.");
        Ok(())
    }
}

/// Reads the password, or makes one. Returns the text of one that was made.
pub(crate) fn read_or_make(
    context: &Context,
    file: Option<&std::path::Path>,
) -> Result<(Password, Option<String>), Failure> {
    if let Some(file) = file {
        return Ok((Password::new(context.stdin.secret("--password-file", file)?), None));
    }
    let mut random = [0; 16];
    OsEntropy.fill(&mut random).map_err(|error| Failure::failed(error.to_string()))?;
    // The rules of passwords ask for a capital letter, a small one and a digit.
    let text = format!("Kw1-{}", hex::encode(random));
    Ok((Password::new(text.as_str()), Some(text)))
}
