//! `keyward role`: the roles that bound owners and their tokens.

mod create;
mod delete;
mod list;
mod permissions;
mod show;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{count, record};
use crate::scope_text::{ScopeText, parse_permissions, with_conditions};
use crate::shapes::RoleShape;
use clap::{Args, Subcommand};
use keyward::Permission;
use keyward::admin::{FieldName, Role};
use keyward::store::Clamped;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum RoleCommand {
    /// List roles.
    List(list::List),
    /// Show a role with its permissions.
    Show(show::Show),
    /// Create a role.
    Create(create::Create),
    /// Replace the permissions of a role. Tokens of its members lose for good what their owners no longer hold.
    SetPermissions(permissions::SetPermissions),
    /// Delete a role that no owner has.
    Delete(delete::Delete),
}

impl RoleCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Create(create) => create.run(context).await,
            Self::SetPermissions(set_permissions) => set_permissions.run(context).await,
            Self::Delete(delete) => delete.run(context).await,
        }
    }
}

/// The permissions that a command gives to a role.
#[derive(Args)]
struct PermissionArguments {
    /// An action that the role allows; may be repeated.
    #[arg(long, value_name = crate::scope_text::FORM)]
    allow: Vec<ScopeText>,
    /// Read permissions from this file, or - for standard input: a JSON list in the form of the management API. It can have conditions.
    #[arg(long, value_name = "FILE")]
    permissions_file: Option<PathBuf>,
}

impl PermissionArguments {
    /// Returns the arguments that the fields of a role come from.
    fn of_fields(&self) -> [(FieldName, &'static str); 3] {
        let permissions = if self.permissions_file.is_some() { "--permissions-file" } else { "--allow" };
        [(FieldName::Name, "NAME"), (FieldName::Description, "--description"), (FieldName::Permissions, permissions)]
    }

    /// Returns the permissions.
    fn read(self, context: &Context) -> Result<Vec<Permission>, Failure> {
        let mut permissions: Vec<Permission> = self.allow.into_iter().map(ScopeText::permission).collect();
        if let Some(file) = self.permissions_file {
            let text = context.stdin.text("--permissions-file", &file)?;
            let listed =
                parse_permissions(&text).map_err(|why| Failure::usage(format!("--permissions-file: {why}")))?;
            permissions.extend(listed);
        }
        Ok(permissions)
    }
}

/// Prints a role after a change: a sentence for people.
fn print_changed(context: &Context, role: &Role, members: u64, sentence: &str) -> Result<(), Failure> {
    let shape = RoleShape::new(role, members).with_permissions(role);
    let lines = |shape: &RoleShape| format!("{sentence} role {} ({})", shape.id, role.name);
    context.out.print(&shape, lines, |shape| Some(shape.id.to_string()))
}

/// What a change would remove from tokens.
#[derive(Serialize)]
struct ClampedShape {
    tokens: u64,
    grants: u64,
}

/// Prints what a change would remove from tokens.
pub(crate) fn print_clamped(context: &Context, Clamped { tokens, grants, .. }: Clamped) -> Result<(), Failure> {
    let lines = |shape: &ClampedShape| {
        format!(
            "nothing was changed; it would remove {} from {}",
            count(shape.grants, "grant"),
            count(shape.tokens, "token")
        )
    };
    context.out.print(&ClampedShape { tokens, grants }, lines, |shape| Some(shape.grants.to_string()))
}

/// Lays a role out.
fn lay_out(role: &Role, members: u64) -> String {
    let mut pairs = vec![("id", role.id.to_string()), ("name", role.name.clone())];
    if let Some(code) = &role.code {
        pairs.push(("code", code.clone()));
    }
    if !role.description.is_empty() {
        pairs.push(("description", role.description.clone()));
    }
    pairs.push(("members", members.to_string()));
    if role.id == keyward::RoleId::SUPER_ADMIN {
        pairs.push(("allows", "everything".to_owned()));
    }
    let text = |permission: &Permission| {
        with_conditions(ScopeText(permission.scope.clone()).to_string(), permission.when.as_slice())
    };
    pairs.extend(role.permissions.iter().map(|permission| ("allows", text(permission))));
    record(&pairs)
}
