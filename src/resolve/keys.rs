//! Comparison of the configured keys with the keys that the stored tokens depend on.
//!
//! Until the comparison succeeds, no credential is rejected as invalid: the answer is 503.

use super::Resolver;
use crate::domain::{ConfiguredKeys, KeyKind, Unavailable};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, watch};
use std::time::Duration;

/// The pause after a comparison that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The pause after a mismatch, or while no token depends on a key yet.
const RECHECK_PAUSE: Duration = Duration::from_secs(1);

/// The result of the comparison, as far as this node knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyMatch {
    Unknown,
    Match,
    Mismatch,
}

pub(super) struct Keys {
    state: watch::Sender<KeyMatch>,
    /// Mirrors `state`; read for each rejected credential.
    matches: AtomicBool,
}

impl Default for Keys {
    /// Returns the keys of an installation that compares none.
    fn default() -> Self {
        Self { state: watch::channel(KeyMatch::Match).0, matches: AtomicBool::new(true) }
    }
}

impl Keys {
    pub(super) fn match_data(&self) -> bool {
        self.matches.load(Ordering::Acquire)
    }

    /// Returns true if the keys are known not to match.
    pub(super) fn mismatch(&self) -> bool {
        *self.state.borrow() == KeyMatch::Mismatch
    }

    fn set(&self, state: KeyMatch) {
        self.matches.store(state == KeyMatch::Match, Ordering::Release);
        self.state.send_replace(state);
    }
}

impl Resolver {
    /// Compares these keys with the store's check values until they match.
    ///
    /// While no token depends on a key, the comparison continues: another node with another key may issue the first
    /// token.
    pub(crate) fn check_keys(self: &Arc<Self>, keys: Arc<ConfiguredKeys>) {
        self.keys.set(KeyMatch::Unknown);
        let (weak, store, limit) = (Arc::downgrade(self), self.store.clone(), self.limits.lookup);
        self.tasks.spawn(|mut stop| async move {
            let (mut failing, mut differing) = (false, false);
            loop {
                let compared = tokio::select! {
                    () = stop.requested() => return,
                    known = tokio::time::timeout(limit, store.key_checks()) => known,
                };
                let Some(resolver) = weak.upgrade() else { return };
                let pause = match compared {
                    Ok(Ok(None)) => {
                        resolver.keys.set(KeyMatch::Match);
                        return;
                    }
                    Ok(Ok(Some(known))) => {
                        failing = false;
                        match keys.judge(&known) {
                            Ok(()) => {
                                differing = false;
                                resolver.keys.set(KeyMatch::Match);
                                if known.iter().any(|check| check.kind == KeyKind::Hash) {
                                    return;
                                }
                                RECHECK_PAUSE
                            }
                            Err(mismatch) => {
                                if !std::mem::replace(&mut differing, true) {
                                    let error = &mismatch as &dyn std::error::Error;
                                    tracing::error!(
                                        error,
                                        "the configured keys do not match the data: every credential is answered 503"
                                    );
                                }
                                resolver.keys.set(KeyMatch::Mismatch);
                                RECHECK_PAUSE
                            }
                        }
                    }
                    error => {
                        if !std::mem::replace(&mut failing, true) {
                            let error = error.map_or(None, Result::err);
                            let error = error.as_ref().map(|e| e as &dyn std::error::Error);
                            tracing::warn!(error, "cannot compare the keys with the data yet");
                        }
                        RETRY_PAUSE
                    }
                };
                drop(resolver);
                tokio::select! {
                    () = stop.requested() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// Records that a transaction compared the keys and stored their check values.
    pub(crate) fn keys_fit(&self) {
        if !self.keys.match_data() {
            self.keys.set(KeyMatch::Match);
        }
    }

    /// Returns true if the keys match, so that an offline rejection can be trusted.
    pub(crate) fn knows_keys(&self) -> bool {
        self.keys.match_data()
    }

    /// Waits until the keys match, at most [`Limits::request`](super::Limits::request).
    pub(crate) async fn fitting_keys(&self) -> Result<(), Unavailable> {
        if self.keys.match_data() {
            return Ok(());
        }
        let mut state = self.keys.state.subscribe();
        let known = async {
            loop {
                match *state.borrow_and_update() {
                    KeyMatch::Match => return Ok(()),
                    KeyMatch::Mismatch => return Err(Unavailable::Keys),
                    KeyMatch::Unknown => {}
                }
                state.changed().await.map_err(|_| Unavailable::Keys)?;
            }
        };
        tokio::time::timeout(self.limits.request, known).await.unwrap_or(Err(Unavailable::Keys))
    }
}
