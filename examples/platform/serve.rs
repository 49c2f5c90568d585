//! A server for HTTP/1 and HTTP/2 with limits on connections, on their idle time, and on the memory that each may use.
//!
//! `axum::serve` has none of these: a client could open as many connections, with as many requests each, as the system
//! allows.

use crate::layers::App;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
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

/// The number of connections at once; more wait. It is below the usual limit of 1 024 open files, of which the database
/// and the log need some.
const CONNECTIONS: usize = 768;
/// The deadline for the head of a request, and the time that a connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// The read buffer of an HTTP/1 connection, in bytes: the limit of a request's head.
const BUFFER: usize = 16 * 1024;
/// The number of requests at once on an HTTP/2 connection.
const STREAMS: u32 = 32;
/// The bytes that a client may send on an HTTP/2 stream, and on a connection, before they are read.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 128 * 1024;

/// Serves until `stop`, and then until the open requests are answered. One network, an IPv4 address or a /64 of IPv6,
/// may open `of_one` connections; more are closed.
pub(crate) async fn serve(listener: TcpListener, app: impl App, of_one: usize, stop: impl Future<Output = ()>) {
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
                    // For instance too many open files, until connections end.
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
        let Some(address) = addresses.enter(peer.ip(), of_one) else { continue };
        let (app, stopped) = (app.clone(), stopped.clone());
        tokio::spawn(async move {
            connection(stream, peer, app, stopped).await;
            drop((address, place));
        });
    }
    drop((listener, stopping));
    // All permits: every connection has ended.
    let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    drop(places.acquire_many(all).await);
}

async fn connection(stream: TcpStream, peer: SocketAddr, app: impl App, mut stopped: watch::Receiver<()>) {
    let requests = Arc::new(Requests::default());
    let service = {
        let requests = requests.clone();
        service_fn(move |mut request: Request<Incoming>| {
            let open = requests.begin();
            // keyward counts failures and notes last uses by this address.
            request.extensions_mut().insert(peer);
            let response = app.clone().oneshot(request.map(Body::new));
            async move {
                let response = response.await;
                drop(open);
                response
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
        // A client that does not answer a ping is gone.
        .keep_alive_interval(IDLE)
        .keep_alive_timeout(IDLE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut ticks = interval_at(Instant::now() + IDLE, IDLE);
    let (mut seen, mut ending) = (0, false);
    loop {
        let end = tokio::select! {
            // An error is the client's: it sent invalid HTTP, or went away.
            _ = connection.as_mut() => return,
            _ = stopped.changed(), if !ending => true,
            _ = ticks.tick(), if !ending => requests.none_since(&mut seen),
        };
        if end {
            ending = true;
            // Open responses are completed. A connection without a request yet ends at once.
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

/// An open request.
struct Open(Arc<Requests>);

impl Requests {
    fn begin(self: &Arc<Self>) -> Open {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// Returns whether no request is open, and none began since `seen` had begun.
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

/// The number of connections of each network.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that counts for its network.
struct Counted(Addresses, IpAddr);

impl Addresses {
    fn enter(&self, peer: IpAddr, of_one: usize) -> Option<Counted> {
        let network = match peer.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 => v4,
        };
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connections.entry(network).or_default();
        if *count >= of_one {
            return None;
        }
        *count += 1;
        Some(Counted(self.clone(), network))
    }
}

impl Drop for Counted {
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
