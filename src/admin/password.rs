//! Passwords: how strong they have to be, how they are hashed, and how many are hashed at once.
//!
//! A hash costs 19 MiB and some 20 ms on purpose. So it never runs on a thread that serves requests, only so many run at a time
//! in [memory that is used again](super::hash_memory), and only so many [wait](super::password_queue): a flood of sign-ins is
//! answered "busy" instead of eating the machine.
//!
//! With the feature `strapi` some accounts may have a hash of bcrypt from an import. Then whoever fails pays for one hash of each
//! kind (bcrypt with cost 10, as the reference has it), whatever the account has and whether there is one: how long a refusal takes
//! does not tell. Only a hash that was made with another cost would.

use super::ServiceError;
use super::error::FieldErrors;
use super::hash_memory::{HashBuffer, HashMemory};
use super::old_hash;
use super::password_queue::{Lane, PasswordQueue, Place, Turn};
use crate::domain::{Clock, Entropy, PasswordHash, comparable};
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What OWASP asks of argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// The blocks of 1 KiB that a hash with these parameters fills.
const BLOCKS: usize = MEMORY_KIB as usize;
const LONGEST: usize = 256;

/// A hash with our parameters that no password has: verified where there is none, so that the answer takes as long.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password as somebody typed it. It is wiped from memory when dropped, and [`Debug`] does not show it.
///
/// ```
/// let password = keyward::admin::Password::new("Passw0rd!");
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
    pub(super) fn judge(&self, path: &str, email: &str, wrong: &mut FieldErrors) {
        let text = self.text();
        let has = |kind: fn(char) -> bool| text.chars().any(kind);
        let checks = [
            (text.chars().count() >= 8, "must have at least 8 characters"),
            (text.len() <= LONGEST, "must have at most 256 bytes"),
            (has(char::is_lowercase), "must have a lower-case letter"),
            (has(char::is_uppercase), "must have an upper-case letter"),
            (has(|c| c.is_ascii_digit()), "must have a digit"),
            // A long text is refused already, and costs no folding.
            (text.len() > LONGEST || comparable(text) != comparable(email), "must not be the e-mail address"),
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

/// Hashes and verifies passwords, a few at a time.
pub(super) struct Hasher {
    queue: PasswordQueue,
    memory: Arc<HashMemory>,
}

impl Hasher {
    /// So many at a time, one at least.
    pub(super) fn new(at_once: usize, clock: Arc<dyn Clock>) -> Self {
        Self { queue: PasswordQueue::new(at_once.clamp(1, 1024), clock), memory: Arc::default() }
    }

    /// What is to be kept of a password.
    pub(super) async fn hash(&self, password: &Password, entropy: &dyn Entropy) -> Result<PasswordHash, ServiceError> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt)?;
        let place = self.place(Lane::NewPassword)?;
        let password = password.clone();
        let hashed = self.run(place, move |buffer| hash(buffer.blocks(), password.text(), &salt)).await?;
        // Cannot fail: parameters and salt are ours.
        hashed.ok_or(ServiceError::Busy)
    }

    /// Takes a place for [`verify`](Self::verify), if there is one.
    pub(super) fn place(&self, lane: Lane) -> Result<Place, ServiceError> {
        self.queue.place(lane)
    }

    /// Whether it is this password. `None` is the hash of no account: it takes as long, and is no.
    pub(super) async fn verify(
        &self,
        turn: Turn,
        password: &Password,
        kept: Option<&PasswordHash>,
    ) -> Result<bool, ServiceError> {
        let (password, kept) = (password.clone(), kept.cloned());
        self.run_in(turn, move |buffer| verify(buffer.blocks(), password.text(), kept.as_ref())).await
    }

    /// Waits in a place until a hash may run.
    pub(super) async fn turn(&self, place: Place) -> Result<Turn, ServiceError> {
        self.queue.turn(place).await
    }

    /// How many clients were told to come again.
    pub(super) fn count_of_busy(&self) -> u64 {
        self.queue.count_of_busy()
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
            // Dropped after the buffer, which the next turn needs.
            let _turn = turn;
            memory.buffer(BLOCKS).map(|mut buffer| work(&mut buffer))
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.ok().flatten().ok_or_else(|| self.queue.busy())
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

fn verify(memory: &mut [Block], text: &str, kept: Option<&PasswordHash>) -> bool {
    verify_by(|text, phc| is_argon2(memory, text, phc), old_hash::verify, text, kept)
}

/// A format that nobody knows never verifies, and neither does a password that nobody can have set. Whoever fails has paid for a hash of
/// each kind.
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

/// Whether a hash of argon2id is of this password. One that is malformed, or dearer than ours, is of none, and takes as long.
fn is_argon2(memory: &mut [Block], text: &str, phc: &str) -> bool {
    let (kept, is_one) = match KeptHash::parse(phc) {
        Some(kept) => (Some(kept), true),
        None => (KeptHash::parse(NOBODYS), false),
    };
    kept.is_some_and(|kept| kept.is_of(memory, text)) && is_one
}

/// A hash of argon2id, with what it was made by.
struct KeptHash {
    argon2: Argon2<'static>,
    salt: phc::Salt,
    output: phc::Output,
}

impl KeptHash {
    /// Parses a hash that takes no more memory and time than ours.
    fn parse(phc: &str) -> Option<Self> {
        let parsed = phc::PasswordHash::new(phc).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        let version = parsed.version.map(Version::try_from).transpose().ok()?.unwrap_or_default();
        let passes = u64::from(params.m_cost()) * u64::from(params.t_cost());
        let affordable = params.block_count() <= BLOCKS && passes <= u64::from(MEMORY_KIB) * u64::from(PASSES);
        let ours = parsed.algorithm == Algorithm::Argon2id.ident() && affordable;
        let (salt, output) = (parsed.salt?, parsed.hash?);
        ours.then(|| Self { argon2: Argon2::new(Algorithm::Argon2id, version, params), salt, output })
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

    fn missing(text: &str) -> Vec<String> {
        let mut wrong = FieldErrors::default();
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

    /// Made by the library itself, with each version and with parameters of other installations.
    #[test]
    fn hashes_of_others_verify_if_they_are_no_dearer_than_ours() {
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
    fn a_hash_is_what_the_library_makes_in_memory_of_its_own() {
        let plain: phc::PasswordHash =
            argon2::PasswordHasher::hash_password_with_salt(&argon2().unwrap(), b"Passw0rd!", &[7; SALT_BYTES])
                .unwrap();
        let memory = &mut vec![Block::new(); BLOCKS][..];
        for _ in 0..2 {
            assert_eq!(super::hash(memory, "Passw0rd!", &[7; SALT_BYTES]).unwrap().0, plain.to_string());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_hashes_take_the_memory_of_those_that_run_at_a_time() {
        let hasher = hasher(2);
        for _ in 0..2 {
            let one = || hasher.run(hasher.place(Lane::Stranger(None)).unwrap(), |buffer| buffer.blocks().len());
            let all = futures_util::future::join_all((0..30).map(|_| one())).await;
            assert!(all.into_iter().all(|blocks| blocks.unwrap() == BLOCKS));
        }
        let buffers = hasher.memory.unused().len();
        assert!((1..=2).contains(&buffers), "{buffers} buffers for 60 hashes");
    }

    /// What an answer costs must not tell what kind of hash an account has, or whether there is one.
    #[cfg(feature = "strapi")]
    #[test]
    fn who_fails_pays_for_a_hash_of_each_kind() {
        let ours = hash("Passw0rd!", &[7; SALT_BYTES]).unwrap();
        let old = PasswordHash(bcrypt::hash("Passw0rd!", 10).unwrap());
        let costs = |text: &str, kept: Option<&PasswordHash>| {
            let spent = std::cell::RefCell::new(Vec::new());
            let count = |kind: &'static str| spent.borrow_mut().push(kind);
            let mut memory = vec![Block::new(); BLOCKS];
            let argon2 = |text: &str, hash: &str| {
                count("argon2id");
                is_argon2(&mut memory, text, hash)
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
        let ours = hash("x", &[0; SALT_BYTES]).unwrap();
        let ours = phc::PasswordHash::new(&ours.0).unwrap();
        assert_eq!((parsed.algorithm, parsed.version, parsed.params), (ours.algorithm, ours.version, ours.params));
        assert_eq!(parsed.salt, ours.salt);
        assert_eq!(parsed.hash.map(|h| h.len()), ours.hash.map(|h| h.len()));
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let hasher = hasher(1);
        let places: Vec<_> = std::iter::from_fn(|| hasher.place(Lane::Stranger(None)).ok()).collect();
        assert_eq!((places.len(), hasher.count_of_busy()), (17, 1));
        for place in places {
            hasher.run(place, |_| ()).await.unwrap();
        }
        hasher.run(hasher.place(Lane::Stranger(None)).unwrap(), |_| ()).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_makes_no_room_before_its_hash_ends() {
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
