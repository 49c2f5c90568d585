//! Sends arbitrary headers.
//!
//! The caller is the one of the only `Authorization` header, if it is well-formed. In pages without a header of this
//! installation it is the one of the only cookie. A client address comes from the peer, or from the header of a trusted
//! proxy.
//!
//! Each line is a header: its first byte selects the name, the rest is the value. `$A`, `$C` and `$S` are replaced by
//! the secrets of an admin token, a content token and a session.

#![no_main]

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::routing::any;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, FORWARDED, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, HeaderValue, Method};
use keyward::guard::ProxyHeader;
use keyward::testing::World;
use keyward::token::{ContentAccess, TokenKind};
use keyward::{AuthContext, Group, GuardedRouter, authenticated};
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

const NAMES: [HeaderName; 8] = [
    AUTHORIZATION,
    COOKIE,
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("sec-fetch-site"),
    ORIGIN,
    HOST,
    CONTENT_TYPE,
];
const PEERS: [&str; 3] = ["10.0.0.1", "192.0.2.1", "::ffff:10.1.2.3"];

struct Installation {
    world: World,
    service: keyward::guard::GateService<axum::Router>,
    header: ProxyHeader,
    secrets: [(&'static str, TokenKind, String); 3],
}

/// The caller that the handler was given, if the handler ran.
#[derive(Clone, Default)]
struct HandlerCaller(Arc<Mutex<Option<Option<TokenKind>>>>);

static ALL: LazyLock<(Runtime, Vec<Installation>)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let both = [ProxyHeader::Forwarded, ProxyHeader::XForwardedFor];
    let all = both.into_iter().map(|header| runtime.block_on(build_installation(header))).collect();
    (runtime, all)
});

async fn build_installation(header: ProxyHeader) -> Installation {
    let world = World::with(|b| {
        b.trusted_proxies(["10.0.0.0/8"], header).group(Group::pages("/admin/pages", "sid", "/admin/login"))
    });
    let handler = || {
        any(|request: Request| async move {
            let kind = request.extensions().get::<AuthContext>().map(AuthContext::kind);
            *request.extensions().get::<HandlerCaller>().unwrap().0.lock().unwrap() = kind;
        })
    };
    let router = ["/admin/x", "/api/x", "/admin/pages/x"]
        .into_iter()
        .fold(GuardedRouter::new(), |router, path| router.route(path, authenticated(), handler()));
    let service = world.keyward.guard(router);
    let text = |key: keyward::testing::Key| key.secret.expose().to_owned();
    let secrets = [
        ("$A", TokenKind::Admin, text(world.editor().issue().await)),
        ("$C", TokenKind::Content, text(world.content(ContentAccess::FullAccess).await)),
        ("$S", TokenKind::Session, text(world.editor().sign_in().await)),
    ];
    Installation { world, service, header, secrets }
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, data)) = data.split_first() else { return };
    let (runtime, all) = &*ALL;
    let installation = &all[usize::from(mode & 1)];
    let method = if mode & 2 == 0 { Method::GET } else { Method::POST };
    let peer: IpAddr = PEERS[usize::from(mode >> 2) % PEERS.len()].parse().unwrap();
    let headers = installation.parse_headers(data);
    for path in ["/admin/x", "/api/x", "/admin/pages/x"] {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = headers.clone();
        let caller = HandlerCaller::default();
        request.extensions_mut().insert(caller.clone());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 1)));
        installation.check_address(&request, peer);
        let Ok(response) = runtime.block_on(installation.service.clone().oneshot(request));
        let status = response.status();
        assert!(!status.is_server_error(), "{path}: {status}");
        let caller = caller.0.lock().unwrap().flatten();
        let expected = installation.expected_caller(path, &method, &headers);
        assert_eq!(caller, expected, "{method} {path} {headers:?}");
    }
});

impl Installation {
    fn parse_headers(&self, data: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in data.split(|b| *b == b'\n') {
            let Some((&name, value)) = line.split_first() else { continue };
            let mut value = value.to_vec();
            for (placeholder, _, secret) in &self.secrets {
                while let Some(at) = value.windows(2).position(|w| w == placeholder.as_bytes()) {
                    value.splice(at..at + 2, secret.bytes());
                }
            }
            let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
            if headers.len() < 20 {
                headers.append(NAMES[usize::from(name) % NAMES.len()].clone(), value);
            }
        }
        headers
    }

    /// Returns the caller that the rules admit, by an implementation of its own.
    fn expected_caller(&self, path: &str, method: &Method, headers: &HeaderMap) -> Option<TokenKind> {
        let authorization: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
        // In pages a header counts only if it has a credential of this installation.
        let by_cookie =
            path.starts_with("/admin/pages") && !authorization.iter().any(|value| is_of_installation(value));
        if by_cookie && *method == Method::POST && !is_same_origin(headers) {
            return None;
        }
        let bearer = |value: &HeaderValue| {
            let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim_start_matches(' ').to_owned())
        };
        let secret = match authorization[..] {
            [only] if !by_cookie => bearer(only)?,
            _ if by_cookie => {
                let lines: Vec<u8> =
                    headers.get_all(COOKIE).iter().flat_map(|v| [v.as_bytes(), b";"].concat()).collect();
                let pairs = lines.split(|b| *b == b';').map(|pair| String::from_utf8_lossy(pair).into_owned());
                let mut secrets = pairs.filter_map(|pair| Some(pair.trim_ascii().strip_prefix("sid=")?.to_owned()));
                secrets.next().filter(|_| secrets.next().is_none())?
            }
            _ => return None,
        };
        let kind = self.secrets.iter().find(|(_, _, issued)| *issued == secret)?.1;
        let opens = match path {
            "/admin/x" => matches!(kind, TokenKind::Admin | TokenKind::Session),
            "/api/x" => kind == TokenKind::Content,
            _ => kind == TokenKind::Session,
        };
        opens.then_some(kind)
    }

    fn check_address(&self, request: &Request, peer: IpAddr) {
        let address = self.world.keyward.address_of(request.headers(), request.extensions()).unwrap();
        let trusted = |ip: IpAddr| matches!(ip.to_canonical(), IpAddr::V4(v4) if v4.octets()[0] == 10);
        let peer = peer.to_canonical();
        if !trusted(peer) {
            assert_eq!(address, peer, "the address comes from a peer that is not trusted");
        }
        let name = match self.header {
            ProxyHeader::Forwarded => FORWARDED,
            _ => HeaderName::from_static("x-forwarded-for"),
        };
        // Another address than the peer's comes from the header of the proxies.
        assert!(address == peer || request.headers().contains_key(name), "{address} is in no proxy header");
        assert_eq!(address, address.to_canonical());
    }
}

/// Returns whether a header is `Bearer`, spaces, and a text of at most 512 bytes that starts like a secret of this
/// installation.
fn is_of_installation(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    if bytes.len() < 7 || !bytes[..6].eq_ignore_ascii_case(b"bearer") || bytes[6] != b' ' {
        return false;
    }
    let spaces = bytes[6..].iter().take_while(|b| **b == b' ').count();
    let token = &bytes[6 + spaces..];
    let kinds: [&[u8]; 3] = [b"kw_admin_", b"kw_content_", b"kw_session_"];
    token.len() <= 512 && kinds.iter().any(|kind| token.starts_with(kind))
}

/// Returns whether the browser's headers prove that the request comes from the same origin.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let all = |name: &str| headers.get_all(name).iter().map(|v| v.as_bytes().to_ascii_lowercase()).collect::<Vec<_>>();
    let site: Vec<_> = headers.get_all("sec-fetch-site").iter().map(HeaderValue::as_bytes).collect();
    if !site.is_empty() {
        return site == [b"same-origin"];
    }
    match (&all("host")[..], &all("origin")[..]) {
        ([host], [origin]) => {
            let cased = headers[ORIGIN].as_bytes();
            let scheme = cased.starts_with(b"http://") || cased.starts_with(b"https://");
            let text = |v: &[u8]| v.iter().all(|b| (0x20..0x7f).contains(b) || *b == b'\t');
            let after = origin.splitn(3, |b| *b == b'/').nth(2);
            scheme && text(host) && text(origin) && !host.is_empty() && after == Some(host)
        }
        _ => false,
    }
}
