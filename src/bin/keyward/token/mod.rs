//! `keyward token`: admin and content tokens.

mod end_grace;
mod explain;
mod find;
mod issue;
mod list;
mod revoke;
mod rotate;
mod show;
mod update;

use crate::context::Context;
use crate::failure::Failure;
use crate::lifespan::{to_second, to_second_or};
use crate::limit_arguments::describe_limits;
use crate::output::{Output, record};
use crate::reference::owner_text;
use crate::scope_text::ScopeText;
use crate::shapes::TokenShape;
use clap::Subcommand;
use keyward::Keyward;
use keyward::admin::{DescribedToken, IssuedToken, ServiceError};
use keyward::token::{ContentAccess, LastUse, PreviousSecret, TokenKind};

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Issue a token, and print its secret once.
    Issue(issue::Issue),
    /// List tokens.
    List(list::List),
    /// Show a token. Its secret is not shown: only its digest is stored.
    Show(show::Show),
    /// Change a token: its name, its description, its limits, or whether it is admitted.
    Update(update::Update),
    /// Replace the secret of a token, and print the new one once. The old one is rejected from then on, or after --grace.
    Rotate(rotate::Rotate),
    /// End the previous secret of a token before its grace period is over.
    EndGrace(end_grace::EndGrace),
    /// Revoke a token for good. Servers reject it within 2 seconds.
    Revoke(revoke::Revoke),
    /// Find the token of a secret that was found, for example in a log.
    ///
    /// The secret comes from a file or from standard input: other users of the machine could see an argument.
    Find(find::Find),
    /// Explain whether a token may do an action, and why.
    ///
    /// The tool does not know the routes of a server. To explain a method and a path, send them to the server: `POST /admin/explain`.
    Explain(explain::Explain),
}

impl TokenCommand {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Issue(issue) => issue.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Update(update) => update.run(context).await,
            Self::Rotate(rotate) => rotate.run(context).await,
            Self::EndGrace(end) => end.run(context).await,
            Self::Revoke(revoke) => revoke.run(context).await,
            Self::Find(find) => find.run(context).await,
            Self::Explain(explain) => explain.run(context).await,
        }
    }
}

/// Prints a token: with `--quiet` its id alone.
fn print_token(context: &Context, described: &DescribedToken) -> Result<(), Failure> {
    context.out.print(&TokenShape::from(described), |_| record(&pairs(described)), |shape| Some(shape.id.to_string()))
}

/// Prints a token with its new secret: with `--quiet` the secret alone.
async fn print_secret(context: &Context, keyward: &Keyward, issued: &IssuedToken) -> Result<(), Failure> {
    let described = match keyward.tokens().read(issued.token.id).await {
        Ok(described) => described,
        // Revoked meanwhile, or the store has failed. The secret is still shown, as it cannot be shown later.
        Err(error) => {
            eprintln!("the token cannot be read: {}", Failure::from(error).sentence());
            return Output::Quiet.print(&(), |_| String::new(), |_| Some(issued.secret.expose().to_owned()));
        }
    };
    let mut shape = TokenShape::from(&described);
    shape.access_key = Some(issued.secret.expose().to_owned());
    let lines = |shape: &TokenShape| {
        let mut pairs = pairs(&described);
        pairs.push(("secret", shape.access_key.clone().unwrap_or_default()));
        record(&pairs)
    };
    context.out.print(&shape, lines, |shape| shape.access_key.clone())?;
    context.out.note("The secret is not shown again.");
    Ok(())
}

/// Warns if the installation seals secrets and the tool has no key for it.
async fn warn_of_missing_encryption(keyward: &Keyward, has_key: bool) -> Result<(), Failure> {
    use keyward::store::KeyKind;
    let known = keyward.store().view().await.map_err(ServiceError::from)?.key_checks().await?;
    if !has_key && known.iter().any(|check| check.kind == KeyKind::Encryption) {
        eprintln!(
            "warning: without KEYWARD_ENCRYPTION_KEY, which this installation has, the owner cannot view this secret again"
        );
    }
    Ok(())
}

/// Returns the lines of a token, each a name and a value.
fn pairs(described: &DescribedToken) -> Vec<(&'static str, String)> {
    let DescribedToken { token, owner, .. } = described;
    let mut pairs =
        vec![("id", token.id.to_string()), ("name", token.name.clone()), ("kind", token.kind().as_str().to_owned())];
    if let Some(owner) = owner {
        pairs.push(("owner", owner_text(owner)));
    }
    if !token.description.is_empty() {
        pairs.push(("description", token.description.clone()));
    }
    if let Some(metadata) = &token.metadata {
        pairs.push(("metadata", metadata.to_string()));
    }
    if let Some(parent) = token.parent() {
        pairs.push(("made by", format!("token {parent}")));
    }
    pairs.push(("expires", to_second_or(token.expires_at, "never")));
    pairs.extend(describe_limits(&token.limits));
    pairs.extend(token.previous.iter().map(|previous| ("previous secret", describe_previous(previous))));
    pairs.extend(scopes(described).into_iter().map(|scope| ("allows", scope)));
    pairs
}

/// Describes the previous secret: its end, and its last use.
fn describe_previous(previous: &PreviousSecret) -> String {
    let PreviousSecret { hint, ends_at, used, .. } = previous;
    let name = if hint.is_empty() { String::new() } else { format!("ends in {hint}, ") };
    let used = match used {
        None => "never used since".to_owned(),
        Some(LastUse { at, address, .. }) => {
            let from = address.map(|address| format!(" from {address}")).unwrap_or_default();
            format!("last used {}{from}", to_second(*at))
        }
    };
    format!("{name}admitted until {}, {used}", to_second(*ends_at))
}

/// Describes the grants or the access of a token, one text for each entry.
fn scopes(described: &DescribedToken) -> Vec<String> {
    match (described.token.kind(), described.token.access()) {
        (TokenKind::Content, Some(ContentAccess::Custom(actions))) => actions.iter().map(ToString::to_string).collect(),
        (_, Some(access)) => vec![access.as_str().to_owned()],
        _ => {
            let grants = described.token.grants().iter().enumerate();
            let text = |(i, grant): (usize, &keyward::Grant)| {
                let scope = ScopeText(grant.scope.clone()).to_string();
                let conditions = described.conditions.get(i).map(Vec::as_slice).unwrap_or_default();
                crate::scope_text::with_conditions(scope, conditions)
            };
            grants.map(text).collect()
        }
    }
}
