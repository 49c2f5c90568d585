//! The state of signing in besides the store: in memory, one for each process.

use super::context::ServiceContext;
use super::failed_sign_ins::FailedSignIns;
use super::known_networks::KNOWN_FOR;
use super::password::Hasher;
use super::state::AdminState;
use super::throttle::Throttle;
use super::{Policy, ServiceError};
use crate::domain::{Clock, Entropy, MonotonicTime, Secret, SecretFormat, Timestamp};
use crate::store::SignInPlace;
use crate::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// The state of signing in, besides the store.
pub(crate) struct SignInState {
    pub(super) hasher: Hasher,
    pub(super) throttle: Throttle,
    pub(super) failures: FailedSignIns,
    setup_code: Mutex<Option<Secret>>,
}

impl SignInState {
    pub(super) fn new(policy: &Policy, clock: Arc<dyn Clock>) -> Self {
        Self {
            hasher: Hasher::new(policy.password_hashes_at_once, clock.clone()),
            throttle: Throttle::new(clock),
            failures: FailedSignIns::default(),
            setup_code: Mutex::default(),
        }
    }

    /// Returns the code that proves access to the output of this process. The first call makes it, in the format of an invitation;
    /// it serves no other purpose.
    pub(super) fn setup_code(&self, format: &SecretFormat, entropy: &dyn Entropy) -> Result<Secret, ServiceError> {
        // Poisoning is ignored: no code panics while it changes the value.
        let mut stored = self.setup_code.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = &*stored {
            return Ok(code.clone());
        }
        let code = format.issue_invitation(entropy)?.secret;
        *stored = Some(code.clone());
        Ok(code)
    }

    /// Returns whether this is the setup code. Before the first call of [`setup_code`](Self::setup_code) there is none.
    pub(super) fn is_setup_code(&self, presented: &str) -> bool {
        let stored = self.setup_code.lock().unwrap_or_else(PoisonError::into_inner);
        stored.as_ref().is_some_and(|code| bool::from(code.expose().as_bytes().ct_eq(presented.as_bytes())))
    }

    /// Deletes the setup code once it was used.
    pub(super) fn forget_setup_code(&self) {
        *self.setup_code.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl ServiceContext {
    /// Notes that the owner of this account has signed in at the client's network.
    pub(super) fn remember_network(&self, email: &str) {
        if let Some(address) = self.origin.address {
            self.state.sign_in.throttle.remember(email, address, self.state.resolver.clock.moment());
        }
    }

    /// Reads the networks at which owners signed in recently from the audit log: a restart during a flood of guesses locks no owner
    /// out.
    pub(super) async fn restore_networks(&self) -> Result<(), ServiceError> {
        let mut view = self.view().await?;
        let (now, moment) = (view.now(), self.state.resolver.clock.moment());
        let since = Timestamp(now.0.saturating_sub(i64::try_from(KNOWN_FOR.as_millis()).unwrap_or(i64::MAX)));
        for SignInPlace { email, address, last, .. } in view.sign_in_places(since).await? {
            let age = u64::try_from(now.since(last).as_nanos()).unwrap_or(u64::MAX);
            let at = MonotonicTime(moment.0.saturating_sub(age));
            self.state.sign_in.throttle.remember(&email, address, at);
        }
        Ok(())
    }
}

impl AdminState {
    /// Returns the number of sign-ins that were answered [`ServiceError::Busy`].
    pub(crate) fn sign_ins_busy(&self) -> u64 {
        self.sign_in.hasher.busy_count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::password_queue::Lane;
    use super::*;
    use crate::HashKey;
    use crate::admin::{Password, ProfileUpdate, SignedIn};
    use crate::domain::{Actor, AuditAction, AuditEvent, AuditOrigin, AuditTarget, TokenId, TokenKind};
    use crate::keyward::Keyward;
    use crate::store::{MemoryStore, NewOwner, WriteStore};
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    const PASSWORD: &str = "Passw0rd!";

    async fn with_people(count: u32) -> Keyward {
        let hash_key = HashKey::generate().unwrap().0;
        let keyward = Keyward::builder(MemoryStore::default()).hash_key(hash_key).admin("/admin").build().unwrap();
        for n in 0..count {
            let id = keyward.owners().create(NewOwner::new(format!("p{n}@x.test"))).await.unwrap().id;
            keyward.owners().set_password(id, Password::new(PASSWORD)).await.unwrap();
        }
        keyward
    }

    fn ip(n: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(0x0a00_0000 + n).into())
    }

    async fn sign_in(
        keyward: &Keyward,
        person: u32,
        typed: &str,
        from: Option<IpAddr>,
    ) -> Result<SignedIn, ServiceError> {
        let sessions = keyward.sessions().acting_as(Actor::Visitor).from_address(from);
        sessions.sign_in(&format!("p{person}@x.test"), &Password::new(typed)).await
    }

    /// Fills the queue with strangers from many networks, and one of the two running hashes.
    async fn flood(keyward: &Keyward) -> impl Sized {
        let hasher = &keyward.admin_state().sign_in.hasher;
        let places = (0..64).map_while(|n| hasher.place(Lane::Stranger(Some(n))).ok());
        let mut places: Vec<_> = places.collect();
        assert_eq!(places.len(), 34);
        let running = hasher.turn(places.remove(0)).await.unwrap();
        (running, places)
    }

    // The clock is paused: the longest wait does not depend on how fast this machine hashes.
    #[tokio::test(start_paused = true)]
    async fn flood_of_strangers_delays_no_sign_in_at_a_known_network() {
        let keyward = with_people(3).await;
        for person in 0..3 {
            sign_in(&keyward, person, PASSWORD, ip(person)).await.unwrap();
        }
        let flood = flood(&keyward).await;
        let right = (0..12).map(|n| sign_in(&keyward, n % 3, PASSWORD, ip(n % 3)));
        for answer in futures_util::future::join_all(right).await {
            answer.unwrap();
        }
        assert_eq!(keyward.health().sign_ins_busy, 1, "only the flood itself was answered busy");

        let id = sign_in(&keyward, 0, PASSWORD, ip(0)).await.unwrap().owner.id;
        let change = ProfileUpdate {
            password: Some(Password::new("N3w-password")),
            current_password: Some(Password::new(PASSWORD)),
            ..ProfileUpdate::default()
        };
        // The session may be used at any network.
        keyward.sessions().acting_as(Actor::Person(id)).from_address(ip(77)).update_me(change).await.unwrap();

        assert!(matches!(sign_in(&keyward, 1, PASSWORD, ip(99)).await, Err(ServiceError::Busy)), "at a new network");
        assert_eq!(keyward.health().sign_ins_busy, 2);
        drop(flood);
        sign_in(&keyward, 1, PASSWORD, ip(99)).await.unwrap();
    }

    // The clock is paused: the longest wait does not depend on how fast this machine hashes.
    #[tokio::test(start_paused = true)]
    async fn one_network_does_not_fill_the_queue_for_others() {
        let keyward = with_people(1).await;
        let sign_in_state = &keyward.admin_state().sign_in;
        let reserved = sign_in_state.throttle.reserve("x@x.test", ip(5)).ok().unwrap();
        let lane = reserved.lane();
        let flood: Vec<_> = std::iter::from_fn(|| sign_in_state.hasher.place(lane).ok()).collect();
        assert!(matches!(sign_in(&keyward, 0, PASSWORD, ip(5)).await, Err(ServiceError::Busy)));
        sign_in(&keyward, 0, PASSWORD, ip(6)).await.unwrap();
        drop(flood);
    }

    #[derive(Default)]
    struct ManualClock(AtomicU64);

    impl ManualClock {
        fn advance_days(&self, days: u64) {
            self.0.fetch_add(days * 24 * 60 * 60 * 1_000, Ordering::SeqCst);
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::SeqCst) as i64)
        }
        fn moment(&self) -> MonotonicTime {
            MonotonicTime(self.0.load(Ordering::SeqCst) * 1_000_000)
        }
    }

    #[tokio::test]
    async fn known_networks_survive_a_restart() {
        let clock = Arc::new(ManualClock::default());
        clock.advance_days(1_000);
        let store = MemoryStore::with_clock(clock.clone());
        let hash_key = HashKey::generate().unwrap().0;
        let start = || {
            let builder =
                Keyward::builder(store.clone()).hash_key(hash_key.clone()).admin("/admin").clock(clock.clone());
            builder.store_is_exclusive().build().unwrap()
        };
        let keyward = start();
        let invited = keyward.owners().invite(NewOwner::new("p0@x.test")).await.unwrap();
        let registration = crate::admin::Registration {
            invitation: invited.secret.expose().to_owned(),
            firstname: "New".into(),
            lastname: "Comer".into(),
            username: None,
            password: Password::new(PASSWORD),
        };
        let known = |keyward: &Keyward, n| {
            let reserved = keyward.admin_state().sign_in.throttle.reserve("P0@x.test", ip(n)).ok().unwrap();
            matches!(reserved.lane(), Lane::Known { .. })
        };
        keyward.sessions().acting_as(Actor::Visitor).from_address(ip(1)).register(registration).await.unwrap();
        assert!(known(&keyward, 1) && !known(&keyward, 2), "registering makes a network known");
        sign_in(&keyward, 0, PASSWORD, ip(2)).await.unwrap();
        clock.advance_days(10);
        sign_in(&keyward, 0, PASSWORD, ip(3)).await.unwrap();
        clock.advance_days(15);
        assert!(known(&keyward, 2) && known(&keyward, 3));

        let again = start();
        assert!(!known(&again, 2));
        again.set_up().await.unwrap();
        assert!(known(&again, 2) && known(&again, 3) && !known(&again, 4));
        clock.advance_days(5);
        assert!(!known(&again, 2) && known(&again, 3), "a network is known no longer than without a restart");
    }

    #[tokio::test]
    async fn restart_keeps_networks_of_owners_who_sign_in_rarely() {
        let store = MemoryStore::default();
        let hash_key = HashKey::generate().unwrap().0;
        let start = || {
            let builder = Keyward::builder(store.clone()).hash_key(hash_key.clone()).admin("/admin");
            builder.store_is_exclusive().build().unwrap()
        };
        let keyward = start();
        let mut ids = Vec::new();
        for email in ["quiet@x.test", "loud@x.test"] {
            ids.push(keyward.owners().create(NewOwner::new(email)).await.unwrap().id);
        }
        let mut tx = store.begin().await.unwrap();
        let (now, session) = (tx.now(), AuditTarget::Token(TokenId(1), TokenKind::Session));
        for n in 0..5_000 {
            let origin = AuditOrigin { actor: Actor::Person(ids[usize::from(n > 0)]), address: ip(n), tool: None };
            let details = serde_json::Value::Null;
            tx.audit(AuditEvent {
                at: now,
                origin,
                what: AuditAction::SignedIn,
                target: session,
                cause: None,
                details,
            })
            .await
            .unwrap();
        }
        tx.commit(&[]).await.unwrap();
        let again = start();
        again.set_up().await.unwrap();
        let reserved = again.admin_state().sign_in.throttle.reserve("quiet@x.test", ip(0)).ok().unwrap();
        assert!(matches!(reserved.lane(), Lane::Known { .. }));
    }

    /// Counts the lines that this thread logs.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicUsize>);

    impl std::io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn flood_of_busy_sign_ins_logs_one_line() {
        let keyward = with_people(1).await;
        let _flood = flood(&keyward).await;
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let _logged = tracing::subscriber::set_default(subscriber);
        for n in 0..1_000 {
            assert!(matches!(sign_in(&keyward, 0, "wrong", ip(n)).await, Err(ServiceError::Busy)));
        }
        assert!(lines.0.load(Ordering::SeqCst) <= 1, "{} lines", lines.0.load(Ordering::SeqCst));
        assert_eq!(keyward.health().sign_ins_busy, 1_001);
    }
}
