//! `keyward token find`.

use super::print_token;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::reject_secret;
use clap::Args;
use keyward::admin::ServiceError;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Find {
    /// The file with the secret, or with a text that contains it; - is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
}

impl Find {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        reject_secret(&self.file.to_string_lossy())?;
        let text = if self.file == Path::new("-") && std::io::stdin().is_terminal() {
            context.stdin.secret("secret", &self.file)?
        } else {
            context.stdin.text("FILE", &self.file)?
        };
        // The digest of a secret takes the hash key.
        let keyward = context.open(Access::Change).await?;
        let found = keyward.tokens().find(&text).await.map_err(|error| match error {
            ServiceError::NotFound(_) => Failure::NotFound("the text has no secret of a token".to_owned()),
            error => error.into(),
        })?;
        print_token(context, &found)
    }
}
