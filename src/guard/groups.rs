//! Route groups: which paths belong together, and which kinds of token open them.

use super::base::Base;
use super::bearer::{Presented, in_cookie};
use super::path;
use super::path::Judged;
use crate::domain::{Action, Ambiguity, Reason, TokenKinds};
use http::{HeaderMap, Method};
use std::sync::Arc;

/// Paths that belong together, and what opens them.
///
/// A group covers a path and everything below it, by whole segments: `/admin` covers `/admin` and `/admin/x`, not `/admins`. The
/// longest prefix wins. With [`exact`](Self::exact) it covers one method and path, and wins over every prefix. Bytes are
/// compared as sent: no decoding, no case folding.
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
    /// Where people see refusals: where their way back leads.
    pub(super) start: Option<Arc<str>>,
    pub(super) access: Access,
}

/// What makes a group one of pages for people.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    /// The cookie that may hold the session's secret.
    pub(super) cookie: String,
    /// The same where the pages are below a base path.
    below: Option<&'static str>,
    /// Where people are sent to sign in.
    pub(super) sign_in: Arc<str>,
}

/// What opens a group.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// Nothing is asked.
    Public,
    /// Only a principal of these kinds. With public actions, nobody is a principal too.
    Guarded { kinds: TokenKinds, public_actions: Option<Vec<Action>> },
}

/// A set of groups that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGroups {
    /// There is none.
    #[error("no route group: add one, as in `.admin(\"/admin\")`")]
    None,
    /// A path that no request can have, or a pattern.
    #[error("the group path `{0}` is no plain path: it starts with `/`, does not end with one and has no patterns")]
    Path(String),
    /// Two groups cover the same.
    #[error("two groups cover `{0}`")]
    Twice(String),
    /// A base path that is no plain path.
    #[error("the base path `{0}` is no plain path: it starts with one `/`, as in `/keys`")]
    BasePath(String),
    /// A group below the base path: the same path would be of two groups.
    #[error("the group `{group}` is below the base path `{base}`: name groups without it, or choose another")]
    BelowBase {
        /// The group.
        group: String,
        /// The base path.
        base: String,
    },
    /// A cookie's name, a sign-in path or a way back that cannot be one.
    #[error(
        "the page group `{0}` needs a cookie name, and plain paths that start with one `/` to sign in and to go back"
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
        }
    }

    #[cfg(feature = "api")]
    pub(crate) fn is_admin_at(&self, path: &str) -> bool {
        let admin = matches!(self.access, Access::Guarded { kinds: TokenKinds::ADMIN, .. });
        admin && self.path == path && self.method.is_none()
    }

    #[cfg(feature = "ui")]
    pub(super) fn content_path(&self) -> Option<&str> {
        let content = matches!(self.access, Access::Guarded { kinds: TokenKinds::CONTENT, .. });
        (content && self.method.is_none()).then_some(self.path.as_str())
    }

    /// Opened by admin tokens and sessions.
    pub fn admin(path: impl Into<String>) -> Self {
        Self::new(path, Access::Guarded { kinds: TokenKinds::ADMIN, public_actions: None })
    }

    /// Opened by sessions alone: routes for people, not for their machines.
    pub fn sessions(path: impl Into<String>) -> Self {
        Self::new(path, Access::Guarded { kinds: TokenKinds::SESSION, public_actions: None })
    }

    /// Opened by content tokens. Without a credential the caller is the public, which may do the
    /// [`public_actions`](Self::public_actions): none, unless said otherwise.
    pub fn content(path: impl Into<String>) -> Self {
        Self::new(path, Access::Guarded { kinds: TokenKinds::CONTENT, public_actions: Some(Vec::new()) })
    }

    /// Pages for people, opened by sessions. The secret may be in this cookie too, where none is in an `Authorization` header, and on
    /// methods that change something only with a proof of [same origin](Self::same_origin_only). A header that holds no
    /// credential of this installation, such as the Basic credentials of a proxy in front, leaves the cookie in force. A person who is
    /// not signed in is sent to `sign_in`, with the path to come back to in the query parameter `redirectTo`; a form that comes without
    /// a valid session is answered 401, with a page that says so.
    pub fn pages(path: impl Into<String>, cookie: impl Into<String>, sign_in: impl Into<String>) -> Self {
        let cookie = cookie.into();
        let (below, sign_in) = (super::cookie::below_base(&cookie), sign_in.into().into());
        let pages = Pages { cookie, below, sign_in };
        let access = Access::Guarded { kinds: TokenKinds::SESSION, public_actions: None };
        Self { pages: Some(pages), same_origin: true, start: Some("/".into()), ..Self::new(path, access) }
    }

    /// Refusals are pages for people, with a way back to this path. In groups of [`pages`](Self::pages) they are anyway, with a
    /// way back to `/`; say it of public groups that have forms too.
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

    /// Refuses requests that change something unless the browser proves that a page of the same origin sent them, by
    /// `Sec-Fetch-Site` or `Origin`. For the routes of forms, the sign-in included. In a protected group a request with an
    /// `Authorization` header is no form's, and needs no proof; among [`pages`](Self::pages) that is so of a header with a credential of
    /// this installation alone.
    #[must_use]
    pub fn same_origin_only(mut self) -> Self {
        self.same_origin = true;
        self
    }

    /// Open to all: requests pass unread.
    pub fn public(path: impl Into<String>) -> Self {
        Self::new(path, Access::Public)
    }

    /// Covers one method and this path alone, not what is below it. `GET` covers `HEAD` with it, as routers do.
    #[must_use]
    pub fn exact(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// What the public may do in a content group. Without effect on other groups.
    #[must_use]
    pub fn public_actions<A: Into<Action>>(mut self, actions: impl IntoIterator<Item = A>) -> Self {
        if let Access::Guarded { public_actions: Some(listed), .. } = &mut self.access {
            *listed = actions.into_iter().map(Into::into).collect();
        }
        self
    }

    /// Lets a public prefix lie above or below a protected one. What is not in the protected group by its exact bytes is
    /// then public: mind routers that fold case or decode.
    #[must_use]
    pub fn shadowing(mut self) -> Self {
        self.shadowing = true;
        self
    }

    /// Lets `%2F` stand in the segments below the prefix. Whatever decodes the path behind the gate sees segments that the
    /// gate did not.
    #[must_use]
    pub fn allow_ambiguous_encoded_slashes(mut self) -> Self {
        self.encoded_slashes = true;
        self
    }

    pub(super) fn is_protected(&self) -> bool {
        !matches!(self.access, Access::Public)
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        match &self.method {
            Some(m) => (m == method || (*m == Method::GET && *method == Method::HEAD)) && self.path == path,
            None => self.covers(path),
        }
    }

    fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(self.prefix()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// The path without the slash of the root, so that what follows a prefix always starts with one.
    fn prefix(&self) -> &str {
        if self.path == "/" { "" } else { &self.path }
    }
}

impl Pages {
    /// The session in a request's cookies. The one below a base path is sent to no other path, so it is looked for first.
    pub(super) fn presented<'h>(&self, headers: &'h HeaderMap) -> Presented<'h> {
        match self.below.map_or(Presented::Nothing, |name| in_cookie(headers, name)) {
            Presented::Nothing => in_cookie(headers, &self.cookie),
            presented => presented,
        }
    }

    fn is_possible(&self) -> bool {
        let token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let cookie = !self.cookie.is_empty() && self.cookie.bytes().all(token);
        cookie && is_plain(&self.sign_in)
    }
}

/// Whether a path of our own has nothing in it that HTML or a browser reads otherwise.
fn is_plain(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'.' | b'_' | b'~');
    path.starts_with('/') && !path.starts_with("//") && path.bytes().all(plain)
}

/// The groups of a gate, the most specific first.
#[derive(Debug)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    pub(super) fn new(mut groups: Vec<Group>, base: &Base) -> Result<Self, InvalidGroups> {
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
            let led_nowhere = group.start.as_deref().is_some_and(|start| !is_plain(start));
            if led_nowhere || group.pages.as_ref().is_some_and(|p| !p.is_possible()) {
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
        Ok(Self(groups))
    }

    /// The group of a request, by the path as sent.
    pub(super) fn classify(&self, method: &Method, path: &str) -> Result<usize, Reason> {
        let judged = path::judge(path).map_err(Reason::AmbiguousPath)?;
        let found = if path.starts_with('/') { self.0.iter().position(|g| g.matches(method, path)) } else { None };
        if judged.encoded_slash.is_some() {
            let allowed = |i: usize| self.0[i].encoded_slashes && judged.encoded_slash > Some(self.0[i].path.len());
            if !found.is_some_and(allowed) {
                return Err(Reason::AmbiguousPath(Ambiguity::EncodedSeparator));
            }
        }
        found.ok_or(Reason::NoGroup)
    }

    /// Where people are led back to from the group that this path, ambiguous or not, begins like.
    pub(super) fn start_at(&self, method: &Method, path: &str) -> Option<&Arc<str>> {
        self.0.iter().find(|group| group.matches(method, path))?.start.as_ref()
    }

    pub(super) fn get(&self, index: usize) -> &Group {
        &self.0[index]
    }

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
    fn whole_segments_and_the_longest_prefix() {
        let groups = groups();
        let of = |method: &Method, path: &str| groups.classify(method, path).map(|i| groups.get(i).path.clone());
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

    /// The management API is served where everything below belongs to admin tokens and sessions.
    #[cfg(feature = "api")]
    #[test]
    fn an_admin_group_at_a_path_is_a_whole_prefix_of_that_kind() {
        assert!(Group::admin("/admin").is_admin_at("/admin"));
        for other in [
            Group::admin("/other"),
            Group::admin("/admin").exact(Method::GET),
            Group::content("/admin"),
            Group::sessions("/admin"),
            Group::pages("/admin", "sid", "/login"),
            Group::public("/admin"),
        ] {
            assert!(!other.is_admin_at("/admin"), "{other:?}");
        }
    }

    #[test]
    fn impossible_groups_fail_to_build() {
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
