//! Sends every case to a server and judges its responses.

use super::cases;
use super::framing::{self, End};
use super::wire::Wire;
use std::net::SocketAddr;

/// Sends each case on its own connection and asserts that its status is one of those accepted.
pub fn try_all(address: SocketAddr, strong: &str) {
    let mut wrong = Vec::new();
    for case in cases::all(strong) {
        let mut wire = Wire::about(case.name, address);
        let answers = wire.send(&case.bytes).answers();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        let allowed = |status: &u16| case.allowed.contains(status);
        if !statuses.iter().all(allowed) || (statuses.is_empty() && !allowed(&0)) {
            wrong.push(format!("{}: {statuses:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A request whose end is ambiguous: its first line, whether it has a credential, and its status if its end is clear.
pub struct Outer {
    pub line: &'static str,
    pub known: bool,
    pub answered: u16,
}

/// Sends two requests at once and asserts that the second is judged as the request it is, or not answered. Returns how often a
/// second request was accepted.
pub fn try_framings(address: SocketAddr, strong: &str, outers: &[Outer]) -> u32 {
    let (mut wrong, mut came_in) = (Vec::new(), 0);
    for (outer, known) in outers.iter().flat_map(|outer| [(outer, true), (outer, false)]) {
        let credential = |known: bool| if known { framing::authorization(strong) } else { String::new() };
        let next = format!("GET /admin/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n", credential(known));
        for case in framing::all(next.len(), strong) {
            let Outer { line, answered, .. } = *outer;
            let head = format!("{line}\r\nHost: x\r\n{}{}\r\n{}", credential(outer.known), case.headers, case.body);
            let mut wire = Wire::about(case.name, address);
            wire.send((head + &next).as_bytes());
            if case.end == End::AfterTheNext {
                wire.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            }
            let statuses: Vec<u16> = wire.answers().iter().map(|a| a.status).filter(|status| *status != 100).collect();
            let as_it_should = match (case.end, &statuses[..]) {
                (End::BeforeTheNext, [first, next]) => *first == answered && *next == if known { 200 } else { 401 },
                // The body of a rejected request is not read to its end.
                (End::AfterTheNext, [first]) => *first == answered && answered == 401,
                (End::AfterTheNext, [first, last]) => *first == answered && *last == 404,
                // The invalid part may come after the response.
                (End::Nowhere, [only]) => [answered, 400].contains(only),
                (End::Nowhere, []) => true,
                _ => false,
            };
            if !as_it_should {
                wrong.push(format!("{line}, {}, known {known}: {statuses:?}", case.name));
            }
            came_in += u32::from(case.end == End::BeforeTheNext && known);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    came_in
}
