//! One node whose token belongs to an account of the host: requests run while the host reports a change.

use super::{breaks, explore};
use crate::accounts::{Account, AccountKey, Accounts, AccountsError};
use crate::admin::Lifespan;
use crate::clock::{ManualClock, SeededEntropy};
use crate::domain::{Digest, Tag};
use crate::guard::{Limits, Unavailable};
use crate::sync::SLOT_BITS;
use crate::{Grant, HashKey, Keyward, MemoryStore, NewAdminToken};
use async_trait::async_trait;
use shuttle::rand::Rng;
use shuttle::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::Arc;

const ACTIVE: u8 = 0;
const SUSPENDED: u8 = 1;
const MISSING: u8 = 2;

/// The one user of the host.
#[derive(Clone)]
struct User {
    state: Arc<AtomicU8>,
    /// The state before the change. Answers with it arrive late: the change may be reported meanwhile.
    former: Arc<AtomicU8>,
}

#[async_trait]
impl Accounts for User {
    async fn account(&self, _: &AccountKey) -> Result<Option<Account>, AccountsError> {
        let state = self.state.load(Ordering::SeqCst);
        for _ in 0..if state == self.former.load(Ordering::SeqCst) { 32 } else { 1 } {
            tokio::task::yield_now().await;
        }
        let account = Account::new("Ada").active(state == ACTIVE).permissions(["article.read"]);
        Ok((state != MISSING).then_some(account))
    }
}

/// An installation with one token.
struct Installation {
    keyward: Keyward,
    user: User,
    key: AccountKey,
    digest: Digest,
}

impl Installation {
    async fn new(former: u8) -> Arc<Self> {
        let clock = Arc::new(ManualClock::default());
        let (store, state) = (MemoryStore::with_clock(clock.clone()), Arc::new(AtomicU8::new(ACTIVE)));
        // None, while the token is issued.
        let user = User { state, former: Arc::new(AtomicU8::new(u8::MAX)) };
        let hash_key = HashKey::parse("Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE").unwrap();
        let limits = Limits { cache_bytes: 1 << 13, ..Limits::default() };
        let builder = Keyward::builder(store).hash_key(hash_key).clock(clock).limits(limits).accounts(user.clone());
        let builder = builder.entropy(Arc::new(SeededEntropy::new(7))).store_is_exclusive().admin("/admin");
        let keyward = builder.build().unwrap();
        let mut number = 0;
        let token = loop {
            number += 1;
            let new = NewAdminToken::new(format!("token {number}"), AccountKey::from(number));
            let new = new.lifespan(Lifespan::Unlimited);
            let new = new.grants([Grant::new("article.read")]);
            let token = keyward.tokens().issue_admin(new).await.unwrap().token;
            // There are few slots. In one slot, the tag of the owner would invalidate another one.
            let tags = [Tag::owner(token.owner().unwrap()), Tag::token(&token.digest), Tag::ALL];
            let [owner, others @ ..] = tags.map(|tag| tag.slot(SLOT_BITS));
            if !others.contains(&owner) {
                break token;
            }
        };
        user.state.store(former, Ordering::SeqCst);
        user.former.store(former, Ordering::SeqCst);
        Arc::new(Self { keyward, user, key: AccountKey::from(number), digest: token.digest })
    }

    async fn admits(&self) -> Result<bool, Unavailable> {
        let resolver = &self.keyward.admin_state().resolver;
        super::admits(resolver, self.digest, resolver.clock.moment()).await
    }

    /// Commits a change of the user, and reports it.
    async fn change(&self, state: u8) {
        self.user.state.store(state, Ordering::SeqCst);
        self.keyward.accounts().changed(&self.key).await.unwrap();
    }
}

/// host-is-the-source: once a change is reported, each request on the node is judged by it.
async fn request_after_a_report_is_judged_by_it(before: u8, after: u8) {
    let installation = Installation::new(before).await;
    let reported = Arc::new(AtomicBool::new(false));
    let request = || {
        let (installation, reported) = (installation.clone(), reported.clone());
        tokio::spawn(async move {
            for _ in 0..2 {
                let after_report = reported.load(Ordering::SeqCst);
                let admitted = installation.admits().await.unwrap();
                assert!(!after_report || admitted == (after == ACTIVE));
            }
        })
    };
    let others = [request(), request()];
    // Else the change would nearly always come before the first look-up.
    for _ in 0..shuttle::rand::thread_rng().gen_range(0..100) {
        tokio::task::yield_now().await;
    }
    installation.change(after).await;
    reported.store(true, Ordering::SeqCst);
    assert_eq!(installation.admits().await.unwrap(), after == ACTIVE);
    for other in others {
        other.await.unwrap();
    }
    installation.keyward.shutdown().await;
}

async fn suspension_during_a_look_up() {
    request_after_a_report_is_judged_by_it(ACTIVE, SUSPENDED).await;
}

async fn return_during_a_look_up() {
    request_after_a_report_is_judged_by_it(MISSING, ACTIVE).await;
}

#[test]
fn account_suspended_during_a_look_up_is_rejected() {
    explore(suspension_during_a_look_up);
    breaks("account is asked before the snapshot", suspension_during_a_look_up);
    breaks("look-up result is used unchecked", suspension_during_a_look_up);
}

#[test]
fn account_that_returns_during_a_look_up_is_admitted() {
    explore(return_during_a_look_up);
    breaks("look-up result is used unchecked", return_during_a_look_up);
    breaks("account is asked before the snapshot", return_during_a_look_up);
}
