//! Style sheet, script and icon.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

pub(super) const STYLE: &str = "/assets/keyward.css";
pub(super) const SCRIPT: &str = "/assets/keyward.js";
pub(super) const ICON: &str = "/assets/keyward.svg";

const STYLE_TEXT: &str = include_str!("assets/keyward.css");
const ICON_TEXT: &str = include_str!("assets/keyward.svg");
const SCRIPT_TEXT: &str = include_str!("assets/keyward.js");

/// A hash of the assets. It is a part of their addresses, so that browsers do not use those of an older version.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(STYLE_TEXT).chain_update(SCRIPT_TEXT).finalize();
    hex::encode(&digest[..6])
});

pub(super) async fn style() -> Response {
    cacheable("text/css; charset=utf-8", STYLE_TEXT)
}

pub(super) async fn script() -> Response {
    cacheable("text/javascript; charset=utf-8", SCRIPT_TEXT)
}

pub(super) async fn icon() -> Response {
    cacheable("image/svg+xml", ICON_TEXT)
}

fn cacheable(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")], text).into_response()
}
