//! Hostile requests and the statuses that may answer them. None has a valid credential, unless its name says so.

/// A request in bytes, for a new connection.
pub struct Case {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// The accepted statuses; 0 if the connection may be closed without a response.
    pub allowed: &'static [u16],
}

/// Rejected without a valid credential.
const UNAUTHORIZED: &[u16] = &[401];
/// Rejected without a valid credential, or as invalid HTTP.
const UNAUTHORIZED_OR_BAD: &[u16] = &[400, 401];
/// Invalid HTTP: 400 or no response.
const BAD: &[u16] = &[0, 400];

/// Returns a request that is the last of its connection.
fn last(line: &str, headers: &str) -> Vec<u8> {
    format!("{line}\r\nHost: platform\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

pub fn all(strong: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, bytes: Vec<u8>, allowed| cases.push(Case { name, bytes, allowed });
    let get = |headers: &str| last("GET /admin/ping HTTP/1.1", headers);
    let line = |line: &str| last(line, "");
    let raw = |text: &str| text.as_bytes().to_vec();
    let bearer = format!("Authorization: Bearer {strong}\r\n");

    case("nothing", get(""), UNAUTHORIZED);
    case("two headers", get(&bearer.repeat(2)), UNAUTHORIZED);
    case("two headers, one of another scheme", get(&format!("{bearer}Authorization: Basic eDp5\r\n")), BAD);
    case("two headers, one empty", get(&format!("Authorization:\r\n{bearer}")), BAD);
    case("two in one line", get(&format!("Authorization: Bearer {strong}, Bearer {strong}\r\n")), UNAUTHORIZED);
    case("a folded header", get(&format!("Authorization: Bearer\r\n {strong}\r\n")), UNAUTHORIZED_OR_BAD);
    case("folded by a tab", get(&format!("X: y\r\n\tAuthorization: Bearer {strong}\r\n")), UNAUTHORIZED_OR_BAD);
    case("a space before the colon", get(&format!("Authorization : Bearer {strong}\r\n")), UNAUTHORIZED_OR_BAD);
    case("a tab for a space", get(&format!("Authorization: Bearer\t{strong}\r\n")), UNAUTHORIZED);
    case("a NUL in the secret", get(&format!("Authorization: Bearer {strong}\0\r\n")), BAD);
    case("a CR in the secret", get(&format!("Authorization: Bearer {strong}\rx\r\n")), BAD);
    case(
        "bytes that are not text",
        [b"GET /admin/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \xff\xfe\r\n\r\n"
            .as_slice()]
        .concat(),
        UNAUTHORIZED,
    );
    case(
        "half of the secret folded",
        get(&format!("Authorization: Bearer {}\r\n {}\r\n", &strong[..9], &strong[9..])),
        BAD,
    );
    case("the scheme twice", get(&format!("Authorization: Bearer Bearer {strong}\r\n")), UNAUTHORIZED);
    case("a list of schemes", get(&format!("Authorization: Bearer, Bearer {strong}\r\n")), UNAUTHORIZED);
    case("the end of a list", get(&format!("Authorization: Bearer {strong},\r\n")), UNAUTHORIZED);
    case("with a parameter", get(&format!("Authorization: Bearer realm=\"x\", {strong}\r\n")), UNAUTHORIZED);
    case("in quotes", get(&format!("Authorization: Bearer \"{strong}\"\r\n")), UNAUTHORIZED);
    case("padded", get(&format!("Authorization: Bearer {strong}==\r\n")), UNAUTHORIZED);
    case("after another scheme", get(&format!("Authorization: Token {strong}\r\n")), UNAUTHORIZED);
    case("after a semicolon", get(&format!("Authorization: Bearer; {strong}\r\n")), UNAUTHORIZED);
    case("a vertical tab before the colon", get(&format!("Authorization\x0b: Bearer {strong}\r\n")), BAD);
    case("a NUL in the name", get(&format!("Authorization\0: Bearer {strong}\r\n")), BAD);
    case("a name that looks alike", get(&format!("Authoriz\u{430}tion: Bearer {strong}\r\n")), BAD);
    case("a name with an underscore", get(&format!("_Authorization: Bearer {strong}\r\n")), UNAUTHORIZED);
    case("in a cookie", get(&format!("Cookie: keyward={strong}; __Host-keyward={strong}\r\n")), UNAUTHORIZED);
    case("in the query", line(&format!("GET /admin/ping?access_token={strong} HTTP/1.1")), UNAUTHORIZED);
    case("in the authority", line(&format!("GET http://{strong}@platform/admin/ping HTTP/1.1")), UNAUTHORIZED_OR_BAD);
    case(
        "in another header",
        get(&format!("Proxy-Authorization: Bearer {strong}\r\nX-Authorization: Bearer {strong}\r\n")),
        UNAUTHORIZED,
    );
    case("hidden from proxies", get("Connection: close, Authorization\r\n"), UNAUTHORIZED);
    case(
        "who a proxy says it is",
        get("X-Remote-User: root\r\nRemote-User: root\r\nX-Forwarded-User: root\r\nX-User-Id: 1\r\n"),
        UNAUTHORIZED,
    );
    case(
        "from where a proxy says",
        get("X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nVia: 1.1 x\r\n"),
        UNAUTHORIZED,
    );

    case("bare line feeds", raw("GET /admin/ping HTTP/1.1\nHost: x\nConnection: close\n\n"), UNAUTHORIZED_OR_BAD);
    case("a line feed in a header", get("X: y\nX-Original-URL: /ping\r\n"), UNAUTHORIZED_OR_BAD);
    case("a bare CR", raw("GET /admin/ping HTTP/1.1\rHost: x\r\r\n\r\n"), BAD);
    case(
        "lines before the line",
        raw("\r\n\r\nGET /admin/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        UNAUTHORIZED_OR_BAD,
    );
    case(
        "a space before a header",
        raw("GET /admin/ping HTTP/1.1\r\n X: y\r\nHost: x\r\nConnection: close\r\n\r\n"),
        UNAUTHORIZED_OR_BAD,
    );
    case("a header without a name", get(": x\r\n"), BAD);
    case("no colon", get("X\r\n"), BAD);
    case("a space in a name", get("X Y: z\r\n"), BAD);
    case("a NUL in a header", get("X: a\0b\r\n"), BAD);
    case("a control byte in a header", get("X: a\x01b\r\n"), BAD);
    case("two hosts", get("Host: ping\r\n"), UNAUTHORIZED_OR_BAD);
    case("no host", raw("GET /admin/ping HTTP/1.1\r\nConnection: close\r\n\r\n"), UNAUTHORIZED_OR_BAD);
    case("HTTP/1.0", raw("GET /admin/ping HTTP/1.0\r\n\r\n"), UNAUTHORIZED);
    case("HTTP/0.9", raw("GET /admin/ping\r\n\r\n"), BAD);
    case("HTTP/9.9", line("GET /admin/ping HTTP/9.9"), &[0, 400, 505]);
    case("HTTP/1.2", line("GET /admin/ping HTTP/1.2"), BAD);
    case("HTTP/2 by its name", line("GET /admin/ping HTTP/2.0"), BAD);
    case("a version in small letters", line("GET /admin/ping http/1.1"), BAD);
    case("a space after the version", line("GET /admin/ping HTTP/1.1 "), BAD);
    case("two spaces", line("GET  /admin/ping HTTP/1.1"), BAD);
    case("a tab in the line", line("GET\t/admin/ping\tHTTP/1.1"), BAD);
    case("a space in the target", line("GET /ping /admin/ping HTTP/1.1"), BAD);
    case("no method", line(" /admin/ping HTTP/1.1"), BAD);
    case("TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n".to_vec(), BAD);

    case("the same in absolute form", line("GET http://platform/admin/ping HTTP/1.1"), UNAUTHORIZED);
    case("absolute, another host", line("GET http://ping/admin/ping HTTP/1.1"), UNAUTHORIZED);
    case("absolute, a host that looks like a path", line("GET http://ping/ping@/admin/ping HTTP/1.1"), &[400, 404]);
    case("absolute with dots", line("GET http://platform/ping/../admin/ping HTTP/1.1"), &[400]);
    case("absolute with a scheme of its own", line("GET file:///admin/ping HTTP/1.1"), UNAUTHORIZED_OR_BAD);
    case("absolute, no host", line("GET http:///admin/ping HTTP/1.1"), BAD);
    case("absolute, one slash", line("GET http:/admin/ping HTTP/1.1"), BAD);
    case("absolute, the path in the query", line("GET http://x?/admin/ping HTTP/1.1"), &[404]);
    case("absolute, the path in the fragment", line("GET http://x#/admin/ping HTTP/1.1"), &[400, 404]);
    case("a query alone", line("GET ?/admin/ping HTTP/1.1"), &[400, 404]);
    case("authority form", line("GET platform:80 HTTP/1.1"), &[400, 404]);
    case("CONNECT", line("CONNECT platform:80 HTTP/1.1"), &[400, 404]);
    case("CONNECT with a path", line("CONNECT /admin/ping HTTP/1.1"), UNAUTHORIZED_OR_BAD);
    case("an asterisk", line("OPTIONS * HTTP/1.1"), &[400, 404]);
    case("an asterisk for another method", line("GET * HTTP/1.1"), &[400, 404]);
    case("no slash", line("GET admin/ping HTTP/1.1"), &[400, 404]);
    case("dots", line("GET /ping/../admin/ping HTTP/1.1"), &[400]);
    case("encoded dots", line("GET /ping/%2e%2e/admin/ping HTTP/1.1"), &[400]);
    case("twice encoded dots", line("GET /ping/%252e%252e/admin/ping HTTP/1.1"), &[400]);
    case("an encoded slash", line("GET /ping%2f..%2fadmin/ping HTTP/1.1"), &[400]);
    case("a backslash", line("GET /ping\\..\\admin/ping HTTP/1.1"), &[400]);
    case("an empty segment", line("GET //admin/ping HTTP/1.1"), &[400]);
    case("a fragment", line("GET /ping#/../admin/ping HTTP/1.1"), &[200, 400]);
    case("a question mark", line("GET /admin/ping?/../../ping HTTP/1.1"), UNAUTHORIZED);
    case("other case", line("GET /Admin/ping HTTP/1.1"), &[404]);
    case("an encoded letter", line("GET /%61dmin/ping HTTP/1.1"), &[404]);
    case(
        "bytes in the target",
        b"GET /admin/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        UNAUTHORIZED_OR_BAD,
    );
    case("a parameter of a segment", line("GET /admin;x/ping HTTP/1.1"), &[404]);
    case("an encoded fragment", line("GET /ping%23/../admin/ping HTTP/1.1"), &[400]);
    case("an encoded query", line("GET /ping%3f/../admin/ping HTTP/1.1"), &[400]);
    case("an encoded NUL", line("GET /admin%00/ping HTTP/1.1"), &[400]);
    case("a NUL in the target", line("GET /admin/ping\0 HTTP/1.1"), BAD);

    for method in ["HEAD", "POST", "OPTIONS", "TRACE", "PURGE", "PROPFIND", "get"] {
        case("another method", line(&format!("{method} /admin/ping HTTP/1.1")), UNAUTHORIZED_OR_BAD);
    }
    let overrides = "X-HTTP-Method-Override: GET\r\nX-HTTP-Method: GET\r\nX-Method-Override: GET\r\n";
    case("a method overridden", last("POST /admin/ping?_method=GET HTTP/1.1", overrides), UNAUTHORIZED);
    let login = "X-HTTP-Method-Override: POST\r\nX-HTTP-Method: POST\r\nX-Method-Override: POST\r\n";
    case("a method overridden to the public one", last("GET /admin/login HTTP/1.1", login), UNAUTHORIZED);
    let elsewhere = "X-Original-URL: /ping\r\nX-Rewrite-URL: /ping\r\nX-Forwarded-Uri: /ping\r\nX-Forwarded-Path: /ping\r\n\
                     X-Forwarded-Prefix: /ping\r\nX-Original-Uri: /ping\r\nX-Forwarded-Host: ping\r\nX-Forwarded-Proto: https\r\n";
    case("a protected path called public", get(elsewhere), UNAUTHORIZED);
    let inside = elsewhere.replace("/ping", "/admin/ping");
    case("a public path called protected", last("GET /ping HTTP/1.1", &inside), &[200]);

    // The bytes after these would be accepted if they were read as a request.
    let next = get(&bearer);
    let before = |text: &str| [text.as_bytes(), &next].concat();
    case("chunks in HTTP/1.0", before("POST /admin/ping HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), BAD);
    case("HTTP/1.0 goes on for one request", before("GET /admin/ping HTTP/1.0\r\n\r\n"), UNAUTHORIZED);
    case("half a preface of HTTP/2", before("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), BAD);
    case(
        "a preface of HTTP/2 in HTTP/1",
        before("GET /admin/x HTTP/1.1\r\nHost: x\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        UNAUTHORIZED_OR_BAD,
    );
    case(
        "HTTP/2 asked for",
        get("Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
        UNAUTHORIZED,
    );
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    case("a socket asked for", get(socket), UNAUTHORIZED);
    case(
        "a socket asked for with a secret as its protocol",
        get(&format!("{socket}Sec-WebSocket-Protocol: {strong}\r\n")),
        UNAUTHORIZED,
    );
    case(
        "a body promised",
        last("POST /admin/ping HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 1000000\r\n"),
        UNAUTHORIZED,
    );
    case(
        "something else expected",
        last("POST /admin/ping HTTP/1.1", "Expect: 200-ok\r\nContent-Length: 0\r\n"),
        &[401, 417],
    );

    const TOO_MUCH: &[u16] = &[0, 400, 401, 404, 413, 414, 431];
    case("a long secret", get(&format!("Authorization: Bearer {}\r\n", "a".repeat(100_000))), TOO_MUCH);
    case("a header without end", get(&format!("X: {}\r\n", "a".repeat(2_000_000))), TOO_MUCH);
    case("a name without end", get(&format!("{}: x\r\n", "a".repeat(70_000))), TOO_MUCH);
    case("many headers", get(&"X: y\r\n".repeat(5_000)), TOO_MUCH);
    case("many credentials", get(&bearer.repeat(90)), TOO_MUCH);
    case("a long path", line(&format!("GET /admin/{} HTTP/1.1", "a/".repeat(30_000))), TOO_MUCH);
    case("a longer path", line(&format!("GET /admin/{} HTTP/1.1", "a".repeat(100_000))), TOO_MUCH);
    case("a path encoded without end", line(&format!("GET /admin/%{}41 HTTP/1.1", "25".repeat(30_000))), TOO_MUCH);
    case("a long method", line(&format!("{} /admin/ping HTTP/1.1", "A".repeat(70_000))), TOO_MUCH);
    case(
        "a large body",
        [last("POST /admin/ping HTTP/1.1", "Content-Length: 8000000\r\n"), vec![b'a'; 8_000_000]].concat(),
        TOO_MUCH,
    );
    cases
}
