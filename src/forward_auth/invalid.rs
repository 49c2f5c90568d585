//! The errors of invalid rules.

use crate::guard::InvalidProxy;

/// The reason why [`router`](super::router()) failed. A rule is named as `GET,PUT api.example.com/orders (exact)`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRules {
    /// There is no rule.
    #[error("no rule: add one, as in `.rule(Rule::admin(\"/reports\", action(\"reports.read\")))`")]
    None,
    /// No proxy is trusted, so every question would be rejected.
    #[error("no trusted proxy: name it with `.trusted_proxies(..)`, of the rules or of the installation")]
    NoProxy,
    /// A trusted proxy is neither an address nor a network.
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    /// The prefix of Envoy's questions is invalid.
    #[error("invalid path prefix `{0}`: start it with `/`, and do not end it with one")]
    Prefix(String),
    /// The path of a rule is a pattern, or one that no request can have.
    #[error("invalid path of the rule `{0}`: start it with `/`, do not end it with one, and leave patterns out")]
    Path(String),
    /// The host of a rule is one that no request can have.
    #[error("invalid host of the rule `{0}`: use a name without port, or `*.` before the one that it is below")]
    Host(String),
    /// The rule is for a host, which ingress-nginx does not report. It reports the `Host` header, and a client can select
    /// another server with the address in the request line.
    #[error("the rule `{0}` is for a host, which ingress-nginx does not report: use a router for each host")]
    HostUnknown(String),
    /// The rule covers no method.
    #[error("the rule `{0}` covers no method: name one, or leave out `.methods(..)`")]
    NoMethod(String),
    /// No caller can meet the requirement.
    #[error("nothing meets the requirement of the rule `{0}`: it is an empty list, or has one")]
    NeverMet(String),
    /// The requirement names an action or a resource that the [catalogue](crate::Builder::catalogue) lacks, or reads the
    /// resource from a path parameter, which no rule has.
    #[error("the rule `{rule}` requires what does not exist: there is no {name}")]
    Unknown {
        /// The rule.
        rule: String,
        /// The missing name.
        name: String,
    },
    /// Two rules cover the same requests, or do so for a program that decodes paths or ignores case.
    #[error("the rules `{0}` and `{1}` cover the same requests: remove one")]
    Twice(String, String),
    /// A public prefix is above or below a protected one.
    #[error("the public rule `{public}` shadows the protected `{protected}`: if that is meant, say `.shadowing()`")]
    Shadowing {
        /// The public rule.
        public: String,
        /// The protected rule.
        protected: String,
    },
    /// The name of an identity header is invalid, used twice, or that of a header with another purpose.
    #[error("invalid identity header `{0}`: use a name of its own, such as `x-keyward-token`")]
    Header(String),
}
