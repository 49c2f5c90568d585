//! What an import did, for people and for programs.

use crate::domain::is_hidden;
use serde::Serialize;
use std::fmt;

/// What an import did, or would do. [`Display`](fmt::Display) prints it for people; nothing in it is secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// What the source is called here.
    pub source: String,
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// How much came.
    pub came: Counts,
    /// How much had come before and was left alone.
    pub before: Counts,
    /// What came, what did not, and why.
    pub entries: Vec<ReportEntry>,
}

/// How much.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Counts {
    /// Roles, without the super admin role, which is here already.
    pub roles: u64,
    /// Owners.
    pub owners: u64,
    /// Admin tokens.
    pub admin_tokens: u64,
    /// Content tokens.
    pub content_tokens: u64,
    /// Tokens whose key their owners can see again.
    pub keys: u64,
}

/// One thing of a report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReportEntry {
    /// What became of it.
    pub outcome: Outcome,
    /// What it is there: `role 4 "Reader"`, `grant admin::webhooks.read of token 5 "ci"`.
    pub what: String,
    /// Why, or as what. Empty if there is nothing to say.
    pub why: String,
}

/// What became of something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It came.
    Came,
    /// It came under another name.
    Renamed,
    /// A grant did not come, because its owner does not hold it: no token is stronger than its owner.
    TakenAway,
    /// A grant came and allows less than there, because its owner holds it only under conditions, or only in parts.
    Narrowed,
    /// It was left there.
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
    /// How many tokens of either kind.
    pub fn tokens(&self) -> u64 {
        self.admin_tokens + self.content_tokens
    }

    /// Whether nothing is counted.
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

    /// The entries with this outcome.
    pub fn with(&self, outcome: Outcome) -> impl Iterator<Item = &ReportEntry> {
        self.entries.iter().filter(move |entry| entry.outcome == outcome)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, came, before, .. } = self;
        let (said, would) =
            if self.dry_run { ("A dry run: nothing was changed. ", "would come") } else { ("", "came") };
        writeln!(f, "{said}From {source:?} {would}: {came}. Keys that can be shown again: {}.", came.keys)?;
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

/// Names come from a foreign database, and this is printed on terminals.
fn plain(text: String) -> String {
    if text.chars().any(is_hidden) { text.replace(is_hidden, "\u{fffd}") } else { text }
}
