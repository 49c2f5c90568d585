//! The routes of guarded routers, kept to explain which requirement a request meets.
//!
//! Paths are matched by a router of axum with the same paths, and parameters are read by the code that guards routes.

use super::declared::{DeclaredRoute, has_method};
use super::route_requirement::with_params;
use crate::domain::Requirement;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use http::Method;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tower::ServiceExt;

/// The routes behind a gate, as far as it knows them.
#[derive(Default)]
pub(super) struct KeptRoutes {
    routers: Mutex<Vec<Arc<[DeclaredRoute]>>>,
    /// Whether the gate guards other services too.
    has_others: AtomicBool,
}

/// The route that a request reaches behind the gate.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum FoundRoute {
    /// A route with this requirement, whose parameters are filled in.
    Requires { path: String, requirement: Requirement },
    /// A route that also judges what its body calls.
    Calls { path: String, requirement: Requirement },
    /// A route for public groups.
    Public { path: String },
    /// Several routes of this path, with other requirements, and it is not known which has the method.
    Several { path: String },
    /// A path without a route for the method.
    NoMethod { path: String },
    /// No guarded router has the path.
    NoRoute,
    /// The gate guards services whose routes it does not know.
    Unknown,
}

impl KeptRoutes {
    /// Keeps the routes of a guarded router.
    pub(super) fn keep(&self, routes: &[DeclaredRoute]) {
        let mut routers = self.routers.lock().unwrap_or_else(PoisonError::into_inner);
        if !routers.iter().any(|kept| **kept == *routes) {
            routers.push(routes.into());
        }
    }

    /// Notes that the gate guards a service whose routes are not known.
    pub(super) fn note_other(&self) {
        self.has_others.store(true, Ordering::Relaxed);
    }

    /// Returns the route that a request of this method and path reaches.
    pub(super) async fn find(&self, method: &Method, path: &str) -> FoundRoute {
        let routers = self.routers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let nowhere = match routers.is_empty() || self.has_others.load(Ordering::Relaxed) {
            true => FoundRoute::Unknown,
            false => FoundRoute::NoRoute,
        };
        let mut found: Vec<FoundRoute> = Vec::new();
        for routes in &routers {
            let route = find_in(routes, method, path).await;
            if route != FoundRoute::NoRoute && !found.contains(&route) {
                found.push(route);
            }
        }
        match found.len() {
            0 => nowhere,
            1 => found.swap_remove(0),
            // Which of the routers gets the request is up to the host.
            _ => FoundRoute::Several { path: path.to_owned() },
        }
    }
}

/// Returns the route of one router.
async fn find_in(routes: &Arc<[DeclaredRoute]>, method: &Method, path: &str) -> FoundRoute {
    let mut by_path: BTreeMap<&str, bool> = BTreeMap::new();
    for route in routes.iter() {
        *by_path.entry(&route.path).or_default() |= route.is_prefix;
    }
    let mut router: Router = Router::new();
    for (declared, is_prefix) in by_path {
        let endpoint = || {
            let (routes, declared) = (routes.clone(), declared.to_owned());
            any(move |request: Request| {
                let found = choose(&routes, &declared, request);
                async move {
                    let mut response = Response::new(Body::empty());
                    response.extensions_mut().insert(found);
                    response
                }
            })
        };
        router = router.route(declared, endpoint());
        if is_prefix {
            // As `Router::nest_service` does.
            let below = declared.trim_end_matches('/');
            router = router.route(&format!("{below}/"), endpoint());
            router = router.route(&format!("{below}/{{*keyward_rest}}"), endpoint());
        }
    }
    let request = Request::builder().method(method).uri(path).body(Body::empty());
    let Ok(request) = request else { return FoundRoute::NoRoute };
    let Ok(mut response) = router.oneshot(request).await;
    response.extensions_mut().remove().unwrap_or(FoundRoute::NoRoute)
}

/// Chooses among the routes of a path by the method of the request, and fills in the parameters of its path.
fn choose(routes: &[DeclaredRoute], path: &str, mut request: Request) -> FoundRoute {
    let of_path = || routes.iter().filter(|route| route.path == path && !route.is_call);
    let serves = |route: &&DeclaredRoute| {
        route.methods.or(route.served).is_some_and(|methods| has_method(methods, request.method()))
    };
    let path = path.to_owned();
    let mut others = of_path().filter(|route| route.methods.or(route.served).is_none());
    let chosen = match (of_path().find(serves), others.next()) {
        (Some(route), _) => route,
        (None, Some(first)) if others.all(|other| other.requirement == first.requirement) => first,
        (None, Some(_)) => return FoundRoute::Several { path },
        (None, None) => return FoundRoute::NoMethod { path },
    };
    let Some(requirement) = &chosen.requirement else { return FoundRoute::Public { path } };
    let requirement = match requirement.has_params() {
        true => with_params(requirement, request.extensions_mut()),
        false => requirement.clone(),
    };
    match routes.iter().any(|route| route.path == chosen.path && route.is_call) {
        true => FoundRoute::Calls { path, requirement },
        false => FoundRoute::Requires { path, requirement },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action;
    use crate::guard::GuardedRouter;
    use axum::routing::{get, post};

    async fn find(router: GuardedRouter, method: Method, path: &str) -> FoundRoute {
        let kept = KeptRoutes::default();
        kept.keep(router.declared());
        kept.find(&method, path).await
    }

    fn requires(path: &str, requirement: Requirement) -> FoundRoute {
        FoundRoute::Requires { path: path.to_owned(), requirement }
    }

    #[tokio::test]
    async fn a_request_reaches_the_route_that_a_router_would_choose() {
        let ok = || get(|| async {});
        let router = || {
            let users = GuardedRouter::new()
                .route("/", action("list"), ok())
                .route("/", action("create"), post(|| async {}))
                .get("/self", action("self"), || async {})
                .route("/{id}", action("read"), ok());
            GuardedRouter::new()
                .nest("/users", users)
                .get("/content/{uid}/{id}", action("read").on_param("uid"), || async {})
                .nest_service("/files", action("files"), ok())
                .public("/login", post(|| async {}))
        };
        let named = |path: &str, name: &str| requires(path, action(name));
        let is = |path: &str| path.to_owned();
        for (method, path, expected) in [
            (Method::GET, "/users", named("/users", "list")),
            (Method::HEAD, "/users", named("/users", "list")),
            (Method::POST, "/users", named("/users", "create")),
            (Method::PUT, "/users", FoundRoute::NoMethod { path: is("/users") }),
            (Method::GET, "/users/self", named("/users/self", "self")),
            (Method::GET, "/users/7", named("/users/{id}", "read")),
            (Method::GET, "/users/7/x", FoundRoute::NoRoute),
            (Method::GET, "/users/", FoundRoute::NoRoute),
            (Method::GET, "/content/page/7", requires("/content/{uid}/{id}", action("read").on("page"))),
            (Method::GET, "/content/a%20b/7", requires("/content/{uid}/{id}", action("read").on("a b"))),
            (Method::DELETE, "/files/a/b", named("/files", "files")),
            (Method::GET, "/files/", named("/files", "files")),
            (Method::POST, "/login", FoundRoute::Public { path: is("/login") }),
            (Method::GET, "/other", FoundRoute::NoRoute),
        ] {
            assert_eq!(find(router(), method.clone(), path).await, expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn what_is_not_known_is_said() {
        let kept = KeptRoutes::default();
        assert_eq!(kept.find(&Method::GET, "/a").await, FoundRoute::Unknown);
        let one = |name: &str| GuardedRouter::<()>::new().get("/a", action(name), || async {});
        kept.keep(one("x").declared());
        kept.keep(one("x").declared());
        assert_eq!(kept.find(&Method::GET, "/a").await, requires("/a", action("x")));
        assert_eq!(kept.find(&Method::GET, "/b").await, FoundRoute::NoRoute);
        kept.note_other();
        assert_eq!(kept.find(&Method::GET, "/b").await, FoundRoute::Unknown);
        kept.keep(one("y").declared());
        assert_eq!(kept.find(&Method::GET, "/a").await, FoundRoute::Several { path: "/a".to_owned() });
        let every = |router: GuardedRouter, name| router.route("/a", action(name), axum::routing::any(|| async {}));
        assert_eq!(find(every(GuardedRouter::new(), "x"), Method::PUT, "/a").await, requires("/a", action("x")));
    }
}
