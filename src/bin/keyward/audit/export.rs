//! `keyward audit export`.

use super::people::People;
use super::{EventArguments, print};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::lifespan::parse_time;
use clap::Args;
use keyward::time::Timestamp;

#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    events: EventArguments,
    /// Only events from this time on: 2030-01-31, or 2030-01-31T09:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
}

impl Export {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let keyward = context.open(Access::Read).await?;
        let mut query = self.events.query(keyward).await?;
        (query.since, query.until) = (self.since, self.until);
        let mut people = People::default();
        loop {
            let page = keyward.audit().list(&query).await?.items;
            let Some((last, _)) = page.last() else { return Ok(()) };
            // New events do not shift the pages.
            query.below = Some(*last);
            print(keyward, &mut people, page).await?;
        }
    }
}
