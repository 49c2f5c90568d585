//! Passwords: how strong they have to be, how they are hashed, and how many are hashed at once.
//!
//! A hash costs 19 MiB and some 20 ms on purpose. So it never runs on a thread that serves requests, only so many run at a time,
//! and only so many wait: a flood of sign-ins is answered "busy" instead of eating the machine.
//!
//! With the feature `strapi` some accounts may have a hash of bcrypt from an import. Then whoever fails pays for one hash of each
//! kind (bcrypt with cost 10, as the reference has it), whatever the account has and whether there is one: how long a refusal takes
//! does not tell. Only a hash that was made with another cost would.

use super::ServiceError;
use super::error::Wrong;
use super::old_hash;
use crate::domain::{Entropy, LogLimit, PasswordHash, comparable};
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::{Zeroize, Zeroizing};

/// What OWASP asks of argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const LONGEST: usize = 256;

/// A hash with our parameters that no password has: verified where there is none, so that the answer takes as long.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// How many wait for each one that is hashed.
const QUEUE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// A password as somebody typed it. It is wiped from memory when dropped, and [`Debug`] does not show it.
///
/// ```
/// let password = keyward::Password::new("Passw0rd!");
/// assert_eq!(format!("{password:?}"), "Password(..)");
/// ```
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes what was typed. How strong it is is judged where it is set, not where it is verified.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    fn text(&self) -> &str {
        &self.0
    }

    /// Says what is missing of a password that somebody with this e-mail address may have.
    pub(super) fn judge(&self, path: &str, email: &str, wrong: &mut Wrong) {
        let text = self.text();
        let has = |kind: fn(char) -> bool| text.chars().any(kind);
        let checks = [
            (text.chars().count() >= 8, "must have at least 8 characters"),
            (text.len() <= LONGEST, "must have at most 256 bytes"),
            (has(char::is_lowercase), "must have a lower-case letter"),
            (has(char::is_uppercase), "must have an upper-case letter"),
            (has(|c| c.is_ascii_digit()), "must have a digit"),
            (comparable(text) != comparable(email), "must not be the e-mail address"),
        ];
        for (_, message) in checks.iter().filter(|(good, _)| !good) {
            wrong.say(path, *message);
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Who wants a password checked, as far as that decides about the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Client {
    /// Signed in, or signed in lately from this network.
    Known,
    /// Anybody else, from this network if the server says which.
    Stranger(Option<u128>),
}

/// Hashes and verifies passwords, a few at a time, each in a buffer that is made once, wiped after each use and used again.
///
/// Known clients have a queue of their own, and one of the places in which hashes run, if there is more than one. A network of strangers
/// takes a quarter of their queue at most.
pub(super) struct Hasher {
    running: Arc<Semaphore>,
    /// Strangers pass through here first, so that they never run in all places.
    running_strangers: Arc<Semaphore>,
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// How many of each network of strangers are present. Bounded by the queue.
    networks: Arc<Mutex<HashMap<u128, usize>>>,
    of_one_network: usize,
    /// At most as many as run at a time.
    buffers: Arc<Mutex<Vec<Buffer>>>,
    busy: Busy,
}

/// The working memory of one hash.
type Buffer = Vec<Block>;

/// A place in the queue, and then in which a hash runs. It goes with the work and not with the client that waits for it: a client that hangs up
/// makes no room for another one.
struct Place {
    _queued: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
    _stranger: Option<(OwnedSemaphorePermit, FromNetwork)>,
}

/// One of those present from a network.
struct FromNetwork(Arc<Mutex<HashMap<u128, usize>>>, Option<u128>);

impl Drop for FromNetwork {
    fn drop(&mut self) {
        let Some(network) = self.1 else { return };
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut present) = networks.entry(network) {
            *present.get_mut() -= 1;
            if *present.get() == 0 {
                present.remove();
            }
        }
    }
}

impl Hasher {
    /// So many at a time, one at least.
    pub(super) fn new(at_once: usize) -> Self {
        let at_once = at_once.clamp(1, 1024);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let queue = at_once * (1 + QUEUE);
        Self {
            running: semaphore(at_once),
            running_strangers: semaphore((at_once - 1).max(1)),
            known: semaphore(queue),
            strangers: semaphore(queue),
            networks: Arc::default(),
            of_one_network: (queue / 4).max(1),
            buffers: Arc::default(),
            busy: Busy::default(),
        }
    }

    /// What is to be kept of a password.
    pub(super) async fn hash(
        &self,
        password: &Password,
        client: Client,
        entropy: &dyn Entropy,
    ) -> Result<PasswordHash, ServiceError> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt)?;
        let password = password.clone();
        let hashed = self.run(client, move |buffer| hash(password.text(), &salt, buffer)).await?;
        // Parameters and salt are ours: they are in order.
        hashed.ok_or(ServiceError::Busy)
    }

    /// Whether it is this password. `None` is the hash of no account: it takes as long, and is no.
    pub(super) async fn verify(
        &self,
        password: &Password,
        client: Client,
        kept: Option<&PasswordHash>,
    ) -> Result<bool, ServiceError> {
        let (password, kept) = (password.clone(), kept.cloned());
        self.run(client, move |buffer| verify(password.text(), kept.as_ref(), buffer)).await
    }

    /// How many were told that too many are present.
    pub(super) fn refused_busy(&self) -> u64 {
        self.busy.count()
    }

    async fn run<T: Send + 'static>(
        &self,
        client: Client,
        work: impl FnOnce(&mut [Block]) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let Some(place) = self.admit(client).await else {
            self.busy.note();
            return Err(ServiceError::Busy);
        };
        let buffers = self.buffers.clone();
        let work = move || {
            let _held = place;
            let kept = buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut buffer = kept.or_else(buffer)?;
            let done = work(&mut buffer);
            buffer.iter_mut().for_each(Block::zeroize);
            buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
            Some(done)
        };
        // Only memory can be lacking.
        tokio::task::spawn_blocking(work).await.ok().flatten().ok_or(ServiceError::Busy)
    }

    async fn admit(&self, client: Client) -> Option<Place> {
        let (queue, from) = match client {
            Client::Known => (&self.known, None),
            Client::Stranger(network) => (&self.strangers, Some(self.enter(network)?)),
        };
        let queued = queue.clone().try_acquire_owned().ok()?;
        let places = async {
            let stranger = match from {
                Some(from) => Some((self.running_strangers.clone().acquire_owned().await.ok()?, from)),
                None => None,
            };
            Some((self.running.clone().acquire_owned().await.ok()?, stranger))
        };
        let (running, stranger) = tokio::time::timeout(PATIENCE, places).await.ok()??;
        Some(Place { _queued: queued, _running: running, _stranger: stranger })
    }

    /// Counts a stranger in, unless too many of their network are present.
    fn enter(&self, network: Option<u128>) -> Option<FromNetwork> {
        if let Some(network) = network {
            let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
            let present = networks.entry(network).or_default();
            if *present >= self.of_one_network {
                return None;
            }
            *present += 1;
        }
        Some(FromNetwork(self.networks.clone(), network))
    }
}

/// Counts the clients that were turned away, and logs how many they were once a minute: a flood must not flood the log.
#[derive(Default)]
struct Busy {
    count: AtomicU64,
    logged: LogLimit,
}

impl Busy {
    fn note(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        metrics::counter!("keyward_sign_ins_busy_total").increment(1);
        if let Some(since) = self.logged.admit() {
            tracing::warn!(count = since, "sign-ins were refused: too many passwords are being checked at once");
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

fn buffer() -> Option<Buffer> {
    let mut buffer = Buffer::new();
    buffer.try_reserve_exact(MEMORY_KIB as usize).ok()?;
    buffer.resize(MEMORY_KIB as usize, Block::new());
    Some(buffer)
}

fn hash(text: &str, salt: &[u8], buffer: &mut [Block]) -> Option<PasswordHash> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(Params::DEFAULT_OUTPUT_LEN)).ok()?;
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    argon2.hash_password_into_with_memory(text.as_bytes(), salt, &mut output, buffer).ok()?;
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: phc::ParamsString::try_from(&params).ok()?,
        salt: Some(phc::Salt::new(salt).ok()?),
        hash: Some(phc::Output::new(&output).ok()?),
    };
    Some(PasswordHash(hash.to_string()))
}

fn verify(text: &str, kept: Option<&PasswordHash>, buffer: &mut [Block]) -> bool {
    verify_by(|text, phc| is_argon2(text, phc, buffer), old_hash::verify, text, kept)
}

/// A hash of an unknown format never verifies, and neither does a password that is too long to have been set. A failure has paid for a hash
/// of each kind.
fn verify_by(
    mut argon2: impl FnMut(&str, &str) -> bool,
    bcrypt: impl Fn(&str, &str) -> bool,
    text: &str,
    kept: Option<&PasswordHash>,
) -> bool {
    let (text, short) = if text.len() <= LONGEST { (text, true) } else { ("", false) };
    let kept = kept.map_or("", |hash| &hash.0);
    let ours = kept.starts_with("$argon2id$");
    let right = match is_old(kept) {
        true => bcrypt(text, kept) && short,
        false => argon2(text, if ours { kept } else { NOBODYS }) && ours && short,
    };
    if !right {
        let other = if is_old(kept) { argon2(text, NOBODYS) } else { bcrypt(text, old_hash::NOBODYS) };
        std::hint::black_box(other);
    }
    right
}

/// Whether a hash came from elsewhere, and is to be replaced by one of ours.
pub(super) fn is_old(hash: &str) -> bool {
    old_hash::is_one(hash)
}

/// Whether it is this password. A hash that takes more memory or more passes than ours verifies nothing: no one may be made to pay for it.
fn is_argon2(text: &str, phc: &str, buffer: &mut [Block]) -> bool {
    let computed = || {
        let kept = phc::PasswordHash::new(phc).ok()?;
        let params = Params::try_from(&kept).ok()?;
        let version = Version::try_from(kept.version?).ok()?;
        let fits =
            params.block_count() <= buffer.len() && params.t_cost() <= PASSES && kept.algorithm.as_str() == "argon2id";
        let (salt, expected) = (kept.salt?, kept.hash?);
        let mut output = Zeroizing::new(vec![0; expected.len()]);
        let argon2 = Argon2::new(Algorithm::Argon2id, version, params);
        let hashed = fits && argon2.hash_password_into_with_memory(text.as_bytes(), &salt, &mut output, buffer).is_ok();
        Some(hashed && bool::from(output.ct_eq(expected.as_bytes())))
    };
    computed().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OsEntropy;

    fn missing(text: &str) -> Vec<String> {
        let mut wrong = Wrong::default();
        Password::new(text).judge("password", "Ada1@Example.test", &mut wrong);
        match wrong.done() {
            Ok(()) => Vec::new(),
            Err(ServiceError::Invalid(problems)) => problems.into_iter().map(|p| p.message).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(missing("Passw0rd!").is_empty() && missing("Äöüß1234").is_empty());
        assert_eq!(missing("Passw0r"), ["must have at least 8 characters"]);
        assert_eq!(missing("passw0rd"), ["must have an upper-case letter"]);
        assert_eq!(missing("PASSW0RD"), ["must have a lower-case letter"]);
        assert_eq!(missing("Password"), ["must have a digit"]);
        assert_eq!(missing(&"aA1".repeat(86)), ["must have at most 256 bytes"]);
        assert!(missing(&("a".to_owned() + &"A1".repeat(127) + "x")).is_empty());
        assert_eq!(missing("ada1@example.TEST"), ["must not be the e-mail address"]);
        assert_eq!(missing("").len(), 4);
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_and_no_other() {
        let hasher = Hasher::new(2);
        let right = Password::new("Passw0rd!");
        let kept = hasher.hash(&right, Client::Known, &OsEntropy).await.unwrap();
        assert!(kept.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.0.contains("Passw0rd"));
        assert_ne!(kept, hasher.hash(&right, Client::Known, &OsEntropy).await.unwrap(), "salted");
        assert!(hasher.verify(&right, Client::Known, Some(&kept)).await.unwrap());
        for other in ["passw0rd!", "", "Passw0rd! ", &"Passw0rd!".repeat(100)] {
            assert!(!hasher.verify(&Password::new(other), Client::Known, Some(&kept)).await.unwrap());
        }
        for unknown in
            ["", "Passw0rd!", "$2b$10$abcdefghijklmnopqrstuv", "$argon2id$", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA"]
        {
            assert!(!hasher.verify(&right, Client::Known, Some(&PasswordHash(unknown.into()))).await.unwrap());
        }
        assert!(!hasher.verify(&right, Client::Known, None).await.unwrap());
    }

    /// What an answer costs must not tell what kind of hash an account has, or whether there is one.
    #[cfg(feature = "strapi")]
    #[test]
    fn who_fails_pays_for_a_hash_of_each_kind() {
        let mut memory = buffer().unwrap();
        let ours = hash("Passw0rd!", &[7; SALT_BYTES], &mut memory).unwrap();
        let old = PasswordHash(bcrypt::hash("Passw0rd!", 10).unwrap());
        let memory = std::cell::RefCell::new(memory);
        let costs = |text: &str, kept: Option<&PasswordHash>| {
            let spent = std::cell::RefCell::new(Vec::new());
            let count = |kind: &'static str| spent.borrow_mut().push(kind);
            let argon2 = |text: &str, hash: &str| {
                count("argon2id");
                is_argon2(text, hash, &mut memory.borrow_mut())
            };
            let bcrypt = |text: &str, hash: &str| {
                count("bcrypt");
                old_hash::verify(text, hash)
            };
            let right = verify_by(argon2, bcrypt, text, kept);
            let mut spent = spent.into_inner();
            spent.sort_unstable();
            (right, spent)
        };
        let too_dear = PasswordHash(old.0.replace("$10$", "$31$"));
        let unknown = PasswordHash("$1$".into());
        for kept in [None, Some(&ours), Some(&old), Some(&too_dear), Some(&unknown)] {
            for wrong in ["passw0rd!", "", &"Passw0rd!".repeat(100)] {
                assert_eq!(costs(wrong, kept), (false, vec!["argon2id", "bcrypt"]), "{wrong} for {kept:?}");
            }
        }
        assert_eq!(costs("Passw0rd!", Some(&ours)), (true, vec!["argon2id"]));
        assert_eq!(costs("Passw0rd!", Some(&old)), (true, vec!["bcrypt"]));
    }

    #[test]
    fn nobodys_hash_is_one_of_ours() {
        let parsed = phc::PasswordHash::new(NOBODYS).unwrap();
        let ours = hash("x", &[0; SALT_BYTES], &mut buffer().unwrap()).unwrap();
        let ours = phc::PasswordHash::new(&ours.0).unwrap();
        assert_eq!((parsed.algorithm, parsed.version, parsed.params), (ours.algorithm, ours.version, ours.params));
        assert_eq!(parsed.salt, ours.salt);
        assert_eq!(parsed.hash.map(|h| h.len()), ours.hash.map(|h| h.len()));
    }

    /// What a hash of another installation may take must not be more than what ours takes.
    #[test]
    fn a_hash_that_takes_more_verifies_nothing() {
        let mut memory = buffer().unwrap();
        let salt = [7; SALT_BYTES];
        let with = |memory_kib: u32, passes: u32, memory: &mut [Block]| {
            let params = Params::new(memory_kib, passes, 1, Some(32)).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
            let mut output = [0; 32];
            let mut larger = vec![Block::new(); params.block_count()];
            let blocks = if memory.len() < larger.len() { &mut larger[..] } else { memory };
            argon2.hash_password_into_with_memory(b"Passw0rd!", &salt, &mut output, blocks).unwrap();
            let (salt, output) = (phc::Salt::new(&salt).unwrap(), phc::Output::new(&output).unwrap());
            format!("$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${output}")
        };
        let smaller = with(64, 1, &mut memory);
        assert!(is_argon2("Passw0rd!", &smaller, &mut memory) && !is_argon2("passw0rd!", &smaller, &mut memory));
        for larger in [with(MEMORY_KIB + 8, PASSES, &mut memory), with(64, PASSES + 1, &mut memory)] {
            assert!(!is_argon2("Passw0rd!", &larger, &mut memory), "{larger}");
        }
    }

    /// Sixty at once: as many buffers as run at a time, and all of them wiped.
    #[tokio::test]
    async fn buffers_are_made_once_wiped_and_used_again() {
        let hasher = Arc::new(Hasher::new(2));
        // A small hash in the whole buffer: it is what comes before and after that counts.
        let work = |buffer: &mut [Block]| {
            let params = Params::new(64, 1, 1, None).unwrap();
            let small = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            small.hash_password_into_with_memory(b"Passw0rd!", &[7; 16], &mut [0; 32], buffer).unwrap();
        };
        let all: Vec<_> = (0..60)
            .map(|n| {
                let hasher = hasher.clone();
                let client = if n % 2 == 0 { Client::Known } else { Client::Stranger(Some(n)) };
                tokio::spawn(async move { hasher.run(client, work).await })
            })
            .collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
        let buffers = hasher.buffers.lock().unwrap();
        assert!((1..=2).contains(&buffers.len()), "{}", buffers.len());
        let blank = format!("{:?}", Block::new());
        assert!(buffers.iter().flatten().all(|block| format!("{block:?}") == blank));
    }

    /// A hasher in which as many hashes of strangers run as can, and as many wait; and what lets them go on.
    async fn flooded(hasher: &Arc<Hasher>) -> (std::sync::mpsc::Sender<()>, Vec<tokio::task::JoinHandle<bool>>) {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let all = (0..hasher.strangers.available_permits() as u128)
            .map(|n| {
                let (hasher, wait) = (hasher.clone(), wait.clone());
                let work = move |_: &mut [Block]| _ = wait.lock().unwrap().recv();
                tokio::spawn(async move { hasher.run(Client::Stranger(Some(n)), work).await.is_ok() })
            })
            .collect();
        while hasher.strangers.available_permits() > 0 || hasher.running_strangers.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        (go, all)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn strangers_keep_no_known_client_waiting() {
        let hasher = Arc::new(Hasher::new(2));
        let (go, all) = flooded(&hasher).await;
        assert!(matches!(hasher.run(Client::Stranger(None), |_| ()).await, Err(ServiceError::Busy)));
        for _ in 0..12 {
            hasher.run(Client::Known, |_| ()).await.unwrap();
        }
        assert_eq!(hasher.refused_busy(), 1);
        drop(go);
        for one in all {
            assert!(one.await.unwrap());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_network_takes_a_quarter_of_the_queue() {
        let hasher = Arc::new(Hasher::new(2));
        let inside: Vec<_> = (0..hasher.of_one_network).map(|_| hasher.enter(Some(7)).unwrap()).collect();
        assert!(hasher.enter(Some(7)).is_none() && hasher.enter(Some(8)).is_some() && hasher.enter(None).is_some());
        drop(inside);
        assert!(hasher.enter(Some(7)).is_some() && hasher.networks.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let hasher = Arc::new(Hasher::new(1));
        let held = hasher.running.clone().acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..=QUEUE)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.run(Client::Known, |_| ()).await })
            })
            .collect();
        while hasher.known.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hasher.run(Client::Known, |_| ()).await, Err(ServiceError::Busy)));
        drop(held);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        hasher.run(Client::Known, |_| ()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn no_client_waits_for_ever() {
        let hasher = Hasher::new(1);
        let _held = hasher.running.clone().acquire_owned().await.unwrap();
        assert!(matches!(hasher.run(Client::Known, |_| ()).await, Err(ServiceError::Busy)));
    }
}
