//! The largest cost of a body within its limit, route by route.
//!
//! `cargo test --release --all-features --test guard bodies::worst_case -- --nocapture` prints what it costs.

use crate::bodies::site::{FORM, JSON, Site, field, many_permissions, resource};
use keyward::Permission;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::time::Duration;

const STRANGERS: usize = 16 * 1024;
const LIMIT: usize = 1024 * 1024;

/// The budget of a release build. A debug build takes about twenty times as long and gets more.
const BUDGET: Duration = Duration::from_millis(if cfg!(debug_assertions) { 4_000 } else { 100 });

/// Returns the CPU time of this thread, on which everything runs here.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Repeats `piece`, with a running number and commas between, up to the limit.
fn filled(before: &str, piece: impl Fn(usize) -> String, after: &str, limit: usize) -> String {
    let mut text = before.to_owned();
    for i in 0.. {
        let next = piece(i);
        if text.len() + next.len() + 1 + after.len() > limit {
            break;
        }
        if i > 0 {
            text.push(',');
        }
        text += &next;
    }
    text + after
}

/// Bodies that are expensive to parse for any route. `name` is a field that the route knows.
fn shapes(name: &str, limit: usize) -> Vec<(&'static str, String)> {
    let list = |piece: &dyn Fn(usize) -> String| filled(&format!("{{\"{name}\":["), piece, "]}", limit);
    let text = |piece: &str| format!("{{\"{name}\":\"{}\"}}", piece.repeat((limit - name.len() - 7) / piece.len()));
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    vec![
        ("names", filled("{", |i| format!("\"k{i}\":0"), "}", limit)),
        ("long names", filled("{", |i| format!("\"{}{i}\":0", "k".repeat(200)), "}", limit)),
        ("numbers", list(&|_| "0".into())),
        ("objects", list(&|_| "{}".into())),
        ("objects with a name", list(&|_| "{\"\":0}".into())),
        ("lists", list(&|_| "[]".into())),
        ("deep lists", list(&|_| deep(100))),
        ("too deep", "[".repeat(limit)),
        ("floats", list(&|_| "1e-9".into())),
        ("a text", text("x")),
        ("escapes", text("\\u00e9")),
        ("a name twice", filled("{", |i| format!("\"k{}\":0", i % 40_000), "}", limit)),
        ("not closed", filled("{\"a\":[", |_| "{\"b\":[1".into(), "", limit)),
    ]
}

/// Returns a body with a list that is as long as the limit allows.
fn with_list(good: &Value, name: &str, piece: impl Fn(usize) -> String) -> String {
    let mut rest = good.clone();
    rest[name] = json!("LIST");
    let text = rest.to_string();
    let (before, after) = text.split_once("\"LIST\"").unwrap();
    filled(&format!("{before}["), piece, &format!("]{after}"), LIMIT)
}

/// Lists of permissions that are as large as the limits allow.
fn permissions(good: &Value, name: &str) -> Vec<(&'static str, String)> {
    let one = |inside: &dyn Fn(usize) -> String, of: &str| {
        let before = format!("[{{\"action\":\"read\",\"subject\":\"{}\",{of}[", resource(0));
        let after = if of.contains("fields") { "]}}]" } else { "]}]" };
        let mut rest = good.clone();
        rest[name] = json!("LIST");
        let text = rest.to_string();
        let (start, end) = text.split_once("\"LIST\"").unwrap();
        filled(&format!("{start}{before}"), inside, &format!("{after}{end}"), LIMIT)
    };
    let many = |n: usize, piece: &dyn Fn(usize) -> Value| {
        let list: Vec<Value> = (0..n).map(piece).collect();
        let mut body = good.clone();
        body[name] = list.into();
        body.to_string()
    };
    let sent = |p: &Permission| {
        let fields = match &p.scope.fields {
            keyward::authz::Fields::Only(set) => json!({"fields": set.as_slice()}),
            keyward::authz::Fields::All => json!({}),
        };
        json!({"action": p.scope.action, "subject": p.scope.resource, "properties": fields})
    };
    let held: Vec<Value> = many_permissions(5_000).iter().map(sent).collect();
    let fields: Vec<String> = (0..30).map(field).collect();
    let wide = json!({"action": "read", "subject": resource(0), "properties": {"fields": fields}});
    let alike = |i: usize| json!({"action": "read", "subject": resource(0), "properties": {"fields": [field(i % 30)]}});
    let made_up = |i: usize| {
        let names: Vec<String> = (0..250).map(|f| format!("{i}.{f}")).collect();
        json!({"action": "read", "subject": resource(i % 50), "properties": {"fields": names}})
    };
    let conditions: Vec<String> = (0..64).map(|c| format!("c{c}")).collect();
    vec![
        ("fields made up", one(&|i| format!("\"{i}\""), "\"properties\":{\"fields\":")),
        ("one field again", one(&|_| "\"a\"".into(), "\"properties\":{\"fields\":")),
        ("empty names", one(&|_| "\"\"".into(), "\"properties\":{\"fields\":")),
        ("conditions made up", one(&|i| format!("\"{i}\""), "\"conditions\":")),
        ("actions made up", with_list(good, name, |i| format!("{{\"action\":\"{i}\"}}"))),
        ("1000 actions made up", many(1_000, &|i| json!({"action": format!("a{i}")}))),
        ("5000 actions made up", many(5_000, &|i| json!({"action": format!("a{i}")}))),
        ("5000 actions of 250 bytes", many(4_000, &|i| json!({"action": format!("{}{i}", "a".repeat(200))}))),
        ("1000 held", many(1_000, &|i| held[i].clone())),
        ("5000 held", many(5_000, &|i| held[i].clone())),
        ("1000 alike", many(1_000, &alike)),
        ("5000 alike", many(5_000, &alike)),
        ("700 wide", many(700, &|_| wide.clone())),
        ("400 of 250 fields made up", many(400, &made_up)),
        (
            "1000 of conditions made up",
            many(1_000, &|_| json!({"action": "read", "subject": resource(1), "conditions": conditions})),
        ),
    ]
}

fn form(limit: usize, fixed: &str, piece: impl Fn(usize) -> String) -> String {
    let mut text = fixed.to_owned();
    for i in 0.. {
        let next = piece(i);
        if text.len() + next.len() + 1 > limit {
            return text;
        }
        text.push('&');
        text += &next;
    }
    text
}

fn forms(limit: usize, version: &str) -> Vec<(&'static str, String)> {
    let fixed = format!("name=n&description=d&type=custom&lifespan=604800000&email=a%40x.test&version={version}");
    let quoted = |i: usize, what: &str| format!("[%22read%22,%22{}%22,%22{what}{i}%22]", resource(i % 50));
    let fields = |i: usize| format!("grant=[%22read%22,%22{}%22,%22{}%22]", resource(i % 50), field(i / 50 % 30));
    vec![
        ("empty fields", form(limit, &fixed, |_| "a".into())),
        ("names", form(limit, &fixed, |i| format!("k{i}={i}"))),
        ("escapes", format!("{fixed}&name={}", "%c3%a9".repeat(limit / 6 - 40))),
        ("fields held", form(limit, &fixed, fields)),
        ("fields made up", form(limit, &fixed, |i| format!("grant={}", quoted(i, "f")))),
        ("actions made up", form(limit, &fixed, |i| format!("grant=[%22a{i}%22]"))),
        ("content actions", form(limit, &fixed, |i| format!("action=content.{i}"))),
        (
            "conditions",
            form(limit, &format!("{fixed}&{}", fields(0)), |i| {
                format!("condition=[%22read%22,%22{}%22,%22c{i}%22]", resource(0))
            }),
        ),
        ("roles", form(limit, &fixed, |i| format!("role={i}"))),
        ("broken", form(limit, &fixed, |_| "grant=[".into())),
        ("long texts", form(limit, &fixed, |_| format!("grant={}", "x".repeat(10_000)))),
    ]
}

struct Costs(Vec<(Duration, String)>);

impl Costs {
    async fn measure(&mut self, what: String, sent: impl Future<Output = http::StatusCode>) -> http::StatusCode {
        let before = worked();
        let status = sent.await;
        let cost = worked() - before;
        self.0.push((cost, format!("{what}: {status}")));
        status
    }

    fn done(mut self) {
        self.0.sort_unstable_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        println!("{} requests; the dearest:", self.0.len());
        for (cost, what) in self.0.iter().take(12) {
            println!("{:>8.1} ms  {what}", cost.as_secs_f64() * 1e3);
        }
        let over: Vec<_> = self.0.iter().filter(|(cost, _)| *cost > BUDGET).collect();
        assert!(over.is_empty(), "over {BUDGET:?}: {over:#?}");
    }
}

#[tokio::test]
async fn body_parsing_stays_within_the_budget() {
    let site = Site::new().await;
    let mut costs = Costs(Vec::new());
    for (path, good) in Site::open_routes() {
        let name = good.as_object().unwrap().keys().next().unwrap();
        for (shape, body) in shapes(name, STRANGERS) {
            let sent = async { site.send("POST", path, "", JSON, body).await.0 };
            let status = costs.measure(format!("POST {path} {shape}"), sent).await;
            assert!(status.is_client_error(), "{path} {shape}: {status}");
        }
    }
    for path in Site::OPEN_FORMS {
        for (shape, body) in forms(STRANGERS, "") {
            let sent = async { site.send("POST", path, "", FORM, body).await.0 };
            costs.measure(format!("POST {path} {shape}"), sent).await;
        }
    }
    for (who, secret) in [("super admin", &site.root), ("member", &site.member), ("token", &site.token)] {
        for (method, path, good) in site.api_routes() {
            let names: Vec<&String> = good.as_object().unwrap().keys().collect();
            // Parsing costs the same for every caller.
            let mut bodies = if who == "super admin" { shapes(names[0], LIMIT) } else { Vec::new() };
            for name in names {
                match name.as_str() {
                    "adminPermissions" => bodies.extend(permissions(&good, name)),
                    "permissions" if path.starts_with("/admin/roles") => bodies.extend(permissions(&good, name)),
                    "permissions" => bodies.extend([
                        ("actions made up", with_list(&good, name, |i| format!("\"{i}\""))),
                        ("one action again", with_list(&good, name, |_| "\"content.1\"".into())),
                    ]),
                    "roles" => bodies.extend([
                        ("roles", with_list(&good, name, |i| i.to_string())),
                        ("role objects", with_list(&good, name, |i| format!("{{\"id\":{i}}}"))),
                    ]),
                    _ => {}
                }
            }
            for (shape, body) in bodies {
                let body = body.replacen("\"name\":\"n\"", &format!("\"name\":\"n{}\"", costs.0.len()), 1);
                let sent = async { site.send(method, &path, secret, JSON, body).await.0 };
                costs.measure(format!("{method} {path} {shape}, {who}"), sent).await;
            }
        }
        if who == "token" {
            continue;
        }
        for path in site.forms() {
            // The values of the page, so that the form is processed as far as possible.
            let (_, page) = site.send("GET", &path, secret, FORM, "").await;
            let page = String::from_utf8(page).unwrap();
            let version =
                page.split_once("name=\"version\" value=\"").map_or("", |(_, rest)| rest.split('"').next().unwrap());
            for (shape, body) in forms(LIMIT - 10, version) {
                // A taken name would end the processing early.
                let body = body.replacen("name=n&", &format!("name=n{}&", costs.0.len()), 1);
                let sent = async { site.send("POST", &path, secret, FORM, body).await.0 };
                costs.measure(format!("POST {path} {shape}, {who}"), sent).await;
            }
        }
    }
    costs.done();
}
