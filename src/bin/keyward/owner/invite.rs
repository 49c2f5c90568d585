//! `keyward owner invite`.

use super::print_invitation;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::find_owner;
use clap::Args;

#[derive(Args)]
pub(crate) struct Invite {
    /// The id or the e-mail address of the person.
    owner: String,
}

impl Invite {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let id = find_owner(keyward, &self.owner).await?.id;
        let invitation = keyward.owners().invite_again(id).await?;
        print_invitation(context, keyward, &invitation).await
    }
}
