//! The request's way up to the handler: path, group, credential, offline check, look-up, judgement.

use super::address::Addresses;
use super::base::Base;
#[cfg(feature = "ui")]
use super::bearer::in_cookie;
use super::bearer::{Presented, any_is_ours, is_well_formed, presented};
use super::budget::Budget;
use super::groups::{Access, Group, Groups};
use super::mark::GuardHandle;
use super::origin::{hosts_differ, is_safe, is_same_origin};
use super::page::ForPeople;
use super::rejection::Rejection;
use crate::domain::{
    Digest, InvalidCredential, MonotonicTime, Principal, Reason, SecretFormat, TokenKind, TokenKinds, VerifiedSecret,
    VerifyError,
};
use crate::resolve::{Entry, Lane, Resolved, Resolver};
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, Method, Request, Uri};
use std::net::IpAddr;
use std::sync::Arc;

/// What the layer, its services and the handle share.
pub(crate) struct Gate {
    pub(super) groups: Groups,
    /// For each content group, in the groups' order, the entry for requests without a credential.
    pub(super) anonymous: Vec<Option<Arc<Entry>>>,
    pub(super) format: SecretFormat,
    pub(super) resolver: Arc<Resolver>,
    pub(super) opaque: bool,
    pub(super) addresses: Addresses,
    pub(super) budget: Option<Budget>,
    pub(super) base: Base,
    pub(super) unguarded: super::backstop::Unguarded,
}

/// What becomes of a request.
pub(super) enum Admission {
    /// It goes on as it is, through this group.
    Open(usize),
    /// It goes on as this caller.
    Enter(Arc<Entry>, Door),
    /// The store has to be asked first.
    Ask(Box<Wanted>),
}

/// Why a request does not go on. It is made into a [`Rejection`] where that is not on the way of those who do.
#[derive(Clone, Copy)]
pub(super) enum Turned {
    /// Its path is ambiguous, or in no group.
    Lost(Reason),
    /// It changes something in this group, without a proof of same origin.
    Foreign(usize),
    /// It came to a protected group without what opens it.
    Away(Reason, Door),
}

/// The group that a request goes through.
#[derive(Clone, Copy)]
pub(super) struct Door {
    kinds: TokenKinds,
    group: usize,
}

impl Door {
    pub(super) fn group(self) -> usize {
        self.group
    }

    /// Whether its refusals are those of a permission policy.
    fn has_policies(self) -> bool {
        !self.kinds.contains(TokenKind::Content)
    }
}

/// A credential that is genuine as far as can be told, on its way to the store.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The digest to look up, or why the credential is rejected if the keys fit.
    digest: Result<Digest, InvalidCredential>,
    kind: Option<TokenKind>,
    pub(super) door: Door,
    address: Option<IpAddr>,
}

impl Gate {
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<Admission, Turned> {
        let path = self.base.inward(path_as_sent(request.uri(), request.extensions()).map_err(Turned::Lost)?);
        let index = self.groups.classify(request.method(), path).map_err(Turned::Lost)?;
        let group = self.groups.get(index);
        if group.same_origin && !is_safe(request.method()) && !self.proves_itself(request, group) {
            return Err(Turned::Foreign(index));
        }
        match &group.access {
            Access::Public => Ok(Admission::Open(index)),
            Access::Guarded { kinds, .. } => {
                let door = Door { kinds: *kinds, group: index };
                let identified = self.identify(request.headers(), request.extensions(), door);
                identified.map_err(|reason| Turned::Away(reason, door))
            }
        }
    }

    /// The refusal of a request that is not admitted.
    #[cold]
    pub(super) fn turn<B>(&self, turned: Turned, request: &Request<B>) -> Rejection {
        match turned {
            // Only how it looks depends on where it seems to belong.
            Turned::Lost(reason) => {
                let path = self.base.inward(uri_as_sent(request.uri(), request.extensions()).path());
                let start = self.groups.start_at(request.method(), path);
                let rejection = Rejection::new(reason, false, self.opaque).for_people(self.start(start, request));
                rejection.or_see(|| self.without_slash(request))
            }
            Turned::Foreign(group) => {
                let group = self.groups.get(group);
                let rejection = Rejection::new(Reason::CrossOrigin, group.is_protected(), self.opaque);
                let rejection = rejection.for_people(self.start(group.start.as_ref(), request));
                if hosts_differ(request.headers(), request.uri()) { rejection.by_another_host() } else { rejection }
            }
            Turned::Away(reason, door) => self.refuse(reason, door, request),
        }
    }

    /// Where the way back leads, as the browser sees it.
    fn start<B>(&self, start: Option<&Arc<str>>, request: &Request<B>) -> Option<Arc<str>> {
        start.map(|start| self.base_of(request.headers(), request.extensions()).outward(start))
    }

    /// The address of the page that this would be without the slash at its end.
    fn without_slash<B>(&self, request: &Request<B>) -> Option<String> {
        // Nearly no request has one: what a flood of refusals costs is counted in nanoseconds.
        if !request.uri().path().ends_with('/') {
            return None;
        }
        let sent = uri_as_sent(request.uri(), request.extensions());
        let path = self.base.inward(sent.path());
        let shorter = path.strip_suffix('/').filter(|shorter| !shorter.is_empty())?;
        let method = request.method();
        let group = matches!(*method, Method::GET | Method::HEAD).then(|| self.groups.classify(method, shorter));
        self.groups.get(group?.ok()?).start.as_ref()?;
        let base = self.base_of(request.headers(), request.extensions());
        let query = sent.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}{shorter}{query}", base.as_str()))
    }

    /// Tells what answers behind the gate that people see it, and answers under which base path they do, if they do.
    pub(super) fn mark_for_people<B>(&self, group: usize, request: &mut Request<B>) -> Option<Base> {
        let start = self.groups.get(group).start.as_ref()?;
        let base = self.base_of(request.headers(), request.extensions());
        request.extensions_mut().insert(ForPeople { start: base.outward(start), base: base.clone() });
        Some(base)
    }

    fn identify(&self, headers: &HeaderMap, extensions: &Extensions, door: Door) -> Result<Admission, Reason> {
        let secret = match self.presented(headers, door) {
            Presented::Secret(secret) => secret,
            Presented::Malformed => return Err(Reason::Invalid(InvalidCredential::Malformed)),
            Presented::Nothing => {
                let public = self.anonymous[door.group].as_ref().ok_or(Reason::NoCredential)?;
                return Ok(Admission::Enter(public.clone(), door));
            }
        };
        // Before the long chain of the HMAC: reading the clock waits for everything that was begun.
        let now = self.resolver.clock.moment();
        let VerifiedSecret { digest, kind } = match self.format.verify_bytes(secret, door.kinds) {
            Ok(credential) => credential,
            Err(why) => return self.invalid(why, headers, extensions, door),
        };
        match self.resolver.known(&digest, now) {
            Some(resolved) => {
                let entry = judge(resolved, kind, door, now)?;
                self.resolver.note_use(&entry, now, || self.addresses.of(headers, extensions));
                Ok(Admission::Enter(entry, door))
            }
            None => {
                let address = self.addresses.of(headers, extensions);
                Ok(Admission::Ask(Box::new(Wanted { digest: Ok(digest), kind, door, address })))
            }
        }
    }

    /// Refuses a credential that cannot be valid: at once, if the keys are known to be the right ones.
    fn invalid(
        &self,
        why: VerifyError,
        headers: &HeaderMap,
        extensions: &Extensions,
        door: Door,
    ) -> Result<Admission, Reason> {
        let invalid = match why {
            VerifyError::Malformed => InvalidCredential::Malformed,
            VerifyError::WrongKind => InvalidCredential::WrongKind,
            VerifyError::NotGenuine => InvalidCredential::NotGenuine,
        };
        if self.resolver.knows_keys() {
            return Err(Reason::Invalid(invalid));
        }
        let address = self.addresses.of(headers, extensions);
        Ok(Admission::Ask(Box::new(Wanted { digest: Err(invalid), kind: None, door, address })))
    }

    /// The secret of a request: in its header, or where there is none of ours and the group has pages, in its cookie.
    fn presented<'a>(&self, headers: &'a HeaderMap, door: Door) -> Presented<'a> {
        match &self.groups.get(door.group).pages {
            Some(pages) if !self.names_us(headers) => pages.presented(headers),
            _ => presented(headers),
        }
    }

    /// Whether a credential of ours is in an `Authorization` header: then no cookie counts.
    fn names_us(&self, headers: &HeaderMap) -> bool {
        any_is_ours(headers, |secret| self.format.is_ours(secret))
    }

    /// A page has to prove whose it is. Where a group is protected, a request that is judged by its `Authorization` header alone needs
    /// no proof: browsers send none of ours by themselves. Where a cookie may count, only a header of ours excludes that it does.
    fn proves_itself<B>(&self, request: &Request<B>, group: &Group) -> bool {
        let headers = request.headers();
        let judged_by_header = match &group.pages {
            Some(_) => self.names_us(headers),
            None => group.is_protected() && headers.contains_key(AUTHORIZATION),
        };
        judged_by_header || is_same_origin(headers, request.uri())
    }

    /// Whether this request has a valid session in the first of these cookies that there is. It is not noted as a use.
    #[cfg(feature = "ui")]
    pub(crate) async fn has_session(
        &self,
        cookies: &[&str],
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> SessionCheck {
        if self.names_us(headers) {
            return SessionCheck::Overridden;
        }
        let presented = cookies.iter().map(|name| in_cookie(headers, name)).find(|found| *found != Presented::Nothing);
        let secret = match presented {
            Some(Presented::Secret(secret)) => secret,
            Some(Presented::Malformed) => return SessionCheck::Invalid,
            Some(Presented::Nothing) | None => return SessionCheck::NoCookie,
        };
        let now = self.resolver.clock.moment();
        let Ok(VerifiedSecret { digest, kind }) = self.format.verify_bytes(secret, TokenKinds::SESSION) else {
            return SessionCheck::Invalid;
        };
        // Groups are not asked: whichever has pages, sessions open it.
        let door = Door { kinds: TokenKinds::SESSION, group: 0 };
        let judged = match self.resolver.known(&digest, now) {
            Some(resolved) => judge(resolved, kind, door, now),
            None => {
                let address = self.addresses.of(headers, extensions);
                self.look_up(Wanted { digest: Ok(digest), kind, door, address }).await
            }
        };
        match judged {
            Ok(_) => SessionCheck::Valid,
            Err(Reason::Unavailable(_)) => SessionCheck::Unknown,
            Err(_) => SessionCheck::Invalid,
        }
    }

    /// The rest of the way, where the store has to be asked.
    pub(super) async fn ask(&self, wanted: Wanted) -> Result<Arc<Entry>, Reason> {
        let entry = self.look_up(wanted).await?;
        self.resolver.note_use(&entry, self.resolver.clock.moment(), || wanted.address);
        Ok(entry)
    }

    async fn look_up(&self, wanted: Wanted) -> Result<Arc<Entry>, Reason> {
        let digest = match wanted.digest {
            Ok(digest) => digest,
            Err(invalid) => {
                self.resolver.fitting_keys().await.map_err(Reason::Unavailable)?;
                return Err(Reason::Invalid(invalid));
            }
        };
        let budget = self.budget.as_ref().zip(wanted.address);
        let lane = budget.map_or(Lane::Unknown, |(budget, address)| budget.lane(address, self.resolver.clock.moment()));
        let resolved = self.resolver.clone().ask(digest, lane).await.map_err(Reason::Unavailable)?;
        let now = self.resolver.clock.moment();
        if let (Resolved::Absent { read: true }, Some((budget, address))) = (&resolved, budget) {
            budget.count(address, now);
        }
        judge(resolved, wanted.kind, wanted.door, now)
    }

    /// The refusal of a request to a protected group.
    pub(super) fn refuse<B>(&self, reason: Reason, door: Door, request: &Request<B>) -> Rejection {
        tracing::debug!(reason = reason.as_str(), "request refused");
        let rejection = self.within_budget(Rejection::new(reason, true, self.opaque), request);
        let wrong_form = reason == Reason::Invalid(InvalidCredential::Malformed) && !is_well_formed(request.headers());
        let rejection = if wrong_form { rejection.of_wrong_form() } else { rejection };
        let group = self.groups.get(door.group);
        let rejection = rejection.for_people(self.start(group.start.as_ref(), request));
        match &group.pages {
            Some(pages) if is_safe(request.method()) => {
                rejection.or_see(|| Some(self.sign_in(&pages.sign_in, request)))
            }
            Some(pages) => {
                let base = || self.base_of(request.headers(), request.extensions());
                rejection.or_sign_in_again(|| base().outward(&pages.sign_in))
            }
            // A page beside, perhaps, of which only the spelling was another.
            None => rejection.or_see(|| self.without_slash(request)),
        }
    }

    /// Where to sign in, and where to come back to from there.
    fn sign_in<B>(&self, page: &str, request: &Request<B>) -> String {
        let base = self.base_of(request.headers(), request.extensions());
        let page = format!("{}{page}", base.as_str());
        if *request.method() != Method::GET {
            return page;
        }
        let here = uri_as_sent(request.uri(), request.extensions());
        let query = here.query().map(|query| format!("?{query}")).unwrap_or_default();
        let here = format!("{}{}{query}", base.as_str(), self.base.inward(here.path()));
        let mut location = page + "?redirectTo=";
        for b in here.bytes() {
            match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    location.push(char::from(b))
                }
                _ => location.push_str(&format!("%{b:02X}")),
            }
        }
        location
    }

    /// An invalid credential from an address over its budget is answered otherwise, whatever is wrong with it.
    fn within_budget<B>(&self, rejection: Rejection, request: &Request<B>) -> Rejection {
        let Some(budget) = self.budget.as_ref().filter(|_| rejection.is_of_credential()) else { return rejection };
        let address = self.addresses.of(request.headers(), request.extensions());
        match address.and_then(|address| budget.spent(address, self.resolver.clock.moment())) {
            Some(wait) => rejection.over_budget(wait),
            None => rejection,
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
        groups.iter().map(|g: &Group| entry(&g.access)).collect()
    }
}

/// The refusal of a response whose mark is not *passed*. Without the gate, it is not known whether people see it.
pub(super) fn withheld(gate: Option<&Gate>, reason: Reason, mark: &GuardHandle, door: Door) -> Rejection {
    tracing::debug!(reason = reason.as_str(), "response withheld");
    let rejection = Rejection::new(reason, true, gate.is_none_or(|gate| gate.opaque));
    let group = gate.map(|gate| gate.groups.get(door.group));
    let start = group.and_then(|group| group.start.as_ref());
    let rejection = rejection.for_people(start.map(|start| mark.base().outward(start)));
    if !matches!(reason, Reason::Forbidden | Reason::Unguarded) {
        // The credential was lost on the way. Where there are pages, people sign in again.
        let Some(pages) = group.and_then(|group| group.pages.as_ref()) else { return rejection };
        let sign_in = || mark.base().outward(&pages.sign_in);
        return match mark.place() {
            Some((method, _)) if !is_safe(method) => rejection.or_sign_in_again(sign_in),
            _ => rejection.or_see(|| Some(sign_in().to_string())),
        };
    }
    let rejection = if door.has_policies() { rejection.by_policy() } else { rejection };
    match mark.missing() {
        Some(requirement) => rejection.missing(&requirement),
        None => rejection,
    }
}

/// Kind of the record = kind of the prefix = kind of the group; then expiry, then owner. Freshness was seen to before.
fn judge(resolved: Resolved, named: Option<TokenKind>, door: Door, now: MonotonicTime) -> Result<Arc<Entry>, Reason> {
    let Resolved::Found(entry) = resolved else { return Err(Reason::Invalid(InvalidCredential::Unknown)) };
    let kind = entry.principal.kind();
    let fits = kind.is_some_and(|kind| door.kinds.contains(kind)) && (named.is_none() || named == kind);
    if !fits {
        return Err(Reason::Invalid(InvalidCredential::WrongKind));
    }
    entry.judge(now)?;
    Ok(entry)
}

/// What became of the session in a cookie.
#[cfg(feature = "ui")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SessionCheck {
    Valid,
    /// It has ended, or is none.
    Invalid,
    NoCookie,
    /// A credential of this installation in `Authorization` counts instead.
    Overridden,
    /// The store could not be asked.
    Unknown,
}

/// The path before nesting took its prefix away.
#[cfg(feature = "axum")]
fn path_as_sent<'a>(uri: &'a Uri, extensions: &'a Extensions) -> Result<&'a str, Reason> {
    use axum::extract::{NestedPath, OriginalUri};
    let Some(original) = extensions.get::<OriginalUri>().map(|original| &original.0) else { return Ok(uri.path()) };
    let nested = extensions.get::<NestedPath>().map(|n| n.as_str().split('/').filter(|s| !s.is_empty()).count());
    super::path::original(original.path(), uri.path(), nested).map_err(Reason::AmbiguousPath)
}

#[cfg(feature = "axum")]
fn uri_as_sent<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    extensions.get::<axum::extract::OriginalUri>().map_or(uri, |original| &original.0)
}

#[cfg(not(feature = "axum"))]
fn uri_as_sent<'a>(uri: &'a Uri, _: &'a Extensions) -> &'a Uri {
    uri
}

#[cfg(not(feature = "axum"))]
fn path_as_sent<'a>(uri: &'a Uri, _: &'a Extensions) -> Result<&'a str, Reason> {
    Ok(uri.path())
}
