//! Admission of a request: path, group, credential, offline check, look-up, judgement.

use super::address::Addresses;
use super::bearer::{Presented, presented};
use super::gate::Gate;
use super::groups::{Access, Group};
use super::origin::{is_safe, is_same_origin};
use crate::domain::{InvalidCredential, MonotonicTime, Reason, TokenKind, TokenKinds, Unavailable, VerifyError};
use crate::resolve::{CacheKey, Entry, Hit, Incident, IncidentKind, KnownSecret, Lane, Resolved};
use http::{Extensions, HeaderMap, Method, Request, Uri};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

/// The outcome of admission.
pub(super) enum Admission<'g> {
    /// The group is public: the request goes on without a credential being read.
    Public(&'g Group),
    /// The request goes on as this caller, if it meets the floor of the group.
    Admitted(&'g Group, Arc<Entry>),
    /// The store has to be read first.
    Pending(&'g Group, Lookup),
}

/// The address of a client.
#[derive(Clone, Copy)]
struct ClientAddress {
    /// The address for networks: `None` if a trusted proxy names no client.
    named: Option<IpAddr>,
    /// The address for the audit log and for budgets: in that case, the proxy's.
    apparent: Option<IpAddr>,
}

impl ClientAddress {
    fn of(addresses: &Addresses, headers: &HeaderMap, extensions: &Extensions) -> Self {
        Self { named: addresses.named(headers, extensions), apparent: addresses.of(headers, extensions) }
    }
}

/// A look-up in the store: the caller, or the reason of the rejection.
pub(super) type Lookup = Pin<Box<dyn Future<Output = Result<Arc<Entry>, Reason>> + Send>>;

/// The reason of a rejection, with the group that decides its form, if there is one.
pub(super) type NotAdmitted<'g> = (Reason, Option<&'g Group>);

impl Gate {
    /// Decides whether a request goes on, and as which caller.
    #[inline]
    pub(super) fn admit<'g, B>(self: &'g Arc<Self>, request: &Request<B>) -> Result<Admission<'g>, NotAdmitted<'g>> {
        self.admit_head(request.method(), request.uri(), request.headers(), request.extensions())
    }

    /// Decides by the head of a request. One function for all bodies, so that its parts are inlined into it.
    fn admit_head<'g>(
        self: &'g Arc<Self>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Admission<'g>, NotAdmitted<'g>> {
        let group = self.locate(method, uri, headers, extensions)?;
        match &group.access {
            Access::Public => Ok(Admission::Public(group)),
            Access::Guarded { kinds, .. } => {
                self.identify(headers, extensions, group, *kinds).map_err(|reason| (reason, Some(group)))
            }
        }
    }

    /// Returns the group of a request, whose credential is not read. Inlined: it is a part of every admission.
    #[inline(always)]
    pub(super) fn locate<'g>(
        &'g self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<&'g Group, NotAdmitted<'g>> {
        let path = sent_path(uri, extensions).map(|path| self.base.inward(path));
        let group = match path.and_then(|path| self.groups.classify(method, path)) {
            Ok(group) => group,
            Err(reason) => return Err((reason, self.apparent_group(method, uri, extensions))),
        };
        if group.same_origin && self.lacks_origin_proof(method, uri, headers, group) {
            return Err((Reason::CrossOrigin, Some(group)));
        }
        Ok(group)
    }

    /// Returns the group that a path in no group, or an ambiguous one, begins like. It decides how the rejection looks,
    /// and nothing else.
    #[cold]
    pub(super) fn apparent_group(&self, method: &Method, uri: &Uri, extensions: &Extensions) -> Option<&Group> {
        self.groups.find(method, self.base.inward(sent_uri(uri, extensions).path()))
    }

    fn identify<'g>(
        self: &'g Arc<Self>,
        headers: &HeaderMap,
        extensions: &Extensions,
        group: &'g Group,
        kinds: TokenKinds,
    ) -> Result<Admission<'g>, Reason> {
        let secret = match self.presented(headers, group) {
            Presented::Secret(secret) => secret,
            other => return self.without_secret(&other, headers, group),
        };
        if !self.format.has_length(secret.len()) {
            return self.reject_secret(VerifyError::Malformed, headers, group);
        }
        let resolver = &self.resolver;
        // Before the hash: reading the clock waits until every instruction before it has finished.
        let now = resolver.clock.moment();
        let cache_key = resolver.cache_key(secret);
        match resolver.find_hit(cache_key, kinds, now) {
            Some(Hit::Admitted(entry)) => {
                resolver.note_use(&entry, now, || self.addresses.of(headers, extensions));
                Ok(Admission::Admitted(group, entry))
            }
            Some(Hit::Limited(entry)) => {
                let client = || ClientAddress::of(&self.addresses, headers, extensions);
                self.admit_limited(entry, client).map(|entry| Admission::Admitted(group, entry))
            }
            None => self.verify(secret, cache_key, headers, extensions, group, kinds),
        }
    }

    /// Judges a request without a secret.
    #[inline(never)]
    pub(super) fn without_secret<'g>(
        &self,
        presented: &Presented<'_>,
        headers: &HeaderMap,
        group: &'g Group,
    ) -> Result<Admission<'g>, Reason> {
        match presented {
            Presented::Malformed | Presented::Several if self.session_counts_besides(headers, group) => {
                Err(Reason::NoCredential)
            }
            Presented::Several => Err(Reason::SeveralCredentials),
            Presented::Malformed | Presented::Secret(_) => Err(Reason::Invalid(InvalidCredential::Malformed)),
            Presented::Nothing => {
                // Whom the host has signed in is not the public.
                let public = group.public_entry().filter(|_| !group.admits_signed_in()).ok_or(Reason::NoCredential)?;
                Ok(Admission::Admitted(group, public.clone()))
            }
        }
    }

    /// Verifies a secret that the cache does not admit, and looks it up.
    #[inline(never)]
    fn verify<'g>(
        self: &'g Arc<Self>,
        secret: &[u8],
        cache_key: CacheKey,
        headers: &HeaderMap,
        extensions: &Extensions,
        group: &'g Group,
        kinds: TokenKinds,
    ) -> Result<Admission<'g>, Reason> {
        let secret = match self.format.verify_bytes(secret, kinds) {
            Ok(verified) => KnownSecret::new(verified, cache_key),
            Err(error) => return self.reject_secret(error, headers, group),
        };
        let now = self.resolver.clock.moment();
        match self.resolver.known(&secret, now) {
            Some(resolved) => {
                let client = || ClientAddress::of(&self.addresses, headers, extensions);
                self.note_replaced(&resolved, || client().apparent, now);
                let entry = judge(resolved, secret.prefix, kinds, now)?;
                Ok(Admission::Admitted(group, self.admit_limited(entry, client)?))
            }
            None => {
                let (gate, client) = (self.clone(), ClientAddress::of(&self.addresses, headers, extensions));
                let lookup = async move {
                    let entry = gate.look_up(secret, kinds, client.apparent).await?;
                    gate.admit_limited(entry, || client)
                };
                Ok(Admission::Pending(group, Box::pin(lookup)))
            }
        }
    }

    /// Admits a request with a judged token if the token's limits let it, and notes its use.
    #[inline(never)]
    fn admit_limited(&self, entry: Arc<Entry>, client: impl Fn() -> ClientAddress) -> Result<Arc<Entry>, Reason> {
        let now = self.resolver.clock.moment();
        if let Err(reason) = entry.admit(|| client().named) {
            if let (Reason::NetworkNotAllowed, Some(token)) = (reason, entry.principal.token()) {
                let token_kind = entry.principal.kind().unwrap_or(TokenKind::Admin);
                let address = client().apparent;
                let incident = Incident { kind: IncidentKind::NetworkRefused, token, token_kind, address };
                self.resolver.incidents.note(incident, now);
            }
            return Err(reason);
        }
        self.resolver.note_use(&entry, now, || client().apparent);
        Ok(entry)
    }

    /// Notes the use of a secret that was replaced and has ended.
    fn note_replaced(&self, resolved: &Resolved, address: impl FnOnce() -> Option<IpAddr>, now: MonotonicTime) {
        if let Resolved::Absent { replaced: Some(token), .. } = resolved {
            let (token, token_kind) = *token;
            let incident = Incident { kind: IncidentKind::SecretReused, token, token_kind, address: address() };
            self.resolver.incidents.note(incident, now);
        }
    }

    /// Rejects a secret that fails the offline check. Where the host's session counts, the credential of another system is
    /// ignored.
    #[inline(never)]
    pub(super) fn reject_secret<'g>(
        self: &Arc<Self>,
        error: VerifyError,
        headers: &HeaderMap,
        group: &'g Group,
    ) -> Result<Admission<'g>, Reason> {
        if self.session_counts_besides(headers, group) {
            return Err(Reason::NoCredential);
        }
        self.reject_invalid(error).map(|lookup| Admission::Pending(group, lookup))
    }

    /// Returns whether the host's session counts although the request has a credential. It does if it opens the group, and
    /// no header holds a credential of this installation: a proxy may add its own credential to every request.
    #[cold]
    fn session_counts_besides(&self, headers: &HeaderMap, group: &Group) -> bool {
        // In a page group, the credential that failed is the cookie.
        let by_session = self.signed_in.is_some() && group.pages.is_none() && group.admits_signed_in();
        let has_ours = |value: &[u8]| self.format.has_ours(value);
        by_session && !self.has_own_credential(headers) && !self.style.headers.any_value(headers, has_ours)
    }

    /// Rejects an invalid secret: at once if the configured keys are known to be those of the store, else after they have
    /// been compared with it.
    pub(super) fn reject_invalid(self: &Arc<Self>, error: VerifyError) -> Result<Lookup, Reason> {
        let invalid = Reason::Invalid(match error {
            VerifyError::Malformed => InvalidCredential::Malformed,
            VerifyError::WrongKind => InvalidCredential::WrongKind,
            VerifyError::NotGenuine => InvalidCredential::NotGenuine,
        });
        if self.resolver.knows_keys() {
            return Err(invalid);
        }
        let gate = self.clone();
        Ok(Box::pin(async move {
            gate.resolver.fitting_keys().await.map_err(Reason::Unavailable)?;
            Err(invalid)
        }))
    }

    /// Reads the token of this secret from the store, and judges it.
    pub(super) async fn look_up(
        &self,
        secret: KnownSecret,
        kinds: TokenKinds,
        address: Option<IpAddr>,
    ) -> Result<Arc<Entry>, Reason> {
        let resolved = self.ask(secret, address).await.map_err(Reason::Unavailable)?;
        judge(resolved, secret.prefix, kinds, self.resolver.clock.moment())
    }

    /// Reads the token of this secret from the store, in the lane of the client's address.
    pub(super) async fn ask(&self, secret: KnownSecret, address: Option<IpAddr>) -> Result<Resolved, Unavailable> {
        let budget = self.budget.as_ref().zip(address);
        let lane = budget.map_or(Lane::Unknown, |(budget, address)| budget.lane(address, self.resolver.clock.moment()));
        let resolved = self.resolver.clone().ask(secret, lane).await?;
        let now = self.resolver.clock.moment();
        self.note_replaced(&resolved, || address, now);
        if let (Resolved::Absent { read: true, .. }, Some((budget, address))) = (&resolved, budget) {
            budget.count(address, now);
        }
        Ok(resolved)
    }

    /// Returns the secret of a request: from its `Authorization` header in nearly all groups.
    pub(super) fn presented<'h>(&self, headers: &'h HeaderMap, group: &Group) -> Presented<'h> {
        match group.only_authorization {
            true => presented(headers),
            false => self.presented_elsewhere(headers, group),
        }
    }

    /// Returns the secret of a request from the configured headers, or from the cookie of a page group if no header
    /// holds a credential of this installation.
    #[inline(never)]
    fn presented_elsewhere<'h>(&self, headers: &'h HeaderMap, group: &Group) -> Presented<'h> {
        match &group.pages {
            Some(pages) if !self.has_own_credential(headers) => pages.presented(headers),
            _ => self.style.headers.presented(headers),
        }
    }

    /// Returns whether a header holds a credential of this installation. If so, no cookie counts.
    pub(super) fn has_own_credential(&self, headers: &HeaderMap) -> bool {
        self.style.headers.any_is_ours(headers, |secret| self.format.is_ours(secret))
    }

    /// Returns whether a request may change something and lacks the proof of same origin that it needs.
    ///
    /// In a protected group, a request that is judged by its headers alone needs none: browsers send no credential of
    /// this installation by themselves. Where a cookie may count, only such a credential rules the cookie out.
    #[inline(never)]
    fn lacks_origin_proof(&self, method: &Method, uri: &Uri, headers: &HeaderMap, group: &Group) -> bool {
        if is_safe(method) {
            return false;
        }
        let judged_by_header = match &group.pages {
            Some(_) => self.has_own_credential(headers),
            None => group.is_protected() && self.style.headers.any(headers),
        };
        !judged_by_header && !is_same_origin(headers, uri)
    }
}

/// Judges a resolved token. The kind of the record must be the kind of the prefix and one of the group's; then expiry
/// and owner count. The resolver has ensured freshness.
pub(super) fn judge(
    resolved: Resolved,
    prefix: Option<TokenKind>,
    kinds: TokenKinds,
    now: MonotonicTime,
) -> Result<Arc<Entry>, Reason> {
    let Resolved::Found(entry) = resolved else { return Err(Reason::Invalid(InvalidCredential::Unknown)) };
    judge_kind(&entry, prefix, kinds)?;
    entry.judge(now)?;
    Ok(entry)
}

/// Judges the kind of a record: it must be that of the prefix, and one of the group's.
pub(super) fn judge_kind(entry: &Entry, prefix: Option<TokenKind>, kinds: TokenKinds) -> Result<(), Reason> {
    let kind = entry.principal.kind();
    let fits = kind.is_some_and(|kind| kinds.contains(kind)) && (prefix.is_none() || prefix == kind);
    if fits { Ok(()) } else { Err(Reason::Invalid(InvalidCredential::WrongKind)) }
}

/// Returns the path before a router took a nested prefix away.
#[cfg(feature = "axum")]
#[inline]
fn sent_path<'a>(uri: &'a Uri, extensions: &'a Extensions) -> Result<&'a str, Reason> {
    match extensions.get::<axum::extract::OriginalUri>() {
        None => Ok(uri.path()),
        Some(original) => path_before_nesting(&original.0, uri, extensions),
    }
}

/// Returns the original path, if nesting explains its difference to the present one.
#[cfg(feature = "axum")]
#[inline(never)]
fn path_before_nesting<'a>(original: &'a Uri, uri: &Uri, extensions: &Extensions) -> Result<&'a str, Reason> {
    use axum::extract::NestedPath;
    let nested = extensions.get::<NestedPath>().map(|n| n.as_str().split('/').filter(|s| !s.is_empty()).count());
    super::path::original(original.path(), uri.path(), nested).map_err(Reason::AmbiguousPath)
}

#[cfg(not(feature = "axum"))]
fn sent_path<'a>(uri: &'a Uri, _: &'a Extensions) -> Result<&'a str, Reason> {
    Ok(uri.path())
}

/// Returns the URI before a router took a nested prefix away, whether or not nesting explains the difference.
#[cfg(feature = "axum")]
pub(crate) fn sent_uri<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    extensions.get::<axum::extract::OriginalUri>().map_or(uri, |original| &original.0)
}

#[cfg(not(feature = "axum"))]
pub(super) fn sent_uri<'a>(uri: &'a Uri, _: &'a Extensions) -> &'a Uri {
    uri
}
