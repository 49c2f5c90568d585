//! The matrix of permissions: a box for every action, resource and field that can be granted.
//!
//! The value of a box is a JSON list of its action, its resource and its field. JSON separates them, whatever
//! characters the names contain.

use super::condition_options::{ConditionMenu, MenuBuilder, NOT_GRANTABLE};
use super::grants::Selection;
use super::registry::{Registry, condition_label, is_for_tokens};
use crate::domain::{
    Action, ActionEntry, Ceiling, CeilingIndex, Fields, Grant, Resource, ResourceEntry, ResourceKind, Scope, Section,
};

/// The kind of object whose permissions a matrix shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MatrixKind {
    /// A token: conditions are those of its owner, and actions that no token can use are left out.
    Token,
    /// A role: each permission can have conditions.
    Role,
}

/// The boxes of a form, in tabs.
pub(super) struct Matrix {
    pub(super) tabs: Vec<Tab>,
    pub(super) readonly: bool,
}

/// A tab: a table of resources and actions, or groups of actions without a resource.
pub(super) struct Tab {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// The number of boxes that are checked, wholly or partly.
    pub(super) selected: usize,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    pub(super) groups: Vec<ActionGroup>,
}

pub(super) struct Column {
    pub(super) id: String,
    pub(super) title: String,
}

pub(super) struct Row {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) cells: Vec<Option<Cell>>,
    pub(super) fields: Vec<FieldRow>,
    /// Whether the fields are visible at first, because some are selected.
    pub(super) unfolded: bool,
}

pub(super) struct FieldRow {
    pub(super) name: String,
    pub(super) cells: Vec<Option<Cell>>,
}

pub(super) struct ActionGroup {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) cells: Vec<Cell>,
}

/// One box.
pub(super) struct Cell {
    /// The value that the form sends; `None` for a box that only checks the fields below it.
    pub(super) value: Option<String>,
    /// The label for screen readers, with resource and field.
    pub(super) label: String,
    pub(super) title: String,
    pub(super) checked: bool,
    /// Whether some of its fields are selected.
    pub(super) partly: bool,
    /// The reason why it cannot be checked.
    pub(super) denied: Option<&'static str>,
    /// The ids of column and row, for the boxes that check a whole column or row.
    pub(super) column: String,
    pub(super) row: String,
    /// Identifies the cell that fields belong to.
    pub(super) key: String,
    pub(super) conditions: Vec<String>,
    /// The conditions to select from, for roles.
    pub(super) menu: Option<ConditionMenu>,
}

const NOT_ALL_FIELDS: &str = "you cannot grant all fields: select some";

impl Matrix {
    /// Builds the matrix. `ceiling` belongs to the owner of the token, or to the person who edits the role.
    pub(super) fn new(
        registry: &Registry,
        kind: MatrixKind,
        ceiling: &Ceiling,
        selection: &Selection,
        readonly: bool,
    ) -> Self {
        let all = registry.catalogue.actions().iter();
        let actions: Vec<&ActionEntry> =
            all.filter(|entry| kind == MatrixKind::Role || is_for_tokens(&entry.id)).collect();
        let builder = MatrixBuilder { registry, kind, ceiling: ceiling.index(), selection };
        let tabs = vec![
            builder.resource_tab("collection", "Collection Types", ResourceKind::Collection, &actions),
            builder.resource_tab("single", "Single Types", ResourceKind::Single, &actions),
            builder.group_tab("plugins", "Plugins", &actions, |section| match section {
                Section::Plugin { plugin, sub_category } => Some((plugin, sub_category)),
                _ => None,
            }),
            builder.group_tab("settings", "Settings", &actions, |section| match section {
                Section::Settings { category, sub_category } => Some((category, sub_category)),
                _ => None,
            }),
        ];
        Self { tabs: tabs.into_iter().filter(|tab| !tab.is_empty()).collect(), readonly }
    }
}

impl Tab {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.groups.is_empty()
    }
}

struct MatrixBuilder<'a> {
    registry: &'a Registry,
    kind: MatrixKind,
    ceiling: CeilingIndex<'a>,
    selection: &'a Selection,
}

impl MatrixBuilder<'_> {
    fn resource_tab(&self, id: &'static str, title: &'static str, kind: ResourceKind, actions: &[&ActionEntry]) -> Tab {
        let resources: Vec<&ResourceEntry> =
            self.registry.catalogue.resources().iter().filter(|resource| resource.kind == kind).collect();
        let is_column = |entry: &ActionEntry| match &entry.section {
            Section::Resources(ids) => resources.iter().any(|resource| ids.contains(&resource.id)),
            _ => false,
        };
        let columns: Vec<&ActionEntry> = actions.iter().copied().filter(|entry| is_column(entry)).collect();
        let rows: Vec<Row> = resources
            .iter()
            .enumerate()
            .map(|(r, resource)| self.row(id, r, resource, &columns))
            .filter(|row| row.cells.iter().any(Option::is_some))
            .collect();
        let selected = rows.iter().flat_map(|row| row.cells.iter().flatten()).filter(|c| c.checked || c.partly).count();
        let column =
            |(c, entry): (usize, &&ActionEntry)| Column { id: format!("{id}-c{c}"), title: entry.display_name.clone() };
        let columns = columns.iter().enumerate().map(column).collect();
        Tab { id, title, selected, columns, rows, groups: Vec::new() }
    }

    fn row(&self, tab: &str, r: usize, resource: &ResourceEntry, columns: &[&ActionEntry]) -> Row {
        let applies =
            |entry: &ActionEntry| matches!(&entry.section, Section::Resources(ids) if ids.contains(&resource.id));
        let position = |c: usize| (format!("{tab}-c{c}"), format!("{tab}-r{r}"));
        let grantable: Vec<Option<Fields>> =
            columns.iter().map(|entry| self.ceiling.fields(&entry.id, Some(&resource.id))).collect();
        let cells: Vec<Option<Cell>> = columns
            .iter()
            .enumerate()
            .map(|(c, entry)| {
                applies(entry).then(|| self.cell(entry, Some(resource), None, grantable[c].as_ref(), position(c)))
            })
            .collect();
        let mut fields = Vec::new();
        if columns.iter().any(|entry| applies(entry) && entry.has_fields) {
            for field in &resource.fields {
                let cell = |(c, entry): (usize, &&ActionEntry)| {
                    (applies(entry) && entry.has_fields).then(|| {
                        self.cell(entry, Some(resource), Some(field.as_str()), grantable[c].as_ref(), position(c))
                    })
                };
                let cells = columns.iter().enumerate().map(cell).collect();
                fields.push(FieldRow { name: field.to_string(), cells });
            }
        }
        let unfolded = cells.iter().flatten().any(|cell| cell.partly);
        Row { id: format!("{tab}-r{r}"), title: resource.display_name.clone(), cells, fields, unfolded }
    }

    /// Builds a tab of actions without a resource. `categories` returns the category and subcategory of a section, or
    /// `None` if the section belongs to another tab.
    fn group_tab(
        &self,
        id: &'static str,
        title: &'static str,
        actions: &[&ActionEntry],
        categories: impl Fn(&Section) -> Option<(&String, &String)>,
    ) -> Tab {
        let mut groups: Vec<ActionGroup> = Vec::new();
        for entry in actions {
            let Some((category, sub)) = categories(&entry.section) else { continue };
            let title = if sub == "general" { category.clone() } else { format!("{category}: {sub}") };
            let index = groups.iter().position(|group| group.title == title).unwrap_or_else(|| {
                groups.push(ActionGroup { id: format!("{id}-p{}", groups.len()), title, cells: Vec::new() });
                groups.len() - 1
            });
            let row = groups[index].id.clone();
            let grantable = self.ceiling.fields(&entry.id, None);
            groups[index].cells.push(self.cell(entry, None, None, grantable.as_ref(), (String::new(), row)));
        }
        let selected = groups.iter().flat_map(|group| &group.cells).filter(|cell| cell.checked).count();
        Tab { id, title, selected, columns: Vec::new(), rows: Vec::new(), groups }
    }

    fn cell(
        &self,
        entry: &ActionEntry,
        resource: Option<&ResourceEntry>,
        field: Option<&str>,
        grantable: Option<&Fields>,
        (column, row): (String, String),
    ) -> Cell {
        let (action, id) = (&entry.id, resource.map(|resource| &resource.id));
        let selected = self.selection.fields(action, id);
        let (checked, partly) = match (&selected, field) {
            (None, _) => (false, false),
            (Some(Fields::All), _) => (true, false),
            (Some(set), Some(field)) => (set.contains(field), false),
            (Some(_), None) => (false, true),
        };
        let (denied, has_value) = match (grantable, field) {
            (None, _) => (Some(NOT_GRANTABLE), true),
            (Some(Fields::All), _) => (None, true),
            (Some(some), Some(field)) => (if some.contains(field) { None } else { Some(NOT_GRANTABLE) }, true),
            // The box checks the fields that can be granted.
            (Some(_), None) => (Some(NOT_ALL_FIELDS), false),
        };
        let value = has_value.then(|| box_value(action, id, field));
        let label = match (resource, field) {
            (Some(resource), Some(field)) => format!("{}: {} {field}", resource.display_name, entry.display_name),
            (Some(resource), None) => format!("{}: {}", resource.display_name, entry.display_name),
            _ => entry.display_name.clone(),
        };
        let key = format!("{column}{row}");
        let conditions = match (self.kind, field) {
            (MatrixKind::Token, None) => self.conditions(action, id),
            _ => Vec::new(),
        };
        let menu = match (self.kind, field) {
            (MatrixKind::Token, _) => None,
            (MatrixKind::Role, None) => self.menu_builder(entry, id).build_for_action(grantable),
            (MatrixKind::Role, Some(field)) => self.menu_builder(entry, id).build_for_field(field),
        };
        // A checked box stays enabled even if it cannot be granted: saving then fails with the reason instead of
        // dropping it.
        Cell {
            value,
            label,
            title: entry.display_name.clone(),
            checked,
            partly,
            denied,
            column,
            row,
            key,
            conditions,
            menu,
        }
    }

    fn menu_builder<'a>(&'a self, entry: &'a ActionEntry, resource: Option<&'a Resource>) -> MenuBuilder<'a> {
        MenuBuilder { registry: self.registry, ceiling: &self.ceiling, selection: self.selection, entry, resource }
    }

    /// Returns the labels of the owner's conditions, which a grant inherits.
    fn conditions(&self, action: &Action, resource: Option<&Resource>) -> Vec<String> {
        let probe = Grant {
            scope: Scope { action: action.clone(), resource: resource.cloned(), fields: Fields::All },
            chosen: self.selection.clause(action, resource),
            may_delegate: false,
        };
        self.ceiling.shown_conditions(&probe).iter().map(condition_label).collect()
    }
}

fn box_value(action: &Action, resource: Option<&Resource>, field: Option<&str>) -> String {
    let parts: Vec<&str> =
        [Some(action.as_str()), resource.map(Resource::as_str), field].into_iter().flatten().collect();
    serde_json::json!(parts).to_string()
}
