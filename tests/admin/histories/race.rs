//! Two concurrent writers: a role shrinks while a token is issued with its permissions, on one handle and on two nodes.

use crate::histories::in_file;
use keyward::authz::Ceiling;
use keyward::{Grant, Keyward, NewAdminToken, NewOwner, NewRole, Permission};
use keyward_test_support::postgres;

const TIMES: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn token_issued_while_its_role_shrinks_stays_within_its_owner_on_one_handle() {
    let (_dir, world) = in_file().await;
    race(&world.keyward, &world.keyward).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn token_issued_while_its_role_shrinks_stays_within_its_owner_on_two_nodes() {
    let Some(url) = postgres::create_database().await else { return };
    let node = async || {
        let store = keyward::PostgresStore::connect(&url).await.unwrap();
        let hash_key = keyward::HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        Keyward::builder(store).hash_key(hash_key).admin("/admin").build().unwrap()
    };
    race(&node().await, &node().await).await;
}

/// A token issued while its role shrinks stays within its owner's permissions.
async fn race(keyward: &Keyward, other: &Keyward) {
    let all = || vec![Permission::new("read"), Permission::new("write")];
    let role = keyward.roles().create(NewRole::new("shrinks").permissions(all())).await.unwrap().id;
    let owner = keyward.owners().create(NewOwner::new("a@example.test").roles([role])).await.unwrap().id;
    let (mut issued_first, mut shrunk_first) = (0, 0);
    for n in 0..TIMES {
        keyward.roles().set_permissions(role, all()).await.unwrap();
        let (roles, tokens) = (keyward.roles(), other.tokens());
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(2));
        let ready = start.clone();
        let shrink = tokio::spawn(async move {
            ready.wait().await;
            roles.set_permissions(role, vec![Permission::new("read")]).await
        });
        let new = NewAdminToken::new(format!("token {n}"), owner).grants(["read", "write"].map(Grant::new));
        let issue = tokio::spawn(async move {
            start.wait().await;
            tokens.issue_admin(new).await
        });
        shrink.await.unwrap().unwrap();
        match issue.await.unwrap() {
            Ok(issued) => {
                issued_first += 1;
                let record = keyward.store().resolve(&issued.token.digest).await.unwrap().record.unwrap();
                assert_eq!(record.token.grants(), [Grant::new("read")], "the other grant was clamped");
                let (_, ceiling) = record.owner.unwrap();
                assert_eq!(ceiling, Ceiling::Of(vec![Permission::new("read")]));
            }
            Err(keyward::admin::ServiceError::Invalid(_)) => shrunk_first += 1,
            Err(other) => panic!("{other}"),
        }
    }
    println!("issued first {issued_first} times, shrunk first {shrunk_first} times");
}
