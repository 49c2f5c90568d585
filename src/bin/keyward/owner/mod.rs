//! `keyward owner`: the people and services that own tokens.

mod create;
mod delete;
mod invite;
mod list;
mod roles;
mod show;
mod state;

use crate::context::Context;
use crate::failure::Failure;
use crate::lifespan::to_second;
use crate::output::record;
use crate::reference::{owner_text, roles_by_id};
use crate::shapes::OwnerShape;
use clap::Subcommand;
use keyward::accounts::AccountKind;
use keyward::admin::{FieldName, Invitation, Owner, Role};
use keyward::{Keyward, RoleId};
use std::collections::HashMap;

/// The arguments that the fields of an owner come from.
const ARGUMENTS: [(FieldName, &str); 5] = [
    (FieldName::Email, "EMAIL"),
    (FieldName::Firstname, "--firstname"),
    (FieldName::Lastname, "--lastname"),
    (FieldName::Username, "--username"),
    (FieldName::Roles, "--role"),
];

#[derive(Subcommand)]
pub(crate) enum OwnerCommand {
    /// Create a person or a service.
    Create(create::Create),
    /// Invite a person again who has not registered, and print the secret of the invitation once. Earlier ones are void.
    Invite(invite::Invite),
    /// List owners.
    List(list::List),
    /// Show an owner.
    Show(show::Show),
    /// Suspend an owner: sessions end, and tokens are rejected until it is active again.
    Suspend(state::Suspend),
    /// Make a suspended or blocked owner active again.
    Activate(state::Activate),
    /// Delete an owner with all of its tokens and sessions.
    Delete(delete::Delete),
    /// Replace the roles of an owner. Its tokens lose for good what it no longer holds.
    SetRoles(roles::SetRoles),
}

impl OwnerCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(context).await,
            Self::Invite(invite) => invite.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Suspend(suspend) => suspend.run(context).await,
            Self::Activate(activate) => activate.run(context).await,
            Self::Delete(delete) => delete.run(context).await,
            Self::SetRoles(set_roles) => set_roles.run(context).await,
        }
    }
}

/// Prints an owner after a change: a sentence for people.
async fn print_changed(context: &Context, keyward: &Keyward, owner: &Owner, sentence: &str) -> Result<(), Failure> {
    let roles = roles_by_id(keyward).await?;
    let shape = OwnerShape::new(owner, &roles);
    let lines = |shape: &OwnerShape| format!("{sentence} owner {} ({})", shape.id, owner_text(owner));
    context.out.print(&shape, lines, |_| None)
}

/// Prints an owner with a new invitation: with `--quiet` its secret alone.
async fn print_invitation(context: &Context, keyward: &Keyward, invitation: &Invitation) -> Result<(), Failure> {
    let roles = roles_by_id(keyward).await?;
    let mut shape = OwnerShape::new(&invitation.owner, &roles);
    shape.registration_token = Some(invitation.secret.expose().to_owned());
    let lines = |shape: &OwnerShape| {
        let mut pairs = pairs(&invitation.owner, &roles);
        pairs.push(("invitation", shape.registration_token.clone().unwrap_or_default()));
        pairs.push(("valid until", to_second(invitation.ends)));
        record(&pairs)
    };
    context.out.print(&shape, lines, |shape| shape.registration_token.clone())?;
    context.out.note("The invitation is not shown again.");
    Ok(())
}

/// Returns names and values of an owner.
fn pairs(owner: &Owner, roles: &HashMap<RoleId, Role>) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("id", owner.id.to_string())];
    if owner.kind != AccountKind::Person {
        pairs.push(("kind", owner.kind.as_str().to_owned()));
    }
    if let Some(account) = &owner.account {
        pairs.push(("account", account.to_string()));
    }
    pairs.push(("name", owner.display_name()));
    if !owner.email.is_empty() {
        pairs.push(("e-mail", owner.email.clone()));
    }
    pairs.push(("state", owner.state.as_str().to_owned()));
    pairs.push(("roles", role_names(owner, roles)));
    pairs
}

fn role_names(owner: &Owner, roles: &HashMap<RoleId, Role>) -> String {
    let names: Vec<&str> = owner.roles.iter().filter_map(|id| roles.get(id)).map(|role| role.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Lays an owner out.
fn lay_out(owner: &Owner, roles: &HashMap<RoleId, Role>) -> String {
    record(&pairs(owner, roles))
}
