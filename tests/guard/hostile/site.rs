//! A server in this process that counts the requests its handlers see.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use http::{HeaderValue, Method, StatusCode, header};
use keyward::testing::World;
use keyward::{AuthContext, Group, GuardedRouter, Requirement, action, authenticated};
use keyward_test_support::hostile::wire::Wire;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

/// How often handlers of protected groups ran, and how often without a principal.
#[derive(Default)]
pub struct Entered {
    all: AtomicU32,
    anonymous: AtomicU32,
}

impl Entered {
    pub fn all(&self) -> u32 {
        assert_eq!(self.anonymous.load(Ordering::SeqCst), 0, "a handler ran without a principal");
        self.all.load(Ordering::SeqCst)
    }

    fn note(&self, request: &Request) {
        self.all.fetch_add(1, Ordering::SeqCst);
        if request.extensions().get::<AuthContext>().is_none_or(|auth| auth.token().is_none()) {
            self.anonymous.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub struct Site {
    pub address: SocketAddr,
    pub entered: Arc<Entered>,
    /// An admin token with every permission used here.
    pub strong: String,
    /// The server ends when this is dropped.
    _runtime: tokio::runtime::Runtime,
}

impl Site {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = Arc::<Entered>::default();
        let (sender, started) = channel();
        let shared = entered.clone();
        runtime.spawn(async move {
            let world = World::with(|b| {
                b.group(Group::public("/admin/login").exact(Method::POST)).public("/ping").public("/healthz")
            });
            let strong = world.editor().with("x").issue().await.secret.expose().to_owned();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send((listener.local_addr().unwrap(), strong)).unwrap();
            let service = world.keyward.guard(routes(shared)).into_make_service();
            axum::serve(listener, service).await.unwrap();
        });
        let (address, strong) = started.recv().unwrap();
        Self { address, entered, strong, _runtime: runtime }
    }

    pub fn connect(&self) -> Wire {
        Wire::to(self.address)
    }
}

fn routes(entered: Arc<Entered>) -> GuardedRouter {
    let may = || action("x");
    let handle = |requirement: Requirement, path: &str, handler: MethodRouter<Arc<Entered>>| {
        GuardedRouter::new().route(path, requirement, handler)
    };
    handle(authenticated(), "/admin/ping", any(ping))
        .merge(handle(may(), "/admin/body", any(body)))
        .merge(handle(may(), "/admin/socket", any(socket)))
        .merge(handle(may(), "/admin/{*rest}", any(ping)))
        .public("/admin/login", any(public))
        .public("/ping", any(public))
        .public("/ping/{*rest}", any(public))
        .public("/public/body", any(public_body))
        .with_state(entered)
}

async fn ping(State(entered): State<Arc<Entered>>, request: Request) -> &'static str {
    entered.note(&request);
    "in"
}

/// Reads the whole body.
async fn body(State(entered): State<Arc<Entered>>, request: Request) -> Result<String, StatusCode> {
    entered.note(&request);
    public_body(request).await
}

/// Switches to another protocol.
async fn socket(State(entered): State<Arc<Entered>>, request: Request) -> Response {
    entered.note(&request);
    let upgrade = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "websocket")];
    let upgrade = upgrade.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (StatusCode::SWITCHING_PROTOCOLS, upgrade).into_response()
}

async fn public() -> &'static str {
    "out"
}

async fn public_body(request: Request) -> Result<String, StatusCode> {
    let whole = to_bytes(request.into_body(), 1 << 20).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(format!("{} bytes", whole.len()))
}
