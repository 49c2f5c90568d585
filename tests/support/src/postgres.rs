//! PostgreSQL servers and databases for tests.
//!
//! Tests of one program share a server ([`shared_server`]) and have a database each ([`create_database`]). A server that is started
//! here stops when the program ends, also if the program is killed.

use crate::process::free_port;
use crate::skip;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names the environment variable with the server to use instead of starting one: `postgres://user@host/database`. Its user must be
/// allowed to create databases.
pub const VARIABLE: &str = "KEYWARD_TEST_POSTGRES";

/// Returns the server that the tests of this program share. `None`, with a message, if this machine has no PostgreSQL.
pub fn shared_server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| match Server::find_or_start() {
        Ok(server) => Some(server),
        Err(why) => {
            skip("tests on PostgreSQL", &format!("{why}; or set {VARIABLE} to an address"));
            None
        }
    });
    server.as_ref()
}

/// Creates an empty database on the shared server and returns its address.
pub async fn create_database() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = shared_server()?;
    let name = format!("keyward_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(server.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    Some(server.url_of(&name))
}

/// A server that stops when the program ends, also if the program is killed.
#[derive(Debug)]
pub struct Server {
    url: String,
    /// Set if the server was started here.
    home: Option<Home>,
}

#[derive(Debug)]
struct Home {
    programs: PathBuf,
    directory: PathBuf,
    options: String,
    /// A process that waits for the end of its input, which is the end of this program, and then stops the server.
    _cleaner: Child,
}

impl Server {
    /// Returns the server that the environment names, or starts one.
    pub fn find_or_start() -> Result<Self, String> {
        if let Ok(url) = std::env::var(VARIABLE) {
            return Ok(Self { url, home: None });
        }
        Self::start(&[])
    }

    /// Starts a server with additional settings.
    pub fn start(settings: &[&str]) -> Result<Self, String> {
        Self::start_with(settings, &[])
    }

    /// Starts a server on a disk of this many megabytes, which is in memory. Needs root.
    pub fn start_on_small_disk(megabytes: u32, settings: &[&str]) -> Result<Self, String> {
        let directory = directory()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "keyward"]).arg(&directory);
        if let Err(why) = run(&mut mount) {
            _ = std::fs::remove_dir(&directory);
            return Err(why);
        }
        give(&directory)?;
        Self::start_in(directory, settings, &[])
    }

    /// Starts a server with additional files in its data directory, readable by the server only, such as certificates.
    pub fn start_with(settings: &[&str], files: &[(&str, &str)]) -> Result<Self, String> {
        Self::start_in(directory()?, settings, files)
    }

    fn start_in(directory: PathBuf, settings: &[&str], files: &[(&str, &str)]) -> Result<Self, String> {
        let programs = find_programs()?;
        let data = directory.join("data");
        let mut init = unprivileged(&programs.join("initdb"));
        init.args(["--no-sync", "--auth=trust", "--username=keyward", "--encoding=UTF8", "--locale=C.UTF-8", "-D"]);
        run(init.arg(&data))?;
        for (name, content) in files {
            write_private(&data.join(name), content)?;
        }
        Self::launch(programs, directory, settings)
    }

    /// Starts a replica that follows this server, with additional settings.
    pub fn replica(&self, settings: &[&str]) -> Result<Self, String> {
        let programs = find_programs()?;
        let directory = directory()?;
        let mut copy = unprivileged(&programs.join("pg_basebackup"));
        copy.args(["--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "-d", &self.url]);
        run(copy.arg("-D").arg(directory.join("data")))?;
        Self::launch(programs, directory, settings)
    }

    fn launch(programs: PathBuf, directory: PathBuf, settings: &[&str]) -> Result<Self, String> {
        let port = free_port().map_err(text)?;
        let mut options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c max_connections=300",
            directory.display()
        );
        for setting in settings {
            options += &format!(" -c {setting}");
        }
        start(&programs, &directory, &options)?;
        let (stop, gone) = (unprivileged(&programs.join("pg_ctl")), directory.display().to_string());
        let stop = std::iter::once(stop.get_program())
            .chain(stop.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ");
        // A server stopped by SIGSTOP does not react to a shutdown, so it is continued first.
        let script = format!(
            "cat >/dev/null; kill -CONT $(head -n 1 {gone}/data/postmaster.pid); \
             {stop} stop -m immediate -D {gone}/data; umount -l {gone} 2>/dev/null; rm -rf {gone}"
        );
        let mut cleaner = Command::new("setsid");
        cleaner.args(["sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let cleaner = cleaner.spawn().map_err(text)?;
        let url = format!("postgres://keyward@127.0.0.1:{port}/postgres");
        Ok(Self { url, home: Some(Home { programs, directory, options, _cleaner: cleaner }) })
    }

    /// Ends the server as a power cut would.
    pub fn halt(&self) -> Result<(), String> {
        let home = self.home()?;
        run(unprivileged(&home.programs.join("pg_ctl"))
            .args(["stop", "-m", "immediate", "-D"])
            .arg(home.directory.join("data")))
    }

    /// Starts the server again on the same data.
    pub fn start_again(&self) -> Result<(), String> {
        let home = self.home()?;
        start(&home.programs, &home.directory, &home.options)
    }

    fn home(&self) -> Result<&Home, String> {
        self.home.as_ref().ok_or_else(|| "the server was not started here: it is not stopped".into())
    }

    /// Returns the address of its first database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address of another database on this server.
    pub fn url_of(&self, database: &str) -> String {
        let (head, query) = self.url.split_once('?').map_or((&*self.url, None), |(head, query)| (head, Some(query)));
        let host = head.rsplit_once('/').map_or(head, |(host, _)| host);
        query.map_or_else(|| format!("{host}/{database}"), |query| format!("{host}/{database}?{query}"))
    }

    /// Returns the id of its first process, if the server was started here.
    pub fn pid(&self) -> Option<u32> {
        let file = std::fs::read_to_string(self.directory()?.join("data/postmaster.pid")).ok()?;
        file.lines().next()?.parse().ok()
    }

    /// Returns its directory, if the server was started here.
    pub fn directory(&self) -> Option<&Path> {
        self.home.as_ref().map(|home| &*home.directory)
    }
}

fn start(programs: &Path, directory: &Path, options: &str) -> Result<(), String> {
    let mut start = unprivileged(&programs.join("pg_ctl"));
    start.args(["start", "-w", "-t", "60", "-D"]).arg(directory.join("data"));
    run(start.arg("-l").arg(directory.join("log")).arg("-o").arg(options))
}

/// Returns the directory of PostgreSQL's programs: one in PATH, or the newest of Debian's.
pub fn find_programs() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let mut debian: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    debian.sort();
    let mut places = std::env::split_paths(&path).chain(debian.into_iter().rev());
    places
        .find(|place| ["initdb", "pg_ctl", "pg_basebackup"].iter().all(|program| place.join(program).exists()))
        .ok_or_else(|| "PostgreSQL's initdb is neither in PATH nor in /usr/lib/postgresql".to_owned())
}

/// Creates a directory for one server.
fn directory() -> Result<PathBuf, String> {
    let directory = tempfile::Builder::new().prefix("keyward-postgres-").tempdir().map_err(text)?.keep();
    give(&directory)?;
    Ok(directory)
}

/// Writes a file that only the server may read.
pub fn write_private(path: &Path, content: &str) -> Result<(), String> {
    std::fs::write(path, content).map_err(text)?;
    run(Command::new("chmod").arg("600").arg(path))?;
    give(path)
}

/// Gives a file to the user of the server: PostgreSQL does not run as root.
fn give(path: &Path) -> Result<(), String> {
    if is_root() { run(Command::new("chown").arg("postgres").arg(path)) } else { Ok(()) }
}

/// Returns a command that runs a program as a user who is not root.
pub fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"))
}

fn run(command: &mut Command) -> Result<(), String> {
    // pg_ctl passes its output on to the server, so a pipe would not end: use a file.
    let said = tempfile::NamedTempFile::new().map_err(text)?;
    let (out, err) = (said.reopen().map_err(text)?, said.reopen().map_err(text)?);
    let status = command.current_dir("/").stdin(Stdio::null()).stdout(out).stderr(err).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("{command:?} failed: {}", std::fs::read_to_string(said.path()).unwrap_or_default())),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
