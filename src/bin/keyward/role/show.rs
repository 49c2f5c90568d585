//! `keyward role show`.

use super::{RoleShape, lay_out};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_role;
use clap::Args;

#[derive(Args)]
pub(crate) struct Show {
    /// The id of the role, its code or its name.
    role: String,
}

impl Show {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Read).await?;
        let (role, members) = find_role(keyward, &self.role).await?;
        let shape = RoleShape::new(&role, members).with_permissions(&role);
        context.out.print(&shape, |_| lay_out(&role, members), |shape| Some(shape.id.to_string()))
    }
}
