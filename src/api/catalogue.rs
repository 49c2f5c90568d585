//! `/permissions`: the catalogue of actions, resources and conditions, in Strapi's form.

use super::answer::Data;
use super::state::Api;
use crate::domain::{ActionEntry, Catalogue, ConditionId, Conditions, ResourceEntry, ResourceKind, Section};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

/// The catalogue of permissions.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Permissions {
    conditions: Vec<Condition>,
    sections: Sections,
}

/// A condition.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    id: String,
    display_name: String,
    category: &'static str,
}

/// Actions, by section of Strapi's panel.
#[derive(Serialize, ToSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sections {
    plugins: Vec<PluginAction>,
    settings: Vec<SettingsAction>,
    single_types: ContentTypes,
    collection_types: ContentTypes,
}

/// An action of a plugin.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PluginAction {
    display_name: String,
    action: String,
    sub_category: String,
    plugin: String,
}

/// An action of the settings.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SettingsAction {
    display_name: String,
    category: String,
    sub_category: String,
    action: String,
}

/// Subjects and their actions.
#[derive(Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
struct ContentTypes {
    #[serde(rename = "subjects")]
    resources: Vec<ContentType>,
    actions: Vec<ContentAction>,
}

/// A subject: the resource of an action, as Strapi calls it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ContentType {
    uid: String,
    label: String,
    properties: Vec<Property>,
}

/// A property that permissions on a subject can be limited to.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Property {
    label: &'static str,
    value: &'static str,
    children: Vec<Child>,
}

/// A field.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Child {
    label: String,
    value: String,
}

/// An action on subjects.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ContentAction {
    label: String,
    action_id: String,
    #[serde(rename = "subjects")]
    resources: Vec<String>,
    /// `fields`, if permissions for it can be limited to fields.
    apply_to_properties: Vec<&'static str>,
}

/// Renders the response body, which stays the same for the life of the process.
pub(super) fn render(catalogue: &Catalogue, conditions: &Conditions) -> Bytes {
    let mut ids: Vec<&ConditionId> = conditions.ids().collect();
    ids.sort_unstable();
    let mut sections = Sections::default();
    for entry in catalogue.actions() {
        let (display_name, action) = (entry.display_name.clone(), entry.id.to_string());
        match &entry.section {
            Section::Settings { category, sub_category } => {
                let (category, sub_category) = (category.clone(), sub_category.clone());
                sections.settings.push(SettingsAction { display_name, category, sub_category, action });
            }
            Section::Plugin { plugin, sub_category } => {
                let (plugin, sub_category) = (plugin.clone(), sub_category.clone());
                sections.plugins.push(PluginAction { display_name, action, sub_category, plugin });
            }
            Section::Resources(_) => {}
        }
    }
    sections.single_types = describe_types(catalogue, ResourceKind::Single);
    sections.collection_types = describe_types(catalogue, ResourceKind::Collection);
    let data = Permissions { conditions: ids.into_iter().map(describe_condition).collect(), sections };
    // Serializing cannot fail: the catalogue consists of texts and lists.
    serde_json::to_vec(&Data::new(data)).unwrap_or_default().into()
}

/// Lists actions, subjects, fields and conditions that permissions can name.
#[utoipa::path(get, path = "/permissions", tag = "Roles", responses((status = 200, body = Data<Permissions>)))]
pub(super) async fn list(State(api): State<Api>) -> Response {
    ([(CONTENT_TYPE, "application/json")], api.documents.catalogue).into_response()
}

/// Describes a condition. The display name of `admin::is-creator` is "Is creator".
fn describe_condition(id: &ConditionId) -> Condition {
    let name = id.as_str().rsplit([':', '.']).next().unwrap_or_default().replace('-', " ");
    let mut chars = name.chars();
    let display_name = chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default();
    Condition { id: id.to_string(), display_name, category: "default" }
}

fn describe_types(catalogue: &Catalogue, kind: ResourceKind) -> ContentTypes {
    let of_kind: Vec<&ResourceEntry> = catalogue.resources().iter().filter(|s| s.kind == kind).collect();
    let action = |entry: &ActionEntry| {
        let Section::Resources(resources) = &entry.section else { return None };
        let on = resources.iter().filter(|id| of_kind.iter().any(|s| s.id == **id));
        let resources: Vec<String> = on.map(ToString::to_string).collect();
        let apply_to_properties = if entry.has_fields { vec!["fields"] } else { Vec::new() };
        let (label, action_id) = (entry.display_name.clone(), entry.id.to_string());
        (!resources.is_empty()).then_some(ContentAction { label, action_id, resources, apply_to_properties })
    };
    ContentTypes {
        actions: catalogue.actions().iter().filter_map(action).collect(),
        resources: of_kind.iter().map(|entry| describe_type(entry)).collect(),
    }
}

fn describe_type(entry: &ResourceEntry) -> ContentType {
    let child = |field: &crate::domain::Field| Child { label: field.to_string(), value: field.to_string() };
    let children = entry.fields.iter().map(child).collect();
    ContentType {
        uid: entry.id.to_string(),
        label: entry.display_name.clone(),
        properties: vec![Property { label: "Fields", value: "fields", children }],
    }
}
