//! Chromium, controlled through chromedriver.

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The environment variable that is 1 where a missing browser must fail tests instead of skipping them.
const REQUIRED: &str = "KEYWARD_REQUIRE_BROWSER";

/// Chromium resolves names of this machine only. `keys.lan` is a name that browsers trust no more than one of a local network.
const FLAGS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--lang=en-US",
    "--window-size=1280,900",
    "--host-resolver-rules=MAP keys.lan 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

/// Prints that a program is missing, or fails if it must not be.
pub(crate) fn missing(what: &str) {
    assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "{what} is missing, and {REQUIRED} is 1");
    eprintln!("SKIPPED: a test in a browser: {what} is missing");
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().flat_map(|name| places.iter().map(move |place| place.join(name))).find(|file| file.is_file())
}

/// A running chromedriver. It is killed when this is dropped.
pub(crate) struct Driver {
    child: Child,
    port: u16,
    chromium: PathBuf,
}

impl Driver {
    /// Starts chromedriver. `None`, with a message, if this machine has no browser.
    pub(crate) fn start() -> Option<Self> {
        let chromium = program(&["chromium", "chromium-browser", "google-chrome"]);
        let (Some(chromium), Some(chromedriver)) = (chromium, program(&["chromedriver"])) else {
            missing("Chromium or chromedriver");
            return None;
        };
        let mut command = Command::new(chromedriver);
        let mut child = command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let port = line.split_once("started successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, port: port.expect("a port of chromedriver's"), chromium })
    }

    /// Opens a browser with an empty profile.
    pub(crate) async fn browser(&self) -> (Client, TempDir) {
        let profile = TempDir::new().unwrap();
        let data = format!("--user-data-dir={}", profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([data.as_str()]).collect();
        let wanted = json!({
            "goog:chromeOptions": {"binary": self.chromium, "args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let Value::Object(wanted) = wanted else { unreachable!() };
        let wanted: Capabilities = wanted;
        let address = format!("http://127.0.0.1:{}", self.port);
        let client = ClientBuilder::new(HttpConnector::new()).capabilities(wanted).connect(&address).await.unwrap();
        (client, profile)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Browsers of failed tests would outlive a killed chromedriver.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            _ = stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            _ = stream.read_to_end(&mut Vec::new());
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A command that only chromedriver has.
#[derive(Debug)]
pub(crate) struct Own {
    path: String,
    /// `None` for a GET, otherwise the body of a POST.
    body: Option<Value>,
}

impl Own {
    /// Returns the browser's log entries since the last call.
    pub(crate) fn log() -> Self {
        Self { path: "se/log".into(), body: Some(json!({"type": "browser"})) }
    }

    /// Sends a command of the developer tools.
    pub(crate) fn devtools(command: &str, parameters: Value) -> Self {
        Self { path: "goog/cdp/execute".into(), body: Some(json!({"cmd": command, "params": parameters})) }
    }

    /// Returns the accessible name of an element.
    pub(crate) fn label(element: &str) -> Self {
        Self { path: format!("element/{element}/computedlabel"), body: None }
    }
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        match &self.body {
            Some(body) => (http::Method::POST, Some(body.to_string())),
            None => (http::Method::GET, None),
        }
    }
}
