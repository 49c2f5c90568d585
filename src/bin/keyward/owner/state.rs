//! `keyward owner suspend` and `keyward owner activate`.

use super::print_changed;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_owner;
use clap::Args;
use keyward::admin::{FieldName, OwnerState, OwnerUpdate};

#[derive(Args)]
pub(crate) struct Suspend {
    /// The id, the e-mail address of a person, or the name of a service.
    owner: String,
}

impl Suspend {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let before = find_owner(keyward, &self.owner).await?;
        let update = OwnerUpdate { active: Some(false), ..OwnerUpdate::default() };
        let owner = keyward.owners().update(before.id, update).await?;
        let sentence = match before.state {
            OwnerState::Invited => "withdrew the invitation of",
            _ => "suspended",
        };
        print_changed(context, keyward, &owner, sentence).await
    }
}

#[derive(Args)]
pub(crate) struct Activate {
    /// The id, the e-mail address of a person, or the name of a service.
    owner: String,
}

impl Activate {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let id = find_owner(keyward, &self.owner).await?.id;
        let owner = keyward.owners().set_state(id, OwnerState::Active).await;
        let owner = owner.map_err(|error| Failure::of_service(error, &[(FieldName::Active, "OWNER")]))?;
        print_changed(context, keyward, &owner, "activated").await
    }
}
