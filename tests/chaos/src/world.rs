//! People, roles and tokens, their changes, and the clients that send requests all the time.

use crate::BoxError;
use crate::client::{Answer, Client};
use crate::history::{ChangeId, Decision, History, NodeId, Outcome, TokenId, Verdict};
use crate::node::{PATH, READ, SALT, limits, session_of};
use crate::thing::{Deed, Switch, Target, Thing, tokens_of};
use http::Method;
use keyward::admin::{IssuedToken, Lifespan, Password};
use keyward::{Grant, HashKey, Keyward, NewAdminToken, NewOwner, NewRole, OwnerId, Permission, PostgresStore, RoleId};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::RwLock;

/// How long a changed token is requested more often than others: longer than any bound.
const RECENTLY: Duration = Duration::from_secs(5);
/// The number of tokens and people to change: so many that most stay unchanged for longer than the bound.
const OWN: usize = 60;
const PEOPLE: usize = 40;
const BY_HAND: usize = 15;

/// The shared state of all clients.
pub(crate) struct World {
    pub(crate) nodes: Vec<SocketAddr>,
    client: Client,
    /// The session of a super admin.
    session: String,
    session_token: TokenId,
    /// A token that is never changed.
    anchor: Target,
    known: Mutex<Known>,
    /// Locked exclusively to have no change under way.
    pub(crate) quiet: RwLock<()>,
    pub(crate) stopped: AtomicBool,
    names: AtomicU64,
    keyward: Keyward,
    url: String,
    root: OwnerId,
}

struct Known {
    history: History,
    targets: Vec<Target>,
    recent: Vec<(Target, Instant)>,
    things: Vec<Thing>,
    /// Records that are changed with SQL and by no node.
    by_hand: Vec<Thing>,
    doubtful: Vec<Doubtful>,
    /// Unexpected responses.
    odd: Vec<String>,
}

/// A change without a response.
struct Doubtful {
    thing: Thing,
    deed: Deed,
    change: ChangeId,
    by_hand: bool,
}

/// The state recorded with a backup.
pub(crate) struct Remembered {
    passing: Vec<TokenId>,
    things: Vec<Thing>,
    by_hand: Vec<Thing>,
    targets: Vec<Target>,
}

impl World {
    /// `url` is the database's address without a failing network.
    pub(crate) async fn make(url: &str, nodes: Vec<SocketAddr>, strict: bool) -> Result<Self, BoxError> {
        let limits = limits(strict);
        let store = PostgresStore::connect(url).await?;
        let keyward = Keyward::builder(store).hash_key(HashKey::parse(SALT)?).limits(limits).admin("/admin").build()?;
        let root = NewOwner::new("root@example.test").named("Root", "").roles([RoleId::SUPER_ADMIN]);
        let root = keyward.owners().create(root).await?.id;
        keyward.owners().set_password(root, Password::new("Passw0rd!")).await?;
        let session = keyward.tokens().open_session(session_of(root)).await?.secret.expose().to_owned();
        let mut history = History::new(limits.max_staleness);
        let began = now();
        let session_token = history.token(true, began);
        let anchor = NewAdminToken::new("anchor", root).grants([Grant::new(READ)]).lifespan(Lifespan::Unlimited);
        let anchor = keyward.tokens().issue_admin(anchor).await?;
        let anchor = Target { token: history.token(true, began), secret: anchor.secret.expose().into() };
        let targets = vec![anchor.clone()];
        let known =
            Known { history, targets, recent: vec![], things: vec![], by_hand: vec![], doubtful: vec![], odd: vec![] };
        let world = Self {
            nodes,
            client: Client::new(),
            session,
            session_token,
            anchor,
            known: Mutex::new(known),
            quiet: RwLock::default(),
            stopped: AtomicBool::new(false),
            names: AtomicU64::new(0),
            keyward,
            url: url.to_owned(),
            root,
        };
        world.add(OWN, PEOPLE, 0).await?;
        let mut known = world.known();
        let Known { things, by_hand, .. } = &mut *known;
        by_hand.extend(things.extract_if(.., |thing| matches!(thing, Thing::Person { .. })).take(BY_HAND));
        drop(known);
        Ok(world)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, what: &str) -> String {
        format!("{what} {}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates more records, past all nodes.
    pub(crate) async fn add(&self, own: usize, people: usize, roles: usize) -> Result<(), BoxError> {
        for _ in 0..own {
            let issued = self.issue(self.root).await?;
            let target = self.target(&issued);
            self.known().things.push(Thing::Own { id: issued.token.id.0, targets: vec![target], off: None });
        }
        for n in 0..people + roles {
            let role = NewRole::new(self.name("role")).permissions([Permission::new(READ)]);
            let role = self.keyward.roles().create(role).await?.id;
            let email = format!("{}@example.test", self.name("person").replace(' ', ""));
            let owner = self.keyward.owners().create(NewOwner::new(email).roles([role])).await?.id;
            let mut targets = Vec::new();
            for _ in 0..2 {
                targets.push(self.target(&self.issue(owner).await?));
            }
            let thing = match n < people {
                true => Thing::Person { id: owner.0, targets, active: true },
                false => Thing::Role { id: role.0, targets },
            };
            self.known().things.push(thing);
        }
        Ok(())
    }

    async fn issue(&self, owner: OwnerId) -> Result<IssuedToken, BoxError> {
        let new = NewAdminToken::new(self.name("token"), owner).grants([Grant::new(READ)]);
        Ok(self.keyward.tokens().issue_admin(new.lifespan(Lifespan::Unlimited)).await?)
    }

    fn target(&self, issued: &IssuedToken) -> Target {
        self.known().add_target(issued.secret.expose().into(), now())
    }

    /// Sends requests to a node all the time, most often for recently changed tokens.
    pub(crate) async fn probe(self: Arc<Self>, node: NodeId, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        while !self.stopped.load(Ordering::Relaxed) {
            let target = self.known().pick(&mut random);
            // A client that waits for one token observes no other.
            let asked = tokio::time::timeout(Duration::from_millis(200), self.ask(node, &target));
            let verdict = asked.await.unwrap_or(Verdict::Silence);
            let pause = if verdict == Verdict::Silence { 20 } else { 1 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn ask(&self, node: NodeId, target: &Target) -> Verdict {
        let begins = now();
        let answer = self.client.get(self.nodes[node], PATH, &target.secret).await;
        let ends = now();
        let verdict = self.verdict(answer.map(|answer| answer.status));
        self.known().history.decided(Decision { token: target.token, node, begins, ends, verdict });
        verdict
    }

    fn verdict(&self, status: Option<u16>) -> Verdict {
        match status {
            Some(200..=299) => Verdict::Passed,
            Some(401 | 403) => Verdict::Denied,
            Some(503) => Verdict::Unavailable,
            None => Verdict::Silence,
            Some(other) => {
                self.known().odd.push(format!("a request was answered {other}"));
                Verdict::Silence
            }
        }
    }

    /// Returns whether each node accepts the token that is never changed.
    pub(crate) async fn all_back(&self) -> bool {
        for node in 0..self.nodes.len() {
            if self.ask(node, &self.anchor).await != Verdict::Passed {
                return false;
            }
        }
        true
    }

    /// Makes changes at a node, one after another.
    pub(crate) async fn change(self: Arc<Self>, node: NodeId, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        while !self.stopped.load(Ordering::Relaxed) {
            let going = self.quiet.read().await;
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            if random.u8(..8) == 0 {
                self.issue_at(node).await;
            } else {
                self.change_one(node, &mut random).await;
            }
            drop(going);
            tokio::time::sleep(Duration::from_millis(random.u64(5..60))).await;
        }
    }

    /// Makes one random change at this node.
    pub(crate) async fn change_one(&self, node: NodeId, random: &mut fastrand::Rng) {
        let thing = {
            let mut known = self.known();
            if known.things.is_empty() {
                return;
            }
            let chosen = random.usize(..known.things.len());
            known.things.swap_remove(chosen)
        };
        let deed = match &thing {
            Thing::Person { active, .. } => Deed::Switch { active: !active },
            Thing::Role { .. } => Deed::Shrink,
            Thing::Own { off: Some(switch), .. } => Deed::Turn { switch: *switch, on: true },
            Thing::Own { off: None, targets, .. } => match random.u8(..12) {
                0 => Deed::Revoke,
                1 => Deed::Regenerate,
                2 | 3 => Deed::Rotate,
                4..=7 if targets.len() > 1 => Deed::EndGrace,
                8 => Deed::Turn { switch: Switch::Enabled, on: false },
                9 => Deed::Turn { switch: Switch::Networks, on: false },
                _ => Deed::Turn { switch: Switch::Grants, on: false },
            },
        };
        let (method, path, body) = deed.request(&thing);
        let passes = matches!(deed, Deed::Switch { active: true } | Deed::Turn { on: true, .. });
        let affected = tokens_of(deed.affected(&thing));
        let asked = now();
        let change = self.known().begin(deed.affected(&thing), passes, Some(node), asked);
        let answer = self.client.send(method, self.nodes[node], &path, &self.session, &body).await;
        let answered = now();
        self.note_change(node, asked, answered, answer.as_ref().map(|answer| answer.status));
        match answer {
            Some(answer) if (200..300).contains(&answer.status) => {
                let mut known = self.known();
                known.history.settle(&affected, change, Outcome::Acknowledged(answered));
                let key = answer.body["data"]["accessKey"].as_str().map(Into::into);
                let is_new = matches!(deed, Deed::Regenerate | Deed::Rotate);
                let new_key = key.filter(|_| is_new).map(|key| known.add_target(key, asked));
                known.things.extend(deed.done(thing, new_key));
            }
            answer => {
                if let Some(Answer { status, .. }) = answer.filter(|answer| answer.status < 500) {
                    self.known().odd.push(format!("{deed:?} was answered {status}"));
                }
                self.known().doubtful.push(Doubtful { thing, deed, change, by_hand: false });
                // Wait before a retry.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    /// Changes rows with SQL, independently of the nodes.
    pub(crate) async fn change_by_hand(self: Arc<Self>, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        while !self.stopped.load(Ordering::Relaxed) {
            let going = self.quiet.read().await;
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let thing = self.known().by_hand.pop();
            if let Some(Thing::Person { id, targets, active }) = thing {
                self.switch_by_hand(Thing::Person { id, targets, active }, id, !active).await;
            }
            drop(going);
            // Each such change makes all nodes drop their caches: if they were more frequent, no entry would become stale.
            tokio::time::sleep(Duration::from_millis(random.u64(1000..3000))).await;
        }
    }

    async fn switch_by_hand(&self, thing: Thing, id: i64, active: bool) {
        let change = self.known().begin(thing.targets(), active, None, now());
        let deed = Deed::Switch { active };
        let done = async {
            let state = if active { "active" } else { "deactivated" };
            let switch = sqlx::query("UPDATE public.keyward_owner SET state = $2 WHERE id = $1").bind(id).bind(state);
            switch.execute(&mut PgConnection::connect(&self.url).await?).await
        };
        match done.await {
            Ok(_) => {
                let mut known = self.known();
                known.history.settle(&thing.tokens(), change, Outcome::Acknowledged(now()));
                known.put_back_by_hand(deed.done(thing, None));
            }
            Err(_) => self.known().doubtful.push(Doubtful { thing, deed, change, by_hand: true }),
        }
    }

    async fn issue_at(&self, node: NodeId) {
        let body = json!({"name": self.name("token"), "lifespan": null, "adminPermissions": [{"action": READ}]});
        let (asked, path) = (now(), "/admin/admin-tokens");
        let answer = self.client.send(Method::POST, self.nodes[node], path, &self.session, &body).await;
        self.note_change(node, asked, now(), answer.as_ref().map(|answer| answer.status));
        let Some(answer) = answer.filter(|answer| answer.status == 201) else { return };
        let (id, key) = (answer.body["data"]["id"].as_i64(), answer.body["data"]["accessKey"].as_str());
        if let (Some(id), Some(key)) = (id, key) {
            let mut known = self.known();
            let target = known.add_target(key.into(), asked);
            known.things.push(Thing::Own { id, targets: vec![target], off: None });
        }
    }

    /// A change is a request, too, with a session that is never changed.
    fn note_change(&self, node: NodeId, begins: Instant, ends: Instant, status: Option<u16>) {
        let verdict = match status {
            Some(401 | 403) => Verdict::Denied,
            Some(503) => Verdict::Unavailable,
            Some(_) => Verdict::Passed,
            None => Verdict::Silence,
        };
        self.known().history.decided(Decision { token: self.session_token, node, begins, ends, verdict });
    }

    /// Finds the outcomes of changes without a response. Nodes must have finished them.
    pub(crate) async fn settle(&self) -> Result<usize, BoxError> {
        let doubtful = std::mem::take(&mut self.known().doubtful);
        let mut connection = PgConnection::connect(&self.url).await?;
        let many = doubtful.len();
        for Doubtful { thing, deed, change, by_hand } in doubtful {
            let mut tx = connection.begin().await?;
            // The transaction has ended, committed or not.
            sqlx::query("SELECT seq FROM public.keyward_epoch WHERE id = 1 FOR UPDATE").execute(&mut *tx).await?;
            let happened = deed.happened(&thing, &mut tx).await?;
            let seen = now();
            tx.commit().await?;
            let mut known = self.known();
            let outcome = if happened { Outcome::Seen(seen) } else { Outcome::Never };
            known.history.settle(&tokens_of(deed.affected(&thing)), change, outcome);
            match (happened, &deed) {
                (false, _) if by_hand => known.put_back_by_hand(Some(thing)),
                (true, _) if by_hand => known.put_back_by_hand(deed.done(thing, None)),
                (false, _) => known.things.push(thing),
                // Its new secret was lost.
                (true, Deed::Regenerate | Deed::Rotate) => {}
                (true, _) => known.things.extend(deed.done(thing, None)),
            }
        }
        Ok(many)
    }

    /// Checks every token at every node and returns how many differ from the acknowledged state.
    pub(crate) async fn lost(&self) -> usize {
        let targets = self.known().targets.clone();
        let mut lost = 0;
        for target in targets {
            for node in 0..self.nodes.len() {
                let mut verdict = self.ask(node, &target).await;
                // Retry after a 503.
                for _ in 0..20 {
                    if !matches!(verdict, Verdict::Unavailable | Verdict::Silence) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    verdict = self.ask(node, &target).await;
                }
                let expected = self.known().history.passes(target.token).map(|passes| match passes {
                    true => Verdict::Passed,
                    false => Verdict::Denied,
                });
                if let Some(expected) = expected.filter(|expected| *expected != verdict) {
                    let turns = self.known().history.describe_turns(target.token);
                    let said = format!(
                        "token {} is {verdict:?} at node {}, and has to be {expected:?}: {turns}",
                        target.token,
                        node + 1
                    );
                    self.known().odd.push(said);
                    lost += 1;
                }
            }
        }
        lost
    }

    pub(crate) fn findings(&self) -> (crate::history::Findings, Vec<String>) {
        let mut known = self.known();
        // Tokens that ended for good are dropped.
        let Known { history, targets, things, by_hand, .. } = &mut *known;
        let findings = history.findings();
        let changing: Vec<TokenId> = things.iter().chain(&*by_hand).flat_map(Thing::tokens).collect();
        targets.retain(|target| history.passes(target.token) == Some(true) || changing.contains(&target.token));
        (findings, std::mem::take(&mut known.odd))
    }

    /// Returns the state for a backup made now. No outcome may be unknown.
    pub(crate) fn remember(&self) -> Remembered {
        let known = self.known();
        let passing = known.history.tokens().filter(|token| known.history.passes(*token) == Some(true)).collect();
        let (things, by_hand) = (known.things.clone(), known.by_hand.clone());
        Remembered { passing, things, by_hand, targets: known.targets.clone() }
    }

    /// Records that the store was restored to that state between these two moments.
    pub(crate) fn set_back(&self, to: Remembered, begun: Instant, done: Instant) {
        let mut known = self.known();
        let tokens: Vec<TokenId> = known.history.tokens().collect();
        for passes in [true, false] {
            let of = |token: &TokenId| to.passing.contains(token) == passes;
            let turned = |token: &TokenId| known.history.passes(*token) != Some(passes);
            let turned: Vec<TokenId> = tokens.iter().copied().filter(|token| of(token) && turned(token)).collect();
            let change = known.history.ask(&turned, passes, None, begun);
            known.history.settle(&turned, change, Outcome::Seen(done));
        }
        for target in to.targets {
            if !known.targets.iter().any(|known| known.token == target.token) {
                known.targets.push(target);
            }
        }
        let all: Vec<_> = known.targets.iter().map(|target| (target.clone(), done)).collect();
        known.recent = all;
        (known.things, known.by_hand) = (to.things, to.by_hand);
    }
}

impl Known {
    /// Appends it behind the others, so that each has its turn.
    fn put_back_by_hand(&mut self, thing: Option<Thing>) {
        self.by_hand.splice(..0, thing);
    }

    fn add_target(&mut self, secret: Arc<str>, since: Instant) -> Target {
        let target = Target { token: self.history.token(true, since), secret };
        self.targets.push(target.clone());
        self.recent.push((target.clone(), since));
        target
    }

    fn pick(&mut self, random: &mut fastrand::Rng) -> Target {
        let since = now();
        self.recent.retain(|(_, changed)| since - *changed < RECENTLY);
        if !self.recent.is_empty() && random.u8(..10) < 7 {
            return self.recent[random.usize(..self.recent.len())].0.clone();
        }
        self.targets[random.usize(..self.targets.len())].clone()
    }

    fn begin(&mut self, targets: &[Target], passes: bool, node: Option<NodeId>, asked: Instant) -> ChangeId {
        self.recent.extend(targets.iter().map(|target| (target.clone(), asked)));
        self.history.ask(&tokens_of(targets), passes, node, asked)
    }
}

#[allow(clippy::disallowed_methods, reason = "it measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
