//! Rotation on two nodes: laws of races, and the bound for what another node ends (next-request, bounded-staleness).

use crate::node::{BOUND, Node, READ};
use keyward::admin::{IssuedToken, NewChildToken, ServiceError};
use keyward::token::TokenId;
use keyward::{Grant, NewAdminToken};
use keyward_test_support::postgres;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;

const HOUR: Duration = Duration::from_secs(60 * 60);
const RACES: usize = 30;

async fn nodes() -> Option<(Node, Node)> {
    let url = postgres::create_database().await?;
    Some((Node::connect(&url).await, Node::connect(&url).await))
}

/// Runs two calls at the same time.
async fn at_once<A, B>(one: A, other: B) -> (A::Output, B::Output)
where
    A: Future<Output: Send + 'static> + Send + 'static,
    B: Future<Output: Send + 'static> + Send + 'static,
{
    let start = Arc::new(Barrier::new(2));
    let ready = start.clone();
    let one = tokio::spawn(async move {
        ready.wait().await;
        one.await
    });
    let other = tokio::spawn(async move {
        start.wait().await;
        other.await
    });
    (one.await.unwrap(), other.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_a_grace_period_reaches_the_other_node_within_the_bound() {
    let Some((one, two)) = nodes().await else { return };
    let old = one.issue("ended").await;
    let new = one.keyward.tokens().regenerate_with_grace(old.token.id, HOUR).await.unwrap();
    for node in [&one, &two] {
        node.wait_for_status(&new, 200, BOUND).await;
        assert_eq!(node.status(&old).await, 200);
    }
    one.keyward.tokens().end_grace(old.token.id).await.unwrap();
    assert_eq!(one.status(&old).await, 401);
    two.wait_for_status(&old, 401, BOUND).await;
    assert_eq!((one.status(&new).await, two.status(&new).await), (200, 200));
}

/// The end of a grace period is no change, so nothing tells the other node: each knows it by its clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_period_ends_on_every_node() {
    let Some((one, two)) = nodes().await else { return };
    let old = one.issue("expires").await;
    assert_eq!((one.status(&old).await, two.status(&old).await), (200, 200));
    let grace = Duration::from_secs(1);
    one.keyward.tokens().regenerate_with_grace(old.token.id, grace).await.unwrap();
    for node in [&one, &two] {
        node.wait_for_status(&old, 401, grace + BOUND).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_rotations_at_once_both_happen_one_after_the_other() {
    let Some((one, two)) = nodes().await else { return };
    for n in 0..RACES {
        let old = one.issue(&format!("twice {n}").replace(' ', "-")).await;
        let id = old.token.id;
        let (a, b) = (one.keyward.tokens(), two.keyward.tokens());
        let (first, second) = at_once(async move { a.regenerate_with_grace(id, HOUR).await }, async move {
            b.regenerate_with_grace(id, HOUR).await
        })
        .await;
        let (first, second) = (first.unwrap(), second.unwrap());
        // The present secret is that of the later one; the other is the former one, and the first secret has ended.
        let token = one.keyward.tokens().read(id).await.unwrap().token;
        let hints: Vec<String> = token.secrets().into_iter().map(|secret| secret.hint).collect();
        let made = [first.secret.hint().to_owned(), second.secret.hint().to_owned()];
        assert!(hints == made || hints.iter().eq(made.iter().rev()), "{hints:?} {made:?}");
        for node in [&one, &two] {
            node.wait_for_status(&old, 401, BOUND).await;
            node.wait_for_status(&first, 200, BOUND).await;
            node.wait_for_status(&second, 200, BOUND).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_meets_a_revocation_leaves_no_secret() {
    let Some((one, two)) = nodes().await else { return };
    let (mut rotated, mut late) = (0, 0);
    for n in 0..RACES {
        let old = one.issue(&format!("gone-{n}")).await;
        let id = old.token.id;
        let (a, b) = (one.keyward.tokens(), two.keyward.tokens());
        let (new, gone) =
            at_once(async move { a.regenerate_with_grace(id, HOUR).await }, async move { b.revoke(id).await }).await;
        gone.unwrap();
        match new {
            Ok(new) => {
                rotated += 1;
                for node in [&one, &two] {
                    node.wait_for_status(&new, 401, BOUND).await;
                }
            }
            Err(ServiceError::NotFound(_)) => late += 1,
            Err(other) => panic!("{other}"),
        }
        for node in [&one, &two] {
            node.wait_for_status(&old, 401, BOUND).await;
        }
    }
    println!("rotated first {rotated} times, revoked first {late} times");
}

/// Whichever comes first, no child of an ended secret lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_is_made_while_its_parent_is_rotated_ends_with_the_old_secret() {
    let Some((one, two)) = nodes().await else { return };
    for n in 0..RACES {
        let person = one.issue(&format!("parent-{n}")).await;
        let owner = person.token.owner().unwrap();
        let grants = [Grant::new(READ).may_delegate()];
        let parent = NewAdminToken::new(format!("delegates {n}"), owner).grants(grants);
        let parent: IssuedToken = one.keyward.tokens().issue_admin(parent).await.unwrap();
        let id: TokenId = parent.token.id;
        let by_parent = two.keyward.tokens().acting_as(keyward::admin::Actor::Token(id));
        let tokens = one.keyward.tokens();
        let new = NewChildToken::new(format!("child {n}")).grants([Grant::new(READ)]);
        let (rotated, child) =
            at_once(async move { tokens.regenerate(id).await }, async move { by_parent.issue_child(new).await }).await;
        rotated.unwrap();
        let child = child.unwrap();
        let there = one.keyward.tokens().read(child.token.id).await;
        let made_by_old = child.token.parent_secret == Some(parent.token.digest);
        assert_eq!(there.is_err(), made_by_old, "it exists if the new secret made it");
        let status = if made_by_old { 401 } else { 200 };
        for node in [&one, &two] {
            node.wait_for_status(&child, status, BOUND).await;
        }
    }
}
