//! Reports of imports.

use crate::domain::is_hidden;
use serde::Serialize;
use std::fmt;

/// The outcome of an import, or of a dry run. [`Display`](fmt::Display) prints it for people. It holds no secrets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// The name of the source.
    pub source: String,
    /// Whether this was a dry run, which changes nothing.
    pub dry_run: bool,
    /// The number of imported records.
    pub came: Counts,
    /// The number of records that an earlier import brought. They were left alone.
    pub before: Counts,
    /// The records, each with its outcome.
    pub entries: Vec<ReportEntry>,
}

/// Numbers of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Counts {
    /// Roles, without the super admin role, which exists in every installation.
    pub roles: u64,
    /// Owners.
    pub owners: u64,
    /// Admin tokens.
    pub admin_tokens: u64,
    /// Content tokens.
    pub content_tokens: u64,
    /// Tokens whose secret their owners can view again.
    pub keys: u64,
}

/// A record, or a part of one, with its outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReportEntry {
    /// The outcome.
    pub outcome: Outcome,
    /// The record in the source: `role 4 "Reader"`, `grant admin::webhooks.read of token 5 "ci"`.
    pub what: String,
    /// The reason, or its name here. May be empty.
    pub why: String,
}

/// The outcome of a record in an import.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It was imported.
    Came,
    /// It was imported under another name.
    Renamed,
    /// A grant was not imported, because its owner does not hold it (never-more-than-owner).
    TakenAway,
    /// A grant was imported and allows less than in the source, because its owner holds it only under conditions, or only in parts.
    Narrowed,
    /// It was not imported.
    Left,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Came, Self::Renamed, Self::TakenAway, Self::Narrowed, Self::Left];

    fn heading(self) -> &'static str {
        match self {
            Self::Came => "Came",
            Self::Renamed => "Came under another name",
            Self::TakenAway => "Taken away, because the owner of the token does not hold it",
            Self::Narrowed => "Came, and allows less than there, because the owner may no more",
            Self::Left => "Left there",
        }
    }
}

impl Counts {
    /// Returns the number of tokens of both kinds.
    pub fn tokens(&self) -> u64 {
        self.admin_tokens + self.content_tokens
    }

    /// Returns whether all numbers of roles, owners and tokens are 0.
    pub fn is_empty(&self) -> bool {
        self.roles + self.owners + self.tokens() == 0
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |n: u64, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let (roles, owners) = (many(self.roles, "role"), many(self.owners, "owner"));
        let (admin, content) = (many(self.admin_tokens, "admin token"), many(self.content_tokens, "content token"));
        write!(f, "{roles}, {owners}, {admin}, {content}")
    }
}

impl Report {
    pub(super) fn new(source: String, dry_run: bool) -> Self {
        Self { source, dry_run, came: Counts::default(), before: Counts::default(), entries: Vec::new() }
    }

    pub(super) fn add(&mut self, outcome: Outcome, what: impl Into<String>, why: impl Into<String>) {
        self.entries.push(ReportEntry { outcome, what: plain(what.into()), why: plain(why.into()) });
    }

    /// Returns the entries with this outcome.
    pub fn with(&self, outcome: Outcome) -> impl Iterator<Item = &ReportEntry> {
        self.entries.iter().filter(move |entry| entry.outcome == outcome)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, came, before, .. } = self;
        let (note, verb) = if self.dry_run { ("A dry run: nothing was changed. ", "would come") } else { ("", "came") };
        writeln!(f, "{note}From {source:?} {verb}: {came}. Keys that can be shown again: {}.", came.keys)?;
        if !before.is_empty() {
            writeln!(f, "Came before, and left alone: {before}.")?;
        }
        for outcome in Outcome::ALL {
            let mut entries = self.with(outcome).peekable();
            if entries.peek().is_some() {
                writeln!(f, "\n{}:", outcome.heading())?;
            }
            for ReportEntry { what, why, .. } in entries {
                match why.as_str() {
                    "" => writeln!(f, "  {what}")?,
                    why => writeln!(f, "  {what}: {why}")?,
                }
            }
        }
        Ok(())
    }
}

/// Replaces hidden characters: names come from another database, and a report is printed on terminals.
fn plain(text: String) -> String {
    if text.chars().any(is_hidden) { text.replace(is_hidden, "\u{fffd}") } else { text }
}
