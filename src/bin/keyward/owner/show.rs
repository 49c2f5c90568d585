//! `keyward owner show`.

use super::{OwnerShape, lay_out};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::{find_owner, roles_by_id};
use clap::Args;

#[derive(Args)]
pub(crate) struct Show {
    /// The id, the e-mail address of a person, or the name of a service.
    owner: String,
}

impl Show {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Read).await?;
        let owner = find_owner(keyward, &self.owner).await?;
        let roles = roles_by_id(keyward).await?;
        let shape = OwnerShape::new(&owner, &roles);
        context.out.print(&shape, |_| lay_out(&owner, &roles), |shape| Some(shape.id.to_string()))
    }
}
