//! The example platform as a process, and an HTTP/1.1 client that sends paths and header lines unchanged.

use crate::example;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

pub const SALT: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";

/// The longest wait for a line or a response.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns a command that runs the example platform on a database file, on a free port.
pub fn platform(file: &Path) -> Command {
    platform_on(&format!("sqlite:{}", file.display()))
}

/// Returns a command that runs the example platform on any database, on a free port.
pub fn platform_on(database: &str) -> Command {
    let mut command = Command::new(example("platform"));
    command.env_remove("KEYWARD_STRAPI_HASH_KEY").env_remove("KEYWARD_ENCRYPTION_KEY").env("KEYWARD_HASH_KEY", SALT);
    command.args(["--listen", "127.0.0.1:0", "--database", database]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A running platform. It is killed when this is dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// The lines that it printed before it listened.
    pub said: Vec<String>,
}

impl Server {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut said = Vec::new();
        let address = loop {
            let line = lines.recv_timeout(PATIENCE).expect("the platform prints that it listens");
            match line.strip_prefix("listening on http://") {
                Some(address) => break address.parse().unwrap(),
                None => said.push(line),
            }
        };
        Self { child, address, said }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes its standard error, if that was piped.
    pub fn take_stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().unwrap()
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the secret that it printed under this name.
    pub fn secret(&self, name: &str) -> &str {
        let find = |line: &'_ String| line.split_once('=').is_some_and(|(n, _)| n == name);
        self.said.iter().find(|line| find(line)).unwrap().split_once('=').unwrap().1
    }

    /// Stops it with SIGTERM and returns its exit code.
    #[cfg(unix)]
    pub fn stop(mut self) -> Option<i32> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        self.child.wait().unwrap().code()
    }

    pub fn get(&self, path: &str, secret: &str) -> Answer {
        self.send("GET", path, &[&bearer(secret)], "")
    }

    pub fn json(&self, method: &str, path: &str, secret: &str, body: &str) -> Answer {
        self.send(method, path, &[&bearer(secret), "Content-Type: application/json"], body)
    }

    /// Sends a request with this path and these header lines unchanged.
    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        send(self.address, method, path, headers, body)
    }
}

/// Sends a request to any server, with the path and the header lines unchanged.
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let line = format!("{method} {path}");
    Answer { line, status, head: head.to_lowercase(), raw_head: head.to_owned(), text: body.to_owned() }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

pub fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}")
}

#[derive(Debug)]
pub struct Answer {
    line: String,
    pub status: u16,
    /// The status line and the headers in lower case.
    pub head: String,
    /// The same, unchanged.
    raw_head: String,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn assert(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}", self.line, self.text);
        self
    }

    /// Returns the value of a header unchanged.
    #[track_caller]
    pub fn raw(&self, name: &str) -> String {
        let named = |line: &&str| line.split_once(':').is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
        let line = self.raw_head.lines().find(named).unwrap_or_else(|| panic!("no {name}: {self:?}"));
        line[name.len() + 1..].trim().to_owned()
    }

    /// Returns the value at a JSON pointer into the body, such as `/data/title`.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{}: {e}", self.text));
        body.pointer(pointer).cloned().unwrap_or_else(|| panic!("{} has no {pointer}: {body}", self.line))
    }

    /// Returns one member of every row of an admin list; null where it is missing.
    #[track_caller]
    pub fn column(&self, member: &str) -> Vec<Value> {
        let rows = self.at("/results");
        rows.as_array().unwrap().iter().map(|row| row.get(member).cloned().unwrap_or_default()).collect()
    }

    /// Returns the path of the only error in the body.
    #[track_caller]
    pub fn problem(&self) -> String {
        assert_eq!(self.at("/error/name"), "ValidationError");
        assert_eq!(self.at("/error/details/errors").as_array().unwrap().len(), 1, "{}", self.text);
        let path = self.at("/error/details/errors/0/path");
        path.as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(".")
    }
}
