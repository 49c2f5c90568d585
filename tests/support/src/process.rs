//! Signals, ports, and waiting for other processes.

use std::process::Command;
use std::time::{Duration, Instant};

/// Sends a signal to a process.
pub fn send_signal(pid: u32, name: &str) {
    _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
}

/// Returns a TCP port that is free now.
///
/// # Errors
///
/// If the system has none.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until `done` returns true, and returns whether it did within `limit`.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < limit {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
