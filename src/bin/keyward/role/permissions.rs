//! `keyward role set-permissions`.

use super::{PermissionArguments, print_changed, print_clamped};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_role;
use clap::Args;

#[derive(Args)]
pub(crate) struct SetPermissions {
    /// The id of the role, its code or its name.
    role: String,
    #[command(flatten)]
    permissions: PermissionArguments,
    /// Take all permissions from the role.
    #[arg(long, conflicts_with_all = ["allow", "permissions_file"])]
    none: bool,
    /// Only print what the tokens of members would lose.
    #[arg(long)]
    dry_run: bool,
}

impl SetPermissions {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { role, permissions, none, dry_run } = self;
        let (arguments, permissions) = (permissions.of_fields(), permissions.read(context)?);
        if permissions.is_empty() && !none {
            return Err(Failure::usage("--allow or --permissions-file is missing; --none takes all permissions away"));
        }
        let keyward = context.open(Access::Change).await?;
        let (role, members) = find_role(keyward, &role).await?;
        let failure = |error| Failure::of_service(error, &arguments);
        if dry_run {
            let clamped = keyward.roles().preview_clamp(role.id, permissions).await.map_err(failure)?;
            return print_clamped(context, clamped);
        }
        let role = keyward.roles().set_permissions(role.id, permissions).await.map_err(failure)?;
        print_changed(context, &role, members, "set the permissions of")
    }
}
