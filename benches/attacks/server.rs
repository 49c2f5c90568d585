//! A running platform, and clients from several loopback addresses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// The time after which a client stops waiting for a response.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running platform. The process ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    file: PathBuf,
}

impl Server {
    pub(crate) async fn start(platform: &Path, file: &Path) -> Self {
        assert!(
            platform.exists(),
            "the platform is not built: run cargo build --release --all-features --example platform"
        );
        let mut child = Command::new(platform)
            .args(["--listen", "127.0.0.1:0", "--database", &format!("sqlite:{}", file.display())])
            .env("KEYWARD_HASH_KEY", "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the platform prints its address");
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.parse().unwrap();
            }
        };
        Self { child, address, file: file.to_owned() }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns a client with the address 127.0.0.`last`.
    pub(crate) fn client(&self, last: u8) -> Client {
        Client { from: SocketAddr::from(([127, 0, 0, last], 0)), to: self.address }
    }

    /// Returns the resident memory of the process.
    pub(crate) fn memory_kb(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Returns the largest resident memory so far.
    pub(crate) fn peak_memory_kb(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

pub(crate) struct Client {
    from: SocketAddr,
    to: SocketAddr,
}

/// A response. The status is 0 if there was none.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
    pub(crate) took: Duration,
}

impl Answer {
    /// Returns the text of a member of the JSON body.
    pub(crate) fn member(&self, name: &str) -> String {
        let rest = self.text.split(&format!("\"{name}\":\"")).nth(1).unwrap_or_else(|| panic!("{}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) async fn get(&self, path: &str, secret: &str) -> Answer {
        self.send(&format!("GET {path}"), &format!("Authorization: Bearer {secret}\r\n"), "").await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, secret: &str, body: &str) -> Answer {
        let bearer = if secret.is_empty() { String::new() } else { format!("Authorization: Bearer {secret}\r\n") };
        self.send(&format!("{method} {path}"), &format!("{bearer}Content-Type: application/json\r\n"), body).await
    }

    /// Sends a request as a form of the pages does.
    pub(crate) async fn page(&self, method: &str, path: &str, cookie: &str, form: &str) -> Answer {
        let headers = format!(
            "Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        );
        self.send(&format!("{method} {path}"), &headers, form).await
    }

    async fn send(&self, line: &str, headers: &str, body: &str) -> Answer {
        let began = Instant::now();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let text = tokio::time::timeout(TIMEOUT, self.exchange(request.as_bytes())).await;
        let text = text.ok().and_then(Result::ok).unwrap_or_default();
        let (head, text) = text.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Answer { status, head: head.to_owned(), text: text.to_owned(), took: began.elapsed() }
    }

    async fn exchange(&self, request: &[u8]) -> std::io::Result<String> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(self.from)?;
        let mut stream = socket.connect(self.to).await?;
        // A server may respond before the whole body is sent.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
