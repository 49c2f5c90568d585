//! The fields of an article that a request sets.

use super::{ApiKind, FIELDS};
use crate::wire::{Failure, Problem, Texts, texts};
use serde_json::{Map, Value as Json};

/// The members of an article that requests cannot set. A client that sends back a whole article sends them unchanged.
const READ_ONLY: [&str; 6] = ["id", "documentId", "createdAt", "updatedAt", "publishedAt", "createdBy"];

pub(super) struct Draft {
    pub(super) texts: Texts,
    unchanged: Map<String, Json>,
    path: &'static [&'static str],
}

impl Draft {
    pub(super) fn for_create(body: Map<String, Json>, api: ApiKind) -> Result<Self, Failure> {
        let draft = Self::for_update(body, api)?;
        draft.check_unchanged(&Map::new())?;
        match draft.texts.contains_key("title") {
            true => Ok(draft),
            false => Err(draft.problem("title", "title is required").into()),
        }
    }

    pub(super) fn for_update(mut body: Map<String, Json>, api: ApiKind) -> Result<Self, Failure> {
        let path: &[&str] = match api {
            ApiKind::Admin => &[],
            ApiKind::Content => &["data"],
        };
        if api == ApiKind::Content {
            body = data(body)?;
        }
        let (unchanged, fields): (Map<_, _>, Map<_, _>) =
            body.into_iter().partition(|(member, _)| READ_ONLY.contains(&member.as_str()));
        let draft = Self { texts: texts(&fields, &FIELDS, path)?, unchanged, path };
        match draft.texts.get("title") {
            Some(title) if title.as_deref().is_none_or(|text| text.trim().is_empty()) => {
                Err(draft.problem("title", "title must not be empty").into())
            }
            _ => Ok(draft),
        }
    }

    /// Returns the fields that the request sets.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.texts.keys().copied()
    }

    /// Checks that read-only members have their present value.
    pub(super) fn check_unchanged(&self, known: &Map<String, Json>) -> Result<(), Failure> {
        let changed = self.unchanged.iter().filter(|(member, value)| known.get(*member) != Some(value));
        let problems: Vec<Problem> =
            changed.map(|(member, _)| self.problem(member, format!("{member} cannot be set"))).collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::Invalid(problems)) }
    }

    fn problem(&self, member: &str, message: impl Into<String>) -> Problem {
        Problem::at(&[self.path, &[member]].concat(), message)
    }
}

/// Unwraps the fields from `data`, as the content API has them.
fn data(mut body: Map<String, Json>) -> Result<Map<String, Json>, Failure> {
    let data = body.remove("data");
    if let Some(other) = body.keys().next() {
        return Err(Problem::at(&[other], format!("{other} is unknown: put fields into data")).into());
    }
    match data {
        Some(Json::Object(members)) => Ok(members),
        Some(other) => Err(Problem::at(&["data"], "data must be an object").got(other).into()),
        None => Err(Problem::at(&["data"], "data is required").into()),
    }
}
