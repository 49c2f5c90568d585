//! `keyward token end-grace`.

use super::print_token;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_token;
use clap::Args;

#[derive(Args)]
pub(crate) struct EndGrace {
    /// The id of the token, or its name.
    token: String,
}

impl EndGrace {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let id = find_token(keyward, &self.token).await?.token.id;
        let token = keyward.tokens().end_grace(id).await?;
        print_token(context, &token)
    }
}
