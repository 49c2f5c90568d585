//! The gate: what stands between a request and the routes behind it.

mod address;
mod admit;
mod backstop;
mod base;
mod bearer;
mod body;
mod budget;
#[cfg(feature = "axum")]
mod caller;
mod context;
mod cookie;
#[cfg(any(feature = "api", feature = "ui"))]
mod device;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod groups;
mod mark;
mod origin;
mod page;
mod path;
#[cfg(any(feature = "api", feature = "ui"))]
mod receive;
mod rejection;
mod require;
#[cfg(feature = "axum")]
mod router;
mod service;

pub use address::{InvalidProxy, ProxyHeader};
pub use body::{BodyGuard, GuardableBody, GuardedBody, NoLongerValid};
pub use budget::FailureBudget;
pub use context::{AuthContext, Forbidden};
pub use cookie::SessionCookie;
#[cfg(feature = "axum")]
pub use extract::{AdminAuth, Auth, ContentAuth, NoPrincipal};
pub use future::GateFuture;
pub use groups::{Group, InvalidGroups};
pub use rejection::{GrpcRejection, JsonRejection, MakeRejection, Rejection, RejectionContext};
pub use require::{Require, RequireFuture, RequireService};
#[cfg(feature = "axum")]
pub use router::GuardedRouter;
pub use service::{GateLayer, GateService};

pub use crate::domain::{Ambiguity, Authority, InvalidCredential, Principal, Reason, Unavailable};
pub use crate::keyward::Guard;
pub use crate::resolve::Limits;

pub(crate) use address::Addresses;
pub(crate) use admit::Gate;
#[cfg(feature = "ui")]
pub(crate) use admit::SessionCheck;
pub(crate) use base::Base;
#[cfg(feature = "axum")]
#[cfg_attr(
    not(any(feature = "api", feature = "ui")),
    allow(unused_imports, reason = "for the rooms that answer HTTP")
)]
pub(crate) use caller::Caller;
#[cfg(any(feature = "api", feature = "ui"))]
pub(crate) use receive::{BodyError, BodyReader, DEADLINE as BODY_DEADLINE};

use crate::domain::SecretFormat;
use crate::resolve::Resolver;
use std::sync::Arc;

impl Gate {
    pub(crate) fn new(
        groups: Vec<Group>,
        format: SecretFormat,
        resolver: Arc<Resolver>,
        opaque: bool,
        addresses: Addresses,
        budget: Option<FailureBudget>,
        base: Base,
    ) -> Result<Self, InvalidGroups> {
        let groups = groups::Groups::new(groups, &base)?;
        let anonymous = Self::nobody(&groups, &resolver);
        let (budget, unguarded) = (budget.map(budget::Budget::new), backstop::Unguarded::default());
        Ok(Self { groups, anonymous, format, resolver, opaque, addresses, budget, base, unguarded })
    }

    pub(crate) fn format(&self) -> &SecretFormat {
        &self.format
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    #[cfg(feature = "ui")]
    pub(crate) fn content_path(&self) -> Option<&str> {
        self.groups.iter().find_map(groups::Group::content_path)
    }

    /// The configured base path.
    #[cfg(feature = "axum")]
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Where the browser that sent this request sees our addresses.
    pub(crate) fn base_of(&self, headers: &http::HeaderMap, extensions: &http::Extensions) -> Base {
        base::of_request(&self.base, &self.addresses, headers, extensions)
    }

    pub(crate) fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }
}
