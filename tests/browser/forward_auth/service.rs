//! The service behind the proxy. It records the bytes of each request, without a library that would repair them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as the service has received it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) uri: String,
    headers: Vec<(String, String)>,
    /// The length of the body.
    pub(super) body: usize,
}

impl Request {
    pub(super) fn headers<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Returns the path, also of a whole address.
    pub(super) fn path(&self) -> &str {
        self.uri.strip_prefix("http://app.test").unwrap_or(&self.uri)
    }

    /// Returns the identity that a service reads, also one that takes `_` or `.` for `-`, in order. An empty header names
    /// none.
    pub(super) fn identity(&self) -> Vec<(&str, &str)> {
        let is_identity =
            |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "-").starts_with("x-keyward-");
        let named = self.headers.iter().filter(|(name, value)| is_identity(name) && !value.is_empty());
        let mut named: Vec<(&str, &str)> = named.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        named.sort_unstable();
        named
    }
}

/// A running service.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Service {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let recorded = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, recorded.clone()));
            }
        });
        Self { address, requests }
    }

    /// Returns the requests since the last call. A request is recorded before it is answered.
    pub(super) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

async fn serve(stream: TcpStream, requests: Arc<Mutex<Vec<Request>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let body = if request.method == "HEAD" { "" } else { "ok" };
        requests.lock().unwrap().push(request);
        if stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match line.is_empty() {
            true => break,
            false => lines.push(line),
        }
    }
    let (line, headers) = lines.split_first()?;
    let pair = |line: &String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<(String, String)> = headers.iter().map(pair).collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    Some(Request { method: words.next()?, uri: words.next()?, headers, body: length })
}
