//! Requests byte for byte: clients of libraries would repair them.

use keyward::token::Secret;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn bearer(secret: &Secret) -> String {
    format!("Authorization: Bearer {}", secret.expose())
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
}

impl Answer {
    /// Returns the value of the first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends a request from this address, with a method and target and header lines as they are. It closes the connection
/// unless a line has another one.
pub(super) async fn send(from: impl Into<IpAddr>, to: SocketAddr, line: &str, headers: &[&str], body: &str) -> Answer {
    let mut request = format!("{line} HTTP/1.1\r\n").into_bytes();
    // A character beyond ASCII is one byte.
    if !line.is_ascii() {
        request = line.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).chain(*b" HTTP/1.1\r\n").collect();
    }
    for header in headers {
        request.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    if !headers.iter().any(|header| header.starts_with("Connection:")) {
        request.extend_from_slice(b"Connection: close\r\n");
    }
    if !body.is_empty() || line.starts_with("POST ") {
        request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(format!("\r\n{body}").as_bytes());
    let exchange = async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.into(), 0)).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        // A server may refuse before it has read everything.
        _ = stream.write_all(&request).await;
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("{line}: no answer"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let head = answer.split("\r\n\r\n").next().unwrap_or_default().to_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("{line}: {answer:?}")), head }
}

/// Returns the methods and targets of requests.
pub(super) fn sent(requests: &[super::service::Request]) -> Vec<(&str, &str)> {
    requests.iter().map(|request| (request.method.as_str(), request.uri.as_str())).collect()
}
