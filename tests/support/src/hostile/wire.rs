//! A connection that sends the bytes of a test unchanged.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest wait for a response; a longer one is a hang.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
    /// Describes the bytes that are sent.
    about: &'static str,
}

/// An HTTP/1 response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Wire {
    pub fn to(address: SocketAddr) -> Self {
        Self::about("a connection", address)
    }

    pub fn about(about: &'static str, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new(), about }
    }

    /// Sends bytes. The server need not read all of them: it may close the connection of a rejected client.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        match self.stream.write_all(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("{}: the server neither reads nor closes", self.about)
            }
            _ => self,
        }
    }

    /// Returns the next response; `None` if the connection was closed before it.
    pub fn answer(&mut self) -> Option<Answer> {
        let head = loop {
            match self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(end) => break self.read.drain(..end + 4).collect::<Vec<u8>>(),
                None if self.more() => {}
                None => {
                    assert!(self.read.is_empty(), "half an answer: {}", String::from_utf8_lossy(&self.read));
                    return None;
                }
            }
        };
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let status = head.split(' ').nth(1).unwrap().trim().parse().unwrap();
        let header = |name: &str| head.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        assert_eq!(header("transfer-encoding"), None, "these servers send a content-length");
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            if !self.more() {
                // A response to HEAD.
                assert!(self.read.is_empty(), "{}: half a body after {head}", self.about);
                break;
            }
        }
        let body = self.read.drain(..length.min(self.read.len())).collect();
        Some(Answer { status, body })
    }

    /// Returns all responses until the connection is closed.
    pub fn answers(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.answer()).collect()
    }

    /// Reads this many bytes; `None` if the connection was closed before them.
    pub fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.read.len() < length {
            if !self.more() {
                return None;
            }
        }
        Some(self.read.drain(..length).collect())
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(read) => {
                self.read.extend(&bytes[..read]);
                read > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
            Err(error) => panic!("{}: no response, and the server does not close: {error}", self.about),
        }
    }
}
