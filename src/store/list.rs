//! Parts of lists: which, and in which order.

use crate::domain::{Doer, Kind, OwnerId, Target, Timestamp, TokenId, What};
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

/// Which owners, in which order.
#[derive(Clone, Debug)]
pub struct OwnerQuery {
    /// Which page.
    pub paging: Paging,
    /// A text that is in the e-mail address or a name, in any case (of ASCII letters at least).
    pub search: Option<String>,
    /// Sorted by what, then by id.
    pub sort: OwnerSort,
    /// The greatest first, also of the ids.
    pub descending: bool,
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
    /// The name they chose; who has none comes first.
    Username,
    /// When the account was made.
    CreatedAt,
}

/// Which tokens, in which order. What is `None` is not asked about.
///
/// ```
/// use keyward::Kind;
/// use keyward::store::{TokenQuery, TokenSort};
/// let latest = TokenQuery { sort: TokenSort::CreatedAt, descending: true, ..TokenQuery::of(Kind::Admin) };
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenQuery {
    /// Which page.
    pub paging: Paging,
    /// Of which kind.
    pub kind: Kind,
    /// Of this owner.
    pub owner: Option<OwnerId>,
    /// Not expired by then.
    pub unexpired_at: Option<Timestamp>,
    /// A text that is in the name, the description or the name that the owner is shown by, in any case (of ASCII letters at least).
    pub search: Option<String>,
    /// What they are sorted by; those that are equal in it, by id.
    pub sort: TokenSort,
    /// The greatest first, also of the ids.
    pub descending: bool,
}

impl TokenQuery {
    /// The first hundred of a kind, by name.
    pub fn of(kind: Kind) -> Self {
        let (paging, sort) = (Paging::FIRST, TokenSort::Name);
        Self { paging, kind, owner: None, unexpired_at: None, search: None, sort, descending: false }
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
    /// What was done.
    pub what: Option<What>,
    /// To what.
    pub target: Option<Target>,
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
}

impl EventQuery {
    /// All, on this page.
    pub fn all(paging: Paging) -> Self {
        Self { paging, what: None, target: None, person: None, token: None, tokens_of: None, since: None, until: None }
    }
}

/// Events of one sort: what one actor did, to one target or to all, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventsOfActor {
    /// What was done.
    pub what: What,
    /// By this person or token.
    pub doer: Doer,
    /// To this, which is not the installation; `None`: to anything.
    pub target: Option<Target>,
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
    pub const OF_A_PERSON: u32 = 16;
    /// How many are read in all at most, the latest ones.
    pub const MOST: u32 = 20_000;
}
