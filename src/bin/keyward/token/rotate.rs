//! `keyward token rotate`.

use super::{print_secret, warn_of_missing_encryption};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_token;
use clap::Args;
use humantime::parse_duration;
use keyward::admin::FieldName;
use std::time::Duration;

#[derive(Args)]
pub(crate) struct Rotate {
    /// The id of the token, or its name.
    token: String,
    /// Admit the previous secret for this long: 1h, 7d.
    #[arg(long, value_name = "SPAN", value_parser = parse_duration, default_value = "0s", hide_default_value = true)]
    grace: Duration,
}

impl Rotate {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let has_key = context.has_encryption_key()?;
        let keyward = context.open(Access::Change).await?;
        let id = find_token(keyward, &self.token).await?.token.id;
        let issued = keyward.tokens().regenerate_with_grace(id, self.grace).await;
        let issued = issued.map_err(|error| Failure::of_service(error, &[(FieldName::GracePeriod, "--grace")]))?;
        warn_of_missing_encryption(keyward, has_key).await?;
        print_secret(context, keyward, &issued).await
    }
}
