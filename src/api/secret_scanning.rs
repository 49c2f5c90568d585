//! `/secret-scanning`: reports of secrets that GitHub found in public.
//!
//! The [partner program](https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program)
//! sends a JSON array of `{"token", "type", "url", "source"}`, signed with ECDSA over P-256 and SHA-256. The answer is an array of
//! `{"token_hash", "token_type", "label"}`, GitHub's form of feedback on each report. The route is not in the OpenAPI document, as no
//! client calls it.
//!
//! Any client may send a request. Until its signature is verified, the request costs no read of the store, and its body is bounded and not
//! parsed.

use super::failure::{Failure, Problem, Problems};
use super::state::Api;
use crate::admin::{LeakReport, NoKey, SecretScanning, is_signed, parse_signature};
use crate::domain::LogLimit;
use crate::guard::{Group, GuardedRouter, Mount, Received, RejectionFormat};
use crate::keyward::Keyward;
use axum::Json;
use axum::extract::{Request, State};
use axum::routing::post;
use http::{HeaderMap, Method};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const PATH: &str = "/secret-scanning";
const KEY: &str = "github-public-key-identifier";
const SIGNATURE: &str = "github-public-key-signature";
/// The largest message, in bytes.
const LARGEST_MESSAGE: usize = 1024 * 1024;
/// The most reports of a message.
const MOST_REPORTS: usize = 10_000;
/// The longest secret, type and source of a report, in bytes.
const LONGEST_FIELD: usize = 1_000;

/// Returns the public groups for reports, one for each mount of the whole API. `None` if there is none.
pub(crate) fn secret_scanning_groups(mounts: &[Mount]) -> Option<Vec<Group>> {
    let group = |mount: &Mount| {
        let group = Group::public(format!("{}{PATH}", mount.path())).exact(Method::POST);
        group.rejection_format(RejectionFormat::Strapi)
    };
    let groups: Vec<Group> = mounts.iter().filter(|mount| mount.is_whole()).map(group).collect();
    (!groups.is_empty()).then_some(groups)
}

/// Adds the route, if the installation accepts reports.
pub(super) fn with_route(routes: GuardedRouter<Api>, keyward: &Keyward) -> GuardedRouter<Api> {
    match keyward.admin_state().settings.secret_scanning {
        Some(_) => routes.public(PATH, post(receive)),
        None => routes,
    }
}

/// The feedback on a report.
#[derive(Serialize)]
struct Feedback {
    /// The SHA-256 of the reported text.
    token_hash: String,
    token_type: String,
    label: &'static str,
}

async fn receive(State(api): State<Api>, request: Request) -> Result<Json<Vec<Feedback>>, Failure> {
    let Some(scanning) = &api.keyward.admin_state().settings.secret_scanning else { return Err(Failure::not_found()) };
    let address = api.keyward.addresses().of(request.headers(), request.extensions());
    let body = receive_signed(&api, scanning, request).await?;
    let (types, reports) = parse(&body.bytes)?;
    drop(body);
    let tokens = api.keyward.tokens().from_address(address);
    let labels = tokens.handle_leaks(&reports, scanning.revokes()).await?;
    let feedback = |((report, token_type), is_genuine): ((&LeakReport, String), bool)| Feedback {
        token_hash: hex::encode(Sha256::digest(report.secret.as_bytes())),
        token_type,
        label: if is_genuine { "true_positive" } else { "false_positive" },
    };
    Ok(Json(reports.iter().zip(types).zip(labels).map(feedback).collect()))
}

/// Receives the body of a request, and checks its signature.
async fn receive_signed(api: &Api, scanning: &SecretScanning, request: Request) -> Result<Received, Failure> {
    static LINES: LogLimit = LogLimit::new();
    let clock = &api.keyward.admin_state().resolver.clock;
    let reject = |reason: &'static str| {
        if let Some(count) = LINES.count_now() {
            tracing::warn!(reason, count, "a report of leaked secrets was rejected");
        }
        Failure::forbidden()
    };
    let (Some(id), Some(signature)) = (single(request.headers(), KEY), single(request.headers(), SIGNATURE)) else {
        return Err(reject("a header of the signature is missing, or is there twice"));
    };
    let (id, signature) = (id.to_owned(), signature.to_owned());
    if parse_signature(&signature).is_none() {
        return Err(reject("its signature is malformed"));
    }
    let key = scanning.key(&id, clock).await.map_err(|none| match none {
        NoKey::Unknown => reject("its key is unknown"),
        NoKey::Unavailable => Failure::unavailable("Try again in a moment"),
    })?;
    let body = api.keyward.bodies().receive_notice(request, LARGEST_MESSAGE).await?;
    if is_signed(&key, &body.bytes, &signature) { Ok(body) } else { Err(reject("its signature is wrong")) }
}

/// Returns the value of a header that occurs once.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Parses a message. No error repeats a part of it.
fn parse(body: &[u8]) -> Result<(Vec<String>, Vec<LeakReport>), Failure> {
    let whole = |message: &str| Failure::from(Problem::at([""; 0], message));
    let list: Vec<Value> = serde_json::from_slice(body).map_err(|_| whole("The body must be an array in JSON"))?;
    if list.len() > MOST_REPORTS {
        return Err(whole("The body has more than 10000 reports"));
    }
    let (mut types, mut reports, mut problems) = (Vec::new(), Vec::new(), Problems::default());
    for (i, value) in list.into_iter().enumerate() {
        let mut text = |name: &str, is_required: bool| match &value[name] {
            Value::String(text) if name == "url" || text.len() <= LONGEST_FIELD => text.clone(),
            Value::Null if !is_required && value.is_object() => String::new(),
            _ => {
                problems.push(Problem::at([i.to_string(), name.to_owned()], "must be a text of at most 1000 bytes"));
                String::new()
            }
        };
        let secret = Zeroizing::new(text("token", true));
        types.push(text("type", false));
        reports.push(LeakReport { secret, url: text("url", false), source: text("source", false) });
        if problems.is_full() {
            break;
        }
    }
    problems.done()?;
    Ok((types, reports))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_messages_are_named_by_their_place_and_not_repeated() {
        let (types, reports) = parse(br#"[{"token":"t","type":"k","url":null,"more":1},{"token":"u"}]"#).ok().unwrap();
        assert_eq!((types, reports.len(), reports[1].secret.as_str()), (vec!["k".to_owned(), String::new()], 2, "u"));
        assert!(parse(b"[]").is_ok());
        let long = format!(r#"[{{"token":"{}"}}]"#, "x".repeat(1_001));
        let many = format!("[{}]", vec!["{}"; 10_001].join(","));
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        for bad in [
            "",
            "{}",
            "null",
            "[1]",
            "[[]]",
            "[null]",
            r#"[{"token":1}]"#,
            r#"[{"token":"t","type":["hidden"]}]"#,
            r#"[{"token":"t","source":{}}]"#,
            r#"[{"type":"k"}]"#,
            "[{\"token\":\"t\"}] x",
            &long,
            &many,
            &deep,
        ] {
            let failure = parse(bad.as_bytes()).err().expect(bad);
            let shown = format!("{failure:?}");
            assert!(shown.contains("400") && !shown.contains("hidden"), "{bad}: {shown}");
        }
        let shown = format!("{:?}", parse(br#"[{"token":"t"},{"token":2}]"#).err().unwrap());
        assert!(shown.contains(r#"["1", "token"]"#), "{shown}");
    }
}
