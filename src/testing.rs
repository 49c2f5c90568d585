//! Fixtures for your tests: a world with its own clock and its own people, and requests to a guarded router in one line each.
//!
//! ```
//! # tokio_test::block_on(async {
//! use axum::{Router, routing::get};
//! use keyward::testing::World;
//! use keyward::{GuardedRouter, Invalid, Reason, action};
//!
//! let world = World::new();
//! let app = world.guard(
//!     GuardedRouter::new().route("/admin/webhooks", action("admin::webhooks.read"), get(|| async { "[]" })),
//! );
//! let key = world.editor().with("admin::webhooks.read").issue().await;
//!
//! app.get("/admin/webhooks").bearer(&key.secret).await.assert_ok();
//! world.keyward.tokens().revoke(key.token).await.unwrap();
//! app.get("/admin/webhooks").bearer(&key.secret).await.assert_refused(Reason::Invalid(Invalid::Unknown));
//! # });
//! ```

use crate::domain::{
    Clock, ContentAccess, Entropy, Grant, Moment, NoEntropy, OwnerId, OwnerState, Permission, Reason, RoleId, Salt,
    Secret, Timestamp, TokenId,
};
use crate::gate::GuardedRouter;
use crate::keyward::{Builder, Keyward};
use crate::service::{AdminToken, ContentToken, IssuedToken, Lifespan, SessionToken};
use crate::store::{MemoryStore, NewOwner, NewRole, WriteStore};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use std::convert::Infallible;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    moment: AtomicU64,
}

impl Default for ManualClock {
    /// Begins at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self { now: AtomicI64::new(1_767_225_600_000), moment: AtomicU64::new(1_000_000_000_000) }
    }
}

impl ManualClock {
    /// Lets this much time pass.
    pub fn advance(&self, by: Duration) {
        self.set_wall_clock(self.now().plus(by));
        self.moment.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as somebody with root would.
    pub fn set_wall_clock(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn moment(&self) -> Moment {
        Moment(self.moment.load(Ordering::SeqCst))
    }
}

/// The same secrets in every run. For tests only: whoever knows the seed knows them all.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64.
            let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst).wrapping_add(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// The salt of every test world.
pub const SALT: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";

/// An installation for tests, with an admin group `/admin`, a content group `/api` and a public group `/public`.
#[derive(Debug)]
pub struct World<S = MemoryStore> {
    /// The installation itself.
    pub keyward: Keyward<S>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    names: Arc<AtomicU64>,
}

impl World {
    /// On a store in memory.
    #[expect(clippy::new_without_default, reason = "building needs a tokio runtime, which no default should")]
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// On a store in memory, with other settings.
    pub fn with(settings: impl FnOnce(Builder<MemoryStore>) -> Builder<MemoryStore>) -> Self {
        let clock = Arc::new(ManualClock::default());
        Self::on(MemoryStore::with_clock(clock.clone()), clock, settings)
    }
}

impl<S: WriteStore> World<S> {
    /// On a store of your choice, which should read the same clock.
    ///
    /// # Panics
    /// If the settings are impossible, or there is no tokio runtime: it is for tests.
    pub fn on(store: S, clock: Arc<ManualClock>, settings: impl FnOnce(Builder<S>) -> Builder<S>) -> Self {
        #[expect(clippy::expect_used, reason = "a constant that the salt's own test covers")]
        let salt = Salt::parse(SALT).expect("a good salt");
        let builder = Keyward::builder(store).salt(salt).clock(clock.clone()).entropy(Arc::new(SeededEntropy::new(7)));
        let builder = settings(builder.admin("/admin").content("/api").public("/public"));
        #[expect(clippy::expect_used, reason = "documented: this is for tests")]
        let keyward = builder.build().expect("possible settings");
        Self { keyward, clock, names: Arc::default() }
    }

    /// A guarded router behind this world's gate.
    pub fn guard(&self, router: GuardedRouter) -> App {
        App::from_service(self.keyward.guard(router))
    }

    /// Any router behind this world's gate.
    pub fn wrap(&self, router: Router) -> App {
        App::from_service(self.keyward.wrap(router))
    }

    /// Somebody with one role of their own, to be given permissions.
    pub fn editor(&self) -> Cast<'_, S> {
        Cast { world: self, permissions: Some(Vec::new()), grants: Vec::new(), lifespan: Lifespan::Unlimited }
    }

    /// Somebody without a ceiling.
    pub fn super_admin(&self) -> Cast<'_, S> {
        Cast { permissions: None, ..self.editor() }
    }

    /// A content token of this access.
    ///
    /// # Panics
    /// If the store fails.
    pub async fn content(&self, access: ContentAccess) -> Key {
        let (name, description) = (self.name("content"), String::new());
        let new = ContentToken { name, description, access, lifespan: Lifespan::Unlimited };
        Key::of(ok(self.keyward.tokens().issue_content(new).await), None)
    }

    fn name(&self, what: &str) -> String {
        format!("{what} {}", self.names.fetch_add(1, Ordering::SeqCst))
    }
}

/// A person in the making, and what they issue.
#[derive(Debug)]
#[must_use]
pub struct Cast<'w, S> {
    world: &'w World<S>,
    permissions: Option<Vec<Permission>>,
    grants: Vec<Grant>,
    lifespan: Lifespan,
}

impl<S: WriteStore> Cast<'_, S> {
    /// Their role holds this, and their token carries it.
    pub fn with(self, permission: impl Into<Permission>) -> Self {
        let permission = permission.into();
        let grant = Grant::from(&permission);
        self.holds(permission).carries(grant)
    }

    /// Their role holds this. A super admin holds everything anyway.
    pub fn holds(mut self, permission: impl Into<Permission>) -> Self {
        if let Some(held) = &mut self.permissions {
            held.push(permission.into());
        }
        self
    }

    /// Their token carries this.
    pub fn carries(mut self, grant: Grant) -> Self {
        self.grants.push(grant);
        self
    }

    /// Their token lives this long.
    pub fn for_time(mut self, span: Duration) -> Self {
        self.lifespan = Lifespan::Of(span);
        self
    }

    /// Makes the person, and a token of theirs.
    ///
    /// # Panics
    /// If a rule refuses it.
    pub async fn issue(self) -> Key {
        let (owner, role) = self.person().await;
        let (world, grants, lifespan) = (self.world, self.grants, self.lifespan);
        let (name, description) = (world.name("token"), String::new());
        let new = AdminToken { name, description, owner, grants, lifespan };
        Key::of(ok(world.keyward.tokens().issue_admin(new).await), Some((owner, role)))
    }

    /// Makes the person, and signs them in: idle after 30 minutes, over after a day.
    ///
    /// # Panics
    /// If a rule refuses it.
    pub async fn sign_in(self) -> Key {
        let (owner, role) = self.person().await;
        let (idle, lifespan) = (Duration::from_secs(30 * 60), Duration::from_secs(24 * 60 * 60));
        let new = SessionToken { owner, idle, lifespan };
        Key::of(ok(self.world.keyward.tokens().open_session(new).await), Some((owner, role)))
    }

    async fn person(&self) -> (OwnerId, RoleId) {
        let keyward = &self.world.keyward;
        let role = match &self.permissions {
            None => RoleId::SUPER_ADMIN,
            Some(permissions) => {
                let (name, description) = (self.world.name("role"), String::new());
                let new = NewRole { name, description, permissions: permissions.clone() };
                ok(keyward.roles().create(new).await).id
            }
        };
        let email = format!("{}@example.test", self.world.name("person").replace(' ', "-"));
        let (firstname, lastname, state) = (String::new(), String::new(), OwnerState::Active);
        let new = NewOwner { email, firstname, lastname, state, roles: vec![role] };
        (ok(keyward.owners().create(new).await).id, role)
    }
}

/// An issued token, with everything a test wants to do to it.
#[derive(Clone, Debug)]
pub struct Key {
    /// What to send.
    pub secret: Secret,
    /// The token.
    pub token: TokenId,
    /// Its owner and their role; content tokens have none.
    pub owner: Option<(OwnerId, RoleId)>,
}

impl Key {
    fn of(issued: IssuedToken, owner: Option<(OwnerId, RoleId)>) -> Self {
        Self { secret: issued.secret, token: issued.token.id, owner }
    }

    /// The owner's id.
    ///
    /// # Panics
    /// If there is none.
    #[expect(clippy::expect_used, reason = "documented: this is for tests")]
    pub fn owner(&self) -> OwnerId {
        self.owner.expect("an owned token").0
    }

    /// The owner's role.
    ///
    /// # Panics
    /// If there is none.
    #[expect(clippy::expect_used, reason = "documented: this is for tests")]
    pub fn role(&self) -> RoleId {
        self.owner.expect("an owned token").1
    }
}

/// A service that takes requests without a network.
#[derive(Clone, Debug)]
pub struct App(BoxCloneSyncService<Request<Body>, Response, Infallible>);

impl App {
    /// Any service that answers as a router does: a gate with more layers around it, say.
    pub fn from_service<T, B>(service: T) -> Self
    where
        T: Service<Request<Body>, Response = http::Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        T::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        Self(BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new))))
    }

    /// A `GET` request.
    pub fn get(&self, uri: &str) -> TestRequest {
        self.request(Method::GET, uri)
    }

    /// A `POST` request.
    pub fn post(&self, uri: &str) -> TestRequest {
        self.request(Method::POST, uri)
    }

    /// A `PUT` request.
    pub fn put(&self, uri: &str) -> TestRequest {
        self.request(Method::PUT, uri)
    }

    /// A `DELETE` request.
    pub fn delete(&self, uri: &str) -> TestRequest {
        self.request(Method::DELETE, uri)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, uri: &str) -> TestRequest {
        TestRequest { app: self.clone(), request: Request::builder().method(method).uri(uri).body(Body::empty()) }
    }
}

/// A request to be sent by awaiting it.
#[must_use = "it is sent when it is awaited"]
pub struct TestRequest {
    app: App,
    request: http::Result<Request<Body>>,
}

impl fmt::Debug for TestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.request.as_ref().map(|r| (r.method(), r.uri()));
        f.debug_struct("TestRequest").field("request", &line).finish_non_exhaustive()
    }
}

impl TestRequest {
    /// With this secret.
    pub fn bearer(self, secret: &Secret) -> Self {
        self.header(header::AUTHORIZATION, &format!("Bearer {}", secret.expose()))
    }

    /// With one more header.
    ///
    /// # Panics
    /// If the value cannot be in a header.
    #[expect(clippy::expect_used, reason = "documented: this is for tests")]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        if let Ok(request) = &mut self.request {
            request.headers_mut().append(name, value);
        }
        self
    }

    /// With a JSON body.
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        if let Ok(request) = &mut self.request {
            *request.body_mut() = Body::from(body.to_string());
        }
        self.header(header::CONTENT_TYPE, "application/json")
    }
}

impl IntoFuture for TestRequest {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    #[expect(clippy::expect_used, reason = "a URI that is none, or a body that breaks, is the test's own doing")]
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = self.request.expect("a request that can be");
            let line = format!("{} {}", request.method(), request.uri());
            let response = match self.app.0.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            let reason = parts.extensions.get::<Reason>().copied();
            Answer { line, status: parts.status, headers: parts.headers, body, reason }
        })
    }
}

/// The answer to a test request.
#[derive(Clone)]
pub struct Answer {
    line: String,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
    /// Why it was refused; `None` if it was not.
    pub reason: Option<Reason>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!("{self:?} is no JSON: {error}"),
        }
    }

    /// It has this status.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// It was let in and went well.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert!(self.status.is_success() && self.reason.is_none(), "{self:?}");
        self
    }

    /// It was refused, and for this reason.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_refused(&self, reason: Reason) -> &Self {
        assert_eq!(self.reason, Some(reason), "{self:?}");
        self
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} answered {} ({:?}): {body}", self.line, self.status, self.reason)
    }
}

#[track_caller]
fn ok<T, E: std::error::Error>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the test world could not be made: {error}"),
    }
}
