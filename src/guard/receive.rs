//! Request bodies of the management API and the pages: a size limit and a deadline each, and a limit on all together.
//!
//! Bytes are counted as they arrive, in two shares: one for requests without a valid credential, one for the others. So
//! strangers take no memory from signed-in users. Within a share, a client may hold a fixed part of the free bytes. So
//! a share is never full: the next client always finds room (invariant bounded-by-strangers).

use super::address::Addresses;
use super::context::AuthContext;
use crate::domain::{OwnerId, TokenId, network};
use axum::body::{Body, HttpBody};
#[cfg(any(feature = "api", feature = "ui"))]
use axum::extract::Request;
use futures_util::StreamExt;
use http::request::Parts;
use http_body_util::LengthLimitError;
use std::collections::HashMap;
use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest body of a request without a valid credential, in bytes. Forms that need no credential are far smaller.
pub(crate) const STRANGERS_LIMIT: usize = 16 * 1024;
/// The largest body of any other request to keyward's routes, in bytes.
#[cfg(any(feature = "api", feature = "ui"))]
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;
/// The default deadline for a body to arrive.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The bytes that an open body counts before its first byte arrives: its request is in memory too.
const OVERHEAD: usize = 4 * 1024;
/// The bytes that each client may hold while any are free: one body without a credential.
const FIRST: usize = OVERHEAD + STRANGERS_LIMIT;
/// The bytes of all bodies of strangers, and the part of the free bytes that one network address may hold.
const STRANGERS_SHARE: (usize, usize) = (8 * 1024 * 1024, 8);
/// The bytes of all other bodies, and the part of the free bytes that one owner may hold.
const MEMBERS_SHARE: (usize, usize) = (64 * 1024 * 1024, 2);

/// The bytes of all signed notices, whose senders are unknown before the whole body has arrived, and the part of the free bytes that one
/// network address may hold: enough for one notice.
#[cfg(feature = "secret-scanning")]
const NOTICES_SHARE: (usize, usize) = (16 * 1024 * 1024, 8);

/// Error for a body that was not received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It exceeds this number of bytes.
    TooLarge(usize),
    /// It was not complete within this deadline.
    TooSlow(Duration),
    /// Other bodies use the memory that this client may use.
    Busy,
    /// It ended with an error.
    Broken,
}

/// A receiver of bodies. Clones share their limits.
#[derive(Clone)]
pub(crate) struct BodyReader {
    deadline: Duration,
    addresses: Addresses,
    strangers: Arc<Share>,
    members: Arc<Share>,
    #[cfg(feature = "secret-scanning")]
    notices: Arc<Share>,
}

/// A complete body. Its bytes count until it is dropped.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    _reservation: Reservation,
}

/// The sender of a body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Client {
    /// A request without a valid credential, by its network: IPv4 address, or /64 of IPv6. `None` if the server does
    /// not provide it.
    Network(Option<u128>),
    Owner(OwnerId),
    /// A content token, which has no owner.
    Token(TokenId),
}

impl Client {
    /// Returns the site of a network: /48 of IPv6, in which a site chooses its /64 freely; /24 of IPv4.
    fn site(self) -> Option<u128> {
        let Self::Network(Some(network)) = self else { return None };
        let is_v4 = network >> 32 == 0xffff;
        let rest = if is_v4 { 8 } else { 80 };
        Some(network >> rest << rest)
    }
}

impl BodyReader {
    pub(crate) fn new(deadline: Duration, addresses: Addresses) -> Self {
        let share = |(bytes, part)| Arc::new(Share { bytes, part, used: Mutex::default() });
        Self {
            deadline,
            addresses,
            strangers: share(STRANGERS_SHARE),
            members: share(MEMBERS_SHARE),
            #[cfg(feature = "secret-scanning")]
            notices: share(NOTICES_SHARE),
        }
    }

    /// Receives the body of a notice that has no credential, but will prove to be signed. Notices have a share of their own.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    #[cfg(feature = "secret-scanning")]
    pub(crate) async fn receive_notice(&self, request: Request, limit: usize) -> Result<Received, BodyError> {
        let (parts, body) = request.into_parts();
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > limit) {
            return Err(BodyError::TooLarge(limit));
        }
        let client = Client::Network(self.addresses.of(&parts.headers, &parts.extensions).map(network));
        let reservation = Share::reserve(&self.notices, client, OVERHEAD).ok_or(BodyError::Busy)?;
        let whole = tokio::time::timeout(self.deadline, collect(body, limit, reservation));
        whole.await.unwrap_or(Err(BodyError::TooSlow(self.deadline)))
    }

    /// Receives the body of a request.
    ///
    /// # Errors
    /// [`BodyError`] if the body is too large, too slow or incomplete, or if there is no room for it.
    #[cfg(any(feature = "api", feature = "ui"))]
    pub(crate) async fn receive(&self, request: Request) -> Result<Received, BodyError> {
        let (parts, body) = request.into_parts();
        self.receive_up_to(&parts, body, BODY_LIMIT).await
    }

    /// Receives the body of a request with this head. A client with a valid credential may send up to `limit` bytes.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub(crate) async fn receive_up_to(&self, parts: &Parts, body: Body, limit: usize) -> Result<Received, BodyError> {
        let (client, limit) = self.client(parts, limit);
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > limit) {
            return Err(BodyError::TooLarge(limit));
        }
        let share = match client {
            Client::Network(_) => &self.strangers,
            Client::Owner(_) | Client::Token(_) => &self.members,
        };
        let reservation = Share::reserve(share, client, OVERHEAD).ok_or(BodyError::Busy)?;
        let whole = tokio::time::timeout(self.deadline, collect(body, limit, reservation));
        whole.await.unwrap_or(Err(BodyError::TooSlow(self.deadline)))
    }

    /// Returns the sender of a request, and the size limit of its body.
    fn client(&self, parts: &Parts, limit: usize) -> (Client, usize) {
        let auth = parts.extensions.get::<AuthContext>();
        match auth.and_then(|auth| Some((auth.owner(), auth.token()?))) {
            Some((Some(owner), _)) => (Client::Owner(owner), limit),
            Some((None, token)) => (Client::Token(token), limit),
            None => {
                let address: Option<IpAddr> = self.addresses.of(&parts.headers, &parts.extensions);
                (Client::Network(address.map(network)), limit.min(STRANGERS_LIMIT))
            }
        }
    }
}

/// Copies a body: a frame would keep the connection's whole read buffer, which is not counted.
async fn collect(body: Body, limit: usize, mut reservation: Reservation) -> Result<Received, BodyError> {
    let (mut frames, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(frame) = frames.next().await {
        let frame =
            frame.map_err(|error| if is_limit(&error) { BodyError::TooLarge(limit) } else { BodyError::Broken })?;
        if frame.len() > limit - bytes.len() {
            return Err(BodyError::TooLarge(limit));
        }
        if !reservation.grow(frame.len()) {
            return Err(BodyError::Busy);
        }
        bytes.extend_from_slice(&frame);
    }
    Ok(Received { bytes, _reservation: reservation })
}

/// Returns whether a layer of the host with a tighter limit ended the body.
fn is_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Memory for bodies, shared by clients.
struct Share {
    bytes: usize,
    /// One client may hold the `part`th part of the free bytes.
    part: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    all: usize,
    /// Only clients that hold bytes.
    by: HashMap<Client, usize>,
    /// The bytes of each site of networks.
    by_site: HashMap<u128, usize>,
}

impl Share {
    fn reserve(share: &Arc<Self>, client: Client, bytes: usize) -> Option<Reservation> {
        let mut reservation = Reservation { share: share.clone(), client, bytes: 0 };
        reservation.grow(bytes).then_some(reservation)
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // No change can panic half-way.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that one body counts. They are freed when it is dropped.
struct Reservation {
    share: Arc<Share>,
    client: Client,
    bytes: usize,
}

impl Reservation {
    /// Reserves more bytes, if there is room.
    fn grow(&mut self, bytes: usize) -> bool {
        let mut used = self.share.lock();
        let own = used.by.get(&self.client).copied().unwrap_or_default() + bytes;
        let free = self.share.bytes.saturating_sub(used.all);
        // The last quarter is for first bodies: each client can send one while any bytes are free.
        let fair = (free.saturating_sub(self.share.bytes / 4) / self.share.part).max(FIRST);
        if own > fair || bytes > free {
            return false;
        }
        if let Some(site) = self.client.site() {
            let all = used.by_site.get(&site).copied().unwrap_or_default() + bytes;
            if all > self.share.bytes / self.share.part {
                return false;
            }
            used.by_site.insert(site, all);
        }
        used.all += bytes;
        used.by.insert(self.client, own);
        self.bytes += bytes;
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut used = self.share.lock();
        used.all -= self.bytes;
        if let Some(site) = self.client.site()
            && let Some(all) = used.by_site.get_mut(&site)
        {
            *all -= self.bytes;
            if *all == 0 {
                used.by_site.remove(&site);
            }
        }
        if let Some(own) = used.by.get_mut(&self.client) {
            *own -= self.bytes;
            if *own == 0 {
                used.by.remove(&self.client);
            }
        }
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::net::SocketAddr;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    type Frame = Result<Bytes, std::io::Error>;

    fn reader() -> BodyReader {
        BodyReader::new(DEADLINE, Addresses::of_peers())
    }

    fn from(address: IpAddr, body: Body) -> Request {
        let mut request = Request::new(body);
        request.extensions_mut().insert(SocketAddr::new(address, 1));
        request
    }

    fn v4(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0A00_0000 + n).into()
    }

    /// Makes a body that arrives frame by frame, and ends when the sender is dropped.
    fn open() -> (UnboundedSender<Frame>, Body) {
        let (sender, mut frames) = unbounded_channel();
        (sender, Body::from_stream(futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx))))
    }

    fn used(share: &Share) -> (usize, usize) {
        let used = share.lock();
        (used.all, used.by.len())
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_is_for_the_whole_body() {
        let reader = reader();
        let (sender, body) = open();
        let began = tokio::time::Instant::now();
        let received = tokio::spawn({
            let reader = reader.clone();
            async move { reader.receive(from(v4(1), body)).await.map(|whole| whole.bytes) }
        });
        let drip = async {
            while sender.send(Ok(Bytes::from_static(b"x"))).is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let (received, ()) = tokio::join!(received, drip);
        assert_eq!(received.unwrap(), Err(BodyError::TooSlow(DEADLINE)));
        assert!(began.elapsed() < DEADLINE + Duration::from_secs(2));
        assert_eq!(used(&reader.strangers), (0, 0), "its bytes are free again");
    }

    #[tokio::test]
    async fn a_body_is_complete_or_an_error() {
        let reader = reader();
        let whole = |frames: Vec<Frame>| {
            let (sender, body) = open();
            frames.into_iter().for_each(|frame| sender.send(frame).unwrap());
            drop(sender);
            let reader = &reader;
            async move { reader.receive(from(v4(1), body)).await.map(|whole| whole.bytes) }
        };
        let frame = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
        assert_eq!(whole(vec![frame("a"), frame("bc")]).await, Ok(b"abc".to_vec()));
        assert_eq!(whole(vec![frame("a"), Err(std::io::Error::other("cut"))]).await, Err(BodyError::Broken));
        let large = Bytes::from(vec![b'x'; STRANGERS_LIMIT]);
        assert_eq!(whole(vec![Ok(large.clone())]).await.map(|bytes| bytes.len()), Ok(STRANGERS_LIMIT));
        assert_eq!(whole(vec![Ok(large), frame("y")]).await, Err(BodyError::TooLarge(STRANGERS_LIMIT)));
        let limited = Body::new(http_body_util::Limited::new(Body::from("abc"), 2));
        assert_eq!(reader.receive(from(v4(1), limited)).await.err(), Some(BodyError::TooLarge(STRANGERS_LIMIT)));
        assert_eq!(used(&reader.strangers), (0, 0));
    }

    #[tokio::test]
    async fn a_body_with_too_large_a_length_is_not_read() {
        let body = Body::from(vec![b'x'; STRANGERS_LIMIT + 1]);
        assert_eq!(reader().receive(from(v4(1), body)).await.err(), Some(BodyError::TooLarge(STRANGERS_LIMIT)));
    }

    #[test]
    fn addresses_leave_room_for_one_more() {
        let reader = reader();
        let (share, mut kept) = (&reader.strangers, Vec::new());
        let mut fill = |client: Client| {
            let before = kept.len();
            while let Some(reservation) = Share::reserve(share, client, OVERHEAD + STRANGERS_LIMIT) {
                kept.push(reservation);
            }
            kept.len() - before
        };
        let of = |address: IpAddr| Client::Network(Some(network(address)));
        assert!(fill(of(v4(0))) > 30, "many people behind one address can sign in at once");
        assert!(used(share).0 <= STRANGERS_SHARE.0 / 8, "one address holds at most an eighth");
        // Addresses of other sites.
        for n in 1..200 {
            fill(of(v4(n * 256)));
        }
        assert!(
            Share::reserve(share, of(v4(999 * 256)), OVERHEAD + 200).is_some(),
            "the next address can still sign in"
        );
        assert!(used(share).0 <= STRANGERS_SHARE.0);
        assert!(
            Share::reserve(&reader.members, Client::Owner(OwnerId(1)), BODY_LIMIT).is_some(),
            "members have a share of their own"
        );
        drop(kept);
        assert_eq!(used(share), (0, 0));
    }

    #[test]
    fn networks_of_one_site_leave_room_for_other_sites() {
        let reader = reader();
        let (share, mut kept) = (&reader.strangers, Vec::new());
        let of = |address: IpAddr| Client::Network(Some(network(address)));
        for net in 0..5_000 {
            let client = of(IpAddr::from([0x2001, 0xdb8, 1, net, 0, 0, 0, 1]));
            while let Some(reservation) = Share::reserve(share, client, OVERHEAD + 1) {
                kept.push(reservation);
            }
        }
        assert!(
            used(share).0 <= STRANGERS_SHARE.0 / STRANGERS_SHARE.1,
            "a site holds at most as much as one address may"
        );
        let other = of(IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]));
        assert!(Share::reserve(share, other, FIRST).is_some());
        // Sixty sites, each with as much as it can get.
        for site in 10..70 {
            for net in 0..64 {
                let client = of(IpAddr::from([0x2001, 0xdb8, site, net, 0, 0, 0, 1]));
                while let Some(reservation) = Share::reserve(share, client, OVERHEAD + 1) {
                    kept.push(reservation);
                }
            }
        }
        drop(kept);
        assert_eq!(used(share), (0, 0));
        assert!(share.lock().by_site.is_empty());
    }

    #[tokio::test]
    async fn strangers_over_their_part_are_rejected_by_network() {
        let reader = reader();
        let mut open_bodies = Vec::new();
        let v6 = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        let busy = loop {
            let (sender, body) = open();
            sender.send(Ok(Bytes::from(vec![b'x'; STRANGERS_LIMIT]))).unwrap();
            let request = from(v6(u16::try_from(open_bodies.len()).unwrap()), body);
            let mut receiving = Box::pin(reader.receive(request));
            match futures_util::poll!(&mut receiving) {
                std::task::Poll::Pending => {}
                std::task::Poll::Ready(ended) => break ended,
            }
            open_bodies.push((sender, receiving));
            assert!(open_bodies.len() < 100, "{:?}", used(&reader.strangers));
        };
        assert_eq!(busy.err(), Some(BodyError::Busy));
        let other = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert!(reader.receive(from(other, Body::from("{}"))).await.is_ok());
        drop(open_bodies);
        assert!(reader.receive(from(v6(1), Body::from("{}"))).await.is_ok());
    }
}
