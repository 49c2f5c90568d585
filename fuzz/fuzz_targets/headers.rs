//! Any headers: who comes in is who one well-formed header, or where pages are and no header is ours one cookie, says; and addresses come from nowhere
//! but the peer and the proxies that are trusted.
//!
//! Each line is a header: its first byte says which, the rest is its value. `$A`, `$C` and `$S` stand for the secrets of an admin
//! token, a content token and a session.

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

#[derive(Clone, Default)]
struct Came(Arc<Mutex<Option<Option<TokenKind>>>>);

static ALL: LazyLock<(Runtime, Vec<Installation>)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let both = [ProxyHeader::Forwarded, ProxyHeader::XForwardedFor];
    let all = both.into_iter().map(|header| runtime.block_on(installation(header))).collect();
    (runtime, all)
});

async fn installation(header: ProxyHeader) -> Installation {
    let world = World::with(|b| {
        b.trusted_proxies(["10.0.0.0/8"], header).group(Group::pages("/admin/pages", "sid", "/admin/login"))
    });
    let handler = || {
        any(|request: Request| async move {
            let kind = request.extensions().get::<AuthContext>().map(AuthContext::kind);
            *request.extensions().get::<Came>().unwrap().0.lock().unwrap() = kind;
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
    let Some((&how, data)) = data.split_first() else { return };
    let (runtime, all) = &*ALL;
    let installation = &all[usize::from(how & 1)];
    let method = if how & 2 == 0 { Method::GET } else { Method::POST };
    let peer: IpAddr = PEERS[usize::from(how >> 2) % PEERS.len()].parse().unwrap();
    let headers = installation.headers(data);
    for path in ["/admin/x", "/api/x", "/admin/pages/x"] {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = headers.clone();
        let came = Came::default();
        request.extensions_mut().insert(came.clone());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 1)));
        installation.check_address(&request, peer);
        let Ok(response) = runtime.block_on(installation.service.clone().oneshot(request));
        let status = response.status();
        assert!(!status.is_server_error(), "{path}: {status}");
        let came = came.0.lock().unwrap().flatten();
        let expected = installation.expected(path, &method, &headers);
        assert_eq!(came, expected, "{method} {path} {headers:?}");
    }
});

impl Installation {
    fn headers(&self, data: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in data.split(|b| *b == b'\n') {
            let Some((&name, value)) = line.split_first() else { continue };
            let mut value = value.to_vec();
            for (sign, _, secret) in &self.secrets {
                while let Some(at) = value.windows(2).position(|w| w == sign.as_bytes()) {
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

    /// Who comes in, by another reading of the rules.
    fn expected(&self, path: &str, method: &Method, headers: &HeaderMap) -> Option<TokenKind> {
        let authorization: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
        // In pages a header counts that holds a credential of ours, and no other one.
        let by_cookie = path.starts_with("/admin/pages") && !authorization.iter().any(|value| names_us(value));
        if by_cookie && *method == Method::POST && !is_ours(headers) {
            return None;
        }
        let secret = match authorization[..] {
            [one] if !by_cookie => {
                let text = one.to_str().ok()?;
                let (scheme, rest) = text.split_once(' ')?;
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return None;
                }
                rest.trim_start_matches(' ').to_owned()
            }
            _ if by_cookie => {
                let lines: Vec<u8> =
                    headers.get_all(COOKIE).iter().flat_map(|v| [v.as_bytes(), b";"].concat()).collect();
                let pairs = lines.split(|b| *b == b';').map(|pair| String::from_utf8_lossy(pair).into_owned());
                let mut found = pairs.filter_map(|pair| Some(pair.trim_ascii().strip_prefix("sid=")?.to_owned()));
                found.next().filter(|_| found.next().is_none())?
            }
            _ => return None,
        };
        let kind = self.secrets.iter().find(|(_, _, known)| *known == secret)?.1;
        let fits = match path {
            "/admin/x" => matches!(kind, TokenKind::Admin | TokenKind::Session),
            "/api/x" => kind == TokenKind::Content,
            _ => kind == TokenKind::Session,
        };
        fits.then_some(kind)
    }

    fn check_address(&self, request: &Request, peer: IpAddr) {
        let found = self.world.keyward.address_of(request.headers(), request.extensions()).unwrap();
        let trusted = |ip: IpAddr| matches!(ip.to_canonical(), IpAddr::V4(v4) if v4.octets()[0] == 10);
        let peer = peer.to_canonical();
        if !trusted(peer) {
            assert_eq!(found, peer, "nobody asked this peer");
        }
        let name = match self.header {
            ProxyHeader::Forwarded => FORWARDED,
            _ => HeaderName::from_static("x-forwarded-for"),
        };
        // Whatever else was said: an address that is not the peer's stands in the header of the proxies, in some form.
        assert!(found == peer || request.headers().contains_key(name), "{found} comes from nowhere");
        assert_eq!(found, found.to_canonical());
    }
}

/// Whether a header is `Bearer`, spaces, and a text that begins like a secret of ours and is not endless.
fn names_us(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    if bytes.len() < 7 || !bytes[..6].eq_ignore_ascii_case(b"bearer") || bytes[6] != b' ' {
        return false;
    }
    let spaces = bytes[6..].iter().take_while(|b| **b == b' ').count();
    let token = &bytes[6 + spaces..];
    let kinds: [&[u8]; 3] = [b"kw_admin_", b"kw_content_", b"kw_session_"];
    token.len() <= 512 && kinds.iter().any(|kind| token.starts_with(kind))
}

/// Whether the browser says that a page of ours sent it.
fn is_ours(headers: &HeaderMap) -> bool {
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
