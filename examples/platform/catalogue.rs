//! The catalogue: the actions and fields that permissions of this platform can name.

use crate::articles::{FIELDS, RESOURCE};
use keyward::authz::{ActionEntry, Catalogue, ResourceEntry};

pub(crate) fn catalogue() -> Catalogue {
    let actions = [("create", "Create"), ("read", "Read"), ("update", "Update"), ("delete", "Delete")];
    let mut catalogue = Catalogue::default().resource(ResourceEntry::collection(RESOURCE, "Article").fields(FIELDS));
    for (verb, name) in actions.into_iter().chain([("publish", "Publish")]) {
        let entry = ActionEntry::on_resources(format!("plugin::content-manager.explorer.{verb}"), name, [RESOURCE]);
        let has_fields = matches!(verb, "create" | "read" | "update");
        catalogue = catalogue.action(if has_fields { entry.with_fields() } else { entry });
    }
    for (verb, name) in actions {
        catalogue = catalogue.action(ActionEntry::settings(format!("admin::webhooks.{verb}"), "Webhooks", name));
    }
    ["find", "findOne", "create", "update", "delete"]
        .into_iter()
        .fold(catalogue, |all, verb| all.content_action(format!("api::article.article.{verb}")))
}
