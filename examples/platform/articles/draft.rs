//! What a request sets of an article.

use super::{FIELDS, Side};
use crate::wire::{Failure, Problem, Texts, texts};
use serde_json::{Map, Value as Json};

/// What an article has that requests cannot set. Whoever puts back what they have read sends it unchanged.
const SET_BY_US: [&str; 5] = ["id", "documentId", "createdAt", "updatedAt", "createdBy"];

pub(super) struct Draft {
    pub(super) texts: Texts,
    unchanged: Map<String, Json>,
    path: &'static [&'static str],
}

impl Draft {
    pub(super) fn of_a_new_one(body: Map<String, Json>, side: Side) -> Result<Self, Failure> {
        let draft = Self::of_a_known_one(body, side)?;
        draft.leaves(&Map::new())?;
        match draft.texts.contains_key("title") {
            true => Ok(draft),
            false => Err(draft.problem("title", "title is required").into()),
        }
    }

    pub(super) fn of_a_known_one(mut body: Map<String, Json>, side: Side) -> Result<Self, Failure> {
        let path: &[&str] = match side {
            Side::Admin => &[],
            Side::Content => &["data"],
        };
        if side == Side::Content {
            body = data(body)?;
        }
        let (unchanged, fields): (Map<_, _>, Map<_, _>) =
            body.into_iter().partition(|(member, _)| SET_BY_US.contains(&member.as_str()));
        let draft = Self { texts: texts(&fields, &FIELDS, path)?, unchanged, path };
        match draft.texts.get("title") {
            Some(title) if title.as_deref().is_none_or(|text| text.trim().is_empty()) => {
                Err(draft.problem("title", "title must not be empty").into())
            }
            _ => Ok(draft),
        }
    }

    /// The fields that it sets.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.texts.keys().copied()
    }

    /// Makes sure that what requests cannot set stays what it is.
    pub(super) fn leaves(&self, known: &Map<String, Json>) -> Result<(), Failure> {
        let changed = self.unchanged.iter().filter(|(member, value)| known.get(*member) != Some(value));
        let problems: Vec<Problem> =
            changed.map(|(member, _)| self.problem(member, format!("{member} cannot be set"))).collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::Invalid(problems)) }
    }

    fn problem(&self, member: &str, message: impl Into<String>) -> Problem {
        Problem::at(&[self.path, &[member]].concat(), message)
    }
}

/// The content side wraps what is set in `data`.
fn data(mut body: Map<String, Json>) -> Result<Map<String, Json>, Failure> {
    let data = body.remove("data");
    if let Some(other) = body.keys().next() {
        return Err(Problem::at(&[other], format!("{other} is not known here: put fields into data")).into());
    }
    match data {
        Some(Json::Object(members)) => Ok(members),
        Some(other) => Err(Problem::at(&["data"], "data must be an object").got(other).into()),
        None => Err(Problem::at(&["data"], "data is required").into()),
    }
}
