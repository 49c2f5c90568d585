//! An address that leads to one server after another, as a virtual address or a DNS name does.

use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The fate of open connections when the address leads to another server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Older {
    /// They stay open and work.
    Stay,
    /// They are closed.
    End,
    /// They stay open and pass no data in either direction.
    FallSilent,
}

/// The port that the address leads to (0 is nowhere), and the fate of older connections.
type Lead = (u16, Older);

pub(crate) struct Proxy {
    port: u16,
    leads: Arc<watch::Sender<Lead>>,
}

impl Proxy {
    pub(crate) async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let leads = Arc::new(watch::Sender::new((port_of(url), Older::Stay)));
        tokio::spawn(accept(listener, leads.clone()));
        Self { port, leads }
    }

    /// Returns an address through this proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(&format!(":{}", port_of(url)), &format!(":{}", self.port), 1)
    }

    /// Passes no data any more, and closes no connection.
    pub(crate) fn lead_nowhere(&self) {
        self.leads.send_replace((0, Older::FallSilent));
    }

    /// Leads to another server.
    pub(crate) fn lead_to(&self, url: &str, older: Older) {
        self.leads.send_replace((port_of(url), older));
    }
}

pub(crate) fn port_of(url: &str) -> u16 {
    let host = url.split('@').nth(1).unwrap();
    host.split(['/', '?']).next().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

async fn accept(listener: TcpListener, leads: Arc<watch::Sender<Lead>>) {
    loop {
        let (here, _) = listener.accept().await.unwrap();
        tokio::spawn(carry(here, leads.subscribe()));
    }
}

async fn carry(mut here: TcpStream, mut leads: watch::Receiver<Lead>) {
    let (port, _) = *leads.borrow_and_update();
    if port == 0 {
        std::future::pending::<()>().await;
    }
    let Ok(mut there) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    loop {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut here, &mut there) => return,
            led = leads.changed() => if led.is_err() { return },
        }
        let older = leads.borrow_and_update().1;
        match older {
            Older::Stay => {}
            Older::End => return,
            Older::FallSilent => std::future::pending().await,
        }
    }
}
