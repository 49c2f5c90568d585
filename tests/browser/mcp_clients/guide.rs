//! The table of the guide with the texts that each client shows to its user.

use super::driver::Client;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The texts of each case, one or several by server and revision.
pub(super) type Texts = BTreeMap<String, Vec<String>>;

/// Returns the column of a client.
pub(super) fn column(client: Client) -> Texts {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide/mcp.md");
    let guide = std::fs::read_to_string(file).unwrap();
    let cells =
        |line: &'_ str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let (package, version) = client.package();
    let title = format!("`{package}` {version}");
    let mut lines = guide.lines().skip_while(|line| !line.starts_with("| case |") || !line.contains(&title));
    let titles = cells(lines.next().unwrap_or_else(|| panic!("the guide has no column {title}")));
    let column = titles.iter().position(|cell| *cell == title).unwrap();
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .filter(|cells| cells[column] != "-")
        .map(|cells| (cells[0].clone(), cells[column].split("<br>").map(str::to_owned).collect()))
        .collect()
}

/// Cuts a text to the form of the table, without addresses. Some clients show the whole body of an answer; the table has
/// its message only.
pub(super) fn shorten(text: &str) -> String {
    let text = text.split(" 'http://").next().unwrap_or_default();
    let Some(start) = text.find('{') else { return text.to_owned() };
    let body: Value = serde_json::from_str(&text[start..]).unwrap();
    let prefix = text[..start].trim_end_matches("Error POSTing to endpoint: ");
    format!("{prefix}{} (JSON)", body["error"]["message"].as_str().unwrap())
}
