//! Runs the program on a database of its own.

use keyward::testing::HASH_KEY;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The variables of the program, which a test sets itself.
const VARIABLES: [&str; 10] = [
    "KEYWARD_DATABASE",
    "KEYWARD_HASH_KEY",
    "KEYWARD_HASH_KEY_FILE",
    "KEYWARD_SALT",
    "KEYWARD_ENCRYPTION_KEY",
    "KEYWARD_ENCRYPTION_KEY_FILE",
    "KEYWARD_STRAPI_HASH_KEY",
    "API_TOKEN_SALT",
    "ENCRYPTION_KEY",
    "STRAPI_DATABASE",
];

/// The program, on a database that it has created, in a directory of its own.
pub(crate) struct Tool {
    directory: TempDir,
    database: String,
}

/// What a run of the program left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Tool {
    /// Returns the program on a file that does not exist yet.
    pub(crate) fn without_database() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", directory.path().join("keys.db").display());
        Self { directory, database }
    }

    /// Returns the program on an existing database.
    pub(crate) fn on(database: String) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), database }
    }

    /// Creates a database with a super admin, `ada@example.test`.
    pub(crate) fn new() -> Self {
        let tool = Self::without_database();
        tool.done(&["init", "--admin", "ada@example.test"]);
        tool
    }

    /// Adds a service `ci` whose role `Deployer` allows `deployments.create` and `deployments.read`.
    pub(crate) fn with_service(self) -> Self {
        self.done(&["role", "create", "Deployer", "--allow", "deployments.create", "--allow", "deployments.read"]);
        self.done(&["owner", "create", "--service", "ci", "--role", "Deployer"]);
        self
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the path of the file.
    pub(crate) fn file(&self) -> &Path {
        Path::new(self.database.strip_prefix("sqlite:").unwrap())
    }

    /// Returns the program with the settings of the database.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command.env("KEYWARD_DATABASE", &self.database).env("KEYWARD_HASH_KEY", HASH_KEY).current_dir(&self.directory);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// Runs the program with this text as its standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs the program and returns its standard output without the last line break. It must succeed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout.trim_end().to_owned()
    }

    /// Runs the program with `--json`. It must succeed.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.done(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// Runs the program, which must fail with this code, and returns its sentence.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        self.run(arguments).failed(code)
    }
}

/// Returns the program without settings.
pub(crate) fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> Ran {
    command.output().unwrap().into()
}

impl From<Output> for Ran {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Ran {
    /// Asserts that the run failed with this code, and returns its sentence.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        let Self { code: was, stdout, stderr } = self;
        assert_eq!((was, stdout.as_str()), (code, ""), "{stderr}");
        assert!(stderr.contains("error: "), "{stderr}");
        stderr
    }
}
