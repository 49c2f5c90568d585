//! A test installation with people in it.

use super::app::App;
use super::clock::{ManualClock, SeededEntropy};
use crate::admin::{IssuedToken, Lifespan, NewAdminToken, NewContentToken, NewSession};
use crate::domain::{ContentAccess, Grant, HashKey, OwnerId, Permission, RoleId, Secret, TokenId};
use crate::guard::GuardedRouter;
use crate::keyward::{Builder, Keyward};
use crate::resolve::Limits;
use crate::store::{MemoryStore, NewOwner, NewRole, WriteStore};
use axum::Router;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The hash key of every [`World`].
pub const HASH_KEY: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";

/// A test installation with an admin group `/admin`, a content group `/api` and a public group `/public`.
#[derive(Debug)]
pub struct World<S = MemoryStore> {
    /// The installation.
    pub keyward: Keyward,
    /// The store.
    pub store: S,
    /// The clock.
    pub clock: Arc<ManualClock>,
    names: Arc<AtomicU64>,
}

impl World {
    /// Creates a world on a store in memory.
    #[expect(clippy::new_without_default, reason = "building needs a tokio runtime, which no default should")]
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// Creates a world on a store in memory without groups: `settings` adds them.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() {
    /// use keyward::testing::World;
    /// let world = World::bare(|builder| builder.service_keys("/"));
    /// # }
    /// ```
    pub fn bare(settings: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = Arc::new(ManualClock::default());
        Self::build(MemoryStore::with_clock(clock.clone()), clock, settings)
    }

    /// Creates a world on a store in memory, with other settings.
    pub fn with(settings: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = Arc::new(ManualClock::default());
        Self::on(MemoryStore::with_clock(clock.clone()), clock, settings)
    }
}

impl<S: WriteStore + Clone> World<S> {
    /// Creates a world on a store of your choice, which should read the same clock.
    ///
    /// # Panics
    /// If the settings are invalid, or there is no tokio runtime.
    pub fn on(store: S, clock: Arc<ManualClock>, settings: impl FnOnce(Builder) -> Builder) -> Self {
        let groups = |builder: Builder| builder.admin("/admin").content("/api").public("/public");
        Self::build(store, clock, |builder| settings(groups(builder)))
    }

    fn build(store: S, clock: Arc<ManualClock>, settings: impl FnOnce(Builder) -> Builder) -> Self {
        #[expect(clippy::expect_used, reason = "a constant that is tested")]
        let hash_key = HashKey::parse(HASH_KEY).expect("a valid hash key");
        let builder = Keyward::builder(store.clone())
            .hash_key(hash_key)
            .clock(clock.clone())
            .entropy(Arc::new(SeededEntropy::new(7)));
        // On a busy machine slow look-ups must not fail a test.
        let mut limits = Limits::default();
        (limits.queue, limits.lookup, limits.request) = (MINUTE, MINUTE, MINUTE);
        let builder = settings(builder.limits(limits));
        #[expect(clippy::expect_used, reason = "documented: this is for tests")]
        let keyward = builder.build().expect("valid settings");
        Self { keyward, store, clock, names: Arc::default() }
    }

    /// Puts a guarded router behind the gate of this world.
    pub fn guard(&self, router: GuardedRouter) -> App {
        App::from_service(self.keyward.guard(router))
    }

    /// Puts any router behind the gate of this world.
    pub fn wrap(&self, router: Router) -> App {
        App::from_service(self.keyward.wrap(router))
    }

    /// Starts a person with one role, to which permissions can be added.
    pub fn editor(&self) -> Cast<'_, S> {
        Cast { world: self, permissions: Some(Vec::new()), grants: Vec::new(), lifespan: Lifespan::Unlimited }
    }

    /// Starts a person with the super admin role.
    pub fn super_admin(&self) -> Cast<'_, S> {
        Cast { permissions: None, ..self.editor() }
    }

    /// Issues a content token with this access.
    ///
    /// # Panics
    /// If the store fails.
    pub async fn content(&self, access: ContentAccess) -> Key {
        let new = NewContentToken::new(self.name("content"), access).lifespan(Lifespan::Unlimited);
        Key::of(ok(self.keyward.tokens().issue_content(new).await), None)
    }

    fn name(&self, prefix: &str) -> String {
        format!("{prefix} {}", self.names.fetch_add(1, Ordering::SeqCst))
    }
}

/// A person to be created, and the token to be issued to them.
#[derive(Debug)]
#[must_use]
pub struct Cast<'w, S> {
    world: &'w World<S>,
    permissions: Option<Vec<Permission>>,
    grants: Vec<Grant>,
    lifespan: Lifespan,
}

impl<S: WriteStore + Clone> Cast<'_, S> {
    /// Adds a permission to the role and a grant of it to the token.
    pub fn with(self, permission: impl Into<Permission>) -> Self {
        let permission = permission.into();
        let grant = Grant::from(&permission);
        self.holds(permission).carries(grant)
    }

    /// Adds a permission to the role. A super admin holds everything anyway.
    pub fn holds(mut self, permission: impl Into<Permission>) -> Self {
        if let Some(permissions) = &mut self.permissions {
            permissions.push(permission.into());
        }
        self
    }

    /// Adds a grant to the token.
    pub fn carries(mut self, grant: Grant) -> Self {
        self.grants.push(grant);
        self
    }

    /// Sets the lifespan of the token.
    pub fn for_time(mut self, span: Duration) -> Self {
        self.lifespan = Lifespan::Of(span);
        self
    }

    /// Creates the person and issues the token.
    ///
    /// # Panics
    /// If a rule rejects it.
    pub async fn issue(self) -> Key {
        let (owner, role) = self.person().await;
        let (world, grants, lifespan) = (self.world, self.grants, self.lifespan);
        let new = NewAdminToken::new(world.name("token"), owner).grants(grants).lifespan(lifespan);
        Key::of(ok(world.keyward.tokens().issue_admin(new).await), Some((owner, role)))
    }

    /// Creates the person and signs them in, with an idle time of 30 minutes and a lifespan of a day.
    ///
    /// # Panics
    /// If a rule rejects it.
    pub async fn sign_in(self) -> Key {
        let (owner, role) = self.person().await;
        let (idle, lifespan) = (Duration::from_secs(30 * 60), Duration::from_secs(24 * 60 * 60));
        let new = NewSession { owner, idle, lifespan };
        Key::of(ok(self.world.keyward.tokens().open_session(new).await), Some((owner, role)))
    }

    async fn person(&self) -> (OwnerId, RoleId) {
        let keyward = &self.world.keyward;
        let role = match &self.permissions {
            None => RoleId::SUPER_ADMIN,
            Some(permissions) => {
                let new = NewRole::new(self.world.name("role")).permissions(permissions.clone());
                ok(keyward.roles().create(new).await).id
            }
        };
        let email = format!("{}@example.test", self.world.name("person").replace(' ', "-"));
        (ok(keyward.owners().create(NewOwner::new(email).roles([role])).await).id, role)
    }
}

/// An issued token, with its secret and owner.
#[derive(Clone, Debug)]
pub struct Key {
    /// The secret to send.
    pub secret: Secret,
    /// The token's id.
    pub id: TokenId,
    /// The owner and their role; `None` for content tokens.
    pub owner: Option<(OwnerId, RoleId)>,
}

impl Key {
    fn of(issued: IssuedToken, owner: Option<(OwnerId, RoleId)>) -> Self {
        Self { secret: issued.secret, id: issued.token.id, owner }
    }

    /// Returns the owner's id.
    ///
    /// # Panics
    /// If the token has no owner.
    #[expect(clippy::expect_used, reason = "documented: this is for tests")]
    pub fn owner(&self) -> OwnerId {
        self.owner.expect("an owned token").0
    }

    /// Returns the owner's role.
    ///
    /// # Panics
    /// If the token has no owner.
    #[expect(clippy::expect_used, reason = "documented: this is for tests")]
    pub fn role(&self) -> RoleId {
        self.owner.expect("an owned token").1
    }
}

#[track_caller]
fn ok<T, E: std::error::Error>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("test fixture failed: {error}"),
    }
}
