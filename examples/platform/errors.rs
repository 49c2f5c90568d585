//! Errors of the start: the problem, the cause and the remedy on one line.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

/// Describes why an address could not be bound, with a remedy.
pub(crate) fn bind_error(address: SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "stop the program that listens there, or choose another port with --listen",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address, choose one that it has with --listen",
        io::ErrorKind::PermissionDenied => "choose a port above 1023 with --listen",
        _ => "choose another address with --listen",
    };
    format!("cannot listen on {address}: {error}: {advice}")
}

/// Writes an error and its causes on one line. A cause that is part of the text already is left out.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}
