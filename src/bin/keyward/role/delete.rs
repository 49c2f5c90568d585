//! `keyward role delete`.

use super::print_changed;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_role;
use clap::Args;

#[derive(Args)]
pub(crate) struct Delete {
    /// The id of the role, its code or its name.
    role: String,
}

impl Delete {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let id = find_role(keyward, &self.role).await?.0.id;
        let role = keyward.roles().delete(id).await?;
        print_changed(context, &role, 0, "deleted")
    }
}
