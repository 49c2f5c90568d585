//! The headers that may hold a credential: `Authorization` with `Bearer`, or those that the host names.

use super::bearer::{self, Credential, Presented};
use http::header::{AUTHORIZATION, HeaderName, VARY};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;

/// The headers that may hold a credential. By default, `Authorization` alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct CredentialHeaders(Option<Arc<[HeaderName]>>);

/// Error for names of headers that cannot hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredentialHeader {
    /// There is no name.
    #[error("no credential header: name one, as `authorization` or `x-api-key`")]
    None,
    /// The name is no header name, or it is that of a header which clients send for other purposes. Browsers send some
    /// of those by themselves, also across origins.
    #[error("invalid credential header `{0}`: use `authorization`, or a name of your own such as `x-api-key`")]
    Name(String),
}

/// Names that clients use for other purposes. Names with `sec-`, `proxy-`, `access-control-`, `if-`, `accept`,
/// `content-` and `x-forwarded-` are such ones too.
const OTHERS: [&str; 27] = [
    "cache-control",
    "connection",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "origin",
    "pragma",
    "priority",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-real-ip",
    "x-requested-with",
];

impl CredentialHeaders {
    pub(crate) fn parse<N: AsRef<str>>(names: &[N]) -> Result<Self, InvalidCredentialHeader> {
        let name = |name: &N| {
            let invalid = || InvalidCredentialHeader::Name(name.as_ref().to_owned());
            let name = HeaderName::try_from(name.as_ref()).map_err(|_| invalid())?;
            let text = name.as_str();
            let prefixes = ["sec-", "proxy-", "access-control-", "if-", "accept", "content-", "x-forwarded-"];
            let other = OTHERS.contains(&text) || prefixes.iter().any(|prefix| text.starts_with(prefix));
            if other { Err(invalid()) } else { Ok(name) }
        };
        match names {
            [] => Err(InvalidCredentialHeader::None),
            [one] if one.as_ref().eq_ignore_ascii_case(AUTHORIZATION.as_str()) => Ok(Self::default()),
            names => names.iter().map(name).collect::<Result<_, _>>().map(|names| Self(Some(names))),
        }
    }

    /// Returns whether `Authorization` is the only header.
    pub(super) fn is_default(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn names(&self) -> &[HeaderName] {
        self.0.as_deref().unwrap_or(&[AUTHORIZATION])
    }

    /// Returns whether `Authorization: Bearer` is accepted.
    pub(crate) fn has_bearer(&self) -> bool {
        self.names().contains(&AUTHORIZATION)
    }

    /// Reads the credential of a request.
    pub(super) fn presented<'h>(&self, headers: &'h HeaderMap) -> Presented<'h> {
        match self.is_default() {
            true => bearer::presented(headers),
            false => bearer::unless_repeated(bearer::one_of(self.all(headers)), self.any_is_repeated(headers)),
        }
    }

    fn any_is_repeated(&self, headers: &HeaderMap) -> bool {
        self.names().iter().any(|name| headers.get_all(name).iter().nth(1).is_some())
    }

    /// Returns whether a request has one of the headers.
    pub(super) fn any(&self, headers: &HeaderMap) -> bool {
        self.names().iter().any(|name| headers.contains_key(name))
    }

    /// Returns whether one of the headers holds a credential of this installation. A proxy in front of pages may add
    /// another one to every request, for instance with `auth_basic`.
    pub(super) fn any_is_ours(&self, headers: &HeaderMap, is_ours: impl Fn(&[u8]) -> bool) -> bool {
        self.all(headers).any(|credential| matches!(credential, Credential::Secret(secret) if is_ours(secret)))
    }

    /// Returns whether the value of one of the headers is like this.
    pub(super) fn any_value(&self, headers: &HeaderMap, is: impl Fn(&[u8]) -> bool) -> bool {
        self.values(headers).any(|(_, value)| is(value.as_bytes()))
    }

    /// Returns whether each of the headers occurs once, in the form of a credential. The result says nothing about the secret
    /// itself.
    pub(super) fn are_well_formed(&self, headers: &HeaderMap) -> bool {
        let is_well_formed = |(name, value): (&HeaderName, &HeaderValue)| match *name == AUTHORIZATION {
            true => bearer::is_well_formed(value.as_bytes()),
            false => bearer::is_token68(value.as_bytes()),
        };
        !self.any_is_repeated(headers) && self.values(headers).all(is_well_formed)
    }

    /// Returns the text that names the headers, for a client that sent one in another form.
    pub(super) fn expected_form(&self) -> String {
        let form = |name: &HeaderName| match *name == AUTHORIZATION {
            true => "Authorization: Bearer <token>".to_owned(),
            false => format!("{}: <token>", title_case(name)),
        };
        let forms: Vec<String> = self.names().iter().map(form).collect();
        format!("Send one header of the form {}", forms.join(" or "))
    }

    /// Adds the headers to `Vary`, each once.
    pub(super) fn vary(&self, headers: &mut HeaderMap) {
        for name in self.names() {
            let is_name = |member: &[u8]| member.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes());
            let varies = |value: &HeaderValue| value.as_bytes().split(|b| *b == b',').any(is_name);
            if !headers.get_all(VARY).iter().any(varies) {
                // A header name is a header value too.
                headers.extend(HeaderValue::try_from(title_case(name)).ok().map(|value| (VARY, value)));
            }
        }
    }

    fn all<'a, 'h: 'a>(&'a self, headers: &'h HeaderMap) -> impl Iterator<Item = Credential<'h>> + 'a {
        self.values(headers).map(|(name, value)| match *name == AUTHORIZATION {
            true => Credential::of_bearer(value.as_bytes()),
            false => Credential::of_bare(value.as_bytes()),
        })
    }

    fn values<'a, 'h: 'a>(
        &'a self,
        headers: &'h HeaderMap,
    ) -> impl Iterator<Item = (&'a HeaderName, &'h HeaderValue)> + 'a {
        self.names().iter().flat_map(move |name| headers.get_all(name).iter().map(move |value| (name, value)))
    }
}

/// Returns a header name as people write it: `X-Api-Key`.
pub(crate) fn title_case(name: &HeaderName) -> String {
    let mut at_start = true;
    let letter = |c: char| {
        let letter = if at_start { c.to_ascii_uppercase() } else { c };
        at_start = c == '-';
        letter
    };
    name.as_str().chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        all.iter().map(pair).collect()
    }

    #[test]
    fn headers_that_clients_send_for_other_purposes_hold_no_credential() {
        for name in ["authorization", "x-api-key", "X-Api-Key", "api-key", "x-acme-token"] {
            assert!(CredentialHeaders::parse(&[name]).is_ok(), "{name}");
        }
        for name in ["", "x api", "x:y", "cookie", "Cookie", "origin", "sec-fetch-site", "user-agent", "accept", "host"]
        {
            let invalid = InvalidCredentialHeader::Name(name.to_owned());
            assert_eq!(CredentialHeaders::parse(&[name]).err(), Some(invalid), "{name}");
        }
        assert_eq!(CredentialHeaders::parse::<&str>(&[]).err(), Some(InvalidCredentialHeader::None));
        assert!(CredentialHeaders::parse(&["Authorization"]).unwrap().is_default());
    }

    #[test]
    fn equal_credentials_are_one_and_different_ones_conflict() {
        let named = CredentialHeaders::parse(&["authorization", "x-api-key"]).unwrap();
        let default = CredentialHeaders::default();
        let (bearer, key) = ("authorization", "x-api-key");
        for (all, both, only_bearer) in [
            (&[][..], Presented::Nothing, Presented::Nothing),
            (&[(bearer, "Bearer a")], Presented::Secret(b"a"), Presented::Secret(b"a")),
            (&[(key, "a")], Presented::Secret(b"a"), Presented::Nothing),
            (&[(key, "a"), (bearer, "bearer  a")], Presented::Secret(b"a"), Presented::Secret(b"a")),
            (&[(key, "a"), (key, "a")], Presented::Malformed, Presented::Nothing),
            (&[(bearer, "Bearer a"), (bearer, "Bearer a")], Presented::Malformed, Presented::Malformed),
            (&[(bearer, "Bearer a"), (bearer, "Bearer b")], Presented::Several, Presented::Several),
            (&[(key, "a"), (key, "b")], Presented::Several, Presented::Nothing),
            (&[(key, "a"), (bearer, "Bearer b")], Presented::Several, Presented::Secret(b"b")),
            (&[(key, "a"), (bearer, "Basic a")], Presented::Several, Presented::Malformed),
            (&[(bearer, "Basic a"), (bearer, "Basic a")], Presented::Malformed, Presented::Malformed),
            (&[(key, "")], Presented::Malformed, Presented::Nothing),
        ] {
            let sent = headers(all);
            assert_eq!(named.presented(&sent), both, "{all:?}");
            assert_eq!(default.presented(&sent), only_bearer, "{all:?}");
        }
        let bare = CredentialHeaders::parse(&["x-api-key"]).unwrap();
        assert_eq!(bare.presented(&headers(&[(key, "a"), (bearer, "Basic b")])), Presented::Secret(b"a"));
        assert!(!bare.has_bearer() && !bare.any(&headers(&[(bearer, "Bearer a")])));
    }

    #[test]
    fn vary_names_each_header_once() {
        let named = CredentialHeaders::parse(&["authorization", "x-api-key"]).unwrap();
        for (before, after) in [
            (&[][..], &["Authorization", "X-Api-Key"][..]),
            (&["Origin"], &["Origin", "Authorization", "X-Api-Key"]),
            (&["x-api-key, Origin"], &["x-api-key, Origin", "Authorization"]),
        ] {
            let mut headers: HeaderMap = before.iter().map(|v| (VARY, HeaderValue::from_static(v))).collect();
            named.vary(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), after);
        }
    }

    #[test]
    fn expected_form_names_the_headers() {
        let text = |names: &[&str]| CredentialHeaders::parse(names).unwrap().expected_form();
        assert_eq!(text(&["authorization"]), "Send one header of the form Authorization: Bearer <token>");
        let both = "Send one header of the form X-Api-Key: <token> or Authorization: Bearer <token>";
        assert_eq!(text(&["x-api-key", "authorization"]), both);
    }
}
