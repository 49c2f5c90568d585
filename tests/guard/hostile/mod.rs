//! Hostile requests, byte by byte, to a server in this process that counts the requests its handlers see.
//!
//! For every request here: no handler of a protected group runs without a principal, no response is a 5xx, and nothing hangs.

mod site;

use keyward_test_support::hostile::http2::{END_HEADERS, END_STREAM, Fate, Http2};
use keyward_test_support::hostile::{Outer, try_all, try_framings};
use site::Site;

#[test]
fn hostile_requests_reach_no_handler() {
    let site = Site::start();
    try_all(site.address, &site.strong);
    assert_eq!(site.entered.all(), 0);
    let answers = site.connect().send(&get("/admin/ping", &site.strong, "Connection: close\r\n")).answers();
    assert_eq!(answers.iter().map(|a| (a.status, &a.body[..])).collect::<Vec<_>>(), [(200, &b"in"[..])]);
    assert_eq!(site.entered.all(), 1, "the server counts accepted requests");
}

#[test]
fn requests_cannot_be_smuggled() {
    let site = Site::start();
    let came_in = try_framings(
        site.address,
        &site.strong,
        &[
            Outer { line: "POST /admin/body HTTP/1.1", known: false, answered: 401 },
            Outer { line: "POST /public/body HTTP/1.1", known: false, answered: 200 },
            Outer { line: "GET /admin/ping HTTP/1.1", known: false, answered: 401 },
            Outer { line: "DELETE /admin/ping HTTP/1.1", known: false, answered: 401 },
            Outer { line: "OPTIONS /admin/ping HTTP/1.1", known: false, answered: 401 },
            Outer { line: "TRACE /admin/ping HTTP/1.1", known: false, answered: 401 },
            Outer { line: "POST /admin/../ping HTTP/1.1", known: false, answered: 400 },
            Outer { line: "POST /nowhere HTTP/1.1", known: false, answered: 404 },
        ],
    );
    assert_eq!(site.entered.all(), came_in);
    let known = Outer { line: "POST /admin/body HTTP/1.1", known: true, answered: 200 };
    try_framings(site.address, &site.strong, &[known]);
}

fn get(path: &str, secret: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n{headers}\r\n").into_bytes()
}

fn anonymous(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}

/// A credential of one request does not count for the next request on the connection.
#[test]
fn requests_on_one_connection_are_judged_separately() {
    let site = Site::start();
    let strong = get("/admin/ping", &site.strong, "");
    let all = [
        anonymous("/admin/ping"),
        strong.clone(),
        anonymous("/admin/ping"),
        anonymous("/ping"),
        anonymous("/admin/ping"),
        strong,
    ];
    let expected = [401, 200, 401, 200, 401, 200];
    // One at a time.
    let mut wire = site.connect();
    for (request, status) in all.iter().zip(expected) {
        assert_eq!(wire.send(request).answer().unwrap().status, status);
    }
    // All at once.
    let mut wire = site.connect();
    wire.send(&all.concat());
    assert_eq!(expected.map(|_| wire.answer().unwrap().status), expected);
    // All at once, in pieces of any length.
    let mut wire = site.connect();
    for piece in all.concat().chunks(7) {
        wire.send(piece);
    }
    assert_eq!(expected.map(|_| wire.answer().unwrap().status), expected);
    assert_eq!(site.entered.all(), 6);
}

/// The bytes after the headers of a rejected request are its body, even if they look like a request.
#[test]
fn body_of_a_rejected_request_is_not_a_request() {
    let site = Site::start();
    let inside = get("/admin/ping", &site.strong, "");
    let head = format!("POST /admin/ping HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", inside.len());
    let chunked =
        format!("POST /admin/ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", inside.len());
    let after = b"GET /admin/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for request in
        [[head.as_bytes(), &inside, after].concat(), [chunked.as_bytes(), &inside, b"\r\n0\r\n\r\n", after].concat()]
    {
        let answers = site.connect().send(&request).answers();
        assert!(answers.iter().all(|answer| answer.status == 401) && answers.len() <= 2, "{answers:?}");
    }
    assert_eq!(site.entered.all(), 0);
}

/// A rejected client need not send its body, and the server does not wait for it.
#[test]
fn rejection_does_not_wait_for_the_body() {
    let site = Site::start();
    for headers in ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"] {
        for begun in ["", "1"] {
            let mut wire = site.connect();
            wire.send(format!("POST /admin/body HTTP/1.1\r\nHost: x\r\n{headers}\r\n{begun}").as_bytes());
            assert_eq!(wire.answer().unwrap().status, 401);
        }
    }
    assert_eq!(site.entered.all(), 0);
}

#[test]
fn rejected_client_gets_no_100_continue() {
    let site = Site::start();
    let ask = |authorization: &str| {
        let mut wire = site.connect();
        let headers = "Expect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n";
        wire.send(format!("POST /admin/body HTTP/1.1\r\nHost: x\r\n{headers}{authorization}\r\n").as_bytes());
        wire
    };
    let refused = ask("").answers();
    assert_eq!(refused.iter().map(|a| a.status).collect::<Vec<_>>(), [401], "and no 100 Continue before it");
    let mut welcome = ask(&format!("Authorization: Bearer {}\r\n", site.strong));
    assert_eq!(welcome.answer().unwrap().status, 100);
    let answer = welcome.send(b"body").answer().unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"4 bytes"[..]));
    assert_eq!(site.entered.all(), 1);
}

#[test]
fn web_socket_is_rejected_before_the_upgrade() {
    let site = Site::start();
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut wire = site.connect();
    wire.send(format!("GET /admin/socket HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    assert_eq!(wire.answer().unwrap().status, 401);
    // The connection still speaks HTTP: nothing was upgraded.
    assert_eq!(wire.send(&anonymous("/ping")).answer().unwrap().status, 200);
    assert_eq!(site.entered.all(), 0);
    assert_eq!(site.connect().send(&get("/admin/socket", &site.strong, headers)).answer().unwrap().status, 101);
    assert_eq!(site.entered.all(), 1);
}

/// A rejected tunnel or protocol upgrade stays HTTP: bytes that the client sent in advance are read as requests and judged.
#[test]
fn rejected_tunnel_stays_http() {
    let site = Site::start();
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    for (line, headers, refused) in [
        ("CONNECT x:80", "", 404),
        ("CONNECT /admin/ping", "", 401),
        ("CONNECT /admin/login", "", 401),
        ("GET /admin/socket", socket, 401),
        ("GET /admin/socket", h2c, 401),
        ("GET /nowhere", h2c, 404),
    ] {
        let tunnel = format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").into_bytes();
        let last = get("/admin/ping", &site.strong, "Connection: close\r\n");
        let answers = site.connect().send(&[tunnel, anonymous("/admin/ping"), last].concat()).answers();
        assert_eq!(answers.iter().map(|a| a.status).collect::<Vec<_>>(), [refused, 401, 200], "{line} {headers}");
    }
    assert_eq!(site.entered.all(), 6);
}

/// A client that disconnects at any point does not affect others.
#[test]
fn disconnecting_clients_leave_nothing_behind() {
    let site = Site::start();
    let whole = format!(
        "POST /admin/body HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 5\r\n\r\nhalf",
        site.strong
    );
    let cut: Vec<usize> = (0..whole.len()).step_by(9).collect();
    for at in &cut {
        site.connect().send(&whole.as_bytes()[..*at]);
    }
    let mut wire = site.connect();
    assert_eq!(wire.send(&anonymous("/ping")).answer().unwrap().status, 200);
    site.entered.all();
}

const GET: (&str, &str) = (":method", "GET");
const HTTP: (&str, &str) = (":scheme", "http");
const HOST: (&str, &str) = (":authority", "x");
const PING: (&str, &str) = (":path", "/admin/ping");

#[test]
fn http_2_is_judged_alike() {
    let site = Site::start();
    let bearer = format!("Bearer {}", site.strong);
    let authorization = ("authorization", bearer.as_str());
    let mut http2 = Http2::to(site.address);
    assert_eq!(http2.ask(&[GET, HTTP, HOST, PING]), Fate::Answered(401));
    assert_eq!(http2.ask(&[GET, HTTP, HOST, PING, authorization]), Fate::Answered(200));
    assert_eq!(
        http2.ask(&[GET, HTTP, HOST, PING]),
        Fate::Answered(401),
        "the credential of the request before does not count"
    );
    assert_eq!(http2.ask(&[GET, HTTP, HOST, (":path", "/ping")]), Fate::Answered(200));
    assert_eq!(http2.ask(&[GET, HTTP, HOST, PING, authorization, authorization]), Fate::Answered(401));
    // Many at once: each is judged by its own credential.
    let streams: Vec<(bool, u32)> = (0..50)
        .map(|i| {
            let fields = [GET, HTTP, HOST, PING, authorization];
            (i % 3 == 0, http2.open(&fields[..if i % 3 == 0 { 5 } else { 4 }], END_HEADERS | END_STREAM))
        })
        .collect();
    for (known, stream) in streams {
        assert_eq!(http2.fate(stream), Fate::Answered(if known { 200 } else { 401 }));
    }
    assert_eq!(site.entered.all(), 1 + 17);
}

#[test]
fn malformed_pseudo_headers_reach_no_handler() {
    let site = Site::start();
    let bearer = format!("Bearer {}", site.strong);
    let paths = [
        "",
        "*",
        "admin/ping",
        "//admin/ping",
        "/ping/../admin/ping",
        "/ping/%2e%2e/admin/ping",
        "/ping%2f..%2fadmin/ping",
        "/ping\\..\\admin/ping",
        "http://x/admin/ping",
        "/admin/ping#/ping",
        "/admin/ping?/../ping",
        "/Admin/ping",
        "/admin/ping ",
        "/admin/ping\0",
        "/admin/ping\r\nauthorization: x",
        "/%61dmin/ping",
        "/admin/\u{ff}",
    ];
    for path in paths {
        for method in ["GET", "POST", "CONNECT", "get", "", "G T"] {
            refused(&site, &[(":method", method), HTTP, HOST, (":path", path)]);
        }
    }
    let override_method = ("x-http-method-override", "POST");
    let secret = ("x-authorization", bearer.as_str());
    let spaced = format!(" {bearer}");
    let in_lines = format!("{bearer}\r\nx: y");
    let cookie = format!("keyward={}; __Host-keyward={}", site.strong, site.strong);
    let odd: &[&[(&str, &str)]] = &[
        &[GET, HTTP, HOST],
        &[HTTP, HOST, PING],
        &[GET, HOST, PING],
        &[GET, HTTP, PING],
        &[GET, HTTP, HOST, PING, (":path", "/ping")],
        &[GET, HTTP, HOST, (":path", "/ping"), PING],
        &[GET, GET, HTTP, HOST, PING],
        &[GET, HTTP, HOST, ("x", "y"), PING],
        &[GET, HTTP, HOST, PING, (":status", "200")],
        &[GET, HTTP, HOST, PING, (":unheard-of", "x")],
        &[GET, HTTP, HOST, PING, ("X-Upper", "x")],
        &[GET, HTTP, HOST, PING, ("connection", "close")],
        &[GET, HTTP, HOST, PING, ("transfer-encoding", "chunked")],
        &[GET, HTTP, HOST, PING, ("host", "another")],
        &[GET, HTTP, HOST, PING, ("content-length", "5")],
        &[GET, HTTP, HOST, PING, ("te", "trailers, gzip")],
        &[GET, HTTP, HOST, PING, ("", "x")],
        &[GET, HTTP, HOST, PING, ("x", "a\0b")],
        &[GET, HTTP, HOST, PING, ("x", "a\r\nauthorization: y")],
        &[GET, HTTP, HOST, PING, ("x-original-url", "/ping")],
        &[GET, HTTP, HOST, (":path", "/admin/login"), override_method],
        &[GET, HTTP, HOST, PING, secret],
        // A credential in another place, or one that two parsers read differently.
        &[GET, HTTP, HOST, PING, ("Authorization", &bearer)],
        &[GET, HTTP, HOST, PING, ("authorization ", &bearer)],
        &[GET, HTTP, HOST, PING, ("authorization\0", &bearer)],
        &[GET, HTTP, HOST, PING, (":authorization", &bearer)],
        &[GET, HTTP, HOST, ("authorization", &bearer), PING],
        &[GET, HTTP, HOST, PING, ("authorization", &spaced)],
        &[GET, HTTP, HOST, PING, ("authorization", &spaced[1..].replace(' ', "\t"))],
        &[GET, HTTP, HOST, PING, ("authorization", &in_lines)],
        &[GET, HTTP, HOST, PING, ("authorization", ""), ("authorization", &bearer)],
        &[GET, HTTP, HOST, PING, ("proxy-authorization", &bearer)],
        &[GET, HTTP, HOST, PING, ("cookie", &cookie)],
        &[GET, HTTP, HOST, PING, ("connection", "authorization"), ("authorization", &bearer)],
        // An invalid host and a different one: neither contains the path.
        &[GET, HTTP, (":authority", ""), PING],
        &[GET, HTTP, (":authority", "x"), PING, ("host", "y")],
        &[GET, HTTP, (":authority", "x/ping"), PING],
        &[GET, HTTP, (":authority", "x#"), PING],
        &[GET, (":scheme", "file"), HOST, PING],
        &[GET, HTTP, (":authority", "root@x"), PING],
        &[GET, HTTP, (":authority", "x/ping?"), PING],
        // A web socket over HTTP/2 (RFC 8441), and one without a path.
        &[(":method", "CONNECT"), (":protocol", "websocket"), HTTP, HOST, (":path", "/admin/socket")],
        &[(":method", "CONNECT"), (":protocol", "websocket"), HOST],
        &[(":method", "CONNECT"), HOST],
    ];
    for fields in odd {
        refused(&site, fields);
    }
    assert_eq!(site.entered.all(), 0);
}

/// Sends these fields in some way and returns the stream.
type Odd = fn(&mut Http2, &[(&str, &str)]) -> u32;

/// Frames that violate RFC 9113 sections 5 and 6, each with a valid credential.
#[test]
fn malformed_frames_reach_no_handler() {
    let site = Site::start();
    let bearer = format!("Bearer {}", site.strong);
    let fields = [GET, HTTP, HOST, PING, ("authorization", &bearer)];
    let connect = || Http2::to(site.address);
    let odd: &[Odd] = &[
        // The headers of another stream inside a header block.
        |http2, fields| {
            http2.open(&fields[..4], END_STREAM);
            http2.open(fields, END_HEADERS | END_STREAM)
        },
        // A continuation without a header block, or of another stream.
        |http2, fields| {
            http2.continuation(1, fields);
            1
        },
        |http2, fields| {
            let stream = http2.open(&fields[..4], END_STREAM);
            http2.continuation(stream + 2, &fields[4..]);
            stream
        },
        // A stream id of the server, zero, or one that was used before.
        |http2, fields| http2.open_as(2, fields, END_HEADERS | END_STREAM),
        |http2, fields| http2.open_as(0, fields, END_HEADERS | END_STREAM),
        |http2, fields| {
            http2.open_as(5, &fields[..4], END_HEADERS | END_STREAM);
            assert_eq!(http2.fate(5), Fate::Answered(401));
            http2.open_as(3, fields, END_HEADERS | END_STREAM)
        },
        // A body before its headers.
        |http2, _| {
            http2.data(1, b"x", END_STREAM);
            1
        },
        // Trailers that do not end the stream, and trailers after its end.
        |http2, fields| {
            let stream = http2.open(&fields[..4], END_HEADERS);
            http2.open_as(stream, &fields[4..], END_HEADERS);
            stream
        },
        |http2, fields| {
            let stream = http2.open(&fields[..4], END_HEADERS | END_STREAM);
            http2.trailers(stream, &fields[4..]);
            stream
        },
        // Pseudo-headers in trailers.
        |http2, fields| {
            let stream = http2.open(&fields[..4], END_HEADERS);
            http2.trailers(stream, fields);
            stream
        },
    ];
    for (at, odd) in odd.iter().enumerate() {
        let mut http2 = connect();
        let stream = odd(&mut http2, &fields);
        let fate = http2.fate(stream);
        assert!(matches!(fate, Fate::Answered(400 | 401) | Fate::Reset | Fate::Gone), "{at}: {fate:?}");
        assert_eq!(site.entered.all(), 0, "{at}");
    }
    // A valid header block in several frames is accepted.
    let mut http2 = connect();
    let stream = http2.open(&fields[..4], END_STREAM);
    http2.last_continuation(stream, &fields[4..]);
    assert_eq!(http2.fate(stream), Fate::Answered(200));
    assert_eq!(site.entered.all(), 1);
}

/// Asserts that a stream is rejected, and not with a 5xx. It has its own connection, as it may end it.
#[track_caller]
fn refused(site: &Site, fields: &[(&str, &str)]) {
    match Http2::to(site.address).ask(fields) {
        Fate::Answered(status) => assert!((400..500).contains(&status), "{fields:?} was answered {status}"),
        Fate::Reset | Fate::Gone => {}
    }
}

#[test]
fn aborted_streams_are_closed() {
    let site = Site::start();
    let bearer = format!("Bearer {}", site.strong);
    let authorization = ("authorization", bearer.as_str());
    let post = [(":method", "POST"), HTTP, HOST, (":path", "/admin/body")];
    // Rejected before its body.
    let mut http2 = Http2::to(site.address);
    let stream = http2.open(&post, END_HEADERS);
    assert_eq!(http2.fate(stream), Fate::Answered(401));
    // A credential comes too late in trailers.
    let stream = http2.open(&post, END_HEADERS);
    http2.trailers(stream, &[authorization]);
    assert_eq!(http2.fate(stream), Fate::Answered(401));
    // A body that is longer or shorter than its length says.
    for length in ["1", "9"] {
        let mut http2 = Http2::to(site.address);
        let fields = [post.as_slice(), &[("content-length", length)]].concat();
        let stream = http2.open(&fields, END_HEADERS);
        http2.data(stream, b"1234", END_STREAM);
        assert!(matches!(http2.fate(stream), Fate::Answered(400 | 401) | Fate::Reset | Fate::Gone));
    }
    assert_eq!(site.entered.all(), 0);
    // Streams opened and reset, as often as the server accepts.
    let mut http2 = Http2::to(site.address);
    for _ in 0..500 {
        let stream = http2.open(&[GET, HTTP, HOST, PING], END_HEADERS | END_STREAM);
        http2.reset(stream);
    }
    // A header that never ends.
    let mut http2 = Http2::to(site.address);
    let long = "a".repeat(15_000);
    let stream = http2.open(&[GET, HTTP, HOST, PING, ("x", &long)], END_STREAM);
    for _ in 0..2_000 {
        http2.continuation(stream, &[("x", &long)]);
    }
    assert!(matches!(http2.fate(stream), Fate::Answered(431) | Fate::Reset | Fate::Gone));
    assert_eq!(site.entered.all(), 0);
    assert_eq!(
        site.connect().send(&anonymous("/ping")).answer().unwrap().status,
        200,
        "other clients are not affected"
    );
}
