//! Serves HTTP/1 and HTTP/2 with bounds: on connections, on their idle time, and on what each may make the server keep in memory.
//!
//! `axum::serve` has none of these. Every client could hold as many connections, and requests on each of them, as the
//! system lets them.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use keyward::guard::GateService;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, interval_at, sleep};
use tower::ServiceExt;

/// Connections at the same time. More wait until one ends. Below the usual limit of 1 024 open files, of which the database and the
/// log need some.
const CONNECTIONS: usize = 768;
/// Connections of one network address: IPv4, or /64 of IPv6. More are closed at once. Behind a proxy, which is one address, the
/// proxy bounds the connections and this should be as many as it opens.
const CONNECTIONS_OF_ONE: usize = 128;
/// How long a request's head may take, and how long a connection may go without a request.
const IDLE: Duration = Duration::from_secs(10);
/// What is read of an HTTP/1 connection before the service takes it: no request's head may be larger.
const BUFFER: usize = 16 * 1024;
/// Requests at the same time on one HTTP/2 connection.
const STREAMS: u32 = 32;
/// What a client may send on one HTTP/2 stream, and on one connection, before the service takes it.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 128 * 1024;

/// Serves until `stop`, and then until requests that have begun are answered.
pub(crate) async fn serve(listener: TcpListener, app: GateService<Router>, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let addresses = Addresses::default();
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            // Never closed before this function returns.
            let place = places.clone().acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, peer)) => Some((place, stream, peer)),
                Err(error) => {
                    // Too many open files, say: it passes as connections end.
                    tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                    None
                }
            }
        };
        let (place, stream, peer) = tokio::select! {
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => continue,
            },
            () = &mut stop => break,
        };
        let Some(address) = addresses.enter(peer.ip()) else { continue };
        let (app, stopped) = (app.clone(), stopped.clone());
        tokio::spawn(async move {
            connection(stream, peer, app, stopped).await;
            drop((address, place));
        });
    }
    drop((listener, stopping));
    // All of them: no connection has one any more.
    let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    drop(places.acquire_many(all).await);
}

async fn connection(stream: TcpStream, peer: SocketAddr, app: GateService<Router>, mut stopped: watch::Receiver<()>) {
    let requests = Arc::new(Requests::default());
    let service = {
        let requests = requests.clone();
        service_fn(move |mut request: Request<Incoming>| {
            let open = requests.begin();
            // Whom the gate counts failures and notes the uses of tokens for.
            request.extensions_mut().insert(peer);
            let answer = app.clone().oneshot(request.map(Body::new));
            async move {
                let answer = answer.await;
                drop(open);
                answer
            }
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(BUFFER as u32)
        .max_send_buf_size(STREAM_WINDOW as usize)
        // A client that does not answer these is gone.
        .keep_alive_interval(IDLE)
        .keep_alive_timeout(IDLE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut ticks = interval_at(Instant::now() + IDLE, IDLE);
    let (mut seen, mut ending) = (0, false);
    loop {
        let end = tokio::select! {
            // Also with an error, which is the client's: it sent what is no HTTP, or went away.
            _ = connection.as_mut() => return,
            _ = stopped.changed(), if !ending => true,
            _ = ticks.tick(), if !ending => requests.none_since(&mut seen),
        };
        if end {
            ending = true;
            // Answers that have begun are sent; what has not said yet which HTTP it speaks ends at once.
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// The requests of a connection.
#[derive(Default)]
struct Requests {
    begun: AtomicU64,
    answered: AtomicU64,
}

/// A request that is not answered yet.
struct Open(Arc<Requests>);

impl Requests {
    fn begin(self: &Arc<Self>) -> Open {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// Whether none was open, and none began, since so many had begun.
    fn none_since(&self, seen: &mut u64) -> bool {
        let (before, answered) = (*seen, self.answered.load(Ordering::Relaxed));
        *seen = self.begun.load(Ordering::Relaxed);
        *seen == before && *seen == answered
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address.
struct Place(Addresses, IpAddr);

impl Addresses {
    fn enter(&self, peer: IpAddr) -> Option<Place> {
        let network = match peer.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 => v4,
        };
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connections.entry(network).or_default();
        if *count >= CONNECTIONS_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), network))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = connections.entry(self.1) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
