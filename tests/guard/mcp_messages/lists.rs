//! Random lists of a server, in JSON and in event streams. A client sees exactly the entries that the oracle allows.

use super::readers::Use;
use super::requests::any_uri;
use super::table::{Level, Levels, PROMPTS, TOOLS, Table, levels, permissions};
use axum::body::{Body, Bytes};
use axum::response::IntoResponse;
use axum::routing::any;
use fastrand::Rng;
use http::header::CONTENT_TYPE;
use keyward::testing::World;
use keyward::{Group, GuardedRouter};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// The number of answers behind one table.
const ANSWERS_PER_TABLE: usize = 100;

/// The lists of the protocol, each with the member that names an item.
const LISTS: [(&str, &str); 4] =
    [("tools", "name"), ("prompts", "name"), ("resources", "uri"), ("resourceTemplates", "uriTemplate")];

/// An answer of the server.
#[derive(Clone, Default)]
struct Answer {
    content_type: &'static str,
    frames: Vec<Bytes>,
}

#[tokio::test]
async fn random_lists_show_what_the_table_allows() {
    let (mut shown, mut hidden) = (0, 0);
    for seed in 0..super::read_cases().div_ceil(10 * ANSWERS_PER_TABLE) as u64 {
        let mut random = Rng::with_seed(seed);
        let table = Table::random(&mut random);
        let world = World::bare(|builder| builder.group(Group::mcp("/mcp")));
        let next: Arc<Mutex<Answer>> = Arc::default();
        let server = any({
            let next = next.clone();
            move || async move {
                let Answer { content_type, frames } = next.lock().unwrap().clone();
                let frames = futures_util::stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
                ([(CONTENT_TYPE, content_type)], Body::from_stream(frames)).into_response()
            }
        });
        let app = world.guard(GuardedRouter::new().mcp("/mcp", table.tools(), server));
        let levels = levels(&mut random);
        let key = permissions(&levels).fold(world.editor(), |person, permission| person.with(permission)).issue().await;
        for _ in 0..ANSWERS_PER_TABLE {
            let messages: Vec<Value> = (0..random.usize(1..4)).map(|_| message(&mut random)).collect();
            let stream = random.bool();
            let answer = if stream { events(&messages, &mut random) } else { document(&messages[0], &mut random) };
            *next.lock().unwrap() = answer.clone();
            let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
            let answered = app.post("/mcp").bearer(&key.secret).json(&request).await;
            answered.assert_ok();
            let sent = if stream { read_events(&answered.body) } else { vec![parse(&answered.body)] };
            let messages = if stream { &messages[..] } else { &messages[..1] };
            let expected: Vec<_> = messages.iter().map(|message| filter(message, &table, &levels)).collect();
            assert_eq!(sent, expected, "seed {seed}, {levels:?}, {table:?}\n{:?}", answer.frames);
            let count = |messages: &[Value]| messages.iter().map(count_items).sum::<usize>();
            shown += count(&sent);
            hidden += count(messages) - count(&sent);
        }
    }
    assert!(shown > 100 && hidden > 100, "{shown} items were shown and {hidden} hidden: too few to compare");
}

fn parse(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", text.escape_ascii()))
}

/// Returns the message that the caller should see.
fn filter(message: &Value, table: &Table, levels: &Levels) -> Value {
    let mut message = message.clone();
    if let Value::Array(batch) = &message {
        return batch.iter().map(|message| filter(message, table, levels)).collect();
    }
    let Some(Value::Object(result)) = message.get_mut("result") else { return message };
    if let Some(scope) = result.get_mut("cacheScope") {
        *scope = json!("private");
    }
    for (list, member) in LISTS {
        let Some(items) = result.get_mut(list) else { continue };
        let allowed = |item: &Value| {
            let Value::String(name) = &item[member] else { return false };
            let name = name.clone();
            let used = match list {
                "tools" => Use::Tool(name),
                "prompts" => Use::Prompt(name),
                "resources" => Use::Resource(name),
                _ => Use::Template(name),
            };
            table.allows(levels, &used)
        };
        let kept = items.as_array().into_iter().flatten().filter(|item| allowed(item)).cloned().collect();
        *items = Value::Array(kept);
    }
    message
}

fn count_items(message: &Value) -> usize {
    let lists = LISTS.iter().filter_map(|(list, _)| message["result"][list].as_array());
    lists.map(Vec::len).sum()
}

/// Returns a message of the server: mostly a list.
fn message(random: &mut Rng) -> Value {
    let id = random.u8(..);
    match random.u8(..10) {
        0 => json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "é\n\u{2028}"}}),
        1 => json!({"jsonrpc": "2.0", "id": id, "error": {"code": 1, "message": "tools"}}),
        2 => json!({"jsonrpc": "2.0", "id": id, "method": "roots/list", "params": {"tools": [{"name": "x"}]}}),
        3 => (0..random.usize(..3)).map(|_| message(random)).collect(),
        _ => {
            let mut result = json!({"nextCursor": "n"});
            for (list, member) in LISTS {
                if random.u8(..3) == 0 {
                    result[list] = items(list, member, random);
                }
            }
            if random.bool() {
                result["cacheScope"] = json!(["public", "private"][random.usize(..2)]);
            }
            json!({"jsonrpc": "2.0", "id": id, "result": result})
        }
    }
}

fn items(list: &str, member: &str, random: &mut Rng) -> Value {
    if random.u8(..20) == 0 {
        return json!({"name": "search"});
    }
    let item = |random: &mut Rng| {
        let name = match list {
            "tools" => TOOLS[random.usize(..TOOLS.len())].to_owned(),
            "prompts" => PROMPTS[random.usize(..PROMPTS.len())].to_owned(),
            _ => any_uri(random),
        };
        match random.u8(..16) {
            0 => json!({}),
            1 => json!({ member: 7 }),
            2 => json!({ "title": name }),
            3 => json!(name),
            _ => json!({ member: name, "title": "\r\n data: é", "inputSchema": {"tools": [{"name": name}]} }),
        }
    };
    (0..random.usize(..6)).map(|_| item(random)).collect()
}

/// Returns the answer as one document.
fn document(message: &Value, random: &mut Rng) -> Answer {
    let content_type = ["application/json", "application/json; charset=utf-8", "text/plain"][random.usize(..3)];
    Answer { content_type, frames: frames(format!("{message}\n").into_bytes(), random) }
}

/// Returns the messages as events, with every line end and field that the format allows.
fn events(messages: &[Value], random: &mut Rng) -> Answer {
    let mut text = String::from(if random.u8(..4) == 0 { "\u{feff}" } else { "" });
    // One line end for all, or a mixture.
    let fixed = random.usize(..4);
    let end = |random: &mut Rng| *["\n", "\r", "\r\n"].get(fixed).unwrap_or(&["\n", "\r", "\r\n"][random.usize(..3)]);
    for message in messages {
        for _ in 0..random.usize(..3) {
            let other =
                [": comment", "id: 7", "event: message", "retry: 10", "data-x: y", "dat", ""][random.usize(..7)];
            text += other;
            text += end(random);
        }
        // White space of JSON may be a line end between two lines of data.
        let written = if random.bool() { message.to_string() } else { serde_json::to_string_pretty(message).unwrap() };
        for line in written.lines() {
            text += ["data: ", "data:"][random.usize(..2)];
            text += line;
            text += end(random);
        }
        // A line feed after a carriage return would belong to the line before.
        text += if text.ends_with('\r') { "\r" } else { end(random) };
    }
    if random.u8(..4) == 0 {
        // Clients ignore an event that does not end.
        text += "data: {\"result\":{\"tools\":[{\"name\":\"publish\"}]}}";
    }
    let content_type = ["text/event-stream", "Text/Event-Stream; charset=utf-8"][random.usize(..2)];
    Answer { content_type, frames: frames(text.into_bytes(), random) }
}

/// Splits bytes anywhere.
fn frames(bytes: Vec<u8>, random: &mut Rng) -> Vec<Bytes> {
    let mut rest = Bytes::from(bytes);
    let longest = [1, 7, 60, 100_000][random.usize(..4)];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        frames.push(rest.split_to(random.usize(..longest.min(rest.len())) + 1));
    }
    frames
}

/// Reads the messages of an event stream as a client does (HTML, section "Interpreting an event stream").
fn read_events(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let (mut messages, mut data) = (Vec::new(), None::<String>);
    let complete = text.rfind('\n').map_or("", |end| &text[..=end]);
    for line in complete.split_terminator('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        match (line, field) {
            ("", _) => messages.extend(data.take().filter(|data| !data.is_empty()).map(|data| parse(data.as_bytes()))),
            (_, "data") => {
                let value = value.strip_prefix(' ').unwrap_or(value);
                data = Some(data.map_or(String::new(), |data| data + "\n") + value);
            }
            _ => {}
        }
    }
    messages
}

#[test]
fn oracle_hides_what_is_not_in_the_table() {
    let message = json!({"id": 1, "result": {"tools": [{"name": "search"}, {}, {"name": 1}], "cacheScope": "public"}});
    let expected = json!({"id": 1, "result": {"tools": [], "cacheScope": "private"}});
    assert_eq!(filter(&message, &Table::default(), &[Level::All; 4]), expected);
}
