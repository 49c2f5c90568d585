//! Servers that read a request leniently, each in another way, and run the uses that they read.

use super::json::{Json, read};
use http::{HeaderMap, header};
use std::collections::BTreeSet;

/// A use of a part of the server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Use {
    Tool(String),
    Prompt(String),
    Resource(String),
    /// The resources of a URI template, whose arguments are completed.
    Template(String),
    /// A method of the host.
    Method(String),
}

/// A way to read members and names.
#[derive(Clone, Copy, Default, Debug)]
pub struct Reader {
    name: &'static str,
    /// Takes the first of two members, not the last.
    first: bool,
    /// Ignores case, in names of members and methods.
    folds: bool,
    /// Ends texts at a zero byte.
    cuts: bool,
    /// Finds missing members in `__proto__`.
    inherits: bool,
    /// Reads the headers that repeat a part of the body, not the body.
    routes: bool,
}

const PLAIN: Reader = Reader { name: "last", first: false, folds: false, cuts: false, inherits: false, routes: false };

const READERS: [Reader; 8] = [
    PLAIN,
    Reader { name: "first", first: true, ..PLAIN },
    Reader { name: "last, any case", folds: true, ..PLAIN },
    Reader { name: "first, any case", folds: true, first: true, ..PLAIN },
    // As cJSON.
    Reader { name: "first, any case, C strings", folds: true, first: true, cuts: true, ..PLAIN },
    Reader { name: "last, C strings", cuts: true, ..PLAIN },
    Reader { name: "prototypes", inherits: true, ..PLAIN },
    Reader { name: "headers", routes: true, ..PLAIN },
];

/// Returns the uses that a server runs if it reads as the specifications say.
pub fn plain_uses(headers: &HeaderMap, body: &[u8]) -> BTreeSet<Use> {
    PLAIN.run(headers, &read(&decode(headers, body)).values)
}

/// Returns the uses that each lenient server runs.
pub fn lenient_uses(headers: &HeaderMap, body: &[u8]) -> impl Iterator<Item = (&'static str, BTreeSet<Use>)> {
    let values = read(&decode(headers, body)).values;
    READERS.into_iter().map(move |reader| {
        let uses = reader.run(headers, &values);
        // Servers resolve a URI in more ways than one.
        let resolved = uses.iter().flat_map(resolutions).collect();
        (reader.name, resolved)
    })
}

/// Decodes a body leniently: by its declared charset, else by its zero bytes, else as UTF-8. Invalid bytes are dropped.
fn decode(headers: &HeaderMap, body: &[u8]) -> String {
    let types = headers.get_all(header::CONTENT_TYPE).iter();
    let declared =
        types.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect::<String>();
    let utf16 = |big: bool, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|two| match (big, [two[0], two[1]]) {
            (true, two) => u16::from_be_bytes(two),
            (false, two) => u16::from_le_bytes(two),
        });
        char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).filter(|c| *c != '\u{feff}').collect()
    };
    match body {
        [0xfe, 0xff, ..] | [0, _, ..] => return utf16(true, body),
        [0xff, 0xfe, ..] | [_, 0, ..] => return utf16(false, body),
        _ if declared.contains("utf-16be") => return utf16(true, body),
        _ if declared.contains("utf-16") => return utf16(false, body),
        _ if ["8859", "latin", "ascii", "1252"].iter().any(|name| declared.contains(name)) => {
            return body.iter().map(|b| char::from(*b)).collect();
        }
        _ => {}
    }
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    body.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

impl Reader {
    fn run(&self, headers: &HeaderMap, values: &[Json]) -> BTreeSet<Use> {
        let mut uses = BTreeSet::new();
        for value in values {
            match value {
                Json::Array(batch) => batch.iter().for_each(|message| self.run_message(headers, message, &mut uses)),
                message => self.run_message(headers, message, &mut uses),
            }
        }
        uses
    }

    fn run_message(&self, headers: &HeaderMap, message: &Json, uses: &mut BTreeSet<Use>) {
        let Some(method) = self.repeated(headers, "mcp-method").or_else(|| self.text(message, "method")) else {
            return;
        };
        let method = if self.folds { method.trim().to_lowercase() } else { method };
        let nothing = Json::Null;
        let params = self.member(message, "params").unwrap_or(&nothing);
        // Parameters by position.
        let positional = |params: &Json| match params {
            Json::Array(items) => items.first().and_then(|item| self.as_text(item)),
            _ => None,
        };
        let named = |member: &str| {
            let header = self.repeated(headers, "mcp-name");
            header.or_else(|| self.text(params, member)).or_else(|| positional(params))
        };
        match method.as_str() {
            "tools/call" => uses.extend(named("name").map(Use::Tool)),
            "prompts/get" => uses.extend(named("name").map(Use::Prompt)),
            "resources/read" | "resources/subscribe" => uses.extend(named("uri").map(Use::Resource)),
            "completion/complete" => {
                let Some(reference) = self.member(params, "ref") else { return };
                let kind = self.text(reference, "type").unwrap_or_default();
                if kind != "ref/resource" {
                    uses.extend(self.text(reference, "name").map(Use::Prompt));
                }
                if kind != "ref/prompt" {
                    uses.extend(self.text(reference, "uri").map(Use::Template));
                }
            }
            "subscriptions/listen" => {
                let filter = self.member(params, "notifications").unwrap_or(&nothing);
                match self.member(filter, "resourceSubscriptions") {
                    Some(Json::Array(uris)) => {
                        uses.extend(uris.iter().filter_map(|uri| self.as_text(uri)).map(Use::Resource));
                    }
                    Some(other) => uses.extend(self.as_text(other).map(Use::Resource)),
                    None => {}
                }
            }
            "x/mine" | "x/other" => _ = uses.insert(Use::Method(method)),
            _ => {}
        }
    }

    /// Returns the value of a header that repeats a part of the body.
    fn repeated(&self, headers: &HeaderMap, name: &str) -> Option<String> {
        let value = headers.get_all(name).iter().next_back().filter(|_| self.routes)?.to_str().ok()?;
        match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
            Some(encoded) => Some(String::from_utf8_lossy(&base64(encoded)).into_owned()),
            None => Some(value.to_owned()),
        }
    }

    fn member<'a>(&self, value: &'a Json, name: &str) -> Option<&'a Json> {
        let Json::Object(members) = value else { return None };
        let matches = |found: &str| {
            let found = self.cut(found);
            found == name || (self.folds && fold(found) == fold(name))
        };
        let mut found = members.iter().filter(|(member, _)| matches(member)).map(|(_, value)| value);
        let own = if self.first { found.next() } else { found.next_back() };
        if own.is_none() && self.inherits && name != "__proto__" {
            return self.member(self.member(value, "__proto__")?, name);
        }
        own
    }

    fn text(&self, value: &Json, name: &str) -> Option<String> {
        self.as_text(self.member(value, name)?)
    }

    /// Returns a value as text. Numbers are converted.
    fn as_text(&self, value: &Json) -> Option<String> {
        match value {
            Json::Text(text) => Some(self.cut(text).to_owned()),
            Json::Number(number) => Some(number.clone()),
            _ => None,
        }
    }

    fn cut<'a>(&self, text: &'a str) -> &'a str {
        if self.cuts { text.split('\0').next().unwrap_or_default() } else { text }
    }
}

/// Folds case as Unicode's simple folding does: also long s and the sign of kelvin.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Decodes Base64 leniently: other characters are ignored.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.bytes().filter_map(|b| DIGITS.iter().position(|d| *d == b)) {
        (bits, count) = ((bits << 6 | digit as u32) & 0xffff, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Returns the uses that servers may resolve a use to: as named, and with its URI decoded up to twice and simplified.
fn resolutions(used: &Use) -> Vec<Use> {
    let all = |uri: &str, kind: fn(String) -> Use| {
        let once = decode_percent(uri);
        let twice = decode_percent(&once);
        [uri.to_owned(), simplify(uri), simplify(&once), simplify(&twice)].map(kind).to_vec()
    };
    match used {
        Use::Resource(uri) => all(uri, Use::Resource),
        Use::Template(uri) => all(uri.split('{').next().unwrap_or_default(), Use::Template),
        other => vec![other.clone()],
    }
}

/// Decodes percent encoding once.
fn decode_percent(uri: &str) -> String {
    let bytes = uri.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Removes the query, backslashes, empty segments and dot segments of a path.
fn simplify(uri: &str) -> String {
    let uri = uri.split('\0').next().unwrap_or_default().replace('\\', "/");
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    let start = uri.find("://").map_or(0, |at| at + 3);
    let (head, path) = uri.split_at(start);
    let mut segments: Vec<&str> = Vec::new();
    let last = path.split('/').count() - 1;
    for (i, segment) in path.split('/').enumerate() {
        match segment {
            "." => {}
            ".." => _ = segments.pop(),
            // The first is the authority, which may be empty; the last is a slash at the end.
            "" if i > 0 && i < last => {}
            segment => segments.push(segment),
        }
    }
    format!("{head}{}", segments.join("/"))
}
