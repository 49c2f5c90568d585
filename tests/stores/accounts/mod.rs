//! The story of an application's own users, on both engines: whichever way a change is reported, a token is never
//! stronger than its user (host-is-the-source).

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use keyward::accounts::{Account, AccountKey};
use keyward::admin::{IssuedToken, Lifespan, Secret};
use keyward::store::WriteStore;
use keyward::testing::App;
use keyward::{Auth, Builder, Grant, GuardedRouter, HashKey, Keyward, NewAdminToken, action};
use std::time::{Duration, Instant};

/// The staleness bound of the nodes.
const BOUND: Duration = Duration::from_secs(2);
const ROUTES: [&str; 2] = ["/v1/read", "/v1/write"];

/// Two nodes of one application. The second one has not seen what the first one does.
struct Scene<P> {
    pool: P,
    one: Node,
    two: Node,
}

struct Node {
    keyward: Keyward,
    app: App,
}

impl Node {
    fn on(store: impl WriteStore, accounts: impl FnOnce(Builder) -> Builder) -> Self {
        let hash_key = HashKey::parse(keyward::testing::HASH_KEY).unwrap();
        let keyward = accounts(Keyward::builder(store).hash_key(hash_key)).admin("/v1").build().unwrap();
        let who = |auth: Auth| async move { auth.account().map(ToString::to_string).unwrap_or_default() };
        let routes = GuardedRouter::new();
        let routes = routes.get(ROUTES[0], action("notes.read"), who).get(ROUTES[1], action("notes.write"), who);
        Self { app: App::from_service(keyward.guard(routes)), keyward }
    }

    /// Returns the answers to a read and a write.
    async fn answers(&self, secret: &Secret) -> [u16; 2] {
        let mut answers = [0; 2];
        for (answer, route) in answers.iter_mut().zip(ROUTES) {
            *answer = self.app.get(route).bearer(secret).await.status.as_u16();
        }
        answers
    }

    /// Waits until the answers are these. It fails if they are not within the bound.
    async fn wait_for(&self, secret: &Secret, answers: [u16; 2]) {
        let began = Instant::now();
        loop {
            let now = self.answers(secret).await;
            if now == answers {
                return;
            }
            // A request began before the bound, and may have been answered after it.
            assert!(began.elapsed() < BOUND + Duration::from_millis(200), "{now:?}, not {answers:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn issue(&self, name: &str, owner: &str) -> IssuedToken {
        self.keyward.tokens().issue_admin(new(name, owner)).await.unwrap()
    }

    /// Returns how many grants a token has.
    async fn grants(&self, token: &IssuedToken) -> usize {
        self.keyward.tokens().read(token.token.id).await.unwrap().token.grants().len()
    }

    async fn wait_for_grants(&self, token: &IssuedToken, grants: usize) {
        let began = Instant::now();
        while self.grants(token).await != grants {
            assert!(began.elapsed() < Duration::from_secs(30), "the grants are not clamped");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn key(text: &str) -> AccountKey {
    AccountKey::new(text).unwrap()
}

fn new(name: &str, owner: &str) -> NewAdminToken {
    let grants = ["notes.read", "notes.write"].map(Grant::new);
    NewAdminToken::new(name, key(owner)).grants(grants).lifespan(Lifespan::Unlimited)
}

/// Returns the account of a row of the application.
fn account(name: &str, active: bool, role: &str) -> Account {
    let permissions: &[&str] = match role {
        "editor" => &["notes.read", "notes.write"],
        _ => &["notes.read"],
    };
    Account::new(name).active(active).permissions(permissions.iter().copied())
}

const BOTH: [u16; 2] = [200, 200];
const READ_ONLY: [u16; 2] = [200, 403];
const NOTHING: [u16; 2] = [401, 401];

/// The tests of one engine: `$scene` makes a scene on an empty database with the users `ada` and `eve`, `$begin` begins
/// a transaction of the application.
macro_rules! tests_of_an_engine {
    ($scene:expr, $scene_with_name:expr, $begin:expr) => {
        struct Users(Pool);

        #[async_trait::async_trait]
        impl keyward::accounts::Accounts for Users {
            async fn account(&self, key: &AccountKey) -> Result<Option<Account>, keyward::accounts::AccountsError> {
                let text = "SELECT name, active, role FROM app_user WHERE id = $1";
                let row = sqlx::query(text).bind(key.as_str()).fetch_optional(&self.0).await?;
                Ok(row.map(|row| account(row.get("name"), row.get("active"), row.get("role"))))
            }
        }

        async fn set_in(tx: &mut Tx, id: &str, active: bool, role: &str) {
            let text = "UPDATE app_user SET active = $2, role = $3 WHERE id = $1";
            sqlx::query(text).bind(id).bind(active).bind(role).execute(&mut **tx).await.unwrap();
        }

        /// Changes a user as the application does that knows nothing of keyward.
        async fn set(pool: &Pool, id: &str, active: bool, role: &str) {
            let mut tx: Tx = $begin(pool).await;
            set_in(&mut tx, id, active, role).await;
            tx.commit().await.unwrap();
        }

        /// Way (a).
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn change_within_the_applications_transaction_is_seen_by_the_next_request() {
            let Some(s) = $scene.await else { return };
            let token = s.one.issue("deploy", "ada").await;
            assert_eq!((s.one.answers(&token.secret).await, s.two.answers(&token.secret).await), (BOTH, BOTH));
            let report = async |tx: &mut Tx, active: bool, role: &str| {
                set_in(tx, "ada", active, role).await;
                let account = Some(account("Ada", active, role));
                s.one.keyward.accounts().within(tx).changed(&key("ada"), account).await.unwrap()
            };
            // Rolled back: nothing has happened.
            let mut tx: Tx = $begin(&s.pool).await;
            let staged = report(&mut tx, true, "reader").await;
            assert_eq!((staged.tokens, staged.grants), (1, 1));
            tx.rollback().await.unwrap();
            drop(staged);
            assert_eq!((s.one.answers(&token.secret).await, s.two.answers(&token.secret).await), (BOTH, BOTH));
            // A smaller role.
            let mut tx: Tx = $begin(&s.pool).await;
            let staged = report(&mut tx, true, "reader").await;
            tx.commit().await.unwrap();
            assert_eq!(staged.committed().grants, 1);
            assert_eq!(s.one.answers(&token.secret).await, READ_ONLY);
            s.two.wait_for(&token.secret, READ_ONLY).await;
            // A removed grant does not come back.
            let mut tx: Tx = $begin(&s.pool).await;
            let staged = report(&mut tx, true, "editor").await;
            tx.commit().await.unwrap();
            staged.committed();
            assert_eq!(s.one.answers(&token.secret).await, READ_ONLY);
            // Deactivated, but the process dies before it can say that it has committed.
            let mut tx: Tx = $begin(&s.pool).await;
            let staged = report(&mut tx, false, "editor").await;
            tx.commit().await.unwrap();
            drop(staged);
            s.one.wait_for(&token.secret, NOTHING).await;
            s.two.wait_for(&token.secret, NOTHING).await;
            // Deleted with its tokens.
            let other = s.one.issue("other", "eve").await;
            let mut tx: Tx = $begin(&s.pool).await;
            sqlx::query("DELETE FROM app_user WHERE id = 'eve'").execute(&mut *tx).await.unwrap();
            let staged = s.one.keyward.accounts().within(&mut tx).removed(&key("eve")).await.unwrap();
            tx.commit().await.unwrap();
            staged.committed();
            assert_eq!(s.one.answers(&other.secret).await, NOTHING);
            assert!(s.one.keyward.tokens().read(other.token.id).await.is_err());
            s.two.wait_for(&other.secret, NOTHING).await;
        }

        /// Way (b).
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn change_reported_by_a_trigger_is_seen_within_the_bound_and_clamps() {
            let Some(s) = $scene.await else { return };
            sqlx::raw_sql(TRIGGER).execute(&s.pool).await.unwrap();
            let token = s.one.issue("deploy", "ada").await;
            let nodes = [&s.one, &s.two];
            for node in nodes {
                assert_eq!(node.answers(&token.secret).await, BOTH);
            }
            set(&s.pool, "ada", true, "reader").await;
            for node in nodes {
                node.wait_for(&token.secret, READ_ONLY).await;
            }
            s.one.wait_for_grants(&token, 1).await;
            set(&s.pool, "ada", true, "editor").await;
            set(&s.pool, "ada", false, "editor").await;
            for node in nodes {
                node.wait_for(&token.secret, NOTHING).await;
            }
            set(&s.pool, "ada", true, "editor").await;
            for node in nodes {
                node.wait_for(&token.secret, READ_ONLY).await;
            }
            // Reports are deleted, also those of users that own no token.
            set(&s.pool, "eve", true, "reader").await;
            let reports = async || -> i64 {
                let count = sqlx::query(COUNT_REPORTS);
                count.fetch_one(&s.pool).await.unwrap().get(0)
            };
            let began = Instant::now();
            while reports().await > 0 {
                assert!(began.elapsed() < Duration::from_secs(30), "reports stay");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            sqlx::query("DELETE FROM app_user WHERE id = 'ada'").execute(&s.pool).await.unwrap();
            for node in nodes {
                node.wait_for(&token.secret, NOTHING).await;
            }
        }

        /// Ways (c) and (d).
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn change_reported_after_the_commit_or_not_at_all_is_seen() {
            let Some(s) = $scene.await else { return };
            let (ada, eve) = (s.one.issue("ada", "ada").await, s.one.issue("eve", "eve").await);
            for node in [&s.one, &s.two] {
                assert_eq!((node.answers(&ada.secret).await, node.answers(&eve.secret).await), (BOTH, BOTH));
            }
            set(&s.pool, "ada", true, "reader").await;
            assert_eq!(s.one.keyward.accounts().changed(&key("ada")).await.unwrap().grants, 1);
            assert_eq!(s.one.answers(&ada.secret).await, READ_ONLY);
            s.two.wait_for(&ada.secret, READ_ONLY).await;
            set(&s.pool, "ada", false, "reader").await;
            s.one.keyward.accounts().changed(&key("ada")).await.unwrap();
            assert_eq!(s.one.answers(&ada.secret).await, NOTHING);
            s.two.wait_for(&ada.secret, NOTHING).await;
            // Nothing is said about the other one.
            set(&s.pool, "eve", true, "reader").await;
            for node in [&s.one, &s.two] {
                node.wait_for(&eve.secret, READ_ONLY).await;
            }
            s.one.wait_for_grants(&eve, 1).await;
            set(&s.pool, "eve", false, "editor").await;
            for node in [&s.one, &s.two] {
                node.wait_for(&eve.secret, NOTHING).await;
            }
            set(&s.pool, "eve", true, "editor").await;
            for node in [&s.one, &s.two] {
                node.wait_for(&eve.secret, READ_ONLY).await;
            }
        }

        /// A policy of the application changes for everybody.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn sweep_clamps_every_account() {
            let Some(s) = $scene.await else { return };
            let (ada, eve) = (s.one.issue("ada", "ada").await, s.one.issue("eve", "eve").await);
            sqlx::query("UPDATE app_user SET role = 'reader'").execute(&s.pool).await.unwrap();
            let sweep = s.two.keyward.accounts().policy_changed().await.unwrap();
            for token in [&ada, &eve] {
                assert_eq!(s.two.answers(&token.secret).await, READ_ONLY);
                s.one.wait_for(&token.secret, READ_ONLY).await;
            }
            let progress = sweep.finished().await;
            assert!(progress.finished && progress.accounts == 2 && progress.failed == 0, "{progress:?}");
            assert_eq!((s.one.grants(&ada).await, s.one.grants(&eve).await), (1, 1));
        }

        /// The steps of a deactivation, in a process that is killed after the step `KILL_AFTER`.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "a part of the next test, in a process of its own"]
        async fn deactivation_that_is_killed() {
            let Ok(kill_after) = std::env::var("KILL_AFTER") else { return };
            let database = std::env::var("KILL_DATABASE").unwrap();
            let s = open(&database).await;
            let mut step = 0;
            let mut done = || {
                step += 1;
                if kill_after == step.to_string() {
                    std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
                }
            };
            let mut tx: Tx = $begin(&s.pool).await;
            done();
            set_in(&mut tx, "ada", false, "editor").await;
            done();
            let account = Some(account("Ada", false, "editor"));
            let staged = s.one.keyward.accounts().within(&mut tx).changed(&key("ada"), account).await.unwrap();
            done();
            tx.commit().await.unwrap();
            done();
            staged.committed();
            done();
        }

        /// No crash leaves a live token of a dead user, or a dead token of a live one.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn kill_between_any_two_statements_leaves_user_and_token_alike() {
            let Some((database, s)) = $scene_with_name.await else { return };
            let token = s.one.issue("deploy", "ada").await;
            let path = concat!(module_path!(), "::deactivation_that_is_killed");
            let path = path.split_once("::").unwrap().1;
            let mut dead = 0;
            for step in 1..=6 {
                set(&s.pool, "ada", true, "editor").await;
                s.one.keyward.accounts().changed(&key("ada")).await.unwrap();
                assert_eq!(s.one.answers(&token.secret).await, BOTH);
                s.two.wait_for(&token.secret, BOTH).await;
                let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
                child.args(["--exact", path, "--ignored"]).env("KILL_AFTER", step.to_string());
                child.env("KILL_DATABASE", &database).stdout(std::process::Stdio::null());
                let status = child.stderr(std::process::Stdio::null()).status().await.unwrap();
                assert_eq!(status.success(), step == 6, "{status}");
                let row = sqlx::query("SELECT active FROM app_user WHERE id = 'ada'").fetch_one(&s.pool).await.unwrap();
                let expected = if row.get("active") { BOTH } else { NOTHING };
                dead += u8::from(expected == NOTHING);
                for node in [&s.one, &s.two] {
                    node.wait_for(&token.secret, expected).await;
                }
            }
            assert_eq!(dead, 3, "killed after the commit, after the report, or not at all");
        }
    };
}
use tests_of_an_engine;
