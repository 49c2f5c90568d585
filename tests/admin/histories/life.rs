//! Random lives of keys: rotations with grace periods, tokens that tokens make, switches, clamps and time. An oracle, which knows no
//! effective permission and no expiry of a child, says of each secret that was ever made whether it is admitted, and for which actions
//! (token-gains-nothing, next-request, never-more-than-owner).

use crate::histories::in_file;
use keyward::admin::TokenUpdate;
use keyward::store::WriteStore;
use keyward::testing::{App, World};
use keyward::token::TokenId;
use keyward::{
    Grant, GuardedRouter, NewAdminToken, NewOwner, NewRole, OwnerId, Permission, RoleId, action, api, authenticated,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const ACTIONS: [&str; 3] = ["one", "two", "three"];
const MINUTE: u64 = 60;

/// Grants by action: none, held, delegable.
type Grants = [u8; 3];

#[derive(Clone, Debug)]
enum Step {
    Issue(Grants),
    /// Over HTTP, by one of all secrets.
    Child {
        by: usize,
        grants: Grants,
        minutes: u64,
    },
    Regenerate {
        token: usize,
        grace: u64,
    },
    /// Over HTTP, by one of all secrets.
    RegenerateSelf {
        by: usize,
        grace: u64,
    },
    EndGrace(usize),
    Revoke(usize),
    SetGrants(usize, Grants),
    Enable(usize, bool),
    SetRole([bool; 3]),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let grants = || prop::array::uniform3(0u8..3);
    let grace = || prop_oneof![Just(0), Just(5), Just(30), Just(90)];
    prop_oneof![
        2 => grants().prop_map(Step::Issue),
        5 => (any::<usize>(), grants(), 1u64..120).prop_map(|(by, grants, minutes)| Step::Child { by, grants, minutes }),
        3 => (any::<usize>(), grace()).prop_map(|(token, grace)| Step::Regenerate { token, grace }),
        2 => (any::<usize>(), grace()).prop_map(|(by, grace)| Step::RegenerateSelf { by, grace }),
        1 => any::<usize>().prop_map(Step::EndGrace),
        1 => any::<usize>().prop_map(Step::Revoke),
        1 => (any::<usize>(), grants()).prop_map(|(token, grants)| Step::SetGrants(token, grants)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(token, on)| Step::Enable(token, on)),
        1 => prop::array::uniform3(prop::bool::weighted(0.7)).prop_map(Step::SetRole),
        2 => (1u64..40).prop_map(Step::Pass),
    ]
}

/// What the oracle knows of a token.
struct Token {
    id: TokenId,
    grants: Grants,
    enabled: bool,
    revoked: bool,
    /// The second from which it is expired.
    expires: Option<u64>,
    /// The secret that made it.
    made_by: Option<usize>,
}

struct Secret {
    text: String,
    token: usize,
    /// The second from which it is not admitted; `None` for the present one.
    ends: Option<u64>,
}

#[derive(Default)]
struct Oracle {
    now: u64,
    role: [bool; 3],
    tokens: Vec<Token>,
    secrets: Vec<Secret>,
}

impl Oracle {
    fn is_valid(&self, secret: usize) -> bool {
        self.secrets[secret].ends.is_none_or(|ends| self.now < ends)
    }

    /// A token exists until it, or what made it, was revoked or has ended.
    fn exists(&self, token: usize) -> bool {
        let Token { revoked, made_by, .. } = &self.tokens[token];
        !revoked && made_by.is_none_or(|by| self.is_valid(by) && self.exists(self.secrets[by].token))
    }

    fn is_alive(&self, token: usize) -> bool {
        let Token { enabled, expires, made_by, .. } = &self.tokens[token];
        *enabled
            && self.exists(token)
            && expires.is_none_or(|expires| self.now < expires)
            && made_by.is_none_or(|by| self.is_alive(self.secrets[by].token))
    }

    fn admits(&self, secret: usize) -> bool {
        self.is_valid(secret) && self.is_alive(self.secrets[secret].token)
    }

    /// Whether the token may do this action itself, or pass it on.
    fn may(&self, token: usize, action: usize, delegate: bool) -> bool {
        let Token { grants, made_by, .. } = &self.tokens[token];
        grants[action] > u8::from(delegate)
            && made_by.map_or(self.role[action], |by| self.may(self.secrets[by].token, action, true))
    }

    fn present(&self, token: usize) -> Option<usize> {
        self.secrets.iter().position(|secret| secret.token == token && secret.ends.is_none())
    }

    fn add(&mut self, token: Token, text: String) {
        self.tokens.push(token);
        self.secrets.push(Secret { text, token: self.tokens.len() - 1, ends: None });
    }

    /// A token gets another secret.
    fn replace(&mut self, token: usize, grace: u64, text: String) {
        let now = self.now;
        for secret in self.secrets.iter_mut().filter(|secret| secret.token == token) {
            secret.ends = Some(secret.ends.map_or(now + grace * MINUTE, |ends| ends.min(now)));
        }
        self.secrets.push(Secret { text, token, ends: None });
    }

    fn generation(&self, token: usize) -> usize {
        self.tokens[token].made_by.map_or(0, |by| 1 + self.generation(self.secrets[by].token))
    }
}

struct Play<S> {
    world: World<S>,
    app: App,
    owner: OwnerId,
    role: RoleId,
    names: usize,
    oracle: Oracle,
}

fn grants(of: Grants) -> Vec<Grant> {
    let grant = |(level, action): (u8, &str)| match level {
        0 => None,
        1 => Some(Grant::new(action)),
        _ => Some(Grant::new(action).may_delegate()),
    };
    of.into_iter().zip(ACTIONS).filter_map(grant).collect()
}

fn sent(of: Grants) -> Value {
    let grant = |(level, action): (u8, &str)| match level {
        0 => None,
        level => Some(json!({"action": action, "mayDelegate": level == 2})),
    };
    of.into_iter().zip(ACTIONS).filter_map(grant).collect()
}

impl<S: WriteStore + Clone> Play<S> {
    async fn on(world: World<S>) -> Self {
        let routes = GuardedRouter::new()
            .get("/admin/any", authenticated(), || async {})
            .get("/admin/one", action("one"), || async {})
            .get("/admin/two", action("two"), || async {})
            .get("/admin/three", action("three"), || async {});
        let app = world.guard(routes.merge(api::router(&world.keyward)));
        let role = world.keyward.roles().create(NewRole::new("role").permissions(ACTIONS)).await.unwrap().id;
        let owner = NewOwner::new("ada@example.test").roles([role]);
        let owner = world.keyward.owners().create(owner).await.unwrap().id;
        Self { world, app, owner, role, names: 0, oracle: Oracle { role: [true; 3], ..Oracle::default() } }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("token {}", self.names)
    }

    async fn take(&mut self, step: Step) {
        let tokens = self.world.keyward.tokens();
        let count = self.oracle.tokens.len();
        match step {
            Step::Issue(of) => {
                let new = NewAdminToken::new(self.name(), self.owner).grants(grants(of));
                let fits = (0..3).all(|action| of[action] == 0 || self.oracle.role[action]);
                let issued = tokens.issue_admin(new.lifespan(keyward::admin::Lifespan::Unlimited)).await;
                assert_eq!(issued.is_ok(), fits, "{issued:?}");
                if let Ok(issued) = issued {
                    let id = issued.token.id;
                    let token = Token { id, grants: of, enabled: true, revoked: false, expires: None, made_by: None };
                    self.oracle.add(token, issued.secret.expose().to_owned());
                }
            }
            Step::Pass(minutes) => {
                self.world.clock.advance(Duration::from_secs(minutes * MINUTE));
                self.oracle.now += minutes * MINUTE;
            }
            Step::SetRole(role) => {
                let permissions =
                    ACTIONS.into_iter().zip(role).filter(|(_, held)| *held).map(|(a, _)| Permission::new(a));
                self.world.keyward.roles().set_permissions(self.role, permissions.collect()).await.unwrap();
                self.oracle.role = role;
                // What the owner loses, each token loses, and does not get back.
                for token in &mut self.oracle.tokens {
                    token.grants.iter_mut().zip(role).filter(|(_, held)| !held).for_each(|(level, _)| *level = 0);
                }
            }
            _ if count == 0 => {}
            Step::Child { by, grants: of, minutes } => self.make_child(by, of, minutes).await,
            Step::RegenerateSelf { by, grace } => {
                let by = by % self.oracle.secrets.len();
                let text = self.oracle.secrets[by].text.clone();
                let path = "/admin/admin-tokens/self/regenerate";
                let answer =
                    self.app.post(path).bearer(&text).json(&json!({"gracePeriod": grace * MINUTE * 1000})).await;
                let is_present = self.oracle.secrets[by].ends.is_none();
                let expected = if !self.oracle.admits(by) {
                    401
                } else if is_present {
                    201
                } else {
                    403
                };
                answer.assert_status(expected);
                if expected == 201 {
                    let text = answer.json()["data"]["accessKey"].as_str().unwrap().to_owned();
                    self.oracle.replace(self.oracle.secrets[by].token, grace, text);
                }
            }
            Step::Regenerate { token, grace } => {
                let token = token % count;
                let id = self.oracle.tokens[token].id;
                let done = tokens.regenerate_with_grace(id, Duration::from_secs(grace * MINUTE)).await;
                // What has expired may be there still, and may be swept.
                assert!(done.is_ok() || !self.oracle.is_alive(token) || !self.oracle.exists(token), "{done:?}");
                if let Ok(issued) = done {
                    self.oracle.replace(token, grace, issued.secret.expose().to_owned());
                }
            }
            Step::EndGrace(token) => {
                let token = token % count;
                let now = self.oracle.now;
                if tokens.end_grace(self.oracle.tokens[token].id).await.is_ok() {
                    let former = self.oracle.secrets.iter_mut().filter(|secret| secret.token == token);
                    former.filter_map(|secret| secret.ends.as_mut()).for_each(|ends| *ends = now.min(*ends));
                }
            }
            Step::Revoke(token) => {
                let token = token % count;
                let done = tokens.revoke(self.oracle.tokens[token].id).await;
                assert!(done.is_ok() || !self.oracle.is_alive(token), "{done:?}");
                self.oracle.tokens[token].revoked = true;
            }
            Step::SetGrants(token, of) => {
                let token = token % count;
                let update = TokenUpdate { grants: Some(grants(of)), ..TokenUpdate::default() };
                if tokens.update(self.oracle.tokens[token].id, update).await.is_ok() {
                    self.oracle.tokens[token].grants = of;
                }
            }
            Step::Enable(token, on) => {
                let token = token % count;
                let update = TokenUpdate { enabled: Some(on), ..TokenUpdate::default() };
                if tokens.update(self.oracle.tokens[token].id, update).await.is_ok() {
                    self.oracle.tokens[token].enabled = on;
                }
            }
        }
    }

    async fn make_child(&mut self, by: usize, of: Grants, minutes: u64) {
        let by = by % self.oracle.secrets.len();
        let (text, parent) = (self.oracle.secrets[by].text.clone(), self.oracle.secrets[by].token);
        let name = self.name();
        let body = json!({"name": name, "lifespan": minutes * MINUTE * 1000, "adminPermissions": sent(of)});
        let answer = self.app.post("/admin/admin-tokens/self/children").bearer(&text).json(&body).await;
        let oracle = &self.oracle;
        let expires = oracle.now + minutes * MINUTE;
        let is_too_long = oracle.tokens[parent].expires.is_some_and(|of_parent| expires > of_parent);
        let fits =
            (0..3).all(|action| of[action] == 0 || (oracle.tokens[parent].grants[action] == 2 && oracle.role[action]));
        let status = answer.status.as_u16();
        if !oracle.admits(by) {
            assert_eq!(status, 401, "{answer:?}");
        } else if oracle.secrets[by].ends.is_some()
            || oracle.generation(parent) >= 4
            || !oracle.tokens[parent].grants.contains(&2)
        {
            assert_eq!(status, 403, "{answer:?}");
        } else if !fits || is_too_long {
            assert_eq!(status, 400, "{answer:?}");
        } else if status == 400 {
            // Its parent ends with the secret that made it, before the expiry that the oracle knows.
            let bound = std::iter::successors(Some(parent), |token| {
                oracle.tokens[*token].made_by.map(|by| oracle.secrets[by].token)
            });
            let ends = bound.filter_map(|token| oracle.tokens[token].made_by.and_then(|by| oracle.secrets[by].ends));
            assert!(ends.min().is_some_and(|ends| expires > ends), "{answer:?}");
        } else {
            answer.assert_status(201);
            let data = answer.json()["data"].clone();
            let id = TokenId(data["id"].as_i64().unwrap());
            let expires = Some(expires);
            let token = Token { id, grants: of, enabled: true, revoked: false, expires, made_by: Some(by) };
            self.oracle.add(token, data["accessKey"].as_str().unwrap().to_owned());
        }
    }

    async fn check(&self) {
        for (n, secret) in self.oracle.secrets.iter().enumerate() {
            let admitted = self.oracle.admits(n);
            let answer = self.app.get("/admin/any").bearer(&secret.text).await;
            assert_eq!(answer.status.is_success(), admitted, "secret {n} of token {}: {answer:?}", secret.token);
            for (action, name) in ACTIONS.into_iter().enumerate() {
                let answer = self.app.get(&format!("/admin/{name}")).bearer(&secret.text).await;
                let may = admitted && self.oracle.may(secret.token, action, false);
                assert_eq!(answer.status.is_success(), may, "secret {n} of token {}: {answer:?}", secret.token);
            }
        }
        let present = (0..self.oracle.tokens.len()).filter_map(|token| self.oracle.present(token)).count();
        assert_eq!(present, self.oracle.tokens.len(), "each token has one present secret");
    }
}

async fn live<S: WriteStore + Clone>(world: World<S>, steps: Vec<Step>) {
    let mut play = Play::on(world).await;
    play.take(Step::Issue([2, 2, 1])).await;
    for step in steps {
        play.take(step).await;
        play.check().await;
    }
}

/// The policy lets a token be replaced as often as the histories do.
fn settings(builder: keyward::Builder) -> keyward::Builder {
    let mut policy = keyward::admin::Policy::default();
    policy.regenerations_per_hour = 1_000;
    builder.api("/admin").policy(policy).store_is_exclusive()
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn secrets_live_as_the_oracle_says_in_memory(steps in prop::collection::vec(step(), 1..40)) {
        run(async { live(World::with(settings), steps).await });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn secrets_live_as_the_oracle_says_in_a_file(steps in prop::collection::vec(step(), 1..30)) {
        run(async {
            let (_dir, world) = in_file().await;
            live(World::on(world.store.clone(), world.clock.clone(), settings), steps).await;
        });
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn secrets_live_as_the_oracle_says_in_postgres(steps in prop::collection::vec(step(), 1..30)) {
        run(async {
            if let Some(world) = crate::histories::in_postgres().await {
                live(World::on(world.store.clone(), world.clock.clone(), settings), steps).await;
            }
        });
    }
}
