//! `keyward token update`.

use super::print_token;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::limit_arguments::{LIMIT_ARGUMENTS, LimitArguments};
use crate::reference::find_token;
use clap::Args;
use keyward::admin::{FieldName, TokenUpdate};

#[derive(Args)]
pub(crate) struct Update {
    /// The id of the token, or its name.
    token: String,
    /// The new name.
    #[arg(long)]
    name: Option<String>,
    /// The new description.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Admit the token again.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Reject the token until it is enabled.
    #[arg(long)]
    disable: bool,
    #[command(flatten)]
    limits: LimitArguments,
    /// Remove the networks: admit the token from everywhere.
    #[arg(long, conflicts_with = "network")]
    any_network: bool,
    /// Remove the rate limit.
    #[arg(long, conflicts_with = "rate")]
    no_rate: bool,
    /// Remove the idle expiry.
    #[arg(long, conflicts_with = "idle_expiry")]
    no_idle_expiry: bool,
}

impl Update {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { token, name, description, enable, disable, limits, any_network, no_rate, no_idle_expiry } = self;
        let keyward = context.open(Access::Change).await?;
        let id = find_token(keyward, &token).await?.token.id;
        let update = TokenUpdate {
            name,
            description,
            enabled: (enable || disable).then_some(enable),
            networks: (any_network || !limits.network.is_empty()).then_some(limits.network),
            rate: (no_rate || limits.rate.is_some()).then_some(limits.rate),
            idle_expiry: (no_idle_expiry || limits.idle_expiry.is_some()).then_some(limits.idle_expiry),
            ..TokenUpdate::default()
        };
        let [networks, rate, idle] = LIMIT_ARGUMENTS;
        let arguments = [(FieldName::Name, "--name"), (FieldName::Description, "--description"), networks, rate, idle];
        let updated = keyward.tokens().update(id, update).await;
        let updated = updated.map_err(|error| Failure::of_service(error, &arguments))?;
        print_token(context, &updated)
    }
}
