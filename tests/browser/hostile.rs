//! Hostile requests against the example platform. `tests/guard/hostile` sends the same to a server in the test process.

use keyward_test_support::hostile::{Outer, try_all, try_framings};
use keyward_test_support::platform::{Server, platform};

#[test]
fn platform_is_not_open_to_request_smuggling() {
    let dir = tempfile::TempDir::new().unwrap();
    let server = Server::start(platform(&dir.path().join("platform.db")));
    let address = server.url().strip_prefix("http://").unwrap().parse().unwrap();
    let outers = [
        Outer { line: "POST /admin/ping HTTP/1.1", known: false, answered: 401 },
        Outer { line: "POST /admin/ping HTTP/1.1", known: true, answered: 405 },
        Outer { line: "POST /ping HTTP/1.1", known: false, answered: 405 },
    ];
    try_framings(address, server.secret("ROOT"), &outers);
}

#[test]
fn hostile_requests_reach_no_handler_of_the_platform() {
    let dir = tempfile::TempDir::new().unwrap();
    // Demo data is served through proxies only with a flag, and some of these requests claim to come from one.
    let mut command = platform(&dir.path().join("platform.db"));
    command.arg("--demo");
    let server = Server::start(command);
    let address = server.url().strip_prefix("http://").unwrap().parse().unwrap();
    let strong = server.secret("ROOT");
    try_all(address, strong);
    server.get("/admin/ping", strong).assert(200);
}
