//! `keyward owner list`.

use super::{OwnerShape, role_names};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::output::table;
use crate::reference::roles_by_id;
use clap::Args;
use keyward::admin::Owner;
use keyward::store::{OwnerQuery, Paging};

#[derive(Args)]
pub(crate) struct List {
    /// Only owners whose e-mail address or name contains this text.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// The most owners to list.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Read).await?;
        let paging = Paging { page: 1, page_size: Paging::LARGEST };
        let mut query = OwnerQuery { search: self.search, ..OwnerQuery::all(paging) };
        let (mut owners, mut total): (Vec<Owner>, u64);
        owners = Vec::new();
        loop {
            let page = keyward.owners().list(&query).await?;
            let size = page.items.len();
            owners.extend(page.items);
            total = page.total;
            if owners.len() >= self.limit || size < Paging::LARGEST as usize {
                break;
            }
            query.paging.page += 1;
        }
        owners.truncate(self.limit);
        let roles = roles_by_id(keyward).await?;
        let shapes: Vec<OwnerShape> = owners.iter().map(|owner| OwnerShape::new(owner, &roles)).collect();
        let lines = |_: &Vec<OwnerShape>| {
            let row = |owner: &Owner| {
                let email = if owner.email.is_empty() { "-" } else { &owner.email };
                [
                    owner.id.to_string(),
                    owner.kind.as_str().to_owned(),
                    email.to_owned(),
                    owner.display_name(),
                    owner.state.as_str().to_owned(),
                    role_names(owner, &roles),
                ]
            };
            let rows: Vec<_> = owners.iter().map(row).collect();
            table(["ID", "KIND", "E-MAIL", "NAME", "STATE", "ROLES"], &rows)
        };
        let ids = |shapes: &Vec<OwnerShape>| {
            let ids: Vec<String> = shapes.iter().map(|shape| shape.id.to_string()).collect();
            (!ids.is_empty()).then(|| ids.join("\n"))
        };
        context.out.print(&shapes, lines, ids)?;
        if total > owners.len() as u64 {
            eprintln!("{} of {total} owners are listed: raise --limit, or use --search", owners.len());
        }
        Ok(())
    }
}
