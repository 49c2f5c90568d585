//! One node, on a store that nobody else changes: who asks and who changes, both through it.

use super::{breaks, explore};
use crate::admin::Lifespan;
use crate::clock::{ManualClock, SeededEntropy};
use crate::guard::{Limits, Unavailable};
use crate::hands::Hands;
use crate::resolve::{Lane, Resolved, Resolver};
use crate::store::{Store, WriteStore};
use crate::token::{ContentAccess, Token};
use crate::{HashKey, Keyward, MemoryStore, NewContentToken};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// An installation with one token.
struct House {
    keyward: Keyward,
    token: Token,
}

impl House {
    async fn new() -> Arc<Self> {
        let clock = Arc::new(ManualClock::default());
        let salt = HashKey::parse("Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE").unwrap();
        let limits = Limits { cache_bytes: 1 << 13, ..Limits::default() };
        let builder =
            Keyward::builder(MemoryStore::with_clock(clock.clone())).hash_key(salt).clock(clock).limits(limits);
        let keyward =
            builder.entropy(Arc::new(SeededEntropy::new(7))).store_is_exclusive().content("/api").build().unwrap();
        let new = NewContentToken::new("the token", ContentAccess::ReadOnly).lifespan(Lifespan::Unlimited);
        let token = keyward.tokens().issue_content(new).await.unwrap().token;
        Arc::new(Self { keyward, token })
    }

    /// With the token in its cache.
    async fn that_knows_it() -> Arc<Self> {
        let house = Self::new().await;
        assert!(house.admits().await.unwrap());
        house
    }

    fn resolver(&self) -> &Arc<Resolver> {
        &self.keyward.writer().resolver
    }

    /// Whether a request with the token is admitted, as the gate asks.
    async fn admits(&self) -> Result<bool, Unavailable> {
        let resolver = self.resolver();
        let resolved = match resolver.known(&self.token.digest, resolver.clock.moment()) {
            Some(known) => known,
            None => resolver.clone().ask(self.token.digest, Lane::Unknown).await?,
        };
        Ok(matches!(resolved, Resolved::Found(_)))
    }

    async fn revoke(&self) {
        self.keyward.tokens().revoke(self.token.id).await.unwrap();
    }
}

/// I12: all who ask for a cold token share one look-up, and who hangs up takes it from nobody.
async fn one_look_up_for_all() {
    let house = House::new().await;
    let asks = || {
        let house = house.clone();
        tokio::spawn(async move {
            let _hands = Hands::of_this_task();
            house.admits().await
        })
    };
    let (hangs_up, others) = (asks(), [asks(), asks()]);
    hangs_up.abort();
    for other in others {
        assert!(other.await.unwrap().unwrap());
    }
    assert_eq!(house.keyward.health().store_reads, 1);
}

/// I3: after the answer to a revoke nobody is admitted, whatever look-up was under way, and whoever joined it when.
async fn nobody_is_admitted_after_a_revoke(house: Arc<House>) {
    let revoked = Arc::new(AtomicBool::new(false));
    let asks = || {
        let (house, revoked) = (house.clone(), revoked.clone());
        tokio::spawn(async move {
            for _ in 0..2 {
                let after = revoked.load(Ordering::SeqCst);
                let admitted = house.admits().await.unwrap();
                assert!(!(after && admitted));
            }
        })
    };
    let others = [asks(), asks()];
    house.revoke().await;
    revoked.store(true, Ordering::SeqCst);
    assert!(!house.admits().await.unwrap());
    for other in others {
        other.await.unwrap();
    }
    assert!(!house.admits().await.unwrap());
}

async fn a_revoke_while_it_is_read() {
    nobody_is_admitted_after_a_revoke(House::new().await).await;
}

async fn a_revoke_while_it_is_known() {
    nobody_is_admitted_after_a_revoke(House::that_knows_it().await).await;
}

/// I3: also if the client of the change hung up, wherever it was, a change that is committed is raised.
async fn a_revoke_whose_client_hangs_up() {
    let house = House::that_knows_it().await;
    let client = tokio::spawn({
        let house = house.clone();
        async move { house.revoke().await }
    });
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    client.abort();
    // Whoever has the lock knows that nobody is in the middle of a change.
    drop(house.keyward.store().begin().await.unwrap());
    let gone = house.keyward.store().resolve(&house.token.digest).await.unwrap().record.is_none();
    let mut patience = 1_000;
    while gone && house.admits().await.unwrap() {
        patience -= 1;
        assert!(patience > 0, "the store has the change, and this node has not");
        tokio::task::yield_now().await;
    }
}

#[test]
fn look_ups_are_shared() {
    explore(one_look_up_for_all);
    breaks("no second look before a look-up", one_look_up_for_all);
    breaks("the place is freed before the answer is kept", one_look_up_for_all);
    breaks("a look-up in the hands of who began it", one_look_up_for_all);
}

#[test]
fn look_ups_are_overtaken() {
    explore(a_revoke_while_it_is_read);
    breaks("a look-up's answer is taken as it is", a_revoke_while_it_is_read);
    breaks("what is cached is taken as it is", a_revoke_while_it_is_read);
    breaks("acknowledged before it is raised", a_revoke_while_it_is_read);
}

#[test]
fn what_is_known_is_revoked() {
    explore(a_revoke_while_it_is_known);
    breaks("what is cached is taken as it is", a_revoke_while_it_is_known);
    breaks("acknowledged before it is raised", a_revoke_while_it_is_known);
}

#[test]
fn clients_hang_up() {
    explore(a_revoke_whose_client_hangs_up);
    breaks("a change in its caller's hands", a_revoke_whose_client_hangs_up);
}
