//! Requests of people whom the host has signed in, by its own session.
//!
//! Such a request is judged like one with a session of keyward's. The store has a session without a secret for each account
//! that was seen: its digest is made from the account key, and no secret has this digest. So the look-up, the cache and
//! the check at commit are those of every other credential.

use super::admit::{Admission, judge};
use super::bearer::Presented;
use super::gate::Gate;
use super::groups::Group;
use super::origin::{is_safe, is_same_origin};
use crate::domain::{AccountKey, InvalidCredential, Reason, TokenKinds, Unavailable, VerifyError};
use crate::resolve::{KnownSecret, Lane, Resolved};
use futures_util::future::BoxFuture;
use http::{Extensions, HeaderMap, Request};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

type AccountOf = dyn Fn(&HeaderMap, &Extensions) -> Option<AccountKey> + Send + Sync;
type OpenSession = dyn Fn(AccountKey) -> BoxFuture<'static, Result<(), Reason>> + Send + Sync;

/// The host's answer to who is signed in, and what opens a session for an account that was not seen before.
pub(crate) struct SignedIn {
    account: Box<AccountOf>,
    open: OnceLock<Box<OpenSession>>,
    /// Accounts of one number open their sessions one after another: concurrent first requests are one write.
    turns: [tokio::sync::Mutex<()>; TURNS],
}

const TURNS: usize = 64;

impl SignedIn {
    pub(crate) fn new(account: impl Fn(&HeaderMap, &Extensions) -> Option<AccountKey> + Send + Sync + 'static) -> Self {
        Self { account: Box::new(account), open: OnceLock::new(), turns: std::array::from_fn(|_| Default::default()) }
    }
}

impl SignedIn {
    fn turn(&self, key: &AccountKey) -> &tokio::sync::Mutex<()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        &self.turns[hasher.finish() as usize % TURNS]
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn").finish_non_exhaustive()
    }
}

impl Gate {
    /// Sets what opens a session for an account that was not seen before. Without it, such an account is rejected.
    pub(crate) fn open_sessions_by(
        &self,
        open: impl Fn(AccountKey) -> BoxFuture<'static, Result<(), Reason>> + Send + Sync + 'static,
    ) {
        if let Some(signed_in) = &self.signed_in {
            _ = signed_in.open.set(Box::new(open));
        }
    }

    /// Decides about a request without a credential of this installation, by the account that the host has signed in.
    #[cold]
    #[inline(never)]
    pub(super) fn identify_account<'g, B>(
        self: &'g Arc<Self>,
        request: &Request<B>,
        group: &'g Group,
    ) -> Result<Admission<'g>, Reason> {
        let (headers, extensions) = (request.headers(), request.extensions());
        let signed_in = self.signed_in.as_ref().filter(|_| group.admits_signed_in());
        let Some(key) = signed_in.and_then(|signed_in| (signed_in.account)(headers, extensions)) else {
            return self.identify_unsigned(headers, group);
        };
        // The host's session is in a cookie, which browsers send by themselves.
        if !is_safe(request.method()) && !is_same_origin(headers, request.uri()) {
            return Err(Reason::CrossOrigin);
        }
        let secret = KnownSecret::of_account(&key, &self.resolver);
        let now = self.resolver.clock.moment();
        let address = self.addresses.of(headers, extensions);
        match self.resolver.known(&secret, now) {
            Some(resolved @ Resolved::Found(_)) => {
                judge(resolved, secret.prefix, TokenKinds::SESSION, now).map(|entry| {
                    self.resolver.note_use(&entry, now, || address);
                    Admission::Admitted(group, entry)
                })
            }
            Some(Resolved::Absent { .. }) | None => {
                if let Some(reason) = self.resolver.rejection(&secret, now) {
                    return Err(reason);
                }
                let gate = self.clone();
                Ok(Admission::Pending(
                    group,
                    Box::pin(async move {
                        let resolved = gate.resolve_account(key, secret).await?;
                        let now = gate.resolver.clock.moment();
                        let entry = judge(resolved, secret.prefix, TokenKinds::SESSION, now)?;
                        gate.resolver.note_use(&entry, now, || address);
                        Ok(entry)
                    }),
                ))
            }
        }
    }

    /// Decides about a request for which the host has signed in no account. Without a credential, its caller is the public.
    /// A credential of another system is rejected.
    pub(super) fn identify_unsigned<'g>(
        self: &Arc<Self>,
        headers: &HeaderMap,
        group: &'g Group,
    ) -> Result<Admission<'g>, Reason> {
        let presented = if group.pages.is_some() { Presented::Nothing } else { self.presented(headers, group) };
        match presented {
            Presented::Nothing => {
                let public = group.public_entry().ok_or(Reason::NoCredential)?;
                Ok(Admission::Admitted(group, public.clone()))
            }
            Presented::Malformed => Err(Reason::Invalid(InvalidCredential::Malformed)),
            Presented::Several => Err(Reason::SeveralCredentials),
            Presented::Secret(_) => {
                self.reject_invalid(VerifyError::Malformed).map(|lookup| Admission::Pending(group, lookup))
            }
        }
    }

    async fn resolve_account(&self, key: AccountKey, secret: KnownSecret) -> Result<Resolved, Reason> {
        // The host has verified who this is: an account waits in no lane of strangers.
        let ask = || async { self.resolver.clone().ask(secret, Lane::Known).await.map_err(Reason::Unavailable) };
        if let found @ Resolved::Found(_) = ask().await? {
            return Ok(found);
        }
        let Some((signed_in, open)) = self.signed_in.as_ref().and_then(|s| Some((s, s.open.get()?))) else {
            return Err(Reason::Invalid(InvalidCredential::Unknown));
        };
        let opened = async {
            let _turn = signed_in.turn(&key).lock().await;
            // The one before may have been of the same account.
            if let found @ Resolved::Found(_) = ask().await? {
                return Ok(found);
            }
            if let Some(reason) = self.resolver.rejection(&secret, self.resolver.clock.moment()) {
                return Err(reason);
            }
            match open(key.clone()).await {
                Ok(()) => match ask().await? {
                    found @ Resolved::Found(_) => Ok(found),
                    // Another node has opened it, or ended it, and this one has not read that yet.
                    Resolved::Absent { .. } => Err(Reason::Unavailable(Unavailable::Stale)),
                },
                Err(reason) => {
                    if !matches!(reason, Reason::Unavailable(_)) {
                        self.resolver.remember_rejection(&secret, reason);
                    }
                    Err(reason)
                }
            }
        };
        // A write takes the lock of writers, which another one may hold for seconds.
        let opened = tokio::time::timeout(self.resolver.request_deadline(), opened).await;
        opened.unwrap_or(Err(Reason::Unavailable(Unavailable::Deadline)))
    }
}
