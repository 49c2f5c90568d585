//! Errors at the start: the place, the cause and the remedy on one line.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

/// Says why an address could not be bound, and what helps.
pub(crate) fn not_bound(address: SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "stop the program that listens there, or choose another port with --listen",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address, choose one that it has with --listen",
        io::ErrorKind::PermissionDenied => "choose a port above 1023 with --listen",
        _ => "choose another address with --listen",
    };
    format!("cannot listen on {address}: {error}: {advice}")
}

/// Writes an error and its causes on one line. A cause that an error above it has named already is left out.
pub(crate) fn on_one_line(error: &(dyn Error + 'static)) -> String {
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
