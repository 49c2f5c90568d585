//! The decision on a request, from the texts of JSON-RPC 2.0 and the Model Context Protocol, and from the table.

use super::json::{Document, Json, read};
use super::readers::Use;
use super::table::{Levels, Table};
use http::{HeaderMap, header};
use std::collections::BTreeSet;

/// The decision on a request.
#[derive(PartialEq, Eq, Debug)]
pub enum Judgement {
    /// The server gets the request, and runs exactly these uses.
    Passes(BTreeSet<Use>),
    /// The server does not get it.
    Refused(&'static str),
    /// The specifications leave it open: the layer may refuse it.
    Open,
}

/// A request that is refused, with the reason.
struct Refused(&'static str);

/// The uses of the messages of a request.
#[derive(Default)]
struct Reading {
    uses: BTreeSet<Use>,
    /// Whether the layer may refuse an allowed request.
    open: bool,
}

const REQUESTS: [&str; 9] = [
    "initialize",
    "ping",
    "server/discover",
    "logging/setLevel",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
    "tasks/list",
];
const NOTIFICATIONS: [&str; 5] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
];
/// The messages and resources of one request that a layer has to admit.
const MOST: usize = 100;
/// The members that must have no other spelling. Written here again, so that an error in the layer's list shows.
const MEMBERS: [&str; 14] = [
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "arguments",
    "uri",
    "ref",
    "type",
    "notifications",
    "taskId",
    "_meta",
];

/// Judges a request of a caller with these levels.
pub fn judge(table: &Table, levels: &Levels, headers: &HeaderMap, body: &[u8]) -> Judgement {
    match read_request(headers, body) {
        Err(Refused(why)) => Judgement::Refused(why),
        Ok(reading) if reading.uses.iter().any(|used| !table.allows(levels, used)) => Judgement::Refused("not allowed"),
        Ok(reading) if reading.open => Judgement::Open,
        Ok(reading) => Judgement::Passes(reading.uses),
    }
}

fn read_request(headers: &HeaderMap, body: &[u8]) -> Result<Reading, Refused> {
    let mut reading = Reading::default();
    check_media_type(headers, &mut reading)?;
    for name in ["mcp-method", "mcp-name", "mcp-protocol-version"] {
        if headers.get_all(name).iter().count() > 1 {
            return Err(Refused("a header twice"));
        }
    }
    let text = std::str::from_utf8(body).map_err(|_| Refused("not UTF-8"))?;
    let Document { values, invalid, duplicated, odd, depth } = read(text);
    let [value] = &values[..] else { return Err(Refused("not one value")) };
    if invalid || duplicated {
        return Err(Refused("not JSON, or with a member twice"));
    }
    reading.open |= odd || depth > 60 || text.contains("$serde_json");
    let versions: Vec<_> = headers.get_all("mcp-protocol-version").iter().collect();
    let stateless = versions.iter().any(|version| *version == "2026-07-28");
    match value {
        Json::Array(batch) if batch.is_empty() || stateless => return Err(Refused("a batch")),
        Json::Array(batch) => {
            let mut ids: Vec<&Json> = Vec::new();
            reading.open |= batch.len() > MOST || versions.iter().any(|version| *version != "2025-03-26");
            for message in batch {
                read_message(headers, message, &mut reading)?;
                let members = object(message).into_iter().flatten();
                let is_request = members.clone().any(|(name, _)| name == "method");
                let id = members.filter(|(name, _)| name == "id" && is_request).map(|(_, id)| id).next();
                if id.is_some_and(|id| ids.contains(&id)) {
                    return Err(Refused("an id twice"));
                }
                ids.extend(id);
            }
        }
        message => read_message(headers, message, &mut reading)?,
    }
    Ok(reading)
}

fn check_media_type(headers: &HeaderMap, reading: &mut Reading) -> Result<(), Refused> {
    let types: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
    let [value] = types[..] else { return Err(Refused("not one content type")) };
    let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let (essence, parameters) = value.split_once(';').unwrap_or((&value, ""));
    if essence.trim() != "application/json" {
        return Err(Refused("another media type"));
    }
    for parameter in parameters.split(';').filter(|parameter| !parameter.trim().is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (name.trim(), value.trim().trim_matches('"')) {
            ("charset", "utf-8") => {}
            ("charset", _) => return Err(Refused("another charset")),
            _ => reading.open = true,
        }
    }
    match headers.get_all(header::CONTENT_ENCODING).iter().all(|coding| coding == "identity") {
        true => Ok(()),
        false => Err(Refused("a content coding")),
    }
}

fn read_message(headers: &HeaderMap, message: &Json, reading: &mut Reading) -> Result<(), Refused> {
    let members = object(message).ok_or(Refused("not a message"))?;
    check_members(members)?;
    let member = |name: &str| member(members, name);
    if member("jsonrpc") != Some(&Json::Text("2.0".into())) {
        return Err(Refused("not JSON-RPC 2.0"));
    }
    match member("id") {
        None | Some(Json::Text(_)) => {}
        Some(Json::Number(number)) => {
            let integer = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
            reading.open |= !integer || number == "-0";
        }
        Some(_) => return Err(Refused("an id that is no text and no number")),
    }
    let answers = ["result", "error"].into_iter().filter(|name| member(name).is_some()).count();
    let Some(method) = member("method") else {
        let is_response = answers == 1 && member("id").is_some();
        agree(headers, "mcp-method", None, reading)?;
        return if is_response { Ok(()) } else { Err(Refused("no method, and no response")) };
    };
    let Json::Text(method) = method else { return Err(Refused("a method that is no text")) };
    if answers > 0 {
        return Err(Refused("a request with an answer"));
    }
    let nothing = Json::Object(Vec::new());
    let params = object(member("params").unwrap_or(&nothing)).ok_or(Refused("params that are no object"))?;
    agree(headers, "mcp-method", Some(method), reading)?;
    read_version(headers, params, reading)?;
    if method.starts_with("notifications/") {
        reading.open |= member("id").is_some();
        // Other notifications use nothing.
        reading.open |= !NOTIFICATIONS.contains(&method.as_str());
        return Ok(());
    }
    if REQUESTS.contains(&method.as_str()) {
        return Ok(());
    }
    read_uses(headers, method, params, reading)
}

/// Reads the uses of a request of this method.
fn read_uses(
    headers: &HeaderMap,
    method: &str,
    params: &[(String, Json)],
    reading: &mut Reading,
) -> Result<(), Refused> {
    let text = |members: &[(String, Json)], name: &str| match member(members, name) {
        Some(Json::Text(text)) => Ok(text.clone()),
        _ => Err(Refused("a name that is no text")),
    };
    match method {
        "tools/call" | "prompts/get" | "resources/read" | "resources/subscribe" => {
            check_members(params)?;
            let named = text(params, if method.starts_with("resources") { "uri" } else { "name" })?;
            agree(headers, "mcp-name", Some(&named), reading)?;
            reading.add(match method {
                "tools/call" => Use::Tool(named),
                "prompts/get" => Use::Prompt(named),
                _ => Use::Resource(named),
            });
        }
        // The answer shows nothing.
        "resources/unsubscribe" => {
            reading.open |= check_members(params).is_err() || text(params, "uri").is_err();
        }
        "completion/complete" => {
            check_members(params)?;
            let reference = member(params, "ref").and_then(object).ok_or(Refused("no reference"))?;
            check_members(reference)?;
            let (name, uri) = (member(reference, "name"), member(reference, "uri"));
            reading.add(match (text(reference, "type")?.as_str(), name, uri) {
                ("ref/prompt", Some(Json::Text(name)), None) => Use::Prompt(name.clone()),
                ("ref/resource", None, Some(Json::Text(uri))) => Use::Template(uri.clone()),
                _ => return Err(Refused("a reference to neither, or to both")),
            });
        }
        "subscriptions/listen" => {
            check_members(params)?;
            let filter = member(params, "notifications").and_then(object).ok_or(Refused("no filter"))?;
            for (name, value) in filter {
                match (name.as_str(), value) {
                    ("resourceSubscriptions", Json::Array(uris)) => {
                        reading.open |= uris.len() > MOST;
                        for uri in uris {
                            let Json::Text(uri) = uri else { return Err(Refused("a URI that is no text")) };
                            reading.add(Use::Resource(uri.clone()));
                        }
                    }
                    ("toolsListChanged" | "promptsListChanged" | "resourcesListChanged", _) => {}
                    _ => reading.open = true,
                }
            }
        }
        other => reading.add(Use::Method(other.to_owned())),
    }
    Ok(())
}

impl Reading {
    fn add(&mut self, used: Use) {
        if let Use::Resource(uri) | Use::Template(uri) = &used {
            self.open |= !is_plain(uri);
        }
        self.uses.insert(used);
    }
}

/// Returns whether all readers take a URI for the same resource.
fn is_plain(uri: &str) -> bool {
    let mark = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_~:/{}.".contains(c);
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    // What follows a colon may be a port, and a dot at the end of a name may be dropped. An expression may be empty.
    let has_port = rest.split('/').next().is_some_and(|host| host.contains(':'));
    uri.chars().all(mark) && !has_port && !rest.contains("//") && !rest.split(['/', ':', '{']).any(|s| s.ends_with('.'))
}

/// Checks that no reader takes another member for one of `MEMBERS`.
fn check_members(members: &[(String, Json)]) -> Result<(), Refused> {
    let fold = |name: &str| name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect::<String>();
    let confusing = |name: &str| {
        let visible = name.split('\0').next().unwrap_or_default();
        name == "__proto__" || (!MEMBERS.contains(&name) && MEMBERS.contains(&fold(visible).as_str()))
    };
    match members.iter().any(|(name, _)| confusing(name)) {
        true => Err(Refused("another spelling of a member")),
        false => Ok(()),
    }
}

/// Checks that a header, where it is present, repeats this part of the message.
fn agree(headers: &HeaderMap, name: &str, part: Option<&str>, reading: &mut Reading) -> Result<(), Refused> {
    for value in headers.get_all(name) {
        let Ok(value) = value.to_str() else { return Err(Refused("a header that is no text")) };
        if value.starts_with("=?base64?") && name == "mcp-name" {
            let encoded = part.map(|part| format!("=?base64?{}?=", base64(part.as_bytes())));
            let differs = encoded.as_deref() != Some(value);
            // Other encodings of the same text, and texts that only look encoded.
            reading.open |= differs && part == Some(value);
            if differs && part != Some(value) {
                return Err(Refused("a header that differs"));
            }
        } else if part != Some(value) {
            return Err(Refused("a header that differs"));
        }
    }
    Ok(())
}

/// Checks that the version in the message, if there is one, is that of the header.
fn read_version(headers: &HeaderMap, params: &[(String, Json)], reading: &mut Reading) -> Result<(), Refused> {
    let meta = member(params, "_meta").and_then(object).unwrap_or_default();
    match member(meta, "io.modelcontextprotocol/protocolVersion") {
        Some(Json::Text(version)) => agree(headers, "mcp-protocol-version", Some(version), reading),
        Some(_) => {
            reading.open = true;
            Ok(())
        }
        None => Ok(()),
    }
}

fn object(value: &Json) -> Option<&[(String, Json)]> {
    match value {
        Json::Object(members) => Some(members),
        _ => None,
    }
}

fn member<'a>(members: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
    members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
}

/// Encodes bytes by RFC 4648, section 4.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, i| bits << 8 | usize::from(three.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * i) & 63]);
            text.push(if i > three.len() { '=' } else { digit });
        }
    }
    text
}
