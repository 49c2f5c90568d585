//! The handle: everything that one installation shares.

use crate::admin::{AdminState, Policy, Settings};
use crate::domain::{
    Catalogue, Clock, Conditions, ConfiguredKeys, EncryptionKeys, Entropy, HashKeyRing, KeyKind, OsEntropy,
    SecretFormat, StrapiHashKey, SystemClock, TokenPrefix,
};
#[cfg(feature = "ui")]
use crate::guard::SessionCookie;
use crate::guard::{
    Addresses, Base, FailureBudget, Gate, GateLayer, GateService, Group, InvalidGroups, InvalidProxy, ProxyHeader,
};
#[cfg(any(feature = "api", feature = "ui"))]
use crate::guard::{BODY_DEADLINE, BodyReader};
use crate::resolve::{Health, Limits, Resolver};
use crate::store::{Store, WriteStore};
use http::{Extensions, HeaderMap};
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tower_layer::Layer;

/// One installation on a [`WriteStore`]: its [`Guard`], and the services that change what the guard judges by.
///
/// Clones share one installation. All methods of [`Guard`] are there too. Call [`shutdown`](Guard::shutdown) when the server has stopped.
///
/// ```
/// # tokio_test::block_on(async {
/// use keyward::{HashKey, Keyward, MemoryStore};
/// let (hash_key, _) = HashKey::generate()?;
/// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").content("/api").build()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Keyward {
    guard: Guard,
    store: Arc<dyn WriteStore>,
}

/// The half of an installation that guards routes. Alone it works on a store that is only read.
///
/// Clones share one installation. Call [`shutdown`](Self::shutdown) when the server has stopped.
#[derive(Clone)]
pub struct Guard {
    store: Arc<dyn Store>,
    gate: Arc<Gate>,
    admin: Arc<AdminState>,
    #[cfg(any(feature = "api", feature = "ui"))]
    bodies: BodyReader,
    #[cfg(feature = "ui")]
    session_cookie: SessionCookie,
}

impl fmt::Debug for Keyward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyward").finish_non_exhaustive()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Deref for Keyward {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.guard
    }
}

/// An installation that cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no salt.
    #[error("no salt: pass one with `.salt(..)`; `openssl rand -hex 32` makes one")]
    NoSalt,
    /// The groups contradict each other.
    #[error(transparent)]
    Groups(#[from] InvalidGroups),
    /// One slow answer of the store would be an outage.
    #[error(
        "limits: poll_every ({0:?}) must be above zero, and twice that with poll_deadline ({1:?}) less than max_staleness ({2:?})"
    )]
    Limits(Duration, Duration, Duration),
    /// A trusted proxy is neither an address nor a network.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// It was not built inside a tokio runtime.
    #[error("no tokio runtime: build it inside one")]
    NoRuntime,
}

/// Collects the settings of an installation. Returned by [`Keyward::builder`] and [`Guard::builder`].
#[must_use]
pub struct Builder<T = Keyward> {
    store: Arc<dyn Store>,
    finish: Box<dyn FnOnce(Guard) -> T + Send>,
    groups: Vec<Group>,
    hash_keys: Option<HashKeyRing>,
    reference: Option<StrapiHashKey>,
    token_prefix: TokenPrefix,
    conditions: Conditions,
    settings: Settings,
    limits: Limits,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    opaque: bool,
    exclusive: bool,
    budget: Option<FailureBudget>,
    proxies: Option<(Vec<String>, ProxyHeader)>,
    #[cfg(any(feature = "api", feature = "ui"))]
    body_deadline: Duration,
    base_path: String,
    #[cfg(feature = "ui")]
    session_cookie: SessionCookie,
    accepted_keys: Vec<KeyKind>,
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("groups", &self.groups)
            .field("token_prefix", &self.token_prefix)
            .finish_non_exhaustive()
    }
}

impl Keyward {
    /// Begins an installation on this store.
    pub fn builder(store: impl WriteStore) -> Builder {
        let store: Arc<dyn WriteStore> = Arc::new(store);
        let read: Arc<dyn Store> = store.clone();
        Builder::new(read, |guard| Self { guard, store })
    }

    /// Returns the store. A change that is made here, past the services, takes effect within [`Limits::max_staleness`].
    pub fn store(&self) -> &Arc<dyn WriteStore> {
        &self.store
    }
}

impl Guard {
    /// Begins an installation that only guards, on a store that may be read-only.
    pub fn builder(store: impl Store) -> Builder<Self> {
        Builder::new(Arc::new(store), |guard| guard)
    }

    /// The layer for any tower or axum service. Around an axum `Router`, put it on with `Router::layer` after every route is
    /// there: a route that is added later is not behind it. [`wrap`](Self::wrap) leaves no room for that.
    pub fn layer(&self) -> GateLayer {
        GateLayer::new(self.gate.clone())
    }

    /// Puts the gate around a finished service, to which no route can be added any more.
    pub fn wrap<T>(&self, service: T) -> GateService<T> {
        self.layer().layer(service)
    }

    /// Puts the gate around a guarded router.
    #[cfg(feature = "axum")]
    pub fn guard(&self, router: crate::guard::GuardedRouter) -> GateService<axum::Router> {
        // With its state the router puts handlers and layers together; without, it would do so for every request.
        self.wrap(router.into_router(self.gate.base()).with_state(()))
    }

    /// From which address a request comes, as the failure budget, the uses of tokens and the management API see it: the peer's, or
    /// whom a [trusted proxy](Builder::trusted_proxies) asks for. For signing in by a route of your own, say:
    ///
    /// ```
    /// # use keyward::Keyward;
    /// # fn handler(keyward: Keyward, request: http::request::Parts) {
    /// let sessions = keyward.sessions().from_address(keyward.address_of(&request.headers, &request.extensions));
    /// # }
    /// ```
    pub fn address_of(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        self.gate.addresses().of(headers, extensions)
    }

    /// The path under which the browser that sent this request sees the installation: empty, or like `/keys`. It is the
    /// [base path](Builder::base_path), or what a [trusted proxy](Builder::trusted_proxies) says in `X-Forwarded-Prefix`. Put it before the
    /// links and redirects of pages of your own.
    pub fn base_path_of(&self, headers: &HeaderMap, extensions: &Extensions) -> String {
        self.gate.base_of(headers, extensions).as_str().to_owned()
    }

    /// A regular expression by which secret scanners find secrets of this installation.
    pub fn scanner_regex(&self) -> String {
        self.gate.format().scanner_regex()
    }

    /// How this installation is doing. It asks the store nothing, so it answers whatever the store does.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use axum::{Json, http::StatusCode, routing::get};
    /// use keyward::{GuardedRouter, HashKey, Keyward, MemoryStore};
    ///
    /// fn readiness(ready: bool) -> StatusCode {
    ///     if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    /// }
    ///
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).public("/healthz").public("/readyz").build()?;
    /// let (alive, ready) = (keyward.clone(), keyward.clone());
    /// let app = keyward.guard(
    ///     GuardedRouter::new()
    ///         .public("/healthz", get(|| async move { Json(alive.health()) }))
    ///         .public("/readyz", get(|| async move { readiness(ready.health().ready) })),
    /// );
    /// # let _ = app;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn health(&self) -> Health {
        Health { sign_ins_busy: self.admin.sign_ins_busy(), ..self.gate.resolver().health() }
    }

    /// Writes what is still to be written: the uses of tokens of the last seconds, and failed sign-ins of the last minute.
    pub async fn flush(&self) {
        self.gate.resolver().write_uses().await;
        self.admin.write_failed_sign_ins().await;
    }

    /// Ends the installation: stops its background tasks, writes what is still to be written, and [closes the store](Store::close) with
    /// all its connections, for its clones too. An SQLite file is whole then. Call it when the server has stopped taking requests; what
    /// still comes is answered 503 as soon as it needs the store.
    pub async fn shutdown(&self) {
        let resolver = self.gate.resolver();
        resolver.tasks.stop().await;
        self.flush().await;
        self.store.close().await;
    }

    pub(crate) fn admin_state(&self) -> &Arc<AdminState> {
        &self.admin
    }

    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn addresses(&self) -> &Addresses {
        self.gate.addresses()
    }

    /// Receives request bodies for our own routes.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn bodies(&self) -> &BodyReader {
        &self.bodies
    }

    /// The gate, for what is public and asks it all the same.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Where the first group of content routes begins.
    #[cfg(feature = "ui")]
    pub(crate) fn content_path(&self) -> Option<&str> {
        self.gate.content_path()
    }

    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn catalogue(&self) -> Option<&Catalogue> {
        self.admin.settings.catalogue.as_ref()
    }

    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn conditions(&self) -> &Conditions {
        self.gate.resolver().conditions()
    }

    #[cfg(feature = "ui")]
    pub(crate) fn settings(&self) -> &Settings {
        &self.admin.settings
    }

    #[cfg(feature = "ui")]
    pub(crate) fn session_cookie(&self) -> SessionCookie {
        self.session_cookie
    }

    #[cfg(feature = "ui")]
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.gate.resolver().clock.clone()
    }
}

impl<T> Builder<T> {
    fn new(store: Arc<dyn Store>, finish: impl FnOnce(Guard) -> T + Send + 'static) -> Self {
        Self {
            store,
            finish: Box::new(finish),
            groups: Vec::new(),
            hash_keys: None,
            reference: None,
            token_prefix: TokenPrefix::default(),
            conditions: Conditions::default(),
            settings: Settings::default(),
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            opaque: false,
            exclusive: false,
            budget: None,
            proxies: None,
            #[cfg(any(feature = "api", feature = "ui"))]
            body_deadline: BODY_DEADLINE,
            base_path: String::new(),
            #[cfg(feature = "ui")]
            session_cookie: SessionCookie::default(),
            accepted_keys: Vec::new(),
        }
    }

    /// The salt, or several. Required.
    pub fn hash_key(mut self, hash_keys: impl Into<HashKeyRing>) -> Self {
        self.hash_keys = Some(hash_keys.into());
        self
    }

    /// Accepts tokens that the reference issued under this salt, if the store has them.
    pub fn strapi_hash_key(mut self, hash_key: StrapiHashKey) -> Self {
        self.reference = Some(hash_key);
        self
    }

    /// What secrets begin with, instead of `kw`.
    pub fn token_prefix(mut self, token_prefix: TokenPrefix) -> Self {
        self.token_prefix = token_prefix;
        self
    }

    /// Adds a route group.
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// Adds an admin group at this prefix.
    pub fn admin(self, path: impl Into<String>) -> Self {
        self.group(Group::admin(path))
    }

    /// Adds a content group at this prefix.
    pub fn content(self, path: impl Into<String>) -> Self {
        self.group(Group::content(path))
    }

    /// Adds a public group at this prefix.
    pub fn public(self, path: impl Into<String>) -> Self {
        self.group(Group::public(path))
    }

    #[cfg(feature = "api")]
    pub(crate) fn has_admin(&self, path: &str) -> bool {
        self.groups.iter().any(|group| group.is_admin_at(path))
    }

    #[cfg(feature = "ui")]
    pub(crate) fn session_cookie(mut self, cookie: SessionCookie) -> Self {
        self.session_cookie = cookie;
        self
    }

    /// The conditions that permissions may name, instead of the two of the reference.
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// The actions, subjects and fields that there are. What is not among them cannot be written from then on, and what
    /// the store still has of it goes when the installation is [set up](Keyward::set_up).
    ///
    /// Without a catalogue every name can be written; one that no route requires never allows anything.
    pub fn catalogue(mut self, catalogue: Catalogue) -> Self {
        self.settings.catalogue = Some(catalogue);
        self
    }

    /// Keeps issued secrets sealed under these keys, so that their owners can see them again. Without, a secret shows once.
    pub fn encryption(mut self, keys: EncryptionKeys) -> Self {
        self.settings.encryption = Some(keys);
        self
    }

    /// Gives up the tokens that rest on a hash key which this configuration no longer has, or has with another value: the keys that it has
    /// take their place, at the next change or [set-up](Keyward::set_up). Without, another key than the one that the data rests on is an
    /// error of set-up, and every credential is answered 503.
    ///
    /// For one start of one node, while no other one runs. It is not for changing keys: for that the former one
    /// [stays in the ring](crate::guide::operating#changing-hash_keys-and-keys).
    pub fn accept_new_hash_key(mut self) -> Self {
        self.accepted_keys.extend([KeyKind::Hash, KeyKind::StrapiHash]);
        self
    }

    /// Gives up the sealed copies of an encryption key that this configuration has with another value: they cannot be shown again, and
    /// their tokens go on working. As [`accept_new_hash_key`](Self::accept_new_hash_key).
    pub fn accept_new_encryption_key(mut self) -> Self {
        self.accepted_keys.push(KeyKind::Encryption);
        self
    }

    /// Gives up the tokens that begin with another [token_prefix](Self::token_prefix). As [`accept_new_hash_key`](Self::accept_new_hash_key).
    pub fn accept_new_prefix(mut self) -> Self {
        self.accepted_keys.push(KeyKind::Prefix);
        self
    }

    /// What people can choose, and how long things last.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Lets the first visitor register the first super admin, without the setup code that the server prints. For servers on loopback, with
    /// no proxy in front.
    ///
    /// The API and the pages take such a registration only by `localhost`, a name below it, or a loopback address in `Host`: by another name
    /// it could come from a page of another origin (DNS rebinding), and takes the code.
    /// So does a request with a header of proxies (`Forwarded`, `Via`, `X-Forwarded-..`, `X-Real-IP`), which may come from anywhere.
    pub fn allow_open_setup(mut self) -> Self {
        self.settings.open_setup = true;
        self
    }

    /// Other bounds for cache and look-ups.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Bounds how many refusals an address may cause that cost a read of the store. Valid tokens are let in all the same.
    pub fn failure_budget(mut self, budget: FailureBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// How long a request body may take to arrive on the routes of the management API and the pages. Default 10 s.
    ///
    /// A body that is not complete by then is answered 408. The deadline is for the whole body, however steadily it arrives, so leave
    /// time for 1 MiB on the slowest line that you want to serve. Your own routes are not affected.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// use std::time::Duration;
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward = Keyward::builder(MemoryStore::default())
    ///     .hash_key(hash_key)
    ///     .admin("/admin")
    ///     .body_deadline(Duration::from_secs(30))
    ///     .build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(any(feature = "api", feature = "ui"))]
    pub fn body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = deadline;
        self
    }

    /// Believes these proxies, addresses or networks, when they say in this header for whom they ask. Without, the address of a
    /// request is its peer's and no header is read.
    ///
    /// Proxies have to append to the header or to replace it, as nearly all do. The header is read from the right, past trusted
    /// proxies, to the first address that is not one.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::guard::ProxyHeader;
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward = Keyward::builder(MemoryStore::default())
    ///     .hash_key(hash_key)
    ///     .admin("/admin")
    ///     .trusted_proxies(["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.1"], ProxyHeader::XForwardedFor)
    ///     .build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn trusted_proxies<P: Into<String>>(
        mut self,
        proxies: impl IntoIterator<Item = P>,
        header: ProxyHeader,
    ) -> Self {
        self.proxies = Some((proxies.into_iter().map(Into::into).collect(), header));
        self
    }

    /// Where browsers see this installation, behind a proxy that puts a prefix before its paths: `/keys`, if the proxy's
    /// `https://example.test/keys/admin` is `/admin` here. Links, redirects, forms and cookies of the [pages](crate::ui) use it, and
    /// groups and routes are named without it.
    ///
    /// The proxy may take the prefix away or keep it: [`guard`](crate::guard::Guard::guard) serves each route at both paths, and a request below
    /// the base path is judged by the path without it. If you nest the router yourself, with `nest_service("/keys", ..)`, the base path
    /// is the same `/keys`. A service that is put behind [`layer`](crate::guard::Guard::layer) or [`wrap`](crate::guard::Guard::wrap) gets the path as sent.
    ///
    /// A [trusted proxy](Self::trusted_proxies) can say another one in `X-Forwarded-Prefix`, if it takes the prefix away. From other
    /// peers that header is not read.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").base_path("/keys").build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn base_path(mut self, path: impl Into<String>) -> Self {
        self.base_path = path.into();
        self
    }

    /// Says that nothing but the services of this one [`Keyward`] ever changes the store: no other process, no second handle, no
    /// transaction of your own. Cached answers are then used until a change of ours ends them, and not read again every
    /// [`Limits::max_staleness`].
    pub fn store_is_exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Answers "Token expired" and "Token owner is deactivated" like every other invalid credential.
    pub fn opaque_refusals(mut self) -> Self {
        self.opaque = true;
        self
    }

    /// Another clock, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of randomness, for tests.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Builds it, and starts writing uses behind, and publishing its [`Health`] with the feature `metrics`.
    ///
    /// # Errors
    /// If there is no salt or no tokio runtime, the groups contradict each other, or a trusted proxy is no network.
    pub fn build(self) -> Result<T, BuildError> {
        let hash_keys = self.hash_keys.ok_or(BuildError::NoSalt)?;
        tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        if !self.token_prefix.is_short() {
            tracing::warn!(
                token_prefix = self.token_prefix.as_str(),
                "a brand of more than 3 characters makes every request hash twice as much"
            );
        }
        let encryption = self.settings.encryption.as_ref();
        let keys = ConfiguredKeys::new(
            &self.token_prefix,
            &hash_keys,
            self.reference.as_ref(),
            encryption,
            self.accepted_keys,
        );
        let keys = Arc::new(keys);
        let mut format = SecretFormat::new(&self.token_prefix, hash_keys);
        if let Some(hash_key) = self.reference {
            format = format.with_reference(hash_key);
        }
        let store = self.store;
        let limits = self.limits;
        if !limits.leave_time() {
            return Err(BuildError::Limits(limits.poll_every, limits.poll_deadline, limits.max_staleness));
        }
        let addresses = match &self.proxies {
            Some((proxies, header)) => Addresses::behind(proxies.iter().map(String::as_str), *header)?,
            None => Addresses::of_peers(),
        };
        #[cfg(any(feature = "api", feature = "ui"))]
        let bodies = BodyReader::new(self.body_deadline, addresses.clone());
        let base = Base::parse(&self.base_path).ok_or(InvalidGroups::BasePath(self.base_path))?;
        let resolver = Resolver::start(store.clone(), self.clock, self.conditions, limits, self.exclusive);
        let gate = Gate::new(self.groups, format.clone(), resolver.clone(), self.opaque, addresses, self.budget, base)?;
        let gate = Arc::new(gate);
        let admin = Arc::new(AdminState::new(resolver.clone(), format, self.entropy, self.settings, keys.clone()));
        resolver.write_uses_behind();
        resolver.check_keys(keys);
        #[cfg(feature = "metrics")]
        resolver.publish();
        let guard = Guard {
            store,
            gate,
            admin,
            #[cfg(any(feature = "api", feature = "ui"))]
            bodies,
            #[cfg(feature = "ui")]
            session_cookie: self.session_cookie,
        };
        Ok((self.finish)(guard))
    }
}
