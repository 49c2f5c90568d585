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
/// The longest time before an expiry for which there is a notice: its sums stay within the numbers of a database.
const LONGEST_LEAD: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How often a node looks whether there is something to do, which reads one row.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// When a node looks first.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// The notices about tokens: audit events a time before they expire, and when they are not used for long.
///
/// Set it as [`Policy::notices`](crate::admin::Policy::notices), alike on all nodes. The host reads the events with
/// [`AuditLog::follow`] and sends its mails or webhooks; keyward sends none.
///
/// - [`TokenExpiring`](crate::admin::AuditAction::TokenExpiring): 7, 3 and 1 days before the expiry, each once. A time that is longer than
///   the token's whole life is left out. If no node ran for a while, there is only the latest notice that is due; a token that expired
///   meanwhile gets one, too. If the expiry changes, there are notices of the new one.
/// - [`TokenIdle`](crate::admin::AuditAction::TokenIdle): the last use was 90 days ago. Once; if the token is used again and then idle again,
///   once more.
/// - [`TokenUnused`](crate::admin::AuditAction::TokenUnused): issued 30 days ago and never used. Once for ever.
///
/// Sessions get no notices, and expired tokens none about their use. Notices about expiry are made within about ten minutes, the others within
/// six hours. One node at a time makes them, by a lease in the store, and by the store's clock. The record of a notice is written with its
/// event, so each is made once, also if nodes crash in between.
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
    /// Sets how long before the expiry there are notices; ten years at most. [`Duration::ZERO`] is a notice that the token has expired.
    /// Without any, there are none about expiry.
    #[must_use]
    pub fn before_expiry(mut self, lead_times: impl IntoIterator<Item = Duration>) -> Self {
        self.lead_times = lead_times.into_iter().map(|span| span.min(LONGEST_LEAD)).collect();
        self
    }

    /// Sets after how long without a use a token is idle.
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

    /// Sets how long after its issue a token that was never used is reported.
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
    /// Makes the notices that are due now, instead of waiting for the background task. Returns how many there were.
    ///
    /// There are none without [`Policy::notices`](crate::admin::Policy::notices), and while another node makes them.
    ///
    /// # Errors
    /// - [`Forbidden`](ServiceError::Forbidden) unless the actor is the host program;
    /// - [`Store`](ServiceError::Store) if the store fails. Notices that were made before stay, and the others are made the next time.
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

/// Makes notices until the installation is dropped. It may be dropped at any await: a change is a task of its own.
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
