//! The memory of concurrent sign-ins.

use super::fresh;
use keyward_test_support::platform::Server;
use serde_json::json;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns the resident memory of the process in KiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends sixty sign-ins at once. Each client retries while the server asks for it.
fn sixty_at_once(server: &Server) {
    let (start, wrong) = (Barrier::new(60), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for n in 0..60 {
            let (start, wrong) = (&start, &wrong);
            scope.spawn(move || {
                let body = json!({"email": format!("{n}@example.test"), "password": "Guess-1234"}).to_string();
                start.wait();
                loop {
                    match server.send("POST", "/admin/login", &["Content-Type: application/json"], &body).status {
                        503 => {}
                        400 => {
                            wrong.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        429 => break,
                        other => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner(), 50, "the limit of hashed guesses per address");
}

#[test]
#[cfg(target_os = "linux")]
fn sixty_concurrent_sign_ins_use_two_hash_buffers() {
    let (_dir, server) = fresh();
    let before = resident(&server);
    sixty_at_once(&server);
    let grown = resident(&server).saturating_sub(before);
    println!("from {before} KiB by {grown} KiB");
    assert!(grown <= 2 * 19 * 1024 + 20_000_000 / 1024, "from {before} KiB by {grown} KiB");
}
