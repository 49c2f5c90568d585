//! The forms in which proxies report the original request.

use super::host;
use super::invalid::InvalidRules;
use crate::domain::{Ambiguity, Reason};
use crate::guard::{judge_reported, sent_uri};
use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};

const METHOD: HeaderName = HeaderName::from_static("x-original-method");
const URI: HeaderName = HeaderName::from_static("x-original-uri");
const URL: HeaderName = HeaderName::from_static("x-original-url");
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
/// Headers that override the method of a request in some frameworks.
const OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// The form in which a proxy reports the original request.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Nginx,
    IngressNginx,
    Traefik,
    Caddy,
    Haproxy,
    /// The original path follows this prefix.
    Envoy(String),
}

/// The original request, as the proxy reports it.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) method: Method,
    /// In lower case, without the port.
    pub(super) host: String,
    pub(super) uri: PathAndQuery,
}

/// The reason why a question is not understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The part with this name is missing, occurs twice, or has no valid value: the proxy may be configured for another form.
    Part(&'static str),
    /// The client has sent a path that can be read in two ways.
    Path(Ambiguity),
}

impl Unreadable {
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Part(_) => Reason::NotForwarded,
            Self::Path(ambiguity) => Reason::AmbiguousPath(*ambiguity),
        }
    }
}

impl Form {
    pub(super) fn check(&self) -> Result<(), InvalidRules> {
        match self {
            Self::Envoy(prefix) if !prefix.is_empty() => {
                let rooted = prefix.starts_with('/') && !prefix.ends_with('/');
                let valid = rooted && judge_reported(prefix).is_ok() && !prefix.contains(['?', '#', '%', ';']);
                if valid { Ok(()) } else { Err(InvalidRules::Prefix(prefix.clone())) }
            }
            _ => Ok(()),
        }
    }

    /// Reads the original request.
    pub(super) fn read(&self, question: &Parts) -> Result<Reported, Unreadable> {
        let headers = &question.headers;
        let (method, host, uri) = match self {
            Self::Nginx => {
                let method = required(headers, &METHOD, "X-Original-Method")?;
                let uri = required(headers, &URI, "X-Original-URI")?;
                (method, own_host(question)?, uri)
            }
            Self::IngressNginx => {
                let url = required(headers, &URL, "X-Original-URL")?;
                let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
                let at = rest.and_then(|rest| rest.find('/').map(|at| rest.split_at(at)));
                let (host, uri) = at.ok_or(Unreadable::Part("X-Original-URL"))?;
                (required(headers, &METHOD, "X-Original-Method")?, host, uri)
            }
            Self::Traefik | Self::Caddy => {
                let proto = required(headers, &FORWARDED_PROTO, "X-Forwarded-Proto")?;
                if !matches!(proto, "http" | "https" | "ws" | "wss") {
                    return Err(Unreadable::Part("X-Forwarded-Proto"));
                }
                forwarded(headers)?
            }
            Self::Haproxy => forwarded(headers)?,
            Self::Envoy(prefix) => {
                let sent = sent_uri(&question.uri, &question.extensions);
                let whole = sent.path_and_query().map(PathAndQuery::as_str).unwrap_or_default();
                let uri = whole.strip_prefix(prefix.as_str()).filter(|rest| rest.starts_with('/'));
                (question.method.as_str(), own_host(question)?, uri.ok_or(Unreadable::Part("path prefix"))?)
            }
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Unreadable::Part("method"))?;
        let host = host::name_of(host).ok_or(Unreadable::Part("host"))?;
        Ok(Reported { method, host, uri: path_and_query(uri)? })
    }

    /// Returns whether the proxy reports the host by which it selected the service.
    pub(super) fn knows_host(&self) -> bool {
        !matches!(self, Self::IngressNginx)
    }

    /// Returns the status in a form that the proxy understands. nginx understands 2xx, 401 and 403, and answers 500 for others.
    pub(super) fn status(&self, status: StatusCode) -> StatusCode {
        match self {
            Self::Nginx | Self::IngressNginx if status.is_client_error() && status != StatusCode::UNAUTHORIZED => {
                StatusCode::FORBIDDEN
            }
            _ => status,
        }
    }
}

/// Returns the methods that a program behind the proxy may read from a request, its own first.
///
/// # Errors
/// [`Unreadable::Part`] if the value of a header that overrides the method is no method.
pub(super) fn methods(own: Method, headers: &HeaderMap) -> Result<Vec<Method>, Unreadable> {
    let upper = own.as_str().to_ascii_uppercase();
    let overrides = OVERRIDES.into_iter().flat_map(|name| headers.get_all(name));
    let others = overrides.map(|value| value.to_str().unwrap_or_default().trim().to_ascii_uppercase());
    let others = others.chain([upper]).map(|other| Method::from_bytes(other.as_bytes()));
    let others: Vec<Method> = others.collect::<Result<_, _>>().map_err(|_| Unreadable::Part("method override"))?;
    let mut all = vec![own];
    all.extend(others);
    all.dedup();
    Ok(all)
}

/// Returns the method, the host and the path with the query that the `X-Forwarded-*` headers report.
fn forwarded(headers: &HeaderMap) -> Result<(&str, &str, &str), Unreadable> {
    let method = required(headers, &FORWARDED_METHOD, "X-Forwarded-Method")?;
    let host = required(headers, &FORWARDED_HOST, "X-Forwarded-Host")?;
    Ok((method, host, required(headers, &FORWARDED_URI, "X-Forwarded-Uri")?))
}

/// Returns the host of the question itself. HTTP/2 has it in the URI.
fn own_host(question: &Parts) -> Result<&str, Unreadable> {
    let authority = question.uri.authority().map(http::uri::Authority::as_str);
    let host = match question.headers.contains_key(HOST) {
        true => Some(required(&question.headers, &HOST, "Host")?),
        false => None,
    };
    match (host, authority) {
        (Some(host), Some(authority)) if host != authority => Err(Unreadable::Part("Host")),
        (host, authority) => host.or(authority).ok_or(Unreadable::Part("Host")),
    }
}

/// Returns the value of a header that occurs once, or the error that names this part.
fn required<'h>(headers: &'h HeaderMap, name: &HeaderName, part: &'static str) -> Result<&'h str, Unreadable> {
    single(headers, name).ok_or(Unreadable::Part(part))
}

/// Returns the value of a header that occurs once. A value that is not ASCII becomes an empty text, which no form accepts.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    Some(value.to_str().unwrap_or_default())
}

/// Parses the path and the query as the client sent them, and judges the path.
fn path_and_query(uri: &str) -> Result<PathAndQuery, Unreadable> {
    let ambiguous = |ambiguity| Unreadable::Path(ambiguity);
    if !uri.starts_with('/') || !uri.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(ambiguous(Ambiguity::Unprintable));
    }
    let parsed: PathAndQuery = uri.parse().map_err(|_| ambiguous(Ambiguity::Unprintable))?;
    judge_reported(parsed.path()).map_err(ambiguous)?;
    if parsed.as_str() == uri { Ok(parsed) } else { Err(ambiguous(Ambiguity::Rewritten)) }
}

#[cfg(test)]
mod tests;
