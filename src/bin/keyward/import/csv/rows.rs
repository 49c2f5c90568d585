//! The rows of a file of keys.

use crate::failure::Failure;
use crate::lifespan::parse_time;
use crate::output::count;
use crate::reference::find_owner;
use crate::scope_text::ScopeText;
use csv::{ReaderBuilder, StringRecord, Trim};
use keyward::admin::{Lifespan, NewAdoptedToken, ServiceError};
use keyward::time::Timestamp;
use keyward::token::{ContentAccess, LegacyDigest, OwnerId};
use keyward::{Keyward, NewAdminToken, NewContentToken};
use std::collections::HashMap;

/// The columns, in any order.
const COLUMNS: [&str; 6] = ["name", "owner", "kind", "actions", "expiry", "sha256"];

/// A key to adopt.
pub(super) struct Row {
    /// The line of the file.
    pub(super) line: u64,
    pub(super) new: NewAdoptedToken,
    pub(super) digest: LegacyDigest,
}

/// A row's texts, by column.
struct Texts<'a> {
    record: &'a StringRecord,
    columns: &'a [usize; COLUMNS.len()],
}

impl Texts<'_> {
    fn get(&self, column: &str) -> &str {
        let place = COLUMNS.iter().position(|known| *known == column);
        place.and_then(|place| self.record.get(self.columns[place])).unwrap_or_default()
    }
}

/// Reads all rows. Returns them, and the mistakes, each with its line and its column.
pub(super) async fn read(text: &str, keyward: &Keyward) -> Result<(Vec<Row>, Vec<(u64, String)>), Failure> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
    let columns = match reader.headers() {
        Ok(heading) => find_columns(heading)?,
        Err(error) => return Err(Failure::failed(format!("FILE: the heading cannot be read: {error}"))),
    };
    let now = keyward.store().view().await.map_err(ServiceError::from)?.now();
    let (mut rows, mut mistakes, mut owners) = (Vec::new(), Vec::new(), HashMap::new());
    for record in reader.records() {
        if mistakes.len() >= super::MOST_MISTAKES {
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                mistakes.push((line, describe(&error)));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let texts = Texts { record: &record, columns: &columns };
        let owner = match texts.get("owner") {
            "" => None,
            text => match find(keyward, text, &mut owners).await? {
                Ok(id) => Some(id),
                Err(why) => {
                    mistakes.push((line, format!("owner: {why}")));
                    continue;
                }
            },
        };
        match parse(&texts, owner, now) {
            Ok(new) => rows.push(Row { line, new, digest: LegacyDigest::sha256(texts.get("sha256")) }),
            Err(why) => mistakes.push((line, why)),
        }
    }
    Ok((rows, mistakes))
}

/// Returns the place of each column.
fn find_columns(heading: &StringRecord) -> Result<[usize; COLUMNS.len()], Failure> {
    let expected = COLUMNS.join(",");
    if let Some(unknown) = heading.iter().find(|name| !COLUMNS.contains(name)) {
        return Err(Failure::failed(format!("FILE: line 1: unknown column {unknown}: write {expected}")));
    }
    let mut columns = [0; COLUMNS.len()];
    for (place, name) in columns.iter_mut().zip(COLUMNS) {
        let mut found = heading.iter().enumerate().filter(|(_, other)| *other == name);
        *place = match (found.next(), found.next()) {
            (Some((i, _)), None) => i,
            (None, _) => {
                return Err(Failure::failed(format!("FILE: line 1: column {name} is missing: write {expected}")));
            }
            (Some(_), Some(_)) => return Err(Failure::failed(format!("FILE: line 1: column {name} is there twice"))),
        };
    }
    Ok(columns)
}

/// Finds an owner, or says why it is not found. Each is looked up once.
async fn find(
    keyward: &Keyward,
    text: &str,
    known: &mut HashMap<String, Result<OwnerId, String>>,
) -> Result<Result<OwnerId, String>, Failure> {
    if let Some(found) = known.get(text) {
        return Ok(found.clone());
    }
    let found = match find_owner(keyward, text).await {
        Ok(owner) => Ok(owner.id),
        Err(Failure::NotFound(_)) => Err(format!("there is no owner {text}")),
        Err(Failure::Failed(why)) => Err(why),
        Err(failure) => return Err(failure),
    };
    known.insert(text.to_owned(), found.clone());
    Ok(found)
}

/// Parses a row.
fn parse(texts: &Texts<'_>, owner: Option<OwnerId>, now: Timestamp) -> Result<NewAdoptedToken, String> {
    let name = texts.get("name");
    if name.is_empty() {
        return Err("name: is empty".to_owned());
    }
    let lifespan = match texts.get("expiry") {
        "" => Lifespan::Unlimited,
        text => match parse_time(text).map_err(|why| format!("expiry: {why}"))? {
            end if end <= now => return Err(format!("expiry: {text} is over")),
            end => Lifespan::Until(end),
        },
    };
    let actions: Vec<&str> = texts.get("actions").split_whitespace().collect();
    let scopes = |actions: &[&str]| -> Result<Vec<ScopeText>, String> {
        actions.iter().map(|text| text.parse().map_err(|why| format!("actions: {text}: {why}"))).collect()
    };
    match (texts.get("kind"), owner) {
        ("admin", None) => Err("owner: is empty, and an admin token has an owner".to_owned()),
        ("admin", Some(owner)) => {
            let grants = scopes(&actions)?.into_iter().map(|scope| scope.grant(false));
            Ok(NewAdminToken::new(name, owner).grants(grants).lifespan(lifespan).into())
        }
        ("content", Some(_)) => Err("owner: a content token has no owner: leave it empty".to_owned()),
        ("content", None) => {
            let access = match actions[..] {
                ["read-only"] => ContentAccess::ReadOnly,
                ["full-access"] => ContentAccess::FullAccess,
                _ => {
                    let scopes = scopes(&actions)?;
                    if let Some(wide) = scopes.iter().find(|scope| !scope.is_action()) {
                        return Err(format!(
                            "actions: {wide}: a content token has actions, without resource and fields"
                        ));
                    }
                    ContentAccess::only(scopes.into_iter().map(|scope| scope.0.action))
                }
            };
            Ok(NewContentToken::new(name, access).lifespan(lifespan).into())
        }
        (other, _) => Err(format!("kind: {other:?} is neither admin nor content")),
    }
}

/// Describes a row that is not CSV.
fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {}, and the heading {expected_len}", count(*len, "column"))
        }
        _ => error.to_string(),
    }
}
