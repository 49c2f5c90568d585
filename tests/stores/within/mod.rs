//! Changes of tokens within a transaction of the host, on both engines.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use axum::routing::get;
use keyward::admin::{AdmittedActor, FieldName, IssuedToken, Lifespan, Secret, TokenId};
use keyward::store::WriteStore;
use keyward::testing::App;
use keyward::token::{LegacyDigest, LegacyFormat};
use keyward::{
    Auth, Grant, GuardedRouter, HashKey, Keyward, NewAdminToken, NewOwner, NewRole, OwnerId, Permission, RoleId, action,
};
use sha2::{Digest, Sha256};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const READ: &str = "notes.read";

/// The staleness bound of the nodes.
const BOUND: Duration = Duration::from_secs(2);

/// Two nodes, and an owner whose role allows one action. The second node has not seen what the first one does.
struct Scene<P> {
    pool: P,
    one: Node,
    two: Node,
    owner: OwnerId,
    role: RoleId,
}

struct Node {
    keyward: Keyward,
    app: App,
    /// The actor of the last request.
    actor: Arc<Mutex<Option<AdmittedActor>>>,
}

impl Node {
    fn on(store: impl WriteStore) -> Self {
        let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let builder = Keyward::builder(store).hash_key(hash_key).legacy_keys(LegacyFormat::sha256().length(64));
        let keyward = builder.admin("/admin").build().unwrap();
        let actor = Arc::<Mutex<Option<AdmittedActor>>>::default();
        let seen = actor.clone();
        let note = get(move |Auth(auth): Auth| async move { *seen.lock().unwrap() = auth.actor() });
        let app = App::from_service(keyward.guard(GuardedRouter::new().route("/admin/x", action(READ), note)));
        Self { keyward, app, actor }
    }

    async fn status(&self, secret: &Secret) -> u16 {
        self.app.get("/admin/x").bearer(secret).await.status.as_u16()
    }

    async fn wait_for_status(&self, secret: &Secret, status: u16) {
        let began = Instant::now();
        while self.status(secret).await != status {
            assert!(began.elapsed() < BOUND, "it is not {status}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn issue(&self, name: &str, owner: OwnerId) -> IssuedToken {
        self.keyward.tokens().issue_admin(new(name, owner)).await.unwrap()
    }
}

impl<P> Scene<P> {
    async fn new(pool: P, one: Node, two: Node) -> Self {
        let role = one.keyward.roles().create(NewRole::new("Reader").permissions([Permission::new(READ)])).await;
        let role = role.unwrap().id;
        let owner = one.keyward.owners().create(NewOwner::new("ada@example.test").roles([role])).await.unwrap().id;
        Self { pool, one, two, owner, role }
    }
}

fn new(name: &str, owner: OwnerId) -> NewAdminToken {
    NewAdminToken::new(name, owner).grants([Grant::new(READ)]).lifespan(Lifespan::Unlimited)
}

/// Polls a future until it is ready or was pending this often, and drops it then.
async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future: Pin<Box<F>> = Box::pin(future);
    for _ in 0..polls {
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(value) = polled {
            return Some(value);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

/// The tests of one engine: `$scene` makes a scene on an empty database, `$begin` begins a transaction of the host.
macro_rules! tests_of_an_engine {
    ($scene:expr, $begin:expr) => {
        /// Returns the rows of the change, the event and the tokens, as another connection sees them.
        async fn rows(pool: &Pool) -> [i64; 5] {
            let text = "SELECT (SELECT COUNT(*) FROM keyward_token), (SELECT COUNT(*) FROM keyward_audit), \
                        (SELECT COUNT(*) FROM keyward_change), (SELECT seq FROM keyward_epoch), \
                        (SELECT COUNT(*) FROM keyward_epoch WHERE op_id IS NULL)";
            let row = sqlx::query(text).fetch_one(pool).await.unwrap();
            [0, 1, 2, 3, 4].map(|i| row.get::<i64, _>(i))
        }

        async fn note(tx: &mut Tx, text: &str) {
            sqlx::query("INSERT INTO note (text) VALUES ($1)").bind(text).execute(&mut **tx).await.unwrap();
        }

        async fn notes(pool: &Pool) -> i64 {
            sqlx::query("SELECT COUNT(*) FROM note").fetch_one(pool).await.unwrap().get(0)
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn change_is_committed_with_the_host_and_seen_by_the_next_request() {
            let Some(s) = $scene.await else { return };
            let before = rows(&s.pool).await;
            let mut tx: Tx = $begin(&s.pool).await;
            note(&mut tx, "one").await;
            let staged = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await.unwrap();
            note(&mut tx, &staged.token.id.to_string()).await;
            // Nothing is visible, and that there is no such token is cached.
            assert_eq!(rows(&s.pool).await, before);
            assert_eq!((s.one.status(&staged.secret).await, s.two.status(&staged.secret).await), (401, 401));
            tx.commit().await.unwrap();
            let [tokens, events, changes, seq, ended] = before;
            assert_eq!(rows(&s.pool).await, [tokens + 1, events + 1, changes + 1, seq + 1, ended]);
            let key = staged.committed();
            assert_eq!(s.one.status(&key.secret).await, 200);
            s.two.wait_for_status(&key.secret, 200).await;
            assert_eq!(notes(&s.pool).await, 2);
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn change_that_is_not_published_is_seen_within_the_bound() {
            let Some(s) = $scene.await else { return };
            let key = s.one.issue("deploy", s.owner).await;
            assert_eq!(s.one.status(&key.secret).await, 200);
            let mut tx: Tx = $begin(&s.pool).await;
            drop(s.one.keyward.tokens().within(&mut tx).revoke(key.token.id).await.unwrap());
            tx.commit().await.unwrap();
            s.one.wait_for_status(&key.secret, 401).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn revoked_and_regenerated_secrets_are_valid_until_the_commit() {
            let Some(s) = $scene.await else { return };
            let (one, two) = (s.one.issue("one", s.owner).await, s.one.issue("two", s.owner).await);
            assert_eq!((s.one.status(&one.secret).await, s.one.status(&two.secret).await), (200, 200));
            let mut tx: Tx = $begin(&s.pool).await;
            let tokens = s.one.keyward.tokens();
            let revoked = tokens.within(&mut tx).revoke(one.token.id).await.unwrap();
            let renewed = tokens.within(&mut tx).regenerate(two.token.id).await.unwrap();
            assert_eq!((s.one.status(&one.secret).await, s.one.status(&two.secret).await), (200, 200));
            assert_eq!(s.one.status(&renewed.secret).await, 401);
            tx.commit().await.unwrap();
            revoked.committed();
            let renewed = renewed.committed();
            assert_eq!((s.one.status(&one.secret).await, s.one.status(&two.secret).await), (401, 401));
            assert_eq!(s.one.status(&renewed.secret).await, 200);
            s.two.wait_for_status(&renewed.secret, 200).await;
            s.two.wait_for_status(&one.secret, 401).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn adopted_key_is_accepted_from_the_commit_on() {
            let Some(s) = $scene.await else { return };
            // 64 random hex digits.
            let (_, key) = HashKey::generate().unwrap();
            let digest = LegacyDigest::sha256(hex::encode(Sha256::digest(key.expose())));
            let tokens = s.one.keyward.tokens();
            let mut tx: Tx = $begin(&s.pool).await;
            drop(tokens.within(&mut tx).adopt(new("lost", s.owner), digest.clone()).await.unwrap());
            drop(tx);
            let mut tx: Tx = $begin(&s.pool).await;
            let staged = tokens.within(&mut tx).adopt(new("old", s.owner), digest.clone()).await.unwrap();
            let again = tokens.within(&mut tx).adopt(new("again", s.owner), digest).await;
            assert!(matches!(again, Err(ServiceError::Taken { field: FieldName::Digest, .. })), "{again:?}");
            assert_eq!((s.one.status(&key).await, s.two.status(&key).await), (401, 401));
            tx.commit().await.unwrap();
            assert_eq!(staged.committed().name, "old");
            assert_eq!(s.one.status(&key).await, 200);
            s.two.wait_for_status(&key, 200).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn rollback_leaves_nothing() {
            let Some(s) = $scene.await else { return };
            let key = s.one.issue("deploy", s.owner).await;
            assert_eq!(s.one.status(&key.secret).await, 200);
            let before = rows(&s.pool).await;
            let mut tx: Tx = $begin(&s.pool).await;
            let tokens = s.one.keyward.tokens();
            drop(tokens.within(&mut tx).revoke(key.token.id).await.unwrap());
            let new_one = tokens.within(&mut tx).issue_admin(new("new", s.owner)).await.unwrap();
            note(&mut tx, "lost").await;
            // A program that ends here rolls back as well.
            drop(tx);
            assert_eq!((rows(&s.pool).await, notes(&s.pool).await), (before, 0));
            assert_eq!((s.one.status(&key.secret).await, s.one.status(&new_one.secret).await), (200, 401));
            // Published by mistake: the cache is loaded again, and nothing else happens.
            let new_one = new_one.committed();
            s.one.wait_for_status(&key.secret, 200).await;
            assert_eq!(s.one.status(&new_one.secret).await, 401);
            let again = s.one.issue("new", s.owner).await;
            s.one.wait_for_status(&again.secret, 200).await;
            s.one.keyward.tokens().revoke(key.token.id).await.unwrap();
            s.one.wait_for_status(&key.secret, 401).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn rejected_change_leaves_the_transaction_usable() {
            let Some(s) = $scene.await else { return };
            s.one.issue("taken", s.owner).await;
            let before = rows(&s.pool).await;
            let mut tx: Tx = $begin(&s.pool).await;
            let tokens = s.one.keyward.tokens();
            let taken = tokens.within(&mut tx).issue_admin(new("taken", s.owner)).await;
            assert!(matches!(taken, Err(ServiceError::Taken { .. })), "{taken:?}");
            let wide = new("wide", s.owner).grants([Grant::new("notes.write")]);
            let wide = tokens.within(&mut tx).issue_admin(wide).await;
            assert!(matches!(wide, Err(ServiceError::Invalid(_))), "{wide:?}");
            let other = tokens.clone().acting_as(Actor::Person(OwnerId(999)));
            let other = other.within(&mut tx).issue_admin(new("other", s.owner)).await;
            assert!(matches!(other, Err(ServiceError::Forbidden(_))), "{other:?}");
            note(&mut tx, "kept").await;
            tx.commit().await.unwrap();
            assert_eq!((rows(&s.pool).await, notes(&s.pool).await), (before, 1));
        }

        /// A client that hangs up, or a timeout: the host's transaction is rolled back, wherever the call was.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn dropped_call_leaves_nothing_after_the_rollback() {
            let Some(s) = $scene.await else { return };
            let mut finished = 0;
            for polls in 0..60 {
                let before = rows(&s.pool).await;
                let name = format!("n{polls}");
                let mut tx: Tx = $begin(&s.pool).await;
                note(&mut tx, &name).await;
                let call = s.one.keyward.tokens().within(&mut tx).issue_admin(new(&name, s.owner));
                finished += usize::from(poll_and_drop(call, polls).await.is_some());
                drop(tx);
                assert_eq!((rows(&s.pool).await, notes(&s.pool).await), (before, 0), "after {polls} polls");
            }
            assert!((1..60).contains(&finished), "{finished}: calls were dropped at every step");
            let key = s.one.issue("later", s.owner).await;
            assert_eq!(s.one.status(&key.secret).await, 200);
        }

        /// never-more-than-owner: the owner's permissions cannot change between the check and the commit.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn role_cannot_shrink_between_the_call_and_the_commit() {
            let Some(s) = $scene.await else { return };
            let mut tx: Tx = $begin(&s.pool).await;
            let staged = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await.unwrap();
            let (roles, role) = (s.two.keyward.roles(), s.role);
            let shrink = async move {
                let update = RoleUpdate { permissions: Some(Vec::new()), ..RoleUpdate::default() };
                roles.update(role, update).await
            };
            let mut shrink = tokio::spawn(shrink);
            let waits = tokio::time::timeout(Duration::from_millis(200), &mut shrink).await.is_err();
            assert!(waits, "the role changed while the transaction was open");
            tx.commit().await.unwrap();
            let key = staged.committed();
            shrink.await.unwrap().unwrap();
            // The change of the role came later, and saw the token.
            s.one.wait_for_status(&key.secret, 403).await;
            let token = s.one.keyward.tokens().read(key.token.id).await.unwrap().token;
            assert!(token.grants().is_empty(), "{token:?}");
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn role_that_shrinks_first_counts() {
            let Some(s) = $scene.await else { return };
            let mut shrinking = s.two.keyward.store().begin().await.unwrap();
            shrinking.set_permissions(s.role, &[]).await.unwrap();
            let (pool, tokens, owner) = (s.pool.clone(), s.one.keyward.tokens(), s.owner);
            let mut call = tokio::spawn(async move {
                let mut tx: Tx = $begin(&pool).await;
                let call = tokens.within(&mut tx).issue_admin(new("deploy", owner)).await;
                drop(tx);
                call
            });
            let waits = tokio::time::timeout(Duration::from_millis(200), &mut call).await.is_err();
            assert!(waits, "it judged by the permissions of before");
            shrinking.commit(&[]).await.unwrap();
            let issued = call.await.unwrap();
            assert!(matches!(issued, Err(ServiceError::Invalid(_))), "{issued:?}");
        }

        /// valid-at-commit: the credential that admitted a request is judged in the transaction of the host.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn revoked_credential_changes_nothing() {
            let Some(s) = $scene.await else { return };
            let key = s.one.issue("own", s.owner).await;
            assert_eq!(s.one.status(&key.secret).await, 200);
            let actor = s.one.actor.lock().unwrap().clone().unwrap();
            s.two.keyward.tokens().revoke(key.token.id).await.unwrap();
            let mut tx: Tx = $begin(&s.pool).await;
            let tokens = s.one.keyward.tokens().acting_as(actor);
            let result = tokens.within(&mut tx).revoke(key.token.id).await;
            assert!(matches!(result, Err(ServiceError::Unauthenticated(_))), "{result:?}");
            drop(tx);
            // And one that is valid acts.
            let key = s.one.issue("own", s.owner).await;
            assert_eq!(s.one.status(&key.secret).await, 200);
            let actor = s.one.actor.lock().unwrap().clone().unwrap();
            let mut tx: Tx = $begin(&s.pool).await;
            let tokens = s.one.keyward.tokens().acting_as(actor);
            let revoked = tokens.within(&mut tx).revoke(key.token.id).await.unwrap();
            tx.commit().await.unwrap();
            revoked.committed();
            assert_eq!(s.one.status(&key.secret).await, 401);
        }

        /// The host's own statements on keyward's tables are changes by hand, before and after the call.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn statements_of_the_host_in_the_same_transaction_count() {
            let Some(s) = $scene.await else { return };
            let key = s.one.issue("own", s.owner).await;
            assert_eq!((s.one.status(&key.secret).await, s.two.status(&key.secret).await), (200, 200));
            let mut tx: Tx = $begin(&s.pool).await;
            let staged = s.one.keyward.tokens().within(&mut tx).issue_admin(new("deploy", s.owner)).await.unwrap();
            let block = "UPDATE keyward_owner SET state = 'blocked'";
            sqlx::query(block).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            let new_one = staged.committed();
            for secret in [&key.secret, &new_one.secret] {
                s.one.wait_for_status(secret, 401).await;
                s.two.wait_for_status(secret, 401).await;
            }
        }
    };
}
use tests_of_an_engine;
