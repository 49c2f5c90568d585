//! Sign-ins that failed, for the audit log: how many in a minute, of which accounts and from which addresses. Never what was typed.
//!
//! An address that was typed is kept in memory for a minute at most, and is written only as the id of the account that has it.

use super::ServiceError;
use super::write::{Change, Writer};
use crate::domain::{Doer, OwnerId, Target, What, comparable};
use crate::store::WriteStore;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

const WRITE_EVERY: Duration = Duration::from_secs(60);
/// More accounts, or addresses, than this are counted and not told apart.
const MOST: usize = 10_000;
/// An event names no more accounts, and no more addresses: those with the most failures.
const NAMED: usize = 100;
/// No e-mail address has more bytes. A longer text is no account's, and is not kept.
const LONGEST: usize = 254;

/// Failures that are not written yet.
#[derive(Default)]
pub(super) struct Failures(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    counts: Counts,
    /// Whether a task is about to write.
    due: bool,
    /// Where to. Weak: what failed must not keep a store open.
    store: Option<Weak<dyn WriteStore>>,
}

/// Failures by account and by address.
#[derive(Default)]
struct Counts {
    all: u64,
    /// By the comparable form of what was typed.
    accounts: HashMap<String, u64>,
    addresses: HashMap<IpAddr, u64>,
}

impl Counts {
    fn add(&mut self, email: &str, address: Option<IpAddr>) {
        self.all += 1;
        let email = email.trim();
        let email = if email.len() > LONGEST { String::new() } else { comparable(email) };
        count(&mut self.accounts, email, 1);
        if let Some(address) = address {
            count(&mut self.addresses, address, 1);
        }
    }

    /// Takes back what could not be written.
    fn merge(&mut self, other: Self) {
        self.all += other.all;
        other.accounts.into_iter().for_each(|(email, n)| count(&mut self.accounts, email, n));
        other.addresses.into_iter().for_each(|(address, n)| count(&mut self.addresses, address, n));
    }

    /// What the event says. `known` are the accounts that exist.
    fn details(&self, known: Vec<(String, OwnerId)>) -> Value {
        let of = |(email, id): (String, OwnerId)| self.accounts.get(&email).map(|n| (id, *n));
        let mut known: Vec<(OwnerId, u64)> = known.into_iter().filter_map(of).collect();
        let mut addresses: Vec<(IpAddr, u64)> = self.addresses.iter().map(|(address, n)| (*address, *n)).collect();
        known.sort_unstable_by_key(|(id, n)| (std::cmp::Reverse(*n), *id));
        addresses.sort_unstable_by_key(|(address, n)| (std::cmp::Reverse(*n), *address));
        let users: Vec<Value> = known.iter().take(NAMED).map(|(id, n)| json!({"id": id, "count": n})).collect();
        let named = |(address, n): &(IpAddr, u64)| json!({"address": address.to_string(), "count": n});
        let from: Vec<Value> = addresses.iter().take(NAMED).map(named).collect();
        json!({
            "count": self.all,
            "accounts": self.accounts.len(),
            "users": users,
            "addresses": from,
            "moreUsers": known.len() - users.len(),
            "moreAddresses": addresses.len() - from.len(),
        })
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

impl Change {
    /// Notes a failure, which is written within a minute.
    pub(super) fn note_failure(&self, email: &str) {
        let failures = &self.writer.people.failures;
        let mut pending = failures.lock();
        pending.counts.add(email, self.origin.address);
        pending.store.get_or_insert_with(|| Arc::downgrade(self.store()));
        if !std::mem::replace(&mut pending.due, true) {
            let writer = Arc::downgrade(&self.writer);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(WRITE_EVERY).await;
                    let Some(writer) = writer.upgrade() else { return };
                    let more = writer.write_failures().await;
                    if !more {
                        return;
                    }
                }
            });
        }
    }
}

impl Writer {
    /// Writes what failed since the last time. Answers whether it has to be tried again.
    pub(crate) async fn write_failures(self: &Arc<Self>) -> bool {
        let failures = &self.people.failures;
        let (counts, store) = {
            let mut pending = failures.lock();
            let store = pending.store.as_ref().and_then(Weak::upgrade);
            let Some(store) = store.filter(|_| pending.counts.all > 0) else {
                pending.due = false;
                return false;
            };
            (std::mem::take(&mut pending.counts), store)
        };
        match write(Change::new(store, self.clone()), &counts).await {
            Ok(()) => {
                let mut pending = failures.lock();
                // What failed in the meantime waits for another minute.
                pending.due = pending.counts.all > 0;
                pending.due
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

async fn write(change: Change, counts: &Counts) -> Result<(), ServiceError> {
    let typed: Vec<&str> = counts.accounts.keys().map(String::as_str).collect();
    // Not in the transaction: other writers do not wait for it.
    let known = change.view().await?.owners_by_email(&typed).await?;
    let details = counts.details(known);
    change
        .by(Doer::Visitor.into())
        .make(move |draft| {
            Box::pin(async move { draft.audit(What::SignInsFailed, Target::Installation, details).await })
        })
        .await
}

impl Failures {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Nothing in here panics half-way through a change.
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
    fn failures_are_told_by_account_and_address_with_the_most_first() {
        let mut counts = Counts::default();
        for (email, from) in [("Ada@x.test", 1), ("ada@x.test ", 2), ("bob@x.test", 2), ("hunter2", 2)] {
            counts.add(email, ip(from));
        }
        counts.add("ada@x.test", None);
        let known = vec![("bob@x.test".to_owned(), OwnerId(8)), ("ada@x.test".to_owned(), OwnerId(7))];
        let expected = json!({
            "count": 5,
            "accounts": 3,
            "users": [{"id": 7, "count": 3}, {"id": 8, "count": 1}],
            "addresses": [{"address": "0.0.0.2", "count": 3}, {"address": "0.0.0.1", "count": 1}],
            "moreUsers": 0,
            "moreAddresses": 0,
        });
        assert_eq!(counts.details(known), expected);
    }

    #[test]
    fn failures_take_a_bounded_amount_of_memory() {
        let mut counts = Counts::default();
        for n in 0..20_000 {
            counts.add(&format!("p{n}@x.test"), ip(n));
        }
        counts.add(&"x".repeat(1_000_000), None);
        counts.add("p1@x.test", ip(1));
        assert_eq!((counts.all, counts.accounts.len(), counts.addresses.len()), (20_002, MOST, MOST));
        assert!(counts.accounts.keys().all(|email| email.len() <= LONGEST));
        let details = counts.details(vec![("p1@x.test".to_owned(), OwnerId(1))]);
        assert_eq!((&details["users"], &details["moreAddresses"]), (&json!([{"id": 1, "count": 2}]), &json!(9_900)));
        assert_eq!(details["addresses"].as_array().map(Vec::len), Some(NAMED));
    }

    #[test]
    fn what_could_not_be_written_is_counted_again() {
        let (mut counts, mut other) = (Counts::default(), Counts::default());
        counts.add("ada@x.test", ip(1));
        other.add("ada@x.test", ip(1));
        other.add("bob@x.test", ip(2));
        counts.merge(other);
        assert_eq!((counts.all, counts.accounts["ada@x.test"], counts.accounts["bob@x.test"]), (3, 2, 1));
        assert_eq!(counts.addresses[&ip(1).unwrap()], 2);
    }
}
