//! Explanations: what the gate decides about a request, step by step, in words and as data.

use super::requirement::{Asked, ResourceSource};
use super::{
    Ancestor, Authority, Ceiling, ConditionClause, ConditionExpr, Conditions, Digest, Excess, Fields, Grant,
    Permission, Principal, Requirement, Token, TokenId, TokenKind, Verdict,
};
use serde::Serialize;
use std::fmt;

/// The decision on a request, step by step. Returned by [`Explain`](crate::admin::Explain).
///
/// Names of members, steps and outcomes are stable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// The method of the request.
    pub method: String,
    /// The path of the request, as a client sends it.
    pub path: String,
    /// The token, if there is one.
    pub token: Option<ExplainedToken>,
    /// What was judged, in the order of the gate. The gate stops at the first step that fails.
    pub steps: Vec<ExplainedStep>,
    /// Each action that the requirement names, with the permissions that answer it.
    pub actions: Vec<ExplainedAction>,
    /// The decision.
    pub outcome: ExplainedOutcome,
    /// The status of the rejection; `None` if the route answers.
    pub status: Option<u16>,
    /// The reason of the rejection, as [`Reason::as_str`](crate::guard::Reason::as_str) names it; or `no_route`,
    /// `no_method` and `no_caller` of a router. The client does not see it.
    pub reason: Option<&'static str>,
    /// The message of the rejection, as the client sees it.
    pub message: Option<String>,
    /// The decision in one sentence.
    pub summary: String,
}

/// The token of an explained request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExplainedToken {
    /// Its id.
    #[cfg_attr(feature = "api", schema(value_type = i64))]
    pub id: TokenId,
    /// Its kind: `admin`, `content` or `session`.
    pub kind: &'static str,
    /// Its name; empty for a session.
    pub name: String,
    /// The id of its owner; `None` for a content token.
    pub owner: Option<i64>,
}

/// One step of a decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExplainedStep {
    /// What was judged.
    pub name: StepName,
    /// The outcome.
    pub outcome: StepOutcome,
    /// The outcome in words.
    pub text: String,
}

/// What a step judges.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepName {
    /// Whether the path can be read in one way only.
    Path,
    /// Whether the path is in a route group.
    Group,
    /// Whether the request needs a proof of the same origin.
    Origin,
    /// Whether the credential has the form of a secret, and its check characters match.
    Credential,
    /// Whether this node and the store can judge it now.
    Freshness,
    /// Whether there is a token with this secret.
    Record,
    /// Whether the kind of the token opens the group.
    Kind,
    /// Whether the token has expired.
    Expiry,
    /// Whether the owner is active.
    Owner,
    /// Whether the token, and those that it comes from, are enabled.
    Enabled,
    /// Whether the client is in the token's networks.
    Network,
    /// How many requests the token may make.
    Rate,
    /// What every caller of the group has to meet.
    Floor,
    /// What the route requires.
    Requirement,
    /// Whether the token has grants for it.
    Grant,
    /// Whether the owner's permissions cover the grants.
    Ceiling,
    /// For which rows and fields it holds.
    Conditions,
}

/// The outcome of a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepOutcome {
    /// The request goes on.
    Passed,
    /// The request is rejected.
    Failed,
    /// It cannot be judged here.
    Unknown,
}

/// The decision on a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ExplainedOutcome {
    /// The route answers, for every row and field.
    Allowed,
    /// The route answers, for some rows or fields: it has to apply the decision.
    Partial,
    /// The request is rejected.
    Denied,
    /// The credential is admitted. What the route requires is not known here.
    Unknown,
}

/// An action that a requirement names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExplainedAction {
    /// The action.
    pub action: String,
    /// The resource, if the requirement names one.
    pub resource: Option<String>,
    /// The decision on this action alone.
    pub outcome: ExplainedOutcome,
    /// The grants of an admin token for this action and resource. Empty for other kinds.
    pub grants: Vec<ExplainedGrant>,
    /// The permissions that answer the action, each with its fields and conditions.
    pub permissions: Vec<ExplainedPermission>,
}

/// A grant of an admin token, beside the permissions of its owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExplainedGrant {
    /// The fields of the grant; `None`: all.
    pub fields: Option<Vec<String>>,
    /// The conditions that a super admin chose for the grant, any of which suffices.
    pub conditions: Vec<String>,
    /// The permissions of the owner that the grant intersects. An owner without limits has one, with all fields.
    pub covered_by: Vec<ExplainedPermission>,
    /// The part of the grant that the owner does not hold, as a word: `action`, `all-fields` or `fields`; `not-delegated` if a token that it
    /// comes from does not delegate it.
    pub lost: Option<&'static str>,
    /// The same in words.
    pub lost_text: Option<String>,
}

/// Fields and conditions of a permission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExplainedPermission {
    /// The fields; `None`: all.
    pub fields: Option<Vec<String>>,
    /// The conditions: each part has to hold, and of a part any condition suffices. Empty: every row.
    pub conditions: Vec<Vec<String>>,
    /// The conditions among them that are not registered, and hold for no row.
    pub unregistered: Vec<String>,
}

impl Explanation {
    /// Returns whether the request reaches its route.
    pub fn is_admitted(&self) -> bool {
        matches!(self.outcome, ExplainedOutcome::Allowed | ExplainedOutcome::Partial)
    }

    /// Returns the step that decides against the request, if there is one.
    pub fn failed_step(&self) -> Option<&ExplainedStep> {
        self.steps.iter().find(|step| step.outcome == StepOutcome::Failed)
    }
}

/// The explanation as lines of text: one for each step, and the summary.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.path)?;
        for ExplainedStep { name, outcome, text } in &self.steps {
            let mark = match outcome {
                StepOutcome::Passed => "ok",
                StepOutcome::Failed => "no",
                StepOutcome::Unknown => "?",
            };
            writeln!(f, "{mark:>4}  {:<12} {text}", name.as_str())?;
        }
        write!(f, "{}", self.summary)
    }
}

impl StepName {
    /// Returns the stable name of the step.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Group => "group",
            Self::Origin => "origin",
            Self::Credential => "credential",
            Self::Freshness => "freshness",
            Self::Record => "record",
            Self::Kind => "kind",
            Self::Expiry => "expiry",
            Self::Owner => "owner",
            Self::Enabled => "enabled",
            Self::Network => "network",
            Self::Rate => "rate",
            Self::Floor => "floor",
            Self::Requirement => "requirement",
            Self::Grant => "grant",
            Self::Ceiling => "ceiling",
            Self::Conditions => "conditions",
        }
    }
}

impl From<Verdict> for ExplainedOutcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed => Self::Allowed,
            Verdict::Partial => Self::Partial,
            Verdict::Denied => Self::Denied,
        }
    }
}

/// A question: may a request with this credential do what its route requires, and this?
pub(crate) struct Question<'q> {
    pub(crate) credential: QuestionCredential<'q>,
    /// A requirement besides that of the route.
    pub(crate) requirement: Option<&'q Requirement>,
}

/// The credential of a question.
pub(crate) enum QuestionCredential<'q> {
    Secret(&'q str),
    /// The token with this digest, whose secret is not known, and its kind.
    Token(Digest, TokenKind),
}

impl ExplainedStep {
    pub(crate) fn pass(name: StepName, text: impl Into<String>) -> Self {
        Self { name, outcome: StepOutcome::Passed, text: text.into() }
    }

    pub(crate) fn fail(name: StepName, text: impl Into<String>) -> Self {
        Self { name, outcome: StepOutcome::Failed, text: text.into() }
    }

    pub(crate) fn unknown(name: StepName, text: impl Into<String>) -> Self {
        Self { name, outcome: StepOutcome::Unknown, text: text.into() }
    }
}

/// The principal of a request, with what its permissions were made of.
pub(crate) struct Holder<'h> {
    pub(crate) principal: &'h Principal,
    /// `None` for the public principal.
    pub(crate) token: Option<&'h Token>,
    /// The ceiling of the token's owner.
    pub(crate) ceiling: Option<&'h Ceiling>,
    pub(crate) conditions: &'h Conditions,
}

/// Returns the token, of those from which a token comes, that delegates nothing of this grant.
fn withholder(token: &Token, grant: &Grant) -> Option<TokenId> {
    let delegates = |delegable: &Grant| {
        let (of, asked) = (&delegable.scope, &grant.scope);
        of.action == asked.action && of.resource == asked.resource
    };
    let withholds = |ancestor: &&Ancestor| !ancestor.grants.iter().any(delegates);
    token.ancestors.iter().find(withholds).map(|ancestor| ancestor.id)
}

impl Holder<'_> {
    /// Explains each action that a requirement names.
    pub(crate) fn explain_actions(&self, requirement: &Requirement) -> Vec<ExplainedAction> {
        let mut parts: Vec<Requirement> = Vec::new();
        collect_actions(requirement, &mut parts);
        parts.iter().map(|part| self.explain_action(part)).collect()
    }

    fn explain_action(&self, part: &Requirement) -> ExplainedAction {
        let named = part.parts();
        let (action, resource) = named.first().map_or((None, None), |one| (Some(one.action), one.resource));
        let unresolved = named.iter().any(|one| one.parameter.is_some());
        let matches = |grant: &&Grant| Some(&grant.scope.action) == action && grant.scope.resource.as_ref() == resource;
        let grants = self.token.map(Token::grants).unwrap_or_default().iter().filter(|_| !unresolved).filter(matches);
        ExplainedAction {
            action: action.map(ToString::to_string).unwrap_or_default(),
            resource: resource.map(ToString::to_string),
            outcome: self.principal.verdict(part).into(),
            grants: grants.map(|grant| self.explain_grant(grant)).collect(),
            permissions: self.explain_effect(part),
        }
    }

    /// Returns the permissions of the decision on an action.
    fn explain_effect(&self, part: &Requirement) -> Vec<ExplainedPermission> {
        let decision = self.principal.decide(part, self.conditions);
        let permission = |rule: &super::DecisionRule| self.permission(&rule.fields, rule.guard.parts());
        decision.rules().iter().map(permission).collect()
    }

    fn explain_grant(&self, grant: &Grant) -> ExplainedGrant {
        let nothing = Ceiling::Of(Vec::new());
        let ceiling = self.ceiling.unwrap_or(&nothing);
        let of = |p: &Permission| self.permission(&p.scope.fields, std::slice::from_ref(&p.when));
        let covered_by = match ceiling.met_by(grant) {
            Some(permissions) => permissions.into_iter().map(of).collect(),
            None => vec![self.permission(&Fields::All, &[])],
        };
        if let Some(ancestor) = self.token.and_then(|token| withholder(token, grant)) {
            let text = format!("token {ancestor}, which it comes from, does not delegate {}", grant.scope.action);
            return ExplainedGrant {
                fields: names_of(&grant.scope.fields),
                conditions: Vec::new(),
                covered_by: Vec::new(),
                lost: Some("not-delegated"),
                lost_text: Some(text),
            };
        }
        let lost = ceiling.check(grant).err();
        ExplainedGrant {
            fields: names_of(&grant.scope.fields),
            conditions: grant.chosen.as_slice().iter().map(ToString::to_string).collect(),
            covered_by,
            lost: lost.as_ref().map(|beyond| match beyond.excess {
                Excess::Action => "action",
                Excess::AllFields => "all-fields",
                Excess::Fields(_) => "fields",
                Excess::Conditions => "conditions",
            }),
            lost_text: lost.map(|beyond| beyond.to_string()),
        }
    }

    fn permission(&self, fields: &Fields, parts: &[ConditionClause]) -> ExplainedPermission {
        let expr = ConditionExpr::all(parts.iter().cloned());
        let part = |part: &ConditionClause| part.as_slice().iter().map(ToString::to_string).collect();
        let all = expr.parts().iter().flat_map(ConditionClause::as_slice);
        ExplainedPermission {
            fields: names_of(fields),
            conditions: expr.parts().iter().map(part).collect(),
            unregistered: all.filter(|id| !self.conditions.contains(id.as_str())).map(ToString::to_string).collect(),
        }
    }

    /// Explains the verdict on a requirement by grants, ceiling and conditions: the first of them that fails decides.
    pub(crate) fn explain_verdict(&self, verdict: Verdict, actions: &[ExplainedAction]) -> Vec<ExplainedStep> {
        let steps = match self.principal.authority() {
            Authority::Admin { .. } => self.explain_token(verdict, actions),
            Authority::Session { rules: None, .. } => {
                vec![ExplainedStep::pass(StepName::Ceiling, "The person is a super admin, who may do everything.")]
            }
            Authority::Session { .. } => vec![self.of_roles(verdict, actions)],
            Authority::PolicySession { .. } => vec![of_list(
                StepName::Ceiling,
                verdict,
                actions,
                "The application allows the person",
                "The application does not allow the person",
            )],
            Authority::Content { access } => {
                let access = access.as_str();
                let allowed = format!("The access of the token, {access}, includes");
                let denied = format!("The access of the token, {access}, does not include");
                vec![of_list(StepName::Grant, verdict, actions, &allowed, &denied)]
            }
            Authority::Public { .. } => vec![of_list(
                StepName::Grant,
                verdict,
                actions,
                "A request without a credential may do",
                "A request without a credential may not do",
            )],
        };
        // Nothing of it is judged for a requirement without an action.
        if actions.is_empty() { Vec::new() } else { self.with_extent(verdict, actions, steps) }
    }

    fn explain_token(&self, verdict: Verdict, actions: &[ExplainedAction]) -> Vec<ExplainedStep> {
        let denied = |action: &&ExplainedAction| action.outcome == ExplainedOutcome::Denied;
        let decides = verdict == Verdict::Denied;
        let ungranted: Vec<_> = actions.iter().filter(denied).filter(|action| action.grants.is_empty()).collect();
        let text = match &ungranted[..] {
            [] => format!("The token has grants for {}.", list_of(actions.iter())),
            missing => self.missing_grants(missing),
        };
        if decides && !ungranted.is_empty() {
            return vec![ExplainedStep::fail(StepName::Grant, text)];
        }
        let mut steps = vec![ExplainedStep::pass(StepName::Grant, text)];
        let uncovered: Vec<_> = actions.iter().filter(denied).filter(|action| !action.grants.is_empty()).collect();
        let lost: Vec<&str> =
            actions.iter().flat_map(|a| &a.grants).filter_map(|grant| grant.lost_text.as_deref()).collect();
        let lost = if lost.is_empty() { String::new() } else { format!(" Lost: {}.", lost.join("; ")) };
        // An effective permission whose conditions are not registered is none.
        let without_meaning = uncovered.iter().all(|a| a.grants.iter().any(|grant| !grant.covered_by.is_empty()));
        if !decides || uncovered.is_empty() {
            let text = format!("The owner's permissions cover the grants.{lost}");
            steps.push(ExplainedStep::pass(StepName::Ceiling, text));
            return steps;
        }
        let list = list_of(uncovered.iter().copied());
        if without_meaning {
            let text = format!("The owner's permissions cover the grants for {list}.{lost}");
            steps.push(ExplainedStep::pass(StepName::Ceiling, text));
            let text = "A condition of these permissions is not registered: they hold for no row.";
            steps.push(ExplainedStep::fail(StepName::Conditions, text));
        } else {
            let mut grants = uncovered.iter().flat_map(|action| &action.grants);
            let text = match grants.all(|grant| grant.lost == Some("not-delegated")) {
                true => format!("The token comes from another one, which does not delegate {list}.{lost}"),
                false => format!("The owner does not hold {list}.{lost}"),
            };
            steps.push(ExplainedStep::fail(StepName::Ceiling, text));
        }
        steps
    }

    /// Says which grants are missing, and on which other resources the token has them.
    fn missing_grants(&self, missing: &[&ExplainedAction]) -> String {
        let mut text = format!("The token has no grant for {}.", list_of(missing.iter().copied()));
        for action in missing {
            let grants = self.token.map(Token::grants).unwrap_or_default().iter();
            let others: Vec<String> = grants
                .filter(|grant| grant.scope.action.as_str() == action.action)
                .map(|grant| grant.scope.resource.as_ref().map_or("no resource".to_owned(), ToString::to_string))
                .collect();
            if !others.is_empty() {
                text.push_str(&format!(" It has {} on {} only.", action.action, others.join(", ")));
            }
        }
        text
    }

    fn of_roles(&self, verdict: Verdict, actions: &[ExplainedAction]) -> ExplainedStep {
        let (allowed, denied) = ("The person's roles allow", "The person's roles do not allow");
        of_list(StepName::Ceiling, verdict, actions, allowed, denied)
    }

    /// Adds the step of conditions and fields, if the steps before did not decide.
    fn with_extent(
        &self,
        verdict: Verdict,
        actions: &[ExplainedAction],
        mut steps: Vec<ExplainedStep>,
    ) -> Vec<ExplainedStep> {
        if steps.iter().any(|step| step.outcome == StepOutcome::Failed) {
            return steps;
        }
        let extent = actions.iter().flat_map(|action| &action.permissions).map(ToString::to_string);
        let extent = extent.collect::<Vec<_>>().join("; or ");
        steps.push(match verdict {
            Verdict::Allowed => ExplainedStep::pass(StepName::Conditions, "For every row and field."),
            Verdict::Partial => {
                ExplainedStep::pass(StepName::Conditions, format!("For some rows or fields: {extent}."))
            }
            Verdict::Denied => ExplainedStep::fail(
                StepName::Conditions,
                format!("The route requires more rows or fields than the permissions allow: {extent}."),
            ),
        });
        steps
    }
}

impl fmt::Display for ExplainedPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fields {
            None => f.write_str("all fields")?,
            Some(names) => f.write_str(&names.join(", "))?,
        }
        match &self.conditions[..] {
            [] => f.write_str(" of every row"),
            parts => {
                let parts: Vec<String> = parts.iter().map(|any| any.join(" or ")).collect();
                write!(f, " of rows with {}", parts.join(", and "))
            }
        }
    }
}

impl Requirement {
    /// Returns the requirement in words.
    pub(crate) fn describe(&self) -> String {
        let list = |list: &[Self]| list.iter().map(Self::describe).collect::<Vec<_>>().join("; ");
        match &self.0 {
            Asked::Authenticated => "any valid credential".to_owned(),
            Asked::Action(action, ResourceSource::None) => action.to_string(),
            Asked::Action(action, ResourceSource::Fixed(resource)) => format!("{action} on {resource}"),
            Asked::Action(action, ResourceSource::Param(name)) => {
                format!("{action} on the resource {{{name}}} of the path")
            }
            Asked::AnyOf(parts) => format!("any of ({})", list(parts)),
            Asked::AllOf(parts) => format!("all of ({})", list(parts)),
            Asked::Whole(inner) => format!("{}, for every row and field", inner.describe()),
        }
    }
}

fn of_list(
    name: StepName,
    verdict: Verdict,
    actions: &[ExplainedAction],
    allowed: &str,
    denied: &str,
) -> ExplainedStep {
    let is_denied = |action: &&ExplainedAction| action.outcome == ExplainedOutcome::Denied;
    let missing: Vec<_> = actions.iter().filter(is_denied).collect();
    match (verdict, &missing[..]) {
        (Verdict::Denied, [_, ..]) => ExplainedStep::fail(name, format!("{denied} {}.", list_of(missing.into_iter()))),
        _ => {
            let held = actions.iter().filter(|action| !is_denied(action));
            ExplainedStep::pass(name, format!("{allowed} {}.", list_of(held)))
        }
    }
}

fn list_of<'a>(actions: impl Iterator<Item = &'a ExplainedAction>) -> String {
    let name = |action: &ExplainedAction| match &action.resource {
        None => action.action.clone(),
        Some(resource) => format!("{} on {resource}", action.action),
    };
    actions.map(name).collect::<Vec<_>>().join(", ")
}

fn names_of(fields: &Fields) -> Option<Vec<String>> {
    match fields {
        Fields::All => None,
        Fields::Only(set) => Some(set.as_slice().iter().map(ToString::to_string).collect()),
    }
}

/// Collects the actions of a requirement, each once, as requirements of their own.
fn collect_actions(requirement: &Requirement, into: &mut Vec<Requirement>) {
    match &requirement.0 {
        Asked::Authenticated => {}
        Asked::Action(..) if into.contains(requirement) => {}
        Asked::Action(..) => into.push(requirement.clone()),
        Asked::AnyOf(parts) | Asked::AllOf(parts) => parts.iter().for_each(|part| collect_actions(part, into)),
        Asked::Whole(inner) => collect_actions(inner, into),
    }
}
