//! Notices about tokens that expire soon or are not used, as audit events.

mod run;

use super::context::ServiceContext;
use super::state::AdminState;
use super::{AuditLog, ServiceError};
use crate::domain::Actor;
use crate::keyward::Keyward;
use crate::store::WriteStore;
use crate::sync::{Arc, Weak};
use run::Job;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time before an expiry for which there is a notice. The bound keeps sums of times within the integers of a database.
const LONGEST_LEAD: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The time between two looks of a node for notices that are due. A look reads one row for each job.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The time from the start of a node to its first look.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// The notices about tokens: audit events before a token expires, and after it was not used for a long time.
///
/// Set it as [`Policy::notices`](crate::admin::Policy::notices), alike on all nodes. The host reads the events with
/// [`AuditLog::follow`] and sends its mails or webhooks; keyward sends none.
///
/// - [`TokenExpiring`](crate::admin::AuditAction::TokenExpiring): 7, 3 and 1 days before the expiry, each once. A time as long as the token's
///   whole life or longer is left out. If no node ran for a while, only the latest notice that is due is made, also for a token that
///   expired meanwhile. If the expiry changes, the new one has its own notices.
/// - [`TokenIdle`](crate::admin::AuditAction::TokenIdle): the last use was 90 days ago. Once for each last use.
/// - [`TokenUnused`](crate::admin::AuditAction::TokenUnused): issued 30 days ago and never used. Once for each token.
///
/// Sessions get no notices, and expired tokens none about their use. Notices about expiry are made within about ten minutes of their time,
/// the others within six hours. One node at a time makes them: the one with a lease in the store, which ends by the store's clock. The
/// record of a notice is written with its event, so each notice is made once, even if nodes crash.
///
/// ```
/// use keyward::admin::{Notices, Policy};
/// use std::time::Duration;
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// let mut policy = Policy::default();
/// policy.notices = Some(Notices::default().before_expiry([14 * DAY, DAY]).idle_after(60 * DAY));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notices {
    lead_times: Vec<Duration>,
    idle: Option<Duration>,
    unused: Option<Duration>,
    in_background: bool,
}

impl Default for Notices {
    fn default() -> Self {
        let lead_times = [7, 3, 1].map(|days| days * DAY).to_vec();
        Self { lead_times, idle: Some(90 * DAY), unused: Some(30 * DAY), in_background: true }
    }
}

impl Notices {
    /// Sets the times before the expiry at which notices are made. Longer ones than ten years count as ten years. [`Duration::ZERO`] makes
    /// a notice that the token has expired. An empty list makes no notices about expiry.
    #[must_use]
    pub fn before_expiry(mut self, lead_times: impl IntoIterator<Item = Duration>) -> Self {
        self.lead_times = lead_times.into_iter().map(|span| span.min(LONGEST_LEAD)).collect();
        self
    }

    /// Sets the time since the last use after which a token is idle.
    #[must_use]
    pub fn idle_after(mut self, span: Duration) -> Self {
        self.idle = Some(span);
        self
    }

    /// Makes no notices about idle tokens.
    #[must_use]
    pub fn without_idle(mut self) -> Self {
        self.idle = None;
        self
    }

    /// Sets the time since the issue after which a token that was never used is reported.
    #[must_use]
    pub fn unused_after(mut self, span: Duration) -> Self {
        self.unused = Some(span);
        self
    }

    /// Makes no notices about tokens that were never used.
    #[must_use]
    pub fn without_unused(mut self) -> Self {
        self.unused = None;
        self
    }

    /// Makes notices only when [`AuditLog::write_notices`] is called: for hosts with a scheduler of their own, or without a process that
    /// keeps running.
    #[must_use]
    pub fn on_demand(mut self) -> Self {
        self.in_background = false;
        self
    }
}

impl AuditLog {
    /// Makes the notices that are due now, instead of waiting for the background task. Returns their number.
    ///
    /// It makes none without [`Policy::notices`](crate::admin::Policy::notices), or while another node makes them.
    ///
    /// # Errors
    /// - [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program;
    /// - [`Store`](ServiceError::Store) if the store fails. Notices that were made before that stay. The next call makes the others.
    pub async fn write_notices(&self) -> Result<u64, ServiceError> {
        if self.0.origin.actor != Actor::Service {
            return Err(ServiceError::Forbidden("only the host program makes notices"));
        }
        let context = ServiceContext::new(self.0.store().clone(), self.0.state.clone());
        let mut made = 0;
        for job in Job::ALL {
            made += run::run(&context, job, true).await?;
        }
        Ok(made)
    }
}

impl Keyward {
    /// Starts the task that makes notices, if the policy asks for them.
    pub(crate) fn serve_notices(self) -> Self {
        let notices = self.admin_state().settings.policy.notices.as_ref();
        if notices.is_some_and(|notices| notices.in_background) {
            // Weak: the task must not keep the installation alive.
            let (state, store) = (Arc::downgrade(self.admin_state()), Arc::downgrade(self.store()));
            self.admin_state().resolver.tasks.spawn(|mut stop| async move {
                tokio::select! {
                    () = stop.requested() => {}
                    () = make_notices(store, state) => {}
                }
            });
        }
        self
    }
}

/// Makes notices until the installation is dropped.
///
/// The future may be dropped at any await: each change of the store runs to its end in a task of its own.
async fn make_notices(store: Weak<dyn WriteStore>, state: Weak<AdminState>) {
    let mut pause = FIRST_LOOK;
    loop {
        tokio::time::sleep(pause).await;
        pause = LOOK_EVERY;
        let (Some(store), Some(state)) = (store.upgrade(), state.upgrade()) else { return };
        let context = ServiceContext::new(store, state);
        for job in Job::ALL {
            if let Err(error) = run::run(&context, job, false).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "notices about tokens were not made: trying again in a minute");
            }
        }
    }
}
