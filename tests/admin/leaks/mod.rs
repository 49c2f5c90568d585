//! What to do when a key leaks: find it, revoke what belongs to it, and take the reports of a scanner.

mod find;
mod revoke_all;
mod scanning;

use keyward::admin::{AuditEvent, EventQuery, NewSession, Paging};
use keyward::testing::{App, Key, World};
use keyward::{Builder, GuardedRouter, OwnerId, api, authenticated};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An installation with the management API, and routes that any token of their group opens.
struct Service {
    world: World,
    app: App,
}

impl Service {
    fn new(settings: impl FnOnce(Builder) -> Builder) -> Self {
        // The clock jumps: without this option each jump would end the lease.
        let world = World::bare(|b| settings(b.api("/admin").content("/api")).store_is_exclusive());
        let own = GuardedRouter::new().get("/admin/own", authenticated(), || async {}).get(
            "/api/own",
            authenticated(),
            || async {},
        );
        let app = world.guard(api::router(&world.keyward).merge(own));
        Self { world, app }
    }

    async fn session(&self, owner: OwnerId) -> keyward::admin::IssuedToken {
        self.world.keyward.tokens().open_session(NewSession { owner, idle: DAY, lifespan: DAY }).await.unwrap()
    }

    /// Returns the status of a request with this secret.
    async fn status(&self, key: &Key) -> u16 {
        let path = if key.owner.is_some() { "/admin/own" } else { "/api/own" };
        self.app.get(path).bearer(&key.secret).await.status.as_u16()
    }

    /// Returns the audit log, the oldest event first.
    async fn events(&self) -> Vec<AuditEvent> {
        let paging = Paging { page: 1, page_size: Paging::LARGEST };
        let query = EventQuery { ascending: true, ..EventQuery::all(paging) };
        self.world.keyward.audit().list(&query).await.unwrap().items.into_iter().map(|(_, event)| event).collect()
    }
}
