//! Anonymous clients that hold request bodies open: memory and duration on the server.
//!
//! `cargo test --all-features --test browser platform::flood -- --nocapture --test-threads 1` prints the figures.

use bytes::Bytes;
use keyward_test_support::platform::{Server, platform};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The most memory that anonymous clients may take, with any number of open bodies.
const MEMORY_KB: u64 = 32 * 1024;
/// The longest time that a body may be open.
const OPEN: Duration = Duration::from_secs(15);

/// Returns the server's memory in kB: now, and at its peak.
fn memory(server: &Server) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn start() -> (TempDir, Server) {
    let dir = TempDir::new().unwrap();
    let server = Server::start(platform(&dir.path().join("platform.db")));
    // Memory that the first requests need in any case.
    server.get("/healthz", "").assert(200);
    server.send("POST", "/admin/login", &["Content-Type: application/json"], "{}").assert(400);
    (dir, server)
}

/// Sends as much of a body as the server accepts without a response.
fn send_all(stream: &mut TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return,
            Ok(sent) => bytes = &bytes[sent..],
            // The server accepts no more for now, or has closed the connection.
            Err(_) => return,
        }
    }
}

/// Returns whether the server has closed a connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

/// Connects from one of the addresses of this machine.
async fn connect(from: usize, to: SocketAddr) -> std::io::Result<tokio::net::TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, u8::try_from(from + 1).unwrap()], 0)))?;
    socket.connect(to).await
}

/// Opens connections that send this and then nothing, and waits until all are closed. Returns the memory that they took, in kB, and how
/// long the last one was open.
fn http1(name: &str, connections: usize, sent: &[u8]) -> (u64, Duration) {
    let (_dir, server) = start();
    let (before, _) = memory(&server);
    let began = Instant::now();
    let mut open: Vec<TcpStream> = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for n in 0..connections {
        // From several addresses, as each has a lower limit.
        let Ok(stream) = runtime.block_on(connect(n / 100, server.address())) else { continue };
        let mut stream = stream.into_std().unwrap();
        send_all(&mut stream, sent);
        open.push(stream);
    }
    let at_first = open.len();
    while !open.is_empty() && began.elapsed() < 3 * OPEN {
        std::thread::sleep(Duration::from_millis(50));
        open.retain_mut(|stream| !is_closed(stream));
    }
    let (took, (_, most)) = (began.elapsed(), memory(&server));
    let grown = most.saturating_sub(before);
    println!("{name}: {at_first} connections, +{grown} kB at most, all closed after {:.1} s", took.as_secs_f64());
    assert!(open.is_empty(), "{name}: {} still open after {took:?}", open.len());
    assert!(grown <= MEMORY_KB, "{name}: {before} kB grew to {most} kB");
    // The next client is served.
    server.send("POST", "/admin/login", &["Content-Type: application/json"], "{}").assert(400);
    (grown, took)
}

fn head(length: usize) -> Vec<u8> {
    format!(
        "POST /admin/login HTTP/1.1\r\nHost: platform\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn flood_of_bodies_that_are_too_large() {
    let large = [head(1024 * 1024), vec![b' '; 1024 * 1024 - 1]].concat();
    let (_, took) = http1("400 HTTP/1 connections x 1 MB", 400, &large);
    assert!(took <= OPEN, "{took:?}");
}

#[test]
fn flood_of_bodies_that_do_not_end() {
    let most = [head(16 * 1024), vec![b' '; 16 * 1024 - 1]].concat();
    let (_, took) = http1("400 HTTP/1 connections x 16 KiB less a byte", 400, &most);
    assert!(took <= OPEN, "{took:?}");
}

/// Chunked bodies declare no length.
#[test]
fn flood_of_chunks() {
    let mut most = b"POST /admin/auth/login HTTP/1.1\r\nHost: platform\r\nSec-Fetch-Site: same-origin\r\n\
        Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    for _ in 0..1_000 {
        most.extend_from_slice(b"10\r\nemail=a%40x.test\r\n");
    }
    let (_, took) = http1("400 HTTP/1 connections x 16 kB in chunks", 400, &most);
    assert!(took <= OPEN, "{took:?}");
}

/// A connection without a complete head ends within twice the time limit of a head.
#[test]
fn flood_of_heads_that_do_not_end() {
    for (name, sent) in [
        ("400 silent connections", Vec::new()),
        ("400 connections that may be HTTP/2", b"PRI * HT".to_vec()),
        ("400 halves of a head", b"POST /admin/login HTTP/1.1\r\nHost: platform\r\nX: ".to_vec()),
        ("400 heads of 15 kB", [b"POST /admin/login HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 15_000]].concat()),
    ] {
        let (_, took) = http1(name, 400, &sent);
        assert!(took <= Duration::from_secs(22), "{name}: {took:?}");
    }
}

/// Five connections with as many streams as the server accepts, each with as much of a body as it may send.
#[test]
fn flood_of_streams() {
    let (_dir, server) = start();
    let (before, _) = memory(&server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let streams: Vec<Stream> = runtime.block_on(async {
        let flood = (0..5).map(|n| streams(n, server.address(), 190));
        futures_util::future::join_all(flood).await.concat()
    });
    let open = streams.iter().map(|stream| stream.open).max().unwrap_or_default();
    let answered = streams.iter().filter(|stream| matches!(stream.status, Some(408 | 503))).count();
    let streams = streams.len();
    let (_, most) = memory(&server);
    let grown = most.saturating_sub(before);
    println!(
        "5 HTTP/2 connections x 190 streams: {streams} sent bodies, {answered} were answered, +{grown} kB at most, \
         none open longer than {:.1} s; {:.1} s for all",
        open.as_secs_f64(),
        began.elapsed().as_secs_f64(),
    );
    assert!(grown <= MEMORY_KB, "{before} kB grew to {most} kB");
    assert!(open <= OPEN, "a stream was open for {open:?}");
    assert!(answered > 0);
    server.send("POST", "/admin/login", &["Content-Type: application/json"], "{}").assert(400);
}

/// A stream that the server accepted.
#[derive(Clone)]
struct Stream {
    open: Duration,
    /// The status of its response, if there was one.
    status: Option<u16>,
}

/// When the server accepted a stream, when the stream ended, and its status.
type Taken = (Instant, Option<(Instant, Option<u16>)>);

/// Opens this many streams on one connection, as the server accepts them, until the first ones must have been answered.
async fn streams(from: usize, address: SocketAddr, wanted: usize) -> Vec<Stream> {
    let stream = connect(from, address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    // The limit of concurrent streams is known after a response; more streams would wait in the client.
    let mut first = client.clone().ready().await.unwrap();
    let ping = http::Request::get("http://platform/ping").body(()).unwrap();
    first.send_request(ping, true).unwrap().0.await.unwrap();
    let places = Arc::new(tokio::sync::Semaphore::new(first.current_max_send_streams().min(wanted)));
    let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..wanted {
        let (client, taken, places) = (client.clone(), taken.clone(), places.clone());
        sending.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let Ok(mut client) = client.ready().await else { return };
            let request = http::Request::post("http://platform/admin/login").header("content-type", "application/json");
            let Ok((answer, body)) = client.send_request(request.body(()).unwrap(), false) else { return };
            let number = {
                let mut taken = taken.lock().unwrap();
                taken.push((Instant::now(), None));
                taken.len() - 1
            };
            let status = tokio::select! {
                answer = answer => answer.ok().map(|answer| answer.status().as_u16()),
                () = send_but_the_end(body) => None,
            };
            taken.lock().unwrap()[number].1 = Some((Instant::now(), status));
        });
    }
    let all = async { while sending.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(2 * OPEN, all).await;
    driver.abort();
    let taken = taken.lock().unwrap();
    let stream = |(began, ended): &Taken| match ended {
        Some((ended, status)) => Stream { open: *ended - *began, status: *status },
        None => Stream { open: began.elapsed(), status: None },
    };
    taken.iter().map(stream).collect()
}

/// Sends the largest accepted body and never ends it.
async fn send_but_the_end(mut body: h2::SendStream<Bytes>) {
    let mut left = 16 * 1024 - 1;
    body.reserve_capacity(left);
    while left > 0 {
        match futures_util::future::poll_fn(|cx| body.poll_capacity(cx)).await {
            Some(Ok(room)) => {
                let size = room.min(left);
                if body.send_data(Bytes::from(vec![b' '; size]), false).is_err() {
                    return;
                }
                left -= size;
            }
            _ => return,
        }
    }
    std::future::pending::<()>().await;
}

/// A body that is announced but not sent, to a route without a body.
#[test]
fn route_without_a_body_answers_before_an_announced_body_arrives() {
    let (_dir, server) = start();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let head = format!(
        "DELETE /admin/admin-tokens/999999 HTTP/1.1\r\nHost: platform\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\n",
        server.secret("ROOT"),
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 40") && answer.contains("\"error\""), "{answer}");
}
