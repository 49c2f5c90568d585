//! Reasons of rejections.

use super::RateLimit;
use std::time::Duration;

/// The reason why a request was rejected.
///
/// It goes into response extensions and traces; the client sees less (see [`Rejection`](crate::guard::Rejection)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// 400: the path can be interpreted in two ways.
    AmbiguousPath(Ambiguity),
    /// 404: the path is in no route group.
    NoGroup,
    /// 400: several credentials that differ: in two headers, or twice in one.
    SeveralCredentials,
    /// 401: no credential, in a group that needs one.
    NoCredential,
    /// 401: an invalid credential.
    Invalid(InvalidCredential),
    /// 401: a genuine token that has expired.
    Expired,
    /// 401: a genuine token whose owner is not active.
    OwnerInactive,
    /// 401: a genuine token that is disabled, or comes from one that is.
    Disabled,
    /// 403: a genuine token, from a client that is in none of its networks.
    NetworkNotAllowed,
    /// 429: a genuine token has made more requests than its rate limit allows.
    RateExceeded(RateExceeded),
    /// 403: a state-changing request without proof that a page of the same origin sent it.
    CrossOrigin,
    /// 403: the principal may not do what the route requires.
    Forbidden,
    /// 403: a protected route responded without checking a requirement, or without applying its decision.
    Unguarded,
    /// 403: no rule of [forward authentication](crate#features) names the request.
    NoRule,
    /// 403: a question of forward authentication that no trusted proxy asked, or not in the form of that proxy.
    NotForwarded,
    /// 503: the store is unavailable.
    Unavailable(Unavailable),
}

/// A rate limit that is used up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RateExceeded {
    limit: u32,
    window_ms: u32,
    wait_ms: u32,
}

impl RateExceeded {
    /// Creates it for a rate limit and the time until the next request.
    pub(crate) fn new(rate: RateLimit, wait: Duration) -> Self {
        let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        Self { limit: rate.limit(), window_ms: millis(rate.window()), wait_ms: millis(wait) }
    }

    /// Returns how many requests the token may make in each window.
    pub fn limit(self) -> u32 {
        self.limit
    }

    /// Returns the window.
    pub fn window(self) -> Duration {
        Duration::from_millis(self.window_ms.into())
    }

    /// Returns the time until the next request is admitted.
    pub fn wait(self) -> Duration {
        Duration::from_millis(self.wait_ms.into())
    }
}

/// The reason why a path is ambiguous.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ambiguity {
    /// `//`.
    EmptySegment,
    /// `.`, `..`, also encoded, also with `;` parameters.
    DotSegment,
    /// `%2f` or `%5c`.
    EncodedSeparator,
    /// `%252e`, `%252f`, `%255c`, however often `%` is encoded.
    EncodedTwice,
    /// A backslash.
    Backslash,
    /// `%` without two hex digits.
    BrokenEncoding,
    /// A control byte, also encoded.
    Control,
    /// A proxy or middleware between the client and the gate changed the path.
    Rewritten,
    /// `#`, or a byte that is not printable ASCII, in the path that a proxy reports.
    Unprintable,
    /// A program that decodes, folds characters, or drops path parameters or a last slash would find another rule, or a dot
    /// segment.
    OtherRule,
}

/// The reason why a credential is invalid. Clients cannot distinguish these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum InvalidCredential {
    /// Not a secret in the form of its header: another scheme, invalid syntax, or too long.
    Malformed,
    /// A kind that does not open this group.
    WrongKind,
    /// Never issued: the offline check failed.
    NotGenuine,
    /// Missing from the store: revoked, regenerated, deleted, or without its owner.
    Unknown,
}

/// The reason why the store is unavailable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Unavailable {
    /// The store returned an error.
    Store,
    /// The store did not respond in time.
    Deadline,
    /// Too many look-ups are waiting.
    Overloaded,
    /// This node's knowledge of the store is too old.
    Stale,
    /// The configured keys do not match the tokens, or could not be compared yet.
    Keys,
}

impl Reason {
    /// Returns a stable name in snake_case, for traces and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AmbiguousPath(_) => "ambiguous_path",
            Self::NoGroup => "no_group",
            Self::SeveralCredentials => "several_credentials",
            Self::NoCredential => "no_credential",
            Self::Invalid(InvalidCredential::Malformed) => "malformed_credential",
            Self::Invalid(InvalidCredential::WrongKind) => "wrong_kind",
            Self::Invalid(InvalidCredential::NotGenuine) => "not_genuine",
            Self::Invalid(InvalidCredential::Unknown) => "unknown_token",
            Self::Expired => "expired",
            Self::OwnerInactive => "owner_inactive",
            Self::Disabled => "disabled",
            Self::NetworkNotAllowed => "network_not_allowed",
            Self::RateExceeded(_) => "rate_exceeded",
            Self::CrossOrigin => "cross_origin",
            Self::Forbidden => "forbidden",
            Self::Unguarded => "unguarded",
            Self::NoRule => "no_rule",
            Self::NotForwarded => "not_forwarded",
            Self::Unavailable(Unavailable::Store) => "store_error",
            Self::Unavailable(Unavailable::Deadline) => "store_deadline",
            Self::Unavailable(Unavailable::Overloaded) => "overloaded",
            Self::Unavailable(Unavailable::Stale) => "stale",
            Self::Unavailable(Unavailable::Keys) => "other_keys",
        }
    }
}
