//! A node: a process with its own installation. The harness starts itself once per node.

use crate::BoxError;
use crate::bug::Flawed;
use crate::options::Bug;
use axum::routing::get;
use keyward::admin::NewSession;
use keyward::guard::Limits;
use keyward::time::{Clock, MonotonicTime, SystemClock, Timestamp};
use keyward::{GuardedRouter, HashKey, Keyward, OwnerId, PostgresStore, action, api};
use keyward_test_support::process::send_signal;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A public hash key, for tests only.
pub(crate) const SALT: &str = "development-only-salt-that-everybody-knows-0123456789";
/// The action that requests need.
pub(crate) const READ: &str = "admin::webhooks.read";
pub(crate) const PATH: &str = "/admin/webhooks";

/// The time limit of a node's start.
const PATIENCE: Duration = Duration::from_secs(2);

/// The first argument that makes this program a node.
pub(crate) const WORD: &str = "node";

pub(crate) fn limits(strict: bool) -> Limits {
    if strict { Limits::strict() } else { Limits::default() }
}

/// Opens a session that outlives any run.
pub(crate) fn session_of(owner: OwnerId) -> NewSession {
    let day = Duration::from_secs(24 * 60 * 60);
    NewSession { owner, idle: day, lifespan: day }
}

/// The wall clock with an offset.
#[derive(Default)]
struct Wrong(AtomicI64);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::Relaxed))
    }

    fn moment(&self) -> MonotonicTime {
        SystemClock.moment()
    }
}

/// Runs a node: `node URL PORT STRICT BUG SALT`. It ends with its standard input.
pub(crate) async fn serve(words: &[String]) -> Result<(), BoxError> {
    let [url, port, strict, bug, hash_key] = words else { return Err("a node is started by this program only".into()) };
    let clock = Arc::new(Wrong::default());
    let store = Flawed::new(PostgresStore::connect(url).await?, Bug::named(bug));
    let limits = limits(strict == "strict");
    let keyward = Keyward::builder(store)
        .hash_key(HashKey::parse(hash_key)?)
        .limits(limits)
        .clock(clock.clone())
        .api("/admin")
        .build()?;
    // Without a lease it would answer only 503.
    while !keyward.health().ready {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let own = GuardedRouter::new().route(PATH, action(READ), get(|| async { "[]" }));
    let service = keyward.guard(api::router(&keyward).merge(own)).into_make_service();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, service).await });
    let mut clock_lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = clock_lines.next_line().await? {
        clock.0.store(line.parse()?, Ordering::Relaxed);
    }
    Ok(())
}

/// A running node. It is killed when this is dropped.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    url: String,
    strict: bool,
    bug: Option<Bug>,
    running: Running,
}

struct Running {
    child: Child,
    input: ChildStdin,
    _output: Lines<BufReader<ChildStdout>>,
}

impl Node {
    pub(crate) async fn start(url: &str, strict: bool, bug: Option<Bug>) -> Result<Self, BoxError> {
        let (address, running) = run(url, 0, strict, bug, SALT).await?;
        Ok(Self { address, url: url.to_owned(), strict, bug, running })
    }

    /// Sends `STOP` or `CONT`.
    pub(crate) fn send_signal(&self, name: &str) {
        if let Some(pid) = self.running.child.id() {
            send_signal(pid, name);
        }
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) -> Result<(), BoxError> {
        Ok(self.running.child.kill().await?)
    }

    /// Starts it again on the same port.
    pub(crate) async fn start_again(&mut self) -> Result<(), BoxError> {
        (self.address, self.running) = run(&self.url, self.address.port(), self.strict, self.bug, SALT).await?;
        Ok(())
    }

    /// Starts it with this hash key on the same port. It may fail before it listens.
    pub(crate) async fn start_with(&mut self, hash_key: &str) {
        let started = run(&self.url, self.address.port(), self.strict, self.bug, hash_key);
        if let Ok(Ok(started)) = tokio::time::timeout(PATIENCE, started).await {
            (self.address, self.running) = started;
        }
    }

    /// Sets the offset of its wall clock, in milliseconds.
    pub(crate) async fn set_clock(&mut self, wrong: i64) -> Result<(), BoxError> {
        Ok(self.running.input.write_all(format!("{wrong}\n").as_bytes()).await?)
    }
}

async fn run(
    url: &str,
    port: u16,
    strict: bool,
    bug: Option<Bug>,
    hash_key: &str,
) -> Result<(SocketAddr, Running), BoxError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        WORD,
        url,
        &port.to_string(),
        if strict { "strict" } else { "" },
        bug.map_or("", Bug::name),
        hash_key,
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (input, output) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
    let mut output = BufReader::new(output).lines();
    let said =
        tokio::time::timeout(Duration::from_secs(30), output.next_line()).await.map_err(|_| "a node does not start")?;
    let address = said?.ok_or("a node ended at its start")?.parse()?;
    Ok((address, Running { child, input, _output: output }))
}
