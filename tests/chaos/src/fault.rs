//! The faults and their injection.

use crate::BoxError;
use crate::node::Node;
use crate::proxy::{Network, Proxy};
use crate::world::{World, now};
use keyward::store::PostgresOptions;
use keyward::{HashKey, Keyward, NewOwner, PostgresStore};
use keyward_test_support::postgres::Server;
use keyward_test_support::process::send_signal;
use sqlx::{Connection, PgConnection};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A hash key of no node of this cluster.
const OTHER_SALT: &str = "another-development-only-salt-0123456789-0123456789";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Nothing,
    SessionsKilled,
    SessionStopped,
    ServerStopped,
    ServerKilled,
    NodeStopped,
    NodeKilled,
    SlowNetwork,
    DroppedConnections,
    HalfClosedConnections,
    BlackHole,
    NoConnectionsLeft,
    DiskFull,
    OldBackup,
    WrongClocks,
    OtherSchema,
    OtherHashKey,
}

impl Fault {
    pub(crate) const ALL: [Self; 17] = [
        Self::Nothing,
        Self::SessionsKilled,
        Self::SessionStopped,
        Self::ServerStopped,
        Self::ServerKilled,
        Self::NodeStopped,
        Self::NodeKilled,
        Self::SlowNetwork,
        Self::DroppedConnections,
        Self::HalfClosedConnections,
        Self::BlackHole,
        Self::NoConnectionsLeft,
        Self::DiskFull,
        Self::OldBackup,
        Self::WrongClocks,
        Self::OtherSchema,
        Self::OtherHashKey,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::SessionsKilled => "sessions killed (pg_terminate_backend)",
            Self::SessionStopped => "sessions stopped (SIGSTOP), a log's reader among them",
            Self::ServerStopped => "server stopped (SIGSTOP)",
            Self::ServerKilled => "server killed and started again",
            Self::NodeStopped => "node stopped (SIGSTOP)",
            Self::NodeKilled => "node killed in mid-commit (kill -9)",
            Self::SlowNetwork => "network slow, up to 600 ms a piece",
            Self::DroppedConnections => "network drops connections",
            Self::HalfClosedConnections => "network closes one direction",
            Self::BlackHole => "network swallows everything",
            Self::NoConnectionsLeft => "no connections left",
            Self::DiskFull => "disk full",
            Self::OldBackup => "older backup restored",
            Self::WrongClocks => "wall clocks of nodes ±10 years",
            Self::OtherSchema => "a second installation in another schema, first in search_path",
            Self::OtherHashKey => "a node started with another hash key",
        }
    }
}

/// The parts that faults break.
pub(crate) struct Site {
    pub(crate) server: Server,
    /// The reason if the disk cannot be filled.
    pub(crate) disk: Result<(), String>,
    /// The database's address without a failing network.
    pub(crate) url: String,
    /// One proxy per node.
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) world: Arc<World>,
    pub(crate) random: fastrand::Rng,
}

impl Site {
    /// Injects a fault for this long and ends it.
    pub(crate) async fn strike(&mut self, fault: Fault, lasting: Duration) -> Result<(), BoxError> {
        let until = now() + lasting;
        match fault {
            Fault::Nothing => sleep(lasting).await,
            Fault::SessionsKilled => self.kill_sessions(until).await?,
            Fault::SessionStopped => self.stop_session(lasting).await?,
            Fault::ServerStopped => self.stop_server(lasting).await?,
            Fault::ServerKilled => {
                self.server.halt()?;
                sleep(lasting / 2).await;
                self.server.start_again()?;
                sleep(lasting / 2).await;
            }
            Fault::NodeStopped => {
                let node = self.random.usize(..self.nodes.len());
                self.nodes[node].send_signal("STOP");
                sleep(lasting).await;
                self.nodes[node].send_signal("CONT");
            }
            Fault::NodeKilled => self.kill_nodes(until).await?,
            Fault::SlowNetwork => self.network(Network::Delays(Duration::from_millis(600)), lasting).await,
            Fault::DroppedConnections => self.network(Network::Drops(Duration::from_millis(400)), lasting).await,
            Fault::HalfClosedConnections => {
                while now() < until {
                    self.proxies.iter().for_each(|proxy| proxy.set(Network::HalfCloses));
                    sleep(Duration::from_millis(20)).await;
                    self.proxies.iter().for_each(|proxy| proxy.set(Network::Passes));
                    sleep(Duration::from_millis(self.random.u64(200..800))).await;
                }
            }
            Fault::BlackHole => self.network(Network::Swallows, lasting).await,
            Fault::NoConnectionsLeft => self.take_connections(lasting).await?,
            Fault::DiskFull => self.fill_disk(lasting).await?,
            Fault::OldBackup => self.restore(lasting).await?,
            Fault::WrongClocks => {
                const TEN_YEARS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;
                while now() < until {
                    for node in &mut self.nodes {
                        node.set_clock(self.random.i64(-1..=1) * TEN_YEARS).await?;
                    }
                    sleep(Duration::from_millis(200)).await;
                }
                for node in &mut self.nodes {
                    node.set_clock(0).await?;
                }
            }
            Fault::OtherSchema => self.add_schema(until).await?,
            Fault::OtherHashKey => {
                let node = self.random.usize(..self.nodes.len());
                self.nodes[node].kill().await?;
                // On a port that clients use: the node may answer only 503.
                self.nodes[node].start_with(OTHER_SALT).await;
                sleep(until.saturating_duration_since(now())).await;
                _ = self.nodes[node].kill().await;
                self.nodes[node].start_again().await?;
            }
        }
        Ok(())
    }

    /// The network of one node fails for most of the time, then that of all nodes.
    async fn network(&mut self, network: Network, lasting: Duration) {
        let one = self.random.usize(..self.proxies.len());
        self.proxies[one].set(network);
        sleep(lasting.mul_f64(0.75)).await;
        self.proxies.iter().for_each(|proxy| proxy.set(network));
        sleep(lasting.mul_f64(0.25)).await;
        self.proxies.iter().for_each(|proxy| proxy.set(Network::Passes));
    }

    /// Returns the nodes' sessions on the server, the log readers first.
    async fn sessions(&self, sql: &mut PgConnection) -> Result<Vec<i32>, BoxError> {
        let of_nodes = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'keyward%' AND pid <> pg_backend_pid() \
                        AND datname = current_database() ORDER BY application_name NOT LIKE 'keyward log%', pid";
        Ok(sqlx::query_scalar(of_nodes).fetch_all(sql).await?)
    }

    /// Ends each of the nodes' sessions with this probability.
    async fn end_sessions(&mut self, sql: &mut PgConnection, likely: f64) -> Result<(), BoxError> {
        for pid in self.sessions(sql).await? {
            if self.random.f64() < likely {
                sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut *sql).await?;
            }
        }
        Ok(())
    }

    async fn sql(&self) -> Result<PgConnection, BoxError> {
        Ok(PgConnection::connect(&self.url).await?)
    }

    async fn kill_sessions(&mut self, until: Instant) -> Result<(), BoxError> {
        let mut sql = self.sql().await?;
        while now() < until {
            self.end_sessions(&mut sql, 0.5).await?;
            sleep(Duration::from_millis(self.random.u64(20..300))).await;
        }
        Ok(())
    }

    async fn stop_session(&mut self, lasting: Duration) -> Result<(), BoxError> {
        let mut sql = self.sql().await?;
        let mut pids = self.sessions(&mut sql).await?;
        // Some readers and writers, and two log readers. One of these may be the harness's own; then the other belongs to a node.
        let mut others = pids.split_off((self.nodes.len() + 1).min(pids.len()));
        self.random.shuffle(&mut others);
        self.random.shuffle(&mut pids);
        pids.truncate(2);
        pids.extend(others.into_iter().take(2));
        if pids.is_empty() {
            return Err("no node has a session".into());
        }
        let send = |name: &str| pids.iter().for_each(|pid| send_signal(pid.unsigned_abs(), name));
        send("STOP");
        sleep(lasting).await;
        send("CONT");
        Ok(())
    }

    async fn stop_server(&mut self, lasting: Duration) -> Result<(), BoxError> {
        let first = self.server.pid().ok_or("the server is not there")?;
        let all = Command::new("pgrep").arg("-P").arg(first.to_string()).output()?;
        let mut pids: Vec<u32> =
            String::from_utf8(all.stdout)?.lines().filter_map(|pid| pid.trim().parse().ok()).collect();
        pids.push(first);
        pids.iter().for_each(|pid| send_signal(*pid, "STOP"));
        sleep(lasting).await;
        pids.iter().rev().for_each(|pid| send_signal(*pid, "CONT"));
        Ok(())
    }

    /// Slows commits down and kills nodes during one.
    async fn kill_nodes(&mut self, until: Instant) -> Result<(), BoxError> {
        let mut sql = self.sql().await?;
        sqlx::raw_sql(
            "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END'; \
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON keyward_change DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .execute(&mut sql)
        .await?;
        while now() < until {
            let node = self.random.usize(..self.nodes.len());
            let (world, mut random) = (self.world.clone(), self.random.fork());
            let change = tokio::spawn(async move { world.change_one(node, &mut random).await });
            // Sometimes the commit has just ended.
            let committing =
                "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active')";
            let patience = now() + Duration::from_secs(2);
            while now() < patience && !sqlx::query_scalar::<_, bool>(committing).fetch_one(&mut sql).await? {
                sleep(Duration::from_millis(1)).await;
            }
            sleep(Duration::from_millis(self.random.u64(..150))).await;
            self.nodes[node].kill().await?;
            change.await?;
            self.nodes[node].start_again().await?;
        }
        sqlx::raw_sql("DROP TRIGGER slow ON keyward_change").execute(&mut sql).await?;
        Ok(())
    }

    /// Creates another installation whose schema comes first in the search path, and makes the nodes reconnect.
    async fn add_schema(&mut self, until: Instant) -> Result<(), BoxError> {
        let mut sql = self.sql().await?;
        let database: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut sql).await?;
        sqlx::raw_sql("CREATE SCHEMA other").execute(&mut sql).await?;
        let store = PostgresStore::connect_with(&self.url, PostgresOptions::default().schema("other")).await?;
        let other = Keyward::builder(store).hash_key(HashKey::parse(OTHER_SALT)?).api("/admin").build()?;
        other.set_up().await?;
        let found = sqlx::AssertSqlSafe(format!("ALTER DATABASE \"{database}\" SET search_path = other, public"));
        sqlx::raw_sql(found).execute(&mut sql).await?;
        while now() < until {
            self.end_sessions(&mut sql, 0.5).await?;
            other.owners().create(NewOwner::new(format!("p{}@example.test", self.random.u64(..)))).await?;
            sleep(Duration::from_millis(self.random.u64(20..300))).await;
        }
        other.shutdown().await;
        let reset = sqlx::AssertSqlSafe(format!("ALTER DATABASE \"{database}\" RESET search_path"));
        sqlx::raw_sql(reset).execute(&mut sql).await?;
        sqlx::raw_sql("DROP SCHEMA other CASCADE").execute(&mut sql).await?;
        // No remaining session has that search path.
        self.end_sessions(&mut sql, 1.0).await
    }

    async fn take_connections(&mut self, lasting: Duration) -> Result<(), BoxError> {
        let mut sql = self.sql().await?;
        let until = now() + lasting;
        let mut taken = Vec::new();
        while now() < until {
            // Sessions that were ended must be opened again.
            self.end_sessions(&mut sql, 0.3).await?;
            while let Ok(connection) = PgConnection::connect(&self.url).await {
                taken.push(connection);
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn fill_disk(&mut self, lasting: Duration) -> Result<(), BoxError> {
        let file = self.server.directory().ok_or("the server was not started here")?.join("filler");
        let until = now() + lasting;
        while now() < until {
            let mut fill = Command::new("dd");
            fill.args(["if=/dev/zero", "bs=64k", "oflag=append", "conv=notrunc"]).arg(format!("of={}", file.display()));
            // It ends with an error when the disk is full, as intended.
            fill.stderr(std::process::Stdio::null()).status()?;
            // Existing files still have free space. This needs a new one.
            _ = self.write_ahead().await;
            sleep(Duration::from_millis(100)).await;
        }
        std::fs::remove_file(file)?;
        // The server may have ended.
        if PgConnection::connect(&self.url).await.is_err() {
            _ = self.server.halt();
            self.server.start_again()?;
        }
        Ok(())
    }

    async fn write_ahead(&self) -> Result<(), BoxError> {
        sqlx::raw_sql("SELECT pg_switch_wal(); SELECT txid_current()").execute(&mut self.sql().await?).await?;
        Ok(())
    }

    /// Restores a backup made in the middle of the fault.
    async fn restore(&mut self, lasting: Duration) -> Result<(), BoxError> {
        let directory = self.server.directory().ok_or("the server was not started here")?.to_owned();
        let (data, backup) = (directory.join("data"), directory.join("backup"));
        let copy = |from: &std::path::Path, to: &std::path::Path| {
            Command::new("cp").arg("-a").arg(from).arg(to).status().map(|status| status.success())
        };
        let world = self.world.clone();
        let quiet = world.quiet.write().await;
        world.settle().await?;
        let remembered = world.remember();
        self.server.halt()?;
        copy(&data, &backup)?;
        self.server.start_again()?;
        drop(quiet);
        sleep(lasting / 2).await;

        let quiet = world.quiet.write().await;
        world.settle().await?;
        let begun = now();
        self.server.halt()?;
        std::fs::remove_dir_all(&data)?;
        std::fs::rename(&backup, &data)?;
        self.server.start_again()?;
        // The backup is in force as soon as it can be read.
        while PgConnection::connect(&self.url).await.is_err() {}
        world.set_back(remembered, begun, now());
        drop(quiet);
        sleep(lasting / 2).await;
        Ok(())
    }
}
