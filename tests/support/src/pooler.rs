//! PgBouncer for tests.

use crate::postgres::{shared_server, unprivileged, write_private};
use crate::process::{free_port, wait_until};
use crate::skip;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

/// A PgBouncer in front of the shared server.
pub struct Pooler {
    program: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Pooler {
    /// Starts a pooler in this mode that uses its server sessions round robin. Returns `None` and prints a message if this machine
    /// has no PgBouncer.
    pub fn start(mode: &str) -> Option<Self> {
        Self::start_with(mode, true)
    }

    pub fn start_with(mode: &str, round_robin: bool) -> Option<Self> {
        let server = shared_server()?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
        let program = places.map(|place| place.join("pgbouncer")).find(|program| program.exists());
        let Some(program) = program else {
            skip("tests behind a pooler", "pgbouncer is neither in PATH nor in /usr/sbin");
            return None;
        };
        let directory = tempfile::Builder::new().prefix("keyward-pgbouncer-").tempdir().unwrap();
        std::process::Command::new("chmod").arg("755").arg(directory.path()).status().unwrap();
        let port = free_port().unwrap();
        let (users, settings) = (directory.path().join("users"), directory.path().join("settings"));
        write_private(&users, "\"keyward\" \"\"\n").unwrap();
        // At least three sessions per database: round robin, two transactions in a row never use the same session.
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\n\
             unix_socket_dir=\nauth_type=trust\nauth_file={}\npool_mode={mode}\nmax_client_conn=1000\n\
             default_pool_size=20\nmin_pool_size=3\nserver_round_robin={}\nserver_idle_timeout=5\n",
            port_of(server.url()),
            users.display(),
            u8::from(round_robin)
        );
        write_private(&settings, &text).unwrap();
        let mut pooler = Self { program, directory, port, child: None };
        pooler.restart();
        Some(pooler)
    }

    pub fn restart(&mut self) {
        let mut command = unprivileged(&self.program);
        command.arg(self.directory.path().join("settings")).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let up = || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        assert!(wait_until(Duration::from_secs(10), up), "the pooler does not start");
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Returns the address of a database through this pooler.
    pub fn url(&self, database: &str) -> String {
        database.replacen(&format!(":{}", port_of(database)), &format!(":{}", self.port), 1)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the port of an address that has one.
fn port_of(url: &str) -> &str {
    url.rsplit('@').next().and_then(|rest| rest.split('/').next()?.rsplit(':').next()).unwrap()
}
