//! Measures changes on SQLite and PostgreSQL, and their effect on requests: `cargo bench --bench life --all-features`.
//!
//! The members of one role have 100 000 tokens (1 000 people with 100 each), with three grants each. While the role
//! loses permissions, another task sends requests with unaffected tokens; on PostgreSQL also on a second node.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use http::{Request, Response};
use http_body_util::Empty;
use keyward::authz::Fields;
use keyward::store::WriteStore;
use keyward::store::{NameScope, NewToken, TokenQuery, TokenSelection, Transaction};
use keyward::testing::SecretFormat;
use keyward::token::{HashKeyRing, OsEntropy, TokenAuthority, TokenKind, TokenPrefix};
use keyward::{
    Grant, HashKey, Keyward, NewAdminToken, NewOwner, NewRole, OwnerId, Permission, PostgresStore, RoleId, SqliteStore,
    authenticated,
};
use keyward_test_support::postgres;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

const HASH_KEY: &str = "Vd3kQ9sLx0Zt7BpY2mHc8RfJ5wNgA1uE";
const PEOPLE: usize = 1_000;
const TOKENS_EACH: usize = 100;

fn main() {
    // `cargo test --benches` also runs this program, without `--bench`. There is nothing to test.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("life.db")).await.unwrap();
        run("SQLite", store, None).await;
        match postgres::Server::find_or_start() {
            Ok(server) => {
                let (first, second) = (PostgresStore::connect(server.url()), PostgresStore::connect(server.url()));
                run("PostgreSQL", first.await.unwrap(), Some(second.await.unwrap())).await;
            }
            Err(error) => println!("\nSKIPPED: PostgreSQL. {error}"),
        }
    });
}

struct World {
    keyward: Keyward,
    /// A second node, if the engine supports several.
    other: Option<Keyward>,
    format: SecretFormat,
    /// The number of names given so far, which makes each name unique.
    names: usize,
}

async fn run<S: WriteStore>(engine: &str, store: S, other: Option<S>) {
    let node =
        |store| Keyward::builder(store).hash_key(HashKey::parse(HASH_KEY).unwrap()).admin("/admin").build().unwrap();
    let (keyward, other) = (node(store), other.map(node));
    let format = SecretFormat::new(&TokenPrefix::default(), HashKeyRing::parse(HASH_KEY).unwrap());
    let mut world = World { keyward, other, format, names: 0 };
    let all = || ["read", "write", "drop"].map(|a| Permission::new(a).on("article")).to_vec();
    let role = world.keyward.roles().create(NewRole::new("many").permissions(all())).await.unwrap().id;
    let other = world.keyward.roles().create(NewRole::new("other").permissions(all())).await.unwrap().id;
    world.insert_people(role, PEOPLE, TOKENS_EACH).await;
    let unaffected = world.insert_people(other, 10, 100).await;
    println!("\n| on {engine} | took | budget |\n| --- | --: | --: |");

    let mut idle = Vec::new();
    // The first round looks every token up.
    for seconds in [0, 2] {
        for node in [Some(&world.keyward), world.other.as_ref()].into_iter().flatten() {
            let (never, span) = (Arc::new(AtomicBool::new(false)), Duration::from_secs(seconds));
            idle = World::measure_requests(node, &unaffected, never, Some(span)).await;
        }
    }
    for (name, remaining) in [
        ("a role of 1 000 people with 100 000 tokens loses a permission: 100 000 grants are clamped", 2),
        ("the same again: 100 000 grants are clamped", 1),
    ] {
        let stop = Arc::new(AtomicBool::new(false));
        let requests = World::measure_requests(&world.keyward, &unaffected, stop.clone(), None);
        let others = async {
            match &world.other {
                Some(other) => Some(World::measure_requests(other, &unaffected, stop.clone(), None).await),
                None => None,
            }
        };
        let roles = world.keyward.roles();
        let permissions = all()[..remaining].to_vec();
        let clamp = async {
            let began = Instant::now();
            roles.set_permissions(role, permissions).await.unwrap();
            let took = began.elapsed();
            stop.store(true, Ordering::SeqCst);
            took
        };
        let (took, busy, others) = tokio::join!(clamp, requests, others);
        print_time(name, took, "3 s");
        println!(
            "| meanwhile, p99 of a request with an unaffected token ({} requests; p50 {:?}) | {:.1} µs ({:.1} µs without such a change) | |",
            busy.len(),
            quantile(&busy, 0.5),
            quantile(&busy, 0.99).as_secs_f64() * 1e6,
            quantile(&idle, 0.99).as_secs_f64() * 1e6
        );
        if let Some(others) = others {
            let p99 = quantile(&others, 0.99).as_secs_f64() * 1e6;
            println!("| the same on another node ({} requests) | {p99:.1} µs | |", others.len());
        }
    }
    let began = Instant::now();
    world
        .keyward
        .roles()
        .set_permissions(role, {
            let mut p = all()[..1].to_vec();
            p.push(Permission::new("new"));
            p
        })
        .await
        .unwrap();
    print_time("the role grows: nothing is clamped", began.elapsed(), "");

    let selection = TokenSelection { role: Some(role), ..TokenSelection::default() };
    let tokens = world.keyward.tokens();
    let began = Instant::now();
    let preview = tokens.preview_revoke_all(&selection).await.unwrap();
    print_time("preview the revocation of all tokens of a role: 100 000", began.elapsed(), "");
    let began = Instant::now();
    assert_eq!(tokens.revoke_all(&selection, &preview).await.unwrap(), (PEOPLE * TOKENS_EACH) as u64);
    print_time("revoke all tokens of a role: 100 000", began.elapsed(), "3 s");

    let mut owners = Vec::new();
    for _ in 0..5 {
        owners.push(world.insert_person(other, 500).await.0);
    }
    let mut took = Vec::new();
    for owner in owners {
        let began = Instant::now();
        world.keyward.owners().delete(owner).await.unwrap();
        took.push(began.elapsed());
    }
    took.sort();
    print_time("delete an owner with 500 tokens (median of 5)", took[2], "50 ms");

    let (owner, _) = world.insert_person(other, 0).await;
    let mut took = Vec::new();
    for n in 0..200 {
        let grants = [Grant::new("read").on("article").fields(Fields::only(["title"]).unwrap())];
        let began = Instant::now();
        world
            .keyward
            .tokens()
            .issue_admin(NewAdminToken::new(format!("created {n}"), owner).grants(grants))
            .await
            .unwrap();
        took.push(began.elapsed());
    }
    took.sort();
    print_time("issue a token (median of 200)", took[100], "");

    let (owner, _) = world.insert_person(other, 10_000).await;
    let tokens = world.keyward.tokens().acting_as(keyward::admin::Actor::Person(owner));
    let began = Instant::now();
    let listed = tokens.list(&TokenQuery::of(TokenKind::Admin)).await.unwrap();
    print_time("list a page of 10 000 tokens of one owner, with owner and conditions", began.elapsed(), "");
    assert_eq!((listed.items.len(), listed.total), (100, 10_000));
}

fn print_time(name: &str, took: Duration, budget: &str) {
    println!("| {name} | {:.1} ms | {budget} |", took.as_secs_f64() * 1e3);
}

fn quantile(sorted: &[Duration], part: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

impl World {
    async fn insert_people(&mut self, role: RoleId, people: usize, tokens: usize) -> Vec<String> {
        let mut secrets = Vec::new();
        let mut tx = self.keyward.store().begin().await.unwrap();
        for _ in 0..people {
            secrets.extend(self.insert_person_in(&mut tx, role, tokens).await.1);
        }
        tx.commit(&[]).await.unwrap();
        secrets
    }

    async fn insert_person(&mut self, role: RoleId, tokens: usize) -> (OwnerId, Vec<String>) {
        let mut tx = self.keyward.store().begin().await.unwrap();
        let person = self.insert_person_in(&mut tx, role, tokens).await;
        tx.commit(&[]).await.unwrap();
        person
    }

    /// Inserts a person with tokens directly: the services would commit each one to the disk.
    async fn insert_person_in(
        &mut self,
        tx: &mut Box<dyn Transaction>,
        role: RoleId,
        tokens: usize,
    ) -> (OwnerId, Vec<String>) {
        self.names += 1;
        let new = NewOwner::new(format!("person-{}@example.test", self.names)).roles([role]);
        let owner = tx.insert_owner(new).await.unwrap();
        let mut secrets = Vec::new();
        for _ in 0..tokens {
            self.names += 1;
            let issued = self.format.issue(TokenKind::Admin, &OsEntropy).unwrap();
            let fields = Fields::only(["title", "body"]).unwrap();
            let grants = vec![
                Grant::new("read").on("article"),
                Grant::new("write").on("article").fields(fields),
                Grant::new("drop").on("article"),
            ];
            let new = NewToken {
                name: format!("token {}", self.names),
                scope: NameScope::Installation,
                description: String::new(),
                metadata: None,
                digest: issued.digest,
                hash_key: issued.hash_key,
                hint: issued.secret.hint().to_owned(),
                lifespan: None,
                authority: TokenAuthority::Admin { owner, grants },
                limits: keyward::token::TokenLimits::none(),
                parent: None,
            };
            tx.insert_token(new).await.unwrap();
            secrets.push(issued.secret.expose().to_owned());
        }
        (owner, secrets)
    }

    /// Sends requests one after another until `stop` is set or for this time, and returns their times, sorted.
    async fn measure_requests(
        keyward: &Keyward,
        secrets: &[String],
        stop: Arc<AtomicBool>,
        span: Option<Duration>,
    ) -> Vec<Duration> {
        let inner = service_fn(|_: Request<Empty<bytes::Bytes>>| async {
            Ok::<_, Infallible>(Response::new(http_body_util::Full::<bytes::Bytes>::default()))
        });
        let service = keyward.wrap(keyward::Require::new(authenticated()).layer(inner));
        let secrets = secrets.to_vec();
        let requests = tokio::spawn(async move {
            let (began, mut took) = (Instant::now(), Vec::new());
            loop {
                for secret in secrets.iter().take(100) {
                    let request = Request::get("/admin/x").header("authorization", format!("Bearer {secret}"));
                    let request = request.body(Empty::new()).unwrap();
                    let at = Instant::now();
                    let response = service.clone().oneshot(request).await.unwrap();
                    took.push(at.elapsed());
                    assert_eq!(response.status(), 200);
                }
                if stop.load(Ordering::SeqCst) || span.is_some_and(|s| began.elapsed() >= s) {
                    break took;
                }
                tokio::task::yield_now().await;
            }
        });
        let mut took = requests.await.unwrap();
        took.sort();
        took
    }
}
