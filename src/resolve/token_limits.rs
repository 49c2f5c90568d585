//! The limits of a cached token: its own networks and rate limit, and those of its ancestors (the tokens that made it).

use super::Resolver;
use crate::domain::{Clock, MonotonicTime, Network, RateExceeded, RateLimit, Reason, Token, TokenId};
use crate::sync::Arc;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use quick_cache::sync::Cache;
use std::convert::Infallible;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// The most limiters that a node keeps, one for each token with a rate limit that was used on it.
const MOST_LIMITERS: usize = 65_536;

/// The limits of a cached token that each request has to meet.
pub(crate) struct EntryLimits {
    /// One list for each token that has networks. The client has to be in at least one network of every list.
    networks: Vec<Box<[Network]>>,
    rates: Vec<Arc<Limiter>>,
}

impl EntryLimits {
    /// Returns the limits of a token; `None` if it has none that a request has to meet.
    pub(super) fn of(token: &Token, resolver: &Resolver) -> Option<Self> {
        let networks: Vec<Box<[Network]>> = token
            .all_limits()
            .filter(|limits| !limits.networks.is_empty())
            .map(|limits| limits.networks.as_slice().into())
            .collect();
        let own = std::iter::once((token.id, token.limits.rate));
        let rates = own.chain(token.ancestors.iter().map(|ancestor| (ancestor.id, ancestor.limits.rate)));
        let rates: Vec<Arc<Limiter>> =
            rates.filter_map(|(id, rate)| rate.map(|rate| resolver.limiters.of(id, rate, &resolver.clock))).collect();
        (!networks.is_empty() || !rates.is_empty()).then_some(Self { networks, rates })
    }

    /// Checks that the client's address is in the networks. An unknown address is in none.
    pub(super) fn admit_address(&self, address: Option<IpAddr>) -> Result<(), Reason> {
        let is_in = |networks: &[Network]| {
            address.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
        };
        if self.networks.iter().all(|networks| is_in(networks)) { Ok(()) } else { Err(Reason::NetworkNotAllowed) }
    }

    /// Counts a request against every rate limit. Fails at the first one that is exceeded.
    pub(super) fn count(&self) -> Result<(), Reason> {
        self.rates.iter().try_for_each(|limiter| limiter.count())
    }

    /// Returns the approximate bytes on the heap.
    pub(super) fn weight(&self) -> usize {
        let networks = self.networks.iter().map(|list| size_of_val(&**list) + 2 * size_of::<usize>()).sum::<usize>();
        networks + self.rates.len() * (size_of::<usize>() + size_of::<Limiter>())
    }
}

/// Counts the requests of one token on this node.
pub(crate) struct Limiter {
    rate: RateLimit,
    clock: NodeClock,
    counter: RateLimiter<NotKeyed, InMemoryState, NodeClock, NoOpMiddleware<Nanos>>,
}

impl Limiter {
    fn new(rate: RateLimit, clock: NodeClock) -> Self {
        let limit = NonZeroU32::new(rate.limit()).unwrap_or(NonZeroU32::MIN);
        // governor rejects a period of zero. More than one request in a nanosecond cannot be counted.
        let each = (rate.window() / limit.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(each).unwrap_or(Quota::per_second(limit)).allow_burst(limit);
        Self { rate, counter: RateLimiter::direct_with_clock(quota, clock.clone()), clock }
    }

    fn count(&self) -> Result<(), Reason> {
        self.counter.check().map_err(|until| {
            let wait = until.wait_time_from(governor::clock::Clock::now(&self.clock));
            Reason::RateExceeded(RateExceeded::new(self.rate, wait))
        })
    }
}

/// The clock of the installation, in the form that `governor` reads.
#[derive(Clone)]
struct NodeClock(Arc<dyn Clock>);

impl governor::clock::Clock for NodeClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let MonotonicTime(now) = self.0.moment();
        Nanos::new(now)
    }
}

/// The limiters of tokens. They outlive the cached entries, so a change of a token resets its count only if its rate limit changes.
pub(super) struct Limiters(Cache<TokenId, Arc<Limiter>>);

impl Default for Limiters {
    fn default() -> Self {
        Self(Cache::new(MOST_LIMITERS))
    }
}

impl Limiters {
    fn of(&self, id: TokenId, rate: RateLimit, clock: &Arc<dyn Clock>) -> Arc<Limiter> {
        let new = || Arc::new(Limiter::new(rate, NodeClock(clock.clone())));
        // Entries that are made at once share a limiter.
        let known = self.0.get_or_insert_with(&id, || Ok::<_, Infallible>(new()));
        let Ok(limiter) = known;
        if limiter.rate == rate {
            return limiter;
        }
        let changed = new();
        self.0.insert(id, changed.clone());
        changed
    }
}
