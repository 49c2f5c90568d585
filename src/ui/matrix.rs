//! The matrix of permissions: everything that can be given, what is chosen of it, and what is not theirs to give.
//!
//! A box is worth an action, a subject if there is one, and a field or all of them. Its value in a form is these as a JSON list, so that
//! no character of a name can be mistaken for something else.

use super::condition_options::{Offer, Offering};
use super::grants::Chosen;
use crate::domain::{
    Action, ActionEntry, Catalogue, Ceiling, CeilingIndex, ConditionId, Conditions, Field, Fields, Grant,
    HAS_SAME_ROLE_AS_CREATOR, IS_CREATOR, Permission, Resource, ResourceEntry, ResourceKind, Scope, Section,
};
use std::collections::HashSet;

/// What can be given, as registered.
pub(super) struct Words {
    pub(super) catalogue: Catalogue,
    pub(super) conditions: Conditions,
    /// The actions of keyward itself, which ask about no rows.
    pub(super) own: HashSet<Action>,
}

/// Actions that a token can never use: it changes no people, roles or tokens but itself, and looks at no pages.
const NOT_FOR_TOKENS: [&str; 13] = [
    "admin::admin-tokens.access",
    "admin::admin-tokens.create",
    "admin::admin-tokens.update",
    "admin::api-tokens.access",
    "admin::api-tokens.create",
    "admin::api-tokens.update",
    "admin::api-tokens.regenerate",
    "admin::api-tokens.delete",
    "admin::users.create",
    "admin::users.update",
    "admin::users.delete",
    "admin::roles.create",
    "admin::roles.update",
];

/// For what the matrix is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// A token: conditions are the owner's, and what tokens can never do is left out.
    Token,
    /// A role: each permission can have conditions.
    Role,
}

pub(super) struct Matrix {
    pub(super) tabs: Vec<Tab>,
    /// Whether boxes can be set at all.
    pub(super) readonly: bool,
}

pub(super) struct Tab {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) chosen: usize,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    pub(super) parts: Vec<Part>,
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
    /// Whether some fields are chosen, so that they are shown at once.
    pub(super) unfolded: bool,
}

pub(super) struct FieldRow {
    pub(super) name: String,
    pub(super) cells: Vec<Option<Cell>>,
}

pub(super) struct Part {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) cells: Vec<Cell>,
}

/// One box.
pub(super) struct Cell {
    /// What the form sends; none where it only stands for the fields below it.
    pub(super) value: Option<String>,
    /// For people who cannot see where it stands.
    pub(super) label: String,
    pub(super) title: String,
    pub(super) checked: bool,
    /// Some fields are chosen.
    pub(super) partly: bool,
    /// Why it cannot be set.
    pub(super) denied: Option<&'static str>,
    /// The column, for gathering.
    pub(super) column: String,
    pub(super) row: String,
    /// Names the cell whose field it is, or which it is itself.
    pub(super) key: String,
    pub(super) conditions: Vec<String>,
    /// What can be chosen as conditions, for roles.
    pub(super) offer: Option<Offer>,
}

pub(super) const NOT_HELD: &str = "not yours to give";
const SOME_FIELDS: &str = "all fields are not yours to give: choose among them";

impl Words {
    pub(super) fn new(catalogue: Catalogue, conditions: &Conditions) -> Self {
        let own = Catalogue::default().actions().iter().map(|entry| entry.id.clone()).collect();
        Self { catalogue, conditions: conditions.clone(), own }
    }

    /// `ceiling`: of whoever holds the token, or gives away what the role allows.
    pub(super) fn matrix(&self, of: For, ceiling: &Ceiling, chosen: &Chosen, readonly: bool) -> Matrix {
        let offered: Vec<&ActionEntry> =
            self.catalogue.actions().iter().filter(|entry| of == For::Role || !is_useless(&entry.id)).collect();
        let drawing = Drawing { words: self, of, ceiling: ceiling.index(), chosen };
        let tabs = vec![
            drawing.resources("collection", "Collection Types", ResourceKind::Collection, &offered),
            drawing.resources("single", "Single Types", ResourceKind::Single, &offered),
            drawing.parts("plugins", "Plugins", &offered, |section| match section {
                Section::Plugin { plugin, sub_category } => Some((plugin, sub_category)),
                _ => None,
            }),
            drawing.parts("settings", "Settings", &offered, |section| match section {
                Section::Settings { category, sub_category } => Some((category, sub_category)),
                _ => None,
            }),
        ];
        Matrix { tabs: tabs.into_iter().filter(|tab| !tab.is_empty()).collect(), readonly }
    }

    /// Which fields of a grant a token's form can show, and which it cannot.
    pub(super) fn split_grant(&self, grant: &Grant) -> (Option<Fields>, Option<Fields>) {
        if is_useless(&grant.scope.action) {
            return (None, Some(grant.scope.fields.clone()));
        }
        self.split(&grant.scope.action, grant.scope.resource.as_ref(), &grant.scope.fields)
    }

    /// What of a token's grants its form can show, and what it cannot.
    pub(super) fn split_grants(&self, grants: &[Grant]) -> (Vec<Grant>, Vec<Grant>) {
        let one = |grant: &Grant| {
            let of = |fields: Option<Fields>| fields.map(|fields| grant.clone().fields(fields));
            let (shown, hidden) = self.split_grant(grant);
            (of(shown), of(hidden))
        };
        let (shown, hidden): (Vec<_>, Vec<_>) = grants.iter().map(one).unzip();
        (shown.into_iter().flatten().collect(), hidden.into_iter().flatten().collect())
    }

    /// What of a role's permissions its form can show, and what it cannot.
    pub(super) fn split_permissions(&self, permissions: &[Permission]) -> (Vec<Permission>, Vec<Permission>) {
        let one = |permission: &Permission| {
            let of = |fields: Option<Fields>| fields.map(|fields| permission.clone().fields(fields));
            let (shown, hidden) =
                self.split(&permission.scope.action, permission.scope.resource.as_ref(), &permission.scope.fields);
            (of(shown), of(hidden))
        };
        let (shown, hidden): (Vec<_>, Vec<_>) = permissions.iter().map(one).unzip();
        (shown.into_iter().flatten().collect(), hidden.into_iter().flatten().collect())
    }

    /// Whether a role's form can show this permission whole.
    pub(super) fn shows_permission(&self, permission: &Permission) -> bool {
        self.split(&permission.scope.action, permission.scope.resource.as_ref(), &permission.scope.fields).1.is_none()
    }

    /// Fields that have left the catalogue have no box.
    fn split(&self, action: &Action, resource: Option<&Resource>, fields: &Fields) -> (Option<Fields>, Option<Fields>) {
        let Some((entry, known)) = self.place(action, resource) else { return (None, Some(fields.clone())) };
        let Fields::Only(set) = fields else { return (Some(Fields::All), None) };
        let Some(known) = known.filter(|_| entry.has_fields) else { return (None, Some(fields.clone())) };
        let (shown, hidden): (Vec<_>, Vec<_>) =
            set.as_slice().iter().cloned().partition(|field| known.fields.contains(field));
        (Fields::only(shown).ok(), Fields::only(hidden).ok())
    }

    /// Where a form shows an action on a subject.
    fn place(&self, action: &Action, resource: Option<&Resource>) -> Option<(&ActionEntry, Option<&ResourceEntry>)> {
        let entry = self.catalogue.actions().iter().find(|entry| entry.id == *action)?;
        match (&entry.section, resource) {
            (Section::Resources(resources), Some(resource)) => {
                let known = self.catalogue.resources().iter().find(|known| known.id == *resource)?;
                resources.contains(resource).then_some((entry, Some(known)))
            }
            (Section::Resources(_), None) => None,
            (_, resource) => resource.is_none().then_some((entry, None)),
        }
    }

    /// What people call an action on a subject.
    pub(super) fn said(&self, action: &Action, resource: Option<&Resource>) -> String {
        let entry = self.catalogue.actions().iter().find(|entry| entry.id == *action);
        let deed = entry.map_or(action.as_str(), |entry| entry.display_name.as_str());
        let place = match (entry.map(|entry| &entry.section), resource) {
            (_, Some(resource)) => {
                let known = self.catalogue.resources().iter().find(|known| known.id == *resource);
                Some(known.map_or(resource.as_str(), |known| known.display_name.as_str()))
            }
            (Some(Section::Settings { category, .. }), None) => Some(category.as_str()),
            (Some(Section::Plugin { plugin, .. }), None) => Some(plugin.as_str()),
            _ => None,
        };
        match place {
            Some(place) => format!("{place}: {deed}"),
            None => deed.to_owned(),
        }
    }

    /// The same, with the fields where there is a list of them.
    pub(super) fn said_of(&self, action: &Action, resource: Option<&Resource>, fields: &Fields) -> String {
        let said = self.said(action, resource);
        let Fields::Only(set) = fields else { return said };
        let fields: Vec<&str> = set.as_slice().iter().map(Field::as_str).collect();
        format!("{said} ({})", fields.join(", "))
    }
}

fn is_useless(action: &Action) -> bool {
    NOT_FOR_TOKENS.contains(&action.as_str()) || action.as_str() == "admin::roles.delete"
}

/// What people call a condition.
pub(super) fn condition_name(id: &ConditionId) -> String {
    match id.as_str() {
        IS_CREATOR => "own entries only".to_owned(),
        HAS_SAME_ROLE_AS_CREATOR => "entries of people with the same role".to_owned(),
        other => other.to_owned(),
    }
}

impl Tab {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.parts.is_empty()
    }
}

struct Drawing<'a> {
    words: &'a Words,
    of: For,
    ceiling: CeilingIndex<'a>,
    chosen: &'a Chosen,
}

impl Drawing<'_> {
    fn resources(&self, id: &'static str, title: &'static str, kind: ResourceKind, offered: &[&ActionEntry]) -> Tab {
        let resources: Vec<&ResourceEntry> =
            self.words.catalogue.resources().iter().filter(|resource| resource.kind == kind).collect();
        let concerns = |entry: &ActionEntry| match &entry.section {
            Section::Resources(of) => resources.iter().any(|resource| of.contains(&resource.id)),
            _ => false,
        };
        let columns: Vec<&ActionEntry> = offered.iter().copied().filter(|entry| concerns(entry)).collect();
        let rows: Vec<Row> = resources
            .iter()
            .enumerate()
            .map(|(r, resource)| self.row(id, r, resource, &columns))
            .filter(|row| row.cells.iter().any(Option::is_some))
            .collect();
        let chosen = rows.iter().flat_map(|row| row.cells.iter().flatten()).filter(|c| c.checked || c.partly).count();
        let column =
            |(c, entry): (usize, &&ActionEntry)| Column { id: format!("{id}-c{c}"), title: entry.display_name.clone() };
        let columns = columns.iter().enumerate().map(column).collect();
        Tab { id, title, chosen, columns, rows, parts: Vec::new() }
    }

    fn row(&self, tab: &str, r: usize, resource: &ResourceEntry, columns: &[&ActionEntry]) -> Row {
        let on = |entry: &ActionEntry| matches!(&entry.section, Section::Resources(of) if of.contains(&resource.id));
        let place = |c: usize| (format!("{tab}-c{c}"), format!("{tab}-r{r}"));
        let held: Vec<Option<Fields>> =
            columns.iter().map(|entry| self.ceiling.fields(&entry.id, Some(&resource.id))).collect();
        let cells: Vec<Option<Cell>> = columns
            .iter()
            .enumerate()
            .map(|(c, entry)| on(entry).then(|| self.cell(entry, Some(resource), None, held[c].as_ref(), place(c))))
            .collect();
        let mut fields = Vec::new();
        if columns.iter().any(|entry| on(entry) && entry.has_fields) {
            for field in &resource.fields {
                let cell = |(c, entry): (usize, &&ActionEntry)| {
                    (on(entry) && entry.has_fields)
                        .then(|| self.cell(entry, Some(resource), Some(field.as_str()), held[c].as_ref(), place(c)))
                };
                let cells = columns.iter().enumerate().map(cell).collect();
                fields.push(FieldRow { name: field.to_string(), cells });
            }
        }
        let unfolded = cells.iter().flatten().any(|cell| cell.partly);
        Row { id: format!("{tab}-r{r}"), title: resource.display_name.clone(), cells, fields, unfolded }
    }

    fn parts(
        &self,
        id: &'static str,
        title: &'static str,
        offered: &[&ActionEntry],
        place: impl Fn(&Section) -> Option<(&String, &String)>,
    ) -> Tab {
        let mut parts: Vec<Part> = Vec::new();
        for entry in offered {
            let Some((category, sub)) = place(&entry.section) else { continue };
            let title = if sub == "general" { category.clone() } else { format!("{category}: {sub}") };
            let at = parts.iter().position(|part| part.title == title).unwrap_or_else(|| {
                parts.push(Part { id: format!("{id}-p{}", parts.len()), title, cells: Vec::new() });
                parts.len() - 1
            });
            let row = parts[at].id.clone();
            let held = self.ceiling.fields(&entry.id, None);
            parts[at].cells.push(self.cell(entry, None, None, held.as_ref(), (String::new(), row)));
        }
        let chosen = parts.iter().flat_map(|part| &part.cells).filter(|cell| cell.checked).count();
        Tab { id, title, chosen, columns: Vec::new(), rows: Vec::new(), parts }
    }

    fn cell(
        &self,
        entry: &ActionEntry,
        resource: Option<&ResourceEntry>,
        field: Option<&str>,
        held: Option<&Fields>,
        (column, row): (String, String),
    ) -> Cell {
        let (action, id) = (&entry.id, resource.map(|resource| &resource.id));
        let chosen = self.chosen.fields(action, id);
        let (checked, partly) = match (&chosen, field) {
            (None, _) => (false, false),
            (Some(Fields::All), _) => (true, false),
            (Some(set), Some(field)) => (set.contains(field), false),
            (Some(_), None) => (false, true),
        };
        let (denied, value) = match (held, field) {
            (None, _) => (Some(NOT_HELD), true),
            (Some(Fields::All), _) => (None, true),
            (Some(some), Some(field)) => (if some.contains(field) { None } else { Some(NOT_HELD) }, true),
            // It gathers the fields that are held.
            (Some(_), None) => (Some(SOME_FIELDS), false),
        };
        let value = value.then(|| value_of(action, id, field));
        let label = match (resource, field) {
            (Some(resource), Some(field)) => format!("{}: {} {field}", resource.display_name, entry.display_name),
            (Some(resource), None) => format!("{}: {}", resource.display_name, entry.display_name),
            _ => entry.display_name.clone(),
        };
        let key = format!("{column}{row}");
        let conditions = match (self.of, field) {
            (For::Token, None) => self.conditions(action, id),
            _ => Vec::new(),
        };
        let offer = match (self.of, field) {
            (For::Token, _) => None,
            (For::Role, None) => self.offering(entry, id).of_all(held),
            (For::Role, Some(field)) => self.offering(entry, id).of_field(field),
        };
        // A box that is set stays so, although it could not be set today: saving is refused with the reason, not silently less.
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
            offer,
        }
    }

    fn offering<'a>(&'a self, entry: &'a ActionEntry, resource: Option<&'a Resource>) -> Offering<'a> {
        Offering { words: self.words, ceiling: &self.ceiling, chosen: self.chosen, entry, resource }
    }

    /// Under which conditions it would be held.
    fn conditions(&self, action: &Action, resource: Option<&Resource>) -> Vec<String> {
        let probe = Grant {
            scope: Scope { action: action.clone(), resource: resource.cloned(), fields: Fields::All },
            chosen: self.chosen.when(action, resource),
        };
        self.ceiling.shown_conditions(&probe).iter().map(condition_name).collect()
    }
}

fn value_of(action: &Action, resource: Option<&Resource>, field: Option<&str>) -> String {
    let words: Vec<&str> =
        [Some(action.as_str()), resource.map(Resource::as_str), field].into_iter().flatten().collect();
    serde_json::json!(words).to_string()
}
