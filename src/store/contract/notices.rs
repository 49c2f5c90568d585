//! The audit log in the order of commits, leases, and notices about tokens.

use super::Backend;
use super::clamping::Dice;
use super::fixtures::{AWKWARD, admin, begin, commit, event, owner, session, token, view};
use crate::domain::{AuditAction, AuditEvent, ContentAccess, Digest, Timestamp, TokenAuthority, TokenId, TokenKind};
use crate::store::{AuditBounds, Lease, NewToken, Notice, NoticeQuery, NoticeReason, TokenTimes, Use};
use futures_util::future::{join, join_all};
use std::cell::Cell;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A reader that goes on after the last event that it has seen misses none and sees none twice, whatever writers do meanwhile.
pub(super) async fn events_are_read_in_the_order_of_commits<S: Backend>(store: &S) {
    const WRITERS: usize = 6;
    let finished = Cell::new(0);
    let write = async |n: usize| {
        for round in 0..5 {
            let mut tx = begin(store).await;
            for _ in 0..=(n + round) % 3 {
                tx.audit(event(AuditAction::RoleCreated)).await.expect("an event is added");
                // Gives the reader and other writers a chance to run.
                tokio::task::yield_now().await;
            }
            let more = vec![event(AuditAction::RoleUpdated), event(AuditAction::RoleDeleted)];
            tx.audit_all(more).await.expect("events are added");
            // Every fourth transaction is rolled back. Its ids may be lost.
            if !(n + round).is_multiple_of(4) {
                commit(tx).await;
            }
        }
        finished.set(finished.get() + 1);
    };
    let read = async {
        let mut seen: Vec<(i64, AuditEvent)> = Vec::new();
        loop {
            let is_over = finished.get() == WRITERS;
            let after = seen.last().map_or(0, |(id, _)| *id);
            let page = view(store).await.events_after(after, 3).await.expect("events are read");
            assert!(page.len() <= 3, "a page has its limit");
            if page.is_empty() && is_over {
                return seen;
            }
            seen.extend(page);
            tokio::task::yield_now().await;
        }
    };
    let (seen, _) = join(read, join_all((0..WRITERS).map(write))).await;
    assert!(seen.is_sorted_by(|(one, _), (next, _)| one < next), "ids ascend");
    let seen: Vec<AuditEvent> = seen.into_iter().map(|(_, event)| event).collect();
    assert!(seen.len() > WRITERS * 5, "there are events");
    assert_eq!(seen, store.audit_events().await.expect("events can be read"), "each event once, in order");
}

pub(super) async fn bounds_of_the_log_are_known<S: Backend>(store: &S) {
    let bounds = async |id| view(store).await.audit_bounds(id).await.expect("bounds are read");
    assert_eq!(bounds(0).await, AuditBounds { at: None, last: 0, deleted: 0 }, "a new log");
    let mut tx = begin(store).await;
    for at in [10, 20, 30, 15, 40] {
        tx.audit(AuditEvent { at: Timestamp(at), ..event(AuditAction::RoleCreated) }).await.expect("an event is added");
    }
    commit(tx).await;
    let events = view(store).await.events_after(0, 100).await.expect("events are read");
    let ids: Vec<i64> = events.iter().map(|(id, _)| *id).collect();
    assert_eq!(bounds(ids[1]).await, AuditBounds { at: Some(Timestamp(20)), last: ids[4], deleted: 0 });
    assert_eq!(view(store).await.events_after(ids[1], 1).await.expect("events are read"), events[2..3]);
    assert!(view(store).await.events_after(ids[4], 9).await.expect("events are read").is_empty());

    let mut tx = begin(store).await;
    assert_eq!(tx.delete_events(Timestamp(10)).await.expect("events are deleted"), 0);
    commit(tx).await;
    assert_eq!(bounds(ids[0]).await, AuditBounds { at: Some(Timestamp(10)), last: ids[4], deleted: 0 }, "none was old");
    let mut tx = begin(store).await;
    tx.delete_events(Timestamp(100)).await.expect("events are deleted");
    drop(tx);
    assert_eq!(bounds(0).await.deleted, 0, "a rolled back deletion is not remembered");
    let mut tx = begin(store).await;
    assert_eq!(tx.delete_events(Timestamp(20)).await.expect("events are deleted"), 2);
    commit(tx).await;
    let expected = AuditBounds { at: None, last: ids[4], deleted: ids[3] };
    assert_eq!(bounds(ids[0]).await, expected, "the highest id is remembered, of an event that was older than others");
    let mut tx = begin(store).await;
    assert_eq!(tx.delete_events(Timestamp(25)).await.expect("events are deleted"), 1);
    commit(tx).await;
    assert_eq!(bounds(ids[0]).await.deleted, ids[3], "it never falls");
    let mut tx = begin(store).await;
    assert_eq!(tx.delete_events(Timestamp(100)).await.expect("events are deleted"), 2);
    commit(tx).await;
    assert_eq!(bounds(ids[4]).await, AuditBounds { at: None, last: 0, deleted: ids[4] }, "all are deleted");
}

pub(super) async fn leases_are_stored_by_name<S: Backend>(store: &S) {
    let lease = |holder: &str, complete_at: Option<i64>| Lease {
        holder: holder.into(),
        ends_at: Timestamp(i64::MAX),
        begun_at: Timestamp(-1),
        complete_at: complete_at.map(Timestamp),
    };
    let mut tx = begin(store).await;
    assert_eq!(tx.lease("a").await.expect("a lease is read"), None);
    tx.set_lease("a", &lease(AWKWARD, None)).await.expect("a lease is set");
    tx.set_lease("b", &lease("two", Some(7))).await.expect("a lease is set");
    assert_eq!(tx.lease("a").await.expect("a lease is read"), Some(lease(AWKWARD, None)), "in the transaction");
    commit(tx).await;
    let mut tx = begin(store).await;
    tx.set_lease("a", &lease("three", Some(0))).await.expect("a lease is set");
    commit(tx).await;
    begin(store).await.set_lease("a", &lease("dropped", None)).await.expect("a lease is set");
    let mut view = view(store).await;
    assert_eq!(view.lease("a").await.expect("a lease is read"), Some(lease("three", Some(0))));
    assert_eq!(view.lease("b").await.expect("a lease is read"), Some(lease("two", Some(7))));
    assert_eq!(view.lease("").await.expect("a lease is read"), None);
}

/// A token in the words of the test, with all times in minutes from now.
struct Case {
    id: TokenId,
    kind: TokenKind,
    name: String,
    created: i64,
    expires: Option<i64>,
    used: Option<i64>,
}

const LEAD_TIMES: [i64; 4] = [0, 30, 120, 1_000];

impl Case {
    /// Returns the lead time of the notice that is due, by trying all of them.
    fn expiring(&self, lead_times: &[i64], expired_after: i64) -> Option<i64> {
        let expires = self.expires.filter(|_| self.kind != TokenKind::Session)?;
        let mut nearest = None;
        for lead in lead_times {
            let moment = expires - lead;
            if moment <= 0 && moment > self.created && nearest.is_none_or(|nearest| *lead < nearest) {
                nearest = Some(*lead);
            }
        }
        nearest.filter(|_| expires > expired_after)
    }

    fn is_not_used(&self, idle: Option<i64>, unused: Option<i64>) -> bool {
        let lives = self.kind != TokenKind::Session && self.expires.is_none_or(|expires| expires > 0);
        lives
            && match self.used {
                Some(used) => idle.is_some_and(|idle| used + idle <= 0),
                None => unused.is_some_and(|unused| self.created + unused <= 0),
            }
    }
}

/// Adds tokens with random times. None is within a minute of a limit, so that it does not matter how long the test takes.
async fn add_cases<S: Backend>(store: &S, dice: &mut Dice) -> (Timestamp, Vec<Case>) {
    let mut tx = begin(store).await;
    let (ada, now) = (tx.insert_owner(owner("ada@b", &[])).await.expect("an owner is added"), tx.now());
    let (mut cases, mut uses) = (Vec::new(), Vec::new());
    for n in 0..150 {
        let name = format!("{n} {AWKWARD}");
        let kind = [TokenKind::Admin, TokenKind::Admin, TokenKind::Content, TokenKind::Session][dice.below(4)];
        let new = match kind {
            TokenKind::Admin => admin(&name, ada),
            TokenKind::Content => token(&name, TokenAuthority::Content { access: ContentAccess::ReadOnly }),
            TokenKind::Session => NewToken { name: name.clone(), ..session(ada) },
        };
        let id = tx.insert_token(new).await.expect("a token is added");
        // Odd minutes, and limits are even.
        let mut odd =
            |from: i64, to: i64| from + 1 + 2 * dice.below(usize::try_from((to - from) / 2).unwrap_or(1)) as i64;
        let created = odd(-2_400, -20);
        let (expires, used) = (odd(-400, 1_600), odd(-1_500, 0));
        let (expires, used) = (Some(expires).filter(|_| n % 3 > 0), Some(used).filter(|_| n % 4 > 0));
        let at = |minutes: i64| Timestamp(now.0 + minutes * 60_000);
        let times = TokenTimes { created_at: at(created), expires_at: expires.map(at), last_used_at: None };
        tx.backdate_token(id, times).await.expect("times are set");
        uses.extend(used.map(|used| Use {
            token: id,
            digest: Digest::Native([0; 27]),
            at: at(used),
            address: None,
            tool: None,
        }));
        cases.push(Case { id, kind, name, created, expires, used });
    }
    commit(tx).await;
    store.note_uses(&uses).await.expect("uses are noted");
    (now, cases)
}

async fn due<S: Backend>(store: &S, query: &NoticeQuery<'_>) -> Vec<Notice> {
    view(store).await.due_notices(query, 1_000).await.expect("notices are listed")
}

async fn add<S: Backend>(store: &S, due: &[Notice]) -> Vec<Notice> {
    let mut tx = begin(store).await;
    let added = tx.add_notices(due).await.expect("notices are recorded");
    commit(tx).await;
    added
}

fn span(minutes: i64) -> Duration {
    MINUTE * u32::try_from(minutes).unwrap_or(0)
}

pub(super) async fn expiring_tokens_are_due_once_for_the_nearest_time<S: Backend>(store: &S) {
    let (now, cases) = add_cases(store, &mut Dice(11)).await;
    let mut recorded: Vec<(TokenId, i64)> = Vec::new();
    // Longer times first: shorter ones are due after them, but not the other way round.
    for (lead_times, expired_after) in [
        (&LEAD_TIMES[..0], -1_000),
        (&LEAD_TIMES[3..], 0),
        (&LEAD_TIMES[2..3], -100),
        (&LEAD_TIMES[1..], -1_000),
        (&LEAD_TIMES[..1], -200),
        (&LEAD_TIMES[..], -1_000),
    ] {
        let spans: Vec<Duration> = lead_times.iter().map(|lead| span(*lead)).collect();
        let expired_after_time = Timestamp(now.0 + expired_after * 60_000);
        let query = NoticeQuery::Expiring { lead_times: &spans, expired_after: expired_after_time };
        let is_new = |id: TokenId, lead: i64| !recorded.iter().any(|(of, earlier)| *of == id && *earlier <= lead);
        let expected = cases.iter().filter_map(|case| {
            let lead = case.expiring(lead_times, expired_after).filter(|lead| is_new(case.id, *lead))?;
            Some((case.expires?, case.id, lead))
        });
        let mut expected: Vec<(i64, TokenId, i64)> = expected.collect();
        expected.sort_unstable();
        let found = due(store, &query).await;
        let listed = found.iter().map(|notice| match notice.reason {
            NoticeReason::Expiring { expires_at, lead_time } => {
                ((expires_at.0 - now.0) / 60_000, notice.token, (lead_time.as_millis() / 60_000) as i64)
            }
            ref other => panic!("a notice about the expiry, not {other:?}"),
        });
        assert_eq!(listed.collect::<Vec<_>>(), expected, "{lead_times:?}: the soonest first");
        for notice in &found {
            let case = cases.iter().find(|case| case.id == notice.token).expect("a known token");
            assert_eq!((notice.kind, &notice.name), (case.kind, &case.name));
            assert_eq!(notice.owner.is_some(), case.kind == TokenKind::Admin);
        }
        let first = view(store).await.due_notices(&query, 3).await.expect("notices are listed");
        assert_eq!(first, found[..found.len().min(3)], "the limit is kept");

        let mut tx = begin(store).await;
        tx.add_notices(&found).await.expect("notices are recorded");
        drop(tx);
        assert_eq!(due(store, &query).await, found, "a rolled back record does not count");
        let (one, others) = found.split_at(found.len() / 2);
        assert_eq!(add(store, one).await, one);
        assert_eq!(due(store, &query).await, others, "a recorded notice is not due");
        assert_eq!(add(store, &found).await, others, "each is recorded once");
        assert!(due(store, &query).await.is_empty());
        recorded.extend(expected.into_iter().map(|(_, id, lead)| (id, lead)));
    }
    assert!(recorded.len() > 40, "the test has notices: {}", recorded.len());
}

pub(super) async fn tokens_that_are_not_used_are_due_once_for_each_use<S: Backend>(store: &S) {
    let (now, cases) = add_cases(store, &mut Dice(12)).await;
    let mut recorded: Vec<TokenId> = Vec::new();
    for (idle, unused) in
        [(None, None), (Some(1_000), None), (None, Some(900)), (Some(500), Some(400)), (Some(0), Some(0))]
    {
        let query = |after| NoticeQuery::Usage { idle: idle.map(span), unused: unused.map(span), after };
        let expected = cases.iter().filter(|case| case.is_not_used(idle, unused) && !recorded.contains(&case.id));
        let expected: Vec<TokenId> = expected.map(|case| case.id).collect();
        let found = due(store, &query(TokenId(0))).await;
        assert_eq!(found.iter().map(|notice| notice.token).collect::<Vec<_>>(), expected, "{idle:?} {unused:?}");
        for notice in &found {
            let case = cases.iter().find(|case| case.id == notice.token).expect("a known token");
            let at = |minutes: i64| Timestamp(now.0 + minutes * 60_000);
            let reason = match case.used {
                Some(used) => NoticeReason::Idle { last_used_at: at(used) },
                None => NoticeReason::Unused { created_at: at(case.created) },
            };
            assert_eq!(notice.reason, reason);
        }
        // Page by page, by id.
        let (mut paged, mut after) = (Vec::new(), TokenId(0));
        loop {
            let page = view(store).await.due_notices(&query(after), 4).await.expect("notices are listed");
            let Some(last) = page.last() else { break };
            after = last.token;
            paged.extend(page);
        }
        assert_eq!(paged, found);
        assert_eq!(add(store, &found).await, found);
        assert!(add(store, &found).await.is_empty(), "each is recorded once");
        assert!(due(store, &query(TokenId(0))).await.is_empty());
        recorded.extend(expected);
    }
    // A new use is a new reason, but only an idle one.
    let used_again: Vec<&Case> = cases.iter().filter(|case| recorded.contains(&case.id)).take(20).collect();
    let at = Timestamp(now.0 - 30_000);
    let uses: Vec<Use> = used_again
        .iter()
        .map(|c| Use { token: c.id, digest: Digest::Native([0; 27]), at, address: None, tool: None })
        .collect();
    store.note_uses(&uses).await.expect("uses are noted");
    let query = |idle| NoticeQuery::Usage { idle: Some(idle), unused: Some(Duration::ZERO), after: TokenId(0) };
    assert!(due(store, &query(HOUR)).await.is_empty(), "they were used a moment ago");
    let found = due(store, &query(MINUTE / 6)).await;
    assert_eq!(found.len(), used_again.len());
    assert!(found.iter().all(|notice| notice.reason == NoticeReason::Idle { last_used_at: at }));
}

pub(super) async fn notices_that_no_longer_fit_are_not_recorded<S: Backend>(store: &S) {
    let mut tx = begin(store).await;
    let ada = tx.insert_owner(owner("ada@b", &[])).await.expect("an owner is added");
    let now = tx.now();
    let mut ids = Vec::new();
    for name in ["stays", "gone", "extended", "used", "first use"] {
        let id = tx.insert_token(admin(name, ada)).await.expect("a token is added");
        let expires_at = Some(now.plus(HOUR));
        let times = TokenTimes { created_at: Timestamp(now.0 - 10 * 3_600_000), expires_at, last_used_at: None };
        tx.backdate_token(id, times).await.expect("times are set");
        ids.push(id);
    }
    commit(tx).await;
    let [stays, gone, extended, used, first_use] = ids[..] else { panic!("five tokens") };
    let long_ago = Timestamp(now.0 - 5 * 3_600_000);
    let at = |token, at| Use { token, digest: Digest::Native([0; 27]), at, address: None, tool: None };
    store.note_uses(&[at(used, long_ago), at(gone, long_ago)]).await.expect("uses are noted");
    let lead_times = [2 * HOUR];
    let expiring = NoticeQuery::Expiring { lead_times: &lead_times, expired_after: now };
    let usage = NoticeQuery::Usage { idle: Some(HOUR), unused: Some(HOUR), after: TokenId(0) };
    let (expiring, usage) = (due(store, &expiring).await, due(store, &usage).await);
    assert_eq!((expiring.len(), usage.len()), (5, 5));

    let mut tx = begin(store).await;
    tx.delete_token(gone).await.expect("a token is deleted");
    let times = TokenTimes { created_at: now, expires_at: Some(now.plus(3 * HOUR)), last_used_at: None };
    tx.backdate_token(extended, times).await.expect("times are set");
    commit(tx).await;
    store.note_uses(&[at(used, now), at(first_use, now)]).await.expect("uses are noted");
    let tokens = |notices: Vec<Notice>| notices.into_iter().map(|notice| notice.token).collect::<Vec<_>>();
    let mut left = tokens(add(store, &expiring).await);
    left.sort_unstable();
    assert_eq!(left, [stays, used, first_use]);
    assert_eq!(tokens(add(store, &usage).await), [stays, extended]);
    // The records go with their token, and bring no event of their own.
    let mut tx = begin(store).await;
    tx.delete_owner(ada, &super::fixtures::service()).await.expect("an owner is deleted");
    commit(tx).await;
    assert!(add(store, &expiring).await.is_empty());
    let events = store.audit_events().await.expect("events can be read");
    assert!(events.iter().all(|event| event.what == AuditAction::TokenRevoked), "{events:?}");
}
