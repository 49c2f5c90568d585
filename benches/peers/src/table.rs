//! The table of measurements and features.

use crate::harness::Row;

pub(crate) const BARE: &str = "the bare route";
pub(crate) const KEYWARD: &str = "keyward";
pub(crate) const MAP: &str = "tower-http, `DashMap` of secrets";
pub(crate) const MAP_OF_DIGESTS: &str = "the same, of SHA-256 digests";
pub(crate) const SESSIONS: &str = "axum-login, store in memory";
pub(crate) const HS256: &str = "jsonwebtoken, HS256";
pub(crate) const EDDSA: &str = "jsonwebtoken, EdDSA";
pub(crate) const TWO_STATIC_KEYS: &str = "oauth-resource-server, 2 static keys";
pub(crate) const STATIC_KEYS: &str = "the same, 1 000 static keys";
pub(crate) const DECISION: &str = "keyward: the decision alone";
pub(crate) const CASBIN: &str = "casbin: the decision alone";
pub(crate) const CASBIN_CACHED: &str = "casbin, cached: the same";
pub(crate) const CEDAR: &str = "cedar: the decision alone";

const ORDER: [&str; 13] = [
    BARE,
    KEYWARD,
    MAP,
    MAP_OF_DIGESTS,
    SESSIONS,
    HS256,
    EDDSA,
    TWO_STATIC_KEYS,
    STATIC_KEYS,
    DECISION,
    CASBIN,
    CASBIN_CACHED,
    CEDAR,
];

/// The crates that are measured, and those that they stand on.
const CRATES: [&str; 9] = [
    "axum",
    "axum-login",
    "casbin",
    "cedar-policy",
    "dashmap",
    "jsonwebtoken",
    "oauth-resource-server",
    "sha2",
    "tower-http",
];

/// Returns the columns of features: owner, never more than the owner, revocation, rows and fields.
fn features(name: &str) -> [&'static str; 4] {
    match name {
        KEYWARD => ["yes", "yes, at every moment", "next request; other nodes 2 s", "yes, also as SQL"],
        MAP | MAP_OF_DIGESTS => ["no", "no", "next request; other nodes: not included", "no"],
        SESSIONS => {
            ["is its user", "no: all of its user, no scoped keys", "next request, where the store is shared", "no"]
        }
        HS256 | EDDSA => ["a name, as signed", "as it was when signed", "when it expires", "no"],
        TWO_STATIC_KEYS | STATIC_KEYS => ["a label", "no: every key may do everything", "restart", "no"],
        DECISION => ["yes", "yes", "with the token", "yes"],
        CASBIN | CASBIN_CACHED => ["provided by you", "your matcher", "as policies reach the node", "one row at hand"],
        CEDAR => ["provided by you", "your policy", "as policies reach the node", "one row at hand"],
        _ => [""; 4],
    }
}

/// Returns whether a row takes more than some 20 µs.
pub(crate) fn is_slow(name: &str) -> bool {
    [EDDSA, STATIC_KEYS, CASBIN, CEDAR].contains(&name)
}

pub(crate) fn print(rows: &[Row], provider: &str) {
    let row = |name: &str| rows.iter().find(|r| r.name == name).unwrap();
    let over = |r: &Row| match r.over.map(row) {
        Some(base) => (r.least() - base.least(), r.median() - base.median(), r.allocations - base.allocations),
        None => (r.least(), r.median(), r.allocations),
    };
    println!("{}; jsonwebtoken with {provider}\n", list_versions());
    println!(
        "| over the bare route | least ns | median ns | x keyward | allocations | owner | never more than the owner | \
         revoked with | rows and fields |"
    );
    println!("| --- | --: | --: | --: | --: | --- | --- | --- | --- |");
    for r in ORDER.map(row) {
        let (least, median, allocations) = over(r);
        let keyward = match r.over {
            Some(_) => Some(KEYWARD),
            None if r.name != BARE => Some(DECISION),
            None => None,
        };
        let times = keyward.map_or_else(String::new, |name| format!("{:.2}", least / over(row(name)).0));
        let [owner, bound, revocation, rows_and_fields] = features(r.name);
        println!(
            "| {} | {least:.0} | {median:.0} | {times} | {allocations:.1} | {owner} | {bound} | {revocation} | {rows_and_fields} |",
            r.name
        );
    }
}

/// Lists the versions of the crates. Of a crate with several versions in the lock file, the last and newest is measured.
fn list_versions() -> String {
    let packages = include_str!("../Cargo.lock").split("[[package]]");
    let packages: Vec<_> = packages.map(|package| (field(package, "name"), field(package, "version"))).collect();
    let version = |name: &str| packages.iter().rfind(|(found, _)| *found == name).map_or("?", |(_, version)| version);
    CRATES.map(|name| format!("{name} {}", version(name))).join(", ")
}

/// Returns a field of a package in a lock file.
fn field<'a>(package: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(" = ");
    package.lines().find_map(value).unwrap_or_default().trim_matches('"')
}
