//! The settings pages: tokens, roles, users and the audit log in a browser, under `/admin`.
//!
//! [`router`] has all of the pages, each guarded by its own requirement; [`Builder::ui`](crate::Builder::ui) adds the groups that they
//! belong to. They are served whole: nothing is built, and nothing is loaded from elsewhere.
//!
//! ```
//! # tokio_test::block_on(async {
//! use keyward::guard::SessionCookie;
//! use keyward::{HashKey, Keyward, MemoryStore, ui};
//! let (hash_key, _) = HashKey::generate()?;
//! let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).ui(SessionCookie::default()).build()?;
//! let app = keyward.guard(ui::router(&keyward));
//! # let _ = app;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! A person signs in at `/admin/auth/login` and has a session in a cookie, which counts on these pages only, never on the API. Who
//! is not signed in is sent there, and comes back. What changes something has to come from a page of the same origin.
//!
//! The cookie is `SameSite=Strict`: a link from a mail comes without it. The sign-in page then asks once more, from its own site, and
//! leads on if there is a session. After signing in it checks that the browser has kept the cookie, and says so if not.
//!
//! No rule lives here: a page asks a service for whoever is signed in, and shows what that answers.

mod access;
mod admin_tokens;
mod affected_tokens;
mod assets;
mod audit;
mod base;
mod condition_options;
mod content_tokens;
mod event;
mod event_details;
mod failure;
mod form;
mod frame;
mod grants;
mod lifespan;
mod list;
mod matrix;
mod me;
mod names;
mod permissions;
mod roles;
mod sign_in;
mod state;
mod time;
mod tokens;
mod user_list;
mod users;

use crate::domain::{LogLimit, Requirement, action, all_of, authenticated};
use crate::guard::{Group, GuardedRouter, SessionCookie};
use crate::keyward::{Builder, Keyward};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use base::{base, redirect};
use http::Method;
use state::Pages;

/// Where people come in by hand.
const ENTRANCE: &str = "/admin";
/// Where people sign in.
const SIGN_IN: &str = "/admin/auth/login";
/// Where they look after their own account.
const ME: &str = "/admin/me";
/// Where they land: it leads on to the first page that is for them.
const HOME: &str = "/admin/settings";

/// Pages that nobody has to be signed in for. What they send has to come from themselves.
const OPEN: [&str; 3] = [SIGN_IN, sign_in::FIRST, sign_in::INVITED];

/// All of the pages. Merge it with your own routes, and put the gate around both.
///
/// Behind a proxy that puts a prefix before all paths, say [`Builder::base_path`].
pub fn router(keyward: &Keyward) -> GuardedRouter {
    let pages = Pages::new(keyward);
    GuardedRouter::new()
        .public(ENTRANCE, get(|| async { redirect(HOME) }))
        .public(assets::STYLE, get(assets::style))
        .public(assets::SCRIPT, get(assets::script))
        .public(assets::ICON, get(assets::icon))
        .merge(GuardedRouter::new().route(HOME, authenticated(), get(home)))
        .merge(sign_in::routes())
        .merge(tokens::routes::<admin_tokens::AdminTokens>())
        .merge(roles::routes())
        .merge(users::routes())
        .merge(tokens::routes::<content_tokens::ContentTokens>())
        .merge(me::routes())
        .merge(audit::routes())
        .with_state(pages.clone())
        .layer(axum::middleware::from_fn_with_state(pages, base::within))
        .layer(axum::middleware::map_response(frame::shield))
}

async fn home(viewer: frame::Viewer) -> Redirect {
    redirect(viewer.home())
}

/// A page, not to be kept by anybody.
fn render(status: http::StatusCode, page: &impl askama::Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            static LINES: LogLimit = LogLimit::new();
            if let Some(count) = LINES.count_now() {
                tracing::error!(error = &error as &dyn std::error::Error, count, "pages could not be written");
            }
            http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// No page chooses rows: whoever holds its action under conditions only does not hold it.
fn may(names: &[&str]) -> Requirement {
    all_of(names.iter().map(|name| action(*name))).whole()
}

impl<T> Builder<T> {
    /// Adds the groups of the settings pages, `/admin/settings`, `/admin/me` and `/admin/auth`: see [`ui::router`](router).
    ///
    /// `/admin` itself leads to the pages; everything else below it is none of theirs.
    pub fn ui(self, cookie: SessionCookie) -> Self {
        let pages = |path| Group::pages(path, cookie.name(), SIGN_IN).for_people(ENTRANCE);
        let open = OPEN.into_iter().flat_map(|path| {
            let of = |method| Group::public(path).exact(method).same_origin_only().for_people(ENTRANCE);
            [of(Method::GET), of(Method::POST)]
        });
        let assets = [assets::STYLE, assets::SCRIPT, assets::ICON, sign_in::SESSION]
            .map(|path| Group::public(path).exact(Method::GET));
        let entrance = Group::public(ENTRANCE).exact(Method::GET).for_people(ENTRANCE);
        let all = [pages(HOME), pages(ME), pages(sign_in::SIGN_OUT), entrance];
        all.into_iter().chain(open).chain(assets).fold(self.session_cookie(cookie), Self::group)
    }
}
