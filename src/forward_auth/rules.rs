//! Rules: which token kinds open which requests, and what these require.

use super::form::Form;
use super::identity::{Identity, IdentityHeaders};
use crate::domain::{Action, Requirement};
use crate::guard::{Group, ProxyHeader};
use http::Method;
use std::fmt;

/// The rules of a [`router`](super::router()), the proxy that asks, and the headers of the answer.
///
/// The kind of proxy decides which headers report the original request. Those of other proxies are ignored. A question without
/// one of the headers, or with one of them twice, is rejected.
///
/// Of the rules that cover a request, the most specific host is selected first, then the longest path, then the method. If none
/// of them names the method, the request is rejected: a shorter path or a less specific host is not tried.
#[derive(Clone, Debug)]
#[must_use]
pub struct Rules {
    pub(super) form: Form,
    pub(super) rules: Vec<Rule>,
    pub(super) proxies: Option<(Vec<String>, ProxyHeader)>,
    pub(super) headers: IdentityHeaders,
}

impl Rules {
    fn new(form: Form) -> Self {
        Self { form, rules: Vec::new(), proxies: None, headers: IdentityHeaders::default() }
    }

    /// Reads the original request as nginx reports it with `auth_request`: `X-Original-Method: $request_method`,
    /// `X-Original-URI: $request_uri` and `Host: $host`.
    ///
    /// nginx understands 2xx, 401 and 403. So 400, 404 and 429 become 403. A failure of keyward stays 503, which nginx makes
    /// 500: the request does not pass.
    pub fn nginx() -> Self {
        Self::new(Form::Nginx)
    }

    /// Reads the original request as ingress-nginx reports it: `X-Original-Method`, and the address in `X-Original-URL`.
    /// Answers as for [`nginx`](Self::nginx).
    ///
    /// Its rules are for every host. ingress-nginx reports the `Host` header of the client, and may have selected the server by
    /// another host. Use a router for each host, with an `auth-url` of its own.
    pub fn ingress_nginx() -> Self {
        Self::new(Form::IngressNginx)
    }

    /// Reads the original request as Traefik's `ForwardAuth` reports it: `X-Forwarded-Method`, `X-Forwarded-Proto`,
    /// `X-Forwarded-Host` and `X-Forwarded-Uri`.
    pub fn traefik() -> Self {
        Self::new(Form::Traefik)
    }

    /// Reads the original request as Caddy's `forward_auth` reports it: in the headers of [`traefik`](Self::traefik).
    pub fn caddy() -> Self {
        Self::new(Form::Caddy)
    }

    /// Reads the original request as the Lua action of `examples/forward_auth` reports it to keyward for HAProxy:
    /// `X-Forwarded-Method`, `X-Forwarded-Host` and `X-Forwarded-Uri`.
    pub fn haproxy() -> Self {
        Self::new(Form::Haproxy)
    }

    /// Reads the original request as Envoy's `ext_authz` filter reports it over HTTP: the question has the method, the host
    /// and the path of the original request, the path after the filter's `path_prefix`.
    ///
    /// Below a router that nests this one, the prefix is the whole path: `/envoy` for `nest_service("/envoy", ..)`.
    pub fn envoy(path_prefix: impl Into<String>) -> Self {
        Self::new(Form::Envoy(path_prefix.into()))
    }

    /// Adds a rule.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Trusts these proxies (addresses or networks) instead of those of the
    /// [installation](crate::Builder::trusted_proxies). They report the client's address in this header.
    pub fn trusted_proxies<P: Into<String>>(
        mut self,
        proxies: impl IntoIterator<Item = P>,
        header: ProxyHeader,
    ) -> Self {
        self.proxies = Some((proxies.into_iter().map(Into::into).collect(), header));
        self
    }

    /// Sets the name of a header of the answer, instead of the [default](Identity).
    ///
    /// ```
    /// use keyward::forward_auth::{Identity, Rules};
    /// let rules = Rules::nginx().identity_header(Identity::Account, "X-Webauth-User");
    /// ```
    pub fn identity_header(mut self, identity: Identity, name: impl Into<String>) -> Self {
        self.headers.set(identity, name.into());
        self
    }
}

/// A rule: paths, hosts and methods, the token kinds that open them, and the requirement.
///
/// A rule covers a path and everything below it, by whole segments: `/orders` covers `/orders` and `/orders/7`, not
/// `/orders2`. [`exact`](Self::exact) limits it to the path itself.
///
/// The program behind the proxy may decode a path, ignore case, or drop path parameters (`;v=1`) and a last slash. A path
/// for which one of these readings selects another rule is rejected.
#[derive(Clone, Debug)]
#[must_use]
pub struct Rule {
    pub(super) path: String,
    pub(super) exact: bool,
    pub(super) host: Option<String>,
    pub(super) methods: Option<Vec<Method>>,
    pub(super) kinds: Kinds,
    /// `None` in a public rule.
    pub(super) requirement: Option<Requirement>,
    pub(super) takes_partial: bool,
    pub(super) shadowing: bool,
}

/// The kind of group that judges the requests of a rule.
#[derive(Clone, Debug)]
pub(super) enum Kinds {
    Admin,
    Content { public_actions: Vec<Action> },
    ServiceKeys,
    Public,
}

impl Rule {
    fn new(path: impl Into<String>, kinds: Kinds, requirement: Option<Requirement>) -> Self {
        let (path, exact, host, methods) = (path.into(), false, None, None);
        Self { path, exact, host, methods, kinds, requirement, takes_partial: false, shadowing: false }
    }

    /// Creates a rule for admin tokens and sessions, as [`Group::admin`]. The secret has to be in a header: cookies do not
    /// count.
    pub fn admin(path: impl Into<String>, requirement: impl Into<Requirement>) -> Self {
        Self::new(path, Kinds::Admin, Some(requirement.into()))
    }

    /// Creates a rule for content tokens and, without a credential, the public, as [`Group::content`].
    pub fn content(path: impl Into<String>, requirement: impl Into<Requirement>) -> Self {
        Self::new(path, Kinds::Content { public_actions: Vec::new() }, Some(requirement.into()))
    }

    /// Creates a rule for content tokens, as [`Group::service_keys`]: a request without a credential is a 401.
    pub fn service_keys(path: impl Into<String>, requirement: impl Into<Requirement>) -> Self {
        Self::new(path, Kinds::ServiceKeys, Some(requirement.into()))
    }

    /// Creates a rule for every request. Its credential is not read, so the answer names no caller.
    pub fn public(path: impl Into<String>) -> Self {
        Self::new(path, Kinds::Public, None)
    }

    /// Covers this path alone, not the paths below it.
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Covers only requests of this host: `api.example.com`, or `*.example.com` for every host below `example.com`. Without
    /// it, the rule covers the hosts that no rule names.
    ///
    /// Hosts are compared without their port, in lower case.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Covers only these methods. `GET` includes `HEAD`, unless another rule of this path names `HEAD`. A rule without
    /// methods covers those that no other rule of the path names.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = Some(methods.into_iter().collect());
        self
    }

    /// Sets the actions of the public in a [`content`](Self::content) rule. No effect on other rules.
    pub fn public_actions<A: Into<Action>>(mut self, actions: impl IntoIterator<Item = A>) -> Self {
        if let Kinds::Content { public_actions } = &mut self.kinds {
            *public_actions = actions.into_iter().map(Into::into).collect();
        }
        self
    }

    /// Lets a request pass whose caller meets the requirement for some rows or fields only. By default it is rejected, as a
    /// proxy cannot filter rows. The program behind the proxy has to filter them, and does not learn the decision.
    pub fn allow_partial_decisions(mut self) -> Self {
        self.takes_partial = true;
        self
    }

    /// Allows this public prefix to be above or below a protected rule of the same host.
    pub fn shadowing(mut self) -> Self {
        self.shadowing = true;
        self
    }

    pub(super) fn is_public(&self) -> bool {
        matches!(self.kinds, Kinds::Public)
    }

    /// Returns the group that judges the requests of this rule.
    pub(super) fn group(&self) -> Group {
        match &self.kinds {
            Kinds::Admin => Group::admin(&self.path),
            Kinds::Content { public_actions } => Group::content(&self.path).public_actions(public_actions.clone()),
            Kinds::ServiceKeys => Group::service_keys(&self.path),
            Kinds::Public => Group::public(&self.path),
        }
    }
}

impl fmt::Display for Rule {
    /// Names the rule in errors: `GET,PUT api.example.com/orders`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(methods) = &self.methods {
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            write!(f, "{} ", methods.join(","))?;
        }
        write!(f, "{}{}", self.host.as_deref().unwrap_or_default(), self.path)?;
        if self.exact { f.write_str(" (exact)") } else { Ok(()) }
    }
}
