//! The request's way up to the handler: path, group, credential, offline check, look-up, judgement.

use super::bearer::{Presented, presented};
use super::groups::{Access, Groups};
use super::mark::Held;
use super::path;
use super::refusal::Refusal;
use crate::domain::{
    Credential, Digest, Invalid, Kind, KindSet, Moment, Principal, Reason, SecretFormat, Unavailable, Unverified,
};
use crate::resolve::{Entry, Resolved, Resolver};
use http::{Extensions, HeaderMap, Request, Uri};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What the layer, its services and the handle share.
pub(crate) struct Gate {
    pub(super) groups: Groups,
    /// For each content group, in the groups' order, the entry for requests without a credential.
    pub(super) anonymous: Vec<Option<Arc<Entry>>>,
    pub(super) format: SecretFormat,
    pub(super) resolver: Arc<Resolver>,
    pub(super) opaque: bool,
    pub(super) unguarded: super::backstop::Unguarded,
}

/// What becomes of a request.
pub(super) enum Admission {
    /// It goes on as it is.
    Open,
    /// It goes on as this caller.
    Enter(Arc<Entry>, Door),
    /// The store has to be asked first.
    Ask(Wanted),
    /// It does not go on.
    Refuse(Refusal),
}

/// The group that a request goes through.
#[derive(Clone, Copy)]
pub(super) struct Door {
    kinds: KindSet,
}

impl Door {
    /// Whether its refusals are those of a permission policy.
    fn has_policies(self) -> bool {
        !self.kinds.contains(Kind::Content)
    }
}

/// A credential that is genuine as far as can be told, on its way to the store.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    kind: Option<Kind>,
    door: Door,
    peer: Option<IpAddr>,
}

impl Gate {
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Admission {
        let path = match path_as_sent(request.uri(), request.extensions()) {
            Ok(path) => path,
            Err(reason) => return Admission::Refuse(Refusal::new(reason, false, self.opaque)),
        };
        let index = match self.groups.classify(request.method(), path) {
            Ok(index) => index,
            Err(reason) => return Admission::Refuse(Refusal::new(reason, false, self.opaque)),
        };
        match &self.groups.get(index).access {
            Access::Public => Admission::Open,
            Access::Guarded { kinds, .. } => {
                let (door, anonymous) = (Door { kinds: *kinds }, self.anonymous[index].as_ref());
                self.identify(request.headers(), request.extensions(), door, anonymous)
                    .unwrap_or_else(|reason| Admission::Refuse(self.refuse(reason)))
            }
        }
    }

    fn identify(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        door: Door,
        anonymous: Option<&Arc<Entry>>,
    ) -> Result<Admission, Reason> {
        let secret = match presented(headers) {
            Presented::Secret(secret) => secret,
            Presented::Malformed => return Err(Reason::Invalid(Invalid::Malformed)),
            Presented::Nothing => {
                let public = anonymous.ok_or(Reason::NoCredential)?;
                return Ok(Admission::Enter(public.clone(), door));
            }
        };
        let Credential { digest, kind } = self.format.verify_bytes(secret, door.kinds).map_err(|why| {
            Reason::Invalid(match why {
                Unverified::Malformed => Invalid::Malformed,
                Unverified::WrongKind => Invalid::WrongKind,
                Unverified::NotGenuine => Invalid::NotGenuine,
            })
        })?;
        let now = self.resolver.clock.moment();
        let wanted = Wanted { digest, kind, door, peer: None };
        match self.resolver.known(&digest, now) {
            Some(resolved) => {
                let entry = judge(resolved, &wanted, now)?;
                self.resolver.note_use(&entry, now, || peer(extensions));
                Ok(Admission::Enter(entry, door))
            }
            None => Ok(Admission::Ask(Wanted { peer: peer(extensions), ..wanted })),
        }
    }

    /// The rest of the way, where the store has to be asked.
    pub(super) async fn ask(&self, wanted: Wanted) -> Result<(Arc<Entry>, Door), Refusal> {
        let answer = async {
            let resolved = self.resolver.clone().ask(wanted.digest).await.map_err(Reason::Unavailable)?;
            let now = self.resolver.clock.moment();
            let entry = judge(resolved, &wanted, now)?;
            self.resolver.note_use(&entry, now, || wanted.peer);
            Ok((entry, wanted.door))
        };
        answer.await.map_err(|reason| self.refuse(reason))
    }

    /// The refusal of a request to a protected group.
    pub(super) fn refuse(&self, reason: Reason) -> Refusal {
        match reason {
            Reason::Unavailable(Unavailable::Overloaded | Unavailable::Deadline | Unavailable::Stale) => {
                tracing::debug!(reason = reason.as_str(), "request refused");
            }
            _ => tracing::debug!(reason = reason.as_str(), "request refused"),
        }
        Refusal::new(reason, true, self.opaque)
    }

    /// The refusal of a response whose mark is not *passed*.
    pub(super) fn withhold(&self, reason: Reason, mark: &Held, door: Door) -> Refusal {
        let refusal = self.refuse(reason);
        let refusal = if door.has_policies() { refusal.by_policy() } else { refusal };
        match mark.missing() {
            Some(requirement) => refusal.missing(&requirement),
            None => refusal,
        }
    }

    /// The entry for nobody in a content group.
    pub(super) fn nobody(groups: &Groups, resolver: &Resolver) -> Vec<Option<Arc<Entry>>> {
        let entry = |access: &Access| match access {
            Access::Guarded { public_actions: Some(actions), .. } => {
                let principal = Principal::public(actions.as_slice().into());
                Some(Arc::new(Entry::public(principal, resolver.conditions().clone())))
            }
            _ => None,
        };
        groups.iter().map(|g| entry(&g.access)).collect()
    }
}

/// Kind of the record = kind of the prefix = kind of the group; then expiry, then owner. Freshness was seen to before.
fn judge(resolved: Resolved, wanted: &Wanted, now: Moment) -> Result<Arc<Entry>, Reason> {
    let Resolved::Found(entry) = resolved else { return Err(Reason::Invalid(Invalid::Unknown)) };
    let kind = entry.principal.kind();
    let fits =
        kind.is_some_and(|kind| wanted.door.kinds.contains(kind)) && (wanted.kind.is_none() || wanted.kind == kind);
    if !fits {
        return Err(Reason::Invalid(Invalid::WrongKind));
    }
    entry.judge(now)?;
    Ok(entry)
}

/// The path before nesting took its prefix away.
#[cfg(feature = "axum")]
fn path_as_sent<'a>(uri: &'a Uri, extensions: &'a Extensions) -> Result<&'a str, Reason> {
    use axum::extract::{NestedPath, OriginalUri};
    let Some(OriginalUri(original)) = extensions.get() else { return Ok(uri.path()) };
    let nested = extensions.get::<NestedPath>().map(|n| n.as_str().split('/').filter(|s| !s.is_empty()).count());
    path::original(original.path(), uri.path(), nested).map_err(Reason::AmbiguousPath)
}

#[cfg(not(feature = "axum"))]
fn path_as_sent<'a>(uri: &'a Uri, _: &'a Extensions) -> Result<&'a str, Reason> {
    Ok(uri.path())
}

/// The peer's address, where the server says it. No header is believed.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(address.ip());
    }
    extensions.get::<SocketAddr>().map(SocketAddr::ip)
}
