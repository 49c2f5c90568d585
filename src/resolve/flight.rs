//! Single flight: however many ask for a digest, one look-up runs, in a task of its own that no caller can cancel.

use super::entry::Entry;
use super::freshness::Stamp;
use super::{HashDigest, Resolved, Resolver};
use crate::domain::{Digest, Unavailable};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;
use std::sync::Arc;
use tokio::sync::watch;

type Outcome = Result<Landed, Unavailable>;
pub(super) type Flights = DashMap<Digest, watch::Receiver<Option<Outcome>>, HashDigest>;

/// What a look-up found. Whoever receives it has to ask whether it still stands.
#[derive(Clone)]
pub(super) enum Landed {
    Found(Arc<Entry>),
    Absent(Stamp),
}

impl Landed {
    pub(super) fn stamp(&self) -> &Stamp {
        match self {
            Self::Found(entry) => &entry.stamp,
            Self::Absent(stamp) => stamp,
        }
    }
}

impl From<Landed> for Resolved {
    fn from(landed: Landed) -> Self {
        match landed {
            Landed::Found(entry) => Self::Found(entry),
            Landed::Absent(_) => Self::Absent,
        }
    }
}

impl Resolver {
    /// Joins the look-up that is under way, or starts one.
    pub(super) async fn join(self: &Arc<Self>, digest: Digest) -> Outcome {
        let mut outcome = match self.flights.entry(digest) {
            Place::Occupied(flight) => flight.get().clone(),
            Place::Vacant(place) => {
                let (sender, outcome) = watch::channel(None);
                place.insert(outcome.clone());
                tokio::spawn(self.clone().fly(digest, sender));
                outcome
            }
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or(Err(Unavailable::Store)),
            // The look-up's task panicked.
            Err(_) => Err(Unavailable::Store),
        }
    }

    async fn fly(self: Arc<Self>, digest: Digest, sender: watch::Sender<Option<Outcome>>) {
        let place = Removed(&self, digest);
        let outcome = self.look_up(digest).await;
        // From here on, whoever comes finds the cache or starts anew; whoever is here already gets this outcome.
        drop(place);
        sender.send_replace(Some(outcome));
    }
}

/// Frees the digest's place among the flights, also if the look-up panics.
struct Removed<'a>(&'a Resolver, Digest);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        self.0.flights.remove(&self.1);
    }
}
