//! The settings pages: tokens, roles, users and the audit log in a browser.
//!
//! [`Builder::ui`](crate::Builder::ui) mounts them at a path, with their route groups. [`router`] has the pages, each with
//! its own requirement. They are rendered on the server: there is no build step, and they load nothing from other origins.
//!
//! ```
//! # tokio_test::block_on(async {
//! use keyward::guard::SessionCookie;
//! use keyward::{HashKey, Keyward, MemoryStore, ui};
//! let (hash_key, _) = HashKey::generate()?;
//! let cookie = SessionCookie::default();
//! let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).ui("/admin", cookie).build()?;
//! let app = keyward.guard(ui::router(&keyward));
//! # let _ = app;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! A person signs in at `/admin/auth/login` and gets a session cookie, which is valid on pages only, never on the API. A
//! page without a valid session redirects to it, and the sign-in redirects back. Forms have to come from a page of the
//! same origin.
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
mod token_limits;
mod tokens;
mod user_list;
mod users;
mod viewer;

use crate::domain::authenticated;
use crate::guard::{Group, GuardedRouter, Mount, SessionCookie};
use crate::keyward::{Builder, Keyward};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Redirect;
use axum::routing::get;
use base::{base, redirect, sign_in};
use http::Method;
use paths::{HOME, ME, OWN_TOKENS, REGISTER, REGISTER_FIRST, SESSION, SIGN_IN, SIGN_OUT};
use state::Pages;

/// Returns the pages, at each path where they are [mounted](Builder::ui). Merge them with your own routes, and guard
/// both.
///
/// Behind a proxy that adds a prefix to all paths, set [`Builder::base_path`].
///
/// # Panics
/// If they are mounted nowhere.
pub fn router(keyward: &Keyward) -> GuardedRouter {
    let mounts = &keyward.mounts().pages;
    assert!(!mounts.is_empty(), "the pages are mounted nowhere: add `.ui(\"/admin\", ..)` to the builder");
    mounts.iter().fold(GuardedRouter::new(), |router, (mount, cookie)| {
        router.nest(mount.path(), routes(Pages::new(keyward, mount, *cookie)))
    })
}

/// Returns the routes of a mount, without its path.
fn routes(pages: Pages) -> GuardedRouter {
    let place = (pages.keyward.gate().clone(), pages.mount.clone());
    let shown = if pages.mount.is_whole() { all_pages() } else { tokens::routes::<admin_tokens::OwnTokens>() };
    let sign_in = match pages.mount.sign_in_page() {
        Some(_) => GuardedRouter::new(),
        None => sign_in::sign_in_routes(),
    };
    GuardedRouter::new()
        .public(assets::STYLE, get(assets::style))
        .public(assets::SCRIPT, get(assets::script))
        .public(assets::ICON, get(assets::icon))
        .merge(sign_in::session_routes())
        .merge(sign_in)
        .merge(shown)
        .with_state(pages)
        .layer(from_fn_with_state(place, base::scope_place))
        .layer(map_response(page::add_security_headers))
}

fn all_pages() -> GuardedRouter<Pages> {
    GuardedRouter::new()
        .public("/", get(|| async { redirect(HOME) }))
        .route(HOME, authenticated(), get(home))
        .merge(sign_in::registration_routes())
        .merge(tokens::routes::<admin_tokens::AdminTokens>())
        .merge(roles::routes())
        .merge(users::routes())
        .merge(tokens::routes::<content_tokens::ContentTokens>())
        .merge(me::routes())
        .merge(audit::routes())
}

async fn home(viewer: viewer::Viewer) -> Redirect {
    redirect(viewer.home())
}

impl<T> Builder<T> {
    /// Mounts the [settings pages](crate::ui) at this path: all of them, or the [own tokens](Mount::own_tokens) of
    /// signed-in people. They may be mounted at several paths. A session is valid at each: the path of its cookie is `/`,
    /// as browsers require for `__Host-`, or the [base path](Self::base_path).
    ///
    /// At `/admin` this adds the groups `/admin/settings`, `/admin/me` and `/admin/auth`, and a redirect at `/admin`
    /// itself. Other paths below do not belong to the pages, so the management API may be there too. Own tokens take
    /// their path and everything below.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::guard::{Mount, SessionCookie};
    /// use keyward::{HashKey, Keyward, MemoryStore, ui};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward = Keyward::builder(MemoryStore::default())
    ///     .hash_key(hash_key)
    ///     .ui("/operators", SessionCookie::default())
    ///     .ui(Mount::own_tokens("/settings/keys"), SessionCookie::default())
    ///     .build()?;
    /// let app = keyward.guard(ui::router(&keyward));
    /// # let _ = app;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn ui(mut self, mount: impl Into<Mount>, cookie: SessionCookie) -> Self {
        let mount = mount.into();
        let at = |below: &str| format!("{}{below}", mount.path());
        let sign_in = mount.sign_in_page().map_or_else(|| at(SIGN_IN), str::to_owned);
        let pages = |below: &str| Group::pages(at(below), cookie.name(), sign_in.as_str()).for_people(at(""));
        let get = |below: &str| Group::public(at(below)).exact(Method::GET);
        let form = |below: &str| {
            let group = |method| Group::public(at(below)).exact(method).same_origin_only().for_people(at(""));
            [group(Method::GET), group(Method::POST)]
        };
        let mut groups = vec![get(assets::STYLE), get(assets::SCRIPT), get(assets::ICON), get(SESSION)];
        if mount.sign_in_page().is_none() {
            groups.extend(form(SIGN_IN));
        }
        match mount.is_whole() {
            true => {
                groups.extend([pages(HOME), pages(ME), pages(SIGN_OUT), get("").for_people(at(""))]);
                groups.extend([REGISTER_FIRST, REGISTER].into_iter().flat_map(form));
            }
            false => groups.push(pages(OWN_TOKENS)),
        }
        self.mounts_mut().pages.push((mount, cookie));
        groups.into_iter().fold(self, Self::group)
    }
}
