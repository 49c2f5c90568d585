//! What permissions of this platform can name.

use crate::articles::{FIELDS, SUBJECT};
use keyward::authz::{ActionEntry, Catalogue, ResourceEntry};

pub(crate) fn catalogue() -> Catalogue {
    let deeds = [("create", "Create"), ("read", "Read"), ("update", "Update"), ("delete", "Delete")];
    let mut catalogue = Catalogue::default().resource(ResourceEntry::collection(SUBJECT, "Article").fields(FIELDS));
    for (deed, name) in deeds.into_iter().chain([("publish", "Publish")]) {
        let entry = ActionEntry::on_resources(format!("plugin::content-manager.explorer.{deed}"), name, [SUBJECT]);
        let of_fields = matches!(deed, "create" | "read" | "update");
        catalogue = catalogue.action(if of_fields { entry.with_fields() } else { entry });
    }
    for (deed, name) in deeds {
        catalogue = catalogue.action(ActionEntry::settings(format!("admin::webhooks.{deed}"), "Webhooks", name));
    }
    ["find", "findOne", "create", "update", "delete"]
        .into_iter()
        .fold(catalogue, |all, deed| all.content_action(format!("api::article.article.{deed}")))
}
