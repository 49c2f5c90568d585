//! Query parameters of lists. All that is wrong with them is said at once.

use super::failure::{Failure, Problem};
use crate::domain::{Timestamp, date, parse_id};
use crate::store::Paging;
use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

const PAGE_SIZE: u32 = 10;
const LARGEST_PAGE: u32 = 100;

/// The query parameters of a request.
pub(super) struct Params {
    given: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|_| Problem::at([""; 0], "the query is no list of parameters"))?;
        let (mut given, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, value) in pairs {
            if value.contains('\0') {
                problems.push(Problem::at([&name], "must not contain NUL"));
            } else if given.insert(name.clone(), value).is_some() {
                problems.push(Problem::at([&name], "is there twice"));
            }
        }
        Ok(Self { given, problems })
    }
}

impl Params {
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    /// Takes what `read` understands.
    pub(super) fn read<T>(&mut self, name: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.given.remove(name)?;
        let value = read(&text);
        if value.is_none() {
            self.problems.push(Problem::at([name], format!("must be {expected}")).got(text));
        }
        value
    }

    pub(super) fn id(&mut self, name: &str) -> Option<i64> {
        self.read(name, "an id", parse_id)
    }

    pub(super) fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.read(name, "a date such as 2026-01-31T09:30:00.000Z, or milliseconds since 1970", date::parse)
    }

    pub(super) fn paging(&mut self) -> Paging {
        self.paging_of(PAGE_SIZE, LARGEST_PAGE)
    }

    /// The paging of a list that used to be whole, and nothing else: its pages are large.
    pub(super) fn paging_alone(mut self) -> Result<Paging, Failure> {
        let paging = self.paging_of(Paging::FIRST.page_size, Paging::LARGEST);
        self.done()?;
        Ok(paging)
    }

    fn paging_of(&mut self, usual: u32, largest: u32) -> Paging {
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0 && !text.starts_with('+'));
        let page = self.read("page", "a page, from 1", number);
        let size = |text: &str| number(text).filter(|n| *n <= largest);
        let page_size = self.read("pageSize", &format!("a number from 1 to {largest}"), size);
        Paging { page: page.unwrap_or(1), page_size: page_size.unwrap_or(usual) }
    }

    pub(super) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::at([name], message));
    }

    /// Refuses what was wrong, and what nobody has asked for.
    pub(super) fn done(self) -> Result<(), Failure> {
        let unknown = self.given.into_keys().map(|name| Problem::at([name], "is no parameter of this list"));
        let problems: Vec<Problem> = self.problems.into_iter().chain(unknown).collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::invalid(problems)) }
    }
}

/// Which part of a list this is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pagination {
    /// Which page, from 1.
    page: u32,
    /// How many are on a page.
    page_size: u32,
    /// How many pages there are.
    page_count: u64,
    /// How many there are on all of them.
    total: u64,
}

impl Pagination {
    pub(super) fn of(Paging { page, page_size }: Paging, total: u64) -> Self {
        Self { page, page_size, page_count: total.div_ceil(u64::from(page_size)), total }
    }
}
