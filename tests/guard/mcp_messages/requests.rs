//! Random requests: well-formed ones, and ones that two readers may read differently.

use super::json::Json;
use super::oracle::base64;
use super::table::{METHODS, PREFIXES, PROMPTS, TOOLS};
use fastrand::Rng;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

type Members = Vec<(String, Json)>;

/// Returns the headers and the body of a request.
pub fn request(random: &mut Rng) -> (HeaderMap, Vec<u8>) {
    let message = match random.u8(..12) {
        0 => Json::Array((0..random.usize(..4)).map(|_| message(random)).collect()),
        _ => message(random),
    };
    let headers = headers(&message, random);
    let mut text = String::new();
    write(&message, random, &mut text);
    (headers, encode(text, random))
}

fn one<'a>(random: &mut Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(..of.len())]
}

fn text(text: impl Into<String>) -> Json {
    Json::Text(text.into())
}

fn member(name: &str, value: Json) -> (String, Json) {
    (name.to_owned(), value)
}

fn message(random: &mut Rng) -> Json {
    if random.u8(..60) == 0 {
        return value(random, 3);
    }
    let mut members = vec![member("jsonrpc", text("2.0"))];
    match random.u8(..12) {
        0 => {}
        1 => members.push(member("id", id(random))),
        2 => members.push(member("id", text(one(random, &["7", "", "a", "ключ"])))),
        _ => members.push(member("id", Json::Number(random.i32(..).to_string()))),
    }
    if random.u8(..20) == 0 {
        members.push(member(one(random, &["result", "error"]), value(random, 2)));
    }
    if random.u8(..24) > 0 {
        let (method, params) = call(random);
        members.push(member("method", text(method)));
        members.extend(params.map(|params| member("params", params)));
    }
    if random.u8(..8) == 0 {
        confuse(&mut members, random);
    }
    random.shuffle(&mut members);
    Json::Object(members)
}

/// Returns an id, not always a valid one.
fn id(random: &mut Rng) -> Json {
    let number = one(random, &["0", "-0", "1.0", "1e3", "9223372036854775808", "18446744073709551616", "1e999", "-7"]);
    match random.u8(..3) {
        0 => value(random, 1),
        _ => Json::Number(number.to_owned()),
    }
}

/// Returns a method and its parameters.
fn call(random: &mut Rng) -> (String, Option<Json>) {
    let mut params = Members::new();
    let method = match random.u8(..24) {
        0..8 => {
            params.push(member("name", text(one(random, &TOOLS))));
            params.push(member("arguments", value(random, 3)));
            "tools/call"
        }
        8 | 9 => {
            params.push(member("name", text(one(random, &PROMPTS))));
            "prompts/get"
        }
        10..14 => {
            params.push(member("uri", text(uri(random))));
            one(random, &["resources/read", "resources/subscribe", "resources/unsubscribe"])
        }
        14..17 => {
            let mut reference = match random.u8(..5) {
                0 | 1 => {
                    vec![member("type", text("ref/prompt")), member("name", text(one(random, &PROMPTS)))]
                }
                2 | 3 => vec![member("type", text("ref/resource")), member("uri", text(uri(random)))],
                _ => vec![
                    member("type", text(one(random, &["ref/prompt", "ref/resource", "ref/Prompt", "ref/tool"]))),
                    member("name", text(one(random, &PROMPTS))),
                    member("uri", text(uri(random))),
                ],
            };
            confuse_sometimes(&mut reference, random);
            params.push(member("ref", Json::Object(reference)));
            "completion/complete"
        }
        17 | 18 => {
            let uris = (0..random.usize(..4)).map(|_| text(uri(random))).collect();
            let mut filter = vec![member("resourceSubscriptions", Json::Array(uris))];
            if random.bool() {
                let name = one(random, &["toolsListChanged", "resourcesListChanged", "x", "ResourceSubscriptions"]);
                filter.push(member(name, value(random, 2)));
            }
            params.push(member("notifications", Json::Object(filter)));
            "subscriptions/listen"
        }
        19 => one(random, &METHODS),
        20 => one(random, &["notifications/initialized", "notifications/cancelled", "notifications/other"]),
        21 => one(random, &["Tools/Call", "tools/call ", "tools/call\0", " tools/call", "tools/delete", "", "rpc.x"]),
        _ => one(random, &["ping", "initialize", "tools/list", "prompts/list", "resources/list", "server/discover"]),
    };
    if random.u8(..8) == 0 {
        let version = text(one(random, &["2025-06-18", "2026-07-28", ""]));
        let meta = vec![member("io.modelcontextprotocol/protocolVersion", version)];
        params.push(member("_meta", Json::Object(meta)));
    }
    confuse_sometimes(&mut params, random);
    let params = match random.u8(..40) {
        0 => None,
        1 => Some(Json::Array(params.into_iter().map(|(_, value)| value).collect())),
        2 => Some(value(random, 2)),
        _ => Some(Json::Object(params)),
    };
    (method.to_owned(), params)
}

/// Returns a URI or a URI template that all readers read alike.
pub fn any_uri(random: &mut Rng) -> String {
    let (prefix, rest) = (one(random, &PREFIXES), one(random, &["", "/1", "1", "/drafts", "?x=1", "{id}", "/{a}/b"]));
    prefix.to_owned() + if prefix.ends_with('/') { rest.trim_start_matches('/') } else { rest }
}

/// Returns a URI below a prefix, with parts that readers may read differently.
fn uri(random: &mut Rng) -> String {
    const PARTS: [&str; 34] = [
        "/",
        "/",
        "/1",
        "1",
        "private",
        "/private",
        "/drafts/",
        "public",
        "..",
        "/../",
        "/./",
        "/.;x/",
        "/..;/",
        "%2e%2e/",
        "%2f",
        "%5c",
        "%70rivate",
        "%252e%252e/",
        "%2570",
        "?x=1",
        "#f",
        "?/../private",
        ";v=1",
        "\\..\\",
        " ",
        "%00",
        "\0",
        "//",
        ":b",
        "%3Ab",
        "%3f",
        "caf%C3%A9",
        "{id}",
        "\u{ff0e}",
    ];
    let mut uri = one(random, &PREFIXES).to_owned();
    for _ in 0..random.usize(..3) {
        uri.push_str(one(random, &PARTS));
    }
    if random.u8(..6) == 0 {
        // One character is encoded, perhaps twice.
        let (at, c) = uri.char_indices().nth(random.usize(..uri.chars().count())).unwrap();
        if c.is_ascii() {
            let percent = one(random, &["%", "%", "%25"]);
            uri.replace_range(at..=at, &format!("{percent}{:02x}", u32::from(c)));
        }
    }
    uri
}

fn confuse_sometimes(members: &mut Members, random: &mut Rng) {
    if random.u8(..12) == 0 {
        confuse(members, random);
    }
}

/// Adds a member that some reader takes for another one.
fn confuse(members: &mut Members, random: &mut Rng) {
    if members.is_empty() {
        return;
    }
    let (name, value) = members[random.usize(..members.len())].clone();
    let name = match random.u8(..8) {
        0 => name,
        1 => name.to_uppercase(),
        2 => name.replacen(|c: char| c.is_ascii_lowercase(), &name[..1].to_uppercase(), 1),
        3 => name.replace('s', "\u{17f}").replace('k', "\u{212a}").replace('i', "\u{131}"),
        4 => format!("{name}\0x"),
        5 => format!("{name} "),
        6 => {
            let inner = Json::Object(vec![(name, other(value, random))]);
            members.push(member(one(random, &["__proto__", "__proto__", "constructor"]), inner));
            return;
        }
        _ => one(random, &["name", "uri", "method", "id", "result", "extra", "Tool", "task"]).to_owned(),
    };
    let value = other(value, random);
    members.insert(random.usize(..=members.len()), (name, value));
    if random.u8(..3) == 0 {
        let gone = random.usize(..members.len());
        members.remove(gone);
    }
}

/// Returns a value of the same form with other texts.
fn other(value: Json, random: &mut Rng) -> Json {
    match value {
        Json::Text(_) => text(match random.u8(..4) {
            0 => one(random, &["tools/call", "prompts/get", "x/mine"]).to_owned(),
            1 => uri(random),
            _ => one(random, &TOOLS).to_owned(),
        }),
        Json::Object(mut members) => {
            for (_, value) in &mut members {
                *value = other(std::mem::replace(value, Json::Null), random);
            }
            Json::Object(members)
        }
        other => other,
    }
}

/// Returns any value.
fn value(random: &mut Rng, depth: usize) -> Json {
    match random.u8(..if depth == 0 { 6 } else { 8 }) {
        0 => Json::Null,
        1 => Json::Bool(random.bool()),
        2 => Json::Number(one(random, &["0", "-1", "1.5", "1E+2", "123456789012345678901234567890"]).to_owned()),
        3..6 => text(one(random, &["", "x", "publish", "\u{1f600}", "a\"b\\c\n", "\u{2028}"])),
        6 => Json::Array((0..random.usize(..3)).map(|_| value(random, depth - 1)).collect()),
        _ => {
            let names = ["name", "a", "method", "uri", "Name"];
            let mut members = Members::new();
            for name in &names[..random.usize(..3)] {
                members.push(member(name, value(random, depth - 1)));
            }
            Json::Object(members)
        }
    }
}

/// Returns headers, which agree with the message or not.
fn headers(message: &Json, random: &mut Rng) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &HeaderName, value: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    };
    let media_type = match random.u8(..48) {
        0 => one(random, &["text/plain", "application/json; charset=utf-16", "application/json;charset=latin1", ""]),
        1 => one(
            random,
            &["application/json; charset=utf-8; charset=utf-16le", "application/json; x=y", "Application/JSON"],
        ),
        2..5 => one(random, &["application/json; charset=utf-8", "application/json;charset=\"UTF-8\""]),
        _ => "application/json",
    };
    add(&CONTENT_TYPE, media_type.as_bytes());
    if random.u8(..40) == 0 {
        add(&CONTENT_TYPE, one(random, &["application/json", "application/json; charset=utf-16le"]).as_bytes());
    }
    if random.u8(..40) == 0 {
        add(&CONTENT_ENCODING, one(random, &["gzip", "deflate", "identity"]).as_bytes());
    }
    let find = |message: &Json, name: &str| match message {
        Json::Object(members) => members.iter().find(|(member, _)| member == name).map(|(_, value)| value.clone()),
        _ => None,
    };
    let first = match message {
        Json::Array(batch) => batch.first().cloned().unwrap_or(Json::Null),
        message => message.clone(),
    };
    let params = find(&first, "params").unwrap_or(Json::Null);
    let (method, name) = (HeaderName::from_static("mcp-method"), HeaderName::from_static("mcp-name"));
    if random.u8(..3) == 0 {
        let named = find(&params, "name").or_else(|| find(&params, "uri"));
        for (header, part) in [(&method, find(&first, "method")), (&name, named)] {
            match (part, random.u8(..12)) {
                (_, 0) => add(header, one(random, &["tools/call", "search", "", "=?base64?!?=", "\u{e9}"]).as_bytes()),
                (Some(Json::Text(part)), 1..4) => {
                    add(header, format!("=?base64?{}?=", base64(part.as_bytes())).as_bytes());
                }
                (Some(Json::Text(part)), _) => add(header, part.as_bytes()),
                _ => {}
            }
        }
        if random.u8(..20) == 0 {
            add(&name, one(random, &TOOLS).as_bytes());
        }
    }
    if random.u8(..3) == 0 {
        let version = one(random, &["2025-03-26", "2025-06-18", "2026-07-28", "2026-07-28", "draft"]);
        add(&HeaderName::from_static("mcp-protocol-version"), version.as_bytes());
    }
    headers
}

/// Writes JSON with random white space and escapes.
fn write(value: &Json, random: &mut Rng, to: &mut String) {
    let space = |random: &mut Rng, to: &mut String| {
        if random.u8(..16) == 0 {
            to.push_str(one(random, &[" ", "\n", "\t", "\r\n  "]));
        }
    };
    space(random, to);
    match value {
        Json::Null => to.push_str("null"),
        Json::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => to.push_str(number),
        Json::Text(text) => write_text(text, random, to),
        Json::Array(items) => {
            to.push('[');
            for (i, item) in items.iter().enumerate() {
                to.push_str(if i == 0 { "" } else { "," });
                write(item, random, to);
            }
            to.push(']');
        }
        Json::Object(members) => {
            to.push('{');
            for (i, (name, value)) in members.iter().enumerate() {
                to.push_str(if i == 0 { "" } else { "," });
                space(random, to);
                write_text(name, random, to);
                space(random, to);
                to.push(':');
                write(value, random, to);
            }
            to.push('}');
        }
    }
    space(random, to);
}

fn write_text(text: &str, random: &mut Rng, to: &mut String) {
    let escapes = random.u8(..6) == 0;
    to.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => to.extend(['\\', c]),
            '/' if escapes && random.bool() => to.push_str("\\/"),
            _ if c < ' ' || (escapes && random.u8(..3) == 0) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    to.push_str(&if random.bool() { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") });
                }
            }
            _ => to.push(c),
        }
    }
    to.push('"');
}

/// Encodes a body, and damages it sometimes.
fn encode(mut text: String, random: &mut Rng) -> Vec<u8> {
    match random.u8(..96) {
        0 => text.insert(0, '\u{feff}'),
        1 => text.push_str(one(random, &["x", "}", "null", "\0", "\u{feff}", "//", ","])),
        2 => text = format!("{text}\n{text}"),
        3 => return text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        4 => {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            return units.flat_map(u16::to_be_bytes).collect();
        }
        5 => text = text.replacen('"', "'", random.usize(1..9)),
        6 => text = text.replacen('}', ",}", 1),
        7 => text = text.replacen(':', ":/**/", 1),
        8 => {
            let mut bytes = text.into_bytes();
            let at = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 => bytes.insert(at, random.u8(..)),
                _ => bytes.truncate(at),
            }
            return bytes;
        }
        9 => text = text.replacen("search", one(random, &["sear\\ud800ch", "se\u{0}arch", "sear\\xch"]), 1),
        10 => text = text.replacen('"', "\\u0022", 1),
        11 => {
            let depth = random.usize(..80);
            text = text.replacen(['0', '7'], &format!("{}1{}", "[".repeat(depth), "]".repeat(depth)), 1);
        }
        _ => {}
    }
    text.into_bytes()
}
