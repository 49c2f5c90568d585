//! The database fails and recovers: meanwhile the gate and the handlers answer 503.

use keyward_test_support::platform::{Server, platform_on};
use keyward_test_support::{postgres, skip};
use sqlx::{Connection, Executor};
use std::time::{Duration, Instant};

const CM: &str = "/admin/content-manager/collection-types/api::article.article";
const LOGIN: &str = r#"{"email":"root@example.test","password":"Passw0rd!"}"#;

/// Longer than the lease, so that the gate rejects requests in the end.
const GONE: Duration = Duration::from_secs(3);

#[test]
fn outage_of_the_database_is_503_until_it_returns() {
    let database = match postgres::Server::start(&[]) {
        Ok(database) => database,
        Err(why) => return skip("a database that goes", &why),
    };
    let server = Server::start(platform_on(database.url()));
    let (root, editor, full) = (server.secret("ROOT"), server.secret("EDITOR"), server.secret("FULL"));
    let json = "Content-Type: application/json";
    let ask = || {
        [
            server.get(CM, editor),
            server.get("/api/articles", full),
            server.json("POST", CM, root, r#"{"title":"x"}"#),
            server.get("/admin/webhooks", root),
            server.get("/admin/users/me", editor),
            server.send("POST", "/admin/login", &[json], LOGIN),
        ]
    };
    for answer in ask() {
        assert!(answer.status < 300, "{answer:?}");
    }
    // A request is waiting at that moment.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut other = runtime.block_on(sqlx::PgConnection::connect(database.url())).unwrap();
    runtime.block_on(other.execute("BEGIN; LOCK TABLE article IN ACCESS EXCLUSIVE MODE")).unwrap();
    let cut_off = std::thread::scope(|threads| {
        let waiting = threads.spawn(|| server.get(CM, editor));
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'article'::regclass)";
        while !runtime.block_on(sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut other)).unwrap() {
            assert!(!waiting.is_finished(), "the request was answered and should have waited");
            std::thread::sleep(Duration::from_millis(1));
        }
        database.halt().unwrap();
        waiting.join().unwrap()
    });
    let halted = Instant::now();
    assert!(cut_off.assert(503).head.contains("retry-after: "));
    // Cached tokens are accepted until the lease ends: usually handlers notice the outage first.
    let cached = server.get("/admin/ping", editor);
    assert!(cached.status == 200 || cached.status == 503 && cached.head.contains("retry-after: "), "{cached:?}");
    while halted.elapsed() < GONE {
        for answer in ask() {
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(answer.head.contains("retry-after: "), "{answer:?}");
        }
    }
    assert!(server.get("/admin/ping", editor).assert(503).head.contains("retry-after: "));
    server.get("/ping", "").assert(200);
    database.start_again().unwrap();
    let back = Instant::now();
    while !ask().iter().all(|answer| answer.status < 300) {
        assert!(back.elapsed() < Duration::from_secs(120), "the platform recovers by itself");
    }
}
