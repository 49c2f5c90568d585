//! The installation handle: [`Keyward`], its read-only half [`Guard`], and their [`Builder`].

use crate::admin::{AdminState, Policy, Settings, TokenNames};
use crate::domain::{
    AccountKey, Catalogue, Clock, Conditions, ConfiguredKeys, Entropy, HashKeyRing, InvalidLegacyFormat, KeyKind,
    LegacyFormat, NewSecret, NoEntropy, OsEntropy, Reason, SecretFormat, StrapiHashKey, SystemClock, TokenKind,
    TokenPrefix,
};
#[cfg(feature = "api")]
use crate::guard::Mount;
use crate::guard::{
    Addresses, Base, CredentialHeaders, FailureBudget, Gate, GateLayer, GateService, GateSettings, Group,
    InvalidCredentialHeader, InvalidGroups, InvalidProxy, InvalidRealm, ProxyHeader, RejectionFormat, RejectionStyle,
    SignedIn,
};
#[cfg(any(feature = "api", feature = "ui"))]
use crate::guard::{BODY_DEADLINE, BodyReader, Mounts};
use crate::resolve::{Accounts, CacheKeys, Health, HostAccounts, Limits, Resolver};
use crate::store::{Store, WriteStore};
use futures_util::future::BoxFuture;
use http::{Extensions, HeaderMap};
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tower_layer::Layer;

/// An installation on a [`WriteStore`]: its [`Guard`], and the services that change tokens, roles and owners.
///
/// Dereferences to [`Guard`]. Clones share one installation. Call [`shutdown`](Guard::shutdown) after the server has
/// stopped.
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

/// The half of an installation that guards routes; it also works on a store that can only be read.
///
/// Clones share one installation. Call [`shutdown`](Self::shutdown) after the server has stopped.
///
/// A guard has no services, so it cannot issue or change tokens:
/// ```compile_fail,E0599
/// fn issue(guard: keyward::guard::Guard) {
///     let tokens = guard.tokens();
/// }
/// ```
///
/// [`Keyward`] has them:
/// ```
/// fn issue(keyward: keyward::Keyward) {
///     let tokens = keyward.tokens();
/// }
/// ```
#[derive(Clone)]
pub struct Guard {
    store: Arc<dyn Store>,
    gate: Arc<Gate>,
    admin: Arc<AdminState>,
    #[cfg(any(feature = "api", feature = "ui"))]
    bodies: BodyReader,
    #[cfg(any(feature = "api", feature = "ui"))]
    mounts: Arc<Mounts>,
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

/// The reason why [`Builder::build`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No hash key was given.
    #[error("no hash key: pass one with `.hash_key(..)`; `openssl rand -hex 32` makes one")]
    NoHashKey,
    /// The route groups are invalid or conflict.
    #[error(transparent)]
    Groups(#[from] InvalidGroups),
    /// The limits leave no time to retry a failed poll before the lease expires.
    #[error(
        "limits: poll_every ({0:?}) must be above zero, and twice that with poll_deadline ({1:?}) less than max_staleness ({2:?})"
    )]
    Limits(Duration, Duration, Duration),
    /// A trusted proxy is neither an address nor a network.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// A credential header is invalid, or there is none.
    #[error(transparent)]
    CredentialHeader(#[from] InvalidCredentialHeader),
    /// A legacy format is invalid, or accepts the same secrets as another one.
    #[error(transparent)]
    LegacyFormat(#[from] InvalidLegacyFormat),
    /// The realm cannot be written in a header.
    #[error(transparent)]
    Realm(#[from] InvalidRealm),
    /// A group is open to accounts that the host has signed in, but [`signed_in`](Builder::signed_in) is missing.
    #[error("the group `{0}` has `.or_signed_in()`, but nothing says who is signed in: add `.signed_in(..)`")]
    NoSignedIn(String),
    /// [`signed_in`](Builder::signed_in) is set, but [`accounts`](Builder::accounts) is missing.
    #[error("`.signed_in(..)` names accounts of yours, which keyward has to know: add `.accounts(..)`")]
    NoAccounts,
    /// [`secret_scanning`](Builder::secret_scanning) is set, but the management API that takes the reports is mounted nowhere.
    #[cfg(feature = "secret-scanning")]
    #[error("`.secret_scanning(..)` needs the management API, which takes the reports: add `.api(\"/admin\")`")]
    NoSecretScanningRoute,
    /// The key of the cache could not be drawn.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// `build` was called outside a tokio runtime.
    #[error("no tokio runtime: call `build` inside one")]
    NoRuntime,
}

/// Collects the settings of an installation; returned by [`Keyward::builder`] and [`Guard::builder`].
#[must_use]
pub struct Builder<T = Keyward> {
    store: Arc<dyn Store>,
    finish: Box<dyn FnOnce(Guard) -> T + Send>,
    groups: Vec<Group>,
    hash_keys: Option<HashKeyRing>,
    strapi_hash_key: Option<StrapiHashKey>,
    legacy_keys: Vec<LegacyFormat>,
    token_prefix: TokenPrefix,
    conditions: Conditions,
    settings: Settings,
    limits: Limits,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    opaque: bool,
    rejection_format: RejectionFormat,
    realm: Option<String>,
    credential_headers: Option<Vec<String>>,
    exclusive: bool,
    accounts: Option<Arc<dyn Accounts>>,
    account_changes_reported: bool,
    caller_names: bool,
    signed_in: Option<SignedIn>,
    warm_up: u32,
    budget: Option<FailureBudget>,
    proxies: Option<(Vec<String>, ProxyHeader)>,
    #[cfg(any(feature = "api", feature = "ui"))]
    body_deadline: Duration,
    base_path: String,
    #[cfg(any(feature = "api", feature = "ui"))]
    mounts: Mounts,
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
    /// Starts the settings of an installation on this store.
    pub fn builder(store: impl WriteStore) -> Builder {
        let store: Arc<dyn WriteStore> = Arc::new(store);
        let read: Arc<dyn Store> = store.clone();
        Builder::new(read, |guard| Self { guard, store }.serve_accounts().serve_notices())
    }

    /// Returns the store. Changes made here directly, past the services, take effect within [`Limits::max_staleness`].
    pub fn store(&self) -> &Arc<dyn WriteStore> {
        &self.store
    }
}

impl Guard {
    /// Starts the settings of an installation that only guards, on a store that may be read-only.
    pub fn builder(store: impl Store) -> Builder<Self> {
        Builder::new(Arc::new(store), |guard| guard)
    }

    /// Returns the layer for any tower or axum service.
    ///
    /// It goes around a finished service. `Router::layer` of axum puts a layer around each route so far, and a later one
    /// would not be guarded: it panics with this layer. [`wrap`](Self::wrap) the router.
    pub fn layer(&self) -> GateLayer {
        self.gate.note_other_service();
        GateLayer::new(self.gate.clone())
    }

    /// Wraps a finished service, to which no route can be added.
    pub fn wrap<T: 'static>(&self, service: T) -> GateService<T> {
        self.layer().layer(service)
    }

    /// Wraps a guarded router. Layers around the gate go to [`into_router`](GateService::into_router).
    ///
    /// A route in no group, or in one that does not fit it, is a warning in the log: behind a router that nests this
    /// one, the gate sees longer paths.
    ///
    /// # Panics
    /// If a requirement names an action or a resource that the [catalogue](Builder::catalogue) lacks, or reads the
    /// resource from a parameter that the path does not have. Of alternatives, only if each does. The message lists every
    /// such route.
    #[cfg(feature = "axum")]
    pub fn guard(&self, router: crate::guard::GuardedRouter) -> GateService<axum::Router> {
        let mistakes = self.gate.mistakes(router.declared(), self.admin.settings.catalogue.as_ref());
        for mistake in &mistakes.unfit {
            tracing::warn!("the route {mistake}");
        }
        let unknown: Vec<&str> = mistakes.unknown.iter().map(String::as_str).collect();
        assert!(unknown.is_empty(), "what these routes require does not exist:\n{}", unknown.join("\n"));
        self.gate.keep_routes(router.declared());
        // With its state the router combines handlers and layers once; without it, it would combine them for every request.
        GateLayer::new(self.gate.clone()).layer(router.into_router(&self.gate).with_state(()))
    }

    /// Returns the client's address as the failure budget, token uses and the management API see it.
    ///
    /// This is the peer's address, or the one that a [trusted proxy](Builder::trusted_proxies) reports. A sign-in route
    /// of your own passes it on:
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

    /// Returns the path under which the browser that sent this request sees the installation: empty, or like `/keys`.
    ///
    /// This is the [base path](Builder::base_path), or the `X-Forwarded-Prefix` of a [trusted
    /// proxy](Builder::trusted_proxies). Put it before the links and redirects of your own pages.
    pub fn base_path_of(&self, headers: &HeaderMap, extensions: &Extensions) -> String {
        self.gate.base_of(headers, extensions).as_str().to_owned()
    }

    /// Draws a secret of this kind for a token in a table of your own, with its digest. Stores nothing.
    ///
    /// The prefix, the check characters and the digest are those that this installation verifies. The
    /// [services](Keyward::tokens) issue tokens of keyward's own tables; [own stores](crate::guide::own_stores) has the
    /// whole of one.
    ///
    /// ```
    /// # use keyward::guard::Guard;
    /// # use keyward::token::{NoEntropy, TokenKind};
    /// # fn insert(_: (String, &str, &str)) {}
    /// fn issue(guard: &Guard) -> Result<(), NoEntropy> {
    ///     let new = guard.new_secret(TokenKind::Admin)?;
    ///     insert((new.digest.to_hex(), new.hash_key.as_str(), new.secret.hint()));
    ///     println!("keep this: {}", new.secret.expose());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`NoEntropy`] if no random bytes are available.
    pub fn new_secret(&self, kind: TokenKind) -> Result<NewSecret, NoEntropy> {
        self.admin.format.issue(kind, &*self.admin.entropy)
    }

    /// Returns a regular expression with which secret scanners find this installation's secrets.
    pub fn scanner_regex(&self) -> String {
        self.gate.format().scanner_regex()
    }

    /// Returns the state of this installation. Does not call the store, so it returns even if the store hangs.
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
        #[cfg(feature = "people")]
        return Health { sign_ins_busy: self.admin.sign_ins_busy(), ..self.gate.resolver().health() };
        #[cfg(not(feature = "people"))]
        self.gate.resolver().health()
    }

    /// Writes pending data: token uses of the last seconds, and failed sign-ins of the last minute.
    pub async fn flush(&self) {
        self.gate.resolver().write_uses().await;
        #[cfg(feature = "people")]
        self.admin.write_failed_sign_ins().await;
    }

    /// Stops the background tasks, writes pending data, and [closes the store](Store::close), also for its clones.
    ///
    /// An SQLite file is complete afterwards. Call it after the server has stopped taking requests; a later request
    /// that needs the store is answered 503.
    pub async fn shutdown(&self) {
        let resolver = self.gate.resolver();
        resolver.tasks.stop().await;
        self.flush().await;
        self.store.close().await;
    }

    pub(crate) fn admin_state(&self) -> &Arc<AdminState> {
        &self.admin
    }

    /// Sets what opens a session for an account that the host has signed in for the first time.
    pub(crate) fn open_sessions_by(
        &self,
        open: impl Fn(AccountKey) -> BoxFuture<'static, Result<(), Reason>> + Send + Sync + 'static,
    ) {
        self.gate.open_sessions_by(open);
    }

    /// Explains the decision of the gate on a request that was not sent.
    pub(crate) async fn explain_request(
        &self,
        method: &http::Method,
        path: &http::uri::PathAndQuery,
        client: Option<IpAddr>,
        question: crate::domain::Question<'_>,
    ) -> crate::domain::Explanation {
        self.gate.explain(method, path, client, question).await
    }

    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn addresses(&self) -> &Addresses {
        self.gate.addresses()
    }

    /// Reads request bodies for the routes of `api` and `ui`.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn bodies(&self) -> &BodyReader {
        &self.bodies
    }

    /// Returns the gate, for public routes that check a credential themselves.
    #[cfg(any(feature = "api", feature = "forward-auth", feature = "ui"))]
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Returns the path of the first content group.
    #[cfg(feature = "ui")]
    pub(crate) fn content_path(&self) -> Option<&str> {
        self.gate.content_path()
    }

    #[cfg(any(feature = "api", feature = "forward-auth", feature = "ui"))]
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

    /// Returns where the management API and the pages are mounted.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn mounts(&self) -> &Mounts {
        &self.mounts
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
            strapi_hash_key: None,
            legacy_keys: Vec::new(),
            token_prefix: TokenPrefix::default(),
            conditions: Conditions::default(),
            settings: Settings::default(),
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            opaque: false,
            rejection_format: RejectionFormat::default(),
            realm: None,
            credential_headers: None,
            exclusive: false,
            accounts: None,
            account_changes_reported: false,
            caller_names: false,
            signed_in: None,
            warm_up: 0,
            budget: None,
            proxies: None,
            #[cfg(any(feature = "api", feature = "ui"))]
            body_deadline: BODY_DEADLINE,
            base_path: String::new(),
            #[cfg(any(feature = "api", feature = "ui"))]
            mounts: Mounts::default(),
            accepted_keys: Vec::new(),
        }
    }

    /// Sets the hash key, or a ring of several. Required.
    pub fn hash_key(mut self, hash_keys: impl Into<HashKeyRing>) -> Self {
        self.hash_keys = Some(hash_keys.into());
        self
    }

    /// Accepts tokens that Strapi issued under this hash key, if the store has them.
    pub fn strapi_hash_key(mut self, hash_key: StrapiHashKey) -> Self {
        self.strapi_hash_key = Some(hash_key);
        self
    }

    /// Accepts keys of this format that another system issued and whose tokens were
    /// [adopted](crate::admin::Tokens::adopt). Each call adds a format. The page [adopting
    /// keys](crate::guide::adopting_keys) shows a migration.
    ///
    /// Without it no such key is hashed or looked up. An unknown secret of a declared format costs a read of the store, as
    /// one of Strapi's format does; [`Limits::lookups`] and a [failure budget](Self::failure_budget) bound these reads.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::token::{LegacyCharacters, LegacyFormat};
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let old_keys = LegacyFormat::sha256().prefix("acme_").length(45).characters(LegacyCharacters::Hex);
    /// let keyward =
    ///     Keyward::builder(MemoryStore::default()).hash_key(hash_key).content("/v1").legacy_keys(old_keys).build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn legacy_keys(mut self, format: LegacyFormat) -> Self {
        self.legacy_keys.push(format);
        self
    }

    /// Sets the word that secrets begin with, instead of `kw`, and the labels of the kinds.
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

    /// Adds a group at this prefix that content tokens open, and no request without a credential.
    ///
    /// The smallest use of keyward, keys with scopes and nothing else:
    ///
    /// ```
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// use keyward::token::{ContentAccess, HashKeyRing};
    /// use keyward::{GuardedRouter, Keyward, MemoryStore, NewContentToken, action};
    ///
    /// let keyward = Keyward::builder(MemoryStore::default())
    ///     .hash_key(HashKeyRing::from_env("KEYWARD_HASH_KEY")?)
    ///     .service_keys("/")
    ///     .build()?;
    /// let new = NewContentToken::new("billing", ContentAccess::only(["orders.read"]));
    /// println!("key: {}", keyward.tokens().issue_content(new).await?.secret.expose());
    /// let routes = GuardedRouter::new().get("/orders", action("orders.read"), || async { "orders" });
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// axum::serve(listener, keyward.guard(routes).into_make_service()).await?;
    /// # Ok(()) }
    /// ```
    pub fn service_keys(self, path: impl Into<String>) -> Self {
        self.group(Group::service_keys(path))
    }

    /// Adds a public group at this prefix.
    pub fn public(self, path: impl Into<String>) -> Self {
        self.group(Group::public(path))
    }

    /// Adds a group of the management API, unless there is one like it. Its rejections look like errors of the API,
    /// unless the form of the group is set.
    #[cfg(feature = "api")]
    pub(crate) fn api_group(mut self, group: Group) -> Self {
        match self.groups.iter_mut().find(|present| present.is_like(&group)) {
            Some(present) => present.default_rejection_format(RejectionFormat::Strapi),
            None => self.groups.push(group.rejection_format(RejectionFormat::Strapi)),
        }
        self
    }

    /// Returns where the management API and the pages are mounted.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) fn mounts_mut(&mut self) -> &mut Mounts {
        &mut self.mounts
    }

    /// Sets the conditions that permissions may use, instead of Strapi's two.
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// Sets the actions, resources and fields that exist.
    ///
    /// Writes that use any other name are rejected. [`set_up`](Keyward::set_up) removes other names from stored
    /// permissions and grants. Without a catalogue every name can be written; a name that no route requires never
    /// allows anything.
    pub fn catalogue(mut self, catalogue: Catalogue) -> Self {
        self.settings.catalogue = Some(catalogue);
        self
    }

    /// Stores issued secrets encrypted under these keys, so that owners can view them again.
    /// Without these keys, a secret is shown once.
    #[cfg(feature = "reveal")]
    pub fn encryption(mut self, keys: crate::domain::EncryptionKeys) -> Self {
        self.settings.encryption = Some(keys);
        self
    }

    /// Gives up the tokens whose hash key is missing from this configuration, or has another value there.
    ///
    /// The configured keys take their place at the next change or [set-up](Keyward::set_up). Without this setting, a
    /// wrong key fails set-up, and every credential is answered 503.
    ///
    /// Use it for one start of one node, while no other node runs. To change keys, [keep the former key in the
    /// ring](crate::guide::operating#rotating-keys) instead.
    pub fn accept_new_hash_key(mut self) -> Self {
        self.accepted_keys.extend([KeyKind::Hash, KeyKind::StrapiHash, KeyKind::LegacyHash]);
        self
    }

    /// Gives up the sealed copies whose encryption key has another value in this configuration.
    ///
    /// Those secrets cannot be shown again; their tokens keep working. Use it like
    /// [`accept_new_hash_key`](Self::accept_new_hash_key).
    #[cfg(feature = "reveal")]
    pub fn accept_new_encryption_key(mut self) -> Self {
        self.accepted_keys.push(KeyKind::Encryption);
        self
    }

    /// Gives up the tokens with another [token prefix](Self::token_prefix), or with other labels. Use it like
    /// [`accept_new_hash_key`](Self::accept_new_hash_key).
    pub fn accept_new_prefix(mut self) -> Self {
        self.accepted_keys.push(KeyKind::Prefix);
        self
    }

    /// Sets the lifespans, password rules and quotas that apply to people and tokens.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Lets the first visitor register the first super admin without the setup code that the server logs.
    ///
    /// For servers on loopback without a proxy in front. The API and the pages accept such a registration only if
    /// `Host` is `localhost`, a name below it, or a loopback address: another name could belong to a page of another
    /// origin (DNS rebinding). A request with a proxy header (`Forwarded`, `Via`, `X-Forwarded-..`, `X-Real-IP`) may
    /// come from anywhere. In both cases the code is required.
    #[cfg(feature = "people")]
    pub fn allow_open_setup(mut self) -> Self {
        self.settings.open_setup = true;
        self
    }

    /// Takes reports of secrets that GitHub's secret scanning found in public, at `POST /secret-scanning` of each whole mount of the
    /// [management API](Self::api). The guide has [what to do when a key leaks](crate::guide::leaks).
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::admin::SecretScanning;
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// let (hash_key, _) = HashKey::generate()?;
    /// # let pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsz9ugWDj5jK5ELBK42ynytbo38gP\nHzZFI03Exwz8Lh/tCfL3YxwMdLjB+bMznsanlhK0RwcGP3IDb34kQDIo3Q==\n-----END PUBLIC KEY-----";
    /// let scanning = SecretScanning::keys([("f9525bf0", pem)])?;
    /// let keyward =
    ///     Keyward::builder(MemoryStore::default()).hash_key(hash_key).api("/admin").secret_scanning(scanning).build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "secret-scanning")]
    pub fn secret_scanning(mut self, scanning: crate::admin::SecretScanning) -> Self {
        self.settings.secret_scanning = Some(scanning);
        self
    }

    /// Sets the limits of the cache and of look-ups.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Caches the admin and content tokens that were used last, this many, in the background after the start. Default 0.
    ///
    /// A node that starts has an empty cache: each token costs a look-up when it is first presented. A warm-up reads
    /// the tokens from the store in pages, which costs much less for each. It is worth its reads if most of these
    /// tokens are about to be presented to this node.
    ///
    /// It fills up to three quarters of [`Limits::cache_bytes`], takes no permit of a look-up, and pauses while
    /// look-ups wait. Requests do not wait for it. If the store fails, it ends. Its result is in the log and in
    /// [`Health::warmed_tokens`]. Where all requests arrive at once, it saves little: let the readiness route wait
    /// until [`Health::warming_up`] is false.
    ///
    /// A warmed token is used only for a verified secret, and judged like one that a look-up has cached. Without a log
    /// of changes nothing is warmed, unless the [store is exclusive](Self::store_is_exclusive): entries have to be
    /// reloaded after [`Limits::max_staleness`].
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let builder = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin");
    /// let keyward = builder.warm_up(50_000).build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn warm_up(mut self, tokens: u32) -> Self {
        self.warm_up = tokens;
        self
    }

    /// Limits how many rejections that cost a store read an address may cause. Valid tokens are admitted regardless.
    pub fn failure_budget(mut self, budget: FailureBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Sets how long a request body may take to arrive on routes of the management API and the pages. Default 10 s.
    ///
    /// An incomplete body is answered 408. The deadline covers the whole body, so allow time for 1 MiB on the slowest
    /// connection that you serve. Your own routes are not affected.
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

    /// Trusts these proxies, addresses or networks, to report the client's address in this header.
    ///
    /// Without trusted proxies, the client's address is the peer's, and no header is read. Proxies must append to the
    /// header or replace it, as nearly all do. The header is read from the right, past trusted proxies, to the first other address.
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

    /// Sets the path under which browsers see this installation, behind a proxy that adds a prefix.
    ///
    /// Use `/keys` if the proxy's `https://example.test/keys/admin` is `/admin` here. Links, redirects, forms and
    /// cookies of the [pages](crate::ui) use it; groups and routes are declared without it.
    ///
    /// The proxy may strip the prefix or keep it: [`guard`](crate::guard::Guard::guard) serves each route at both
    /// paths. If you nest the router yourself with `nest_service("/keys", ..)`, the base path is the same `/keys`. A
    /// service behind [`layer`](crate::guard::Guard::layer) or [`wrap`](crate::guard::Guard::wrap) receives the path as
    /// sent.
    ///
    /// A [trusted proxy](Self::trusted_proxies) that strips the prefix can report another one in `X-Forwarded-Prefix`.
    /// From other peers that header is ignored.
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

    /// Declares that only the services of this one [`Keyward`] change the store.
    ///
    /// There must be no other process, no second handle and no transaction of your own. Cached tokens are then used
    /// until one of our changes invalidates them, and not reloaded every [`Limits::max_staleness`].
    pub fn store_is_exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Answers "Token expired" and "Token owner is deactivated" like every other invalid credential.
    pub fn opaque_rejections(mut self) -> Self {
        self.opaque = true;
        self
    }

    /// Sets the form of rejections in JSON. The default is [problem details](RejectionFormat::Problem); a
    /// [group](Group::rejection_format) may have another.
    ///
    /// [`GateLayer::rejections`] replaces the form altogether.
    pub fn rejection_format(mut self, format: RejectionFormat) -> Self {
        self.rejection_format = format;
        self
    }

    /// Sets the realm in `WWW-Authenticate` (RFC 9110 section 11.5), which tells people whose credential is asked for.
    /// The default is `keyward`. It has printable ASCII characters.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// let (hash_key, _) = HashKey::generate()?;
    /// // WWW-Authenticate: Bearer realm="Acme API"
    /// let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/v1").realm("Acme API").build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// Sets the headers that may hold a credential, instead of `authorization` alone.
    ///
    /// `Authorization` holds `Bearer` and the secret, any other header the secret and nothing else. A request may have
    /// several of them if they hold the same secret; secrets that differ are answered 400. `Vary` names the headers. If
    /// `authorization` is left out, that header is not read, as behind a proxy that uses it, and the scheme in
    /// `WWW-Authenticate` is `ApiKey`.
    ///
    /// Other software does not know that these headers are secret: mark them as sensitive where requests are logged, and
    /// allow them in CORS.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward = Keyward::builder(MemoryStore::default())
    ///     .hash_key(hash_key)
    ///     .content("/v1")
    ///     .credential_headers(["authorization", "x-api-key"])
    ///     .build()?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn credential_headers<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.credential_headers = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Takes the host's users as owners of tokens: [accounts](crate::accounts).
    ///
    /// An answer of the host is believed for [`max_staleness`](Limits::max_staleness), and a change that it
    /// [reports](crate::accounts::AccountReports) takes effect at once.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use keyward::accounts::{Account, AccountKey, Accounts, AccountsError};
    /// use keyward::{Grant, HashKey, Keyward, MemoryStore, NewAdminToken};
    ///
    /// struct Users;
    ///
    /// #[async_trait::async_trait]
    /// impl Accounts for Users {
    ///     async fn account(&self, key: &AccountKey) -> Result<Option<Account>, AccountsError> {
    ///         Ok((key.as_str() == "ada").then(|| Account::new("Ada").permissions(["article.read"])))
    ///     }
    /// }
    ///
    /// let (hash_key, _) = HashKey::generate()?;
    /// let keyward =
    ///     Keyward::builder(MemoryStore::default()).hash_key(hash_key).accounts(Users).admin("/v1").build()?;
    /// let ada = AccountKey::new("ada")?;
    /// let deploy = NewAdminToken::new("deploy", &ada).grants([Grant::new("article.read")]);
    /// let issued = keyward.tokens().issue_admin(deploy).await?;
    /// assert!(keyward.tokens().issue_admin(NewAdminToken::new("other", AccountKey::new("eve")?)).await.is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn accounts(mut self, accounts: impl Accounts) -> Self {
        self.accounts = Some(Arc::new(accounts));
        self
    }

    /// Promises that every change of an account is reported within the transaction that makes it, or by a trigger. Then
    /// tokens are not looked up again for their account's sake.
    ///
    /// A change that is not reported has no effect on a cached token, without a bound. So a report *after* the commit is
    /// not enough: the process may end between the two. With [`store_is_exclusive`](Self::store_is_exclusive), which
    /// reads no report, it has no effect.
    pub fn all_account_changes_reported(mut self) -> Self {
        self.account_changes_reported = true;
        self
    }

    /// Lets the host say which of its [accounts](Self::accounts) a request without a credential of keyward's is made by:
    /// the one that the host's session layer, outside the gate, has signed in.
    ///
    /// Such a request opens groups for [sessions](Group::sessions) and pages, and those that [accept
    /// sessions](Group::or_signed_in). It is judged like a session of keyward's: by the account's state and ceiling. The
    /// host's session is taken to be in a cookie, so unsafe methods need a proof of same origin.
    ///
    /// ```
    /// use keyward::accounts::AccountKey;
    /// use keyward::{HashKey, Keyward, MemoryStore};
    /// #[derive(Clone)]
    /// struct User { id: i64 }
    /// # fn build(builder: keyward::Builder) {
    /// // A layer of the host has inserted the user.
    /// let builder = builder.signed_in(|_headers, extensions| extensions.get::<User>().map(|user| AccountKey::from(user.id)));
    /// # }
    /// ```
    pub fn signed_in(
        mut self,
        account: impl Fn(&HeaderMap, &Extensions) -> Option<AccountKey> + Send + Sync + 'static,
    ) -> Self {
        self.signed_in = Some(SignedIn::new(account));
        self
    }

    /// Keeps the names of tokens and their owners in the cache, for [`AuthContext::token_name`] and
    /// [`AuthContext::owner_name`]. It takes some 60 bytes and both names for each cached token. A name is as current as the
    /// cached token.
    ///
    /// [`AuthContext::token_name`]: crate::AuthContext::token_name
    /// [`AuthContext::owner_name`]: crate::AuthContext::owner_name
    pub fn caller_names(mut self) -> Self {
        self.caller_names = true;
        self
    }

    /// Sets another clock, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets another source of randomness, for tests.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Builds the installation and starts its background tasks: writing token uses, and publishing [`Health`] with the
    /// feature `metrics`.
    ///
    /// # Errors
    /// Returns a [`BuildError`] if the hash key or a tokio runtime is missing. Also if groups, limits, proxies, legacy
    /// formats, credential headers or the realm are invalid. Also if [`signed_in`](Self::signed_in) or
    /// [`accounts`](Self::accounts) is missing where another setting needs it.
    pub fn build(#[cfg_attr(not(feature = "secret-scanning"), allow(unused_mut))] mut self) -> Result<T, BuildError> {
        #[cfg(feature = "secret-scanning")]
        if self.settings.secret_scanning.is_some() {
            let groups = crate::api::secret_scanning_groups(&self.mounts.api);
            self.groups.extend(groups.ok_or(BuildError::NoSecretScanningRoute)?);
        }
        let hash_keys = self.hash_keys.ok_or(BuildError::NoHashKey)?;
        tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        if !self.token_prefix.is_short() {
            tracing::warn!(
                token_prefix = self.token_prefix.as_str(),
                "a token prefix of more than 12 characters with label and underscores makes every verification hash twice as much"
            );
        }
        let encryption = self.settings.encryption.as_ref();
        let keys = ConfiguredKeys::new(
            &self.token_prefix,
            &hash_keys,
            self.strapi_hash_key.as_ref(),
            &self.legacy_keys,
            encryption,
            self.accepted_keys,
        );
        let keys = Arc::new(keys);
        let mut format = SecretFormat::new(&self.token_prefix, hash_keys);
        if let Some(hash_key) = self.strapi_hash_key {
            format = format.with_strapi(hash_key);
        }
        for legacy in self.legacy_keys {
            format = format.with_legacy(legacy)?;
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
        #[cfg(any(feature = "api", feature = "ui"))]
        self.mounts.check()?;
        match (&self.signed_in, self.groups.iter().find_map(Group::path_of_signed_in)) {
            (None, Some(path)) => return Err(BuildError::NoSignedIn(path.to_owned())),
            (Some(_), _) if self.accounts.is_none() => return Err(BuildError::NoAccounts),
            _ => {}
        }
        let base = Base::parse(&self.base_path).ok_or(InvalidGroups::BasePath(self.base_path))?;
        let headers = self.credential_headers.as_deref().map(CredentialHeaders::parse).transpose()?.unwrap_or_default();
        let style = RejectionStyle::new(self.rejection_format, self.realm.as_deref(), headers)?;
        let cache_keys = CacheKeys::draw(&*self.entropy)?;
        // With `store_is_exclusive` no report is read from the store.
        let all_reported = self.account_changes_reported && !self.exclusive;
        let max_age = if all_reported { Duration::MAX } else { limits.max_staleness };
        let has_accounts = self.accounts.is_some();
        let (shrunk, to_clamp) = self.accounts.as_ref().map(|_| mpsc::channel(1024)).unzip();
        let accounts = HostAccounts::new(self.accounts, shrunk, limits.lookup, max_age, self.clock.clone());
        let resolver =
            Resolver::start(store.clone(), self.clock, self.conditions, limits, cache_keys, accounts, self.exclusive);
        let has_content = self.groups.iter().any(Group::is_content);
        #[cfg(feature = "api")]
        let serves_strapi_api = self.mounts.api.iter().any(Mount::is_whole);
        #[cfg(not(feature = "api"))]
        let serves_strapi_api = false;
        let gate = GateSettings {
            groups: self.groups,
            opaque: self.opaque,
            addresses,
            budget: self.budget,
            base,
            style,
            signed_in: self.signed_in,
        };
        let gate = Arc::new(Gate::new(gate, format.clone(), resolver.clone())?);
        let mut settings = Settings { has_content, ..self.settings };
        if has_accounts && !serves_strapi_api {
            settings.policy.token_names.get_or_insert(TokenNames::UniquePerOwner);
        }
        let admin = Arc::new(AdminState::new(resolver.clone(), format, self.entropy, settings, keys.clone(), to_clamp));
        if self.caller_names {
            resolver.keep_names();
        }
        resolver.write_uses_behind();
        resolver.warm_up(self.warm_up);
        resolver.check_keys(keys);
        #[cfg(feature = "metrics")]
        resolver.publish();
        let guard = Guard {
            store,
            gate,
            admin,
            #[cfg(any(feature = "api", feature = "ui"))]
            bodies,
            #[cfg(any(feature = "api", feature = "ui"))]
            mounts: Arc::new(self.mounts),
        };
        Ok((self.finish)(guard))
    }
}
