//! `keyward token revoke`.

use super::TokenShape;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_token;
use clap::Args;

#[derive(Args)]
pub(crate) struct Revoke {
    /// The id of the token, or its name.
    token: String,
}

impl Revoke {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let described = find_token(keyward, &self.token).await?;
        keyward.tokens().revoke(described.token.id).await?;
        let lines = |shape: &TokenShape| format!("revoked token {} ({})", shape.id, shape.name);
        context.out.print(&TokenShape::from(&described), lines, |_| None)
    }
}
