//! The settings pages: tokens, roles, users and the audit log in a browser, under `/admin`.
//!
//! [`router`] has all pages, each with its own requirement. [`Builder::ui`](crate::Builder::ui) adds the route groups.
//! The pages are rendered on the server: there is no build step, and they load nothing from other origins.
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
//! A person signs in at `/admin/auth/login` and gets a session cookie, which is valid on these pages only, never on the
//! API. A page without a valid session redirects to it, and the sign-in redirects back. Forms have to come from a page
//! of the same origin.
//!
//! The cookie is `SameSite=Strict`, so browsers do not send it when a person follows a link in an e-mail. The sign-in
//! page then loads itself again from its own site, and redirects if there is a session. After a sign-in it checks that
//! the browser kept the cookie, and shows an error if not.
//!
//! Pages call a service on behalf of the person who is signed in, and render the result. The services hold the rules.

mod access;
mod admin_tokens;
mod affected_tokens;
mod assets;
mod audit;
mod base;
mod condition_options;
mod confirmation;
mod content_tokens;
mod event;
mod event_details;
mod failure;
mod form;
mod form_errors;
mod frame;
mod grants;
mod lifespan;
mod list;
mod matrix;
mod me;
mod names;
mod page;
mod paths;
mod permissions;
mod registry;
mod roles;
mod sign_in;
mod state;
mod time;
mod tokens;
mod user_list;
mod users;
mod viewer;

use crate::domain::authenticated;
use crate::guard::{Group, GuardedRouter, SessionCookie};
use crate::keyward::{Builder, Keyward};
use axum::response::Redirect;
use axum::routing::get;
use base::{base, redirect};
use http::Method;
use paths::{ENTRANCE, HOME, ME, REGISTER, REGISTER_FIRST, SESSION, SIGN_IN, SIGN_OUT};
use state::Pages;

/// Pages that need no session. Their forms have to come from the same origin.
const PUBLIC: [&str; 3] = [SIGN_IN, REGISTER_FIRST, REGISTER];

/// Returns all pages. Merge them with your own routes, and guard both.
///
/// Behind a proxy that adds a prefix to all paths, set [`Builder::base_path`].
pub fn router(keyward: &Keyward) -> GuardedRouter {
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
        .with_state(Pages::new(keyward))
        .layer(axum::middleware::from_fn_with_state(keyward.gate().clone(), base::scope_base))
        .layer(axum::middleware::map_response(page::add_security_headers))
}

async fn home(viewer: viewer::Viewer) -> Redirect {
    redirect(viewer.home())
}

impl<T> Builder<T> {
    /// Adds the groups of the settings pages, `/admin/settings`, `/admin/me` and `/admin/auth`: see
    /// [`ui::router`](router).
    ///
    /// `/admin` itself redirects to the pages. Other paths below it do not belong to them.
    pub fn ui(self, cookie: SessionCookie) -> Self {
        let pages = |path| Group::pages(path, cookie.name(), SIGN_IN).for_people(ENTRANCE);
        let public = PUBLIC.into_iter().flat_map(|path| {
            let group = |method| Group::public(path).exact(method).same_origin_only().for_people(ENTRANCE);
            [group(Method::GET), group(Method::POST)]
        });
        let assets =
            [assets::STYLE, assets::SCRIPT, assets::ICON, SESSION].map(|path| Group::public(path).exact(Method::GET));
        let entrance = Group::public(ENTRANCE).exact(Method::GET).for_people(ENTRANCE);
        let all = [pages(HOME), pages(ME), pages(SIGN_OUT), entrance];
        all.into_iter().chain(public).chain(assets).fold(self.session_cookie(cookie), Self::group)
    }
}
