//! A flood of invalid secrets beside requests with valid tokens, in one process and without a network.
//!
//! Clients send made-up tokens as fast as they can and yield after each, as a server's connections do. With about every
//! hundredth (the ratio of the counts) they send two that only the store can reject, each on its own connection,
//! without waiting for the responses. The flood to compare with sends the same requests to a public route.

mod spans;
mod store;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderValue, Request};
use keyward::guard::{GateService, Limits};
use keyward::health::Health;
use keyward::testing::SecretFormat;
use keyward::token::{OsEntropy, StrapiHashKey, TokenKind, TokenPrefix};
use keyward::{Grant, GuardedRouter, HashKey, Keyward, NewAdminToken, NewOwner, RoleId, action};
use spans::Spans;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{Counts, SlowStore};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt};

const HASH_KEY: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";
const PROTECTED: &str = "/admin/x";
const PUBLIC: &str = "/public";
/// The number of flooding clients.
const FLOODING: u64 = 8;
/// The number of valid clients: each sends all valid tokens repeatedly.
const WORKING: usize = 4;

/// The number of requests of each kind.
#[derive(Clone, Copy)]
pub(crate) struct Flood {
    /// Made-up tokens of keyward's format.
    pub(crate) made_up: u64,
    /// Tokens of keyward's format with a valid check that were never issued, and as many of Strapi's format.
    pub(crate) absent: u64,
}

/// The target of the flood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Protected,
    Public,
}

/// The result of a flood.
pub(crate) struct Outcome {
    /// The duration of sending.
    pub(crate) took: Duration,
    /// The latencies of valid tokens meanwhile, from when they could be sent.
    pub(crate) valid: Spans,
    /// The number of absent tokens answered 401.
    pub(crate) rejected: u64,
    /// The number of absent tokens answered 503, because no read was free.
    pub(crate) overloaded: u64,
}

#[derive(Clone)]
pub(crate) struct Installation {
    keyward: Keyward,
    store: SlowStore,
    app: GateService<Router>,
    valid: Arc<[HeaderValue]>,
    format: SecretFormat,
    /// The number of tokens sent so far, which makes each token unique.
    sent: Arc<AtomicU64>,
}

impl Installation {
    /// Creates an installation with this many valid tokens, all cached. The cache holds one or two thousand, so that
    /// evictions would show.
    pub(crate) async fn new(valid: usize) -> Self {
        let (store, hash_key) = (SlowStore::default(), HashKey::parse(HASH_KEY).unwrap());
        let mut limits = Limits::default();
        limits.cache_bytes = 1 << 20;
        let keyward = Keyward::builder(store.clone())
            .hash_key(hash_key.clone())
            .strapi_hash_key(StrapiHashKey::new("saltysaltysaltysalty").unwrap())
            .limits(limits)
            .store_is_exclusive()
            .admin("/admin")
            .public(PUBLIC)
            .build()
            .unwrap();
        let handler = || get(|| async { "[]" });
        let routes = GuardedRouter::new().route(PROTECTED, action("x.read"), handler()).public(PUBLIC, handler());
        let app = keyward.guard(routes);
        let owner = NewOwner::new("ada@example.test").roles([RoleId::SUPER_ADMIN]);
        let owner = keyward.owners().create(owner).await.unwrap().id;
        let mut secrets = Vec::new();
        for n in 0..valid {
            let token = NewAdminToken::new(format!("token {n}"), owner).grants(["x.read", "y", "z"].map(Grant::new));
            let issued = keyward.tokens().issue_admin(token).await.unwrap();
            secrets.push(bearer(issued.secret.expose()));
        }
        let format = SecretFormat::new(&TokenPrefix::default(), hash_key);
        let installation = Self { keyward, store, app, valid: secrets.into(), format, sent: Arc::default() };
        installation.use_all().await;
        installation
    }

    /// Asserts that each valid token is accepted.
    pub(crate) async fn use_all(&self) {
        let mut app = self.app.clone();
        for secret in &*self.valid {
            assert_eq!(send(&mut app, PROTECTED, secret).await, 200);
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.keyward.health()
    }

    pub(crate) fn counts(&self) -> &Counts {
        self.store.counts()
    }

    /// Sends a flood while valid tokens are used, and returns after its last response.
    pub(crate) async fn run(&self, flood: Flood, target: Target) -> Outcome {
        let (over, pending) = (Arc::new(AtomicBool::new(false)), Arc::new(PendingCounts::default()));
        let working: Vec<_> =
            (0..WORKING).map(|place| tokio::spawn(self.clone().use_tokens(place, over.clone()))).collect();
        let began = Instant::now();
        let mut flooding: JoinSet<JoinSet<()>> = (0..FLOODING)
            .map(|client| self.clone().send_share(flood.share_of(client), target, pending.clone()))
            .collect();
        let mut unfinished = Vec::new();
        while let Some(requests) = flooding.join_next().await {
            unfinished.push(requests.unwrap());
        }
        let took = began.elapsed();
        // The flood is over when its requests are sent. Those that still wait for the store would only lower the
        // latencies.
        over.store(true, Ordering::SeqCst);
        let mut valid = Spans::default();
        for worker in working {
            valid.merge(&worker.await.unwrap());
        }
        for requests in unfinished {
            requests.join_all().await;
        }
        let count = |counted: &AtomicU64| counted.load(Ordering::SeqCst);
        Outcome { took, valid, rejected: count(&pending.rejected), overloaded: count(&pending.overloaded) }
    }

    /// Uses valid tokens until the flood is over.
    async fn use_tokens(self, place: usize, over: Arc<AtomicBool>) -> Spans {
        let (mut app, mut spans) = (self.app, Spans::default());
        for secret in self.valid.iter().cycle().skip(place * self.valid.len() / WORKING) {
            if over.load(Ordering::SeqCst) {
                break;
            }
            let began = Instant::now();
            // Wait for a turn, as a connection with a pending request does.
            tokio::task::yield_now().await;
            let status = send(&mut app, PROTECTED, secret).await;
            spans.record(began.elapsed());
            assert_eq!(status, 200);
        }
        spans
    }

    /// Sends one client's share, and returns the requests that still wait for a response.
    async fn send_share(self, flood: Flood, target: Target, pending: Arc<PendingCounts>) -> JoinSet<()> {
        let (path, rejection) = match target {
            Target::Protected => (PROTECTED, 401),
            Target::Public => (PUBLIC, 200),
        };
        let first = self.sent.fetch_add(flood.made_up.max(flood.absent), Ordering::SeqCst);
        let (mut app, mut unanswered, mut absent) = (self.app.clone(), JoinSet::new(), 0);
        for n in 0..flood.made_up {
            tokio::task::yield_now().await;
            assert_eq!(send(&mut app, path, &make_up(first + n)).await, rejection);
            while (n + 1) * flood.absent >= (absent + 1) * flood.made_up {
                let own = self.format.issue(TokenKind::Admin, &OsEntropy).unwrap();
                for secret in [bearer(own.secret.expose()), bearer(&format!("{:0256x}", first + absent))] {
                    let (mut app, pending) = (self.app.clone(), pending.clone());
                    unanswered.spawn(async move { pending.note(send(&mut app, path, &secret).await) });
                }
                absent += 1;
                while unanswered.try_join_next().is_some() {}
            }
        }
        unanswered
    }
}

impl Flood {
    /// Returns the share of one client.
    fn share_of(self, client: u64) -> Self {
        let share = |all: u64| all / FLOODING + u64::from(client < all % FLOODING);
        Self { made_up: share(self.made_up), absent: share(self.absent) }
    }
}

/// The statuses of the requests that clients do not wait for.
#[derive(Default)]
struct PendingCounts {
    rejected: AtomicU64,
    overloaded: AtomicU64,
}

impl PendingCounts {
    fn note(&self, status: u16) {
        match status {
            401 => self.rejected.fetch_add(1, Ordering::SeqCst),
            503 => self.overloaded.fetch_add(1, Ordering::SeqCst),
            200 => 0,
            other => panic!("an absent token was answered {other}"),
        };
    }
}

async fn send(app: &mut GateService<Router>, path: &'static str, secret: &HeaderValue) -> u16 {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static(path);
    request.headers_mut().insert(http::header::AUTHORIZATION, secret.clone());
    let app = ServiceExt::<Request<Body>>::ready(app).await.unwrap();
    app.call(request).await.unwrap().status().as_u16()
}

/// Returns a token of keyward's format whose check is valid once in 10^12 times.
fn make_up(n: u64) -> HeaderValue {
    let mut text = *b"Bearer kw_admin_00000000000000000000000000000000000000000000000000";
    let mut rest = n;
    for digit in text[16..36].iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    HeaderValue::from_bytes(&text).unwrap()
}

fn bearer(secret: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("Bearer {secret}")).unwrap()
}
