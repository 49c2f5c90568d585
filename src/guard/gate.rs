//! The gate: the configuration and state that the layer, its services and the handle share.

use super::address::Addresses;
use super::backstop::UnguardedLog;
use super::base::{self, Base};
use super::budget::{Budget, FailureBudget};
#[cfg(feature = "api")]
use super::credential_headers::CredentialHeaders;
#[cfg(feature = "axum")]
use super::declared::{DeclaredRoute, RouteMistakes};
use super::groups::{Group, Groups, InvalidGroups};
#[cfg(feature = "axum")]
use super::kept_routes::KeptRoutes;
use super::page::PageContext;
use super::signed_in::SignedIn;
use super::style::RejectionStyle;
#[cfg(feature = "axum")]
use crate::domain::Catalogue;
use crate::domain::{Principal, SecretFormat};
use crate::resolve::{Entry, Resolver};
use http::{Extensions, HeaderMap, Request};
use std::sync::Arc;

/// The state that the layer, its services and the handle share.
pub(crate) struct Gate {
    pub(super) groups: Groups,
    pub(super) format: SecretFormat,
    pub(super) resolver: Arc<Resolver>,
    /// Whether a rejection hides that a genuine token has expired or that its owner is deactivated.
    pub(super) opaque: bool,
    pub(super) addresses: Addresses,
    pub(super) budget: Option<Arc<Budget>>,
    pub(super) base: Base,
    pub(super) unguarded: UnguardedLog,
    /// The style of rejections outside the groups, and the headers that hold credentials.
    pub(super) style: Arc<RejectionStyle>,
    /// Which account of the host a request is made by.
    pub(super) signed_in: Option<SignedIn>,
    /// The routes behind the gate, for explanations.
    #[cfg(feature = "axum")]
    pub(super) routes: KeptRoutes,
}

/// The settings of a gate.
pub(crate) struct GateSettings {
    pub(crate) groups: Vec<Group>,
    pub(crate) opaque: bool,
    pub(crate) addresses: Addresses,
    pub(crate) budget: Option<FailureBudget>,
    pub(crate) base: Base,
    pub(crate) style: RejectionStyle,
    pub(crate) signed_in: Option<SignedIn>,
}

impl Gate {
    pub(crate) fn new(
        settings: GateSettings,
        format: SecretFormat,
        resolver: Arc<Resolver>,
    ) -> Result<Self, InvalidGroups> {
        let GateSettings { groups, opaque, addresses, budget, base, style, signed_in } = settings;
        let style = Arc::new(style);
        let groups = prepare(groups, &base, &style, &resolver)?;
        let (budget, unguarded) = (budget.map(Budget::new).map(Arc::new), UnguardedLog::default());
        Ok(Self {
            groups,
            format,
            resolver,
            opaque,
            addresses,
            budget,
            base,
            unguarded,
            style,
            signed_in,
            #[cfg(feature = "axum")]
            routes: KeptRoutes::default(),
        })
    }

    /// Creates a gate with one group, for requests that a proxy reports. It shares keys, cache, failure budget and style
    /// with this one. It strips no base path, and no account counts as signed in by the host.
    #[cfg(feature = "forward-auth")]
    pub(crate) fn of_group(&self, group: Group, addresses: Addresses) -> Result<Self, InvalidGroups> {
        let (base, style) = (Base::default(), self.style.clone());
        let groups = prepare(vec![group], &base, &style, &self.resolver)?;
        let (format, resolver, budget) = (self.format.clone(), self.resolver.clone(), self.budget.clone());
        let (opaque, unguarded) = (self.opaque, UnguardedLog::default());
        let (signed_in, routes) = (None, KeptRoutes::default());
        Ok(Self { groups, format, resolver, opaque, addresses, budget, base, unguarded, style, signed_in, routes })
    }

    #[cfg(feature = "axum")]
    pub(crate) fn mistakes(&self, routes: &[DeclaredRoute], catalogue: Option<&Catalogue>) -> RouteMistakes {
        RouteMistakes::find(routes, &self.groups, catalogue)
    }

    /// Keeps the routes of a guarded router, for explanations.
    #[cfg(feature = "axum")]
    pub(crate) fn keep_routes(&self, routes: &[DeclaredRoute]) {
        self.routes.keep(routes);
    }

    /// Notes that the gate guards a service whose routes it does not know.
    pub(crate) fn note_other_service(&self) {
        #[cfg(feature = "axum")]
        self.routes.note_other();
    }

    pub(crate) fn format(&self) -> &SecretFormat {
        &self.format
    }

    #[cfg(feature = "api")]
    pub(crate) fn credential_headers(&self) -> &CredentialHeaders {
        &self.style.headers
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    #[cfg(feature = "ui")]
    pub(crate) fn content_path(&self) -> Option<&str> {
        self.groups.iter().find_map(Group::content_path)
    }

    /// Returns the configured base path.
    #[cfg(feature = "axum")]
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Returns the base path under which the browser that sent this request sees the installation.
    pub(crate) fn base_of(&self, headers: &HeaderMap, extensions: &Extensions) -> Base {
        base::of_request(&self.base, &self.addresses, headers, extensions)
    }

    pub(crate) fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    /// Returns the style of rejections at the path of this request.
    #[cfg(feature = "axum")]
    pub(super) fn style_at<B>(&self, request: &Request<B>) -> Arc<RejectionStyle> {
        self.apparent_group(request.method(), request.uri(), request.extensions())
            .map_or(&self.style, |group| &group.style)
            .clone()
    }

    /// Gives handlers of a page group its start path, and returns the base path that the browser sees.
    #[inline]
    pub(super) fn insert_page_context<B>(&self, group: &Group, request: &mut Request<B>) -> Option<Base> {
        group.start.as_ref().map(|start| self.insert_start(start, request))
    }

    #[inline(never)]
    fn insert_start<B>(&self, start: &Arc<str>, request: &mut Request<B>) -> Base {
        let base = self.base_of(request.headers(), request.extensions());
        request.extensions_mut().insert(PageContext { start: base.outward(start), base: base.clone() });
        base
    }
}

/// Checks the groups, and gives them what they need of the gate.
fn prepare(
    groups: Vec<Group>,
    base: &Base,
    style: &Arc<RejectionStyle>,
    resolver: &Resolver,
) -> Result<Groups, InvalidGroups> {
    let mut groups = Groups::new(groups, base)?;
    groups.resolve_public(|actions| {
        Arc::new(Entry::public(Principal::public(actions.into()), resolver.conditions().clone()))
    });
    groups.set_style(style);
    Ok(groups)
}
