//! Whether the keys of the configuration are those that the tokens rest on. Until that is known, and where it is not so, no credential
//! is refused as invalid: the answer is 503.

use super::Resolver;
use crate::domain::{ConfiguredKeys, KeyKind, Unavailable};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How soon a comparison that failed is tried again.
const SOON: Duration = Duration::from_millis(100);
/// How often keys are compared again that do not fit, or that nothing rests on yet.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether the keys fit, as far as this node knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Unknown,
    Yes,
    No,
}

pub(super) struct Keys {
    fit: watch::Sender<Fit>,
    /// The same as `fit`, to be read for each credential that is refused.
    fits: AtomicBool,
}

impl Default for Keys {
    /// Those of an installation that has none to compare.
    fn default() -> Self {
        Self { fit: watch::channel(Fit::Yes).0, fits: AtomicBool::new(true) }
    }
}

impl Keys {
    pub(super) fn fit(&self) -> bool {
        self.fits.load(Ordering::Acquire)
    }

    /// Whether they are known not to fit.
    pub(super) fn differ(&self) -> bool {
        *self.fit.borrow() == Fit::No
    }

    fn set(&self, fit: Fit) {
        self.fits.store(fit == Fit::Yes, Ordering::Release);
        self.fit.send_replace(fit);
    }
}

impl Resolver {
    /// Compares these keys with the check values of the store, until they fit.
    ///
    /// Where nothing rests on a key yet, that goes on: another node, with another key, may be the first to issue a token.
    pub(crate) fn check_keys(self: &Arc<Self>, keys: Arc<ConfiguredKeys>) {
        self.keys.set(Fit::Unknown);
        let (home, store, limit) = (Arc::downgrade(self), self.store.clone(), self.limits.lookup);
        self.tasks.spawn(|mut stop| async move {
            let (mut failing, mut differing) = (false, false);
            loop {
                let compared = tokio::select! {
                    () = stop.told() => return,
                    known = tokio::time::timeout(limit, store.key_checks()) => known,
                };
                let Some(resolver) = home.upgrade() else { return };
                let pause = match compared {
                    Ok(Ok(None)) => {
                        resolver.keys.set(Fit::Yes);
                        return;
                    }
                    Ok(Ok(Some(known))) => {
                        failing = false;
                        match keys.judge(&known) {
                            Ok(()) => {
                                differing = false;
                                resolver.keys.set(Fit::Yes);
                                if known.iter().any(|check| check.kind == KeyKind::Hash) {
                                    return;
                                }
                                AGAIN
                            }
                            Err(mismatch) => {
                                if !std::mem::replace(&mut differing, true) {
                                    let error = &mismatch as &dyn std::error::Error;
                                    tracing::error!(
                                        error,
                                        "the keys do not fit the data: every credential is answered 503"
                                    );
                                }
                                resolver.keys.set(Fit::No);
                                AGAIN
                            }
                        }
                    }
                    error => {
                        if !std::mem::replace(&mut failing, true) {
                            let error = error.map_or(None, Result::err);
                            let error = error.as_ref().map(|e| e as &dyn std::error::Error);
                            tracing::warn!(error, "the keys cannot be compared with the data yet");
                        }
                        SOON
                    }
                };
                drop(resolver);
                tokio::select! {
                    () = stop.told() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    /// The keys were compared in a transaction, and are kept from now on.
    pub(crate) fn keys_fit(&self) {
        if !self.keys.fit() {
            self.keys.set(Fit::Yes);
        }
    }

    /// Whether a credential that is refused offline is known to be refused rightly.
    pub(crate) fn knows_keys(&self) -> bool {
        self.keys.fit()
    }

    /// Waits until the keys are known to fit, for as long as a request may wait.
    pub(crate) async fn fitting_keys(&self) -> Result<(), Unavailable> {
        if self.keys.fit() {
            return Ok(());
        }
        let mut fit = self.keys.fit.subscribe();
        let known = async {
            loop {
                match *fit.borrow_and_update() {
                    Fit::Yes => return Ok(()),
                    Fit::No => return Err(Unavailable::Keys),
                    Fit::Unknown => {}
                }
                fit.changed().await.map_err(|_| Unavailable::Keys)?;
            }
        };
        tokio::time::timeout(self.limits.request, known).await.unwrap_or(Err(Unavailable::Keys))
    }
}
