// What the explorations have to notice. `build.rs` puts each mistake beside the code that it is one of.

/// A mistake, the file that it is in, the code there, and that code with the mistake: one of the two runs. Where they cannot stand
/// in two branches, what begins with `=` stands for both.
pub(crate) const MISTAKES: [(&str, &str, &str, &str); 27] = [
    // Of the memory order.
    (
        "the lease is published relaxed",
        "resolve/freshness.rs",
        "self.lease_until.fetch_max(asked.plus(span).0, Ordering::AcqRel);",
        "self.lease_until.fetch_max(asked.plus(span).0, Ordering::Relaxed);",
    ),
    (
        "the lease is read relaxed",
        "resolve/freshness.rs",
        "now.0 <= self.lease_until.load(Ordering::Acquire)",
        "now.0 <= self.lease_until.load(Ordering::Relaxed)",
    ),
    (
        "the count is published relaxed",
        "resolve/freshness.rs",
        "self.change_count.fetch_add(1, Ordering::AcqRel);",
        "self.change_count.fetch_add(1, Ordering::Relaxed);",
    ),
    (
        "the count is read relaxed",
        "resolve/freshness.rs",
        "self.change_count.load(Ordering::Acquire)",
        "self.change_count.load(Ordering::Relaxed)",
    ),
    ("a mark is used again as its last holder left it", "guard/mark.rs", "fence(Ordering::Acquire);", ""),
    (
        "a pass is published relaxed",
        "guard/mark.rs",
        "self.passed.store(true, Ordering::Release);",
        "self.passed.store(true, Ordering::Relaxed);",
    ),
    (
        "a pass is read relaxed",
        "guard/mark.rs",
        "self.passed.load(Ordering::Acquire)",
        "self.passed.load(Ordering::Relaxed)",
    ),
    // Of the order of steps.
    ("a mark is used again that somebody holds", "guard/mark.rs", "Arc::strong_count(&slip.mark) != 1", "false"),
    (
        "passed before it is pending",
        "guard/mark.rs",
        "self.pending.store(true, Ordering::Release);\n        self.pass();",
        "self.pass();\n        self.pending.store(true, Ordering::Release);",
    ),
    (
        "the count before the slots",
        "resolve/freshness.rs",
        "Self::invalidate_in(&self.era.load(), seq, tags);\n        self.notify();",
        "self.notify();\n        Self::invalidate_in(&self.era.load(), seq, tags);",
    ),
    (
        "the count is read after the slots",
        "resolve/freshness.rs",
        "last_checked.0.store(change_count, Ordering::Relaxed);",
        "last_checked.0.store(self.change_count.load(Ordering::Acquire), Ordering::Relaxed);",
    ),
    (
        "the count before the floor",
        "resolve/freshness.rs",
        "self.era.load().floor.fetch_max(floor, Ordering::AcqRel);\n        self.notify();",
        "self.notify();\n        self.era.load().floor.fetch_max(floor, Ordering::AcqRel);",
    ),
    (
        "the count before the era",
        "resolve/freshness.rs",
        "let number = self.era() + 1;",
        "=if crate::made(\"the count before the era\") { self.notify(); }\n                let number = self.era() + 1;",
    ),
    (
        "the count before the era",
        "resolve/freshness.rs",
        "Era::new(era.number + 1, floor))),\n        }\n        self.notify();",
        "=Era::new(era.number + 1, floor))),\n        }
        if !crate::made(\"the count before the era\") { self.notify(); }",
    ),
    (
        "an own change of another era is dropped",
        "resolve/freshness.rs",
        "return self.begin_era(self.highest());",
        "return;",
    ),
    (
        "the lease before the tags",
        "resolve/poller.rs",
        "let caught_up = reader.apply(poll, highest, &resolver.freshness, progress);",
        "=if crate::made(\"the lease before the tags\") { resolver.freshness.renew(asked, { limits.max_staleness }); }
                let caught_up = reader.apply(poll, highest, &resolver.freshness, progress);",
    ),
    (
        "the lease from the answer",
        "resolve/poller.rs",
        "resolver.freshness.renew(asked, limits.max_staleness);",
        "resolver.freshness.renew(clock.moment(), limits.max_staleness);",
    ),
    (
        "a look-up's answer is taken as it is",
        "resolve/mod.rs",
        "if self.freshness.is_current(outcome.stamp()) {",
        "=if crate::made(\"a look-up's answer is taken as it is\") || self.freshness.is_current(outcome.stamp()) {",
    ),
    (
        "what is cached is taken as it is",
        "resolve/mod.rs",
        "now < entry.reload && entry.is_current(&self.freshness)",
        "now < entry.reload",
    ),
    (
        "the era is read after the snapshot",
        "resolve/mod.rs",
        "self.freshness.observe(era, snapshot.seq, snapshot.op_id.as_deref());",
        "=let era = if crate::made(\"the era is read after the snapshot\") { self.freshness.era() } else { era };
        self.freshness.observe(era, snapshot.seq, snapshot.op_id.as_deref());",
    ),
    (
        "no second look before a look-up",
        "resolve/lookup.rs",
        "self.known(&digest, self.clock.moment())",
        "None::<Resolved>",
    ),
    (
        "the place is freed before the answer is kept",
        "resolve/lookup.rs",
        "let outcome = self.resolver.look_up(self.digest, self.lane).await;",
        "=if crate::made(\"the place is freed before the answer is kept\") {
            self.resolver.lookups_in(self.lane).remove(&self.digest);
        }
        let outcome = self.resolver.look_up(self.digest, self.lane).await;",
    ),
    (
        "a look-up in the hands of who began it",
        "resolve/lookup.rs",
        "tokio::spawn(slot.run(sender));",
        "crate::hands::hold(tokio::spawn(slot.run(sender)));",
    ),
    (
        "a change in its caller's hands",
        "admin/write.rs",
        "let task = tokio::spawn(async move {",
        "=let task = crate::hands::spawn(\"a change in its caller's hands\", async move {",
    ),
    (
        "a change in its caller's hands",
        "admin/write.rs",
        "if !self.tags.is_empty() {",
        "=if !crate::made(\"a change in its caller's hands\") && !self.tags.is_empty() {",
    ),
    (
        "a change in its caller's hands",
        "admin/write.rs",
        "Ok(()) => {
                    drop(raise);",
        "=Ok(()) if crate::made(\"a change in its caller's hands\") => {
                    raise.resolver.freshness.invalidate_own(raise.begun, raise.seq, raise.op_id.as_deref(), &raise.tags);
                }
                Ok(()) if crate::made(\"acknowledged before it is raised\") => {
                    tokio::spawn(async move { drop(raise) });
                }
                Ok(()) => {
                    drop(raise);",
    ),
    ("acknowledged before it is raised", "admin/write.rs", "Ok(value)\n        });", "=Ok(value)\n        });"),
];
