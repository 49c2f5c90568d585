//! Starts the proxies, and keyward and the service behind them.

use super::rules;
use super::service::{Request, Service};
use super::wire::{self, Answer};
use axum::Router;
use keyward::forward_auth::{self, Rules};
use keyward::guard::ProxyHeader;
use keyward::testing::{Key, World};
use keyward::token::{ContentAccess, Secret};
use keyward::{Builder, NewContentToken};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The environment variable that is 1 where a missing program must fail tests instead of skipping them.
const REQUIRED: &str = "KEYWARD_REQUIRE_TOOLS";
const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const SCRIPT: &str = include_str!("../../../examples/forward_auth/keyward.lua");
/// The address of clients, which is no proxy's.
const CLIENT: [u8; 4] = [127, 0, 0, 7];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Nginx,
    Caddy,
    Haproxy,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
        }
    }

    /// Returns the configuration of the example, and the file that it is in.
    fn configuration(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx => ("nginx.conf", include_str!("../../../examples/forward_auth/nginx.conf")),
            Self::Caddy => ("Caddyfile", include_str!("../../../examples/forward_auth/Caddyfile")),
            Self::Haproxy => ("haproxy.cfg", include_str!("../../../examples/forward_auth/haproxy.cfg")),
        }
    }

    fn rules(self) -> Rules {
        match self {
            Self::Nginx => Rules::nginx(),
            Self::Caddy => Rules::caddy(),
            Self::Haproxy => Rules::haproxy(),
        }
    }

    pub(super) fn program(self) -> Option<PathBuf> {
        let name = self.name();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
        let found = places.map(|place| place.join(name)).find(|file| file.is_file());
        if found.is_none() {
            assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "{name} is missing, and {REQUIRED} is 1");
            eprintln!("SKIPPED: a test of forward authentication: {name} is missing");
        }
        found
    }

    fn command(self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        let file = dir.join(self.configuration().0);
        match self {
            Self::Nginx => {
                command.arg("-p").arg(dir).args(["-e", "stderr", "-g", "master_process off;", "-c"]).arg(file)
            }
            Self::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file),
            Self::Haproxy => command.args(["-db", "-f"]).arg(file),
        };
        for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(variable, dir);
        }
        command
    }
}

/// keyward with the rules of the example, and the service.
pub(super) struct Setting {
    pub(super) kind: Kind,
    pub(super) world: World,
    answers: SocketAddr,
    /// Serves the answers. Connections end with it.
    runtime: Mutex<Option<Runtime>>,
    service: Service,
}

impl Setting {
    pub(super) async fn start(kind: Kind) -> Self {
        Self::with(kind, |builder| builder).await
    }

    /// Starts an installation with other settings.
    pub(super) async fn with(kind: Kind, settings: impl FnOnce(Builder) -> Builder) -> Self {
        let trusting = |builder: Builder| builder.trusted_proxies(["127.0.0.1"], ProxyHeader::XForwardedFor);
        let world = World::with(|builder| settings(trusting(builder)));
        let answers = forward_auth::router(&world.keyward, rules::add(kind.rules())).unwrap();
        let router = Router::new().nest_service(&format!("/{}", kind.name()), answers);
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bound = runtime.spawn(TcpListener::bind("127.0.0.1:0"));
        let listener = bound.await.unwrap().unwrap();
        let answers = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        let runtime = Mutex::new(Some(runtime));
        Self { kind, world, answers, runtime, service: Service::start().await }
    }

    /// Returns the address at which keyward answers.
    pub(super) fn answers(&self) -> SocketAddr {
        self.answers
    }

    /// Stops the answers, and waits until nothing listens there.
    pub(super) fn stop_answers(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
        while std::net::TcpStream::connect(self.answers).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) async fn service_key<const N: usize>(&self, actions: [&str; N]) -> Secret {
        let new = NewContentToken::new(format!("key {actions:?}"), ContentAccess::only(actions));
        self.world.keyward.tokens().issue_content(new).await.unwrap().secret
    }

    pub(super) async fn admin_key(&self, action: &str) -> Key {
        self.world.editor().with(action).issue().await
    }

    /// Sends a request through the proxy, and returns the answer and the requests that have reached the service.
    pub(super) async fn send(&self, proxy: &Proxy, line: &str, headers: &[&str]) -> (Answer, Vec<Request>) {
        self.send_body(proxy, line, headers, "").await
    }

    pub(super) async fn send_body(
        &self,
        proxy: &Proxy,
        line: &str,
        headers: &[&str],
        body: &str,
    ) -> (Answer, Vec<Request>) {
        let answer = wire::send(CLIENT, proxy.address, line, headers, body).await;
        (answer, self.service.take())
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        self.stop_answers();
    }
}

/// A running proxy. It is killed when this is dropped.
pub(super) struct Proxy {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Proxy {
    /// Starts a proxy with the configuration of the example, at other addresses.
    pub(super) fn start(kind: Kind, program: &Path, setting: &Setting) -> Self {
        Self::with_script(kind, program, setting, SCRIPT)
    }

    /// Starts a proxy with another script than that of the example. Only HAProxy runs it.
    pub(super) fn with_script(kind: Kind, program: &Path, setting: &Setting, script: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let port = keyward_test_support::process::free_port().unwrap();
        let (name, text) = kind.configuration();
        let mut text = text.to_owned();
        for (written, real) in [
            ("127.0.0.1:9000", setting.answers.to_string()),
            ("127.0.0.1:9001", setting.service.address.to_string()),
            (":8080", format!(":{port}")),
        ] {
            assert!(text.contains(written), "{name} has no {written}");
            text = text.replace(written, &real);
        }
        std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::write(dir.path().join("keyward.lua"), script).unwrap();
        let said = dir.path().join("said");
        let output = || Stdio::from(File::options().create(true).append(true).open(&said).unwrap());
        let mut command = kind.command(program, dir.path());
        let mut child = command.stdin(Stdio::null()).stdout(output()).stderr(output()).spawn().unwrap();
        let (address, began) = (SocketAddr::from(([127, 0, 0, 1], port)), Instant::now());
        while std::net::TcpStream::connect(address).is_err() {
            let said = || std::fs::read_to_string(&said).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "{name}: the proxy has ended: {}", said());
            assert!(began.elapsed() < PATIENCE, "{name}: the proxy does not listen: {}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address, _dir: dir }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
