//! `keyward audit tail`.

use super::people::People;
use super::{EventArguments, print};
use crate::context::{Access, Context};
use crate::failure::Failure;
use clap::Args;
use keyward::Keyward;
use keyward::admin::AuditEvent;
use keyward::store::{EventQuery, Paging};
use std::time::Duration;

/// The pause between two looks at the log.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    events: EventArguments,
    /// The number of earlier events to print.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    lines: u32,
    /// Stop after the earlier events.
    #[arg(long)]
    no_follow: bool,
}

impl Tail {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Read).await?;
        // With a bound, the store does not count the events of the whole log.
        let query = EventQuery { below: Some(i64::MAX), ..self.events.query(keyward).await? };
        let mut people = People::default();
        let paging = Paging { page: 1, page_size: self.lines.max(1) };
        let mut earlier = keyward.audit().list(&EventQuery { paging, ..query.clone() }).await?.items;
        let mut last = earlier.first().map_or(0, |(id, _)| *id);
        earlier.truncate(self.lines as usize);
        earlier.reverse();
        print(keyward, &mut people, earlier).await?;
        if self.no_follow {
            return Ok(());
        }
        let mut failing = false;
        loop {
            tokio::time::sleep(PAUSE).await;
            match events_after(keyward, &query, last).await {
                Ok(events) => {
                    failing = false;
                    last = events.last().map_or(last, |(id, _)| *id);
                    print(keyward, &mut people, events).await?;
                }
                // The events are read when the database is there again.
                Err(Failure::Unavailable(why)) => {
                    if !std::mem::replace(&mut failing, true) {
                        eprintln!("waiting for the database: {why}");
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Returns the events after this one, the oldest first.
async fn events_after(keyward: &Keyward, query: &EventQuery, last: i64) -> Result<Vec<(i64, AuditEvent)>, Failure> {
    let mut query = query.clone();
    let mut newer = Vec::new();
    loop {
        let page = keyward.audit().list(&query).await?.items;
        let is_full = page.len() == Paging::LARGEST as usize;
        let oldest = page.last().map(|(id, _)| *id);
        newer.extend(page.into_iter().take_while(|(id, _)| *id > last));
        match oldest {
            Some(id) if is_full && id > last => query.below = Some(id),
            _ => break,
        }
    }
    newer.reverse();
    Ok(newer)
}
