//! A network between a node and its database, with injected faults.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The state of the network.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Network {
    Passes,
    /// Each piece is delayed by a random time up to this.
    Delays(Duration),
    /// Connections are closed after a random time up to this.
    Drops(Duration),
    /// One direction of each connection is closed, in turn.
    HalfCloses,
    /// Passes no data and closes no connection.
    Swallows,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    network: watch::Sender<Network>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (network, watched) = watch::channel(Network::Passes);
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, watched.clone(), random.fork()));
            }
        });
        Ok(Self { port, network })
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn carry(
    client: TcpStream,
    server: SocketAddr,
    network: watch::Receiver<Network>,
    mut random: fastrand::Rng,
) -> Option<()> {
    _ = client.set_nodelay(true);
    let server = TcpStream::connect(server).await.ok()?;
    _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let first = random.bool();
    let there = one_way(from_client, to_server, network.clone(), random.fork(), first);
    let back = one_way(from_server, to_client, network.clone(), random.fork(), !first);
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        () = cut(network, random) => {}
    }
    Some(())
}

/// Ends when the connection must be dropped.
async fn cut(mut network: watch::Receiver<Network>, mut random: fastrand::Rng) {
    loop {
        let now = *network.borrow_and_update();
        if let Network::Drops(most) = now {
            tokio::time::sleep(most.mul_f64(random.f64())).await;
            return;
        }
        if network.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// `closes` tells whether a half-closing network closes this direction.
async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    mut random: fastrand::Rng,
    closes: bool,
) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let half_closed = async {
            if network.wait_for(|n| *n == Network::HalfCloses && closes).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.ok().filter(|n| *n > 0)?,
            () = half_closed => {
                _ = to.shutdown().await;
                return None;
            }
        };
        let now = *network.borrow();
        match now {
            Network::Delays(most) => tokio::time::sleep(most.mul_f64(random.f64())).await,
            Network::Swallows => _ = network.wait_for(|n| *n != Network::Swallows).await,
            _ => {}
        }
        to.write_all(&buffer[..read]).await.ok()?;
    }
}
