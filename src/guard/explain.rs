//! Explanations of decisions. The functions that judge requests also judge a request that was not sent.
//!
//! Nothing changes: no use is noted, no rejection is counted, and nothing is cached.

use super::admit::{Admission, NotAdmitted, judge_kind};
use super::bearer::Presented;
use super::gate::Gate;
use super::groups::{Access, Group};
#[cfg(feature = "axum")]
use super::kept_routes::FoundRoute;
use super::mark::GuardHandle;
use super::reject::rejection_of_response;
use super::rejection::Rejection;
use crate::domain::{
    Ambiguity, Digest, ExplainedAction, ExplainedOutcome, ExplainedStep, ExplainedToken, Explanation, Holder,
    InvalidCredential, Question, QuestionCredential, Reason, Requirement, StepName, StepOutcome, Token, TokenKind,
    TokenKinds, Unavailable, Verdict,
};
use crate::resolve::{CacheKey, Entry, Examined, KnownSecret};
use crate::store::Record;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The result of a judgement.
enum End<'g> {
    /// The request reaches its route.
    Reaches(ExplainedOutcome, String),
    /// It is rejected before it reaches a route.
    NotAdmitted(NotAdmitted<'g>),
    /// It is rejected because it does not meet a requirement. `Some`: the rejection names that, if the client may know it.
    Withheld(Reason, &'g Group, Option<Requirement>, Arc<Entry>),
    /// The router answers in place of a route.
    #[cfg(feature = "axum")]
    ByRouter(ByRouter),
}

/// The reason and the status of an answer of the router.
#[cfg(feature = "axum")]
type ByRouter = (&'static str, u16);
#[cfg(feature = "axum")]
const NO_ROUTE: ByRouter = ("no_route", 404);
#[cfg(feature = "axum")]
const NO_METHOD: ByRouter = ("no_method", 405);
#[cfg(feature = "axum")]
const NO_CALLER: ByRouter = ("no_caller", 500);

/// An explanation in the making.
#[derive(Default)]
struct Report {
    token: Option<ExplainedToken>,
    steps: Vec<ExplainedStep>,
    actions: Vec<ExplainedAction>,
}

impl Report {
    fn pass(&mut self, step: StepName, text: impl Into<String>) {
        self.steps.push(ExplainedStep::pass(step, text));
    }

    fn unknown(&mut self, step: StepName, text: impl Into<String>) {
        self.steps.push(ExplainedStep::unknown(step, text));
    }

    /// Adds the step that rejects, and returns the result.
    fn fail<'g>(&mut self, step: StepName, text: impl Into<String>, not_admitted: NotAdmitted<'g>) -> End<'g> {
        self.steps.push(ExplainedStep::fail(step, text));
        End::NotAdmitted(not_admitted)
    }

    fn describe_token(&mut self, token: &Token) {
        self.token = Some(ExplainedToken {
            id: token.id,
            kind: token.kind().as_str(),
            name: token.name.clone(),
            owner: token.owner().map(|owner| owner.0),
        });
    }
}

/// An admitted caller, and the record of its token. The public has none.
struct Caller {
    entry: Arc<Entry>,
    record: Option<Box<Record>>,
}

impl Gate {
    /// Explains the decision on a request of this method and path, from this client address.
    pub(crate) async fn explain(
        self: &Arc<Self>,
        method: &Method,
        path: &PathAndQuery,
        client: Option<IpAddr>,
        question: Question<'_>,
    ) -> Explanation {
        let request = self.request(method, path, client, &question.credential);
        let mut report = Report::default();
        let end = self.judge_request(&request, &question, &mut report).await;
        self.conclude(&request, report, end)
    }

    /// Returns the request with the credential in the first header that may hold it.
    fn request(
        &self,
        method: &Method,
        path: &PathAndQuery,
        client: Option<IpAddr>,
        credential: &QuestionCredential<'_>,
    ) -> Request<()> {
        let mut request = Request::new(());
        (*request.method_mut(), *request.uri_mut()) = (method.clone(), Uri::from(path.clone()));
        let text = match credential {
            QuestionCredential::Secret(secret) => secret,
            // The secret is not known. Its prefix decides whether the request needs a proof of the same origin.
            QuestionCredential::Token(_, kind) => self.format.prefix(*kind),
        };
        let (name, value) = match self.style.headers.has_bearer() {
            true => (&AUTHORIZATION, format!("Bearer {text}")),
            // There is at least one.
            false => (self.style.headers.names().first().unwrap_or(&AUTHORIZATION), text.to_owned()),
        };
        // A secret that no header can hold is a malformed one.
        let mut value = HeaderValue::try_from(value).unwrap_or(const { HeaderValue::from_static("?") });
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
        if let Some(client) = client {
            request.extensions_mut().insert(SocketAddr::new(client, 0));
        }
        request
    }

    async fn judge_request<'g>(
        self: &'g Arc<Self>,
        request: &Request<()>,
        question: &Question<'_>,
        report: &mut Report,
    ) -> End<'g> {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        const ONE_WAY: &str = "The path can be read in one way only.";
        let group = match self.locate(method, uri, headers, request.extensions()) {
            Ok(group) => group,
            Err((reason @ Reason::AmbiguousPath(ambiguity), group)) => {
                let text = format!("The path can be read in more than one way: it has {}.", name_ambiguity(ambiguity));
                return report.fail(StepName::Path, text, (reason, group));
            }
            Err((reason @ Reason::CrossOrigin, Some(group))) => {
                report.pass(StepName::Path, ONE_WAY);
                report.pass(StepName::Group, name_group(group));
                let text = "The request needs a proof that a page of the same origin sent it, and has none.";
                return report.fail(StepName::Origin, text, (reason, Some(group)));
            }
            Err((reason, group)) => {
                report.pass(StepName::Path, ONE_WAY);
                return report.fail(StepName::Group, "The path is in no route group.", (reason, group));
            }
        };
        report.pass(StepName::Path, ONE_WAY);
        report.pass(StepName::Group, name_group(group));
        let Access::Guarded { kinds, .. } = &group.access else {
            return self.reach_public_route(request, report).await;
        };
        let client = self.addresses.of(headers, request.extensions());
        let caller = match self.judge_credential(headers, client, group, *kinds, question, report).await {
            Ok(caller) => caller,
            Err(end) => return end,
        };
        self.judge_requirements(request, group, caller, question, report).await
    }

    /// Judges the credential as [`admit`](Self::admit) does.
    async fn judge_credential<'g>(
        self: &'g Arc<Self>,
        headers: &HeaderMap,
        client: Option<IpAddr>,
        group: &'g Group,
        kinds: TokenKinds,
        question: &Question<'_>,
        report: &mut Report,
    ) -> Result<Caller, End<'g>> {
        let secret = match &question.credential {
            QuestionCredential::Token(digest, kind) => {
                report.pass(StepName::Credential, "The token is named by its id: its secret is taken as sent.");
                let prefix = matches!(digest, Digest::Native(_)).then_some(*kind);
                let mut secret = KnownSecret::uncached(*digest);
                secret.prefix = prefix;
                secret
            }
            QuestionCredential::Secret(_) => match self.presented(headers, group) {
                Presented::Secret(sent) => match self.format.verify_bytes(sent, kinds) {
                    Ok(verified) => {
                        let text = "The credential has the form of a secret, and its check characters match.";
                        let text = if verified.kind.is_some() { text } else { "The credential has the form of a key." };
                        report.pass(StepName::Credential, text);
                        KnownSecret::new(verified, CacheKey::NONE)
                    }
                    Err(error) => {
                        let rejected = self.reject_secret(error, headers, group);
                        return self.without_token(rejected, headers, group, report).await;
                    }
                },
                other => {
                    let rejected = self.without_secret(&other, headers, group);
                    return self.without_token(rejected, headers, group, report).await;
                }
            },
        };
        // The gate rejects a prefix of another kind before it asks the store.
        if let Some(prefix) = secret.prefix.filter(|prefix| !kinds.contains(*prefix)) {
            let reason = Reason::Invalid(InvalidCredential::WrongKind);
            return Err(report.fail(StepName::Kind, wrong_kind(prefix, kinds), (reason, Some(group))));
        }
        let (entry, record) = match self.resolver.examine(secret).await {
            Ok(Examined::Found(entry, record)) => (entry, record),
            Ok(Examined::Absent { has_token, replaced }) => {
                report.pass(StepName::Freshness, FRESH);
                let text = match has_token {
                    true if replaced => "The secret was replaced by another one, and its grace period is over.",
                    true => "There is a token with this secret, and its owner is missing.",
                    false => "There is no token with this secret: it was revoked, regenerated, or never issued.",
                };
                let reason = Reason::Invalid(InvalidCredential::Unknown);
                return Err(report.fail(StepName::Record, text, (reason, Some(group))));
            }
            Err(unavailable) => {
                let reason = Reason::Unavailable(unavailable);
                return Err(report.fail(StepName::Freshness, not_fresh(unavailable), (reason, Some(group))));
            }
        };
        report.describe_token(&record.token);
        report.pass(StepName::Freshness, FRESH);
        report.pass(StepName::Record, format!("There is a token with this secret: its id is {}.", record.token.id));
        let kind = record.token.kind();
        if let Err(reason) = judge_kind(&entry, secret.prefix, kinds) {
            return Err(report.fail(StepName::Kind, wrong_kind(kind, kinds), (reason, Some(group))));
        }
        report.pass(StepName::Kind, opens(kind));
        for (step, outcome) in entry.checks(self.resolver.clock.moment()) {
            let text = describe_check(step, outcome, &record);
            match outcome {
                Ok(()) => report.pass(step, text),
                Err(reason) => return Err(report.fail(step, text, (reason, Some(group)))),
            }
        }
        self.judge_limits(&entry, &record, client, group, report)?;
        Ok(Caller { entry, record: Some(record) })
    }

    /// Judges the limits of the token. A request that is not sent is not counted.
    fn judge_limits<'g>(
        &self,
        entry: &Entry,
        record: &Record,
        client: Option<IpAddr>,
        group: &'g Group,
        report: &mut Report,
    ) -> Result<(), End<'g>> {
        let named = |limits: Vec<String>| limits.join(", and ");
        let networks: Vec<String> = record
            .token
            .all_limits()
            .filter(|limits| !limits.networks.is_empty())
            .map(|limits| limits.networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "))
            .collect();
        if !networks.is_empty() {
            let networks = named(networks);
            match (client, entry.admit_address(client)) {
                (None, _) => {
                    report.unknown(
                        StepName::Network,
                        format!("It is accepted from {networks}; the client is not known."),
                    );
                }
                (Some(client), Ok(())) => {
                    report.pass(StepName::Network, format!("It is accepted from {networks}, where {client} is."));
                }
                (Some(client), Err(reason)) => {
                    let text = format!("It is accepted from {networks} alone, where {client} is not.");
                    return Err(report.fail(StepName::Network, text, (reason, Some(group))));
                }
            }
        }
        let rates = record.token.all_limits().filter_map(|limits| limits.rate);
        let rates: Vec<String> =
            rates.map(|rate| format!("{} requests per {} ms", rate.limit(), rate.window().as_millis())).collect();
        if !rates.is_empty() {
            report.unknown(StepName::Rate, format!("Each node admits {}; this one is not counted.", named(rates)));
        }
        Ok(())
    }

    /// Explains a request without a credential of this installation: it is rejected, or made by the public.
    async fn without_token<'g>(
        self: &'g Arc<Self>,
        judged: Result<Admission<'g>, Reason>,
        headers: &HeaderMap,
        group: &'g Group,
        report: &mut Report,
    ) -> Result<Caller, End<'g>> {
        // The host's session does not count: the question has none.
        let judged = match judged {
            Err(Reason::NoCredential) => self.identify_unsigned(headers, group),
            judged => judged,
        };
        let reason = match judged {
            Ok(Admission::Admitted(_, entry)) => {
                report.pass(StepName::Credential, "There is no credential: the request is made by the public.");
                return Ok(Caller { entry, record: None });
            }
            // Not for a protected group.
            Ok(Admission::Public(_)) => Reason::NoCredential,
            // The keys are compared with the store first.
            Ok(Admission::Pending(_, lookup)) => match lookup.await {
                Ok(_) => Reason::Unavailable(Unavailable::Stale),
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        let (step, text) = match reason {
            Reason::Unavailable(unavailable) => (StepName::Freshness, not_fresh(unavailable)),
            Reason::Invalid(InvalidCredential::WrongKind) => {
                (StepName::Kind, "The prefix of the secret names a kind that does not open the group.")
            }
            Reason::Invalid(InvalidCredential::NotGenuine) => (
                StepName::Credential,
                "The check characters do not match: the secret was not issued with the hash keys of this installation.",
            ),
            Reason::Invalid(_) => (StepName::Credential, "The credential does not have the form of a secret."),
            _ => (StepName::Credential, "There is no credential, and the group needs one."),
        };
        Err(report.fail(step, text, (reason, Some(group))))
    }

    /// Judges the requirement of the group (its floor), then that of the route, then that of the question.
    async fn judge_requirements<'g>(
        self: &'g Arc<Self>,
        request: &Request<()>,
        group: &'g Group,
        caller: Caller,
        question: &Question<'_>,
        report: &mut Report,
    ) -> End<'g> {
        if let Some(floor) = &group.floor {
            let floor = Requirement::clone(floor);
            let text = format!("Every caller of the group has to meet: {}.", floor.describe());
            if caller.judge(StepName::Floor, &floor, text, report) == Verdict::Denied {
                return End::Withheld(Reason::Forbidden, group, Some(floor), caller.entry);
            }
        }
        let asked = question.requirement;
        #[cfg(not(feature = "axum"))]
        let (required, unknown) = {
            let _ = request;
            (None, Some(UNKNOWN.to_owned()))
        };
        #[cfg(feature = "axum")]
        let (required, unknown) = match self.find_route(request).await {
            FoundRoute::Requires { path, requirement } => (Some((requirement, path)), None),
            FoundRoute::Calls { path, requirement } => {
                (Some((requirement, path)), Some("What a call requires is not known without its body.".to_owned()))
            }
            FoundRoute::Public { path } => {
                let text = format!("The route {path} is public, and in a protected group: every request is rejected.");
                report.steps.push(ExplainedStep::fail(StepName::Requirement, text));
                return End::Withheld(Reason::Unguarded, group, None, caller.entry);
            }
            FoundRoute::NoMethod { path } => {
                let text = format!("{path} has no route for the method.");
                return caller.at_no_route(group, NO_METHOD, text, report);
            }
            FoundRoute::NoRoute => {
                return caller.at_no_route(group, NO_ROUTE, "No route has the path.".to_owned(), report);
            }
            FoundRoute::Several { path } => {
                (None, Some(format!("Several routes have {path}: which one gets the request is not known.")))
            }
            FoundRoute::Unknown => (None, Some(UNKNOWN.to_owned())),
        };
        let of_route = required.map(|(requirement, path): (Requirement, String)| {
            let text = format!("The route {path} requires {}.", requirement.describe());
            (requirement, text)
        });
        let given = asked.map(|asked| (asked.clone(), format!("The question asks for {}.", asked.describe())));
        let mut least = Verdict::Allowed;
        for (requirement, text) in of_route.into_iter().chain(given) {
            least = least.min(caller.judge(StepName::Requirement, &requirement, text, report));
            if least == Verdict::Denied {
                return End::Withheld(Reason::Forbidden, group, Some(requirement), caller.entry);
            }
        }
        let is_unknown = |step: &ExplainedStep| step.name == StepName::Network && step.outcome == StepOutcome::Unknown;
        if report.steps.iter().any(is_unknown) {
            let summary = "The request reaches the route if the client is in the token's networks.";
            return End::Reaches(ExplainedOutcome::Unknown, summary.to_owned());
        }
        match (unknown, asked, least) {
            (Some(text), None, _) => {
                report.steps.push(ExplainedStep::unknown(StepName::Requirement, text));
                let summary = "The credential is admitted. What the route requires is not known here.";
                End::Reaches(ExplainedOutcome::Unknown, summary.to_owned())
            }
            (_, _, Verdict::Partial) => End::Reaches(
                ExplainedOutcome::Partial,
                "The request reaches the route, which answers for some rows or fields.".to_owned(),
            ),
            _ => End::Reaches(ExplainedOutcome::Allowed, "The request reaches the route.".to_owned()),
        }
    }

    /// Explains a request in a public group: it reaches its route, if there is one.
    #[cfg_attr(not(feature = "axum"), allow(clippy::unused_async, reason = "without a router nothing is found"))]
    async fn reach_public_route<'g>(self: &'g Arc<Self>, request: &Request<()>, report: &mut Report) -> End<'g> {
        #[cfg(feature = "axum")]
        let missing = match self.find_route(request).await {
            FoundRoute::NoMethod { path } => Some((NO_METHOD, format!("{path} has no route for the method."))),
            FoundRoute::NoRoute => Some((NO_ROUTE, "No route has the path.".to_owned())),
            FoundRoute::Requires { path, .. } | FoundRoute::Calls { path, .. } => Some((
                NO_CALLER,
                format!("The route {path} has a requirement, and is in a public group: without a caller it fails."),
            )),
            FoundRoute::Public { .. } | FoundRoute::Several { .. } | FoundRoute::Unknown => None,
        };
        #[cfg(feature = "axum")]
        if let Some((by_router, text)) = missing {
            report.steps.push(ExplainedStep::fail(StepName::Requirement, text));
            return End::ByRouter(by_router);
        }
        let _ = (request, report);
        End::Reaches(ExplainedOutcome::Allowed, "The group is public: no credential is read.".to_owned())
    }

    #[cfg(feature = "axum")]
    async fn find_route(&self, request: &Request<()>) -> FoundRoute {
        self.routes.find(request.method(), self.base.inward(request.uri().path())).await
    }

    fn conclude(self: &Arc<Self>, request: &Request<()>, report: Report, end: End<'_>) -> Explanation {
        let Report { token, steps, actions } = report;
        let (rejection, reason) = match &end {
            End::Reaches(..) => (None, None),
            End::NotAdmitted((reason, group)) => {
                (Some(self.rejection(*reason, *group, request)), Some(reason.as_str()))
            }
            End::Withheld(reason, group, missing, entry) => {
                (Some(self.withheld(request, group, *reason, missing.as_ref(), entry.clone())), Some(reason.as_str()))
            }
            #[cfg(feature = "axum")]
            End::ByRouter((reason, _)) => (None, Some(*reason)),
        };
        let status = match &end {
            #[cfg(feature = "axum")]
            End::ByRouter((_, status)) => Some(*status),
            _ => rejection.as_ref().map(|rejection| rejection.status().as_u16()),
        };
        let why = steps.iter().rfind(|step| step.outcome == StepOutcome::Failed).map_or("", |step| &step.text);
        let (outcome, summary) = match end {
            End::Reaches(outcome, summary) => (outcome, summary),
            _ => {
                let status = status.unwrap_or_default();
                (ExplainedOutcome::Denied, format!("The request is rejected with {status}: {why}"))
            }
        };
        Explanation {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            outcome,
            status,
            reason,
            message: rejection.map(|rejection| rejection.message().to_owned()),
            summary,
            token,
            steps,
            actions,
        }
    }

    /// Returns the rejection that the gate makes in place of a response.
    fn withheld(
        self: &Arc<Self>,
        request: &Request<()>,
        group: &Group,
        reason: Reason,
        missing: Option<&Requirement>,
        entry: Arc<Entry>,
    ) -> Rejection {
        let is_public = entry.is_public;
        let (mut handle, mark) = GuardHandle::acquire(entry, request.method(), request.uri().path());
        handle.set_gate(self);
        handle.set_base(self.base_of(request.headers(), request.extensions()));
        if let Some(missing) = missing {
            mark.deny(missing);
        }
        let rejection = rejection_of_response(Some(&**self), group.id(), group.has_policies(), reason, &handle);
        if is_public { rejection.without_challenge() } else { rejection }
    }
}

const FRESH: &str = "The store answers, and this node knows every change that counts.";
const UNKNOWN: &str = "The gate does not know the routes behind it: pass what the route requires.";

impl Caller {
    /// Judges a requirement, and explains the verdict.
    fn judge(&self, step: StepName, requirement: &Requirement, text: String, report: &mut Report) -> Verdict {
        let verdict = self.entry.principal.verdict(requirement);
        let record = self.record.as_deref();
        let holder = Holder {
            principal: &self.entry.principal,
            token: record.map(|record| &record.token),
            ceiling: record.and_then(|record| record.owner.as_ref()).map(|(_, ceiling)| ceiling),
            conditions: self.entry.conditions(),
        };
        let actions = holder.explain_actions(requirement);
        let steps = holder.explain_verdict(verdict, &actions);
        match verdict == Verdict::Denied && !steps.iter().any(|step| step.outcome == StepOutcome::Failed) {
            true => report.steps.push(ExplainedStep::fail(step, format!("{text} The credential does not meet it."))),
            false => report.pass(step, text),
        }
        // The details of a floor explain a rejection only.
        if step != StepName::Floor || verdict == Verdict::Denied {
            report.steps.extend(steps);
            report.actions.extend(actions);
        }
        verdict
    }

    /// Ends at a path or a method that no route has. Only an authenticated caller may learn that there is none.
    #[cfg(feature = "axum")]
    fn at_no_route<'g>(self, group: &'g Group, by_router: ByRouter, text: String, report: &mut Report) -> End<'g> {
        let authenticated = crate::domain::authenticated();
        report.steps.push(ExplainedStep::fail(StepName::Requirement, text));
        match self.entry.principal.verdict(&authenticated) {
            Verdict::Denied => End::Withheld(Reason::Forbidden, group, Some(authenticated), self.entry),
            _ => End::ByRouter(by_router),
        }
    }
}

fn name_ambiguity(ambiguity: Ambiguity) -> &'static str {
    match ambiguity {
        Ambiguity::EmptySegment => "an empty segment",
        Ambiguity::DotSegment => "a segment of dots",
        Ambiguity::EncodedSeparator => "an encoded slash or backslash",
        Ambiguity::EncodedTwice => "characters that are encoded twice",
        Ambiguity::Backslash => "a backslash",
        Ambiguity::BrokenEncoding => "a `%` without two hex digits",
        Ambiguity::Control => "a control character",
        Ambiguity::Rewritten => "been changed between the client and the gate",
        Ambiguity::Unprintable => "a character that no path has",
        Ambiguity::OtherRule => "another meaning for a program that decodes it",
    }
}

fn name_group(group: &Group) -> String {
    let name = group.name();
    match &group.access {
        Access::Public => format!("The path is in the public group {name}."),
        Access::Guarded { kinds, .. } => format!("The path is in the group {name}, for {}.", name_kinds(*kinds)),
    }
}

fn name_kinds(kinds: TokenKinds) -> String {
    let name = |kind: TokenKind| match kind {
        TokenKind::Admin => "admin tokens",
        TokenKind::Content => "content tokens",
        TokenKind::Session => "sessions",
    };
    let names: Vec<_> = TokenKind::ALL.into_iter().filter(|kind| kinds.contains(*kind)).map(name).collect();
    names.join(" and ")
}

fn opens(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Admin => "It is an admin token, which opens the group.",
        TokenKind::Content => "It is a content token, which opens the group.",
        TokenKind::Session => "It is a session, which opens the group.",
    }
}

fn wrong_kind(kind: TokenKind, kinds: TokenKinds) -> String {
    format!("The kind of the token is {}, and the group is for {}.", kind.as_str(), name_kinds(kinds))
}

fn not_fresh(unavailable: Unavailable) -> &'static str {
    match unavailable {
        Unavailable::Store => "The store fails, so the token cannot be judged.",
        Unavailable::Deadline => "The store does not answer in time, so the token cannot be judged.",
        Unavailable::Overloaded => "Too many look-ups wait, so the token cannot be judged now.",
        Unavailable::Stale => "This node knows too little of the last changes to judge.",
        Unavailable::Keys => "The configured keys do not match the tokens of the store.",
    }
}

fn is_over(record: &Record) -> bool {
    record.token.expires_at.is_some_and(|at| at <= record.now)
}

/// Describes the outcome of a check of the token itself.
fn describe_check(step: StepName, outcome: Result<(), Reason>, record: &Record) -> String {
    match (step, outcome.is_ok()) {
        (StepName::Expiry, false) if !is_over(record) && record.token.kind() != TokenKind::Session => {
            "The token, or one that it comes from, was not used for too long; or that one has expired.".to_owned()
        }
        (StepName::Expiry, is_valid) => match (record.token.expires_at, is_valid) {
            (Some(at), true) => format!("The token expires at {at}."),
            (None, true) => "The token does not expire.".to_owned(),
            (Some(at), false) if at <= record.now => format!("The token expired at {at}."),
            (_, false) => "The session was idle for too long.".to_owned(),
        },
        (StepName::Owner, true) if record.owner.is_none() => "The token has no owner.".to_owned(),
        (StepName::Owner, true) => "The owner is active.".to_owned(),
        (StepName::Owner, false) => "The owner is deactivated.".to_owned(),
        (StepName::Enabled, true) => "The token is enabled.".to_owned(),
        (StepName::Enabled, false) if record.token.limits.enabled => {
            "A token that it comes from is disabled.".to_owned()
        }
        (StepName::Enabled, false) => "The token is disabled.".to_owned(),
        (step, true) => format!("The token passes: {}.", step.as_str()),
        (step, false) => format!("The token does not pass: {}.", step.as_str()),
    }
}
