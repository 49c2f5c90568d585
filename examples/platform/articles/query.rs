//! The query of a list: page, order and filters, as far as the decision allows them.

use super::rows::COLUMNS;
use crate::wire::Problem;
use axum::http::Uri;
use keyward::Decision;
use keyward::authz::Value;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// The members that are visible on every row, whatever the decision: they are not fields.
const ALWAYS: [&str; 4] = ["id", "documentId", "createdAt", "updatedAt"];

pub(super) struct Query {
    page: u32,
    size: u32,
    /// Expressions, each with ASC or DESC.
    pub(super) order: Vec<String>,
    /// Expressions, each with the value that it must equal.
    pub(super) filters: Vec<(&'static str, Value)>,
}

impl Query {
    pub(super) fn read(uri: &Uri, decision: &Decision) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        Self::of(&pairs.map_err(|_| Problem::at(&[], "the query cannot be read"))?.0, decision)
    }

    /// Reads the names and values of parameters.
    pub(super) fn of(pairs: &[(String, String)], decision: &Decision) -> Result<Self, Problem> {
        let (mut query, mut seen) =
            (Self { page: 1, size: 10, order: Vec::new(), filters: Vec::new() }, BTreeSet::new());
        for (sent, value) in pairs {
            // Strapi's names of the same parameters.
            let name = match sent.as_str() {
                "pagination[page]" => "page",
                "pagination[pageSize]" => "pageSize",
                other => other,
            };
            if !seen.insert(name.strip_suffix("[$eq]").unwrap_or(name)) {
                return Err(Problem::at(&[sent], format!("{name} is there twice: keep one")));
            }
            match name {
                "page" => query.page = number(sent, value, u32::MAX)?,
                "pageSize" => query.size = number(sent, value, 100)?,
                "sort" => query.order = order(value, decision)?,
                _ => query.filters.push(filter(name, value, decision)?),
            }
        }
        // Equal rows need a fixed order, or pages would overlap.
        query.order.push("a.id ASC".to_owned());
        Ok(query)
    }

    pub(super) fn limit(&self) -> i64 {
        i64::from(self.size)
    }

    pub(super) fn offset(&self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.size)
    }

    pub(super) fn pagination(&self, total: i64) -> Json {
        let pages = (total + self.limit() - 1) / self.limit();
        json!({"page": self.page, "pageSize": self.size, "pageCount": pages, "total": total})
    }
}

fn number(name: &str, value: &str, most: u32) -> Result<u32, Problem> {
    match value.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(Problem::at(&[name], format!("{name} must be a number from 1 to {most}")).got(value)),
    }
}

/// Parses `title` or `title:desc`, several separated by commas.
fn order(value: &str, decision: &Decision) -> Result<Vec<String>, Problem> {
    let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
    for part in value.split(',') {
        let (field, direction) = part.split_once(':').unwrap_or((part, "asc"));
        let direction = match direction.to_ascii_lowercase().as_str() {
            "asc" => "ASC",
            "desc" => "DESC",
            _ => return Err(Problem::at(&["sort"], format!("sort {field} by asc or desc")).got(part)),
        };
        if !seen.insert(field) {
            return Err(Problem::at(&["sort"], format!("{field} is there twice")).got(value));
        }
        let expression = expression(&["sort"], field, decision)?;
        order.push(format!("{expression} {direction}"));
    }
    Ok(order)
}

/// Parses `filters[title]=value`, or Strapi's `filters[title][$eq]=value`.
fn filter(name: &str, value: &str, decision: &Decision) -> Result<(&'static str, Value), Problem> {
    let field = name.strip_prefix("filters[").and_then(|rest| rest.strip_suffix(']'));
    let field = field.ok_or_else(|| {
        Problem::at(&[name], format!("there is no parameter {name}: page, pageSize, sort and filters[field] are"))
    })?;
    let (field, operator) = field.split_once("][").unwrap_or((field, "$eq"));
    let path = ["filters", field];
    // First, so that a hidden field is rejected with any operator.
    let expression = expression(&path, field, decision)?;
    if operator != "$eq" {
        let message = format!("there is no operator {operator}: filter by what is equal, filters[{field}][$eq]");
        return Err(Problem::at(&["filters", field, operator], message));
    }
    let value = match field {
        "id" => value.parse().map(Value::Int).map_err(|_| Problem::at(&path, "id is a number").got(value))?,
        "createdAt" | "updatedAt" => return Err(Problem::at(&path, format!("{field} can sort, but not filter"))),
        _ => Value::Text(value.to_owned()),
    };
    Ok((expression, value))
}

/// Returns the expression of a field to sort or filter by. It has to be visible on every row: otherwise the order would
/// reveal its value.
fn expression(path: &[&str], field: &str, decision: &Decision) -> Result<&'static str, Problem> {
    let expression = COLUMNS.column(field).map_err(|unknown| Problem::at(path, unknown.to_string()))?;
    if !ALWAYS.contains(&field) {
        decision.may_query(field).map_err(|hidden| Problem::at(path, hidden.to_string()))?;
    }
    Ok(expression)
}
