//! Random histories: writers, followers and makers of notices on two nodes, each of which may be dropped at any await.

use super::{DAY, PATIENCE, Scene, log, on_every_store};
use futures_util::StreamExt;
use keyward::admin::{AuditAction, AuditLog, AuditTarget, Cursor, LifecycleChange, Lifespan};
use keyward::store::{Use, WriteStore};
use keyward::time::{Clock, Timestamp};
use keyward::token::{ContentAccess, TokenId};
use keyward::{Keyward, NewContentToken, NewRole};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

on_every_store!(Some(keyward::admin::Notices::default()) =>
    each_event_is_followed_once_in_order_whoever_crashes
    each_notice_is_made_once_whoever_crashes
);

/// A pseudo-random generator with a fixed seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Drops a future after it was polled this often and was not ready: a crash at one of its awaits.
struct CrashAfter<F> {
    future: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for CrashAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        match self.polls.checked_sub(1) {
            None => Poll::Ready(None),
            Some(left) => {
                self.polls = left;
                // Polled again, also if nothing happens.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

async fn crash_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    CrashAfter { future: Box::pin(future), polls }.await
}

/// Makes changes that are dropped half of the time. Returns the names of the roles whose creation was acknowledged.
async fn write(keyward: Keyward, name: String, mut dice: Dice) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0..15 {
        let (name, roles) = (format!("{name}/{n}"), keyward.roles());
        let create = roles.create(NewRole::new(name.clone()));
        let created = match dice.below(2) {
            0 => crash_after(dice.below(40), create).await,
            _ => Some(create.await),
        };
        match created {
            Some(created) => {
                let id = created.unwrap().id;
                acknowledged.push(name);
                if dice.below(2) == 0 {
                    roles.delete(id).await.unwrap();
                }
            }
            None => tokio::task::yield_now().await,
        }
    }
    acknowledged
}

/// Follows with crashes until it has handled the last event after the writers are done. Returns the ids that it handled.
async fn follow(keyward: Keyward, done: Arc<AtomicBool>, mut dice: Dice) -> Vec<i64> {
    let (mut handled, mut stored) = (Vec::new(), Cursor::start().to_string());
    loop {
        let mut events = keyward.audit().follow(stored.parse().unwrap());
        loop {
            let is_over = done.load(Ordering::SeqCst);
            let next = match dice.below(3) {
                0 => tokio::time::timeout(Duration::from_millis(20), events.next()).await.ok(),
                _ => crash_after(dice.below(400), events.next()).await,
            };
            let Some(event) = next else { break };
            let event = event.unwrap().unwrap();
            // What it did and the position are stored together.
            handled.push(event.id);
            stored = event.cursor.to_string();
            if is_over && keyward.audit().last_cursor().await.unwrap() == event.cursor {
                return handled;
            }
        }
        drop(events);
        tokio::task::yield_now().await;
        if done.load(Ordering::SeqCst) && handled.last() == log(&keyward).await.last().map(|(id, _)| id) {
            return handled;
        }
    }
}

async fn each_event_is_followed_once_in_order_whoever_crashes<S: WriteStore + Clone>(scene: Scene<S>) {
    let done = Arc::new(AtomicBool::new(false));
    let nodes = [scene.one.keyward.clone(), scene.two.keyward.clone()];
    let followers: Vec<_> =
        (0..4).map(|n| tokio::spawn(follow(nodes[n % 2].clone(), done.clone(), Dice(n as u64)))).collect();
    let writers: Vec<_> =
        (0..4).map(|n| tokio::spawn(write(nodes[n % 2].clone(), format!("{n}"), Dice(77 + n as u64)))).collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(tokio::time::timeout(PATIENCE, writer).await.unwrap().unwrap());
    }
    done.store(true, Ordering::SeqCst);
    // Calls that were dropped may still commit.
    scene.one.keyward.roles().create(NewRole::new("the last")).await.unwrap();
    let mut streams = Vec::new();
    for follower in followers {
        streams.push(tokio::time::timeout(PATIENCE, follower).await.unwrap().unwrap());
    }
    let log = scene.log().await;
    let ids: Vec<i64> = log.iter().map(|(id, _)| *id).collect();
    assert!(ids.len() > acknowledged.len());
    for stream in streams {
        let (seen, rest) = ids.split_at(stream.len().min(ids.len()));
        assert_eq!(stream, seen, "each event once, in the order of commits");
        // Only what was committed after the follower had caught up.
        assert!(rest.len() < 20, "{} events are missing", rest.len());
    }
    // Acknowledged changes have one event each.
    let created = log.iter().filter(|(_, event)| event.what == AuditAction::RoleCreated);
    let mut counts = BTreeMap::<&str, u32>::new();
    created.for_each(|(_, event)| *counts.entry(event.details["name"].as_str().unwrap()).or_default() += 1);
    assert!(acknowledged.iter().all(|name| counts[name.as_str()] == 1));
    assert!(counts.values().all(|count| *count == 1));
}

/// What the test knows of a token.
struct Known {
    created: Timestamp,
    expires: Timestamp,
    used: Option<Timestamp>,
}

/// The lead times of the notices in days: the default.
const LEADS: [u32; 3] = [7, 3, 1];

async fn each_notice_is_made_once_whoever_crashes<S: WriteStore + Clone>(scene: Scene<S>) {
    let mut dice = Dice(5);
    let nodes = [&scene.one.keyward, &scene.two.keyward];
    let mut tokens: BTreeMap<TokenId, Known> = BTreeMap::new();
    nodes[0].audit().write_notices().await.unwrap();
    for round in 0..60 {
        for n in 0..dice.below(3) {
            let days = 2 + dice.below(40) as u32;
            let new =
                NewContentToken::new(format!("{round}/{n}"), ContentAccess::ReadOnly).lifespan(Lifespan::days(days));
            let token = nodes[n % 2].tokens().issue_content(new).await.unwrap().token;
            tokens
                .insert(token.id, Known { created: token.created_at, expires: token.expires_at.unwrap(), used: None });
        }
        for (id, known) in &mut tokens {
            if dice.below(20) == 0 {
                let at = scene.clock.now();
                scene
                    .one
                    .store
                    .note_uses(&[Use {
                        token: *id,
                        digest: keyward::store::Digest::Native([0; 27]),
                        at,
                        address: None,
                        tool: None,
                    }])
                    .await
                    .unwrap();
                known.used = Some(at);
            }
        }
        if dice.below(6) == 0
            && let Some(id) = tokens.keys().copied().nth(dice.below(tokens.len().max(1)))
        {
            nodes[0].tokens().revoke(id).await.unwrap();
            tokens.remove(&id);
        }
        // Two nodes make notices at once. Either may crash at any await; what it has begun to commit may go on.
        let polls = [dice.below(300), dice.below(300)];
        let audits: [AuditLog; 2] = nodes.map(|node| node.audit());
        let audits = &audits;
        let made = |n: usize| match polls[n] % 3 {
            0 => futures_util::future::Either::Left(async move { Some(audits[n].write_notices().await) }),
            _ => futures_util::future::Either::Right(crash_after(polls[n], audits[n].write_notices())),
        };
        tokio::join!(made(0), made(1));
        // A crashed node keeps the lease for a minute. Days pass, or less, or no time.
        let pause = [Duration::ZERO, Duration::from_secs(50), Duration::from_secs(61), DAY / 2, 2 * DAY, 5 * DAY];
        scene.clock.advance(pause[dice.below(pause.len())]);
    }
    // A transaction of a dropped call may still run: one more after it, and then nobody has the lease.
    nodes[0].roles().create(NewRole::new("the last")).await.unwrap();
    scene.clock.advance(Duration::from_secs(61));
    nodes[1].audit().write_notices().await.unwrap();
    let now = scene.clock.now();
    assert_eq!(nodes[0].audit().write_notices().await.unwrap(), 0, "nothing is left to do");

    let mut notices: BTreeMap<TokenId, Vec<(Timestamp, LifecycleChange)>> = BTreeMap::new();
    for event in super::follow_to_end(nodes[0], Cursor::start()).await {
        if let AuditTarget::Token(id, _) = event.event.target
            && tokens.contains_key(&id)
            && matches!(
                event.event.what,
                AuditAction::TokenExpiring | AuditAction::TokenIdle | AuditAction::TokenUnused
            )
        {
            notices.entry(id).or_default().push((event.event.at, event.change));
        }
    }
    let mut count = 0;
    for (id, known) in &tokens {
        let of_token = notices.remove(id).unwrap_or_default();
        count += of_token.len();
        check(known, &of_token, now);
    }
    assert!(count > 40, "the test has notices: {count}");
}

/// Checks the notices of a token by their rules, one by one.
fn check(known: &Known, notices: &[(Timestamp, LifecycleChange)], now: Timestamp) {
    let (mut leads, mut unused, mut idle) = (Vec::new(), 0, BTreeSet::new());
    for (at, notice) in notices {
        match notice {
            LifecycleChange::TokenExpiring { expires_at, lead_time, .. } => {
                assert_eq!(*expires_at, known.expires);
                let lead = *lead_time;
                assert!(at.plus(lead) >= known.expires, "not before its time");
                assert!(known.created.plus(lead) < known.expires, "not about the whole life of the token");
                // It was the nearest one when it was made.
                // It was looked for within the term of a lease before.
                let looked = Timestamp(at.0 - 60_000);
                let nearer = |other: &u32| *other * DAY < lead && looked.plus(*other * DAY) >= known.expires;
                assert!(!LEADS.iter().any(nearer), "{lead:?} at {at}, which expires at {}", known.expires);
                leads.push(lead);
            }
            LifecycleChange::TokenUnused { created_at, .. } => {
                assert_eq!(*created_at, known.created);
                assert!(created_at.plus(30 * DAY) <= *at && *at < known.expires);
                unused += 1;
            }
            LifecycleChange::TokenIdle { last_used_at, .. } => {
                assert!(last_used_at.plus(90 * DAY) <= *at && *at < known.expires);
                assert!(idle.insert(*last_used_at), "once for each use");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(leads.is_sorted_by(|one, next| one > next), "each once, and no longer one after a shorter one: {leads:?}");
    assert!(unused <= 1);
    // Nothing is left out in the end.
    let due = LEADS
        .iter()
        .map(|days| *days * DAY)
        .filter(|lead| now.plus(*lead) >= known.expires && known.created.plus(*lead) < known.expires);
    assert_eq!(due.min(), leads.last().copied(), "the last notice is the nearest one");
    if known.used.is_none() && known.created.plus(30 * DAY) <= now && now < known.expires {
        assert_eq!(unused, 1);
    }
}
