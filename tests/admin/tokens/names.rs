//! The scope in which names of tokens are unique.

use super::{person, world};
use keyward::admin::{Policy, ServiceError, TokenNames, TokenUpdate};
use keyward::store::WriteStore;
use keyward::testing::{ManualClock, World};
use keyward::token::ContentAccess;
use keyward::{NewAdminToken, NewContentToken, RoleId};
use std::sync::Arc;

fn named_by<S: WriteStore + Clone>(names: TokenNames, store: &S, clock: &Arc<ManualClock>) -> World<S> {
    let mut policy = Policy::default();
    policy.token_names = Some(names);
    world(store, clock, |b| b.policy(policy))
}

fn assert_taken<T: std::fmt::Debug>(answer: Result<T, ServiceError>) {
    assert!(matches!(answer, Err(ServiceError::Taken { .. })), "{answer:?}");
}

fn content(name: &str) -> NewContentToken {
    NewContentToken::new(name, ContentAccess::FullAccess)
}

pub(super) async fn names_are_unique_within_the_scope_of_the_policy<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let per_owner = named_by(TokenNames::UniquePerOwner, &store, &clock);
    let per_installation = named_by(TokenNames::UniquePerInstallation, &store, &clock);
    let (ada, bob) = (person(&per_owner, "ada", &[]).await, person(&per_owner, "bob", &[RoleId::SUPER_ADMIN]).await);
    let (tokens, strict) = (per_owner.keyward.tokens(), per_installation.keyward.tokens());

    let of_ada = tokens.issue_admin(NewAdminToken::new("ci", ada)).await.unwrap().token.id;
    let of_bob = tokens.issue_admin(NewAdminToken::new("CI", bob)).await.unwrap().token.id;
    tokens.issue_content(content("ci")).await.unwrap();
    assert_taken(tokens.issue_admin(NewAdminToken::new("Ci", ada)).await);
    assert_taken(tokens.issue_content(content("ci")).await);
    let other = tokens.issue_admin(NewAdminToken::new("other", ada)).await.unwrap().token.id;
    let rename = |name: &str| TokenUpdate { name: Some(name.into()), ..TokenUpdate::default() };
    assert_taken(tokens.update(other, rename("ci")).await);
    tokens.update(of_bob, rename("other")).await.unwrap();
    tokens.update(of_bob, rename("ci")).await.unwrap();

    // Under the other setting tokens keep their names, and no new one gets a name that any token has.
    assert_taken(strict.issue_admin(NewAdminToken::new("ci", ada)).await);
    assert_taken(strict.issue_content(content("other")).await);
    for id in [of_ada, of_bob] {
        let described = TokenUpdate { description: Some("kept".into()), ..TokenUpdate::default() };
        assert_eq!(strict.update(id, described).await.unwrap().token.name.to_lowercase(), "ci");
    }
    strict.issue_admin(NewAdminToken::new("unique", ada)).await.unwrap();
    assert_taken(tokens.issue_admin(NewAdminToken::new("unique", ada)).await);
    tokens.issue_admin(NewAdminToken::new("unique", bob)).await.unwrap();
    assert_taken(strict.update(other, rename("unique")).await);
}

pub(super) async fn concurrent_creates_of_one_name_make_one_token_in_each_scope<S: WriteStore + Clone>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let per_owner = named_by(TokenNames::UniquePerOwner, &store, &clock);
    let owners = [person(&per_owner, "ada", &[]).await, person(&per_owner, "bob", &[]).await];
    for round in 0..10 {
        let start = Arc::new(tokio::sync::Barrier::new(4));
        let create = |owner| {
            let (tokens, start) = (per_owner.keyward.tokens(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                tokens.issue_admin(NewAdminToken::new(format!("name {round}"), owner)).await.map(drop)
            })
        };
        let racing: Vec<_> = owners.iter().flat_map(|owner| [create(*owner), create(*owner)]).collect();
        let mut taken = 0;
        for answer in racing {
            match answer.await.unwrap() {
                Ok(()) => {}
                Err(ServiceError::Taken { .. }) => taken += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(taken, 2, "each owner got one of its two");
    }
}
