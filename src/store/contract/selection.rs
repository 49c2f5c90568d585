//! Selections of tokens, against an oracle.

use super::Backend;
use super::clamping::Dice;
use super::fixtures::{begin, commit, grants, owner, resolve, role, token, view};
use crate::domain::{
    Actor, AuditAction, AuditOrigin, AuditTarget, ContentAccess, Digest, OwnerId, RoleId, Timestamp, Token,
    TokenAuthority, TokenId, TokenKind,
};
use crate::store::{SelectedToken, StoreError, TokenSelection, TokenTimes, Use};
use std::net::IpAddr;
use std::time::Duration;

const ADDRESSES: [&str; 5] = ["10.0.0.1", "10.1.2.3", "203.0.113.9", "2001:db8::1", "2001:db8:ffff::1"];
const NETWORKS: [&str; 6] = ["10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "2001:db8::/48", "::/0", "192.0.2.0/24"];

/// A token, with what is known of its owner and its use.
struct Known {
    token: Token,
    roles: Vec<RoleId>,
    address: Option<IpAddr>,
}

impl Known {
    fn is_in(&self, selection: &TokenSelection) -> bool {
        let TokenSelection { kind, owner, role, created_before, used_from } = selection;
        let fails = [
            kind.is_some_and(|kind| kind != self.token.kind()),
            owner.is_some() && *owner != self.token.owner(),
            role.is_some_and(|role| !self.roles.contains(&role)),
            created_before.is_some_and(|before| self.token.created_at >= before),
            // Written out, so that the networks are not judged by the code under test.
            used_from.is_some_and(|network| {
                let text = self.address.map(|address| address.to_string()).unwrap_or_default();
                !match network.to_string().as_str() {
                    "10.0.0.0/8" => text.starts_with("10."),
                    "10.0.0.1" => text == "10.0.0.1",
                    "0.0.0.0/0" => text.contains('.'),
                    "2001:db8::/48" => text == "2001:db8::1",
                    "::/0" => text.contains(':'),
                    _ => false,
                }
            }),
        ];
        !fails.contains(&true)
    }

    fn selected(&self) -> SelectedToken {
        SelectedToken::from(&self.token)
    }
}

async fn add_tokens<S: Backend>(store: &S, dice: &mut Dice) -> (Vec<Known>, Vec<OwnerId>, Vec<RoleId>) {
    let mut tx = begin(store).await;
    let (mut roles, mut owners, mut added) = (vec![RoleId::SUPER_ADMIN], Vec::new(), Vec::new());
    for n in 0..3 {
        roles.push(tx.insert_role(role(&n.to_string(), Vec::new())).await.expect("a role is added"));
    }
    for n in 0..4 {
        let theirs: Vec<RoleId> = roles.iter().copied().filter(|_| dice.below(2) == 0).collect();
        let id = tx.insert_owner(owner(&format!("{n}@b"), &theirs)).await.expect("an owner is added");
        owners.push((id, theirs));
    }
    for n in 0..60 {
        let (owner, theirs) = &owners[dice.below(owners.len())];
        let (authority, roles) = match dice.below(4) {
            0 => (TokenAuthority::Session { owner: *owner, idle: Duration::from_secs(60) }, theirs.clone()),
            1 => (TokenAuthority::Content { access: ContentAccess::Custom(["a".into()].into()) }, Vec::new()),
            _ => (TokenAuthority::Admin { owner: *owner, grants: grants() }, theirs.clone()),
        };
        let id = tx.insert_token(token(&format!("token {n}"), authority)).await.expect("a token is added");
        let created_at = Timestamp(1_000 * dice.below(5) as i64);
        let times = TokenTimes { created_at, expires_at: None, last_used_at: None };
        tx.backdate_token(id, times).await.expect("a token is backdated");
        added.push((id, roles));
    }
    commit(tx).await;
    let addresses: Vec<Option<IpAddr>> = added
        .iter()
        .map(|_| match dice.below(3) {
            0 => None,
            _ => Some(ADDRESSES[dice.below(ADDRESSES.len())].parse().expect("an address")),
        })
        .collect();
    let used = |((id, _), address): (&(TokenId, Vec<RoleId>), &Option<IpAddr>)| Use {
        token: *id,
        digest: Digest::Native([0; 27]),
        at: Timestamp(7),
        address: *address,
        tool: None,
    };
    // Every seventh is not used at all, and some others are used from an address that is not known.
    let is_unused = |n: usize| n.is_multiple_of(7) && addresses[n].is_none();
    let uses = added.iter().zip(&addresses).enumerate().filter(|(n, _)| !is_unused(*n)).map(|(_, pair)| used(pair));
    store.note_uses(&uses.collect::<Vec<_>>()).await.expect("uses are stored");
    let (mut known, mut view) = (Vec::new(), view(store).await);
    for ((id, roles), address) in added.into_iter().zip(addresses) {
        let token = view.token(id).await.expect("a token can be read").expect("it exists");
        known.push(Known { token, roles, address });
    }
    (known, owners.into_iter().map(|(id, _)| id).collect(), roles)
}

fn random_selection(dice: &mut Dice, owners: &[OwnerId], roles: &[RoleId]) -> TokenSelection {
    let mut maybe = |n: usize| (dice.below(2) == 0).then(|| dice.below(n));
    TokenSelection {
        kind: maybe(3).map(|n| TokenKind::ALL[n]),
        owner: maybe(owners.len() + 1).map(|n| owners.get(n).copied().unwrap_or(OwnerId(999_999))),
        role: maybe(roles.len() + 1).map(|n| roles.get(n).copied().unwrap_or(RoleId(999_999))),
        created_before: maybe(7).map(|n| Timestamp(1_000 * n as i64)),
        used_from: maybe(NETWORKS.len()).map(|n| NETWORKS[n].parse().expect("a network")),
    }
}

pub(super) async fn selections_agree_with_the_tokens<S: Backend>(store: &S) {
    let mut dice = Dice(11);
    let (known, owners, roles) = add_tokens(store, &mut dice).await;
    let (mut sizes, mut view) = (0, view(store).await);
    for _ in 0..200 {
        let selection = random_selection(&mut dice, &owners, &roles);
        let expected: Vec<SelectedToken> =
            known.iter().filter(|known| known.is_in(&selection)).map(Known::selected).collect();
        sizes += expected.len();
        let selected = view.selected_tokens(&selection, 1_000).await.expect("tokens are selected");
        assert_eq!(selected, expected, "{selection}");
        let limit = dice.below(5);
        let first = view.selected_tokens(&selection, limit as u32).await.expect("tokens are selected");
        assert_eq!(first, expected[..limit.min(expected.len())], "{selection}: the first {limit}");
    }
    assert!(sizes > 200, "the selections are not empty: {sizes}");
}

pub(super) async fn revoked_tokens_are_gone_with_an_event_each<S: Backend>(store: &S) {
    let mut dice = Dice(12);
    let (known, owners, roles) = add_tokens(store, &mut dice).await;
    let origin =
        AuditOrigin { actor: Actor::Person(owners[0]), address: Some(IpAddr::from([192, 0, 2, 1])), tool: None };
    let mut left: Vec<&Known> = known.iter().collect();
    for round in 0.. {
        if left.is_empty() {
            break;
        }
        let selection =
            if round < 12 { random_selection(&mut dice, &owners, &roles) } else { TokenSelection::default() };
        let (gone, kept): (Vec<&Known>, Vec<&Known>) = left.into_iter().partition(|known| known.is_in(&selection));
        let ids: Vec<TokenId> = gone.iter().map(|known| known.token.id).collect();
        let before = store.audit_events().await.expect("events can be read").len();
        let mut tx = begin(store).await;
        tx.revoke_tokens(&ids, &origin, &selection.to_string()).await.expect("tokens are revoked");
        commit(tx).await;
        for known in &gone {
            assert!(resolve(store, &known.token.digest).await.record.is_none(), "a revoked token does not resolve");
            assert_eq!(store.last_use(known.token.id).await.expect("a use can be read"), None);
        }
        for known in kept.iter().step_by(9) {
            let record = resolve(store, &known.token.digest).await.record.expect("other tokens stay");
            assert_eq!(record.token.grants().len(), known.token.grants().len());
        }
        let events = store.audit_events().await.expect("events can be read");
        let events: Vec<_> =
            events[before..].iter().map(|e| (e.what, e.target, e.cause, &e.origin, &e.details)).collect();
        let expected: Vec<_> = gone
            .iter()
            .map(|Known { token, .. }| {
                let target = AuditTarget::Token(token.id, token.kind());
                let owner = token.owner().map(|owner| owner.0);
                (target, serde_json::json!({"name": token.name, "owner": owner, "selection": selection.to_string()}))
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(target, details)| (AuditAction::TokenRevoked, *target, None, &origin, details))
            .collect();
        assert_eq!(events, expected, "one event for each, in the order of their ids");
        left = kept;
    }
}

pub(super) async fn tokens_are_revoked_together_or_not_at_all<S: Backend>(store: &S) {
    let (known, ..) = add_tokens(store, &mut Dice(13)).await;
    let origin = super::fixtures::service();
    let ids: Vec<TokenId> = known.iter().map(|known| known.token.id).collect();
    for wrong in [TokenId(i64::MAX), ids[0]] {
        let mut tx = begin(store).await;
        let revoked = tx.revoke_tokens(&[&ids[..], &[wrong]].concat(), &origin, "all").await;
        assert!(matches!(revoked, Err(StoreError::Conflict(_))), "{revoked:?}");
        drop(tx);
        assert!(store.audit_events().await.expect("events can be read").is_empty());
        for known in &known {
            assert!(resolve(store, &known.token.digest).await.record.is_some(), "nothing is revoked");
        }
    }
    let mut tx = begin(store).await;
    tx.revoke_tokens(&[], &origin, "none").await.expect("none can be revoked");
    commit(tx).await;
}
