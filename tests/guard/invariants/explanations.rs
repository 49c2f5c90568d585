//! An explanation says what the gate does: on random worlds, about every kind of credential and path, the outcome, the status
//! and the reason are those of the request itself. Asking changes nothing.

use super::shim;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use fastrand::Rng;
use http::{Method, header};
use keyward::admin::{
    ExplainedOutcome, ExplainedStep, Explanation, OwnerState, ServiceError, StepName, StepOutcome, TokenUpdate,
};
use keyward::authz::{Ceiling, ConditionClause, Fields, IS_CREATOR, Verdict};
use keyward::guard::Reason;
use keyward::testing::{App, Key, SecretFormat, SeededEntropy, World};
use keyward::token::{ContentAccess, Network, RateLimit, StrapiHashKey, TokenAuthority, TokenId, TokenKind};
use keyward::{
    AuthContext, Decision, Grant, Group, GuardedRouter, HashKey, Permission, Require, Requirement, action, all_of,
    any_of, authenticated,
};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const ACTIONS: [&str; 3] = ["read", "update", "publish"];
const RESOURCES: [Option<&str>; 3] = [None, Some("article"), Some("page")];
const FIELDS: [&str; 3] = ["title", "slug", "body"];
const HOUR: Duration = Duration::from_secs(3600);
const VERDICT: &str = "x-verdict";
/// The client of all requests.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));

fn fields(random: &mut Rng) -> Fields {
    match random.u8(..3) {
        0 => Fields::All,
        n => Fields::only(FIELDS.iter().skip(usize::from(n) - 1).copied()).unwrap(),
    }
}

fn permission(random: &mut Rng) -> Permission {
    let mut permission = Permission::new(*random.choice(&ACTIONS).unwrap()).fields(fields(random));
    if let Some(resource) = random.choice(&RESOURCES).copied().flatten() {
        permission = permission.on(resource);
    }
    permission
}

fn with_condition(random: &mut Rng) -> Permission {
    let permission = permission(random);
    match random.u8(..4) {
        0 => permission.when(ConditionClause::from_list([IS_CREATOR])),
        // It has no meaning here.
        1 => permission.when(ConditionClause::from_list(["gone"])),
        _ => permission,
    }
}

fn requirement(random: &mut Rng, depth: u8) -> Requirement {
    let part = |random: &mut Rng| requirement(random, depth + 1);
    match random.u8(..if depth < 2 { 8 } else { 5 }) {
        0 => authenticated(),
        1 => action(*random.choice(&ACTIONS).unwrap()),
        2..=4 => action(*random.choice(&ACTIONS).unwrap()).on(*random.choice(&["article", "page"]).unwrap()),
        5 => any_of((0..random.u8(..3)).map(|_| part(random)).collect::<Vec<_>>()),
        6 => all_of((0..random.u8(..3)).map(|_| part(random)).collect::<Vec<_>>()),
        _ => part(random).whole(),
    }
}

/// Answers with the verdict of the decision, which it takes.
async fn handle(request: Request) -> impl IntoResponse {
    let auth = request.extensions().get::<AuthContext>().cloned();
    let verdict = auth.map(|auth| auth.decision().verdict());
    // The layer of `all_of` may be met for parts that allow nothing together: what is asked is whether the gate let it pass.
    let verdict = if verdict == Some(Verdict::Allowed) { "allowed" } else { "partial" };
    ([(VERDICT, verdict)], "")
}

/// The paths of a world, some of them in no group, ambiguous or without a route.
const PATHS: [&str; 29] = [
    "/admin/plain",
    "/admin/two",
    "/admin/every",
    "/admin/by/article",
    "/admin/by/page",
    "/admin/by/art%69cle",
    "/admin/by/a%ffb",
    "/admin/files",
    "/admin/files/",
    "/admin/files/a/b",
    "/admin/nested",
    "/admin/nested/7",
    "/admin/nothing",
    "/admin/public",
    "/admin/plain/",
    "/admin/plain?x=1",
    "/inner/plain",
    "/forms/plain",
    "/me/plain",
    "/api/plain",
    "/open/plain",
    "/healthz",
    "/sign-in",
    "/pages/plain",
    "/pages/nothing",
    "/elsewhere",
    "/admin//plain",
    "/admin/%2e%2e/plain",
    "/admin/a%2fb",
];

fn routes(random: &mut Rng) -> GuardedRouter {
    let mut any_requirement = || requirement(random, 0);
    let nested = GuardedRouter::new()
        .route("/", any_requirement(), get(handle))
        .route("/", any_requirement(), post(handle))
        .get("/{id}", any_requirement(), handle);
    GuardedRouter::new()
        .get("/admin/plain", any_requirement(), handle)
        .post("/admin/plain", any_requirement(), handle)
        .route("/admin/two", any_requirement(), get(handle))
        .route("/admin/two", any_requirement(), post(handle))
        .route("/admin/every", any_requirement(), any(handle))
        .get("/admin/by/{uid}", any_of([action("read").on_param("uid"), any_requirement()]), handle)
        .nest_service("/admin/files", any_requirement(), any(handle))
        .nest("/admin/nested", nested)
        .public("/admin/public", get(handle))
        .get("/inner/plain", any_requirement(), handle)
        .get("/forms/plain", any_requirement(), handle)
        .post("/forms/plain", any_requirement(), handle)
        .get("/me/plain", any_requirement(), handle)
        .get("/api/plain", any_requirement(), handle)
        .get("/open/plain", any_requirement(), handle)
        .public("/healthz", get(handle))
        .public("/sign-in", post(handle))
        .get("/pages/plain", any_requirement(), handle)
}

/// A secret to send, and the id of its token if there is one.
type Sent = (String, Option<TokenId>);

/// A world with tokens in every state.
struct Scene {
    world: World<shim::Shim>,
    app: App,
    sent: Vec<Sent>,
}

impl Scene {
    async fn new(random: &mut Rng) -> Self {
        let floor = requirement(random, 1);
        let strapi = StrapiHashKey::new("saltysaltysaltysalty").unwrap();
        let opaque = random.bool();
        let (world, shim) = shim::world(|builder| {
            let builder = builder
                .strapi_hash_key(strapi)
                .group(Group::admin("/inner").floor(floor))
                .group(Group::admin("/forms").same_origin_only())
                .group(Group::sessions("/me"))
                .group(Group::content("/open").public_actions(["read"]))
                .public("/healthz")
                .group(Group::public("/sign-in").same_origin_only())
                .group(Group::pages("/pages", "sid", "/sign-in"));
            if opaque { builder.opaque_rejections() } else { builder }
        });
        let app = world.guard(routes(random));
        let mut scene = Self { world, app, sent: Vec::new() };
        let mut changed = Vec::new();
        for _ in 0..5 {
            scene.token(random, Some(HOUR)).await;
            changed.push(scene.token(random, None).await);
            let limited = scene.token(random, None).await;
            scene.limit(random, &limited).await;
        }
        for _ in 0..6 {
            scene.token(random, None).await;
        }
        for access in [ContentAccess::ReadOnly, ContentAccess::FullAccess, ContentAccess::only(["read"])] {
            let key = scene.world.content(access).await;
            scene.send(&key);
        }
        let admin = scene.world.super_admin().carries(Grant::new("read")).issue().await;
        let session = scene.world.super_admin().sign_in().await;
        let editor = scene.world.editor().holds(permission(random)).sign_in().await;
        [&admin, &session, &editor].into_iter().for_each(|key| scene.send(key));
        for (i, key) in changed.iter().enumerate() {
            scene.change(random, i, key).await;
        }
        // What the services would not store: grants beyond the ceiling, conditions without a meaning, other kinds.
        let tampering = random.u64(..);
        shim.tamper(move |snapshot| {
            let Some(record) = &mut snapshot.record else { return };
            let mut random = Rng::with_seed(tampering ^ record.token.id.0.unsigned_abs());
            let TokenAuthority::Admin { grants, .. } = &mut record.token.authority else { return };
            match (random.u8(..5), &mut record.owner) {
                (0, _) => record.token.authority = TokenAuthority::Content { access: ContentAccess::FullAccess },
                (1, owner) => *owner = None,
                (2 | 3, Some((_, ceiling))) => {
                    *grants = (0..4).map(|_| Grant::from(&permission(&mut random))).collect();
                    *ceiling = Ceiling::Of((0..8).map(|_| with_condition(&mut random)).collect());
                }
                _ => {}
            }
        });
        // Tokens of an hour expire, and idle sessions end.
        if random.bool() {
            scene.world.clock.advance(HOUR);
        }
        let made_up = |hash_key: &str, seed| {
            let format = SecretFormat::new(&Default::default(), HashKey::parse(hash_key).unwrap());
            let kind = TokenKind::ALL[seed as usize % 3];
            format.issue(kind, &SeededEntropy::new(seed)).unwrap().secret.expose().to_owned()
        };
        let genuine = (1..4).map(|seed| made_up(keyward::testing::HASH_KEY, seed));
        let forged = (1..4).map(|seed| made_up("another hash key, of at least 32 bytes", seed));
        let relabelled = admin.secret.expose().replace("_admin_", "_content_");
        let others = ["", "x", "kw_admin_", "two words", &"a".repeat(600), &"a1".repeat(128), &relabelled];
        let others = others.map(str::to_owned);
        scene.sent.extend(genuine.chain(forged).chain(others).map(|secret| (secret, None)));
        scene
    }

    fn send(&mut self, key: &Key) {
        self.sent.push((key.secret.expose().to_owned(), Some(key.id)));
    }

    async fn token(&mut self, random: &mut Rng, lifespan: Option<Duration>) -> Key {
        let mut cast = self.world.editor();
        let mut held: Vec<Permission> = Vec::new();
        for _ in 0..random.u8(..6) {
            let permission = permission(random);
            if !held.contains(&permission) {
                cast = if random.bool() { cast.with(permission.clone()) } else { cast.holds(permission.clone()) };
                held.push(permission);
            }
        }
        let cast = if let Some(span) = lifespan { cast.for_time(span) } else { cast };
        let key = cast.issue().await;
        self.send(&key);
        key
    }

    /// Limits a token.
    async fn limit(&mut self, random: &mut Rng, key: &Key) {
        let network = |text: &str| text.parse::<Network>().unwrap();
        let mut update = TokenUpdate::default();
        match random.u8(..4) {
            0 => update.enabled = Some(false),
            1 => update.networks = Some(vec![network("192.0.2.0/24"), network("2001:db8::/32")]),
            2 => update.networks = Some(vec![network("192.0.2.0/24"), network("10.0.0.0/8")]),
            // It is never reached here.
            _ => update.rate = Some(Some(RateLimit::new(1_000_000, HOUR).unwrap())),
        }
        self.world.keyward.tokens().update(key.id, update).await.unwrap();
    }

    /// Takes something away from a token.
    async fn change(&mut self, random: &mut Rng, number: usize, key: &Key) {
        let keyward = &self.world.keyward;
        match number {
            0 => drop(keyward.tokens().revoke(key.id).await.unwrap()),
            1 => drop(keyward.tokens().regenerate(key.id).await.unwrap()),
            2 => drop(keyward.owners().set_state(key.owner(), OwnerState::Deactivated).await.unwrap()),
            3 => {
                let mut others: Vec<Permission> = (0..3).map(|_| permission(random)).collect();
                others.dedup_by(|a, b| a.scope.action == b.scope.action);
                drop(keyward.roles().set_permissions(key.role(), others).await.unwrap());
            }
            _ => {
                let update = TokenUpdate { grants: Some(Vec::new()), ..TokenUpdate::default() };
                drop(keyward.tokens().update(key.id, update).await.unwrap());
            }
        }
    }
}

/// Compares an explanation with the answer to the request that it is about.
fn compare(why: &Explanation, answer: &keyward::testing::Answer, about: &str) {
    let about = format!("{about}: {answer:?}\n{why}\n{why:#?}");
    match why.outcome {
        ExplainedOutcome::Denied => {
            assert_eq!(why.status, Some(answer.status.as_u16()), "{about}");
            match answer.reason {
                // The router has no route.
                Some(Reason::NoGroup) => assert!(matches!(why.reason, Some("no_group" | "no_route")), "{about}"),
                Some(reason) => assert_eq!(why.reason, Some(reason.as_str()), "{about}"),
                None => assert_eq!(why.reason, Some("no_method"), "{about}"),
            }
            assert_eq!(why.steps.last().unwrap().outcome, StepOutcome::Failed, "{about}");
            assert_eq!(why.steps.iter().filter(|step| step.outcome == StepOutcome::Failed).count(), 1, "{about}");
            let is_json =
                answer.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
            if let (Some(message), true) = (&why.message, is_json) {
                assert!(String::from_utf8_lossy(&answer.body).contains(message.as_str()), "{about}");
            }
        }
        ExplainedOutcome::Allowed | ExplainedOutcome::Partial => {
            assert_eq!((answer.status.as_u16(), answer.reason, why.status), (200, None, None), "{about}");
            // Requests are counted where they are made.
            let passed = |step: &ExplainedStep| step.outcome == StepOutcome::Passed || step.name == StepName::Rate;
            assert!(why.steps.iter().all(passed), "{about}");
            // A public route has no decision.
            if why.token.is_some() && why.outcome == ExplainedOutcome::Allowed {
                assert_eq!(answer.headers[VERDICT], "allowed", "{about}");
            }
            if why.outcome == ExplainedOutcome::Partial {
                assert_eq!(answer.headers[VERDICT], "partial", "{about}");
            }
        }
        other => panic!("{other:?} of {about}"),
    }
}

async fn explanations_agree(seed: u64, seen: &mut BTreeSet<&'static str>) {
    let mut random = Rng::with_seed(seed);
    let scene = Scene::new(&mut random).await;
    let explain = scene.world.keyward.explain().from_client(CLIENT);
    for (secret, id) in &scene.sent {
        for path in PATHS {
            let method = random.choice([Method::GET, Method::GET, Method::POST, Method::PUT, Method::HEAD]).unwrap();
            if *secret != secret.trim() || secret.is_empty() {
                continue;
            }
            let about = format!("seed {seed}, {method} {path} with {secret:?}");
            // First the question: the request would fill the cache.
            let why = explain.secret(secret, &method, path).await.unwrap();
            let request = scene.app.request(method.clone(), path).peer(CLIENT);
            let answer = request.header(header::AUTHORIZATION, &format!("Bearer {secret}")).await;
            if method != Method::HEAD {
                compare(&why, &answer, &about);
            } else {
                assert_eq!(why.status.unwrap_or(200), answer.status.as_u16(), "{about}");
            }
            seen.insert(match why.outcome {
                ExplainedOutcome::Allowed => "allowed",
                ExplainedOutcome::Partial => "partial",
                _ => why.reason.unwrap_or("nothing"),
            });
            // The same from the cache, and by the id of the token.
            assert_eq!(explain.secret(secret, &method, path).await.unwrap(), why, "{about}");
            match id.as_ref() {
                None => {}
                Some(id) => match explain.token(*id, &method, path).await {
                    Ok(by_id) => {
                        let decision = |why: &Explanation| (why.outcome, why.status, why.reason, why.message.clone());
                        // The secret of a token that was regenerated is another one.
                        if why.reason != Some("unknown_token") {
                            assert_eq!(decision(&by_id), decision(&why), "{about}");
                        }
                    }
                    Err(ServiceError::NotFound(_)) => {}
                    Err(error) => panic!("{error} of {about}"),
                },
            }
        }
    }
}

#[tokio::test]
async fn explanations_say_what_the_gate_does() {
    let mut seen = BTreeSet::new();
    for seed in 0..6 {
        explanations_agree(seed, &mut seen).await;
    }
    let all = [
        "allowed",
        "ambiguous_path",
        "cross_origin",
        "disabled",
        "expired",
        "forbidden",
        "malformed_credential",
        "network_not_allowed",
        "no_credential",
        "no_group",
        "no_method",
        "no_route",
        "not_genuine",
        "owner_inactive",
        "partial",
        "unguarded",
        "unknown_token",
        "wrong_kind",
    ];
    assert_eq!(seen, BTreeSet::from(all));
}

fn names(why: &Explanation) -> Vec<StepName> {
    why.steps.iter().map(|step| step.name).collect()
}

#[tokio::test]
async fn each_step_is_listed_in_order_up_to_the_one_that_decides() {
    use StepName::{
        Ceiling, Conditions, Credential, Enabled, Expiry, Freshness, Grant as Granted, Group, Kind, Owner, Path, Record,
    };
    let world = World::with(|builder| builder.store_is_exclusive());
    let read = || action("read").on("article");
    let routes = GuardedRouter::new().get("/admin/articles", read(), |_: Decision| async {}).get(
        "/admin/whole",
        read().whole(),
        || async {},
    );
    let _app = world.guard(routes);
    let own = ConditionClause::from_list([IS_CREATOR]);
    let some = Permission::new("read").on("article").fields(Fields::only(["title"]).unwrap()).when(own);
    let key = world.editor().with(some).issue().await;
    let explain = world.keyward.explain();
    let ask = async |path: &str| explain.token(key.id, &Method::GET, path).await.unwrap();

    let why = ask("/admin/articles").await;
    let to_owner = vec![Path, Group, Credential, Freshness, Record, Kind, Expiry, Owner];
    let whole = [to_owner.clone(), vec![Enabled, StepName::Requirement, Granted, Ceiling, Conditions]].concat();
    assert_eq!((names(&why), why.outcome), (whole.clone(), ExplainedOutcome::Partial));
    let data = serde_json::to_value(&why).unwrap();
    let permission = json!({"fields": ["title"], "conditions": [[IS_CREATOR]], "unregistered": []});
    assert_eq!(data["actions"][0]["permissions"], json!([permission]), "{data:#}");
    assert_eq!(data["actions"][0]["grants"][0]["coveredBy"], json!([permission]));
    assert_eq!((&data["steps"][12]["name"], &data["steps"][12]["outcome"]), (&json!("conditions"), &json!("passed")));
    assert_eq!(why.steps[12].text, format!("For some rows or fields: title of rows with {IS_CREATOR}."));

    let why = ask("/admin/whole").await;
    assert_eq!((names(&why), why.status), (whole, Some(403)));
    assert_eq!(why.failed_step().unwrap().name, Conditions);

    // The role loses the permission, and the grant goes with it.
    world.keyward.roles().set_permissions(key.role(), Vec::new()).await.unwrap();
    let why = ask("/admin/articles").await;
    assert_eq!(why.failed_step().unwrap().text, "The token has no grant for read on article.");
    world.keyward.owners().set_state(key.owner(), OwnerState::Deactivated).await.unwrap();
    let why = ask("/admin/articles").await;
    assert_eq!((names(&why), why.status, why.reason), (to_owner, Some(401), Some("owner_inactive")));
    assert_eq!(why.message.as_deref(), Some("Token owner is deactivated"));
    let text = why.to_string();
    assert!(text.starts_with("GET /admin/articles\n  ok  path "), "{text}");
    assert!(text.ends_with("The request is rejected with 401: The owner is deactivated."), "{text}");
}

#[tokio::test]
async fn lost_parts_of_a_grant_are_named() {
    let (world, shim) = shim::world(|builder| builder);
    let _app = world.guard(GuardedRouter::new().get("/admin/articles", action("read").on("article"), || async {}));
    let read =
        |fields: &[&str]| Permission::new("read").on("article").fields(Fields::only(fields.iter().copied()).unwrap());
    let key = world.editor().with(read(&["title", "body"])).issue().await;
    let ask = async || world.keyward.explain().token(key.id, &Method::GET, "/admin/articles").await.unwrap();
    let why = ask().await;
    let grant = &why.actions[0].grants[0];
    assert_eq!((grant.lost, grant.lost_text.as_deref()), (None, None));
    assert_eq!(grant.fields.as_deref().unwrap(), ["body", "title"]);
    // Past the services, so that the grant is not clamped: as a host that writes its roles itself.
    let own = ConditionClause::from_list([IS_CREATOR]);
    shim.tamper(move |snapshot| {
        let owner = snapshot.record.as_mut().and_then(|record| record.owner.as_mut());
        owner.unwrap().1 = Ceiling::Of(vec![read(&["title", "slug"]).when(own.clone()), read(&["slug"])]);
    });
    let why = ask().await;
    let grant = &why.actions[0].grants[0];
    let lost = "the owner does not hold read on article for body";
    assert_eq!(
        (grant.lost, grant.lost_text.as_deref(), why.outcome),
        (Some("fields"), Some(lost), ExplainedOutcome::Partial)
    );
    // The permission of another field has no part in it.
    assert_eq!(grant.covered_by.len(), 1);
    assert_eq!(why.actions[0].permissions[0].fields.as_deref().unwrap(), ["title"]);
    let step = why.steps.iter().find(|step| step.name == StepName::Ceiling).unwrap();
    assert_eq!(step.text, format!("The owner's permissions cover the grants. Lost: {lost}."));
    shim.tamper(|snapshot| snapshot.record.as_mut().unwrap().owner.as_mut().unwrap().1 = Ceiling::Of(Vec::new()));
    let why = ask().await;
    let step = why.failed_step().unwrap();
    assert_eq!((step.name, why.status), (StepName::Ceiling, Some(403)));
    assert_eq!(step.text, "The owner does not hold read on article. Lost: the owner does not hold read on article.");
}

#[tokio::test]
async fn requirements_that_are_not_known_are_said_and_may_be_passed() {
    let world = World::new();
    let key = world.editor().with("read").issue().await;
    let router = axum::Router::new().route("/admin/x", get(|| async {})).layer(Require::new(action("read")));
    let _app = world.wrap(router);
    let explain = world.keyward.explain();
    let why = explain.token(key.id, &Method::GET, "/admin/x").await.unwrap();
    assert_eq!((why.outcome, why.status), (ExplainedOutcome::Unknown, None));
    assert_eq!(why.steps.last().unwrap().outcome, StepOutcome::Unknown);
    for (requirement, outcome) in [("read", ExplainedOutcome::Allowed), ("update", ExplainedOutcome::Denied)] {
        let why = explain.clone().requiring(requirement).token(key.id, &Method::GET, "/admin/x").await.unwrap();
        assert_eq!(why.outcome, outcome, "{why}");
    }
}

#[tokio::test]
async fn paths_that_no_client_sends_are_invalid() {
    let world = World::new();
    let key = world.editor().issue().await;
    for path in ["", "admin", "http://host/admin", "/admin x", "*", "/a\nb"] {
        let error = world.keyward.explain().token(key.id, &Method::GET, path).await.unwrap_err();
        assert_eq!(error.to_string(), "path: must be a path as a client sends it: begin with `/`", "{path:?}");
    }
}

/// made-up-costs-nothing: the same as in a request. A known secret costs a read, and nothing is kept.
#[tokio::test]
async fn asking_changes_nothing() {
    let (world, shim) = shim::world(|builder| builder);
    let app = world.guard(GuardedRouter::new().get("/admin/x", action("read"), || async {}));
    let key = world.editor().with("read").issue().await;
    let explain = world.keyward.explain();
    let (seq, before, reads) =
        (world.keyward.store().begin().await.unwrap().seq(), world.keyward.health(), shim.reads());
    let format =
        SecretFormat::new(&Default::default(), HashKey::parse("another hash key, of at least 32 bytes").unwrap());
    for seed in 0..100 {
        let made_up = format.issue(TokenKind::Admin, &SeededEntropy::new(seed)).unwrap().secret;
        let why = explain.secret(made_up.expose(), &Method::GET, "/admin/x").await.unwrap();
        assert_eq!(why.reason, Some("not_genuine"));
    }
    assert_eq!(shim.reads(), reads, "made-up secrets cost no read");
    for _ in 0..100 {
        let why = explain.secret(key.secret.expose(), &Method::GET, "/admin/x").await.unwrap();
        assert!(why.is_admitted());
        assert!(!format!("{why:?}{why}").contains(key.secret.expose()));
    }
    let after = world.keyward.health();
    assert_eq!((after.cache_entries, after.absent_entries), (before.cache_entries, before.absent_entries));
    world.keyward.flush().await;
    assert_eq!(world.keyward.store().begin().await.unwrap().seq(), seq);
    assert_eq!(world.keyward.tokens().read(key.id).await.unwrap().token.last_used_at, None);
    // A store that fails is said, and remembered by nothing.
    shim.fail(true);
    let why = explain.secret(key.secret.expose(), &Method::GET, "/admin/x").await.unwrap();
    assert_eq!((why.status, why.failed_step().unwrap().name), (Some(503), StepName::Freshness));
    shim.fail(false);
    app.get("/admin/x").bearer(&key.secret).await.assert_ok();
}

/// own-failure-is-503: a gateway must not believe that a token is invalid because the store fails, nor a bearer that it is
/// revoked.
#[cfg(feature = "full")]
#[tokio::test]
async fn a_store_that_fails_makes_no_presented_token_inactive() {
    let (world, shim) = shim::world(|builder| builder.api("/admin"));
    let app = world.guard(keyward::api::router(&world.keyward));
    let gateway = world.editor().with("admin::tokens.introspect").issue().await;
    let key = world.editor().with("x").issue().await;
    let form = [("token", key.secret.expose())];
    let introspect = async || app.post("/admin/introspect").bearer(&gateway.secret).form(&form).await;
    // Then the gateway's own token is cached.
    app.get("/admin/whoami").bearer(&gateway.secret).await.assert_ok();
    shim.fail(true);
    introspect().await.assert_status(503);
    app.post("/admin/revoke").form(&form).await.assert_status(503);
    shim.fail(false);
    assert_eq!(introspect().await.assert_ok().json()["active"], true);
    app.post("/admin/revoke").form(&form).await.assert_status(200);
    assert_eq!(introspect().await.assert_ok().json(), json!({"active": false}));
}
