//! `keyward token rotate`.

use super::{print_secret, warn_of_missing_encryption};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_token;
use clap::Args;

#[derive(Args)]
pub(crate) struct Rotate {
    /// The id of the token, or its name.
    token: String,
}

impl Rotate {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let has_key = context.has_encryption_key()?;
        let keyward = context.open(Access::Change).await?;
        let id = find_token(keyward, &self.token).await?.token.id;
        let issued = keyward.tokens().regenerate(id).await?;
        warn_of_missing_encryption(keyward, has_key).await?;
        print_secret(context, keyward, &issued).await
    }
}
