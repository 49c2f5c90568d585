//! Where browsers see the pages. Addresses in here are those of the routes; the base path is added where they leave, in templates and
//! in redirects, and nowhere else.

use super::state::Pages;
use crate::guard::Base;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Redirect, Response};

tokio::task_local! {
    static BASE: Base;
}

/// The base path of the request that is being answered: empty, or like `/keys`.
pub(super) fn of_request() -> Base {
    BASE.try_with(Clone::clone).unwrap_or_default()
}

/// The same, for templates: `href="{{ crate::ui::base() }}/admin/me"`.
pub(super) fn base() -> String {
    of_request().as_str().to_owned()
}

/// Leads to one of the pages.
pub(super) fn redirect(path: &str) -> Redirect {
    Redirect::to(&format!("{}{path}", of_request().as_str()))
}

/// Answers a request with its base path at hand.
pub(super) async fn within(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let base = pages.gate.base_of(request.headers(), request.extensions());
    BASE.scope(base, next.run(request)).await
}
