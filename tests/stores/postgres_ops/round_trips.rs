//! A look-up is one round trip, and a lost connection costs another one but no error.

use crate::postgres_ops::proxy::port_of;
use keyward::admin::{Actor, NewChildToken, NewOwner};
use keyward::store::{Digest, PostgresOptions, Store};
use keyward::{Grant, HashKey, Keyward, NewAdminToken, PostgresStore, RoleId};
use keyward_test_support::postgres::{self, Server};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How many connections the store keeps for look-ups.
const CONNECTIONS: u32 = 4;

fn digest(n: u32) -> Digest {
    let mut bytes = [0; 27];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Digest::Native(bytes)
}

/// Counts the messages to a server that it answers with a `ReadyForQuery`: the round trips.
struct CountingProxy {
    port: u16,
    round_trips: Arc<AtomicU64>,
}

impl CountingProxy {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let round_trips = Arc::new(AtomicU64::new(0));
        let count = round_trips.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let count = count.clone();
                tokio::spawn(async move {
                    // The first message, the start of the session, has no type.
                    let mut is_typed = false;
                    loop {
                        let kind = if is_typed { from_client.read_u8().await? } else { 0 };
                        let length = from_client.read_u32().await?;
                        let mut content = vec![0; length as usize - 4];
                        from_client.read_exact(&mut content).await?;
                        if is_typed {
                            to_server.write_u8(kind).await?;
                        }
                        to_server.write_u32(length).await?;
                        to_server.write_all(&content).await?;
                        // A Sync or a simple query.
                        count.fetch_add(u64::from(kind == b'S' || kind == b'Q'), Ordering::SeqCst);
                        is_typed = true;
                    }
                    #[expect(unreachable_code, reason = "it names the type of the error")]
                    std::io::Result::Ok(())
                });
            }
        });
        Self { port, round_trips }
    }

    fn count(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookup_is_one_round_trip() {
    let Some(url) = postgres::create_database().await else { return };
    let proxy = CountingProxy::to(port_of(&url)).await;
    let proxied = url.replacen(&format!(":{}", port_of(&url)), &format!(":{}", proxy.port), 1) + "?sslmode=disable";
    let store = PostgresStore::connect_with(&proxied, PostgresOptions::default().connections(1)).await.unwrap();
    let digests: Vec<_> = (0..5).map(digest).collect();
    // Opens the connection, and prepares the statements.
    store.resolve(&digests[0]).await.unwrap();
    store.resolve_many(&digests).await.unwrap();
    let before = proxy.count();
    for n in 0..10 {
        store.resolve(&digest(n)).await.unwrap();
    }
    assert_eq!(proxy.count() - before, 10);
    assert_eq!(store.resolve_many(&digests).await.unwrap().len(), 5);
    assert_eq!(proxy.count() - before, 11);
    let [parent, child] = parent_and_child(&url).await;
    // Prepares the statement for it.
    store.resolve(&child).await.unwrap();
    let before = proxy.count();
    store.resolve(&parent).await.unwrap();
    assert_eq!(proxy.count() - before, 1, "a parent");
    let found = store.resolve(&child).await.unwrap().record.unwrap();
    assert_eq!((found.token.ancestors.len(), proxy.count() - before), (1, 3), "a child");
    store.close().await;
}

/// Issues a token and its child.
async fn parent_and_child(url: &str) -> [Digest; 2] {
    let (hash_key, _) = HashKey::generate().unwrap();
    let store = PostgresStore::connect(url).await.unwrap();
    let keyward = Keyward::builder(store).hash_key(hash_key).admin("/admin").build().unwrap();
    let owner = keyward.owners().create(NewOwner::new("a@example.test").roles([RoleId::SUPER_ADMIN])).await.unwrap();
    let new = NewAdminToken::new("parent", owner.id).grants([Grant::new("read").may_delegate()]);
    let parent = keyward.tokens().issue_admin(new).await.unwrap();
    let by_parent = keyward.tokens().acting_as(Actor::Token(parent.token.id));
    let child = by_parent.issue_child(NewChildToken::new("child").grants([Grant::new("read")])).await.unwrap();
    keyward.shutdown().await;
    [parent.token.digest, child.token.digest]
}

/// Resolves concurrently, so that all connections are used.
async fn resolve_all(store: &PostgresStore) {
    let asked = (0..4 * CONNECTIONS).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.resolve(&digest(n)).await })
    });
    for asked in asked.collect::<Vec<_>>() {
        asked.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_survive_lost_idle_connections() {
    let Some(url) = postgres::create_database().await else { return };
    let options = PostgresOptions::default().connections(CONNECTIONS);
    let store = PostgresStore::connect_with(&url, options).await.unwrap();
    let mut admin = PgConnection::connect(&url).await.unwrap();
    for _ in 0..3 {
        resolve_all(&store).await;
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(end).execute(&mut admin).await.unwrap();
        store.resolve(&digest(0)).await.unwrap();
        store.resolve_many(&[digest(0), digest(1)]).await.unwrap();
        resolve_all(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_survive_a_restart_of_the_server() {
    let Ok(server) = Server::start(&[]) else { return };
    let options = PostgresOptions::default().connections(CONNECTIONS);
    let store = PostgresStore::connect_with(server.url(), options).await.unwrap();
    for _ in 0..2 {
        resolve_all(&store).await;
        server.halt().unwrap();
        server.start_again().unwrap();
        resolve_all(&store).await;
    }
}
