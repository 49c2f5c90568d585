//! The decision alone: may this caller do that? 100 people of ten roles with eight permissions each.
//!
//! keyward's is asked of a cached token of one of them, which may three of the eight, so it is the decision on both.
//! casbin and cedar are asked about the person: that a token may no more than its owner is a matcher or a policy that
//! one would write, and one more thing to evaluate. Who calls, how they proved it, and what becomes of the answer is
//! left to the host by both.

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
use keyward::{action, AuthContext, authenticated, Keyward, Require};
use std::collections::HashSet;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context as TaskContext, Poll};
use tokio::runtime::Runtime;
use tower_layer::Layer;
use tower_service::Service;

const PEOPLE: usize = 100;
const ROLES: usize = 10;

pub(crate) fn rows(runtime: &Runtime, keyward: &Keyward, secrets: &[String]) -> Vec<Row> {
    let requirement = action(ACTION);
    let mut callers = in_turn(runtime.block_on(contexts(keyward, secrets)));
    let by_keyward = move || {
        let verdict = callers().principal().verdict(&requirement);
        assert_eq!(verdict, Verdict::Allowed);
    };

    let (enforcer, cached) = runtime.block_on(enforcers());
    assert!(!enforcer.enforce(("person-1", "admin::nothing.read")).unwrap());
    let names: Vec<String> = (0..PEOPLE).map(|i| format!("person-{i}")).collect();
    let mut person = in_turn(names.clone());
    let by_casbin = move || assert!(enforcer.enforce((person().as_str(), ACTION)).unwrap());
    let mut person = in_turn(names);
    let mut by_its_cache = move || assert!(cached.enforce((person().as_str(), ACTION)).unwrap());
    (0..PEOPLE).for_each(|_| by_its_cache());

    vec![
        Row::part(table::DECISION, by_keyward),
        Row::part(table::CASBIN, by_casbin),
        Row::part(table::CASBIN_CACHED, by_its_cache),
        Row::part(table::CEDAR, by_cedar()),
    ]
}

fn permissions() -> Vec<String> {
    let others = (0..5).map(|i| format!("admin::other-{i}.read"));
    crate::by_hand::MAY.iter().map(|&action| action.to_owned()).chain(others).collect()
}

fn in_turn<T>(all: Vec<T>) -> impl FnMut() -> &'static T
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

/// What the gate puts into the requests of these tokens.
async fn contexts(keyward: &Keyward, secrets: &[String]) -> Vec<AuthContext> {
    #[derive(Clone)]
    struct Show;

    impl Service<http::Request<Body>> for Show {
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

    let mut service = keyward.wrap(Require::new(authenticated()).layer(Show));
    let mut contexts = Vec::new();
    for secret in secrets {
        let mut answered = service.call(request(Some(secret))).await.unwrap();
        contexts.push(answered.extensions_mut().remove::<AuthContext>().unwrap());
    }
    contexts
}

/// Without and with its cache (200 answers, of which these people need half), by the model of roles from its
/// documentation, less the object. Neither is behind the lock that it asks for where policies change while requests
/// come.
async fn enforcers() -> (Enforcer, CachedEnforcer) {
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

/// One policy a role, over its set of actions; names are made once, and a request is made for each decision.
fn by_cedar() -> impl FnMut() {
    let named = |kind: &str, name: &str| {
        let kind: EntityTypeName = kind.parse().unwrap();
        EntityUid::from_type_name_and_id(kind, EntityId::new(name))
    };
    let actions = permissions().iter().map(|p| format!("Action::\"{p}\"")).collect::<Vec<_>>().join(", ");
    let policies = (0..ROLES).map(|i| format!("permit(principal in Role::\"{i}\", action in [{actions}], resource);"));
    let policies: PolicySet = policies.collect::<String>().parse().unwrap();
    let role = |i: usize| HashSet::from([named("Role", &(i % ROLES).to_string())]);
    let person = |i: usize| named("Person", &i.to_string());
    let people = (0..PEOPLE).map(|i| Entity::new_no_attrs(person(i), role(i)));
    let entities = Entities::from_entities(people, None).unwrap();
    let mut next = in_turn((0..PEOPLE).map(person).collect());
    let (deed, nothing, api) = (named("Action", ACTION), named("Action", "nothing"), named("Api", "admin"));
    let authorizer = Authorizer::new();
    let mut ask = move |deed: &EntityUid| {
        let request = Request::new(next().clone(), deed.clone(), api.clone(), Context::empty(), None).unwrap();
        authorizer.is_authorized(&request, &policies, &entities).decision()
    };
    assert_eq!(ask(&nothing), Decision::Deny);
    move || assert_eq!(ask(&deed), Decision::Allow)
}
