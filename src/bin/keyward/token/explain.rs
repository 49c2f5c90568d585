//! `keyward token explain`.

use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::output::table;
use crate::reference::find_token;
use crate::scope_text::ScopeText;
use clap::Args;
use http::Method;
use keyward::admin::{ExplainedOutcome, ExplainedStep, Explanation, StepName, StepOutcome};
use keyward::authz::all_of;
use keyward::token::TokenKind;
use std::net::IpAddr;

/// The groups that the tool declares. The decision does not depend on their paths.
const PATHS: [(TokenKind, &str); 2] = [(TokenKind::Admin, "/admin"), (TokenKind::Content, "/content")];

#[derive(Args)]
pub(crate) struct Explain {
    /// The id of the token, or its name.
    token: String,
    /// An action that a route requires; may be repeated: the token needs all of them.
    #[arg(value_name = "ACTION[@RESOURCE]", required = true)]
    requires: Vec<ScopeText>,
    /// The address of the client.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
}

impl Explain {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.requires.iter().any(|scope| scope.0.action.as_str().starts_with('/')) {
            return Err(Failure::usage(
                "the tool does not know the routes of a server: ask for an action, or `POST /admin/explain` there",
            ));
        }
        if self.requires.iter().any(|scope| !scope.has_all_fields()) {
            return Err(Failure::usage("a route requires an action and a resource; the answer names the fields"));
        }
        let keyward = context.open_with(Access::Read, |builder| builder.content("/content")).await?;
        let token = find_token(keyward, &self.token).await?.token;
        let path = PATHS.iter().find(|(kind, _)| *kind == token.kind()).map_or("/", |(_, path)| path);
        let explain = keyward.explain().requiring(all_of(self.requires.into_iter().map(ScopeText::requirement)));
        let explain = match self.from {
            Some(address) => explain.from_client(address),
            None => explain,
        };
        let why = explain.token(token.id, &Method::GET, path).await?;
        let word = match why.outcome {
            ExplainedOutcome::Allowed => "allowed",
            ExplainedOutcome::Partial => "partial",
            ExplainedOutcome::Denied => "denied",
            _ => "unknown",
        };
        context.out.print(&why, lay_out, |_| Some(word.to_owned()))
    }
}

/// Lays out the steps that depend on the token, and the decision.
fn lay_out(why: &Explanation) -> String {
    let of_a_request = [StepName::Path, StepName::Group, StepName::Credential, StepName::Freshness, StepName::Record];
    let steps = why.steps.iter().filter(|step| !of_a_request.contains(&step.name));
    let rows: Vec<_> = steps.map(row).collect();
    format!("{}\n{}", table(["RESULT", "STEP", "FINDING"], &rows), why.summary)
}

fn row(step: &ExplainedStep) -> [String; 3] {
    let outcome = match step.outcome {
        StepOutcome::Passed => "ok",
        StepOutcome::Failed => "denied",
        _ => "unknown",
    };
    [outcome.to_owned(), step.name.as_str().to_owned(), step.text.clone()]
}
