//! Revalidation: judging the credential of an admitted request again.

use super::mark::Mark;
use crate::domain::{InvalidCredential, Reason, Requirement, Unavailable};
use crate::resolve::{Entry, Lane, Resolved};
use std::sync::Arc;
use std::time::Duration;

/// The error for a credential that was valid when the request began, and no longer is or no longer meets a requirement.
///
/// As the error of a body it makes extractors fail. The client gets 401, 403, or 503 if the store does not answer,
/// whatever the route responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential is no longer valid: the request was not done")]
pub struct NoLongerValid(Reason);

impl NoLongerValid {
    #[cfg_attr(
        not(any(feature = "api", feature = "mcp", feature = "ui")),
        allow(dead_code, reason = "for the modules that answer HTTP")
    )]
    pub(crate) fn new(reason: Reason) -> Self {
        Self(reason)
    }

    /// Returns the reason.
    pub fn reason(&self) -> Reason {
        self.0
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for NoLongerValid {
    /// Returns an empty 401, which the gate replaces by the rejection.
    fn into_response(self) -> axum::response::Response {
        http::StatusCode::UNAUTHORIZED.into_response()
    }
}

/// The reason why a credential no longer holds, and the requirement that it no longer meets.
pub(super) struct Loss {
    reason: Reason,
    missing: Option<Requirement>,
}

impl Loss {
    /// Records the loss in the mark of its request.
    pub(super) fn record(self, mark: &Mark) -> NoLongerValid {
        mark.invalidate(self.reason, self.missing);
        NoLongerValid(self.reason)
    }
}

impl From<Reason> for Loss {
    fn from(reason: Reason) -> Self {
        Self { reason, missing: None }
    }
}

/// Returns whether the entry that admitted a request would admit it now, as far as the cache knows.
pub(super) fn is_still_valid(entry: &Arc<Entry>) -> bool {
    let Some((resolver, secret)) = entry.resolver().zip(entry.secret()) else { return false };
    let now = resolver.clock.moment();
    match resolver.known(&secret, now) {
        Some(Resolved::Found(known)) => Arc::ptr_eq(&known, entry) && known.judge(now).is_ok(),
        _ => false,
    }
}

/// Waits until the entry's credential would no longer be admitted, or would no longer meet a requirement of its request.
/// Requirements that are added while it waits count too. For the public principal it waits forever.
pub(super) async fn wait_until_revoked(entry: &Arc<Entry>, mark: &Mark) {
    if entry.is_public {
        return std::future::pending().await;
    }
    let mut current = entry.clone();
    loop {
        let Some(resolver) = current.resolver() else { return };
        let mut changes = resolver.freshness.changes();
        let now = resolver.clock.moment();
        // Compare with the first entry: the credential must still allow all that it allowed then.
        let Ok(judged) = judge_again(entry, mark, &mark.requirements()).await else { return };
        current = judged;
        let left = current.next_deadline().min(resolver.freshness.lease_until()).since(now);
        drop(resolver);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(left) => {}
        }
    }
}

/// Sleeps for this time, but at most a minute: tokio's clock may stop while the machine is suspended, so the caller has to
/// read the clock again.
async fn sleep(left: Duration) {
    let least = Duration::from_millis(1);
    tokio::time::sleep(left.clamp(least, Duration::from_secs(60))).await;
}

/// Judges the credential of an entry as the gate would judge it now, and returns its current entry. Each decision on
/// `required` has to allow at least as much as with `entry`, and the client has to be in the networks of the token.
///
/// The client's address is kept only if the token had limits when the request was admitted. If it has got its first
/// networks since, the client counts as outside them.
///
/// # Errors
/// [`Loss`] if the credential or a requirement no longer holds, or if the store does not answer.
pub(super) async fn judge_again(entry: &Arc<Entry>, mark: &Mark, required: &[Requirement]) -> Result<Arc<Entry>, Loss> {
    let gone = Reason::Invalid(InvalidCredential::Unknown);
    let secret = entry.secret().ok_or(gone)?;
    let resolver = entry.resolver().ok_or(Reason::Unavailable(Unavailable::Stale))?;
    let now = resolver.clock.moment();
    let resolved = match resolver.known(&secret, now) {
        Some(known) => known,
        None => resolver.clone().ask(secret, Lane::Known).await.map_err(Reason::Unavailable)?,
    };
    let Resolved::Found(current) = resolved else { return Err(gone.into()) };
    current.judge(resolver.clock.moment())?;
    current.admit_address(mark.client())?;
    if current.principal.kind() != entry.principal.kind() {
        return Err(gone.into());
    }
    let decide = |entry: &Entry, r: &Requirement| entry.principal.decide(r, entry.conditions());
    match required.iter().find(|r| !decide(&current, r).covers(&decide(entry, r))) {
        None => Ok(current),
        Some(missing) => Err(Loss { reason: Reason::Forbidden, missing: Some(missing.clone()) }),
    }
}
