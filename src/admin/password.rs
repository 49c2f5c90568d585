//! Passwords: their strength, and their hashing, a few at a time.
//!
//! A hash costs 19 MiB and some 20 ms on purpose. So it never runs on a thread that serves requests, a few run at a time in
//! [reused memory](super::hash_memory), and a few more [wait](super::password_queue): a flood of sign-ins is answered
//! [`Busy`](ServiceError::Busy) instead of exhausting the machine.
//!
//! With the feature `strapi` some accounts may have an imported bcrypt hash. Then a failed sign-in takes one hash of each kind (bcrypt
//! with Strapi's cost 10), whichever the account has and whether it exists, so that its time tells nothing. Only an imported hash of
//! another cost takes another time.

use super::ServiceError;
use super::bcrypt_hash;
use super::error::FieldErrors;
use super::hash_memory::{HashBuffer, HashMemory};
use super::password_queue::{Lane, PasswordQueue, Place, Turn};
use crate::domain::{Clock, Entropy, FieldName, PasswordHash, comparable};
use crate::sync::Arc;
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// The number of 1 KiB blocks that a hash with these parameters fills.
const BLOCKS: usize = MEMORY_KIB as usize;
/// The most bytes of a password.
const MOST_BYTES: usize = 256;

/// A hash with our parameters that no password has. It is verified where an account has none, so that the answer takes as long.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password as a person typed it. It is wiped from memory when dropped, and [`Debug`] does not show it.
///
/// ```
/// let password = keyward::admin::Password::new("Passw0rd!");
/// assert_eq!(format!("{password:?}"), "Password(..)");
/// ```
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the typed text. Its strength is checked where it is set, not where it is verified.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    fn text(&self) -> &str {
        &self.0
    }

    /// Reports the rules that the password of an account with this e-mail address does not follow.
    pub(super) fn check_strength(&self, email: &str, errors: &mut FieldErrors) {
        let text = self.text();
        let has = |kind: fn(char) -> bool| text.chars().any(kind);
        let checks = [
            (text.chars().count() >= 8, "must have at least 8 characters"),
            (text.len() <= MOST_BYTES, "must have at most 256 bytes"),
            (has(char::is_lowercase), "must have a lower-case letter"),
            (has(char::is_uppercase), "must have an upper-case letter"),
            (has(|c| c.is_ascii_digit()), "must have a digit"),
            // A longer text is rejected already, and its comparable form would cost time.
            (text.len() > MOST_BYTES || comparable(text) != comparable(email), "must not be the e-mail address"),
        ];
        for (_, message) in checks.iter().filter(|(good, _)| !good) {
            errors.add(FieldName::Password, *message);
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Hashes and verifies passwords, a few at a time.
pub(super) struct Hasher {
    queue: PasswordQueue,
    memory: Arc<HashMemory>,
}

impl Hasher {
    /// Creates a hasher that runs `at_once` hashes at a time, one at least.
    pub(super) fn new(at_once: usize, clock: Arc<dyn Clock>) -> Self {
        Self { queue: PasswordQueue::new(at_once.clamp(1, 1024), clock), memory: Arc::default() }
    }

    /// Hashes a new password.
    pub(super) async fn hash(&self, password: &Password, entropy: &dyn Entropy) -> Result<PasswordHash, ServiceError> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt)?;
        let place = self.place(Lane::NewPassword)?;
        let password = password.clone();
        let hashed = self.run(place, move |buffer| hash(buffer.blocks(), password.text(), &salt)).await?;
        // It cannot fail: parameters and salt are ours.
        hashed.ok_or(ServiceError::Busy)
    }

    /// Takes a place in the queue for [`verify`](Self::verify), if there is one.
    pub(super) fn place(&self, lane: Lane) -> Result<Place, ServiceError> {
        self.queue.place(lane)
    }

    /// Returns whether a hash is of this password. Without a hash it takes as long, and returns false.
    pub(super) async fn verify(
        &self,
        turn: Turn,
        password: &Password,
        stored: Option<&PasswordHash>,
    ) -> Result<bool, ServiceError> {
        let (password, stored) = (password.clone(), stored.cloned());
        self.run_in(turn, move |buffer| verify(buffer.blocks(), password.text(), stored.as_ref())).await
    }

    /// Waits in a place until a hash may run.
    pub(super) async fn turn(&self, place: Place) -> Result<Turn, ServiceError> {
        self.queue.turn(place).await
    }

    /// Returns the number of clients that were answered [`ServiceError::Busy`].
    pub(super) fn busy_count(&self) -> u64 {
        self.queue.busy_count()
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce(&mut HashBuffer) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.run_in(self.turn(place).await?, work).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl FnOnce(&mut HashBuffer) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let memory = self.memory.clone();
        let work = move || {
            // Dropped after the buffer, which the next hash needs.
            let _turn = turn;
            memory.buffer(BLOCKS).map(|mut buffer| work(&mut buffer))
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.ok().flatten().ok_or_else(|| self.queue.reject_busy())
    }
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(memory: &mut [Block], text: &str, salt: &[u8]) -> Option<PasswordHash> {
    let (argon2, mut output) = (argon2()?, [0; HASH_BYTES]);
    argon2.hash_password_into_with_memory(text.as_bytes(), salt, &mut output, memory).ok()?;
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: phc::ParamsString::try_from(argon2.params()).ok()?,
        salt: Some(phc::Salt::new(salt).ok()?),
        hash: Some(phc::Output::new(&output).ok()?),
    };
    Some(PasswordHash(hash.to_string()))
}

fn verify(memory: &mut [Block], text: &str, stored: Option<&PasswordHash>) -> bool {
    verify_with(|text, phc| is_argon2_of(memory, text, phc), bcrypt_hash::verify, text, stored)
}

/// Verifies a password with a hash function of each kind. Unknown formats and too long passwords never match. A failure takes one hash
/// of each kind.
fn verify_with(
    mut argon2: impl FnMut(&str, &str) -> bool,
    bcrypt: impl Fn(&str, &str) -> bool,
    text: &str,
    stored: Option<&PasswordHash>,
) -> bool {
    let (text, is_short) = if text.len() <= MOST_BYTES { (text, true) } else { ("", false) };
    let stored = stored.map_or("", |hash| &hash.0);
    let is_argon2 = stored.starts_with("$argon2id$");
    let is_right = match is_bcrypt(stored) {
        true => bcrypt(text, stored) && is_short,
        false => argon2(text, if is_argon2 { stored } else { DUMMY }) && is_argon2 && is_short,
    };
    if !is_right {
        let other = if is_bcrypt(stored) { argon2(text, DUMMY) } else { bcrypt(text, bcrypt_hash::DUMMY) };
        std::hint::black_box(other);
    }
    is_right
}

/// Returns whether this is an imported bcrypt hash, which the next sign-in replaces.
pub(super) fn is_bcrypt(hash: &str) -> bool {
    bcrypt_hash::is_valid(hash)
}

/// Returns whether an argon2id hash is of this password. One that is malformed, or costs more than ours, matches none and takes as long.
fn is_argon2_of(memory: &mut [Block], text: &str, phc: &str) -> bool {
    let (stored, is_valid) = match Argon2Hash::parse(phc) {
        Some(stored) => (Some(stored), true),
        None => (Argon2Hash::parse(DUMMY), false),
    };
    stored.is_some_and(|stored| stored.is_of(memory, text)) && is_valid
}

/// A parsed argon2id hash.
struct Argon2Hash {
    argon2: Argon2<'static>,
    salt: phc::Salt,
    output: phc::Output,
}

impl Argon2Hash {
    /// Parses a hash, if it takes no more memory and time than ours.
    fn parse(phc: &str) -> Option<Self> {
        let parsed = phc::PasswordHash::new(phc).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        let version = parsed.version.map(Version::try_from).transpose().ok()?.unwrap_or_default();
        let passes = u64::from(params.m_cost()) * u64::from(params.t_cost());
        let is_affordable = params.block_count() <= BLOCKS && passes <= u64::from(MEMORY_KIB) * u64::from(PASSES);
        let is_usable = parsed.algorithm == Algorithm::Argon2id.ident() && is_affordable;
        let (salt, output) = (parsed.salt?, parsed.hash?);
        is_usable.then(|| Self { argon2: Argon2::new(Algorithm::Argon2id, version, params), salt, output })
    }

    fn is_of(&self, memory: &mut [Block], text: &str) -> bool {
        let mut buffer = Zeroizing::new([0; phc::Output::MAX_LENGTH]);
        let output = &mut buffer[..self.output.len()];
        let hashed = self.argon2.hash_password_into_with_memory(text.as_bytes(), &self.salt, output, memory);
        hashed.is_ok() && bool::from(output.ct_eq(self.output.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OsEntropy, SystemClock};

    fn hasher(at_once: usize) -> Hasher {
        Hasher::new(at_once, Arc::new(SystemClock))
    }

    async fn verified(hasher: &Hasher, text: &str, kept: Option<&PasswordHash>) -> bool {
        let place = hasher.place(Lane::Stranger(None)).unwrap();
        let turn = hasher.turn(place).await.unwrap();
        hasher.verify(turn, &Password::new(text), kept).await.unwrap()
    }

    fn hash(text: &str, salt: &[u8]) -> Option<PasswordHash> {
        super::hash(&mut vec![Block::new(); BLOCKS], text, salt)
    }

    fn broken_rules(text: &str) -> Vec<String> {
        let mut errors = FieldErrors::default();
        Password::new(text).check_strength("Ada1@Example.test", &mut errors);
        match errors.into_result() {
            Ok(()) => Vec::new(),
            Err(ServiceError::Invalid(errors)) => errors.into_iter().map(|error| error.message).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_broken_rule_is_reported() {
        assert!(broken_rules("Passw0rd!").is_empty() && broken_rules("Äöüß1234").is_empty());
        assert_eq!(broken_rules("Passw0r"), ["must have at least 8 characters"]);
        assert_eq!(broken_rules("passw0rd"), ["must have an upper-case letter"]);
        assert_eq!(broken_rules("PASSW0RD"), ["must have a lower-case letter"]);
        assert_eq!(broken_rules("Password"), ["must have a digit"]);
        assert_eq!(broken_rules(&"aA1".repeat(86)), ["must have at most 256 bytes"]);
        assert!(broken_rules(&("a".to_owned() + &"A1".repeat(127) + "x")).is_empty());
        assert_eq!(broken_rules("ada1@example.TEST"), ["must not be the e-mail address"]);
        assert_eq!(broken_rules("").len(), 4);
    }

    #[tokio::test]
    async fn hash_verifies_its_password_only() {
        let hasher = hasher(2);
        let right = Password::new("Passw0rd!");
        let kept = hasher.hash(&right, &OsEntropy).await.unwrap();
        assert!(kept.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.0.contains("Passw0rd"));
        assert_ne!(kept, hasher.hash(&right, &OsEntropy).await.unwrap(), "salted");
        assert!(verified(&hasher, "Passw0rd!", Some(&kept)).await);
        for other in ["passw0rd!", "", "Passw0rd! ", &"Passw0rd!".repeat(100)] {
            assert!(!verified(&hasher, other, Some(&kept)).await);
        }
        for unknown in
            ["", "Passw0rd!", "$2b$10$abcdefghijklmnopqrstuv", "$argon2id$", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA"]
        {
            assert!(!verified(&hasher, "Passw0rd!", Some(&PasswordHash(unknown.into()))).await);
        }
        assert!(!verified(&hasher, "Passw0rd!", None).await);
    }

    /// The hashes are made by the library itself, with each version and with parameters of other installations.
    #[test]
    fn foreign_hashes_verify_unless_they_cost_more_than_ours() {
        let memory = &mut vec![Block::new(); BLOCKS][..];
        for (m, t, p, version, good) in [
            (19_456, 2, 1, Version::V0x13, true),
            (12_288, 3, 1, Version::V0x13, true),
            (7_168, 5, 2, Version::V0x10, true),
            (64, 1, 4, Version::V0x13, true),
            (19_456, 3, 1, Version::V0x13, false),
            (19_460, 1, 1, Version::V0x13, false),
            (64, 10_000, 1, Version::V0x13, false),
        ] {
            let argon2 = Argon2::new(Algorithm::Argon2id, version, Params::new(m, t, p, None).unwrap());
            let kept: phc::PasswordHash =
                argon2::PasswordHasher::hash_password_with_salt(&argon2, b"Passw0rd!", &[7; SALT_BYTES]).unwrap();
            let kept = PasswordHash(kept.to_string());
            assert_eq!(verify(memory, "Passw0rd!", Some(&kept)), good, "{kept:?}");
            assert!(!verify(memory, "passw0rd!", Some(&kept)));
        }
    }

    #[test]
    fn hash_in_reused_memory_equals_the_one_of_the_library() {
        let plain: phc::PasswordHash =
            argon2::PasswordHasher::hash_password_with_salt(&argon2().unwrap(), b"Passw0rd!", &[7; SALT_BYTES])
                .unwrap();
        let memory = &mut vec![Block::new(); BLOCKS][..];
        for _ in 0..2 {
            assert_eq!(super::hash(memory, "Passw0rd!", &[7; SALT_BYTES]).unwrap().0, plain.to_string());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_hashes_take_as_many_buffers_as_run_at_a_time() {
        let hasher = hasher(2);
        for _ in 0..2 {
            let one = || hasher.run(hasher.place(Lane::Stranger(None)).unwrap(), |buffer| buffer.blocks().len());
            let all = futures_util::future::join_all((0..30).map(|_| one())).await;
            assert!(all.into_iter().all(|blocks| blocks.unwrap() == BLOCKS));
        }
        let buffers = hasher.memory.unused().len();
        assert!((1..=2).contains(&buffers), "{buffers} buffers for 60 hashes");
    }

    /// The cost of an answer must not tell which kind of hash an account has, or whether it exists.
    #[cfg(feature = "strapi")]
    #[test]
    fn failure_takes_a_hash_of_each_kind() {
        let ours = hash("Passw0rd!", &[7; SALT_BYTES]).unwrap();
        let old = PasswordHash(bcrypt::hash("Passw0rd!", 10).unwrap());
        let costs = |text: &str, kept: Option<&PasswordHash>| {
            let spent = std::cell::RefCell::new(Vec::new());
            let count = |kind: &'static str| spent.borrow_mut().push(kind);
            let mut memory = vec![Block::new(); BLOCKS];
            let argon2 = |text: &str, hash: &str| {
                count("argon2id");
                is_argon2_of(&mut memory, text, hash)
            };
            let bcrypt = |text: &str, hash: &str| {
                count("bcrypt");
                bcrypt_hash::verify(text, hash)
            };
            let right = verify_with(argon2, bcrypt, text, kept);
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
    fn dummy_hash_has_our_parameters() {
        let parsed = phc::PasswordHash::new(DUMMY).unwrap();
        let ours = hash("x", &[0; SALT_BYTES]).unwrap();
        let ours = phc::PasswordHash::new(&ours.0).unwrap();
        assert_eq!((parsed.algorithm, parsed.version, parsed.params), (ours.algorithm, ours.version, ours.params));
        assert_eq!(parsed.salt, ours.salt);
        assert_eq!(parsed.hash.map(|h| h.len()), ours.hash.map(|h| h.len()));
    }

    #[tokio::test]
    async fn number_of_waiting_clients_is_limited() {
        let hasher = hasher(1);
        let places: Vec<_> = std::iter::from_fn(|| hasher.place(Lane::Stranger(None)).ok()).collect();
        assert_eq!((places.len(), hasher.busy_count()), (17, 1));
        for place in places {
            hasher.run(place, |_| ()).await.unwrap();
        }
        hasher.run(hasher.place(Lane::Stranger(None)).unwrap(), |_| ()).await.unwrap();
    }

    #[tokio::test]
    async fn client_that_hangs_up_frees_no_place_before_its_hash_ends() {
        let hasher = Arc::new(hasher(1));
        let (started, running) = tokio::sync::oneshot::channel();
        let (finish, wait) = std::sync::mpsc::channel::<()>();
        let place = || hasher.place(Lane::Stranger(None));
        let first = tokio::spawn({
            let (hasher, place) = (hasher.clone(), place().unwrap());
            async move {
                let work = move |_: &mut HashBuffer| {
                    started.send(()).unwrap();
                    wait.recv()
                };
                hasher.run(place, work).await
            }
        });
        running.await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let places: Vec<_> = std::iter::from_fn(|| place().ok()).collect();
        assert_eq!(places.len(), 16, "its place is still taken");
        drop(places);
        finish.send(()).unwrap();
        hasher.run(place().unwrap(), |_| ()).await.unwrap();
        assert_eq!(std::iter::from_fn(|| place().ok()).collect::<Vec<_>>().len(), 17);
    }
}
