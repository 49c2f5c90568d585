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
use crate::domain::{Entropy, PasswordHash};
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

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
            (text.trim().to_lowercase() != email.trim().to_lowercase(), "must not be the e-mail address"),
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
    running: Arc<Semaphore>,
    present: Arc<Semaphore>,
}

impl Hasher {
    /// So many at a time, one at least.
    pub(super) fn new(at_once: usize) -> Self {
        let at_once = at_once.clamp(1, 1024);
        let present = at_once * (1 + QUEUE);
        Self { running: Arc::new(Semaphore::new(at_once)), present: Arc::new(Semaphore::new(present)) }
    }

    /// What is to be kept of a password.
    pub(super) async fn hash(&self, password: &Password, entropy: &dyn Entropy) -> Result<PasswordHash, ServiceError> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt)?;
        let password = password.clone();
        let hashed = self.run(move || hash(password.text(), &salt)).await?;
        // Only memory can be lacking: parameters and salt are ours.
        hashed.ok_or(ServiceError::Busy)
    }

    /// Whether it is this password. `None` is nobody's: it takes as long, and is no.
    pub(super) async fn verify(&self, password: &Password, kept: Option<&PasswordHash>) -> Result<bool, ServiceError> {
        let (password, kept) = (password.clone(), kept.cloned());
        self.run(move || verify(password.text(), kept.as_ref())).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ServiceError> {
        let (permit, place) = self.admit().await?;
        let work = move || {
            // They go with the work and not with whoever waits for it: who hangs up makes no room for one more.
            let _held = (permit, place);
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::Busy)
    }

    async fn admit(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), ServiceError> {
        let place = self.present.clone().try_acquire_owned().map_err(|_| ServiceError::Busy)?;
        let permit = tokio::time::timeout(PATIENCE, self.running.clone().acquire_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok((permit, place)),
            _ => Err(ServiceError::Busy),
        }
    }
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(text: &str, salt: &[u8]) -> Option<PasswordHash> {
    let hash: phc::PasswordHash = argon2()?.hash_password_with_salt(text.as_bytes(), salt).ok()?;
    Some(PasswordHash(hash.to_string()))
}

fn verify(text: &str, kept: Option<&PasswordHash>) -> bool {
    verify_by(is_argon2, old_hash::verify, text, kept)
}

/// A format that nobody knows never verifies, and neither does a password that nobody can have set. Whoever fails has paid for a hash of
/// each kind.
fn verify_by(
    argon2: impl Fn(&str, &str) -> bool,
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

fn is_argon2(text: &str, phc: &str) -> bool {
    let parsed = phc::PasswordHash::new(phc).ok();
    argon2().zip(parsed).is_some_and(|(argon2, hash)| argon2.verify_password(text.as_bytes(), &hash).is_ok())
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
        let kept = hasher.hash(&right, &OsEntropy).await.unwrap();
        assert!(kept.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.0.contains("Passw0rd"));
        assert_ne!(kept, hasher.hash(&right, &OsEntropy).await.unwrap(), "salted");
        assert!(hasher.verify(&right, Some(&kept)).await.unwrap());
        for other in ["passw0rd!", "", "Passw0rd! ", &"Passw0rd!".repeat(100)] {
            assert!(!hasher.verify(&Password::new(other), Some(&kept)).await.unwrap());
        }
        for unknown in
            ["", "Passw0rd!", "$2b$10$abcdefghijklmnopqrstuv", "$argon2id$", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA"]
        {
            assert!(!hasher.verify(&right, Some(&PasswordHash(unknown.into()))).await.unwrap());
        }
        assert!(!hasher.verify(&right, None).await.unwrap());
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
            let argon2 = |text: &str, hash: &str| {
                count("argon2id");
                is_argon2(text, hash)
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
        let hasher = Arc::new(Hasher::new(1));
        let held = hasher.running.clone().acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..=QUEUE)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.run(|| ()).await })
            })
            .collect();
        while hasher.present.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hasher.run(|| ()).await, Err(ServiceError::Busy)));
        drop(held);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        hasher.run(|| ()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let hasher = Hasher::new(1);
        let _held = hasher.running.clone().acquire_owned().await.unwrap();
        assert!(matches!(hasher.run(|| ()).await, Err(ServiceError::Busy)));
    }
}
