//! Commands on standard input, until there is a management API.

use crate::database::Database;
use crate::wire::BoxError;
use keyward::{Keyward, OwnerId, OwnerState, TokenId, WriteStore};
use std::io::{BufRead, IsTerminal};

/// Whether somebody can type here. Reading the terminal from the background would stop the whole process.
pub(crate) fn is_at_hand() -> bool {
    // Where there is /proc: behind the name in parentheses stand state, parent, group, session, terminal, and its group.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let in_background = matches!(behind[..], [_, _, group, _, _, foreground, ..] if group != foreground);
    std::io::stdin().is_terminal() && !in_background
}

/// Reads commands until standard input ends, in a thread of its own: nobody waits for it when the server stops.
pub(crate) fn start<S: WriteStore>(keyward: Keyward<S>, database: Database) {
    let runtime = tokio::runtime::Handle::current();
    println!("commands: list, revoke TOKEN_ID, deactivate OWNER_ID, activate OWNER_ID");
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match runtime.block_on(obey(&line, &keyward, &database)) {
                Ok(said) => println!("{said}"),
                Err(error) => println!("not done: {error}"),
            }
        }
    });
}

async fn obey<S: WriteStore>(line: &str, keyward: &Keyward<S>, database: &Database) -> Result<String, BoxError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let id = |text: &str| text.parse::<i64>().map_err(|_| format!("{text} is no id"));
    let set = async |owner: &str, state| -> Result<String, BoxError> {
        let owner = keyward.owners().set_state(OwnerId(id(owner)?), state).await?;
        Ok(format!("owner {} is {:?}", owner.id, owner.state))
    };
    match words.as_slice() {
        [] => Ok(String::new()),
        ["list"] => Ok(list(database).await?),
        ["revoke", token] => {
            keyward.tokens().revoke(TokenId(id(token)?)).await?;
            Ok(format!("token {token} is revoked"))
        }
        ["deactivate", owner] => set(owner, OwnerState::Deactivated).await,
        ["activate", owner] => set(owner, OwnerState::Active).await,
        _ => Err("say list, revoke TOKEN_ID, deactivate OWNER_ID or activate OWNER_ID".into()),
    }
}

async fn list(database: &Database) -> sqlx::Result<String> {
    let mut snapshot = database.read().await?;
    let owners: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, email, state FROM keyward_owner ORDER BY id").fetch_all(&mut *snapshot).await?;
    let tokens: Vec<(i64, String, String, Option<i64>)> =
        sqlx::query_as("SELECT id, kind, name, owner_id FROM keyward_token ORDER BY id")
            .fetch_all(&mut *snapshot)
            .await?;
    let mut lines = Vec::new();
    lines.extend(owners.into_iter().map(|(id, email, state)| format!("owner {id}: {email}, {state}")));
    lines.extend(tokens.into_iter().map(|(id, kind, name, owner)| match owner {
        Some(owner) => format!("token {id}: {kind}, {name}, of owner {owner}"),
        None => format!("token {id}: {kind}, {name}"),
    }));
    Ok(lines.join("\n"))
}
