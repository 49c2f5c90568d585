//! The router that answers a proxy.

use super::form::{self, Form, Reported, Unreadable};
use super::identity::IdentityNames;
use super::invalid::InvalidRules;
use super::rules::{Rule, Rules};
use super::table::Table;
use crate::domain::{LogLimit, Reason};
use crate::guard::{Addresses, AuthContext, Gate, GateLayer, Guard, Require};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Uri};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_layer::Layer;

/// Returns a router that tells a proxy whether a request may pass: by a 200, or by the [rejection](crate::guard::Rejection).
///
/// Every request to the router is a question, whatever its path and method. Nest it where you like, or give it a listener of its
/// own. It has to be outside the gate of your own routes: `keyward.guard(routes).into_router().nest_service("/auth", router)`. The server
/// has to pass on the peer's address, by `into_make_service_with_connect_info::<SocketAddr>()`.
///
/// A question of a peer that is not a trusted proxy is a 403, with a log line at most once a minute. Answers forbid caching, so
/// that the next request with a revoked token is rejected.
///
/// # Errors
/// [`InvalidRules`] if there is no rule or no trusted proxy, or if a rule is invalid, shadows another one, or covers the same
/// requests. The message names the rule.
pub fn router(guard: &Guard, rules: Rules) -> Result<Router, InvalidRules> {
    let forward_auth = Arc::new(ForwardAuth::new(guard, rules)?);
    Ok(Router::new().fallback(move |question: Request| {
        let forward_auth = forward_auth.clone();
        async move { forward_auth.answer(question).await }
    }))
}

/// The state that answers questions.
struct ForwardAuth {
    form: Form,
    table: Table,
    /// The judges of the requests of each rule.
    judges: Vec<BoxCloneSyncService<Request, Response, Infallible>>,
    addresses: Addresses,
    gate: Arc<Gate>,
    /// The limit of log lines about peers that are not trusted.
    untrusted_peers: LogLimit,
    /// The limit of log lines about questions that are not understood.
    unreadable: LogLimit,
}

/// The mark of an answer of the route itself. A response without it is a rejection.
#[derive(Clone, Copy)]
struct Passed;

impl ForwardAuth {
    fn new(guard: &Guard, rules: Rules) -> Result<Self, InvalidRules> {
        let Rules { form, rules, proxies, headers } = rules;
        form.check()?;
        let gate = guard.gate().clone();
        let addresses = match proxies {
            Some((proxies, header)) => Addresses::behind(proxies.iter().map(String::as_str), header)?,
            None => gate.addresses().clone(),
        };
        if !addresses.trust_any() {
            return Err(InvalidRules::NoProxy);
        }
        let table = Table::new(&rules, guard.catalogue())?;
        if let Some(rule) = rules.iter().find(|rule| rule.host.is_some() && !form.knows_host()) {
            return Err(InvalidRules::HostUnknown(rule.to_string()));
        }
        let names = Arc::new(headers.parse()?);
        let judges = rules.iter().map(|rule| judge(rule, &gate, &addresses, &names)).collect::<Result<_, _>>()?;
        let (untrusted_peers, unreadable) = (LogLimit::new(), LogLimit::new());
        Ok(Self { form, table, judges, addresses, gate, untrusted_peers, unreadable })
    }

    async fn answer(&self, question: Request) -> Response {
        let (question, _) = question.into_parts();
        let response = match self.select(&question) {
            Ok((rule, Reported { method, uri, .. })) => {
                let judge = self.judges[rule].clone();
                let Ok(response) = judge.oneshot(original(question, method, uri)).await;
                response
            }
            Err(reason) => self.gate.refuse(reason),
        };
        self.finish(response)
    }

    /// Returns the place of the rule for the original request, and that request.
    fn select(&self, question: &Parts) -> Result<(usize, Reported), Reason> {
        if !self.addresses.trust_peer(&question.extensions) {
            self.report_untrusted_peer(question);
            return Err(Reason::NotForwarded);
        }
        let unreadable = |unreadable: Unreadable| {
            self.report_unreadable(&unreadable);
            unreadable.reason()
        };
        let reported = self.form.read(question).map_err(unreadable)?;
        let methods = form::methods(reported.method.clone(), &question.headers).map_err(unreadable)?;
        let rule = self.table.select(&reported.host, reported.uri.path(), &methods)?;
        Ok((rule, reported))
    }

    /// Makes the response one that the proxy understands, and that no cache keeps.
    fn finish(&self, mut response: Response) -> Response {
        let passed = response.extensions().get::<Passed>().is_some();
        let status = match response.status() {
            // A success without the mark is a rejection in the form of a success, such as that of gRPC.
            status if status.is_success() != passed => StatusCode::FORBIDDEN,
            status => self.form.status(status),
        };
        if status != response.status() {
            let reason = response.extensions().get::<Reason>().copied();
            response = Response::new(Body::empty());
            *response.status_mut() = status;
            reason.map(|reason| response.extensions_mut().insert(reason));
        }
        response.headers_mut().insert(CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        response
    }

    #[cold]
    fn report_untrusted_peer(&self, question: &Parts) {
        let Some(count) = self.untrusted_peers.count_now() else { return };
        match self.addresses.of(&question.headers, &question.extensions) {
            Some(peer) => {
                tracing::warn!(count, %peer, "forward authentication was asked by a peer that is no trusted proxy")
            }
            None => tracing::warn!(
                count,
                "forward authentication does not know its peer: serve the router by `into_make_service_with_connect_info`"
            ),
        }
    }

    #[cold]
    fn report_unreadable(&self, unreadable: &Unreadable) {
        if let Unreadable::Part(part) = unreadable
            && let Some(count) = self.unreadable.count_now()
        {
            tracing::warn!(
                count,
                part,
                "a question of forward authentication lacks a part of the request, or has it twice or malformed: is the \
                 proxy another one than the rules name?"
            );
        }
    }
}

/// Returns the service that judges the requests of a rule: a gate with one group, the requirement, and the answer.
fn judge(
    rule: &Rule,
    gate: &Gate,
    addresses: &Addresses,
    names: &Arc<IdentityNames>,
) -> Result<BoxCloneSyncService<Request, Response, Infallible>, InvalidRules> {
    let group = gate.of_group(rule.group(), addresses.clone());
    let layer = GateLayer::new(Arc::new(group.map_err(|_| InvalidRules::Path(rule.to_string()))?));
    let (names, takes_partial) = (names.clone(), rule.takes_partial);
    let pass = tower::service_fn(move |request: Request| {
        let caller = request.extensions().get::<AuthContext>();
        if let Some(caller) = caller.filter(|_| takes_partial) {
            _ = caller.decision();
        }
        let mut response = Response::new(Body::empty());
        response.headers_mut().extend(names.of(caller));
        response.extensions_mut().insert(Passed);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    Ok(match rule.requirement.clone() {
        None => BoxCloneSyncService::new(layer.layer(pass)),
        Some(requirement) => {
            let requirement = if takes_partial { requirement } else { requirement.whole() };
            BoxCloneSyncService::new(layer.layer(Require::new(requirement).layer(pass)))
        }
    })
}

/// Makes the original request. It has the headers and the peer's address of the question, and no body.
fn original(mut question: Parts, method: Method, uri: PathAndQuery) -> Request {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(uri);
    // A rejection of a gRPC request is a 200, which would let it pass. Cookies are no credentials here.
    question.headers.remove(CONTENT_TYPE);
    question.headers.remove(COOKIE);
    *request.headers_mut() = question.headers;
    let extensions = request.extensions_mut();
    question.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| extensions.insert(*peer));
    question.extensions.get::<SocketAddr>().map(|peer| extensions.insert(*peer));
    request
}
