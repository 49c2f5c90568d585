//! Hostile request targets.

use http::Method;
use proptest::prelude::*;
use proptest::sample::select;

/// Names that some route uses, and names that almost match them.
const NAMES: [&str; 30] = [
    "admin",
    "admin",
    "api",
    "public",
    "x",
    "y",
    "login",
    "keys",
    "assets",
    "settings",
    "files",
    "private",
    "open",
    "v1",
    "t",
    "z",
    "adminx",
    "Admin",
    "ADMIN",
    "%61dmin",
    "admi%6E",
    "publi%63",
    "{x}",
    "*",
    "admin.",
    "~admin",
    "a.b",
    "...",
    "caf%C3%A9",
    "caf\u{e9}",
];

/// Segments that are empty, or that some parsers decode to other segments.
const ODD: [&str; 36] = [
    "",
    "",
    ".",
    "..",
    "%2e",
    "%2E%2e",
    ".%2e",
    "%2e.",
    "..;",
    "..;x=1",
    ".;",
    ";",
    ";x=1",
    "%3b",
    "x;y",
    "x;/y",
    "%2f",
    "a%2Fb",
    "%2f%2f",
    "..%2f..",
    "%2f..",
    "a%5cb",
    "..%5c..",
    "a\\b",
    "..\\..",
    "%252e%252e",
    "a%252fb",
    "%25%32%66",
    "%c0%ae%c0%ae",
    "%ff",
    "%00",
    "%0d%0a",
    "%zz",
    "%",
    "%2",
    "%25",
];

/// Paths of routes.
const GOOD: [&str; 28] = [
    "/admin",
    "/admin/",
    "/admin/x",
    "/admin/a/y",
    "/admin/files/a/b",
    "/admin/login",
    "/admin/settings/x",
    "/admin/v1/x",
    "/admin/v1/t/a/x",
    "/admin/v1/t/a/files/b/c",
    "/admin/b/c/x",
    "/admin/admin/x",
    "/admin/public/x",
    "/admin/assets/x",
    "/admin/assets/a/b",
    "/api/x",
    "/api/keys",
    "/api/a/y",
    "/api/files/a/b",
    "/api/public/x",
    "/public",
    "/public/x",
    "/public/admin/x",
    "/public/files/a/b",
    "/open/private/x",
    "/open/private",
    "/files/a/y",
    "/files/a/z/b/c",
];

/// Generates the bytes after the method; they need not be a valid target.
pub fn target() -> impl Strategy<Value = Vec<u8>> {
    let form = prop_oneof![
        40 => Just(("", "")),
        3 => Just(("", "?x=/admin/x")),
        1 => Just(("", "?")),
        1 => Just(("", "#/admin/x")),
        1 => Just(("", "?x=%2e%2e//\\..")),
        2 => Just(("http://platform", "")),
        1 => Just(("https://admin:80", "?y")),
        1 => Just(("http://admin@[::1]:80", "")),
        1 => Just(("HTTP://x", "")),
        1 => Just(("x", "")),
    ];
    let whole = prop_oneof![
        12 => path(),
        10 => changed(),
        1 => select(&["", "*", "/", "admin/x", "h:80", "/admin:80", "//admin/x", "///", "http://", "?", "%2fadmin%2fx"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (form, whole).prop_map(|((before, after), path)| [before.as_bytes(), &path, after.as_bytes()].concat())
}

/// Generates a target made of random segments.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let segment = prop_oneof![
        12 => select(&NAMES[..]).prop_map(|name| name.as_bytes().to_vec()),
        5 => select(&ODD[..]).prop_map(|odd| odd.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    let slash = prop_oneof![
        30 => Just("/"),
        1 => Just("//"),
        1 => Just("%2f"),
        1 => Just("%252F"),
        1 => Just("\\"),
        1 => Just("%5C"),
        1 => Just("/./"),
        1 => Just("/%2e%2e/"),
        1 => Just("/;/"),
    ];
    let end = prop_oneof![20 => Just(""), 2 => Just("/"), 1 => Just("/.."), 1 => Just("//"), 1 => Just("/.")];
    let long = prop_oneof![400 => Just(0_usize), 1 => Just(300), 1 => Just(8_000)];
    (proptest::collection::vec((slash, segment), 1..6), end, long).prop_map(|(parts, end, long)| {
        let mut path: Vec<u8> = parts.iter().flat_map(|(slash, s)| [slash.as_bytes(), s.as_slice()].concat()).collect();
        path.extend(std::iter::repeat_n(b'a', long));
        path.extend(end.as_bytes());
        path
    })
}

/// Generates the path of a route with small changes.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let change = (0..9_usize, any::<prop::sample::Index>(), any::<u8>(), select(&ODD[..]));
    let good = select(&GOOD[..]);
    let changes = prop_oneof![1 => Just(vec![]), 2 => proptest::collection::vec(change, 1..4)];
    (good, changes).prop_map(|(good, changes)| {
        let mut path = good.as_bytes().to_vec();
        for (how, at, byte, odd) in changes {
            let at = at.index(path.len().max(1));
            let Some(&old) = path.get(at) else { continue };
            let with: Vec<u8> = match how {
                0 => format!("%{old:02x}").into_bytes(),
                1 => format!("%{old:02X}").into_bytes(),
                2 => format!("%25{old:02x}").into_bytes(),
                3 => vec![old, old],
                4 => vec![],
                5 => vec![old ^ 0x20],
                6 => vec![byte],
                7 => [&[old], odd.as_bytes()].concat(),
                _ => [odd.as_bytes(), b"/", &[old]].concat(),
            };
            path.splice(at..=at, with);
        }
        path
    })
}

pub fn method() -> impl Strategy<Value = Method> {
    let purge = Method::from_bytes(b"PURGE").unwrap();
    prop_oneof![
        8 => Just(Method::GET),
        4 => Just(Method::POST),
        2 => Just(Method::HEAD),
        1 => Just(Method::OPTIONS),
        1 => Just(Method::DELETE),
        1 => Just(Method::CONNECT),
        1 => Just(purge),
    ]
}
