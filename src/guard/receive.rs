//! Receives request bodies for the management API and the pages: with a limit of size, a deadline, and a bound on all of them.
//!
//! Bytes are counted as they arrive, in two shares: one for requests without a valid credential, one for the others, so that
//! strangers take nothing from people who are signed in. Within a share a client may hold a fixed part of what is still free.
//! So a share is never full: however many clients hold as much as they may, the next one finds room.

use super::address::Addresses;
use super::context::AuthContext;
use crate::domain::{OwnerId, TokenId, network};
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use futures_util::StreamExt;
use http_body_util::LengthLimitError;
use std::collections::HashMap;
use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest body of a request without a valid credential, in bytes. None of our forms for strangers comes near it.
pub(crate) const STRANGERS_LIMIT: usize = 16 * 1024;
/// The largest body of any other request to our own routes, in bytes.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;
/// How long a body may take to arrive, unless the host says otherwise.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// What an open body counts before its first byte arrives: its request is held in memory too.
const OVERHEAD: usize = 4 * 1024;
/// What each client may hold while anything is free: one body without a credential.
const FIRST: usize = OVERHEAD + STRANGERS_LIMIT;
/// Bytes of all bodies of strangers together, and the part of what is free that one network address may hold.
const STRANGERS_SHARE: (usize, usize) = (8 * 1024 * 1024, 8);
/// Bytes of all other bodies together, and the part of what is free that one owner may hold.
const MEMBERS_SHARE: (usize, usize) = (64 * 1024 * 1024, 2);

/// Why a body was not received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is larger than this many bytes.
    TooLarge(usize),
    /// It was not complete after this long.
    TooSlow(Duration),
    /// Other bodies take all the memory that this client may have for them.
    Busy,
    /// It ended with an error.
    Broken,
}

/// Receives bodies. Clones share their bounds.
#[derive(Clone)]
pub(crate) struct BodyReader {
    deadline: Duration,
    addresses: Addresses,
    strangers: Arc<Share>,
    members: Arc<Share>,
}

/// A whole body. It counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    _held: Held,
}

/// Who sends a body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Client {
    /// A request without a valid credential, by its network address: IPv4, or /64 of IPv6. `None` if the server does not tell it.
    Network(Option<u128>),
    Owner(OwnerId),
    /// A content token, which has no owner.
    Token(TokenId),
}

impl Client {
    /// The site of a network: /48 of IPv6, of which each site has as many /64 as it likes; /24 of IPv4.
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
        Self { deadline, addresses, strangers: share(STRANGERS_SHARE), members: share(MEMBERS_SHARE) }
    }

    /// Receives the body of a request.
    ///
    /// # Errors
    /// If it is too large, too slow, breaks off, or there is no room for it.
    pub(crate) async fn receive(&self, request: Request) -> Result<Received, BodyError> {
        let (client, limit) = self.client(&request);
        let body = request.into_body();
        if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > limit) {
            return Err(BodyError::TooLarge(limit));
        }
        let share = match client {
            Client::Network(_) => &self.strangers,
            Client::Owner(_) | Client::Token(_) => &self.members,
        };
        let held = Share::hold(share, client, OVERHEAD).ok_or(BodyError::Busy)?;
        let whole = tokio::time::timeout(self.deadline, collect(body, limit, held));
        whole.await.unwrap_or(Err(BodyError::TooSlow(self.deadline)))
    }

    /// Who sends a request, and how large its body may be.
    fn client(&self, request: &Request) -> (Client, usize) {
        let auth = request.extensions().get::<AuthContext>();
        match auth.and_then(|auth| Some((auth.owner(), auth.token()?))) {
            Some((Some(owner), _)) => (Client::Owner(owner), BODY_LIMIT),
            Some((None, token)) => (Client::Token(token), BODY_LIMIT),
            None => {
                let address: Option<IpAddr> = self.addresses.of(request.headers(), request.extensions());
                (Client::Network(address.map(network)), STRANGERS_LIMIT)
            }
        }
    }
}

/// Copies a body: a frame keeps the connection's whole read buffer alive, which nothing counts.
async fn collect(body: Body, limit: usize, mut held: Held) -> Result<Received, BodyError> {
    let (mut frames, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(frame) = frames.next().await {
        let frame =
            frame.map_err(|error| if is_limit(&error) { BodyError::TooLarge(limit) } else { BodyError::Broken })?;
        if frame.len() > limit - bytes.len() {
            return Err(BodyError::TooLarge(limit));
        }
        if !held.grow(frame.len()) {
            return Err(BodyError::Busy);
        }
        bytes.extend_from_slice(&frame);
    }
    Ok(Received { bytes, _held: held })
}

/// Whether a layer of the host has a tighter limit.
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
    /// One client may hold a `part`th of what is free.
    part: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    all: usize,
    /// Clients that hold nothing are not in it.
    by: HashMap<Client, usize>,
    /// The same for the sites of networks.
    by_site: HashMap<u128, usize>,
}

impl Share {
    fn hold(share: &Arc<Self>, client: Client, bytes: usize) -> Option<Held> {
        let mut held = Held { share: share.clone(), client, bytes: 0 };
        held.grow(bytes).then_some(held)
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // Nothing in here panics half-way through a change.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body counts. Dropped, it is free again.
struct Held {
    share: Arc<Share>,
    client: Client,
    bytes: usize,
}

impl Held {
    /// Counts more bytes, if there is room for them.
    fn grow(&mut self, bytes: usize) -> bool {
        let mut used = self.share.lock();
        let own = used.by.get(&self.client).copied().unwrap_or_default() + bytes;
        let free = self.share.bytes.saturating_sub(used.all);
        // The last quarter is for first bodies: however many clients there are, each can send one while anything is free.
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

impl Drop for Held {
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

impl std::fmt::Debug for Held {
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

    /// A body that arrives frame by frame, and ends when the sender is dropped.
    fn open() -> (UnboundedSender<Frame>, Body) {
        let (sender, mut frames) = unbounded_channel();
        (sender, Body::from_stream(futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx))))
    }

    fn used(share: &Share) -> (usize, usize) {
        let used = share.lock();
        (used.all, used.by.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_its_deadline_as_a_whole() {
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
        assert_eq!(used(&reader.strangers), (0, 0), "nothing of it is held any more");
    }

    #[tokio::test]
    async fn a_body_is_whole_or_an_error() {
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
    async fn a_body_that_says_that_it_is_too_large_is_not_read() {
        let body = Body::from(vec![b'x'; STRANGERS_LIMIT + 1]);
        assert_eq!(reader().receive(from(v4(1), body)).await.err(), Some(BodyError::TooLarge(STRANGERS_LIMIT)));
    }

    #[test]
    fn an_address_leaves_room_for_others_and_many_addresses_do_too() {
        let reader = reader();
        let (share, mut kept) = (&reader.strangers, Vec::new());
        let mut fill = |client: Client| {
            let before = kept.len();
            while let Some(held) = Share::hold(share, client, OVERHEAD + STRANGERS_LIMIT) {
                kept.push(held);
            }
            kept.len() - before
        };
        let of = |address: IpAddr| Client::Network(Some(network(address)));
        assert!(fill(of(v4(0))) > 30, "a network of many people signs in at the same time");
        assert!(used(share).0 <= STRANGERS_SHARE.0 / 8, "one address has an eighth at most");
        // Of other sites.
        for n in 1..200 {
            fill(of(v4(n * 256)));
        }
        assert!(Share::hold(share, of(v4(999 * 256)), OVERHEAD + 200).is_some(), "the next one can still sign in");
        assert!(used(share).0 <= STRANGERS_SHARE.0);
        assert!(Share::hold(&reader.members, Client::Owner(OwnerId(1)), BODY_LIMIT).is_some(), "it is another share");
        drop(kept);
        assert_eq!(used(share), (0, 0));
    }

    #[test]
    fn many_networks_of_one_site_with_small_bodies_keep_no_other_site_out() {
        let reader = reader();
        let (share, mut kept) = (&reader.strangers, Vec::new());
        let of = |address: IpAddr| Client::Network(Some(network(address)));
        for net in 0..5_000 {
            let client = of(IpAddr::from([0x2001, 0xdb8, 1, net, 0, 0, 0, 1]));
            while let Some(held) = Share::hold(share, client, OVERHEAD + 1) {
                kept.push(held);
            }
        }
        assert!(used(share).0 <= STRANGERS_SHARE.0 / STRANGERS_SHARE.1, "a site holds no more than one address may");
        let other = of(IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]));
        assert!(Share::hold(share, other, FIRST).is_some());
        // Sixty sites, each with all that it can get.
        for site in 10..70 {
            for net in 0..64 {
                let client = of(IpAddr::from([0x2001, 0xdb8, site, net, 0, 0, 0, 1]));
                while let Some(held) = Share::hold(share, client, OVERHEAD + 1) {
                    kept.push(held);
                }
            }
        }
        drop(kept);
        assert_eq!(used(share), (0, 0));
        assert!(share.lock().by_site.is_empty());
    }

    #[tokio::test]
    async fn strangers_are_counted_by_network_and_get_a_503_beyond() {
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
