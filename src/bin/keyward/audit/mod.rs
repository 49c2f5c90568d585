//! `keyward audit`: the audit log, as JSON lines in the form of the management API.

mod export;
mod people;
mod tail;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::print_json_line;
use crate::reference::{find_owner, find_token};
use clap::{Args, Subcommand};
use keyward::Keyward;
use keyward::admin::{AuditAction, AuditEvent};
use keyward::store::{EventQuery, Paging};
use people::People;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as UnknownWord, StrDeserializer};

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Print the latest events, and then each new one.
    Tail(tail::Tail),
    /// Print all events, the latest first.
    Export(export::Export),
}

impl AuditCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Tail(tail) => tail.run(context).await,
            Self::Export(export) => export.run(context).await,
        }
    }
}

/// The events that a command prints.
#[derive(Args)]
struct EventArguments {
    /// Only events of this action, such as token-issued; may be repeated.
    #[arg(long, value_parser = parse_action)]
    action: Vec<AuditAction>,
    /// Only events by this person: the id or the e-mail address.
    #[arg(long, value_name = "OWNER")]
    by_owner: Option<String>,
    /// Only events by this token: the id or the name.
    #[arg(long, value_name = "TOKEN")]
    by_token: Option<String>,
}

impl EventArguments {
    async fn query(self, keyward: &Keyward) -> Result<EventQuery, Failure> {
        let mut query = EventQuery::all(Paging { page: 1, page_size: Paging::LARGEST });
        if !self.action.is_empty() {
            query.actions = Some(self.action);
        }
        if let Some(text) = &self.by_owner {
            query.person = Some(find_owner(keyward, text).await?.id);
        }
        if let Some(text) = &self.by_token {
            query.token = Some(find_token(keyward, text).await?.token.id);
        }
        Ok(query)
    }
}

fn parse_action(word: &str) -> Result<AuditAction, String> {
    let text: StrDeserializer<'_, UnknownWord> = word.into_deserializer();
    AuditAction::deserialize(text).map_err(|_| {
        let known: Vec<String> = AuditAction::ALL.iter().map(|action| word_of(*action)).collect();
        format!("there is no action {word}; there are {}", known.join(", "))
    })
}

fn word_of(action: AuditAction) -> String {
    let word = serde_json::to_value(action).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// Prints events, one a line.
async fn print(keyward: &Keyward, people: &mut People, events: Vec<(i64, AuditEvent)>) -> Result<(), Failure> {
    for (id, event) in events {
        let shape = people.shape(keyward, id, event).await?;
        print_json_line(&shape)?;
    }
    Ok(())
}
