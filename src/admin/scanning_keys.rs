//! The public keys of a secret scanner, and the signatures of its messages.

use crate::domain::{Clock, LogLimit, MonotonicTime};
use crate::sync::Arc;
use base64ct::{Base64, Encoding};
use futures_util::future::BoxFuture;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;
use tokio::sync::Mutex;

/// The most keys that are kept. GitHub has a few.
const MOST_KEYS: usize = 64;
/// The longest identifier of a key, in bytes.
const LONGEST_ID: usize = 128;
/// The longest signature as Base64: 72 bytes of DER are 96 characters.
const LONGEST_SIGNATURE: usize = 128;
/// The pause before keys are loaded again for the sake of an unknown identifier, which any client can send.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);
/// The pause after keys could not be loaded.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);
/// How long keys are used that cannot be loaded again.
const LONGEST_USE: Duration = Duration::from_secs(24 * 60 * 60);

type BoxError = Box<dyn Error + Send + Sync>;
/// Identifiers and keys in PEM.
type KeyList = Vec<(String, String)>;
type Load = dyn Fn() -> BoxFuture<'static, Result<KeyList, BoxError>> + Send + Sync;

/// A key of a secret scanner that is not a public key of the curve P-256 in PEM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid key `{0}` of a secret scanner: pass a public key of P-256 in PEM, with an identifier of at most 128 characters"
)]
pub struct InvalidScanningKey(String);

/// The keys, given or loaded.
#[derive(Clone)]
pub(super) struct ScanningKeys {
    /// `None` if the keys are given.
    load: Option<Arc<Load>>,
    cached: Arc<Mutex<Cached>>,
    pub(super) cache_for: Duration,
    pub(super) deadline: Duration,
}

#[derive(Default)]
struct Cached {
    keys: HashMap<String, VerifyingKey>,
    loaded: Option<MonotonicTime>,
    failed: Option<MonotonicTime>,
}

/// The reason why there is no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoKey {
    /// There is no key with this identifier.
    Unknown,
    /// The keys cannot be loaded now.
    Unavailable,
}

/// The next step of a look-up.
enum Step {
    Done(Result<VerifyingKey, NoKey>),
    Load,
}

impl ScanningKeys {
    pub(super) fn given(keys: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidScanningKey> {
        let keys = keys.into_iter().map(|(id, pem)| match parse(&id, &pem) {
            Some(key) => Ok((id, key)),
            None => Err(InvalidScanningKey(id.chars().take(LONGEST_ID).collect())),
        });
        Ok(Self::new(None, Cached { keys: keys.collect::<Result<_, _>>()?, ..Cached::default() }))
    }

    pub(super) fn loaded_by(load: Arc<Load>) -> Self {
        Self::new(Some(load), Cached::default())
    }

    fn new(load: Option<Arc<Load>>, cached: Cached) -> Self {
        let (cache_for, deadline) = (Duration::from_secs(60 * 60), Duration::from_secs(5));
        Self { load, cached: Arc::new(Mutex::new(cached)), cache_for, deadline }
    }

    /// Returns the key with this identifier.
    ///
    /// One caller loads keys while the others wait for it. A caller who hangs up does not stop it, so callers cannot cause more than one
    /// load in [`FAILURE_PAUSE`].
    pub(super) async fn key(&self, id: &str, clock: &Arc<dyn Clock>) -> Result<VerifyingKey, NoKey> {
        let mut cached = self.cached.clone().lock_owned().await;
        let Some(load) = &self.load else { return cached.keys.get(id).copied().ok_or(NoKey::Unknown) };
        if let Step::Done(done) = cached.find(id, clock.moment(), self.cache_for) {
            return done;
        }
        let (load, deadline, clock, id) = (load.clone(), self.deadline, clock.clone(), id.to_owned());
        let loading = tokio::spawn(async move {
            cached.load(&*load, deadline, &*clock).await;
            cached.last_resort(&id, clock.moment())
        });
        loading.await.unwrap_or(Err(NoKey::Unavailable))
    }
}

impl Cached {
    fn find(&self, id: &str, now: MonotonicTime, cache_for: Duration) -> Step {
        let is_within = |at: Option<MonotonicTime>, span: Duration| at.is_some_and(|at| now.since(at) < span);
        match self.keys.get(id) {
            Some(key) if is_within(self.loaded, cache_for) => Step::Done(Ok(*key)),
            _ if is_within(self.failed, FAILURE_PAUSE) => Step::Done(self.last_resort(id, now)),
            None if is_within(self.loaded, UNKNOWN_PAUSE) => Step::Done(Err(NoKey::Unknown)),
            _ => Step::Load,
        }
    }

    /// Returns the key as far as it is known, without loading it.
    fn last_resort(&self, id: &str, now: MonotonicTime) -> Result<VerifyingKey, NoKey> {
        let is_usable = self.loaded.is_some_and(|at| now.since(at) < LONGEST_USE);
        match (self.keys.get(id).filter(|_| is_usable), self.failed) {
            (Some(key), _) => Ok(*key),
            (None, None) => Err(NoKey::Unknown),
            (None, Some(_)) => Err(NoKey::Unavailable),
        }
    }

    /// Loads the keys. Invalid ones among them are left out.
    async fn load(&mut self, load: &Load, deadline: Duration, clock: &dyn Clock) {
        static LINES: LogLimit = LogLimit::new();
        let asked = clock.moment();
        let result = match tokio::time::timeout(deadline, load()).await {
            Ok(Ok(list)) => {
                let keys = list.into_iter().take(MOST_KEYS).filter_map(|(id, pem)| Some((parse(&id, &pem)?, id)));
                let keys: HashMap<String, VerifyingKey> = keys.map(|(key, id)| (id, key)).collect();
                if keys.is_empty() { Err("there is no valid key".into()) } else { Ok(keys) }
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err("the deadline is over".into()),
        };
        match result {
            Ok(keys) => *self = Self { keys, loaded: Some(asked), failed: None },
            Err(error) => {
                self.failed = Some(clock.moment());
                if let Some(count) = LINES.count(asked) {
                    let error = &*error as &dyn Error;
                    tracing::warn!(error, count, "the keys of a secret scanner could not be loaded");
                }
            }
        }
    }
}

impl fmt::Debug for ScanningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanningKeys").field("given", &self.load.is_none()).finish_non_exhaustive()
    }
}

fn parse(id: &str, pem: &str) -> Option<VerifyingKey> {
    let is_id = (1..=LONGEST_ID).contains(&id.len());
    VerifyingKey::from_public_key_pem(pem.trim()).ok().filter(|_| is_id)
}

/// Returns whether this text is the Base64 of the DER of an ECDSA signature of the message: over P-256, with SHA-256.
pub(crate) fn is_signed(key: &VerifyingKey, message: &[u8], signature: &str) -> bool {
    parse_signature(signature).is_some_and(|signature| key.verify(message, &signature).is_ok())
}

/// Parses a signature, before the message has arrived.
pub(crate) fn parse_signature(text: &str) -> Option<Signature> {
    let der =
        Some(text).filter(|text| text.len() <= LONGEST_SIGNATURE).and_then(|text| Base64::decode_vec(text).ok())?;
    Signature::from_der(&der).ok()
}

#[cfg(test)]
mod tests;
