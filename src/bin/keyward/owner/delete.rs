//! `keyward owner delete`.

use super::print_changed;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_owner;
use clap::Args;

#[derive(Args)]
pub(crate) struct Delete {
    /// The id, the e-mail address of a person, or the name of a service.
    owner: String,
}

impl Delete {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let id = find_owner(keyward, &self.owner).await?.id;
        let owner = keyward.owners().delete(id).await?;
        print_changed(context, keyward, &owner, "deleted").await
    }
}
