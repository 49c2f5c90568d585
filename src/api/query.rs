//! Query parameters of lists. A rejection names all invalid parameters at once.

use super::failure::{Failure, Problem};
use crate::domain::{Timestamp, date, parse_id};
use crate::store::{Filter, FilterTest, MetadataFilter, Paging};
use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::{IntoParams, PartialSchema, ToSchema};

const PAGE_SIZE: u32 = 10;
const LARGEST_PAGE: u32 = 100;

/// The largest number of filter values in a request.
const MOST_FILTERS: usize = 100;
/// The longest text of a search or a filter, in bytes.
const LONGEST_TEXT: usize = 255;

/// The query parameters of a request. Handlers take out the ones they know.
pub(super) struct Params {
    values: BTreeMap<String, String>,
    /// Parameters whose name begins with `filters[`, in order.
    filters: Vec<(String, String)>,
    problems: Vec<Problem>,
}

/// The type of a field that lists are filtered by.
#[derive(Clone, Copy)]
pub(super) enum FieldType {
    Text,
    /// An id, also in the form `filters[adminUserOwner][id][$eq]=1`.
    Id,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// The name, the field and the type of each field that a list is filtered by.
pub(super) type FilterFields<F> = [(&'static str, F, FieldType)];

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|_| Problem::at([""; 0], "the query is not a list of parameters"))?;
        let (mut values, mut filters, mut problems) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (name, value) in pairs {
            if value.contains('\0') {
                problems.push(Problem::at([&name], "must not contain NUL"));
            } else if name.starts_with("filters[") {
                filters.push((name, value));
            } else if values.insert(name.clone(), value).is_some() {
                problems.push(Problem::at([&name], "is there twice"));
            }
        }
        Ok(Self { values, filters, problems })
    }
}

impl Params {
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// Takes a parameter and parses it. `expected` completes "must be ..".
    pub(super) fn parse<T>(&mut self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.values.remove(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.problems.push(Problem::at([name], format!("must be {expected}")).got(text));
        }
        value
    }

    pub(super) fn id(&mut self, name: &str) -> Option<i64> {
        self.parse(name, "an id", parse_id)
    }

    pub(super) fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.parse(name, "a date such as 2026-01-31T09:30:00.000Z, or milliseconds since 1970", date::parse)
    }

    pub(super) fn paging(&mut self) -> Paging {
        self.limited_paging(PAGE_SIZE, LARGEST_PAGE)
    }

    /// Takes the paging of a list that Strapi returns whole. Its pages are large.
    pub(super) fn large_paging(&mut self) -> Paging {
        self.limited_paging(Paging::FIRST.page_size, Paging::LARGEST)
    }

    fn limited_paging(&mut self, default: u32, largest: u32) -> Paging {
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0 && !text.starts_with('+'));
        let page = self.parse("page", "a page, from 1", number);
        let size = |text: &str| number(text).filter(|n| *n <= largest);
        let page_size = self.parse("pageSize", &format!("a number from 1 to {largest}"), size);
        Paging { page: page.unwrap_or(1), page_size: page_size.unwrap_or(default) }
    }

    /// Takes the text of `_q`, unless it is blank.
    pub(super) fn search(&mut self) -> Option<String> {
        let text = self.text("_q").filter(|text| !text.trim().is_empty())?;
        if text.len() > LONGEST_TEXT {
            self.reject("_q", format!("must have at most {LONGEST_TEXT} bytes"));
        }
        Some(text)
    }

    /// Takes `sort` and returns the field and whether the order is descending: `email:DESC`.
    pub(super) fn sort<S: Copy>(&mut self, fields: &[(&str, S)]) -> Option<(S, bool)> {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}, with :ASC or :DESC", names.join(", "));
        self.parse("sort", &expected, |text| {
            let (field, order) = text.split_once(':').unwrap_or((text, "ASC"));
            let (_, sort) = fields.iter().find(|(name, _)| *name == field)?;
            match order {
                _ if order.eq_ignore_ascii_case("asc") => Some((*sort, false)),
                _ if order.eq_ignore_ascii_case("desc") => Some((*sort, true)),
                _ => None,
            }
        })
    }

    /// Takes `filters[field][$eq]`, `[$contains]` and `[$in]`; a row has to pass all. `filters[$and][0][field]..` means
    /// the same.
    pub(super) fn filters<F: Copy + PartialEq>(&mut self, fields: &FilterFields<F>) -> Vec<Filter<F>> {
        let sent = std::mem::take(&mut self.filters);
        if sent.len() > MOST_FILTERS {
            self.reject("filters", format!("must have at most {MOST_FILTERS} values"));
            return Vec::new();
        }
        let (mut filters, mut lists) = (Vec::new(), BTreeMap::new());
        for (name, value) in sent {
            match parse_filter(fields, &name, &value) {
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
                // `[$in][0]`, `[$in][1]` and so on are values of one filter.
                Ok((filter, Some(path))) => match lists.get(&path) {
                    None => {
                        lists.insert(path, filters.len());
                        filters.push(filter);
                    }
                    Some(index) => {
                        // In bounds: `filters` only grows.
                        let list: &mut Filter<F> = &mut filters[*index];
                        list.values.extend(filter.values);
                    }
                },
                Err(message) => self.problems.push(Problem::at([name], message).got(value)),
            }
        }
        filters
    }

    /// Takes `filters[metadata][member][$eq]`. The member is all text up to `][$eq]`, so it may have brackets.
    pub(super) fn metadata(&mut self) -> Option<MetadataFilter> {
        let mut sent = self.filters.extract_if(.., |(name, _)| below_metadata(name).is_some()).collect::<Vec<_>>();
        let (name, text) = sent.pop()?;
        let member = below_metadata(&name).and_then(|rest| rest.strip_prefix('[')?.strip_suffix("][$eq]"));
        let message = match member {
            _ if !sent.is_empty() => "can be asked of one member",
            None => "must look like filters[metadata][member][$eq]",
            Some(_) if text.len() > LONGEST_TEXT => "must have at most 255 bytes",
            Some(member) => return Some(MetadataFilter { member: member.to_owned(), text }),
        };
        self.problems.push(Problem::at([name], message).got(text));
        None
    }

    pub(super) fn reject(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::at([name], message));
    }

    /// Checks that all parameters are known and valid.
    ///
    /// # Errors
    /// A 400 that names each invalid or unknown parameter.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let unknown = self.values.into_keys().chain(self.filters.into_iter().map(|(name, _)| name));
        let unknown = unknown.map(|name| Problem::at([name], "is not a parameter of this list"));
        let problems: Vec<Problem> = self.problems.into_iter().chain(unknown).collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::invalid(problems)) }
    }
}

/// Returns what follows `filters[metadata]` or `filters[$and][0][metadata]` in the name of a parameter.
fn below_metadata(name: &str) -> Option<&str> {
    let inside = name.strip_prefix("filters[")?;
    let grouped = inside.strip_prefix("$and][").and_then(|rest| rest.split_once("]["));
    let inside = grouped.filter(|(index, _)| is_index(index)).map_or(inside, |(_, inside)| inside);
    inside.strip_prefix("metadata]")
}

/// Returns true for the index of a list in the name of a parameter, which may be left out.
fn is_index(part: &str) -> bool {
    part.is_empty() || part.parse::<u16>().is_ok()
}

/// Parses one value of a filter. A value of `$in` belongs to a list; the text identifies the list.
fn parse_filter<F: Copy>(
    fields: &FilterFields<F>,
    name: &str,
    value: &str,
) -> Result<(Filter<F>, Option<String>), String> {
    let shape = || "must look like filters[field][$eq], with $eq, $contains or $in".to_owned();
    let inside = name.strip_prefix("filters[").and_then(|rest| rest.strip_suffix(']')).ok_or_else(shape)?;
    let mut parts: Vec<&str> = inside.split("][").collect();
    let mut group = String::new();
    if let ["$and", index, ..] = parts.as_slice()
        && is_index(index)
    {
        group = format!("{index}:");
        parts.drain(..2);
    }
    let Some((_, field, field_type)) = fields.iter().find(|(known, ..)| Some(known) == parts.first()).copied() else {
        let known: Vec<&str> = fields.iter().map(|(known, ..)| *known).collect();
        return Err(format!("is not a field to filter by: use {}", known.join(", ")));
    };
    if matches!(field_type, FieldType::Id) && parts.get(1) == Some(&"id") {
        parts.remove(1);
    }
    let is_valid = match field_type {
        FieldType::Text => value.len() <= LONGEST_TEXT,
        FieldType::Id => parse_id(value).is_some(),
        FieldType::Flag => matches!(value, "true" | "false"),
        FieldType::OneOf(words) => words.contains(&value),
    };
    if !is_valid {
        return Err(match field_type {
            FieldType::Text => format!("must have at most {LONGEST_TEXT} bytes"),
            FieldType::Id => "must be an id".to_owned(),
            FieldType::Flag => "must be true or false".to_owned(),
            FieldType::OneOf(words) => format!("must be one of {}", words.join(", ")),
        });
    }
    match &parts[1..] {
        ["$eq"] => Ok((Filter::equals(field, [value]), None)),
        ["$contains"] if matches!(field_type, FieldType::Text) => Ok((Filter::contains(field, value), None)),
        ["$contains"] => Err("takes $eq or $in: only texts contain others".to_owned()),
        ["$in"] => Ok((Filter::equals(field, [value]), Some(format!("{group}{}", parts[0])))),
        ["$in", index] if is_index(index) => Ok((Filter::equals(field, [value]), Some(format!("{group}{}", parts[0])))),
        _ => Err(shape()),
    }
}

/// Describes an optional query parameter.
pub(super) fn describe_param<T: PartialSchema>(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .schema(Some(T::schema()))
        .description(Some(description))
        .build()
}

/// Describes the parameters that [`Params::paging`] takes.
pub(super) struct SmallPages;

impl IntoParams for SmallPages {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            describe_param::<u32>("page", "From 1"),
            describe_param::<u32>("pageSize", "From 1 to 100; 10 if left out"),
        ]
    }
}

/// Describes the parameters that [`Params::large_paging`] takes.
pub(super) struct LargePages;

impl IntoParams for LargePages {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            describe_param::<u32>("page", "From 1"),
            describe_param::<u32>("pageSize", "From 1 to 1000; 100 if left out"),
        ]
    }
}

/// The position of a page in its list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pagination {
    /// The number of this page, from 1.
    page: u32,
    page_size: u32,
    page_count: u64,
    /// The number of entries on all pages.
    total: u64,
}

impl Pagination {
    pub(super) fn new(Paging { page, page_size }: Paging, total: u64) -> Self {
        Self { page, page_size, page_count: total.div_ceil(u64::from(page_size)), total }
    }
}
