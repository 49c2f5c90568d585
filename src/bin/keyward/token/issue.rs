//! `keyward token issue`.

use super::{print_secret, warn_of_missing_encryption};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::lifespan::{parse_lifespan, parse_time};
use crate::limit_arguments::{LIMIT_ARGUMENTS, LimitArguments};
use crate::reference::find_owner;
use crate::scope_text::{FORM, ScopeText};
use clap::{Args, ValueEnum};
use keyward::admin::{FieldName, Lifespan};
use keyward::time::Timestamp;
use keyward::token::ContentAccess;
use keyward::{NewAdminToken, NewContentToken};
use serde_json::Value;

/// The argument of each field of a new token, for errors.
const ARGUMENTS: [(FieldName, &str); 11] = [
    (FieldName::Name, "NAME"),
    (FieldName::Description, "--description"),
    (FieldName::Metadata, "--metadata"),
    (FieldName::Lifespan, "--lifespan"),
    (FieldName::Grants, "--allow"),
    (FieldName::Access, "--allow"),
    (FieldName::Owner, "--owner"),
    (FieldName::ExpiresAt, "--expires-at"),
    LIMIT_ARGUMENTS[0],
    LIMIT_ARGUMENTS[1],
    LIMIT_ARGUMENTS[2],
];

#[derive(Args)]
pub(crate) struct Issue {
    /// The name of the token.
    name: String,
    /// The owner of an admin token: the id, the e-mail address of a person, or the name of a service.
    #[arg(long, required_unless_present = "content", conflicts_with = "content")]
    owner: Option<String>,
    /// Issue a content token, which has no owner.
    #[arg(long, value_name = "ACCESS")]
    content: Option<Content>,
    /// An action that the token allows; may be repeated. The owner has to hold it.
    #[arg(long, value_name = FORM)]
    allow: Vec<ScopeText>,
    /// How long the token lives: 90d, 12h, unlimited.
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = parse_lifespan)]
    lifespan: Lifespan,
    /// When the token ends, in UTC: 2030-01-31, 2030-01-31T09:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "lifespan")]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    limits: LimitArguments,
    /// Let the token delegate these actions to tokens that it makes.
    #[arg(long, conflicts_with = "content")]
    may_delegate: bool,
    /// A free text.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,
    /// A JSON object for the use of the application.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    metadata: Option<Value>,
}

/// The access of a content token.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Content {
    /// Actions whose last part is find or findOne.
    ReadOnly,
    /// Every content action.
    FullAccess,
    /// The actions of --allow.
    Custom,
}

impl Issue {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let has_key = context.has_encryption_key()?;
        match self.content {
            None => self.check_allow(true)?,
            Some(content) => self.check_allow(content == Content::Custom)?,
        }
        let keyward = context.open(Access::Change).await?;
        let Self { name, owner, content, allow, lifespan, expires_at, limits, may_delegate, description, metadata } =
            self;
        let lifespan = expires_at.map_or(lifespan, Lifespan::Until);
        let limits = limits.limits();
        let issued = match content {
            None => {
                // clap requires an owner for an admin token.
                let owner = find_owner(keyward, &owner.unwrap_or_default()).await?;
                let mut new = NewAdminToken::new(name, owner.id).description(description).lifespan(lifespan);
                new = new.limits(limits).grants(allow.into_iter().map(|scope| scope.grant(may_delegate)));
                new.metadata = metadata;
                keyward.tokens().issue_admin(new).await
            }
            Some(content) => {
                let access = match content {
                    Content::ReadOnly => ContentAccess::ReadOnly,
                    Content::FullAccess => ContentAccess::FullAccess,
                    Content::Custom => ContentAccess::only(allow.into_iter().map(|scope| scope.0.action)),
                };
                let mut new =
                    NewContentToken::new(name, access).description(description).lifespan(lifespan).limits(limits);
                new.metadata = metadata;
                keyward.tokens().issue_content(new).await
            }
        };
        let issued = issued.map_err(|error| Failure::of_service(error, &ARGUMENTS))?;
        warn_of_missing_encryption(keyward, has_key).await?;
        print_secret(context, keyward, &issued).await
    }

    /// Checks `--allow` against the kind of token.
    fn check_allow(&self, takes_actions: bool) -> Result<(), Failure> {
        match (takes_actions, self.allow.is_empty()) {
            (false, false) => {
                Err(Failure::usage("--allow: this access allows its actions by itself: use --content custom"))
            }
            (true, true) => Err(Failure::usage("--allow is missing: name at least one action")),
            _ if self.content.is_some() && self.allow.iter().any(|scope| !scope.is_action()) => {
                Err(Failure::usage("--allow: a content token has actions, without resource and fields"))
            }
            _ => Ok(()),
        }
    }
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}
