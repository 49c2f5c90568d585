//! `keyward role list`.

use super::RoleShape;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::output::table;
use clap::Args;
use keyward::admin::Role;

#[derive(Args)]
pub(crate) struct List {}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Read).await?;
        let roles = keyward.roles().list().await?;
        let shapes: Vec<RoleShape> = roles.iter().map(|(role, members)| RoleShape::new(role, *members)).collect();
        let lines = |_: &Vec<RoleShape>| {
            let row = |(role, members): &(Role, u64)| {
                let permissions = match role.id {
                    keyward::RoleId::SUPER_ADMIN => "all".to_owned(),
                    _ => role.permissions.len().to_string(),
                };
                [role.id.to_string(), role.name.clone(), members.to_string(), permissions, role.description.clone()]
            };
            let rows: Vec<_> = roles.iter().map(row).collect();
            table(["ID", "NAME", "MEMBERS", "PERMISSIONS", "DESCRIPTION"], &rows)
        };
        let ids = |shapes: &Vec<RoleShape>| {
            let ids: Vec<String> = shapes.iter().map(|shape| shape.id.to_string()).collect();
            (!ids.is_empty()).then(|| ids.join("\n"))
        };
        context.out.print(&shapes, lines, ids)
    }
}
