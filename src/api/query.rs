//! Query parameters of lists. All that is wrong with them is said at once.

use super::failure::{Failure, Problem};
use crate::domain::{Timestamp, date, parse_id};
use crate::store::{Filter, FilterTest, Paging};
use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

const PAGE_SIZE: u32 = 10;
const LARGEST_PAGE: u32 = 100;

/// No list is filtered by more values.
const MOST_FILTERS: usize = 100;
/// No text that is searched for has more bytes.
const LONGEST_TEXT: usize = 255;

/// The query parameters of a request.
pub(super) struct Params {
    given: BTreeMap<String, String>,
    /// Parameters whose name begins with `filters`, in order.
    filters: Vec<(String, String)>,
    problems: Vec<Problem>,
}

/// The type of a field's values.
#[derive(Clone, Copy)]
pub(super) enum Values {
    /// Any text.
    Texts,
    /// An id, which may stand under `[id]`: `filters[adminUserOwner][id][$eq]=1`.
    Ids,
    /// `true` or `false`.
    Flags,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// The fields that a list is filtered by: how each is called, which it is, and what its values are.
pub(super) type FilterFields<F> = [(&'static str, F, Values)];

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|_| Problem::at([""; 0], "the query is no list of parameters"))?;
        let (mut given, mut filters, mut problems) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (name, value) in pairs {
            if value.contains('\0') {
                problems.push(Problem::at([&name], "must not contain NUL"));
            } else if name.starts_with("filters[") {
                filters.push((name, value));
            } else if given.insert(name.clone(), value).is_some() {
                problems.push(Problem::at([&name], "is there twice"));
            }
        }
        Ok(Self { given, filters, problems })
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

    /// The paging of a list that used to be whole: its pages are large.
    pub(super) fn large_paging(&mut self) -> Paging {
        self.paging_of(Paging::FIRST.page_size, Paging::LARGEST)
    }

    fn paging_of(&mut self, usual: u32, largest: u32) -> Paging {
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0 && !text.starts_with('+'));
        let page = self.read("page", "a page, from 1", number);
        let size = |text: &str| number(text).filter(|n| *n <= largest);
        let page_size = self.read("pageSize", &format!("a number from 1 to {largest}"), size);
        Paging { page: page.unwrap_or(1), page_size: page_size.unwrap_or(usual) }
    }

    /// The text of `_q`, if there is any.
    pub(super) fn search(&mut self) -> Option<String> {
        let text = self.text("_q").filter(|text| !text.trim().is_empty())?;
        if text.len() > LONGEST_TEXT {
            self.wrong("_q", format!("must have at most {LONGEST_TEXT} bytes"));
        }
        Some(text)
    }

    /// Returns the sort field and whether the order is descending: `email:DESC`.
    pub(super) fn sort<S: Copy>(&mut self, fields: &[(&str, S)]) -> Option<(S, bool)> {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}, with :ASC or :DESC", names.join(", "));
        self.read("sort", &expected, |text| {
            let (field, order) = text.split_once(':').unwrap_or((text, "ASC"));
            let (_, sort) = fields.iter().find(|(name, _)| *name == field)?;
            match order {
                _ if order.eq_ignore_ascii_case("asc") => Some((*sort, false)),
                _ if order.eq_ignore_ascii_case("desc") => Some((*sort, true)),
                _ => None,
            }
        })
    }

    /// Reads `filters[field][$eq]`, `[$contains]` and `[$in]`; all have to pass. `filters[$and][0][field]..` is the same.
    pub(super) fn filters<F: Copy + PartialEq>(&mut self, fields: &FilterFields<F>) -> Vec<Filter<F>> {
        let given = std::mem::take(&mut self.filters);
        if given.len() > MOST_FILTERS {
            self.wrong("filters", format!("must have at most {MOST_FILTERS} values"));
            return Vec::new();
        }
        let (mut filters, mut lists) = (Vec::new(), BTreeMap::new());
        for (name, value) in given {
            match one_filter(fields, &name, &value) {
                Ok((filter, None)) => {
                    let is_second = filter.test == FilterTest::Contains
                        && filters
                            .iter()
                            .any(|other: &Filter<F>| (other.field, other.test) == (filter.field, filter.test));
                    match is_second {
                        true => self.problems.push(Problem::at([name], "can be asked once for each field")),
                        false => filters.push(filter),
                    }
                }
                // The values of a list come one by one.
                Ok((filter, Some(path))) => match lists.get(&path) {
                    None => {
                        lists.insert(path, filters.len());
                        filters.push(filter);
                    }
                    Some(at) => {
                        // An index of `filters`, which only grows.
                        let list: &mut Filter<F> = &mut filters[*at];
                        list.values.extend(filter.values);
                    }
                },
                Err(message) => self.problems.push(Problem::at([name], message).got(value)),
            }
        }
        filters
    }

    pub(super) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::at([name], message));
    }

    /// Rejects invalid and unknown parameters.
    pub(super) fn done(self) -> Result<(), Failure> {
        let unknown = self.given.into_keys().chain(self.filters.into_iter().map(|(name, _)| name));
        let unknown = unknown.map(|name| Problem::at([name], "is no parameter of this list"));
        let problems: Vec<Problem> = self.problems.into_iter().chain(unknown).collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::invalid(problems)) }
    }
}

/// One value of a filter. With `$in` it belongs to a list, which is named by the path before it.
fn one_filter<F: Copy>(
    fields: &FilterFields<F>,
    name: &str,
    value: &str,
) -> Result<(Filter<F>, Option<String>), String> {
    let shape = || "must look like filters[field][$eq], with $eq, $contains or $in".to_owned();
    let inside = name.strip_prefix("filters[").and_then(|rest| rest.strip_suffix(']')).ok_or_else(shape)?;
    let mut parts: Vec<&str> = inside.split("][").collect();
    let is_index = |part: &str| part.is_empty() || part.parse::<u16>().is_ok();
    let mut group = String::new();
    if let ["$and", index, ..] = parts.as_slice()
        && is_index(index)
    {
        group = format!("{index}:");
        parts.drain(..2);
    }
    let Some((_, field, values)) = fields.iter().find(|(known, ..)| Some(known) == parts.first()).copied() else {
        let known: Vec<&str> = fields.iter().map(|(known, ..)| *known).collect();
        return Err(format!("is no field to filter by: use {}", known.join(", ")));
    };
    if matches!(values, Values::Ids) && parts.get(1) == Some(&"id") {
        parts.remove(1);
    }
    let good = match values {
        Values::Texts => value.len() <= LONGEST_TEXT,
        Values::Ids => parse_id(value).is_some(),
        Values::Flags => matches!(value, "true" | "false"),
        Values::Words(words) => words.contains(&value),
    };
    if !good {
        return Err(match values {
            Values::Texts => format!("must have at most {LONGEST_TEXT} bytes"),
            Values::Ids => "must be an id".to_owned(),
            Values::Flags => "must be true or false".to_owned(),
            Values::Words(words) => format!("must be one of {}", words.join(", ")),
        });
    }
    match &parts[1..] {
        ["$eq"] => Ok((Filter::equals(field, [value]), None)),
        ["$contains"] if matches!(values, Values::Texts) => Ok((Filter::contains(field, value), None)),
        ["$contains"] => Err("takes $eq or $in: only texts contain others".to_owned()),
        ["$in"] => Ok((Filter::equals(field, [value]), Some(format!("{group}{}", parts[0])))),
        ["$in", index] if is_index(index) => Ok((Filter::equals(field, [value]), Some(format!("{group}{}", parts[0])))),
        _ => Err(shape()),
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
