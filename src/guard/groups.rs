//! Route groups: the paths that belong together, and the token kinds that open them.

use super::base::Base;
use super::bearer::{Presented, in_cookie};
use super::path::{self, Judged};
#[cfg(feature = "mcp")]
use super::protected_resource::ProtectedResource;
use super::route_requirement::Prepared;
use super::style::{RejectionFormat, RejectionStyle};
use crate::domain::{Action, Ambiguity, Reason, Requirement, TokenKind, TokenKinds};
use crate::resolve::Entry;
use http::{HeaderMap, Method};
use std::fmt;
use std::sync::Arc;

/// A set of paths, and the token kinds that open them.
///
/// A group covers a path and everything below it, by whole segments: `/admin` covers `/admin` and `/admin/x`, not
/// `/admins`. The longest prefix wins. With [`exact`](Self::exact) a group covers one method and path, and wins over
/// every prefix. Bytes are compared as sent, without decoding or case folding.
///
/// ```
/// use keyward::Group;
/// let groups = [
///     Group::admin("/admin"),
///     Group::public("/admin/login").exact(http::Method::POST),
///     Group::content("/api").public_actions(["api::article.article.find"]),
///     Group::public("/healthz"),
/// ];
/// ```
#[derive(Clone, Debug)]
pub struct Group {
    path: String,
    method: Option<Method>,
    shadowing: bool,
    encoded_slashes: bool,
    pub(super) same_origin: bool,
    pub(super) pages: Option<Pages>,
    /// The path that rejections in HTML link back to. Without one, rejections are not pages.
    pub(super) start: Option<Arc<str>>,
    pub(super) access: Access,
    /// The requirement that every caller has to meet before the request reaches a route.
    pub(super) floor: Option<Prepared>,
    rejection_format: Option<RejectionFormat>,
    /// Whether an account that the host has signed in opens the group, besides tokens.
    or_signed_in: bool,
    pub(super) end_streams: EndStreams,
    #[cfg(feature = "mcp")]
    pub(super) protected_resource: Option<Arc<ProtectedResource>>,
    /// Set when the gate is built.
    pub(super) style: Arc<RejectionStyle>,
    /// Whether only the `Authorization` header holds credentials. Set when the gate is built.
    pub(super) only_authorization: bool,
    id: GroupId,
}

/// The responses that end when the credential of their request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum EndStreams {
    /// Server-sent events (`text/event-stream`).
    #[default]
    EventStreams,
    /// Every response whose length is not known when it begins: server-sent events, lines of JSON, exports.
    All,
    /// No response. The handler waits for [`AuthContext::revoked`](crate::AuthContext::revoked).
    Never,
}

/// The place of a group in its gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct GroupId(usize);

/// The settings of a group of pages.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    /// The cookie that may hold the session's secret.
    cookie: String,
    /// The name of the cookie below a base path.
    below: Option<&'static str>,
    /// The path of the sign-in page.
    pub(super) sign_in: Arc<str>,
}

/// The callers that a group admits.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// Every request, without reading its credential.
    Public,
    /// Principals of these kinds. With `public`, requests without a credential too.
    Guarded { kinds: TokenKinds, public: Option<Public> },
}

/// The principal of requests without a credential.
#[derive(Clone)]
pub(super) struct Public {
    actions: Vec<Action>,
    /// Set when the gate is built.
    entry: Option<Arc<Entry>>,
}

impl fmt::Debug for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Public").field(&self.actions).finish()
    }
}

/// Invalid or conflicting groups.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGroups {
    /// There is no group.
    #[error("no route group: add one, as in `.admin(\"/admin\")`")]
    None,
    /// A path that no request can have, or a pattern.
    #[error("invalid group path `{0}`: start it with `/`, do not end it with one, and leave patterns out")]
    Path(String),
    /// Two groups cover the same paths.
    #[error("two groups cover `{0}`: remove one")]
    Twice(String),
    /// An invalid base path.
    #[error("invalid base path `{0}`: start it with one `/`, as in `/keys`")]
    BasePath(String),
    /// A group below the base path: the same path would be in two groups.
    #[error("the group `{group}` is below the base path `{base}`: name groups without it, or choose another")]
    BelowBase {
        /// The group.
        group: String,
        /// The base path.
        base: String,
    },
    /// An invalid path of the management API or the pages.
    #[error(
        "invalid mount `{0}`: start it with one `/`, as in `/settings/keys`, do not end it with one, and use letters, digits and `-._~`"
    )]
    Mount(String),
    /// Two mounts at the same path.
    #[error("two mounts at `{0}`: give each a path of its own")]
    MountedTwice(String),
    /// A sign-in page for a whole mount, whose people register and sign in on its own pages.
    #[error("the mount at `{0}` has its own sign-in: leave out `.sign_in(..)`, or mount own tokens")]
    SignIn(String),
    /// An invalid cookie name, sign-in path or start path.
    #[error(
        "invalid page group `{0}`: give it a cookie name, and paths to sign in and to start that begin with one `/`"
    )]
    Pages(String),
    /// A public prefix above or below a protected one.
    #[error("the public prefix `{public}` shadows the protected `{protected}`: if that is meant, say `.shadowing()`")]
    Shadowing {
        /// The public one.
        public: String,
        /// The protected one.
        protected: String,
    },
}

impl Group {
    fn new(path: impl Into<String>, access: Access) -> Self {
        Self {
            path: path.into(),
            method: None,
            shadowing: false,
            encoded_slashes: false,
            same_origin: false,
            pages: None,
            start: None,
            access,
            floor: None,
            rejection_format: None,
            or_signed_in: false,
            end_streams: EndStreams::default(),
            #[cfg(feature = "mcp")]
            protected_resource: None,
            style: Arc::default(),
            only_authorization: false,
            id: GroupId::default(),
        }
    }

    /// Returns whether both are prefixes of the same path that the same kinds of token open, and not of pages.
    #[cfg(feature = "api")]
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let prefix = |group: &Self| match &group.access {
            Access::Guarded { kinds, public: None } if group.method.is_none() && group.pages.is_none() => Some(*kinds),
            _ => None,
        };
        self.path == other.path && prefix(self).is_some_and(|kinds| prefix(other) == Some(kinds))
    }

    /// Returns whether it is a group of a content API, with a public.
    pub(crate) fn is_content(&self) -> bool {
        matches!(self.access, Access::Guarded { public: Some(_), .. })
    }

    #[cfg(feature = "ui")]
    pub(super) fn content_path(&self) -> Option<&str> {
        let content = matches!(self.access, Access::Guarded { kinds: TokenKinds::CONTENT, .. });
        (content && self.method.is_none()).then_some(self.path.as_str())
    }

    /// Creates a group that admin tokens and sessions open.
    pub fn admin(path: impl Into<String>) -> Self {
        Self::new(path, Access::Guarded { kinds: TokenKinds::ADMIN, public: None })
    }

    /// Creates a group of an MCP server that admin tokens and sessions open: [`admin`](Self::admin) with rejections that MCP
    /// clients show to their users. For service keys, use
    /// `Group::service_keys(path).rejection_format(RejectionFormat::JsonRpc)`.
    #[cfg(feature = "mcp")]
    pub fn mcp(path: impl Into<String>) -> Self {
        Self::admin(path).rejection_format(RejectionFormat::JsonRpc)
    }

    /// Creates a group that only sessions open: routes for people, not for machines.
    pub fn sessions(path: impl Into<String>) -> Self {
        Self::new(path, Access::Guarded { kinds: TokenKinds::SESSION, public: None })
    }

    /// Creates a group that content tokens open. A request without a credential is made by the public, which has the
    /// [`public_actions`](Self::public_actions): none by default.
    pub fn content(path: impl Into<String>) -> Self {
        let public = Public { actions: Vec::new(), entry: None };
        Self::new(path, Access::Guarded { kinds: TokenKinds::CONTENT, public: Some(public) })
    }

    /// Creates a group that content tokens open, and no request without a credential: there is no public. Such a
    /// request is a 401.
    pub fn service_keys(path: impl Into<String>) -> Self {
        Self::new(path, Access::Guarded { kinds: TokenKinds::CONTENT, public: None })
    }

    /// Creates a group of pages for people, which sessions open.
    ///
    /// The secret may also be in this cookie. A cookie counts only if no [credential
    /// header](crate::Builder::credential_headers) holds a credential of this installation; the Basic credentials of a
    /// proxy do not matter. Unsafe methods need a proof of [same origin](Self::same_origin_only).
    ///
    /// A request without a valid session is redirected to `sign_in`, with the path to come back to in the query
    /// parameter `redirectTo`. A form without a valid session gets 401 and a page that explains it.
    pub fn pages(path: impl Into<String>, cookie: impl Into<String>, sign_in: impl Into<String>) -> Self {
        let cookie = cookie.into();
        let (below, sign_in) = (super::cookie::below_base(&cookie), sign_in.into().into());
        let pages = Pages { cookie, below, sign_in };
        let access = Access::Guarded { kinds: TokenKinds::SESSION, public: None };
        Self { pages: Some(pages), same_origin: true, start: Some("/".into()), ..Self::new(path, access) }
    }

    /// Makes rejections pages in HTML that link back to this path. In groups of [`pages`](Self::pages) they are pages
    /// already, which link back to `/`. Set it for public groups that have forms too.
    ///
    /// ```
    /// use keyward::Group;
    /// let sign_in = Group::public("/admin/auth").same_origin_only().for_people("/admin");
    /// ```
    #[must_use]
    pub fn for_people(mut self, start: impl Into<String>) -> Self {
        self.start = Some(start.into().into());
        self
    }

    /// Rejects unsafe methods unless the browser proves that a page of the same origin sent the request, by
    /// `Sec-Fetch-Site` or `Origin`. For the routes of forms, the sign-in included.
    ///
    /// In a protected group a request with a [credential header](crate::Builder::credential_headers) comes from no form,
    /// and needs no proof. In a group of [`pages`](Self::pages) that holds only if the header has a credential of this
    /// installation.
    #[must_use]
    pub fn same_origin_only(mut self) -> Self {
        self.same_origin = true;
        self
    }

    /// Creates a group that is open to every request.
    pub fn public(path: impl Into<String>) -> Self {
        Self::new(path, Access::Public)
    }

    /// Covers one method and this path alone, not the paths below it. `GET` includes `HEAD`, as in routers.
    #[must_use]
    pub fn exact(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets the actions of the public in a content group. No effect on other groups.
    #[must_use]
    pub fn public_actions<A: Into<Action>>(mut self, actions: impl IntoIterator<Item = A>) -> Self {
        if let Access::Guarded { public: Some(public), .. } = &mut self.access {
            public.actions = actions.into_iter().map(Into::into).collect();
        }
        self
    }

    /// Requires this of every caller before the request reaches a route, forgotten requirements or not. A floor that is
    /// met for some rows or fields is met.
    ///
    /// Without a floor, a valid credential reaches a route without a requirement, and its handler runs before the gate
    /// withholds the response. A route still needs a requirement of its own for its response to leave. Like that of a
    /// route, it is judged again at the end of a body, before a change commits, and by
    /// [`revoked`](crate::AuthContext::revoked). No effect on public groups.
    ///
    /// # Panics
    /// If the requirement reads the resource from a path parameter: the gate is in front of the router.
    ///
    /// ```
    /// use keyward::{Group, action};
    /// let internal = Group::admin("/internal").floor(action("internal.use"));
    /// ```
    #[must_use]
    pub fn floor(mut self, requirement: Requirement) -> Self {
        assert!(!requirement.has_params(), "the floor of a group has no path parameters: {requirement}");
        self.floor = Some(Prepared::new(requirement));
        self
    }

    /// Opens the group also to accounts that the [host has signed in](crate::Builder::signed_in), as sessions: one route
    /// for browsers and for keys. Groups for [sessions](Self::sessions) and [pages](Self::pages) are open to them anyway.
    ///
    /// A request with a credential of this installation is judged by that alone. Basic credentials of a proxy are ignored. A
    /// signed-in request with an unsafe method needs a proof of same origin. In a content group, tell the two apart by
    /// [`AuthContext::kind`](crate::AuthContext::kind).
    #[must_use]
    pub fn or_signed_in(mut self) -> Self {
        self.or_signed_in = true;
        self
    }

    /// Sets which responses end when the credential of their request does. By default these are server-sent events. The
    /// credential ends when it is revoked or expires, its owner is deactivated, or it no longer meets a requirement of the
    /// request. The client sees the end of the stream, and gets a 401 or 403 when it connects again.
    ///
    /// The gate ends bodies of axum's type, and `UnsyncBoxBody` of `http-body-util`. In a service with another type of
    /// body, such as tonic's, wait for [`AuthContext::revoked`](crate::AuthContext::revoked).
    ///
    /// ```
    /// use keyward::{Group, guard::EndStreams};
    /// let exports = Group::admin("/exports").end_streams(EndStreams::All);
    /// ```
    #[must_use]
    pub fn end_streams(mut self, end: EndStreams) -> Self {
        self.end_streams = end;
        self
    }

    /// Returns the path, if [`or_signed_in`](Self::or_signed_in) was called.
    pub(crate) fn path_of_signed_in(&self) -> Option<&str> {
        self.or_signed_in.then_some(&self.path)
    }

    /// Returns whether tokens open the group, and not only sessions.
    #[cfg(feature = "api")]
    pub(super) fn admits_tokens(&self) -> bool {
        !matches!(self.access, Access::Guarded { kinds: TokenKinds::SESSION, .. })
    }

    pub(super) fn admits_signed_in(&self) -> bool {
        self.or_signed_in || matches!(self.access, Access::Guarded { kinds: TokenKinds::SESSION, .. })
    }

    /// Declares the group a protected resource of OAuth (RFC 9728). It takes the address that clients see, and the issuers
    /// of its tokens, if there are any. `WWW-Authenticate` gets `resource_metadata`, and
    /// [`Keyward::guard`](crate::guard::Guard::guard) serves the metadata at
    /// `/.well-known/oauth-protected-resource/mcp` for the path `/mcp`, without a credential.
    ///
    /// # Panics
    /// If the address is not an absolute `http` or `https` address without query.
    ///
    /// ```
    /// use keyward::Group;
    /// let group = Group::mcp("/mcp").protected_resource("https://example.com/mcp", ["https://login.example.com"]);
    /// ```
    #[cfg(feature = "mcp")]
    #[must_use]
    pub fn protected_resource<I: Into<String>>(mut self, url: &str, issuers: impl IntoIterator<Item = I>) -> Self {
        let issuers: Vec<String> = issuers.into_iter().map(Into::into).collect();
        let Some(resource) = ProtectedResource::new(url, &issuers) else {
            panic!("invalid address of a protected resource {url}: use an absolute one, as https://example.com/mcp")
        };
        self.protected_resource = Some(Arc::new(resource));
        self
    }

    /// Returns the public group of the metadata.
    #[cfg(feature = "mcp")]
    fn metadata(&self) -> Option<Self> {
        Some(Self::public(&self.protected_resource.as_ref()?.path).exact(Method::GET))
    }

    /// Sets the form of rejections in JSON, instead of that of the [installation](crate::Builder::rejection_format).
    #[must_use]
    pub fn rejection_format(mut self, format: RejectionFormat) -> Self {
        self.rejection_format = Some(format);
        self
    }

    /// Sets the form of rejections unless the group has one.
    #[cfg(feature = "api")]
    pub(crate) fn default_rejection_format(&mut self, format: RejectionFormat) {
        self.rejection_format.get_or_insert(format);
    }

    /// Allows a public prefix above or below a protected one. A path that is not in the protected group by its exact
    /// bytes is then public: mind routers that fold case or decode.
    #[must_use]
    pub fn shadowing(mut self) -> Self {
        self.shadowing = true;
        self
    }

    /// Allows `%2F` in the segments below the prefix. A router that decodes the path sees other segments than the gate.
    #[must_use]
    pub fn allow_ambiguous_encoded_slashes(mut self) -> Self {
        self.encoded_slashes = true;
        self
    }

    pub(super) fn id(&self) -> GroupId {
        self.id
    }

    /// Returns the entry for requests without a credential, if the group admits them.
    pub(super) fn public_entry(&self) -> Option<&Arc<Entry>> {
        match &self.access {
            Access::Guarded { public: Some(public), .. } => public.entry.as_ref(),
            _ => None,
        }
    }

    /// Returns whether Strapi guards such a group by permission policies.
    pub(super) fn has_policies(&self) -> bool {
        matches!(self.access, Access::Guarded { kinds, .. } if !kinds.contains(TokenKind::Content))
    }

    /// Returns the path with the method, if it covers one alone.
    pub(super) fn name(&self) -> String {
        match &self.method {
            Some(method) => format!("{method} {}", self.path),
            None => self.path.clone(),
        }
    }

    pub(super) fn is_protected(&self) -> bool {
        !matches!(self.access, Access::Public)
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        match &self.method {
            Some(covered) => self.path == path && covers_method(covered, method),
            None => self.covers(path),
        }
    }

    fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(self.prefix()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// Returns the path, empty for the root, so that the rest of a longer path always starts with `/`.
    fn prefix(&self) -> &str {
        if self.path == "/" { "" } else { &self.path }
    }
}

/// Returns the group of a path with its first encoded slash at this place, if it allows one there.
#[cold]
fn with_encoded_slash(group: Option<&Group>, at: usize) -> Result<&Group, Reason> {
    let allows = |group: &&Group| group.encoded_slashes && at > group.path.len();
    group.filter(allows).ok_or(Reason::AmbiguousPath(Ambiguity::EncodedSeparator))
}

/// Returns whether a group for one method covers a request's method. Not inlined: the search for a group would then read
/// all of the method before it starts.
#[inline(never)]
fn covers_method(covered: &Method, method: &Method) -> bool {
    covered == method || (*covered == Method::GET && *method == Method::HEAD)
}

impl Pages {
    /// Returns the session secret in a request's cookies. Browsers send the cookie below a base path to no other path,
    /// so it goes first.
    pub(super) fn presented<'h>(&self, headers: &'h HeaderMap) -> Presented<'h> {
        match self.below.map_or(Presented::Nothing, |name| in_cookie(headers, name)) {
            Presented::Nothing => in_cookie(headers, &self.cookie),
            presented => presented,
        }
    }

    fn is_valid(&self) -> bool {
        let token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let cookie = !self.cookie.is_empty() && self.cookie.bytes().all(token);
        cookie && is_plain(&self.sign_in)
    }
}

/// Returns whether a configured path has no character with a meaning in HTML or in a URL.
fn is_plain(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'.' | b'_' | b'~');
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(plain)
}

/// The groups of a gate, the most specific first.
#[derive(Debug)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    pub(super) fn new(mut groups: Vec<Group>, base: &Base) -> Result<Self, InvalidGroups> {
        #[cfg(feature = "mcp")]
        groups.extend(groups.iter().filter_map(Group::metadata).collect::<Vec<_>>());
        if groups.is_empty() {
            return Err(InvalidGroups::None);
        }
        if let Some(below) = groups.iter().find(|group| base.covers(&group.path)) {
            let base = base.as_str().to_owned();
            return Err(InvalidGroups::BelowBase { group: below.path.clone(), base });
        }
        for group in &groups {
            let rooted = group.path == "/" || (group.path.starts_with('/') && !group.path.ends_with('/'));
            let plain =
                path::judge(&group.path) == Ok(Judged::default()) && !group.path.contains(['{', '}', '*', '?', '#']);
            if !rooted || !plain {
                return Err(InvalidGroups::Path(group.path.clone()));
            }
        }
        for group in &groups {
            let invalid_start = group.start.as_deref().is_some_and(|start| !is_plain(start));
            if invalid_start || group.pages.as_ref().is_some_and(|p| !p.is_valid()) {
                return Err(InvalidGroups::Pages(group.path.clone()));
            }
        }
        for (i, a) in groups.iter().enumerate() {
            if groups[i + 1..].iter().any(|b| a.path == b.path && a.method == b.method) {
                return Err(InvalidGroups::Twice(a.path.clone()));
            }
        }
        let protected: Vec<&Group> = groups.iter().filter(|g| g.is_protected()).collect();
        for public in groups.iter().filter(|g| !g.is_protected() && g.method.is_none() && !g.shadowing) {
            if let Some(p) =
                protected.iter().find(|p| public.covers(&p.path) || (p.method.is_none() && p.covers(&public.path)))
            {
                return Err(InvalidGroups::Shadowing { public: public.path.clone(), protected: p.path.clone() });
            }
        }
        groups.sort_by_key(|g| (g.method.is_none(), std::cmp::Reverse(g.prefix().len())));
        groups.iter_mut().enumerate().for_each(|(place, group)| group.id = GroupId(place));
        Ok(Self(groups))
    }

    /// Makes the entries for requests without a credential, from the actions of the public.
    pub(super) fn resolve_public(&mut self, entry: impl Fn(&[Action]) -> Arc<Entry>) {
        for group in &mut self.0 {
            if let Access::Guarded { public: Some(public), .. } = &mut group.access {
                public.entry = Some(entry(&public.actions));
            }
        }
    }

    /// Gives the groups the style of the gate, each with its own format if it has one.
    pub(super) fn set_style(&mut self, style: &Arc<RejectionStyle>) {
        for group in &mut self.0 {
            group.style = style.with_format(group.rejection_format);
            #[cfg(feature = "mcp")]
            if let Some(resource) = &group.protected_resource {
                group.style = Arc::new(group.style.with_metadata(&resource.url));
            }
            group.only_authorization = group.pages.is_none() && style.headers.is_default();
        }
    }

    /// Returns the group of a request, by the path as sent.
    pub(super) fn classify(&self, method: &Method, path: &str) -> Result<&Group, Reason> {
        let judged = path::judge(path).map_err(Reason::AmbiguousPath)?;
        let group = if path.starts_with('/') { self.find(method, path) } else { None };
        match judged.encoded_slash {
            None => group.ok_or(Reason::NoGroup),
            Some(at) => with_encoded_slash(group, at),
        }
    }

    /// Returns the group that covers this path, which may be ambiguous.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<&Group> {
        self.0.iter().find(|group| group.matches(method, path))
    }

    /// Returns whether the path of a group begins like this.
    #[cfg(feature = "axum")]
    pub(super) fn begin_like(&self, start: &str) -> bool {
        self.0.iter().any(|group| group.path.starts_with(start))
    }

    /// Returns the groups that cover this path for some method: those of this path alone, and the most specific prefix.
    #[cfg(feature = "axum")]
    pub(super) fn covering(&self, path: &str) -> Vec<&Group> {
        let exact = self.0.iter().filter(|group| group.method.is_some() && group.path == path);
        exact.chain(self.0.iter().find(|group| group.method.is_none() && group.covers(path))).collect()
    }

    pub(super) fn get(&self, id: GroupId) -> &Group {
        &self.0[id.0]
    }

    #[cfg(any(feature = "mcp", feature = "ui"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Groups {
        let groups = vec![
            Group::admin("/admin"),
            Group::content("/admin/api"),
            Group::public("/admin/login").exact(Method::POST),
            Group::content("/api").allow_ambiguous_encoded_slashes(),
            Group::public("/healthz"),
            Group::admin("/api/keys").exact(Method::GET),
        ];
        Groups::new(groups, &Base::default()).unwrap()
    }

    #[test]
    fn a_path_belongs_to_the_longest_prefix_of_whole_segments() {
        let groups = groups();
        let of = |method: &Method, path: &str| groups.classify(method, path).map(|group| group.path.clone());
        let get = |path| of(&Method::GET, path).ok();
        for (path, group) in [
            ("/admin", "/admin"),
            ("/admin/", "/admin"),
            ("/admin/x", "/admin"),
            ("/admin/api", "/admin/api"),
            ("/admin/api/x", "/admin/api"),
            ("/admin/apis", "/admin"),
            ("/admin/login", "/admin"),
            ("/healthz", "/healthz"),
            ("/api/a%2fb", "/api"),
        ] {
            assert_eq!(get(path).as_deref(), Some(group), "{path}");
        }
        assert_eq!(of(&Method::POST, "/admin/login").unwrap(), "/admin/login");
        assert_eq!(of(&Method::POST, "/admin/login/").unwrap(), "/admin");
        assert_eq!(of(&Method::HEAD, "/api/keys").unwrap(), "/api/keys");
        assert_eq!(of(&Method::POST, "/api/keys").unwrap(), "/api");
        for path in ["/", "", "*", "/admins", "/Admin", "/%61dmin", "/adm", "admin/x", "/healthzz"] {
            assert_eq!(of(&Method::GET, path), Err(Reason::NoGroup), "{path}");
        }
        for path in ["/admin/a%2fb", "/api%2fx", "/x%2fy"] {
            let encoded = Err(Reason::AmbiguousPath(Ambiguity::EncodedSeparator));
            assert_eq!(of(&Method::GET, path), encoded, "{path}");
        }
    }

    /// The management API is served only where admin tokens and sessions open everything below its path.
    #[cfg(feature = "api")]
    #[test]
    fn an_admin_prefix_is_like_no_other_group() {
        assert!(Group::admin("/admin").is_like(&Group::admin("/admin")));
        for other in [
            Group::admin("/other"),
            Group::admin("/admin").exact(Method::GET),
            Group::content("/admin"),
            Group::sessions("/admin"),
            Group::pages("/admin", "sid", "/login"),
            Group::public("/admin"),
        ] {
            assert!(!other.is_like(&Group::admin("/admin")), "{other:?}");
        }
        assert!(!Group::pages("/me", "sid", "/login").is_like(&Group::sessions("/me")));
    }

    #[test]
    fn invalid_groups_are_rejected() {
        let build = |groups: &[Group]| Groups::new(groups.to_vec(), &Base::default()).err();
        assert_eq!(build(&[]), Some(InvalidGroups::None));
        for path in ["", "admin", "/admin/", "//x", "/{id}", "/x/*", "/x?y", "/%2fx"] {
            assert_eq!(build(&[Group::admin(path)]), Some(InvalidGroups::Path(path.into())), "{path}");
        }
        assert_eq!(build(&[Group::admin("/a"), Group::content("/a")]), Some(InvalidGroups::Twice("/a".into())));
        for public in ["/", "/admin/assets"] {
            let shadowing = InvalidGroups::Shadowing { public: public.into(), protected: "/admin".into() };
            assert_eq!(build(&[Group::admin("/admin"), Group::public(public)]), Some(shadowing));
            assert_eq!(build(&[Group::admin("/admin"), Group::public(public).shadowing()]), None);
        }
        let base = Base::parse("/keys").unwrap();
        let below = |path: &str| Groups::new(vec![Group::admin("/admin"), Group::public(path)], &base).err();
        for path in ["/keys", "/keys/x"] {
            assert_eq!(below(path), Some(InvalidGroups::BelowBase { group: path.into(), base: "/keys".into() }));
        }
        assert_eq!(below("/keysx"), None);
        for (cookie, sign_in) in
            [("", "/login"), ("a b", "/login"), ("a", "login"), ("a", "//evil.test"), ("a", "/x?y")]
        {
            assert_eq!(build(&[Group::pages("/me", cookie, sign_in)]), Some(InvalidGroups::Pages("/me".into())));
        }
        for start in ["", "x", "//evil.test", "/\"><script>", "/a&b", "/a?b", "/\\evil.test", "javascript:alert(1)"] {
            let group = Group::public("/me").for_people(start);
            assert_eq!(build(&[group]), Some(InvalidGroups::Pages("/me".into())), "{start}");
        }
    }
}
