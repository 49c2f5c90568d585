//! `keyward token show`.

use super::{TokenShape, pairs};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::lifespan::{to_second, to_second_or};
use crate::output::record;
use crate::reference::find_token;
use clap::Args;

#[derive(Args)]
pub(crate) struct Show {
    /// The id of the token, or its name.
    token: String,
}

impl Show {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Read).await?;
        let described = find_token(keyward, &self.token).await?;
        let lines = |_: &TokenShape| {
            let mut pairs = pairs(&described);
            let token = &described.token;
            pairs.push(("created", to_second(token.created_at)));
            pairs.push(("changed", to_second(token.updated_at)));
            pairs.push(("last used", to_second_or(token.last_used_at, "never")));
            if let Some(tool) = &token.last_used_tool {
                pairs.push(("last tool", tool.to_string()));
            }
            if !token.hint.is_empty() {
                pairs.push(("secret", format!("ends in {}", token.hint)));
            }
            record(&pairs)
        };
        context.out.print(&TokenShape::from(&described), lines, |shape| Some(shape.id.to_string()))
    }
}
