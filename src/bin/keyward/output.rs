//! Standard output: JSON, tables or the bare minimum, as asked for.

use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, Write};

/// The form of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    /// Tables and lines for people.
    Text,
    /// JSON.
    Json,
    /// What a script needs.
    Quiet,
}

impl Output {
    /// Prints a value: as JSON, as lines for people, or as a word for scripts.
    pub(crate) fn print<T: Serialize>(
        self,
        value: &T,
        lines: impl FnOnce(&T) -> String,
        word: impl FnOnce(&T) -> Option<String>,
    ) -> Result<(), Failure> {
        match self {
            Self::Json => write_line(&to_json(value, true)?),
            Self::Text => write_line(&lines(value)),
            Self::Quiet => word(value).map_or(Ok(()), |word| write_line(&word)),
        }
    }

    /// Prints a line on standard error, for people.
    pub(crate) fn note(self, line: &str) {
        if self == Self::Text {
            eprintln!("{line}");
        }
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json_line<T: Serialize>(value: &T) -> Result<(), Failure> {
    write_line(&to_json(value, false)?)
}

fn to_json<T: Serialize>(value: &T, pretty: bool) -> Result<String, Failure> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    text.map_err(|error| Failure::failed(format!("the output is not JSON: {error}")))
}

fn write_line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Lays rows out in aligned columns, below a heading. Without rows it is the heading alone.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let heading = heading.map(str::to_owned);
    let all: Vec<[String; N]> = std::iter::once(heading).chain(rows.iter().map(|row| row.clone().map(plain))).collect();
    let width = |i: usize| all.iter().map(|row| row[i].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Lays names and values out, one pair a line.
pub(crate) fn record(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 1;
    let line = |(name, value): &(&str, String)| {
        let name = format!("{name}:");
        format!("{name:width$}  {}", plain(value.clone())).trim_end().to_owned()
    };
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Writes a number of things.
pub(crate) fn count(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// Writes a number of things, and the verb.
pub(crate) fn are(n: u64, one: &str) -> String {
    format!("{} {}", count(n, one), if n == 1 { "is" } else { "are" })
}

/// Replaces control characters: names come from elsewhere, and terminals obey them.
fn plain(text: String) -> String {
    if text.contains(char::is_control) { text.replace(char::is_control, "\u{fffd}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_replaced() {
        let rows = [["1".to_owned(), "dé".to_owned()], ["200".to_owned(), "a\u{1b}[1m".to_owned()]];
        assert_eq!(table(["ID", "NAME"], &rows), "ID   NAME\n1    dé\n200  a\u{fffd}[1m");
        assert_eq!(record(&[("id", "1".into()), ("name", String::new())]), "id:    1\nname:");
    }
}
