//! `keyward owner set-roles`.

use super::print_changed;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::{find_owner, find_roles};
use crate::role::print_clamped;
use clap::Args;
use keyward::admin::FieldName;

#[derive(Args)]
pub(crate) struct SetRoles {
    /// The id, the e-mail address of a person, or the name of a service.
    owner: String,
    /// All roles that the owner shall have, by id, code or name.
    #[arg(required_unless_present = "none", conflicts_with = "none")]
    roles: Vec<String>,
    /// Take all roles away.
    #[arg(long)]
    none: bool,
    /// Only print what the owner's tokens would lose.
    #[arg(long)]
    dry_run: bool,
}

impl SetRoles {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let id = find_owner(keyward, &self.owner).await?.id;
        let roles = find_roles(keyward, &self.roles).await?;
        let failure = |error| Failure::of_service(error, &[(FieldName::Roles, "ROLES")]);
        if self.dry_run {
            let clamped = keyward.owners().preview_clamp(id, roles).await.map_err(failure)?;
            return print_clamped(context, clamped);
        }
        let owner = keyward.owners().set_roles(id, roles).await.map_err(failure)?;
        print_changed(context, keyward, &owner, "set the roles of").await
    }
}
