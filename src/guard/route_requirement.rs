//! The requirement of a route, prepared when the route is built.

use super::context::AuthContext;
use super::mark::Mark;
use crate::domain::{LogLimit, Requirement, Verdict, all_of};
use crate::resolve::Entry;
use http::{Extensions, Request, StatusCode};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// How many requirements have a number. A mark and a principal have a bit or two for each.
const NUMBERED: usize = 32;

/// The first different requirements of the process. A principal remembers its verdict on each of them.
static REQUIREMENTS: [OnceLock<Numbered>; NUMBERED] = [const { OnceLock::new() }; NUMBERED];

/// A requirement with its place among the first of the process.
pub(super) struct Numbered {
    pub(super) number: usize,
    pub(super) requirement: Requirement,
}

/// A requirement without open parameters, which costs nothing to clone.
#[derive(Clone)]
pub(super) enum Prepared {
    /// One of the first of the process.
    Numbered(&'static Numbered),
    Shared(Arc<Requirement>),
}

impl Prepared {
    pub(super) fn new(requirement: Requirement) -> Self {
        // A requirement takes the first place that is free, or has it already.
        let numbered = |number| Numbered { number, requirement: requirement.clone() };
        let mut places = REQUIREMENTS.iter().enumerate().map(|(i, place)| place.get_or_init(|| numbered(i)));
        match places.find(|kept| kept.requirement == requirement) {
            Some(kept) => Self::Numbered(kept),
            None => Self::Shared(Arc::new(requirement)),
        }
    }

    /// Returns the requirements with these numbers, a bit each.
    pub(super) fn of_numbers(bits: u32) -> impl Iterator<Item = &'static Requirement> {
        let kept = REQUIREMENTS.iter().filter_map(OnceLock::get).filter(move |kept| bits >> kept.number & 1 == 1);
        kept.map(|kept| &kept.requirement)
    }

    /// Returns the requirement to meet both.
    #[inline(never)]
    pub(super) fn and(&self, other: &Self) -> Self {
        Self::Shared(Arc::new(all_of([Requirement::clone(self), Requirement::clone(other)])))
    }
}

impl Mark {
    /// Returns the requirements so far.
    pub(super) fn requirements(&self) -> Vec<Requirement> {
        let others = self.others();
        let others = others.iter().map(|requirement| (**requirement).clone());
        Prepared::of_numbers(self.numbered()).cloned().chain(others).collect()
    }
}

impl Deref for Prepared {
    type Target = Requirement;

    fn deref(&self) -> &Requirement {
        match self {
            Self::Numbered(kept) => &kept.requirement,
            Self::Shared(requirement) => requirement,
        }
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Entry {
    /// Returns the principal's verdict, which is remembered if the requirement has a number.
    #[inline]
    pub(super) fn verdict_on(&self, requirement: &Prepared) -> Verdict {
        match requirement {
            Prepared::Numbered(kept) => self.verdict(kept.number, &kept.requirement),
            Prepared::Shared(requirement) => self.principal.verdict(requirement),
        }
    }
}

/// The requirement of a route.
#[derive(Clone, Debug)]
pub(super) enum RouteRequirement {
    /// A requirement without parameters.
    Fixed(Prepared),
    /// A requirement that path parameters complete.
    WithParams(Arc<Requirement>),
    /// No caller: the group has to be public.
    #[cfg(feature = "axum")]
    Public,
}

impl RouteRequirement {
    pub(super) fn new(requirement: Requirement) -> Self {
        match requirement.has_params() {
            true => Self::WithParams(Arc::new(requirement)),
            false => Self::Fixed(Prepared::new(requirement)),
        }
    }

    /// Checks whether the request may go on. The error is the status of a response that the gate replaces.
    #[inline]
    pub(super) fn check<B>(&self, request: &mut Request<B>) -> Result<(), StatusCode> {
        self.check_caller(request.extensions_mut())
    }

    /// Checks the caller in these extensions. One function for all bodies, so that its parts are inlined into it.
    fn check_caller(&self, extensions: &mut Extensions) -> Result<(), StatusCode> {
        match self {
            Self::Fixed(requirement) => judge(requirement, extensions),
            Self::WithParams(requirement) => judge_completed(requirement, extensions),
            #[cfg(feature = "axum")]
            Self::Public => reject_callers(extensions),
        }
    }
}

#[inline]
fn judge(requirement: &Prepared, extensions: &mut Extensions) -> Result<(), StatusCode> {
    let Some(auth) = extensions.get_mut::<AuthContext>() else { return Err(without_gate()) };
    if auth.check(requirement) { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
}

#[inline(never)]
fn judge_completed(requirement: &Requirement, extensions: &mut Extensions) -> Result<(), StatusCode> {
    judge(&Prepared::Shared(Arc::new(with_params(requirement, extensions))), extensions)
}

/// Lets requests without a caller pass: their group is public.
#[cfg(feature = "axum")]
#[inline(never)]
fn reject_callers(extensions: &Extensions) -> Result<(), StatusCode> {
    match extensions.get::<AuthContext>() {
        None => Ok(()),
        Some(_) => Err(StatusCode::FORBIDDEN),
    }
}

#[cold]
fn without_gate() -> StatusCode {
    static LINES: LogLimit = LogLimit::new();
    if let Some(count) = LINES.count_now() {
        tracing::error!(count, "a route has a requirement, but no keyward layer around it: wrap the router");
    }
    StatusCode::INTERNAL_SERVER_ERROR
}

#[cfg(feature = "axum")]
#[inline(never)]
pub(super) fn with_params(requirement: &Requirement, extensions: &mut Extensions) -> Requirement {
    use axum::extract::{FromRequestParts, RawPathParams};
    use futures_util::FutureExt;
    let (mut parts, ()) = Request::new(()).into_parts();
    std::mem::swap(&mut parts.extensions, extensions);
    // The extractor of path parameters never waits.
    let params = RawPathParams::from_request_parts(&mut parts, &()).now_or_never();
    std::mem::swap(&mut parts.extensions, extensions);
    let parameter = |name: &str| {
        let params = params.as_ref()?.as_ref().ok()?;
        // Nested routers keep two parameters of one name, and a handler may read the other one.
        let mut values = params.iter().filter(|(n, _)| *n == name);
        let (_, value) = values.next()?;
        values.next().is_none().then(|| value.to_owned())
    };
    requirement.resolve(&parameter)
}

/// Without a router there are no path parameters, and the requirement is not met.
#[cfg(not(feature = "axum"))]
fn with_params(requirement: &Requirement, _: &mut Extensions) -> Requirement {
    requirement.clone()
}
