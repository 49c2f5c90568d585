//! A run of a job: take the lease, make the notices in batches, and record that the job is complete.
//!
//! The store's clock decides about the lease, as it does about expiry. A node's own clock decides only when to look. Each run draws a random
//! name, so two runs on one node are two holders. The transaction that records notices also checks the lease, and writers are serialised.
//! So a run that lost the lease, for example because its process was suspended, writes nothing.

use super::Notices;
use crate::admin::ServiceError;
use crate::admin::context::ServiceContext;
use crate::admin::unit_of_work::UnitOfWork;
use crate::domain::{Timestamp, TokenId};
use crate::store::{Lease, Notice, NoticeQuery};
use std::time::Duration;

/// The duration of a lease. Each batch extends it.
const TERM: Duration = Duration::from_secs(60);
/// The most notices of a transaction.
const BATCH: u32 = 500;

/// A job with a lease of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Job {
    Expiring,
    Usage,
}

impl Job {
    pub(super) const ALL: [Self; 2] = [Self::Expiring, Self::Usage];

    fn name(self) -> &'static str {
        match self {
            Self::Expiring => "notices-expiring",
            Self::Usage => "notices-usage",
        }
    }

    /// Returns the time between two runs of the job. That of usage is long, as it reads all tokens.
    fn interval(self) -> Duration {
        match self {
            Self::Expiring => Duration::from_secs(10 * 60),
            Self::Usage => Duration::from_secs(6 * 60 * 60),
        }
    }

    fn is_enabled(self, notices: &Notices) -> bool {
        match self {
            Self::Expiring => !notices.lead_times.is_empty(),
            Self::Usage => notices.idle.is_some() || notices.unused.is_some(),
        }
    }
}

/// Does a job if it is due and no other run has its lease. Returns the number of notices that it made.
///
/// With `is_forced` it does the job even if that is not due.
pub(super) async fn run(context: &ServiceContext, job: Job, is_forced: bool) -> Result<u64, ServiceError> {
    let Some(notices) = context.policy().notices.clone().filter(|notices| job.is_enabled(notices)) else {
        return Ok(0);
    };
    if !is_forced && !is_due(context, job).await? {
        return Ok(0);
    }
    let Some(lease) = context.transact(move |unit| Box::pin(take_lease(unit, job, is_forced))).await? else {
        return Ok(0);
    };
    let (mut made, mut after) = (0, TokenId(0));
    loop {
        let Batch { due, at } = find_due(context, job, &notices, &lease, after).await?;
        let is_last = due.len() < BATCH as usize;
        after = due.last().map_or(after, |last| last.token);
        let (holder, complete_at) = (lease.holder.clone(), is_last.then_some(at));
        let done = context.transact(move |unit| Box::pin(write(unit, job, holder, due, complete_at))).await?;
        let Some(done) = done else {
            tracing::debug!(job = job.name(), "another node has taken over the notices about tokens");
            return Ok(made);
        };
        made += done;
        if is_last {
            return Ok(made);
        }
    }
}

/// Returns whether a run would get the lease and find the job due.
async fn is_due(context: &ServiceContext, job: Job) -> Result<bool, ServiceError> {
    let mut view = context.view().await?;
    let now = view.now();
    Ok(view.lease(job.name()).await?.is_none_or(|lease| !lease.is_valid(now) && !lease.is_recent(now, job.interval())))
}

impl Lease {
    /// Returns whether its holder has it at this time of the store's clock. A lease that ends later than a new one would was taken before
    /// the clock was set back, and is not valid.
    fn is_valid(&self, now: Timestamp) -> bool {
        now < self.ends_at && self.ends_at <= now.plus(TERM)
    }

    /// Returns whether the job was completed within this time before `now`.
    fn is_recent(&self, now: Timestamp, span: Duration) -> bool {
        self.complete_at.is_some_and(|at| at <= now && now.since(at) < span)
    }
}

/// Takes the lease; `None` if another run has it, or the job is not due.
async fn take_lease(unit: &mut UnitOfWork<'_>, job: Job, is_forced: bool) -> Result<Option<Lease>, ServiceError> {
    let now = unit.now();
    let found = unit.view().lease(job.name()).await?;
    let is_taken = |lease: &Lease| lease.is_valid(now) || (!is_forced && lease.is_recent(now, job.interval()));
    if found.as_ref().is_some_and(is_taken) {
        unit.skip_commit();
        return Ok(None);
    }
    // No other transaction has this sequence number, except after a restore. The random bytes differ then.
    let mut bytes = [0; 16];
    unit.state.entropy.fill(&mut bytes)?;
    let holder = format!("{}-{}", hex::encode(bytes), unit.seq());
    let (begun_at, complete_at) = found.map_or((now, None), |lease| (lease.begun_at, lease.complete_at));
    let lease = Lease { holder, ends_at: now.plus(TERM), begun_at, complete_at };
    unit.set_lease(job.name(), &lease).await?;
    Ok(Some(lease))
}

/// The notices that are due, and the time of the look for them.
struct Batch {
    due: Vec<Notice>,
    at: Timestamp,
}

/// Finds the notices that are due, without the lock of writers.
async fn find_due(
    context: &ServiceContext,
    job: Job,
    notices: &Notices,
    lease: &Lease,
    after: TokenId,
) -> Result<Batch, ServiceError> {
    let mut view = context.view().await?;
    let at = view.now();
    let query = match job {
        // A token that expired before the last complete run has had its notice, or expired before notices were enabled.
        Job::Expiring => NoticeQuery::Expiring {
            lead_times: &notices.lead_times,
            expired_after: lease.complete_at.unwrap_or(lease.begun_at).min(at),
        },
        Job::Usage => NoticeQuery::Usage { idle: notices.idle, unused: notices.unused, after },
    };
    Ok(Batch { due: view.due_notices(&query, BATCH).await?, at })
}

/// Records notices and extends the lease. After the last batch it gives the lease back. `None` if the lease is lost.
async fn write(
    unit: &mut UnitOfWork<'_>,
    job: Job,
    holder: String,
    due: Vec<Notice>,
    complete_at: Option<Timestamp>,
) -> Result<Option<u64>, ServiceError> {
    let now = unit.now();
    let found = unit.view().lease(job.name()).await?;
    let Some(lease) = found.filter(|lease| lease.holder == holder && lease.is_valid(now)) else {
        unit.skip_commit();
        return Ok(None);
    };
    let made = unit.add_notices(&due).await?;
    let ends_at = if complete_at.is_some() { now } else { now.plus(TERM) };
    let lease = Lease { ends_at, complete_at: complete_at.or(lease.complete_at), ..lease };
    unit.set_lease(job.name(), &lease).await?;
    Ok(Some(made))
}
