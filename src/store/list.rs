//! Parts of lists: which, and in which order.

use crate::domain::{Actor, AuditAction, AuditTarget, OwnerId, OwnerState, Timestamp, TokenId, TokenKind, comparable};
use std::net::IpAddr;

/// Which part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paging {
    /// Which page, from 1.
    pub page: u32,
    /// How many on a page, from 1.
    pub page_size: u32,
}

impl Paging {
    /// How many a page of the services has at most.
    pub const LARGEST: u32 = 1_000;

    /// The first hundred.
    pub const FIRST: Self = Self { page: 1, page_size: 100 };

    /// How many come before this page.
    pub fn offset(self) -> u64 {
        u64::from(self.page.saturating_sub(1)) * u64::from(self.page_size)
    }
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: u64,
}

/// A test of one field of the rows of a list. One of the values is enough.
///
/// ```
/// use keyward::store::{Filter, OwnerField};
/// let ada_or_bob = Filter::equals(OwnerField::Firstname, ["Ada", "Bob"]);
/// let here = Filter::contains(OwnerField::Email, "@example.test");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter<F> {
    /// The field.
    pub field: F,
    /// How its text is compared.
    pub test: FilterTest,
    /// With what.
    pub values: Vec<String>,
}

/// How the text of a field is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FilterTest {
    /// It is the value. E-mail addresses are compared by their [comparable](crate::store::comparable()) form, other texts as they are.
    Equals,
    /// The value is a part of it, in any case (of ASCII letters at least). A list has one such test for each field at most.
    Contains,
}

/// Refuses a second part of one field: stores look for one.
pub(crate) fn one_part_each<F: Copy + PartialEq>(filters: &[Filter<F>]) -> bool {
    let parts: Vec<F> = filters.iter().filter(|f| f.test == FilterTest::Contains).map(|f| f.field).collect();
    parts.iter().enumerate().all(|(i, field)| !parts[..i].contains(field))
        && filters.iter().all(|f| f.test != FilterTest::Contains || f.values.len() == 1)
}

impl<F> Filter<F> {
    /// The field is one of these values.
    pub fn equals<V: Into<String>>(field: F, values: impl IntoIterator<Item = V>) -> Self {
        Self { field, test: FilterTest::Equals, values: values.into_iter().map(Into::into).collect() }
    }

    /// The value is a part of the field.
    pub fn contains(field: F, value: impl Into<String>) -> Self {
        Self { field, test: FilterTest::Contains, values: vec![value.into()] }
    }

    /// Whether a row passes that has this text in the field.
    #[cfg(feature = "api")]
    pub(crate) fn passes(&self, text: &str) -> bool {
        self.values.iter().any(|value| self.test.passes(text, value))
    }
}

/// A filter as stores apply it: on one column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnFilter {
    pub(crate) column: &'static str,
    pub(crate) test: FilterTest,
    pub(crate) values: Vec<String>,
}

/// Filters with one of each test on a column: of several lists of values, those that are in all of them.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn merged(filters: impl Iterator<Item = ColumnFilter>) -> Vec<ColumnFilter> {
    let mut merged: Vec<ColumnFilter> = Vec::new();
    for filter in filters {
        match merged.iter_mut().find(|other| (other.column, other.test) == (filter.column, filter.test)) {
            Some(other) => other.values.retain(|value| filter.values.contains(value)),
            None => merged.push(filter),
        }
    }
    merged
}

impl ColumnFilter {
    /// Whether a row passes that has this text in the column.
    pub(crate) fn passes(&self, text: Option<String>) -> bool {
        let Some(text) = text else { return false };
        self.values.iter().any(|value| self.test.passes(&text, value))
    }
}

impl FilterTest {
    pub(crate) fn passes(self, text: &str, value: &str) -> bool {
        match self {
            Self::Equals => text == value,
            Self::Contains => text.to_ascii_lowercase().contains(&value.to_ascii_lowercase()),
        }
    }
}

/// A field that owners are filtered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OwnerField {
    /// The id.
    Id,
    /// The e-mail address.
    Email,
    /// The first name.
    Firstname,
    /// The last name.
    Lastname,
    /// The name they chose.
    Username,
    /// `true` or `false`: whether they have registered and are not switched off.
    IsActive,
    /// `true` or `false`: whether they are shut out.
    Blocked,
}

impl Filter<OwnerField> {
    pub(crate) fn on_column(&self) -> ColumnFilter {
        let column = |column| ColumnFilter { column, test: self.test, values: self.values.clone() };
        let states = |is: fn(OwnerState) -> bool| ColumnFilter {
            column: "state",
            test: FilterTest::Equals,
            values: OwnerState::ALL
                .into_iter()
                .filter(|state| self.values.contains(&is(*state).to_string()))
                .map(|state| state.as_str().to_owned())
                .collect(),
        };
        match (self.field, self.test) {
            (OwnerField::Id, _) => column("id"),
            (OwnerField::Email, FilterTest::Equals) => ColumnFilter {
                values: self.values.iter().map(|email| comparable(email)).collect(),
                ..column("email-key")
            },
            (OwnerField::Email, _) => column("email"),
            (OwnerField::Firstname, _) => column("firstname"),
            (OwnerField::Lastname, _) => column("lastname"),
            (OwnerField::Username, _) => column("username"),
            (OwnerField::IsActive, _) => states(OwnerState::is_switched_on),
            (OwnerField::Blocked, _) => states(OwnerState::is_blocked),
        }
    }
}

/// A field that tokens are filtered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TokenField {
    /// The id.
    Id,
    /// The name.
    Name,
    /// The description.
    Description,
    /// The id of the owner.
    Owner,
    /// The access of content tokens: `read-only`, `full-access`, `custom`.
    Access,
}

impl Filter<TokenField> {
    pub(crate) fn on_column(&self) -> ColumnFilter {
        let column = match self.field {
            TokenField::Id => "id",
            TokenField::Name => "name",
            TokenField::Description => "description",
            TokenField::Owner => "owner",
            TokenField::Access => "access",
        };
        ColumnFilter { column, test: self.test, values: self.values.clone() }
    }
}

/// Which owners, in which order.
#[derive(Clone, Debug)]
pub struct OwnerQuery {
    /// Which page.
    pub paging: Paging,
    /// A text that is in the e-mail address or a name, in any case (of ASCII letters at least).
    pub search: Option<String>,
    /// Tests that all have to pass.
    pub filters: Vec<Filter<OwnerField>>,
    /// Sorted by what, then by id.
    pub sort: OwnerSort,
    /// The greatest first, also of the ids.
    pub descending: bool,
}

impl OwnerQuery {
    /// All, by id, on this page.
    pub fn all(paging: Paging) -> Self {
        Self { paging, search: None, filters: Vec::new(), sort: OwnerSort::Id, descending: false }
    }
}

/// What owners are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OwnerSort {
    /// The id.
    Id,
    /// The e-mail address, in any case.
    Email,
    /// The first name.
    Firstname,
    /// The last name.
    Lastname,
    /// The name they chose; accounts without one come first.
    Username,
    /// When the account was made.
    CreatedAt,
}

/// Which tokens, in which order. What is `None` is not asked about.
///
/// ```
/// use keyward::token::TokenKind;
/// use keyward::store::{TokenQuery, TokenSort};
/// let latest = TokenQuery { sort: TokenSort::CreatedAt, descending: true, ..TokenQuery::of(TokenKind::Admin) };
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenQuery {
    /// Which page.
    pub paging: Paging,
    /// Of which kind.
    pub kind: TokenKind,
    /// Of this owner.
    pub owner: Option<OwnerId>,
    /// Not expired by then.
    pub unexpired_at: Option<Timestamp>,
    /// A text that is in the name, the description or the name that the owner is shown by, in any case (of ASCII letters at least).
    pub search: Option<String>,
    /// Tests that all have to pass.
    pub filters: Vec<Filter<TokenField>>,
    /// What they are sorted by; those that are equal in it, by id.
    pub sort: TokenSort,
    /// The greatest first, also of the ids.
    pub descending: bool,
}

impl TokenQuery {
    /// The first hundred of a kind, by name.
    pub fn of(kind: TokenKind) -> Self {
        let (paging, sort) = (Paging::FIRST, TokenSort::Name);
        Self {
            paging,
            kind,
            owner: None,
            unexpired_at: None,
            search: None,
            filters: Vec::new(),
            sort,
            descending: false,
        }
    }
}

/// What tokens are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TokenSort {
    /// The name, in any case (of ASCII letters). Sessions have none: they are sorted by id.
    Name,
    /// The id.
    Id,
    /// When it was made.
    CreatedAt,
    /// When it was last used; those that never were come first.
    LastUsedAt,
    /// When it expires; those that never do come last.
    ExpiresAt,
    /// The name that the owner is shown by, in any case (of ASCII letters).
    Owner,
    /// The access of content tokens: custom, full, read-only.
    Access,
}

/// Which audit events. What is `None` is not asked about.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Which page.
    pub paging: Paging,
    /// The event with this id.
    pub id: Option<i64>,
    /// Events with a smaller id. Then there is no total: it is the number of events on the page.
    pub below: Option<i64>,
    /// Events with one of these actions.
    pub actions: Option<Vec<AuditAction>>,
    /// To what.
    pub target: Option<AuditTarget>,
    /// By this person.
    pub person: Option<OwnerId>,
    /// By this token.
    pub token: Option<TokenId>,
    /// About no admin token and no session of another owner than this one.
    pub tokens_of: Option<OwnerId>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// The oldest first.
    pub ascending: bool,
}

impl EventQuery {
    /// All, on this page.
    pub fn all(paging: Paging) -> Self {
        Self {
            paging,
            id: None,
            below: None,
            actions: None,
            target: None,
            person: None,
            token: None,
            tokens_of: None,
            since: None,
            until: None,
            ascending: false,
        }
    }
}

/// Events of one sort: what one actor did, to one target or to all, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventsOfActor {
    /// What was done.
    pub what: AuditAction,
    /// By this person or token.
    pub actor: Actor,
    /// To this, which is not the installation; `None`: to anything.
    pub target: Option<AuditTarget>,
    /// Not before.
    pub since: Timestamp,
}

/// An address at which a person signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignInPlace {
    /// The person.
    pub owner: OwnerId,
    /// The person's e-mail address now.
    pub email: String,
    /// The address.
    pub address: IpAddr,
    /// When the person last signed in there.
    pub last: Timestamp,
}

impl SignInPlace {
    /// How many are read of one person at most, the latest ones.
    pub const OF_A_PERSON: u32 = 64;
    /// How many are read in all at most, the latest ones.
    pub const MOST: u32 = 20_000;
}
