// The seeded mistakes. `build.rs` puts each one beside the code that it replaces, and a test has to fail with it.

/// The mistakes in this package's replacements of libraries.
#[cfg(test)]
pub(crate) const OF_REPLACEMENTS: [&str; 1] = ["uniqueness is read with relaxed ordering"];

/// The name of a mistake, its file, the code there, and the code with the mistake. A switch selects which of the two
/// runs. Text after `=` replaces the code as a whole, for mistakes that do not fit into two branches.
pub(crate) const MISTAKES: [(&str, &str, &str, &str); 28] = [
    // Memory ordering.
    (
        "lease is stored with relaxed ordering",
        "resolve/freshness.rs",
        "self.lease_until.fetch_max(asked.plus(span).0, Ordering::AcqRel);",
        "self.lease_until.fetch_max(asked.plus(span).0, Ordering::Relaxed);",
    ),
    (
        "lease is loaded with relaxed ordering",
        "resolve/freshness.rs",
        "now.0 <= self.lease_until.load(Ordering::Acquire)",
        "now.0 <= self.lease_until.load(Ordering::Relaxed)",
    ),
    (
        "change count is incremented with relaxed ordering",
        "resolve/freshness.rs",
        "self.change_count.fetch_add(1, Ordering::AcqRel);",
        "self.change_count.fetch_add(1, Ordering::Relaxed);",
    ),
    (
        "change count is loaded with relaxed ordering",
        "resolve/freshness.rs",
        "self.change_count.load(Ordering::Acquire)",
        "self.change_count.load(Ordering::Relaxed)",
    ),
    (
        "passed flag is stored with relaxed ordering",
        "guard/mark.rs",
        "self.passed.store(true, Ordering::Release);",
        "self.passed.store(true, Ordering::Relaxed);",
    ),
    (
        "passed flag is loaded with relaxed ordering",
        "guard/mark.rs",
        "self.passed.load(Ordering::Acquire)",
        "self.passed.load(Ordering::Relaxed)",
    ),
    // Order of steps.
    (
        "passed flag is set before the pending flag",
        "guard/mark.rs",
        "self.pending.store(true, Ordering::Release);\n        self.pass();",
        "self.pass();\n        self.pending.store(true, Ordering::Release);",
    ),
    (
        "change count precedes the slots",
        "resolve/freshness.rs",
        "Self::invalidate_in(&self.era.load(), seq, tags);\n        self.notify();",
        "self.notify();\n        Self::invalidate_in(&self.era.load(), seq, tags);",
    ),
    (
        "change count is loaded after the slots",
        "resolve/freshness.rs",
        "last_checked.0.store(change_count, Ordering::Relaxed);",
        "last_checked.0.store(self.change_count.load(Ordering::Acquire), Ordering::Relaxed);",
    ),
    (
        "change count precedes the floor",
        "resolve/freshness.rs",
        "self.era.load().floor.fetch_max(floor, Ordering::AcqRel);\n        self.notify();",
        "self.notify();\n        self.era.load().floor.fetch_max(floor, Ordering::AcqRel);",
    ),
    (
        "change count precedes the era",
        "resolve/freshness.rs",
        "let number = self.era() + 1;",
        "=if crate::made(\"change count precedes the era\") { self.notify(); }
                let number = self.era() + 1;",
    ),
    (
        "change count precedes the era",
        "resolve/freshness.rs",
        "Era::new(era.number + 1, floor))),\n        }\n        self.notify();",
        "=Era::new(era.number + 1, floor))),\n        }
        if !crate::made(\"change count precedes the era\") { self.notify(); }",
    ),
    (
        "own change of another era is ignored",
        "resolve/freshness.rs",
        "return self.begin_era(self.highest());",
        "return;",
    ),
    (
        "lease precedes the tags",
        "resolve/poller.rs",
        "let caught_up = reader.apply(poll, highest, &resolver.freshness, progress);",
        "=if crate::made(\"lease precedes the tags\") { resolver.freshness.renew(asked, { limits.max_staleness }); }
                let caught_up = reader.apply(poll, highest, &resolver.freshness, progress);",
    ),
    (
        "lease starts at the response of the poll",
        "resolve/poller.rs",
        "resolver.freshness.renew(asked, limits.max_staleness);",
        "resolver.freshness.renew(clock.moment(), limits.max_staleness);",
    ),
    (
        "look-up result is used unchecked",
        "resolve/mod.rs",
        "if outcome.is_current(&secret.digest, begun, &self.freshness) {",
        "=if crate::made(\"look-up result is used unchecked\") || outcome.is_current(&secret.digest, begun, &self.freshness) {",
    ),
    (
        "cached entry is used unchecked",
        "resolve/mod.rs",
        "now < entry.reload && entry.is_current(&self.freshness)",
        "now < entry.reload",
    ),
    ("warmed entry is never stale", "resolve/warm_up.rs", "page.seq };", "=if crate::made(\"warmed entry is never stale\") { u64::MAX } else { page.seq } };"),
    (
        "known secret is admitted unchecked",
        "resolve/mod.rs",
        "!entry.is_current(&self.freshness)",
        "false",
    ),
    (
        "era is loaded after the snapshot",
        "resolve/mod.rs",
        "self.freshness.observe(era, snapshot.seq, snapshot.op_id.as_deref());",
        "=let era = if crate::made(\"era is loaded after the snapshot\") { self.freshness.era() } else { era };
        self.freshness.observe(era, snapshot.seq, snapshot.op_id.as_deref());",
    ),
    (
        "account is asked before the snapshot",
        "resolve/mod.rs",
        "self.accounts.complete_record(record).await.map_err(|_| Unavailable::Store)?;",
        "=self.accounts.complete_record(record).await.map_err(|_| Unavailable::Store)?;
            if crate::made(\"account is asked before the snapshot\") {
                for _ in 0..30 {
                    shuttle::future::yield_now().await;
                }
                snapshot.seq = self.read(digest, lane).await?.snapshot.seq;
            }",
    ),
    (
        "cache is not checked again before a look-up",
        "resolve/lookup.rs",
        "self.known(&secret, self.clock.moment())",
        "None::<Resolved>",
    ),
    (
        "slot is freed before the result is cached",
        "resolve/lookup.rs",
        "let outcome = self.resolver.look_up(self.secret, self.lane).await;",
        "=if crate::made(\"slot is freed before the result is cached\") {
            self.resolver.lookups_in(self.lane).remove(&self.secret.digest);
        }
        let outcome = self.resolver.look_up(self.secret, self.lane).await;",
    ),
    (
        "look-up ends with the task that started it",
        "resolve/lookup.rs",
        "tokio::spawn(slot.run(sender));",
        "crate::hands::hold(tokio::spawn(slot.run(sender)));",
    ),
    (
        "change ends with its caller",
        "admin/unit_of_work/commit.rs",
        "let task = tokio::spawn(async move {",
        "=let task = crate::hands::spawn(\"change ends with its caller\", async move {",
    ),
    (
        "change ends with its caller",
        "admin/unit_of_work/commit.rs",
        "if !self.tags.is_empty() {",
        "=if !crate::made(\"change ends with its caller\") && !self.tags.is_empty() {",
    ),
    (
        "change ends with its caller",
        "admin/unit_of_work/commit.rs",
        "Ok(()) => {
                    drop(invalidation);",
        "=Ok(()) if crate::made(\"change ends with its caller\") => {
                    invalidation.resolver.freshness.invalidate_own(invalidation.position, invalidation.seq, invalidation.op_id.as_deref(), &invalidation.tags);
                }
                Ok(()) if crate::made(\"change is acknowledged before it is invalidated\") => {
                    tokio::spawn(async move { drop(invalidation) });
                }
                Ok(()) => {
                    drop(invalidation);",
    ),
    (
        "change is acknowledged before it is invalidated",
        "admin/unit_of_work/commit.rs",
        "Ok(value)\n        });",
        "=Ok(value)\n        });",
    ),
];
