//! Counts of failed sign-ins, written to the audit log each minute by account and network.
//!
//! The typed text is never written. A typed e-mail address stays in memory for a minute, and is written as the id of its account.

use super::ServiceError;
use super::context::ServiceContext;
use super::profile::checked_email;
use super::state::AdminState;
use crate::domain::{Actor, OwnerId, comparable, network};
use crate::store::{StoreError, WriteStore};
use crate::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

const WRITE_EVERY: Duration = Duration::from_secs(60);
/// The most accounts, and the most networks, that are counted one by one. Others count in the total only.
const MOST: usize = 10_000;
/// The most accounts, and the most addresses, that an event lists: those with the most failures.
const LISTED: usize = 100;

/// The failed sign-ins that are not written yet.
#[derive(Default)]
pub(super) struct FailedSignIns(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    counts: Counts,
    /// Whether a task will write them.
    is_scheduled: bool,
    /// The store to write to. Weak: the counts must not keep it open.
    store: Option<Weak<dyn WriteStore>>,
}

/// Failed sign-ins by account and by network.
#[derive(Default)]
struct Counts {
    all: u64,
    /// Those that were rejected before the password was checked, by the rate limit.
    throttled: u64,
    /// By the comparable form of an e-mail address. They grow slowly, as each takes a password hash.
    accounts: HashMap<String, u64>,
    networks: HashMap<u128, u64>,
}

impl Counts {
    /// Counts a failure at the account with this e-mail address; `None` if the password was not checked. A text that is not an
    /// e-mail address counts at no account.
    fn add(&mut self, guessed: Option<&str>, from: Option<IpAddr>) {
        self.all += 1;
        match guessed {
            Some(email) => {
                if let Ok(email) = checked_email(email) {
                    count(&mut self.accounts, comparable(&email), 1);
                }
            }
            None => self.throttled += 1,
        }
        if let Some(from) = from {
            count(&mut self.networks, network(from), 1);
        }
    }

    /// Adds counts that could not be written.
    fn merge(&mut self, other: Self) {
        self.all += other.all;
        other.accounts.into_iter().for_each(|(email, n)| count(&mut self.accounts, email, n));
        other.networks.into_iter().for_each(|(network, n)| count(&mut self.networks, network, n));
        self.throttled += other.throttled;
    }

    /// Returns the details of the event. `known` are the accounts that exist.
    fn details(&self, known: Vec<(String, OwnerId)>) -> Value {
        let of = |(email, id): (String, OwnerId)| self.accounts.get(&email).map(|n| (id, *n));
        let mut known: Vec<(OwnerId, u64)> = known.into_iter().filter_map(of).collect();
        let mut networks: Vec<(u128, u64)> = self.networks.iter().map(|(network, n)| (*network, *n)).collect();
        known.sort_unstable_by_key(|(id, n)| (Reverse(*n), *id));
        networks.sort_unstable_by_key(|(network, n)| (Reverse(*n), *network));
        let users: Vec<Value> = known.iter().take(LISTED).map(|(id, n)| json!({"id": id, "count": n})).collect();
        let listed = |(network, n): &(u128, u64)| json!({"address": network_text(*network), "count": n});
        let addresses: Vec<Value> = networks.iter().take(LISTED).map(listed).collect();
        json!({
            "count": self.all,
            "throttled": self.throttled,
            "accounts": self.accounts.len(),
            "moreUsers": known.len() - users.len(),
            "moreAddresses": networks.len() - addresses.len(),
            "users": users,
            "addresses": addresses,
        })
    }
}

/// Formats an IPv4 address, or the /64 network of an IPv6 address.
fn network_text(network: u128) -> String {
    match Ipv6Addr::from_bits(network).to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/64"),
    }
}

fn count<K: Hash + Eq>(counts: &mut HashMap<K, u64>, key: K, n: u64) {
    let full = counts.len() >= MOST;
    match counts.get_mut(&key) {
        Some(count) => *count += n,
        None if full => {}
        None => drop(counts.insert(key, n)),
    }
}

impl ServiceContext {
    /// Counts a failed sign-in, which is written within a minute.
    ///
    /// `guessed` is the e-mail address whose password was checked; `None` if the rate limit rejected the sign-in before.
    pub(super) fn note_failed_sign_in(&self, guessed: Option<&str>) {
        let mut pending = self.state.sign_in.failures.lock();
        pending.counts.add(guessed, self.origin.address);
        pending.store.get_or_insert_with(|| Arc::downgrade(self.store()));
        if !std::mem::replace(&mut pending.is_scheduled, true) {
            let state = Arc::downgrade(&self.state);
            self.state.resolver.tasks.spawn(|mut stop| async move {
                loop {
                    tokio::select! {
                        () = stop.requested() => return,
                        () = tokio::time::sleep(WRITE_EVERY) => {}
                    }
                    let Some(state) = state.upgrade() else { return };
                    if !state.write_failed_sign_ins().await {
                        return;
                    }
                }
            });
        }
    }
}

impl AdminState {
    /// Writes the failed sign-ins since the last call. Returns whether there are more to write.
    pub(crate) async fn write_failed_sign_ins(self: &Arc<Self>) -> bool {
        let failures = &self.sign_in.failures;
        let (counts, store) = {
            let mut pending = failures.lock();
            let store = pending.store.as_ref().and_then(Weak::upgrade);
            let Some(store) = store.filter(|_| pending.counts.all > 0) else {
                pending.is_scheduled = false;
                return false;
            };
            (std::mem::take(&mut pending.counts), store)
        };
        match write(ServiceContext::new(store, self.clone()), &counts).await {
            Ok(()) => {
                let mut pending = failures.lock();
                // Failures since then wait for another minute.
                pending.is_scheduled = pending.counts.all > 0;
                pending.is_scheduled
            }
            // They may have been written: to write them again could count them twice.
            Err(ServiceError::Store(StoreError::Unknown(error))) => {
                tracing::warn!(
                    error = &*error as &dyn std::error::Error,
                    count = counts.all,
                    "failed sign-ins may not be written"
                );
                let mut pending = failures.lock();
                pending.is_scheduled = pending.counts.all > 0;
                pending.is_scheduled
            }
            Err(error) => {
                let (count, error) = (counts.all, &error as &dyn std::error::Error);
                tracing::warn!(error, count, "failed sign-ins not written yet");
                failures.lock().counts.merge(counts);
                true
            }
        }
    }
}

async fn write(context: ServiceContext, counts: &Counts) -> Result<(), ServiceError> {
    let typed: Vec<&str> = counts.accounts.keys().map(String::as_str).collect();
    // Before the transaction: other writers do not wait for it.
    let known = context.view().await?.owners_by_email(&typed).await?;
    let details = counts.details(known);
    let context = context.acting_as(Actor::Visitor.into());
    context.transact(move |unit| Box::pin(unit.record_failed_sign_ins(details))).await
}

impl FailedSignIns {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Poisoning is ignored: no code panics while it changes the value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ip(n: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(n).into())
    }

    #[test]
    fn failures_are_listed_by_account_and_network_with_the_most_first() {
        let mut counts = Counts::default();
        for (email, from) in [("Ada@x.test", 1), ("ada@x.test ", 2), ("bob@x.test", 2), ("hunter2", 2)] {
            counts.add(Some(email), ip(from));
        }
        counts.add(Some("ada@x.test"), None);
        counts.add(None, "2001:db8::7".parse().ok());
        let known = vec![("bob@x.test".to_owned(), OwnerId(8)), ("ada@x.test".to_owned(), OwnerId(7))];
        let expected = json!({
            "count": 6,
            "throttled": 1,
            "accounts": 2,
            "users": [{"id": 7, "count": 3}, {"id": 8, "count": 1}],
            "addresses": [
                {"address": "0.0.0.2", "count": 3},
                {"address": "0.0.0.1", "count": 1},
                {"address": "2001:db8::/64", "count": 1},
            ],
            "moreUsers": 0,
            "moreAddresses": 0,
        });
        assert_eq!(counts.details(known), expected);
        assert!(!counts.accounts.contains_key("hunter2"), "a text that is not an e-mail address is not kept");
    }

    #[test]
    fn memory_of_failures_is_bounded() {
        let mut counts = Counts::default();
        for n in 0..20_000 {
            counts.add(Some(&format!("p{n}@x.test")), ip(n));
            counts.add(None, format!("2001:db8::{n:x}").parse().ok());
        }
        counts.add(Some(&format!("{}@x.test", "\u{fdfa}".repeat(100))), None);
        counts.add(Some("a\0b@x.test"), None);
        counts.add(Some("p1@x.test"), ip(1));
        assert_eq!((counts.all, counts.throttled), (40_003, 20_000));
        assert_eq!((counts.accounts.len(), counts.networks.len()), (MOST, MOST));
        assert!(counts.accounts.keys().all(|email| email.len() <= 4 * 254 && !email.contains('\0')));
        let details = counts.details(vec![("p1@x.test".to_owned(), OwnerId(1))]);
        assert_eq!(details["users"], json!([{"id": 1, "count": 2}]));
        assert_eq!(details["addresses"][0], json!({"address": "2001:db8::/64", "count": 20_000}));
        assert_eq!(details["addresses"].as_array().map(Vec::len), Some(LISTED));
    }

    #[test]
    fn unwritten_failures_are_added_to_later_ones() {
        let (mut counts, mut other) = (Counts::default(), Counts::default());
        counts.add(Some("ada@x.test"), ip(1));
        other.add(Some("ada@x.test"), ip(1));
        other.add(Some("bob@x.test"), ip(2));
        other.add(None, None);
        counts.merge(other);
        assert_eq!((counts.all, counts.throttled), (4, 1));
        assert_eq!((counts.accounts["ada@x.test"], counts.accounts["bob@x.test"]), (2, 1));
        assert_eq!(counts.networks[&network(ip(1).unwrap())], 2);
    }
}
