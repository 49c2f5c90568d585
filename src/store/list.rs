//! Queries for pages of lists: filters, order and page.

use crate::domain::{
    Actor, AuditAction, AuditTarget, Metadata, OwnerId, OwnerState, Timestamp, TokenId, TokenKind, comparable,
};
use std::net::IpAddr;

/// The number and size of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paging {
    /// The number of the page, from 1.
    pub page: u32,
    /// The size of a page, from 1.
    pub page_size: u32,
}

impl Paging {
    /// The largest page that the services return.
    pub const LARGEST: u32 = 1_000;

    /// The first page of a hundred.
    pub const FIRST: Self = Self { page: 1, page_size: 100 };

    /// Returns the number of entries before this page.
    pub fn offset(self) -> u64 {
        u64::from(self.page.saturating_sub(1)) * u64::from(self.page_size)
    }
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The entries on the page.
    pub items: Vec<T>,
    /// The number of entries on all pages.
    pub total: u64,
}

/// A test of one field. A row passes if one of the values does.
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
    /// The comparison.
    pub test: FilterTest,
    /// The values to compare with.
    pub values: Vec<String>,
}

/// A comparison of the text of a field with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FilterTest {
    /// The text equals the value. E-mail addresses are compared by their [comparable](crate::store::comparable()) form.
    Equals,
    /// The text contains the value, in any case (of ASCII letters at least). A query has at most one such test for each field.
    Contains,
}

/// Returns whether there is at most one part to contain for each field, as stores look for one.
pub(crate) fn one_part_each<F: Copy + PartialEq>(filters: &[Filter<F>]) -> bool {
    let parts: Vec<F> = filters.iter().filter(|f| f.test == FilterTest::Contains).map(|f| f.field).collect();
    parts.iter().enumerate().all(|(i, field)| !parts[..i].contains(field))
        && filters.iter().all(|f| f.test != FilterTest::Contains || f.values.len() == 1)
}

impl<F> Filter<F> {
    /// Tests whether a field equals one of these values.
    pub fn equals<V: Into<String>>(field: F, values: impl IntoIterator<Item = V>) -> Self {
        Self { field, test: FilterTest::Equals, values: values.into_iter().map(Into::into).collect() }
    }

    /// Tests whether a field contains a value.
    pub fn contains(field: F, value: impl Into<String>) -> Self {
        Self { field, test: FilterTest::Contains, values: vec![value.into()] }
    }

    /// Returns whether a row with this text in the field passes.
    #[cfg(feature = "api")]
    pub(crate) fn passes(&self, text: &str) -> bool {
        self.values.iter().any(|value| self.test.passes(text, value))
    }
}

/// A filter on a column of a store.
#[derive(Clone, Debug)]
pub(crate) struct ColumnFilter {
    pub(crate) column: &'static str,
    pub(crate) test: FilterTest,
    pub(crate) values: Vec<String>,
}

/// Merges filters with the same test on the same column: their values are those that all of them list.
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
    /// Returns whether a row with this text in the column passes.
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

/// A field to filter owners by.
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
    /// The name that the owner chose.
    Username,
    /// `true` or `false`: whether the owner has registered and is not switched off.
    IsActive,
    /// `true` or `false`: whether the owner is blocked.
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

/// A field to filter tokens by.
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

/// A query for a page of owners.
#[derive(Clone, Debug)]
pub struct OwnerQuery {
    /// The page.
    pub paging: Paging,
    /// A text that the e-mail address or a name contains, in any case (of ASCII letters at least).
    pub search: Option<String>,
    /// The tests, all of which must pass.
    pub filters: Vec<Filter<OwnerField>>,
    /// The field to sort by. Equal rows are sorted by id.
    pub sort: OwnerSort,
    /// Whether the order is descending, also of the ids.
    pub descending: bool,
}

impl OwnerQuery {
    /// Asks for all owners by id, on this page.
    pub fn all(paging: Paging) -> Self {
        Self { paging, search: None, filters: Vec::new(), sort: OwnerSort::Id, descending: false }
    }
}

/// A field to sort owners by.
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
    /// The name that the owner chose; accounts without one come first.
    Username,
    /// When the account was made.
    CreatedAt,
}

/// A test of one member of metadata: a token passes if the member is this text.
///
/// ```
/// use keyward::token::TokenKind;
/// use keyward::store::{MetadataFilter, TokenQuery};
/// let metadata = Some(MetadataFilter { member: "team".into(), text: "ci".into() });
/// let of_ci = TokenQuery { metadata, ..TokenQuery::of(TokenKind::Admin) };
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataFilter {
    /// The name of the member, at the top level of the object.
    pub member: String,
    /// The text that it has to be. Numbers, lists and other values never pass.
    pub text: String,
}

impl MetadataFilter {
    /// Returns whether this metadata passes.
    pub fn passes(&self, metadata: Option<&Metadata>) -> bool {
        metadata.and_then(|metadata| metadata.get(&self.member)?.as_str()) == Some(&self.text)
    }
}

/// A query for a page of tokens. `None` matches all.
///
/// ```
/// use keyward::token::TokenKind;
/// use keyward::store::{TokenQuery, TokenSort};
/// let latest = TokenQuery { sort: TokenSort::CreatedAt, descending: true, ..TokenQuery::of(TokenKind::Admin) };
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenQuery {
    /// The page.
    pub paging: Paging,
    /// The kind.
    pub kind: TokenKind,
    /// The owner.
    pub owner: Option<OwnerId>,
    /// A time at which the tokens have not expired.
    pub unexpired_at: Option<Timestamp>,
    /// A text that the name, the description or the displayed name of the owner contains, in any case (of ASCII letters at least).
    pub search: Option<String>,
    /// The tests, all of which must pass.
    pub filters: Vec<Filter<TokenField>>,
    /// A text that the metadata has as a member.
    pub metadata: Option<MetadataFilter>,
    /// The field to sort by. Equal rows are sorted by id.
    pub sort: TokenSort,
    /// Whether the order is descending, also of the ids.
    pub descending: bool,
}

impl TokenQuery {
    /// Asks for the first hundred tokens of a kind, by name.
    pub fn of(kind: TokenKind) -> Self {
        let (paging, sort) = (Paging::FIRST, TokenSort::Name);
        Self {
            paging,
            kind,
            owner: None,
            unexpired_at: None,
            search: None,
            filters: Vec::new(),
            metadata: None,
            sort,
            descending: false,
        }
    }
}

/// A field to sort tokens by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TokenSort {
    /// The name, in any case (of ASCII letters). Sessions have none: they are sorted by id.
    Name,
    /// The id.
    Id,
    /// When it was made.
    CreatedAt,
    /// When it was last used; tokens that never were come first.
    LastUsedAt,
    /// When it expires; tokens that never do come last.
    ExpiresAt,
    /// The displayed name of the owner, in any case (of ASCII letters).
    Owner,
    /// The access of content tokens: custom, full, read-only.
    Access,
}

/// A query for a page of audit events. `None` matches all.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// The page.
    pub paging: Paging,
    /// The id of the event.
    pub id: Option<i64>,
    /// A bound: events have a smaller id. The total is then the number of events on the page.
    pub below: Option<i64>,
    /// The actions, one of which the event has.
    pub actions: Option<Vec<AuditAction>>,
    /// The target.
    pub target: Option<AuditTarget>,
    /// The person who acted.
    pub person: Option<OwnerId>,
    /// The token that acted.
    pub token: Option<TokenId>,
    /// An owner: events about admin tokens and sessions of other owners do not match.
    pub tokens_of: Option<OwnerId>,
    /// The earliest time.
    pub since: Option<Timestamp>,
    /// The time before which the event happened.
    pub until: Option<Timestamp>,
    /// Whether the oldest come first.
    pub ascending: bool,
}

impl EventQuery {
    /// Asks for all events, on this page.
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

/// The events of an actor and an action, for [`nth_latest_event`](crate::store::ReadAudit::nth_latest_event).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventsOfActor {
    /// The action.
    pub what: AuditAction,
    /// The person or token that acted.
    pub actor: Actor,
    /// The target, which is not the installation; `None` matches all.
    pub target: Option<AuditTarget>,
    /// The earliest time.
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
    /// The most addresses of one person that are read: the latest ones.
    pub const OF_A_PERSON: u32 = 64;
    /// The most addresses that are read in all: the latest ones.
    pub const MOST: u32 = 20_000;
}
