//! Why a request was refused.

/// Why a request was refused. It goes into response extensions and traces; what the client sees says less
/// (see [`Rejection`](crate::guard::Rejection)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// 400: the path can be read in two ways.
    AmbiguousPath(Ambiguity),
    /// 404: the path is in no route group.
    NoGroup,
    /// 401: no credential, in a group that needs one.
    NoCredential,
    /// 401: a credential that is not valid here.
    Invalid(InvalidCredential),
    /// 401: a genuine token whose time is over.
    Expired,
    /// 401: a genuine token whose owner is not active.
    OwnerInactive,
    /// 403: a request that changes something, without a proof that a page of the same origin sent it.
    CrossOrigin,
    /// 403: the principal may not do what the route requires.
    Forbidden,
    /// 403: a protected route answered without anything having been required of the caller, or without taking the decision.
    Unguarded,
    /// 503: the store could not be asked.
    Unavailable(Unavailable),
}

/// How a path is ambiguous.
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
    /// Something between the client and the gate changed the path.
    Rewritten,
}

/// How a credential is not valid. Clients cannot tell these apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum InvalidCredential {
    /// Not one Bearer secret: another scheme, bad syntax, too long, several headers.
    Malformed,
    /// Of a kind that does not open this group.
    WrongKind,
    /// Never issued: the offline check failed.
    NotGenuine,
    /// Not in the store: revoked, regenerated, deleted, or its owner is gone.
    Unknown,
}

/// How the store could not be asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Unavailable {
    /// It answered with an error.
    Store,
    /// It did not answer in time.
    Deadline,
    /// Too many look-ups wait already.
    Overloaded,
    /// What this node knows is too old to be relied on.
    Stale,
    /// The keys of its configuration are not those that the tokens rest on, or could not be compared with them yet.
    Keys,
}

impl Reason {
    /// A stable name in snake_case, for traces and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AmbiguousPath(_) => "ambiguous_path",
            Self::NoGroup => "no_group",
            Self::NoCredential => "no_credential",
            Self::Invalid(InvalidCredential::Malformed) => "malformed_credential",
            Self::Invalid(InvalidCredential::WrongKind) => "wrong_kind",
            Self::Invalid(InvalidCredential::NotGenuine) => "not_genuine",
            Self::Invalid(InvalidCredential::Unknown) => "unknown_token",
            Self::Expired => "expired",
            Self::OwnerInactive => "owner_inactive",
            Self::CrossOrigin => "cross_origin",
            Self::Forbidden => "forbidden",
            Self::Unguarded => "unguarded",
            Self::Unavailable(Unavailable::Store) => "store_error",
            Self::Unavailable(Unavailable::Deadline) => "store_deadline",
            Self::Unavailable(Unavailable::Overloaded) => "overloaded",
            Self::Unavailable(Unavailable::Stale) => "stale",
            Self::Unavailable(Unavailable::Keys) => "other_keys",
        }
    }
}
