//! `keyward role create`.

use super::{PermissionArguments, RoleShape, lay_out};
use crate::context::{Access, Context};
use crate::failure::Failure;
use clap::Args;
use keyward::NewRole;

#[derive(Args)]
pub(crate) struct Create {
    /// The name of the role.
    name: String,
    /// A free text.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,
    #[command(flatten)]
    permissions: PermissionArguments,
}

impl Create {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { name, description, permissions } = self;
        let (arguments, permissions) = (permissions.of_fields(), permissions.read(context)?);
        let keyward = context.open(Access::Change).await?;
        let new = NewRole::new(name).description(description).permissions(permissions);
        let role = keyward.roles().create(new).await.map_err(|error| Failure::of_service(error, &arguments))?;
        let shape = RoleShape::new(&role, 0).with_permissions(&role);
        context.out.print(&shape, |_| lay_out(&role, 0), |shape| Some(shape.id.to_string()))
    }
}
