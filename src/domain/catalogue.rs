//! The catalogue of actions, resources and fields, against which writes are checked.

use super::{
    Action, ConditionId, Conditions, Field, FieldName, FieldPath, Fields, Permission, Rename, Resource, Scope,
};
use std::collections::HashSet;

/// The actions, resources and fields of an installation. Names that are missing here cannot be written.
///
/// The default has the actions of keyward itself. Conditions are registered in [`Conditions`], with their meaning.
///
/// ```
/// use keyward::authz::{ActionEntry, Catalogue, ResourceEntry};
/// let catalogue = Catalogue::default()
///     .action(ActionEntry::settings("admin::webhooks.read", "Webhooks", "Read"))
///     .resource(ResourceEntry::collection("api::article.article", "Article").fields(["title", "body"]))
///     .action(ActionEntry::on_resources("plugin::content-manager.explorer.read", "Read", ["api::article.article"]).with_fields())
///     .content_action("api::article.article.find");
/// ```
#[derive(Clone, Debug)]
pub struct Catalogue {
    actions: Vec<ActionEntry>,
    resources: Vec<ResourceEntry>,
    content: Vec<Action>,
    renames: Vec<Rename>,
}

/// An action that permissions can name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActionEntry {
    /// The id.
    pub id: Action,
    /// The name that people see.
    pub display_name: String,
    /// The section of the permission editor.
    pub section: Section,
    /// Whether a permission for it can be limited to fields.
    pub has_fields: bool,
    /// Whether a permission for it can have conditions.
    pub has_conditions: bool,
}

/// The section of the permission editor in which an action appears.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Section {
    /// The settings section, by category. The action has no resource.
    Settings {
        /// The category.
        category: String,
        /// A part of the category.
        sub_category: String,
    },
    /// The plugins section. The action has no resource.
    Plugin {
        /// The plugin.
        plugin: String,
        /// A part of the plugin.
        sub_category: String,
    },
    /// The sections of these resources, to which the action applies.
    Resources(Vec<Resource>),
}

/// A resource that actions apply to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceEntry {
    /// The id.
    pub id: Resource,
    /// The name that people see.
    pub display_name: String,
    /// Whether there are many entries or one.
    pub kind: ResourceKind,
    /// The fields.
    pub fields: Vec<Field>,
}

/// Whether a resource has many entries or one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceKind {
    /// Many entries, such as articles.
    Collection,
    /// One entry, such as the home page.
    Single,
}

/// A name in a permission or grant that is not in the catalogue.
#[derive(Debug)]
pub(crate) struct Unregistered {
    /// The path below the permission or grant. An index counts the members of the sorted set.
    pub(crate) path: FieldPath,
    /// The unknown name.
    pub(crate) name: String,
    /// The problem and the remedy.
    pub(crate) message: String,
}

impl ActionEntry {
    fn new(id: impl Into<Action>, display_name: impl Into<String>, section: Section) -> Self {
        let (id, display_name) = (id.into(), display_name.into());
        Self { id, display_name, section, has_fields: false, has_conditions: true }
    }

    /// Creates an action of the settings section.
    pub fn settings(id: impl Into<Action>, category: impl Into<String>, display_name: impl Into<String>) -> Self {
        let section = Section::Settings { category: category.into(), sub_category: "general".into() };
        Self::new(id, display_name, section)
    }

    /// Creates an action of a plugin.
    pub fn plugin(id: impl Into<Action>, plugin: impl Into<String>, display_name: impl Into<String>) -> Self {
        let section = Section::Plugin { plugin: plugin.into(), sub_category: "general".into() };
        Self::new(id, display_name, section)
    }

    /// Creates an action that applies to these resources.
    pub fn on_resources<S: Into<Resource>>(
        id: impl Into<Action>,
        display_name: impl Into<String>,
        resources: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::new(id, display_name, Section::Resources(resources.into_iter().map(Into::into).collect()))
    }

    /// Allows permissions for this action to name fields.
    #[must_use]
    pub fn with_fields(mut self) -> Self {
        self.has_fields = true;
        self
    }

    /// Sets whether permissions for this action can have conditions. Default: yes.
    #[must_use]
    pub fn with_conditions(mut self, can: bool) -> Self {
        self.has_conditions = can;
        self
    }

    /// Moves the action to a part of its category or plugin.
    #[must_use]
    pub fn within(mut self, part: impl Into<String>) -> Self {
        match &mut self.section {
            Section::Settings { sub_category, .. } | Section::Plugin { sub_category, .. } => {
                *sub_category = part.into();
            }
            Section::Resources(_) => {}
        }
        self
    }

    fn resources(&self) -> &[Resource] {
        match &self.section {
            Section::Resources(resources) => resources,
            _ => &[],
        }
    }
}

impl ResourceEntry {
    /// Creates a resource with many entries.
    pub fn collection(id: impl Into<Resource>, display_name: impl Into<String>) -> Self {
        let (id, display_name) = (id.into(), display_name.into());
        Self { id, display_name, kind: ResourceKind::Collection, fields: Vec::new() }
    }

    /// Creates a resource with one entry.
    pub fn single(id: impl Into<Resource>, display_name: impl Into<String>) -> Self {
        Self { kind: ResourceKind::Single, ..Self::collection(id, display_name) }
    }

    /// Sets the fields of the resource.
    #[must_use]
    pub fn fields<F: Into<Field>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.fields = fields.into_iter().map(Into::into).collect();
        self
    }
}

impl Default for Catalogue {
    /// Creates a catalogue with the actions of keyward itself.
    fn default() -> Self {
        let empty = Self { actions: Vec::new(), resources: Vec::new(), content: Vec::new(), renames: Vec::new() };
        let tokens = [
            ("access", "Access the settings page"),
            ("create", "Create"),
            ("read", "Read"),
            ("update", "Update"),
            ("regenerate", "Regenerate"),
            ("delete", "Delete"),
        ];
        let people = [("create", "Create"), ("read", "Read"), ("update", "Update"), ("delete", "Delete")];
        let own = [
            ("admin-tokens", "Admin Tokens", &tokens[..]),
            ("api-tokens", "API Tokens", &tokens[..]),
            ("tokens", "Tokens", &[("introspect", "Introspect tokens by their secret")][..]),
            ("users", "Users", &people[..]),
            ("roles", "Roles", &people[..]),
            ("audit-logs", "Audit Logs", &[("read", "Read"), ("export", "Export")][..]),
        ];
        own.iter().fold(empty, |all, (object, name, actions)| {
            actions.iter().fold(all, |all, (verb, display)| {
                all.action(ActionEntry::settings(format!("admin::{object}.{verb}"), *name, *display))
            })
        })
    }
}

impl Catalogue {
    /// Registers an action, replacing one with the same id.
    #[must_use]
    pub fn action(mut self, entry: ActionEntry) -> Self {
        self.actions.retain(|e| e.id != entry.id);
        self.actions.push(entry);
        self
    }

    /// Registers a resource, replacing one with the same id.
    #[must_use]
    pub fn resource(mut self, entry: ResourceEntry) -> Self {
        self.resources.retain(|e| e.id != entry.id);
        self.resources.push(entry);
        self
    }

    /// Registers an action of content routes, which custom content tokens can list.
    #[must_use]
    pub fn content_action(mut self, id: impl Into<Action>) -> Self {
        let id = id.into();
        if !self.content.contains(&id) {
            self.content.push(id);
        }
        self
    }

    /// Registers a rename, so that stored permissions and grants with the old name get the new one.
    ///
    /// [`set_up`](crate::Keyward::set_up) applies renames in the order of the calls, in one transaction, with an event
    /// for each role and token that changes. A name that is still registered is not renamed. Remove the call once every
    /// installation was set up with it; until then it does no harm.
    ///
    /// ```
    /// use keyward::authz::{Catalogue, Rename};
    /// let catalogue = Catalogue::default()
    ///     .content_action("api::article.article.find")
    ///     .renamed(Rename::action("api::post.post.find", "api::article.article.find"))
    ///     .renamed(Rename::resource("api::post.post", "api::article.article"))
    ///     .renamed(Rename::field("api::article.article", "heading", "title"));
    /// ```
    #[must_use]
    pub fn renamed(mut self, rename: Rename) -> Self {
        self.renames.push(rename);
        self
    }

    /// Returns the renames whose old name is no longer registered.
    pub(crate) fn renames(&self) -> Vec<Rename> {
        let actions: Vec<&Action> = self.actions.iter().map(|entry| &entry.id).chain(&self.content).collect();
        let resources: Vec<(&Resource, &[Field])> =
            self.resources.iter().map(|s| (&s.id, s.fields.as_slice())).collect();
        self.renames.iter().filter(|rename| !rename.is_idle(&actions, &resources)).cloned().collect()
    }

    /// Returns every action, as registered.
    pub fn actions(&self) -> &[ActionEntry] {
        &self.actions
    }

    /// Returns every resource, as registered.
    pub fn resources(&self) -> &[ResourceEntry] {
        &self.resources
    }

    /// Returns every action of content routes, as registered.
    pub fn content_actions(&self) -> &[Action] {
        &self.content
    }

    /// Returns a permission for every action on each of its resources: everything that a super admin may do and that
    /// has a name.
    pub fn everything(&self) -> Vec<Permission> {
        let of = |entry: &ActionEntry| match entry.resources() {
            [] => vec![Permission::new(entry.id.clone())],
            resources => resources.iter().map(|s| Permission::new(entry.id.clone()).on(s.clone())).collect(),
        };
        self.actions.iter().flat_map(of).collect()
    }

    /// Returns all unknown names of a permission or grant.
    pub(crate) fn check(
        &self,
        Scope { action, resource, fields }: &Scope,
        conditions: &[ConditionId],
        registered: &Conditions,
    ) -> Vec<Unregistered> {
        let resource = resource.as_ref();
        let mut unknown = Vec::new();
        let mut report = |path: FieldPath, name: &str, message: String| {
            unknown.push(Unregistered { path, name: name.to_owned(), message });
        };
        let resource_name = resource.map_or("", Resource::as_str);
        let Some(entry) = self.actions.iter().find(|e| e.id == *action) else {
            report(FieldName::Action.into(), action.as_str(), format!("there is no action {action}"));
            return unknown;
        };
        match resource {
            None if !entry.resources().is_empty() => {
                report(FieldName::Resource.into(), resource_name, format!("{action} needs a resource"))
            }
            Some(resource) if entry.resources().is_empty() => {
                report(
                    FieldName::Resource.into(),
                    resource_name,
                    format!("{action} has no resource: leave out {resource}"),
                );
            }
            Some(resource) if !entry.resources().contains(resource) => {
                report(FieldName::Resource.into(), resource_name, format!("{action} cannot be done to {resource}"));
            }
            _ => {}
        }
        if let Fields::Only(set) = fields {
            let of = self.resources.iter().find(|s| Some(&s.id) == resource);
            if !entry.has_fields {
                report(FieldName::Fields.into(), "", format!("{action} has no fields: leave them out"));
            } else if let Some(of) = of {
                let known: HashSet<&str> = of.fields.iter().map(Field::as_str).collect();
                for (i, field) in set.as_slice().iter().enumerate().filter(|(_, f)| !known.contains(f.as_str())) {
                    report(FieldName::Fields.at(i), field.as_str(), format!("{} has no field {field}", of.id));
                }
            }
        }
        for (i, condition) in conditions.iter().enumerate() {
            if !registered.contains(condition.as_str()) {
                report(FieldName::Conditions.at(i), condition.as_str(), format!("there is no condition {condition}"));
            } else if !entry.has_conditions {
                report(
                    FieldName::Conditions.at(i),
                    condition.as_str(),
                    format!("{action} has no conditions: leave them out"),
                );
            }
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::IS_CREATOR;

    fn catalogue() -> Catalogue {
        let empty = Catalogue { actions: Vec::new(), resources: Vec::new(), content: Vec::new(), renames: Vec::new() };
        empty
            .action(ActionEntry::settings("webhooks", "Webhooks", "Read").with_conditions(false))
            .action(ActionEntry::on_resources("read", "Read", ["article", "home"]).with_fields())
            .resource(ResourceEntry::collection("article", "Article").fields(["title", "body"]))
            .resource(ResourceEntry::single("home", "Home"))
    }

    #[test]
    fn an_entry_replaces_only_the_one_with_its_id() {
        let again = catalogue()
            .action(ActionEntry::plugin("webhooks", "hooks", "See"))
            .resource(ResourceEntry::single("article", "The article"))
            .content_action("find")
            .content_action("find");
        let actions: Vec<(&str, &str)> =
            again.actions().iter().map(|a| (a.id.as_str(), a.display_name.as_str())).collect();
        assert_eq!(actions, [("read", "Read"), ("webhooks", "See")]);
        let resources: Vec<(&str, ResourceKind)> = again.resources().iter().map(|s| (s.id.as_str(), s.kind)).collect();
        assert_eq!(resources, [("home", ResourceKind::Single), ("article", ResourceKind::Single)]);
        assert_eq!(again.content_actions(), [Action::new("find")]);
        assert_eq!(catalogue().resources()[0].kind, ResourceKind::Collection);
    }

    #[test]
    fn everything_is_each_action_on_each_of_its_resources() {
        let read = |resource| Permission::new("read").on(resource);
        assert_eq!(catalogue().everything(), [Permission::new("webhooks"), read("article"), read("home")]);
    }

    #[test]
    fn unknown_names_are_reported_with_their_paths() {
        let (all, some) = (Fields::All, |names: &[&str]| Fields::only(names.iter().copied()).unwrap());
        for (action, resource, fields, conditions, expected) in [
            ("webhooks", None, &all, &[][..], &[][..]),
            ("read", Some("article"), &some(&["body", "title"]), &[IS_CREATOR], &[]),
            ("write", None, &all, &[], &["action: there is no action write"]),
            ("read", None, &all, &[], &["resource: read needs a resource"]),
            ("webhooks", Some("home"), &all, &[], &["resource: webhooks has no resource: leave out home"]),
            ("read", Some("user"), &all, &[], &["resource: read cannot be done to user"]),
            ("webhooks", None, &some(&["title"]), &[], &["fields: webhooks has no fields: leave them out"]),
            ("read", Some("article"), &some(&["body", "slug"]), &[], &["fields.1: article has no field slug"]),
            ("read", Some("home"), &all, &[IS_CREATOR, "own"], &["conditions.1: there is no condition own"]),
            ("webhooks", None, &all, &[IS_CREATOR], &["conditions.0: webhooks has no conditions: leave them out"]),
        ] {
            let scope = Scope { action: action.into(), resource: resource.map(Resource::new), fields: fields.clone() };
            let conditions: Vec<ConditionId> = conditions.iter().map(|c| ConditionId::new(*c)).collect();
            let registered = Conditions::default();
            let unknown = catalogue().check(&scope, &conditions, &registered);
            let reported: Vec<String> = unknown.iter().map(|w| format!("{}: {}", w.path, w.message)).collect();
            assert_eq!(reported, expected);
        }
    }
}
