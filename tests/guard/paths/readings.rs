//! Decides whether a run is a bypass, without the gate's own path parser.

use super::nestings::{Credential, Nesting, Run};
use http::{Method, StatusCode};
use keyward::token::TokenKind;
use std::collections::BTreeSet;

/// The callers that a route is meant for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    Admin,
    Content,
    Session,
    Public,
    /// A route for paths of several groups: the path as sent decides.
    AsSent,
}

/// A route group.
#[derive(Clone, Debug)]
pub struct Place {
    pub path: &'static str,
    pub exact: Option<Method>,
    pub class: Class,
}

/// Returns an explanation if a run bypassed the gate.
pub fn judge(
    nesting: &Nesting,
    method: &Method,
    path: &str,
    credential: Credential,
    status: StatusCode,
    runs: &[Run],
) -> Result<(), String> {
    let complain = |what: &str| {
        let place = format!("{method} {path:?} as {credential:?} in {:?} answered {status}", nesting.name);
        Err(format!("{what}: {place}, runs {runs:?}"))
    };
    if status.is_server_error() {
        return complain("a failure of ours");
    }
    // Two credentials that differ are a 400 too.
    if is_plain(path) && status == StatusCode::BAD_REQUEST && credential != Credential::Twice {
        return complain("a plain path was refused");
    }
    for run in runs {
        let Some(class) = resolve(run.class, nesting, method, path) else {
            return complain("a path of no group reached a handler");
        };
        if !fits(class, run.caller) {
            return complain("the route is for others than the caller");
        }
        if run.caller.flatten() != credential.kind().filter(|_| class != Class::Public) {
            return complain("the caller is not who sent it");
        }
        if run.guarded && class == Class::Admin && !matches!(credential, Credential::Strong | Credential::Session) {
            return complain("a requirement was passed over");
        }
        if !run.params.iter().all(|value| is_sound(value, nesting.encoded_slashes)) {
            return complain("a parameter leads out of its segment");
        }
        for reading in readings(path, !nesting.shadowing) {
            let other = resolve(Class::AsSent, nesting, method, &reading);
            // A route that requires less than the gate did admits no other caller.
            if other.is_some_and(|other| other != class && other != Class::Public) {
                return complain(&format!("another parser reads {reading:?}, which is for {other:?}"));
            }
        }
    }
    Ok(())
}

fn fits(class: Class, caller: Option<Option<TokenKind>>) -> bool {
    match class {
        Class::Public => caller.is_none(),
        Class::Admin => matches!(caller, Some(Some(TokenKind::Admin | TokenKind::Session))),
        Class::Session => caller == Some(Some(TokenKind::Session)),
        Class::Content => matches!(caller, Some(None | Some(TokenKind::Content))),
        Class::AsSent => false,
    }
}

/// Returns the class of a path by its segments: an exact match first, then the prefix with the most segments.
fn resolve(class: Class, nesting: &Nesting, method: &Method, path: &str) -> Option<Class> {
    if class != Class::AsSent {
        return Some(class);
    }
    let serves = |m: &Method| m == method || (*m == Method::GET && *method == Method::HEAD);
    if let Some(exact) = nesting.places.iter().find(|p| p.path == path && p.exact.as_ref().is_some_and(serves)) {
        return Some(exact.class);
    }
    if !path.starts_with('/') {
        return None;
    }
    let segments = |path: &'_ str| -> Vec<String> { path.split('/').skip(1).map(str::to_owned).collect() };
    let sent = segments(path);
    let covers =
        |place: &&Place| place.exact.is_none() && (place.path == "/" || sent.starts_with(&segments(place.path)));
    let depth = |place: &&Place| if place.path == "/" { 0 } else { segments(place.path).len() };
    nesting.places.iter().filter(covers).max_by_key(depth).map(|place| place.class)
}

/// Returns whether a path has segments of letters and digits only.
fn is_plain(path: &str) -> bool {
    let plain = |segment: &str| !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric());
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain))
}

/// Returns whether a decoded parameter names only paths below its own position.
fn is_sound(value: &str, slashes: bool) -> bool {
    let control = value.bytes().any(|b| b < 0x20 || b == 0x7f);
    let dots = value.split(['/', '\\']).any(|segment| matches!(segment.split(';').next(), Some("." | "..")));
    let doubled = value.contains("//");
    // Only a wildcard contains slashes, and it begins below its position.
    let rooted = value.starts_with('/') && !slashes;
    !control && !dots && !doubled && !rooted && !value.contains('\\')
}

/// Returns the paths that other programs may read: they decode once or repeatedly, merge slashes, take `\` for `/`, cut parameters
/// off segments, or resolve dots, in any order. `liberally` adds readings that have no meaning in a path; a public group that
/// shadows another one matches exact bytes only, as documented.
fn readings(path: &str, liberally: bool) -> BTreeSet<String> {
    let mut all = BTreeSet::from([path.to_owned()]);
    for _ in 0..3 {
        let found: Vec<String> = all
            .iter()
            .flat_map(|p| {
                [decoded(p, liberally), p.replace('\\', "/"), merged(p), without_parameters(p, liberally), walked(p)]
            })
            .collect();
        let before = all.len();
        all.extend(found);
        if all.len() == before {
            break;
        }
    }
    all
}

fn decoded(path: &str, liberally: bool) -> String {
    let (bytes, mut out, mut at) = (path.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let value = pair.filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match value.filter(|b| liberally || b"./\\%;".contains(b)) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn merged(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

fn without_parameters(path: &str, liberally: bool) -> String {
    let cut = |segment: &'_ str| match segment.split_once(';') {
        Some((name, _)) if liberally || matches!(name, "" | "." | "..") => name.to_owned(),
        _ => segment.to_owned(),
    };
    path.split('/').map(cut).collect::<Vec<_>>().join("/")
}

fn walked(path: &str) -> String {
    let mut walk: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => _ = walk.pop(),
            name => walk.push(name),
        }
    }
    format!("/{}", walk.join("/"))
}
