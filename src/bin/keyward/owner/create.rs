//! `keyward owner create`.

use super::{ARGUMENTS, OwnerShape, lay_out, print_invitation};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::reference::{find_roles, roles_by_id};
use clap::Args;
use keyward::NewOwner;
use keyward::accounts::AccountKind;

#[derive(Args)]
pub(crate) struct Create {
    /// The e-mail address of a person.
    #[arg(required_unless_present = "service", conflicts_with = "service")]
    email: Option<String>,
    /// Create a service with this name, which owns tokens and never signs in.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The first name of a person.
    #[arg(long, value_name = "NAME", conflicts_with = "service", default_value = "", hide_default_value = true)]
    firstname: String,
    /// The last name of a person.
    #[arg(long, value_name = "NAME", conflicts_with = "service", default_value = "", hide_default_value = true)]
    lastname: String,
    /// A role: the id, the code or the name; may be repeated.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// Make an invitation, and print its secret once: the person registers with it, and chooses the password. Without it, the person
    /// cannot sign in before `keyward reset-password`.
    #[arg(long, conflicts_with = "service")]
    invite: bool,
}

impl Create {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Change).await?;
        let roles = find_roles(keyward, &self.role).await?;
        let new = match (self.email, self.service) {
            (Some(email), _) => NewOwner::new(email).named(self.firstname, self.lastname),
            (None, service) => NewOwner::service(service.unwrap_or_default()),
        };
        let new = new.roles(roles);
        let mut arguments = ARGUMENTS;
        if new.kind != AccountKind::Person {
            arguments[1].1 = "--service";
        }
        let failure = |error| Failure::of_service(error, &arguments);
        if self.invite {
            let invitation = keyward.owners().invite(new).await.map_err(failure)?;
            return print_invitation(context, keyward, &invitation).await;
        }
        let owner = keyward.owners().create(new).await.map_err(failure)?;
        let roles = roles_by_id(keyward).await?;
        let shape = OwnerShape::new(&owner, &roles);
        context.out.print(&shape, |_| lay_out(&owner, &roles), |shape| Some(shape.id.to_string()))
    }
}
