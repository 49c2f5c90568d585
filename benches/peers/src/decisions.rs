//! Decisions without a request: 100 people with ten roles, each with eight permissions.
//!
//! keyward decides for a cached token of a person, which has three of the eight permissions, so its decision includes
//! the owner's permissions. casbin and cedar decide for the person: a limit of tokens to their owners would be another
//! matcher or policy to evaluate. Both leave authentication and the rejection to the host.

use crate::harness::Row;
use crate::table;
use crate::world::{ACTION, request};
use axum::body::Body;
use casbin::{CachedEnforcer, CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
};
use http::Response;
use keyward::authz::Verdict;
use keyward::{AuthContext, Keyward, Require, action, authenticated};
use std::collections::HashSet;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context as TaskContext, Poll};
use tokio::runtime::Runtime;
use tower_layer::Layer;
use tower_service::Service;

const PEOPLE: usize = 100;
const ROLES: usize = 10;

pub(crate) fn build_rows(runtime: &Runtime, keyward: &Keyward, secrets: &[String]) -> Vec<Row> {
    let requirement = action(ACTION);
    let mut callers = cycle(runtime.block_on(read_contexts(keyward, secrets)));
    let decide_keyward = move || {
        let verdict = callers().principal().verdict(&requirement);
        assert_eq!(verdict, Verdict::Allowed);
    };

    let (enforcer, cached) = runtime.block_on(build_enforcers());
    assert!(!enforcer.enforce(("person-1", "admin::nothing.read")).unwrap());
    let names: Vec<String> = (0..PEOPLE).map(|i| format!("person-{i}")).collect();
    let mut person = cycle(names.clone());
    let decide_casbin = move || assert!(enforcer.enforce((person().as_str(), ACTION)).unwrap());
    let mut person = cycle(names);
    let mut decide_casbin_cached = move || assert!(cached.enforce((person().as_str(), ACTION)).unwrap());
    (0..PEOPLE).for_each(|_| decide_casbin_cached());

    vec![
        Row::part(table::DECISION, decide_keyward),
        Row::part(table::CASBIN, decide_casbin),
        Row::part(table::CASBIN_CACHED, decide_casbin_cached),
        Row::part(table::CEDAR, build_cedar()),
    ]
}

fn permissions() -> Vec<String> {
    let others = (0..5).map(|i| format!("admin::other-{i}.read"));
    crate::by_hand::ACTIONS.iter().map(|&action| action.to_owned()).chain(others).collect()
}

fn cycle<T>(all: Vec<T>) -> impl FnMut() -> &'static T
where
    T: 'static,
{
    let all: &'static [T] = all.leak();
    let mut next = 0;
    move || {
        next = (next + 1) % all.len();
        &all[next]
    }
}

/// Returns the contexts that the gate puts into the requests of these tokens.
async fn read_contexts(keyward: &Keyward, secrets: &[String]) -> Vec<AuthContext> {
    #[derive(Clone)]
    struct ReturnContext;

    impl Service<http::Request<Body>> for ReturnContext {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(request.extensions().get::<AuthContext>().unwrap().clone());
            ready(Ok(response))
        }
    }

    let mut service = keyward.wrap(Require::new(authenticated()).layer(ReturnContext));
    let mut contexts = Vec::new();
    for secret in secrets {
        let mut response = service.call(request(Some(secret))).await.unwrap();
        contexts.push(response.extensions_mut().remove::<AuthContext>().unwrap());
    }
    contexts
}

/// Returns casbin's enforcers, without and with its cache. The cache has 200 results, of which these people need half.
///
/// The model is the one of roles from its documentation, without the object. Both are without the lock that they need
/// if policies change while requests are served.
async fn build_enforcers() -> (Enforcer, CachedEnforcer) {
    let model = "
        [request_definition]
        r = sub, act
        [policy_definition]
        p = sub, act
        [role_definition]
        g = _, _
        [policy_effect]
        e = some(where (p.eft == allow))
        [matchers]
        m = g(r.sub, p.sub) && r.act == p.act
    ";
    let model = DefaultModel::from_str(model).await.unwrap();
    let roles = (0..ROLES).flat_map(|i| permissions().into_iter().map(move |p| vec![format!("role-{i}"), p]));
    let people = (0..PEOPLE).map(|i| vec![format!("person-{i}"), format!("role-{}", i % ROLES)]);
    let mut plain = Enforcer::new(model.clone(), MemoryAdapter::default()).await.unwrap();
    plain.add_policies(roles.clone().collect()).await.unwrap();
    plain.add_grouping_policies(people.clone().collect()).await.unwrap();
    let mut cached = CachedEnforcer::new(model, MemoryAdapter::default()).await.unwrap();
    cached.add_policies(roles.collect()).await.unwrap();
    cached.add_grouping_policies(people.collect()).await.unwrap();
    (plain, cached)
}

/// Returns a decision by cedar, with one policy for each role and its actions. Names are built once, a request for each
/// decision.
fn build_cedar() -> impl FnMut() {
    let uid = |kind: &str, name: &str| {
        let kind: EntityTypeName = kind.parse().unwrap();
        EntityUid::from_type_name_and_id(kind, EntityId::new(name))
    };
    let actions = permissions().iter().map(|p| format!("Action::\"{p}\"")).collect::<Vec<_>>().join(", ");
    let policies = (0..ROLES).map(|i| format!("permit(principal in Role::\"{i}\", action in [{actions}], resource);"));
    let policies: PolicySet = policies.collect::<String>().parse().unwrap();
    let role = |i: usize| HashSet::from([uid("Role", &(i % ROLES).to_string())]);
    let person = |i: usize| uid("Person", &i.to_string());
    let people = (0..PEOPLE).map(|i| Entity::new_no_attrs(person(i), role(i)));
    let entities = Entities::from_entities(people, None).unwrap();
    let mut next = cycle((0..PEOPLE).map(person).collect());
    let (granted, other, api) = (uid("Action", ACTION), uid("Action", "other"), uid("Api", "admin"));
    let authorizer = Authorizer::new();
    let mut decide = move |action: &EntityUid| {
        let request = Request::new(next().clone(), action.clone(), api.clone(), Context::empty(), None).unwrap();
        authorizer.is_authorized(&request, &policies, &entities).decision()
    };
    assert_eq!(decide(&other), Decision::Deny);
    move || assert_eq!(decide(&granted), Decision::Allow)
}
