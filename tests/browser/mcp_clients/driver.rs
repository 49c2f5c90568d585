//! The clients, each behind a script that reads commands and answers in JSON.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const REQUIRED: &str = "KEYWARD_REQUIRE_TOOLS";
/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client, by its package and major version.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Client {
    Python1,
    Python2,
    TypeScript1,
    TypeScript2,
    Inspector,
}

impl Client {
    /// Returns the package of the client, and its version.
    pub(super) fn package(self) -> (&'static str, &'static str) {
        match self {
            Self::Python1 => ("mcp", "1.30.0"),
            Self::Python2 => ("mcp", "2.3.0"),
            Self::TypeScript1 => ("@modelcontextprotocol/sdk", "1.32.2"),
            Self::TypeScript2 => ("@modelcontextprotocol/client", "2.4.0"),
            Self::Inspector => ("@modelcontextprotocol/inspector", "2.12.0"),
        }
    }

    /// Returns whether it keeps a connection from one command to the next.
    pub(super) fn is_connected(self) -> bool {
        self != Self::Inspector
    }

    /// Returns whether its connection is over at an HTTP error, such as a 403.
    pub(super) fn ends_at_errors(self) -> bool {
        self == Self::Python1
    }

    /// Returns the command that runs its script; `None` if it is not installed.
    fn command(self) -> Option<Command> {
        let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("mcp-clients");
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/mcp_clients");
        let (package, version) = self.package();
        let modules = installed.join("node/node_modules");
        let program = match self {
            Self::Python1 => installed.join("python1/bin/python"),
            Self::Python2 => installed.join("python2/bin/python"),
            _ => PathBuf::from("node"),
        };
        let is_installed = match self {
            Self::Python1 | Self::Python2 => {
                let environment = program.ancestors().nth(2).unwrap();
                has_distribution(&environment.join("lib"), &format!("{package}-{version}.dist-info"))
            }
            _ => std::fs::read(modules.join(package).join("package.json")).is_ok_and(|text| {
                serde_json::from_slice::<Value>(&text).is_ok_and(|package| package["version"] == version)
            }),
        };
        if !is_installed {
            assert!(
                std::env::var(REQUIRED).as_deref() != Ok("1"),
                "{package} {version} is missing, and {REQUIRED} is 1"
            );
            eprintln!("SKIPPED: a test of an MCP client: {package} {version} is not in {}", installed.display());
            return None;
        }
        let mut command = Command::new(program);
        match self {
            Self::Python1 | Self::Python2 => command.arg(scripts.join("python.py")),
            Self::TypeScript1 => command.arg(scripts.join("typescript.mjs")).arg(modules).arg("sdk"),
            Self::TypeScript2 => command.arg(scripts.join("typescript.mjs")).arg(modules).arg("client"),
            Self::Inspector => command.arg(scripts.join("inspector.mjs")).arg(modules.join(".bin/mcp-inspector")),
        };
        Some(command)
    }
}

fn has_distribution(lib: &Path, name: &str) -> bool {
    let pythons = std::fs::read_dir(lib).into_iter().flatten().flatten();
    pythons.into_iter().any(|python| python.path().join("site-packages").join(name).exists())
}

/// A running script. It is killed when this is dropped.
pub(super) struct Driver {
    client: Client,
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _home: TempDir,
}

impl Driver {
    /// Starts the script; `None` if the client is not installed.
    pub(super) fn start(client: Client) -> Option<Self> {
        let home = TempDir::new().unwrap();
        let mut command = client.command()?;
        command.env("TMPDIR", home.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { client, _child: child, stdin, lines: BufReader::new(stdout).lines(), _home: home })
    }

    /// Connects with a token. Returns the revision that was agreed on, or the text that a user sees.
    pub(super) async fn connect(&mut self, url: &str, revision: &str, token: Option<&str>) -> Result<Value, String> {
        self.send(json!({"do": "connect", "url": url, "revision": revision, "token": token})).await
    }

    /// Sends another command, which has no arguments: `list`, `seen` or `close`.
    pub(super) async fn run(&mut self, command: &str) -> Result<Value, String> {
        self.send(json!({"do": command})).await
    }

    /// Sends this token from now on, in the same connection.
    pub(super) async fn use_token(&mut self, token: &str) {
        self.send(json!({"do": "use", "token": token})).await.unwrap();
    }

    /// Calls a tool. Returns the text of its result, or the text that a user sees.
    pub(super) async fn call(&mut self, tool: &str) -> Result<String, String> {
        self.call_with(tool, json!({})).await
    }

    /// Calls a tool with arguments. Returns the same as [`call`](Self::call).
    pub(super) async fn call_with(&mut self, tool: &str, arguments: Value) -> Result<String, String> {
        let result = self.send(json!({"do": "call", "name": tool, "arguments": arguments})).await?;
        let text = result["text"].as_str().unwrap().to_owned();
        if result["failed"] == true { Err(text) } else { Ok(text) }
    }

    async fn send(&mut self, command: Value) -> Result<Value, String> {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{:?} does not answer {command}", self.client));
        let answer: Value = serde_json::from_str(&line.unwrap().expect("the script goes on")).unwrap();
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(answer["ok"].clone()),
        }
    }
}
