//! Secrets from files, from standard input, or typed on a terminal.

use crate::failure::Failure;
use std::cell::Cell;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;

/// Standard input, which one argument may read.
#[derive(Default)]
pub(crate) struct StandardInput {
    taken_by: Cell<Option<&'static str>>,
}

impl StandardInput {
    /// Reads a secret for this argument: from a file; with `-` a line of standard input, which a terminal does not show.
    pub(crate) fn secret(&self, argument: &'static str, file: &Path) -> Result<String, Failure> {
        if file != Path::new("-") {
            return read_file(argument, file);
        }
        self.take(argument)?;
        let stdin = io::stdin();
        let mut line = String::new();
        let read = if stdin.is_terminal() {
            eprint!("{}: ", argument.trim_start_matches('-').trim_end_matches("-file").replace('-', " "));
            let hidden = HiddenTyping::start();
            let read = stdin.lock().read_line(&mut line);
            drop(hidden);
            eprintln!();
            read
        } else {
            stdin.lock().read_line(&mut line)
        };
        read.map_err(|error| Failure::usage(format!("{argument}: standard input: {error}")))?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Reads all of a file, or of standard input with `-`, for this argument.
    pub(crate) fn text(&self, argument: &'static str, file: &Path) -> Result<String, Failure> {
        if file != Path::new("-") {
            return read_file(argument, file);
        }
        self.take(argument)?;
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| Failure::usage(format!("{argument}: standard input: {error}")))?;
        Ok(text)
    }

    fn take(&self, argument: &'static str) -> Result<(), Failure> {
        match self.taken_by.replace(Some(argument)) {
            Some(other) => Err(Failure::usage(format!("{other} and {argument} both read standard input: name a file"))),
            None => Ok(()),
        }
    }
}

/// Editors and `echo` end a file with a line break. Errors never show the content.
fn read_file(argument: &str, file: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(Failure::usage(format!("{argument}: {} cannot be read: {error}", file.display()))),
    }
}

/// Stops the terminal from showing what is typed, until it is dropped.
#[cfg(unix)]
struct HiddenTyping(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl HiddenTyping {
    fn start() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let stdin = io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        match tcsetattr(&stdin, OptionalActions::Flush, &hidden) {
            Ok(()) => Self(Some(before)),
            Err(_) => Self(None),
        }
    }
}

#[cfg(unix)]
impl Drop for HiddenTyping {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

/// Elsewhere the terminal shows what is typed.
#[cfg(not(unix))]
struct HiddenTyping;

#[cfg(not(unix))]
impl HiddenTyping {
    fn start() -> Self {
        Self
    }
}
