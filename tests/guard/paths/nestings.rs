//! Every way to combine routers with a gate. Each handler records which callers it is meant for.

use super::readings::{Class, Place};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, StatusCode, Uri};
use keyward::testing::{Key, World};
use keyward::token::{ContentAccess, TokenKind};
use keyward::{AuthContext, Group, GuardedRouter, Requirement, action, authenticated};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

/// The credential of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credential {
    Anonymous,
    /// An admin token without permissions.
    Weak,
    /// An admin token with every permission used here.
    Strong,
    Content,
    Session,
    MadeUp,
    /// The strong token in one header, and another one in a second.
    Twice,
}

impl Credential {
    pub const ALL: [Self; 7] =
        [Self::Anonymous, Self::Weak, Self::Strong, Self::Content, Self::Session, Self::MadeUp, Self::Twice];

    /// Returns the kind of the token, if it is one.
    pub fn kind(self) -> Option<TokenKind> {
        match self {
            Self::Weak | Self::Strong => Some(TokenKind::Admin),
            Self::Content => Some(TokenKind::Content),
            Self::Session => Some(TokenKind::Session),
            Self::Anonymous | Self::MadeUp | Self::Twice => None,
        }
    }
}

/// A handler that ran.
#[derive(Clone, Debug)]
pub struct Run {
    /// The route as it was registered.
    pub route: &'static str,
    pub class: Class,
    /// Whether the route requires a permission that a weak credential lacks.
    pub guarded: bool,
    /// The caller that the handler was given: none, an anonymous one, or a token of this kind.
    pub caller: Option<Option<TokenKind>>,
    /// The path parameters that axum extracted.
    pub params: Vec<String>,
}

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Run>>>);

/// One router with its gate or gates.
pub struct Nesting {
    pub name: &'static str,
    pub places: Vec<Place>,
    /// Whether some group accepts `%2F`.
    pub encoded_slashes: bool,
    /// Whether a path that is in no protected group by its exact bytes may be public.
    pub shadowing: bool,
    service: BoxCloneSyncService<Request, Response, Infallible>,
    secrets: Vec<(Credential, HeaderValue)>,
    /// Its clock and its store.
    _world: World,
}

impl Nesting {
    /// Sends one request and returns its status and the handlers that ran.
    pub async fn send(&self, method: &Method, uri: &Uri, credential: Credential) -> (StatusCode, Vec<Run>) {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        let sent = if credential == Credential::Twice { Credential::Strong } else { credential };
        for (_, secret) in self.secrets.iter().filter(|(c, _)| *c == sent) {
            request.headers_mut().append(AUTHORIZATION, secret.clone());
            if credential == Credential::Twice {
                request.headers_mut().append(AUTHORIZATION, HeaderValue::from_static("Bearer another"));
            }
        }
        let seen = Seen::default();
        request.extensions_mut().insert(seen.clone());
        let Ok(response) = self.service.clone().oneshot(request).await;
        let runs = std::mem::take(&mut *seen.0.lock().unwrap());
        (response.status(), runs)
    }
}

fn record(route: &'static str, class: Class, guarded: bool) -> MethodRouter {
    any(move |params: Result<RawPathParams, _>, request: Request| async move {
        let params = params.iter().flat_map(|p: &RawPathParams| p.iter()).map(|(_, value)| value.to_owned()).collect();
        let caller = request.extensions().get::<AuthContext>().map(AuthContext::kind);
        let run = Run { route, class, guarded, caller, params };
        if let Some(seen) = request.extensions().get::<Seen>() {
            seen.0.lock().unwrap().push(run);
        }
    })
}

/// Returns a handler on a route without a requirement: only the gate protects it.
fn bare(route: &'static str, class: Class) -> MethodRouter {
    record(route, class, false)
}

/// Returns the routes of every nested router: some of their paths look like those of another group.
fn inner(class: Class) -> Router {
    routes(class).fallback_service(bare("(fallback)", class))
}

fn routes(class: Class) -> Router {
    ["/", "/x", "/{a}/y", "/files/{*rest}", "/admin/x", "/api/x", "/public/x", "/private/{x}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, bare(path, class)))
}

const USUAL: [Place; 3] = [
    Place { path: "/admin", exact: None, class: Class::Admin },
    Place { path: "/api", exact: None, class: Class::Content },
    Place { path: "/public", exact: None, class: Class::Public },
];

/// Builds a nesting.
struct Plan {
    name: &'static str,
    places: Vec<Place>,
    encoded_slashes: bool,
    shadowing: bool,
}

impl Plan {
    fn new(name: &'static str) -> Self {
        Self { name, places: USUAL.to_vec(), encoded_slashes: false, shadowing: false }
    }

    fn and(mut self, path: &'static str, exact: Option<Method>, class: Class) -> Self {
        self.places.push(Place { path, exact, class });
        self
    }

    fn group(&self, place: &Place) -> Group {
        let group = match place.class {
            Class::Admin => Group::admin(place.path),
            Class::Content => Group::content(place.path),
            Class::Public => Group::public(place.path),
            Class::Session => Group::pages(place.path, "sid", "/admin/login"),
            Class::AsSent => unreachable!("no group is of this class"),
        };
        let group = if self.shadowing && place.class == Class::Public { group.shadowing() } else { group };
        let group = if self.encoded_slashes { group.allow_ambiguous_encoded_slashes() } else { group };
        match &place.exact {
            Some(method) => group.exact(method.clone()),
            None => group,
        }
    }

    async fn build<T>(self, router: impl FnOnce(&World) -> T) -> Nesting
    where
        T: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Future: Send,
    {
        let more: Vec<Group> = self.places.iter().skip(USUAL.len()).map(|place| self.group(place)).collect();
        let world = World::with(|builder| more.into_iter().fold(builder, keyward::Builder::group));
        let service = BoxCloneSyncService::new(router(&world));
        let mut secrets = Vec::new();
        let bearer = |key: &Key| HeaderValue::from_str(&format!("Bearer {}", key.secret.expose())).unwrap();
        for (credential, key) in [
            (Credential::Weak, world.editor().with("other").issue().await),
            (Credential::Strong, world.editor().with("admin::x").issue().await),
            (Credential::Content, world.content(ContentAccess::FullAccess).await),
            (Credential::Session, world.super_admin().sign_in().await),
        ] {
            secrets.push((credential, bearer(&key)));
        }
        let made_up = format!("Bearer kw_admin_{}", "a".repeat(50));
        secrets.push((Credential::MadeUp, HeaderValue::from_str(&made_up).unwrap()));
        let Self { name, places, encoded_slashes, shadowing } = self;
        Nesting { name, places, encoded_slashes, shadowing, service, secrets, _world: world }
    }
}

fn requires(class: Class) -> Requirement {
    match class {
        Class::Admin => action("admin::x"),
        Class::Content => action("api::x.x.find"),
        _ => authenticated(),
    }
}

fn guarded(routes: &[(&'static str, Class)]) -> GuardedRouter {
    routes.iter().fold(GuardedRouter::new(), |router, &(path, class)| match class {
        Class::Public => router.public(path, record(path, class, true)),
        _ => router.route(path, requires(class), record(path, class, true)),
    })
}

fn nested(gate: impl Fn(Router) -> Router) -> Router {
    Router::new()
        .nest("/admin", gate(inner(Class::Admin)))
        .nest("/api", gate(inner(Class::Content)))
        .nest("/public", gate(inner(Class::Public)))
}

/// Returns all nestings.
pub async fn all() -> Vec<Nesting> {
    use Class::{Admin, AsSent, Content, Public, Session};
    let layered = |world: &World, router: Router| world.keyward.wrap(router).into_router();
    vec![
        Plan::new("a guarded router")
            .and("/admin/login", Some(Method::POST), Public)
            .and("/api/keys", Some(Method::GET), Admin)
            .and("/admin/settings", None, Session)
            .build(|world| {
                let v1 = guarded(&[("/", Admin), ("/x", Admin), ("/{a}/y", Admin), ("/files/{*rest}", Admin)]);
                let own = [
                    ("/admin", Admin),
                    ("/admin/x", Admin),
                    ("/admin/{a}/y", Admin),
                    ("/admin/files/{*rest}", Admin),
                    ("/admin/login", Public),
                    ("/admin/settings", Session),
                    ("/admin/settings/{x}", Session),
                    ("/api/x", Content),
                    ("/api/{x}/y", Content),
                    ("/api/files/{*rest}", Content),
                    ("/public", Public),
                    ("/public/x", Public),
                    ("/public/files/{*rest}", Public),
                ];
                let keys = record("/api/keys", AsSent, false);
                let keys = GuardedRouter::new().route("/api/keys", authenticated(), keys);
                world.keyward.guard(guarded(&own).merge(keys).nest("/admin/v1", v1))
            })
            .await,
        Plan::new("a router in the gate")
            .and("/admin/login", Some(Method::POST), Public)
            .build(|world| {
                let routes = [
                    ("/admin", Admin),
                    ("/admin/", Admin),
                    ("/admin/x", Admin),
                    ("/admin/{a}/y", Admin),
                    ("/admin/files/{*rest}", Admin),
                    ("/admin/login", AsSent),
                    ("/api/x", Content),
                    ("/api/{x}", Content),
                    ("/public/x", Public),
                    ("/public/{*rest}", Public),
                ];
                let router = routes.iter().fold(Router::new(), |r, &(path, class)| r.route(path, bare(path, class)));
                let merged = Router::new().nest("/admin/v1", inner(Admin)).fallback_service(bare("(fallback)", AsSent));
                world.keyward.wrap(router.merge(merged))
            })
            .await,
        Plan::new("routes that know no groups")
            .build(|world| {
                let routes = ["/", "/{a}", "/{a}/{b}", "/{a}/{b}/{*rest}"];
                let router = routes.into_iter().fold(Router::new(), |r, path| r.route(path, bare(path, AsSent)));
                world.keyward.wrap(router)
            })
            .await,
        Plan::new("one route for all")
            .build(|w| w.keyward.wrap(Router::new().route("/{*rest}", bare("/{*rest}", AsSent))))
            .await,
        Plan::new("nest, and the gate a layer of what is nested").build(|w| nested(|router| layered(w, router))).await,
        Plan::new("nest_service, and the gate the service")
            .build(|world| {
                let gated = |class| world.keyward.wrap(inner(class));
                Router::new()
                    .nest_service("/admin", gated(Admin))
                    .nest_service("/api", gated(Content))
                    .nest_service("/public", gated(Public))
            })
            .await,
        Plan::new("a gate inside a gate")
            .build(|world| world.keyward.wrap(nested(|router| layered(world, router))))
            .await,
        Plan::new("a gate inside a gate, both services")
            .build(|world| {
                let gated = |class| world.keyward.wrap(inner(class));
                let nested = Router::new().nest_service("/admin/v1", gated(Admin)).nest_service("/admin", gated(Admin));
                world.keyward.wrap(nested.nest_service("/public", gated(Public)))
            })
            .await,
        Plan::new("nest in nest, the gate in the middle")
            .build(|world| {
                let tenants = |class| Router::new().nest("/t/{tenant}", inner(class)).merge(routes(class));
                nested_in(|class| layered(world, Router::new().nest("/v1", tenants(class)).merge(inner(class))))
            })
            .await,
        Plan::new("nest in nest, the gate innermost")
            .build(|world| {
                let innermost = |class| world.keyward.wrap(inner(class));
                let tenants = move |class| Router::new().nest_service("/t/{tenant}", innermost(class));
                nested_in(|class| Router::new().nest("/v1", tenants(class)).nest_service("/w/{b}", innermost(class)))
            })
            .await,
        Plan::new("nest under a parameter")
            .build(|world| Router::new().nest_service("/{any}", world.keyward.wrap(routes(AsSent))))
            .await,
        Plan::new("nest_service under two parameters, beside a fallback")
            .build(|world| {
                let gated = || world.keyward.wrap(inner(AsSent));
                Router::new().nest_service("/{a}/{b}", gated()).fallback_service(gated())
            })
            .await,
        Plan::new("route_service with a wildcard, and method routers")
            .build(|world| {
                let whole = guarded(&[("/admin/x", Admin), ("/admin/{a}/y", Admin), ("/api/x", Content)]);
                let gated = |path, class| world.keyward.wrap(bare(path, class));
                Router::new()
                    .route_service("/admin/{*rest}", world.keyward.guard(whole.clone()))
                    .route_service("/api/{*rest}", world.keyward.guard(whole))
                    .route_service("/public/x", gated("/public/x", Public))
                    .route_service("/public/files/{*rest}", gated("/public/files/{*rest}", Public))
                    .route_service("/admin", gated("/admin", Admin))
            })
            .await,
        Plan { shadowing: true, ..Plan::new("public groups that shadow") }
            .and("/", None, Public)
            .and("/admin/assets", None, Public)
            .and("/open", None, Public)
            .and("/open/private", None, Admin)
            .build(|world| {
                let routes = [
                    ("/admin/x", Admin),
                    ("/admin/assets/x", Public),
                    ("/admin/assets/{*rest}", Public),
                    ("/open/private/{x}", Admin),
                    ("/open/{x}", AsSent),
                    ("/{*rest}", AsSent),
                ];
                let router = routes.iter().fold(Router::new(), |r, &(path, class)| r.route(path, bare(path, class)));
                world.keyward.wrap(router)
            })
            .await,
        Plan { shadowing: true, ..Plan::new("a protected group under a public one, nested") }
            .and("/open", None, Public)
            .and("/open/private", None, Admin)
            .build(|world| {
                let under = inner(AsSent).route("/private", bare("/private", Admin));
                Router::new().nest("/open", layered(world, under))
            })
            .await,
        Plan { encoded_slashes: true, ..Plan::new("a group that lets encoded slashes through") }
            .and("/files", None, Content)
            .build(|world| {
                let routes = [("/files/{x}", Content), ("/files/{x}/y", Content), ("/files/{x}/z/{*rest}", Content)];
                let router = routes.iter().fold(Router::new(), |r, &(path, class)| r.route(path, bare(path, class)));
                let router = router.nest("/admin", inner(Admin)).nest("/public", inner(Public));
                world.keyward.wrap(router.fallback_service(bare("(fallback)", AsSent)))
            })
            .await,
    ]
}

fn nested_in(router: impl Fn(Class) -> Router) -> Router {
    Router::new()
        .nest("/admin", router(Class::Admin))
        .nest("/api", router(Class::Content))
        .nest("/public", router(Class::Public))
}
